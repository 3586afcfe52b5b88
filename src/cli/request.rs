//! The one request that this process was started for. Here clap is not even loaded: a process
//! that lives for a tenth of a millisecond cannot afford it.

use super::{own_name, values};
use crate::{
    gateway::{
        Dispatcher, Gateway,
        cgi::{self, Mode},
    },
    handlers::Slate,
};
use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
};

pub(super) fn respond(mut gateway: Gateway) -> ExitCode {
    let mut slate = Slate::default();
    cgi::environ(&mut slate.vars);
    let (own_name, nph) = own_name();
    let result = settings(&slate).and_then(|Settings { iis, max_body, validate }| {
        if validate {
            gateway = gateway.validated();
        }
        gateway.build().map_err(|error| error.to_string())?;
        // CGIGATE_APP is among the request's variables.
        let dispatcher = Dispatcher::new(gateway, None, own_name.as_deref(), max_body);
        let mode = Mode { iis, nph, max_body };
        cgi::respond(&dispatcher, mode, &mut slate).map_err(|error| error.to_string())
    });
    // The process ends here, and its memory with it.
    std::mem::forget(slate);
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            crate::sys::say(format_args!("cgigate: answer the request: {reason}"));
            // What cannot be said to anybody is not said.
            let _ = io::stdout().write_all(
                b"Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\
                  Content-Length: 59\r\n\r\n\
                  A server error occurred.  Please contact the administrator.",
            );
            // The answer is whole, and says what there is to say to the client.
            ExitCode::SUCCESS
        }
    }
}

/// What of `CGIGATE_*` concerns a CGI request.
struct Settings {
    /// IIS asks.
    iis: bool,
    /// The longest body, in bytes.
    max_body: u64,
    validate: bool,
}

fn settings(slate: &Slate) -> Result<Settings, String> {
    let software = slate.vars.get("SERVER_SOFTWARE").unwrap_or_default();
    let iis = match env::var("CGIGATE_HANDLER").as_deref() {
        Err(env::VarError::NotPresent) | Ok("") => software.starts_with(b"Microsoft-IIS/"),
        Ok("iis") => true,
        Ok("cgi") => false,
        Ok(other) => return Err(format!("CGIGATE_HANDLER: {other:?} is neither 'iis' nor 'cgi'")),
        Err(error) => return Err(format!("CGIGATE_HANDLER: {error}")),
    };
    let max_body = setting("CGIGATE_MAX_BODY", values::size)?.unwrap_or(u64::MAX);
    let validate = setting("CGIGATE_VALIDATE", values::switch)?.unwrap_or(false);
    Ok(Settings { iis, max_body, validate })
}

/// The value of a variable, if it is there.
fn setting<T>(name: &str, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    match env::var(name) {
        Err(env::VarError::NotPresent) => Ok(None),
        Ok(text) => read(&text).map(Some).map_err(|why| format!("{name}: {why}")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
