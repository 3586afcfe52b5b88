//! Several applications, and middleware around them.
//!
//!     cargo run --example middleware -- http
//!     curl -i http://127.0.0.1:8000/time
//!
//! Middleware is an application that has another one inside. This one adds a header field to every
//! response; the validator, which comes with the library, tells who breaks the rules of PEP 3333.

use cgigate::{
    Application, Body, Environ, Exception, Gateway, Response, StartResponse,
    handlers::format_date_time,
    types::{Blocks, HeaderIter},
    validate::validator,
};
use std::time::SystemTime;

/// Adds `field` to whatever `app` answers.
struct WithField<A> {
    app: A,
    field: (&'static str, &'static str),
}

impl<A: Application> Application for WithField<A> {
    fn call<'r>(&'r self, environ: Environ<'r>, start: &mut dyn StartResponse) -> Response<'r> {
        let field = self.field;
        let body = self.app.call(environ, &mut Adding { start, field })?;
        Ok(match body {
            // An iterable may wait with start_response until its first block.
            Body::Blocks(blocks) => Body::Blocks(Box::new(AddingLater { blocks, field })),
            body => body,
        })
    }
}

/// The start_response that the application inside is given.
struct Adding<'s> {
    start: &'s mut dyn StartResponse,
    field: (&'static str, &'static str),
}

impl StartResponse for Adding<'_> {
    fn start_response(
        &mut self,
        status: &[u8],
        headers: &mut HeaderIter<'_>,
        exc_info: Option<Exception>,
    ) -> Result<(), Exception> {
        let (name, value) = self.field;
        let mut fields: Vec<_> = headers.collect();
        fields.push((name.as_bytes(), value.as_bytes()));
        self.start.start_response(status, &mut fields.into_iter(), exc_info)
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Exception> {
        self.start.write(data)
    }
}

struct AddingLater<'r> {
    blocks: Box<dyn Blocks + 'r>,
    field: (&'static str, &'static str),
}

impl Blocks for AddingLater<'_> {
    fn begin(&mut self, start: &mut dyn StartResponse) -> Result<(), Exception> {
        self.blocks.begin(&mut Adding { start, field: self.field })
    }

    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        self.blocks.next_block()
    }

    fn blocks(&self) -> Option<usize> {
        self.blocks.blocks()
    }

    fn close(&mut self) -> Result<(), Exception> {
        self.blocks.close()
    }
}

fn index<'r>(_environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    Ok("Ask for /time or /careless.\n".into())
}

fn time<'r>(_environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    Ok(format!("It is {}.\n", format_date_time(SystemTime::now())).into())
}

/// Breaks a rule: a response with a body says what type it has.
fn careless<'r>(_environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    start_response.call("200 OK", &[("X-Type", "text/plain")])?;
    Ok("The validator makes a 500 of this, and a line in the log.\n".into())
}

/// What all of them have around them.
fn wrapped(app: impl Application) -> impl Application {
    WithField { app: validator(app), field: ("X-Content-Type-Options", "nosniff") }
}

fn main() -> std::process::ExitCode {
    Gateway::new()
        .responder("index", wrapped(index))
        .index()
        .responder("time", wrapped(time))
        .about("what time it is")
        .responder("careless", wrapped(careless))
        .about("breaks a rule, and is found out")
        .main()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cgigate::testing::get;

    #[test]
    fn every_answer_has_the_field_even_one_that_starts_late() {
        struct Late(bool);
        impl Blocks for Late {
            fn begin(&mut self, start_response: &mut dyn StartResponse) -> Result<(), Exception> {
                start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
                Ok(())
            }
            fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
                Ok(std::mem::take(&mut self.0).then_some(b"late"))
            }
        }
        let late = cgigate::app(|_, _| Ok(Body::Blocks(Box::new(Late(true)))));
        for (app, text) in
            [(&wrapped(late) as &dyn Application, "late"), (&wrapped(time), "It is ")]
        {
            let answer = get("/").ask(app);
            assert_eq!((answer.status, &*answer.log), (200, ""));
            assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
            assert!(answer.text().starts_with(text), "{}", answer.text());
        }
    }

    #[test]
    fn the_validator_says_who_is_at_fault() {
        let answer = get("/").ask(&wrapped(careless));
        assert_eq!(answer.status, 500);
        assert!(answer.log.starts_with("the application is at fault: No Content-Type"));
    }
}
