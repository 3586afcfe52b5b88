//! Records as a web server sends them, and as it might.

use crate::fcgi::{RecordType, RequestId, Role, header, pair};

pub(super) const RESPONDER: u16 = Role::Responder as u16;

/// A record with padding.
pub(super) fn record(kind: RecordType, id: RequestId, content: &[u8], padding: u8) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap_or(u16::MAX);
    let mut record = header(kind, id.0.get(), len).to_vec();
    record[6] = padding;
    record.extend_from_slice(&content[..len.into()]);
    record.resize(record.len() + usize::from(padding), 0);
    record
}

/// BEGIN_REQUEST of any role.
pub(super) fn begin(id: RequestId, role: u16, keep_conn: bool) -> Vec<u8> {
    let [high, low] = role.to_be_bytes();
    let body = [high, low, u8::from(keep_conn), 0, 0, 0, 0, 0];
    record(RecordType::BeginRequest, id, &body, 0)
}

/// The stream of name-value pairs, without any records yet.
pub(super) fn pairs(params: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut pairs = Vec::new();
    params.iter().for_each(|(name, value)| pair(&mut pairs, name, value));
    pairs
}

/// A whole stream in records of at most so many bytes, and its end.
pub(super) fn in_records(kind: RecordType, id: RequestId, content: &[u8], most: usize) -> Vec<u8> {
    let mut out: Vec<u8> =
        content.chunks(most).flat_map(|piece| record(kind, id, piece, 0)).collect();
    out.extend(record(kind, id, b"", 0));
    out
}

/// A whole request, as most web servers send it.
pub(super) fn whole(
    id: RequestId,
    params: &[(Vec<u8>, Vec<u8>)],
    body: &[u8],
    keep_conn: bool,
) -> Vec<u8> {
    [
        begin(id, RESPONDER, keep_conn),
        in_records(RecordType::Params, id, &pairs(params), 32 << 10),
        in_records(RecordType::Stdin, id, body, 32 << 10),
    ]
    .concat()
}
