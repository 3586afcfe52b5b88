//! The body of a request for a tower service: `'static`, over an input that is only lent.
//!
//! The two meet in a slot. The service asks for a piece and waits; whoever drives it reads one from
//! `wsgi.input`, lays it into the slot and wakes the reader, which may be a task of its own.

use crate::{lock::lock, types::Exception};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

/// The body of a request, read from `wsgi.input` as it is asked for.
///
/// It reads as `http_body::Body`. A body that ends before its CONTENT_LENGTH is an error of kind
/// `UnexpectedEof`, never a silent end, and so is one that is read after its request has ended.
///
/// ```
/// use axum::{Router, body::Body, routing::post};
///
/// // axum has its own name for whatever body it is given.
/// let router = Router::new().route("/", post(|body: Body| async { body }));
/// let answer = cgigate::testing::post("/", "as it came").ask(&cgigate::tower(router));
/// assert_eq!(answer.text(), "as it came");
/// ```
#[derive(Debug)]
pub struct RequestBody {
    slot: Option<Arc<Mutex<Slot>>>,
    /// Bytes that are still to come, where that was told.
    left: Option<u64>,
}

/// Who lays pieces into it.
#[derive(Debug)]
pub(super) struct Feed(Option<Arc<Mutex<Slot>>>);

#[derive(Debug, Default)]
struct Slot {
    state: State,
    /// Waits for a piece.
    reader: Option<Waker>,
    /// Waits for the service, and has to know that a piece is wanted.
    feeder: Option<Waker>,
}

#[derive(Debug, Default)]
enum State {
    /// Nobody has asked.
    #[default]
    Idle,
    Wanted,
    Piece(Result<Bytes, Exception>),
    Ended,
}

/// The request has ended, and its body with it.
#[derive(Debug, thiserror::Error)]
#[error("the request that this body belongs to has ended")]
struct Over;

/// A body of so many bytes, or of a length that nobody told, and who feeds it.
pub(super) fn incoming(length: Option<u64>) -> (RequestBody, Feed) {
    let slot = (length != Some(0)).then(Arc::default);
    (RequestBody { slot: slot.clone(), left: length }, Feed(slot))
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Exception;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Exception>>> {
        let Some(shared) = &self.slot else { return Poll::Ready(None) };
        let mut slot = lock(shared);
        let piece = match std::mem::take(&mut slot.state) {
            State::Piece(piece) => piece,
            State::Ended => {
                slot.state = State::Ended;
                return Poll::Ready(None);
            }
            State::Idle | State::Wanted => {
                slot.state = State::Wanted;
                slot.reader = Some(cx.waker().clone());
                if let Some(feeder) = slot.feeder.take() {
                    feeder.wake();
                }
                return Poll::Pending;
            }
        };
        if piece.is_err() {
            slot.state = State::Ended;
        }
        drop(slot);
        if let (Some(left), Ok(piece)) = (&mut self.left, &piece) {
            *left = left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
            || self.slot.as_ref().is_none_or(|slot| matches!(lock(slot).state, State::Ended))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Feed {
    /// Whether a piece is wanted; if not, `feeder` is woken when it is.
    pub(super) fn is_wanted(&self, feeder: &Waker) -> bool {
        let Some(slot) = &self.0 else { return false };
        let mut slot = lock(slot);
        let wanted = matches!(slot.state, State::Wanted);
        slot.feeder = (!wanted).then(|| feeder.clone());
        wanted
    }

    /// A piece for the reader; an empty one is the end.
    pub(super) fn give(&self, piece: Result<Bytes, Exception>) {
        self.put(match piece {
            Ok(piece) if piece.is_empty() => State::Ended,
            piece => State::Piece(piece),
        });
    }

    fn put(&self, state: State) {
        let Some(slot) = &self.0 else { return };
        let mut slot = lock(slot);
        slot.state = state;
        slot.feeder = None;
        if let Some(reader) = slot.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // Whoever still holds the body need not wait for ever.
        if self.0.as_ref().is_some_and(|slot| !matches!(lock(slot).state, State::Ended)) {
            self.put(State::Piece(Err(Over.into())));
        }
    }
}
