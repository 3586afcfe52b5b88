//! The one request that this process was started for. Here clap is not even loaded: a process
//! that lives for a tenth of a millisecond cannot afford it.

use super::{own_name, record, values};
use crate::{
    gateway::{
        Dispatcher, Gateway, RecordPlan, Recorder,
        cgi::{self, Mode},
    },
    handlers::Slate,
    sys,
    types::Vars,
};
use std::{
    io::{self, Write as _},
    process::ExitCode,
};

pub(super) fn respond(mut gateway: Gateway) -> ExitCode {
    let mut slate = Slate::default();
    cgi::environ(&mut slate.vars);
    let (own_name, nph) = own_name();
    let result = settings(&slate.vars).and_then(|Settings { iis, max_body, validate, record }| {
        let recorder = record.and_then(recorder);
        if let Some(recorder) = &recorder {
            gateway = recorder.recorded(gateway);
        }
        if validate {
            gateway = gateway.validated();
        }
        gateway.build().map_err(|error| error.to_string())?;
        // CGIGATE_APP is among the request's variables.
        let mut dispatcher = Dispatcher::new(gateway, None, own_name.as_deref(), max_body);
        if let Some(recorder) = &recorder {
            dispatcher = dispatcher.recorded(recorder);
        }
        let mode = Mode { iis, nph, max_body };
        let whole = cgi::respond(&dispatcher, mode, &mut slate).map_err(|error| error.to_string());
        if let Some(recorder) = recorder {
            recorder.finish();
        }
        whole
    });
    // The process ends here, and its memory with it.
    std::mem::forget(slate);
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            crate::sys::say(format_args!("cgigate: answer the request: {reason}"));
            // What cannot be said to anybody is not said.
            let _ = io::stdout().write_all(FAILED);
            // The answer is whole, and says what there is to say to the client.
            ExitCode::SUCCESS
        }
    }
}

/// The answer where there is not even a handler to give it.
pub(super) const FAILED: &[u8] = b"Status: 500 Internal Server Error\r\n\
    Content-Type: text/plain\r\nContent-Length: 59\r\n\r\n\
    A server error occurred.  Please contact the administrator.";

/// What of `CGIGATE_*` concerns a CGI request.
pub(super) struct Settings {
    /// IIS asks.
    pub(super) iis: bool,
    /// The longest body, in bytes.
    pub(super) max_body: u64,
    pub(super) validate: bool,
    pub(super) record: Option<RecordPlan>,
}

/// The settings among the variables of a request that came as CGI.
///
/// # Errors
/// A value that means nothing.
pub(super) fn settings(vars: &Vars) -> Result<Settings, String> {
    let software = vars.get("SERVER_SOFTWARE").unwrap_or_default();
    let iis = software.starts_with(b"Microsoft-IIS/");
    if !vars.names().any(|name| name.starts_with(b"CGIGATE_")) {
        return Ok(Settings { iis, max_body: u64::MAX, validate: false, record: None });
    }
    let iis = match vars.get("CGIGATE_HANDLER") {
        None | Some(b"") => iis,
        Some(b"iis") => true,
        Some(b"cgi") => false,
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            return Err(format!("CGIGATE_HANDLER: {other:?} is neither 'iis' nor 'cgi'"));
        }
    };
    let max_body = setting(vars, "CGIGATE_MAX_BODY", values::body_size)?.unwrap_or(u64::MAX);
    let validate = setting(vars, "CGIGATE_VALIDATE", values::switch)?.unwrap_or(false);
    let record = vars.filled("CGIGATE_RECORD").map(|folder| plan(vars, folder)).transpose()?;
    Ok(Settings { iis, max_body, validate, record })
}

/// What `--record` and its companions are on a command line.
fn plan(vars: &Vars, folder: &[u8]) -> Result<RecordPlan, String> {
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
    let secrets = setting(vars, "CGIGATE_RECORD_SECRETS", values::switch)?.unwrap_or(false);
    let count = setting(vars, "CGIGATE_RECORD_COUNT", number)?.unwrap_or(RecordPlan::COUNT);
    let size = setting(vars, "CGIGATE_RECORD_SIZE", values::size)?;
    let size = size.map_or(RecordPlan::SIZE, |size| usize::try_from(size).unwrap_or(usize::MAX));
    let (folder, settings) = (sys::path(folder), record::settings());
    Ok(RecordPlan { folder, secrets, settings, count, size })
}

/// That nothing can be recorded is no reason not to answer.
fn recorder(plan: RecordPlan) -> Option<Recorder> {
    let folder = plan.folder.display().to_string();
    Recorder::new(plan)
        .inspect_err(|error| {
            crate::sys::say(format_args!("cgigate: CGIGATE_RECORD {folder}: {error}"));
        })
        .ok()
}

/// The value of a variable, if it is there.
fn setting<T>(
    vars: &Vars,
    name: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    let text = vars.get(name).map(String::from_utf8_lossy);
    text.map(|text| read(&text)).transpose().map_err(|why| format!("{name}: {why}"))
}
