//! A gateway with the router of the tests, which knows nothing of gateways.

mod router;

use cgigate::Gateway;

fn main() -> std::process::ExitCode {
    Gateway::new().make("router", || Ok(cgigate::tower(router::router()))).main()
}
