//! Reads and writes at once: a responder may answer before it has read the body, and one that
//! streams what it reads stands still when nobody takes its answer.

use super::upload::Upload;
use crate::{
    fcgi::{Client, Reply},
    sys::{self, Readiness, SocketCell},
};
use anyhow::{Context as _, bail};
use std::{io::ErrorKind, ops::ControlFlow, time::Duration};

const INPUT: usize = 64 << 10;
const _: () = assert!(INPUT >= Client::MIN_BUFFER);

/// Sends what `upload` has and gives every reply to `hear`, until that breaks off: it has heard
/// enough. Nothing may stand still for longer than `limit`.
pub(super) fn converse<T>(
    socket: &SocketCell,
    limit: Option<Duration>,
    client: &mut Client,
    upload: &mut Upload,
    mut hear: impl FnMut(Reply<'_>) -> anyhow::Result<ControlFlow<T>>,
) -> anyhow::Result<T> {
    let mut input = vec![0; INPUT].into_boxed_slice();
    let mut held = 0;
    loop {
        let waits = [(socket.raw(), Readiness::Read), upload.waits_for(socket.raw())];
        let [readable, advances] = sys::poll_each(waits, limit).context("wait")?;
        if advances {
            upload.advance(socket)?;
        }
        if !readable {
            if !advances {
                // poll(2) ends without anything only where there is a limit.
                bail!("no progress for {:?} (--timeout)", limit.unwrap_or_default());
            }
            continue;
        }
        match socket.recv(&mut input[held..]) {
            Ok(0) => bail!("the connection was closed before the answer was whole"),
            Ok(n) => held += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            // By one that closed, or died, without reading all of the request.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                bail!("the connection was reset before the answer was whole")
            }
            Err(error) => return Err(error).context("receive"),
        }
        let mut used = 0;
        loop {
            let (n, reply) = client.next(&input[used..held])?;
            used += n;
            let Some(reply) = reply else { break };
            if let ControlFlow::Break(heard) = hear(reply)? {
                return Ok(heard);
            }
        }
        input.copy_within(used..held, 0);
        held -= used;
    }
}
