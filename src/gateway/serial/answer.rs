//! The answer to one request, in FastCGI's records or, for SCGI and uwsgi, as it is.

use super::{Line, State};
use crate::{
    fcgi::{self, MAX_CONTENT, ProtocolStatus, RecordType, RequestId},
    gateway::{Protocol, call::Call, connection::Finished, spool::End, whole_lines::WholeLines},
    handlers::Ending,
    types::{ClientGone, Request},
};
use std::{
    cell::RefCell,
    io::{self, Read, Write},
    sync::Arc,
};

/// What of an answer is not sent yet.
pub(super) struct Answer<'l, S> {
    line: &'l RefCell<Line<S>>,
    request: Arc<Request>,
    id: RequestId,
    protocol: Protocol,
    has_stderr: bool,
    stdout_used: bool,
    stderr_used: bool,
    /// Whole records.
    out: Vec<u8>,
    /// What was logged before the header block, in records that follow it, as the workers' do.
    early: Vec<u8>,
    /// What the next STDOUT record will hold.
    content: Vec<u8>,
    /// Where `wsgi.errors` has no stream.
    log: WholeLines,
}

impl<'l, S: Read + Write> Answer<'l, S> {
    pub(super) fn new(
        line: &'l RefCell<Line<S>>,
        call: &Call,
        has_stderr: bool,
        protocol: Protocol,
    ) -> Self {
        Self {
            line,
            request: Arc::clone(call.slate.request()),
            id: call.id,
            protocol,
            has_stderr: has_stderr && protocol == Protocol::FastCgi,
            stdout_used: false,
            stderr_used: false,
            out: Vec::new(),
            early: Vec::new(),
            content: Vec::new(),
            log: WholeLines::default(),
        }
    }

    pub(super) fn put(&mut self, mut data: &[u8]) -> io::Result<()> {
        self.stdout_used |= !data.is_empty();
        while !data.is_empty() {
            let fits = data.len().min(MAX_CONTENT - self.content.len());
            self.content.extend_from_slice(&data[..fits]);
            data = &data[fits..];
            if self.content.len() == MAX_CONTENT {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn close_record(&mut self) {
        match self.protocol {
            _ if self.content.is_empty() => {}
            Protocol::FastCgi => {
                fcgi::stream(&mut self.out, RecordType::Stdout, self.id, &self.content);
                self.content.clear();
            }
            Protocol::Scgi | Protocol::Uwsgi => self.out.append(&mut self.content),
        }
        self.out.append(&mut self.early);
    }

    pub(super) fn put_stderr(&mut self, data: &[u8]) -> io::Result<()> {
        if !self.has_stderr {
            self.log.add(data, |lines| self.line.borrow().apps.errors(lines));
            return Ok(());
        }
        if data.is_empty() {
            return Ok(()); // A record without content would be the end.
        }
        self.stderr_used = true;
        let records = match self.stdout_used {
            true => {
                self.close_record();
                &mut self.out
            }
            false => &mut self.early,
        };
        fcgi::stream(records, RecordType::Stderr, self.id, data);
        // There is a limit to what is kept back.
        if records.len() > MAX_CONTENT { self.flush() } else { Ok(()) }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.close_record();
        let mut line = self.line.borrow_mut();
        while line.front.is_body_open(self.id) && line.receive() {}
        if self.request.is_cancelled() {
            self.out.clear();
            return Err(ClientGone.into());
        }
        let sent = line.send(&self.out);
        self.out.clear();
        sent
    }

    /// Ends the request on the wire, so that the client can tell how it ended.
    pub(super) fn finish(mut self, call: &Call, ending: Ending) {
        self.log.end(|line| self.line.borrow().apps.errors(line));
        self.close_record();
        // Nobody reads what comes now.
        for spool in call.data.iter().map(|data| &data.spool).chain([&call.spool]) {
            spool.end(End::Whole);
        }
        let mut line = self.line.borrow_mut();
        while line.front.is_body_open(self.id) && line.receive() {}
        let Finished { close, others, next, .. } = line.front.finish_unsent(self.id);
        line.sorting.ready.extend(next);
        let app_status = match ending {
            Ending::Whole | Ending::Departed => Some(0),
            Ending::Cut { length_known } if length_known || others => Some(1),
            // Without a length only a connection that ends too soon tells that something is missing.
            Ending::Cut { .. } => None,
        };
        if self.request.is_cancelled() {
            // Section 5.4: an aborted request is ended, and nothing else is said of it.
            self.out.clear();
        } else if self.protocol == Protocol::FastCgi {
            self.end_streams(app_status.is_some());
        }
        if let (Protocol::FastCgi, Some(app_status)) = (self.protocol, app_status) {
            let complete = ProtocolStatus::RequestComplete;
            fcgi::end_request(&mut self.out, self.id, app_status, complete);
        }
        // Nobody is left to be told that it failed.
        let _ = line.send(&self.out);
        if close || app_status.is_none() {
            line.end(State::Ended);
        }
    }

    /// STDOUT has an end only if it is whole. Where STDERR has none and is the last that comes, a whole
    /// HAProxy 2.6 ends with the connection.
    fn end_streams(&mut self, stdout: bool) {
        for (kind, ends) in [(RecordType::Stdout, stdout), (RecordType::Stderr, self.stderr_used)] {
            if ends {
                fcgi::stream(&mut self.out, kind, self.id, b"");
            }
        }
    }
}
