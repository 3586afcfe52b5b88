//! The executable that is shipped, for trying a server out. An own gateway is a `main.rs` like
//! this one.

use cgigate::{Gateway, apps};
use std::process::ExitCode;

fn main() -> ExitCode {
    Gateway::new()
        .responder("demo", apps::demo)
        .about("the environ, as wsgiref's demo_app prints it")
        .index()
        .responder("hello", apps::hello)
        .about("Hello World")
        .responder("environ", apps::environ)
        .about("the variables of the request, one NAME=value a line")
        .responder("echo", apps::echo)
        .about("the body of the request")
        .responder("files", apps::files)
        .about("the files below CGIGATE_FILES_ROOT")
        .responder("probe", apps::probe)
        .about("what the web server in front gets wrong, and what mends it")
        .welcome(apps::Welcome::new)
        .main()
}
