//! Random conversations, broken ones among them, against a second and plainer reading of the
//! specification: it sees records, never bytes, and knows no table of phases.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const LIMITS: Limits = Limits { max_requests: 2, max_params: 40 };

/// What happens next: a record comes, or the application finishes with a request.
#[derive(Clone, Debug)]
enum Act {
    Record { kind: u8, id: u16, content: Vec<u8>, padding: u8 },
    Finish(u16),
}

/// What was made of it. Pieces of one record are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Event(String),
    Bytes(&'static str, u16, Vec<u8>),
    Finished(Option<bool>),
    Broken,
}

#[derive(Default)]
struct Request {
    role: u8,
    keep_conn: bool,
    params: usize,
    params_ended: bool,
    stdin_ended: bool,
    data_ended: bool,
    too_long: bool,
}

#[derive(Default)]
struct Model {
    open: HashMap<u16, Request>,
}

impl Model {
    /// `Err`: the connection ends.
    fn act(&mut self, act: &Act) -> Result<Option<Said>, ()> {
        let (kind, id, content) = match act {
            Act::Finish(id) => {
                let kept = self.open.remove(id).map(|request| request.keep_conn);
                return Ok(Some(Said::Finished(kept)));
            }
            Act::Record { kind, id, content, .. } => (*kind, *id, &content[..]),
        };
        let event = |text: String| Ok(Some(Said::Event(text)));
        match (kind, id) {
            (1..=8, 0) => Err(()),
            // What GET_VALUES may ask for is tested with the pairs; here it asks for nothing.
            (9, 0) => event("values".into()),
            (10 | 11, 0) => Ok(None),
            (_, 0) => event(format!("unknown type {kind}")),
            (1, _) => self.begin(id, content),
            (2, _) if self.open.contains_key(&id) => event(format!("abort {id}")),
            (4 | 5 | 8, _) => match self.open.get_mut(&id) {
                Some(request) if !request.too_long => request.stream(kind, id, content),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn begin(&mut self, id: u16, content: &[u8]) -> Result<Option<Said>, ()> {
        let &[_, role, flags, ..] = content else { return Err(()) };
        if content.len() != 8 || self.open.contains_key(&id) {
            return Err(());
        }
        let text = if !(1..=3).contains(&role) {
            format!("refused {id}: UnknownRole")
        } else if self.open.len() == LIMITS.max_requests {
            format!("refused {id}: Overloaded")
        } else {
            let keep_conn = flags & 1 == 1;
            self.open.insert(id, Request { role, keep_conn, ..Request::default() });
            format!("begin {id}")
        };
        Ok(Some(Said::Event(text)))
    }
}

impl Request {
    fn stream(&mut self, kind: u8, id: u16, content: &[u8]) -> Result<Option<Said>, ()> {
        let (responder, filter) = (self.role == 1, self.role == 3);
        let (name, ended) = match kind {
            4 if self.params_ended => return Err(()),
            4 => {
                self.params += content.len();
                if self.params > LIMITS.max_params {
                    self.too_long = true;
                    return Ok(Some(Said::Event(format!("too long {id}"))));
                }
                ("params", &mut self.params_ended)
            }
            5 if !self.params_ended && content.is_empty() => return Ok(None),
            _ if !self.params_ended => return Err(()),
            // An authorizer has neither of the two, and what comes is read over.
            _ if !responder && !filter => return Ok(None),
            5 if !self.stdin_ended => ("stdin", &mut self.stdin_ended),
            5 if filter && !self.data_ended => return Err(()),
            5 => return Ok(None),
            _ if !self.stdin_ended => return Err(()),
            _ if filter && !self.data_ended => ("data", &mut self.data_ended),
            _ => return Ok(None),
        };
        if content.is_empty() {
            *ended = true;
            return Ok(Some(Said::Event(format!("{name} {id} ended"))));
        }
        Ok(Some(Said::Bytes(name, id, content.to_vec())))
    }
}

fn said_by_the_model(acts: &[Act]) -> Vec<Said> {
    let (mut model, mut said) = (Model::default(), Vec::new());
    for act in acts {
        match model.act(act) {
            Ok(more) => said.extend(more),
            Err(()) => {
                said.push(Said::Broken);
                break;
            }
        }
    }
    said
}

fn said_by_the_core(acts: &[Act], step: usize) -> Vec<Said> {
    let (mut connection, mut said) = (Connection::new(LIMITS), Vec::new());
    let request = |id| RequestId(NonZeroU16::new(id).unwrap());
    for act in acts {
        let (kind, id, content, padding) = match act {
            Act::Finish(id) => {
                said.push(Said::Finished(connection.finish(request(*id))));
                continue;
            }
            Act::Record { kind, id, content, padding } => (*kind, *id, content, *padding),
        };
        let ([i1, i0], len) = (id.to_be_bytes(), content.len() as u8);
        let mut wire = vec![1, kind, i1, i0, 0, len, padding, 0xee];
        wire.extend_from_slice(content);
        wire.resize(wire.len() + usize::from(padding), 0xaa);
        let (mut held, mut bytes) = (Vec::new(), Vec::new());
        for piece in wire.chunks(step) {
            held.extend_from_slice(piece);
            loop {
                let Ok((used, event)) = connection.next(&held) else {
                    said.push(Said::Broken);
                    return said;
                };
                let Some(event) = event else {
                    held.drain(..used);
                    break;
                };
                match heard(event) {
                    Said::Bytes(name, id, piece) => {
                        bytes.extend_from_slice(&piece);
                        if bytes.len() == content.len() {
                            said.push(Said::Bytes(name, id, std::mem::take(&mut bytes)));
                        }
                    }
                    other => said.push(other),
                }
                held.drain(..used);
            }
        }
        assert!(held.is_empty(), "a whole record leaves nothing behind");
    }
    said
}

fn heard(event: Event<'_>) -> Said {
    Said::Event(match event {
        Event::Params { id, piece } => return Said::Bytes("params", id.0.get(), piece.to_vec()),
        Event::Stdin { id, piece } => return Said::Bytes("stdin", id.0.get(), piece.to_vec()),
        Event::Data { id, piece } => return Said::Bytes("data", id.0.get(), piece.to_vec()),
        Event::Begin { id, .. } => format!("begin {}", id.0),
        Event::ParamsEnd { id } => format!("params {} ended", id.0),
        Event::StdinEnd { id } => format!("stdin {} ended", id.0),
        Event::DataEnd { id } => format!("data {} ended", id.0),
        Event::ParamsTooLong { id } => format!("too long {}", id.0),
        Event::Abort { id } => format!("abort {}", id.0),
        Event::Answer(Answer::Values { .. }) => "values".into(),
        Event::Answer(Answer::UnknownType(kind)) => format!("unknown type {kind}"),
        Event::Answer(Answer::Refuse { id, status, .. }) => format!("refused {}: {status:?}", id.0),
    })
}

/// Mostly what a web server might send, so that conversations go far before they break.
fn act() -> impl Strategy<Value = Act> {
    let content = prop::collection::vec(any::<u8>(), 0..30);
    let record = |kinds: &'static [u8]| {
        (prop::sample::select(kinds), 1u16..=3, content.clone(), 0u8..9)
            .prop_map(|(kind, id, content, padding)| Act::Record { kind, id, content, padding })
    };
    let empty = (prop::sample::select(&[4u8, 5, 8][..]), 1u16..=3, 0u8..9)
        .prop_map(|(kind, id, padding)| Act::Record { kind, id, content: vec![], padding });
    let begin = (1u16..=3, 1u8..=4, any::<u8>()).prop_map(|(id, role, flags)| {
        let content = vec![0, role, flags, 0, 0, 0, 0, 0];
        Act::Record { kind: 1, id, content, padding: 0 }
    });
    let management = (prop::sample::select(&[9u8, 10, 11, 99][..]), 0u8..9)
        .prop_map(|(kind, padding)| Act::Record { kind, id: 0, content: vec![], padding });
    prop_oneof![
        6 => begin,
        4 => record(&[4]),
        8 => empty,
        4 => record(&[5, 8]),
        2 => record(&[2, 3, 6, 7, 10, 99]),
        2 => management,
        4 => (1u16..=3).prop_map(Act::Finish),
        1 => (any::<u8>(), 0u16..=3, content.clone(), 0u8..9)
            .prop_filter("GET_VALUES is asked above", |(kind, id, ..)| (*kind, *id) != (9, 0))
            .prop_map(|(kind, id, content, padding)| Act::Record { kind, id, content, padding }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_conversations_go_as_the_model_says(
        acts in prop::collection::vec(act(), 0..40),
        step in 1usize..60,
    ) {
        prop_assert_eq!(said_by_the_core(&acts, step), said_by_the_model(&acts));
    }
}
