//! `start_response_wrapper`, and the `WriteWrapper` that it returns: one object here, as
//! [`StartResponse`] is one.

use super::{
    AssertionError,
    check::{check_content_type, check_headers, check_status, code},
    watch::Watch,
};
use crate::types::{Exception, HeaderIter, StartResponse};

/// The `start_response` and the `write` that the application gets.
///
/// ```
/// let app = cgigate::app(|_environ, start_response| {
///     start_response.call("OK", &[("Content-Type", "text/plain")])?;
///     Ok("a page".into())
/// });
/// let answer = cgigate::testing::get("/").validated().ask(&app);
/// assert!(answer.log.starts_with("the application is at fault: Status "), "{}", answer.log);
/// ```
pub struct WriteWrapper<'w, 'r> {
    start_response: &'w mut dyn StartResponse,
    watch: &'w mut Watch<'r>,
}

impl<'w, 'r> WriteWrapper<'w, 'r> {
    pub(super) fn new(start_response: &'w mut dyn StartResponse, watch: &'w mut Watch<'r>) -> Self {
        Self { start_response, watch }
    }
}

impl StartResponse for WriteWrapper<'_, '_> {
    fn start_response(
        &mut self,
        status: &[u8],
        headers: &mut HeaderIter<'_>,
        exc_info: Option<Exception>,
    ) -> Result<(), Exception> {
        let fields: Vec<_> = headers.collect();
        check_status(status, self.watch.warn).map_err(AssertionError)?;
        check_headers(&fields, self.watch.warn).map_err(AssertionError)?;
        check_content_type(status, &fields).map_err(AssertionError)?;
        // Started, even if the server refuses it: then the fault has been reported.
        self.watch.start(code(status).map_err(AssertionError)?, &fields);
        self.start_response.start_response(status, &mut fields.into_iter(), exc_info)
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Exception> {
        self.watch.count(data.len() as u64);
        self.start_response.write(data)
    }
}
