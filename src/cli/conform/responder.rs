//! The responder that is checked, and the plainest request that it answers: with that everything else is
//! compared.

use super::{
    Miss, Outcome,
    records::whole,
    wire::{Heard, ID, Talk, failed},
};
use crate::{
    cli::get::response::Response,
    fcgi::{self, RecordType, RequestId, VALUES, get_values},
    net::Destination,
};
use std::{cell::OnceCell, time::Duration};

/// Names and values of parameters.
pub(super) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The responder that is checked, and the request that it answers.
pub(super) struct Responder<'r> {
    pub(super) destination: &'r Destination,
    pub(super) limit: Duration,
    /// Of a GET.
    pub(super) params: Pairs,
    /// The statuses of a GET and a POST that are sent in the plainest way.
    plain: [OnceCell<Option<u16>>; 2],
}

impl<'r> Responder<'r> {
    pub(super) fn new(destination: &'r Destination, limit: Duration, params: Pairs) -> Self {
        Self { destination, limit, params, plain: Default::default() }
    }

    /// The parameters of a POST.
    pub(super) fn post(&self, length: usize) -> Pairs {
        let mut params = self.params.clone();
        let length = length.to_string();
        for (name, value) in [
            ("REQUEST_METHOD", "POST"),
            ("CONTENT_TYPE", "application/octet-stream"),
            ("CONTENT_LENGTH", &length),
        ] {
            params.retain(|(known, _)| known != name.as_bytes());
            params.push((name.into(), value.into()));
        }
        params
    }

    /// A conversation of what is sent at once, until `id` has ended.
    pub(super) fn ask(&self, request: Vec<u8>, id: RequestId) -> Result<Heard, Miss> {
        let mut talk = Talk::begin(self)?;
        talk.send(request)?;
        talk.hear(|heard| heard.end(id).is_some())?;
        Ok(talk.heard)
    }

    /// The status of the plainest request; without one there is nothing to compare with.
    pub(super) fn plain(&self, post: bool) -> Result<u16, Miss> {
        let status = self.plain[usize::from(post)].get_or_init(|| {
            let (params, body) =
                if post { (self.post(3), &b"abc"[..]) } else { (self.params.clone(), &b""[..]) };
            let heard = self.ask(whole(ID, &params, body, false), ID).ok()?;
            heard.answered(ID).ok()?;
            status(&heard.stdout(ID)).ok()
        });
        let what = if post { "POST" } else { "GET" };
        status.ok_or_else(|| Miss::Skipped(format!("a plain {what} is not answered")))
    }

    /// The request was answered as the plainest one is.
    pub(super) fn same(&self, heard: &Heard, id: RequestId, post: bool) -> Outcome {
        let plain = self.plain(post)?;
        heard.answered(id)?;
        match status(&heard.stdout(id))? {
            status if status == plain => Ok(()),
            status => Err(failed(format!("status {status}, and in the plainest way {plain}"))),
        }
    }

    pub(super) fn get(&self, id: RequestId, keep_conn: bool) -> Vec<u8> {
        whole(id, &self.params, b"", keep_conn)
    }

    /// GET_VALUES and nothing behind it.
    pub(super) fn get_values(&self, names: &[&[u8]]) -> Result<Talk, Miss> {
        let mut talk = Talk::begin(self)?;
        let mut request = Vec::new();
        get_values(&mut request, names);
        talk.send(request)?;
        talk.hear(|heard| !heard.records.is_empty())?;
        Ok(talk)
    }

    /// What it says of multiplexing, if it does.
    pub(super) fn multiplexes(&self) -> Option<bool> {
        let heard = self.get_values(&VALUES).ok()?.heard;
        let result = heard.records.iter().find(|record| record.is(RecordType::GetValuesResult))?;
        let pairs = fcgi::pairs(&result.content).collect::<Result<Vec<_>, _>>().ok()?;
        let mpxs =
            pairs.into_iter().find(|(name, _)| &result.content[name.clone()] == b"FCGI_MPXS_CONNS");
        mpxs.map(|(_, value)| &result.content[value] == b"1")
    }
}

/// The status of a CGI response.
pub(super) fn status(stdout: &[u8]) -> Result<u16, Miss> {
    let mut response = Response::default();
    let begun = response.next(stdout).map(|_| ());
    let status = begun.and_then(|()| response.finish(false));
    status.map(|status| status.code).map_err(|error| failed(format!("no CGI response: {error}")))
}
