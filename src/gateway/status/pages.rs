//! Which path is whose: the status and the ping, answered in the applications' place.

use super::{Source, json, openmetrics, text};
use crate::{
    gateway::MountPoint,
    types::{Application, Body, Environ, Response, StartResponse, Vars},
};

/// The paths at which the server answers for itself.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    pages: Vec<(Vec<u8>, Page)>,
}

#[derive(Debug)]
enum Page {
    Ping,
    Status {
        source: Source,
        /// Where the query asks for none.
        format: Format,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    OpenMetrics,
}

impl Pages {
    pub(crate) fn ping_at(mut self, path: &str) -> Self {
        self.pages.push((path.into(), Page::Ping));
        self
    }

    pub(crate) fn status_at(mut self, path: &str, source: Source) -> Self {
        self.pages.push((path.into(), Page::Status { source, format: Format::Text }));
        self
    }

    /// The status in the one format that a scraper asks for without a word.
    pub(crate) fn metrics_at(mut self, path: &str, source: Source) -> Self {
        self.pages.push((path.into(), Page::Status { source, format: Format::OpenMetrics }));
        self
    }

    /// What answers a request for one of the paths, which are as the client sees them.
    #[inline]
    pub(crate) fn find(&self, vars: &Vars) -> Option<&dyn Application> {
        if self.pages.is_empty() { None } else { self.find_one(vars) }
    }

    fn find_one(&self, vars: &Vars) -> Option<&dyn Application> {
        let path = MountPoint::whole_path(vars)?;
        let (_, page) = self.pages.iter().find(|(at, _)| *at == *path)?;
        Some(page)
    }
}

/// What keeps a browser from taking a page for anything else, and from keeping it.
const GUARDS: [(&str, &str); 3] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'"),
    ("Cache-Control", "no-store"),
];

impl Application for Page {
    fn call<'r>(&'r self, environ: Environ<'r>, start: &mut dyn StartResponse) -> Response<'r> {
        let [one, two, three] = GUARDS;
        let method = environ.get("REQUEST_METHOD").unwrap_or_default();
        if !matches!(method, b"GET" | b"HEAD") {
            let fields = [("Content-Type", "text/plain"), ("Allow", "GET, HEAD"), one, two, three];
            start.call("405 Method Not Allowed", &fields)?;
            return Ok("405 Method Not Allowed\n".into());
        }
        let mut out = String::new();
        let content_type = match self {
            Self::Ping => {
                out.push_str("pong\n");
                text::CONTENT_TYPE
            }
            Self::Status { source, format } => {
                let asked = Asked::of(environ.get("QUERY_STRING").unwrap_or_default(), *format);
                let Some(Asked { format, full }) = asked else {
                    let fields = [("Content-Type", "text/plain"), one, two, three];
                    start.call("400 Bad Request", &fields)?;
                    return Ok("no such format: use text, json or openmetrics\n".into());
                };
                let snapshot = source.read();
                match format {
                    Format::Text => {
                        text::render(&mut out, &snapshot, full)?;
                        text::CONTENT_TYPE
                    }
                    Format::Json => {
                        json::render(&mut out, &snapshot, full)?;
                        json::CONTENT_TYPE
                    }
                    Format::OpenMetrics => {
                        openmetrics::render(&mut out, &snapshot)?;
                        openmetrics::CONTENT_TYPE
                    }
                }
            }
        };
        start.call("200 OK", &[("Content-Type", content_type), one, two, three])?;
        Ok(Body::from(out))
    }
}

/// What a query asks for.
struct Asked {
    format: Format,
    full: bool,
}

impl Asked {
    /// `None`: a format that is none. What else is in the query is read over.
    fn of(query: &[u8], format: Format) -> Option<Self> {
        let mut asked = Self { format, full: false };
        for part in query.split(|byte| *byte == b'&') {
            match part {
                b"full" | b"full=" | b"full=1" => asked.full = true,
                b"format=text" => asked.format = Format::Text,
                b"format=json" => asked.format = Format::Json,
                b"format=openmetrics" => asked.format = Format::OpenMetrics,
                other if other.starts_with(b"format=") => return None,
                _ => {}
            }
        }
        Some(asked)
    }
}
