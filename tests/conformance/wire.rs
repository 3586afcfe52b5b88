//! Records as bytes, by hand: nothing of the library that is tested.

pub(crate) const KEEP: u8 = 1;
pub(crate) const RESPONDER: u16 = 1;
pub(crate) const AUTHORIZER: u16 = 2;
pub(crate) const FILTER: u16 = 3;

pub(crate) const BEGIN: u8 = 1;
pub(crate) const ABORT: u8 = 2;
pub(crate) const PARAMS: u8 = 4;
pub(crate) const STDIN: u8 = 5;
pub(crate) const DATA: u8 = 8;
pub(crate) const GET_VALUES: u8 = 9;

/// A record with so much padding.
pub(crate) fn padded(kind: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let len = u16::try_from(content.len()).expect("the content of a record").to_be_bytes();
    let [high, low] = id.to_be_bytes();
    let mut wire = vec![1, kind, high, low, len[0], len[1], padding, 0];
    wire.extend_from_slice(content);
    wire.resize(wire.len() + usize::from(padding), 0xa5);
    wire
}

pub(crate) fn record(kind: u8, id: u16, content: &[u8]) -> Vec<u8> {
    padded(kind, id, content, 0)
}

pub(crate) fn begin(id: u16, role: u16, flags: u8) -> Vec<u8> {
    let [high, low] = role.to_be_bytes();
    record(BEGIN, id, &[high, low, flags, 0, 0, 0, 0, 0])
}

pub(crate) fn pair(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for len in [name.len(), value.len()] {
        match u8::try_from(len) {
            Ok(short @ ..=127) => wire.push(short),
            _ => wire.extend((len as u32 | 1 << 31).to_be_bytes()),
        }
    }
    [&wire, name, value].concat()
}

pub(crate) fn pairs(vars: &[(&str, &str)]) -> Vec<u8> {
    vars.iter().flat_map(|(name, value)| pair(name.as_bytes(), value.as_bytes())).collect()
}

/// A stream in records of `size`, and its end.
pub(crate) fn stream(kind: u8, id: u16, bytes: &[u8], size: usize) -> Vec<u8> {
    let mut wire: Vec<u8> = bytes.chunks(size).flat_map(|piece| record(kind, id, piece)).collect();
    wire.extend(record(kind, id, b""));
    wire
}

/// What a web server says of a request for `/APP?QUERY`.
pub(crate) fn vars<'v>(target: &'v str, more: &[(&'v str, &'v str)]) -> Vec<u8> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let usual = [
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", path),
        ("QUERY_STRING", query),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
    ];
    let mut wire = pairs(&usual);
    wire.extend(pairs(more));
    wire
}

/// A request as far as the end of its PARAMS.
pub(crate) fn head(id: u16, target: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut wire = begin(id, RESPONDER, KEEP);
    wire.extend(stream(PARAMS, id, &vars(target, more), 65_535));
    wire
}

/// A whole request without a body, kept.
pub(crate) fn get(id: u16, target: &str) -> Vec<u8> {
    get_with(id, target, &[])
}

pub(crate) fn get_with(id: u16, target: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut wire = head(id, target, more);
    wire.extend(record(STDIN, id, b""));
    wire
}

/// A whole request with a body whose length is told.
pub(crate) fn post(id: u16, target: &str, body: &[u8]) -> Vec<u8> {
    post_as(id, target, &body.len().to_string(), body)
}

/// A whole request with a body, and what is told of its length.
pub(crate) fn post_as(id: u16, target: &str, length: &str, body: &[u8]) -> Vec<u8> {
    let mut wire = head(id, target, &[("CONTENT_LENGTH", length)]);
    wire.extend(stream(STDIN, id, body, 32_768));
    wire
}
