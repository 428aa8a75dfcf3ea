//! Doors to what reads the bytes of a link, for the fuzz targets alone: no part of what is kept stable.

use bytes::BytesMut;
use talkie_discovery::HostMark;

use crate::interest::{Interest, Interests};
use crate::io::link::parse_hello;
use crate::proto::cipher::Ciphers;
use crate::proto::handshake::{self, Range};
use crate::proto::open::Open;
use crate::proto::record::{self, ControlFrames, DataFrame, Kind, RecordError, Varint, parse_data};

/// A frame of the data lane, as the reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, missing_docs, reason = "it repeats a type of this crate")]
pub enum Data {
    Message { interests: Interests, body: Vec<u8> },
    Large { interests: Interests },
    Gap { missed: Vec<(Interest, u64)>, exact: bool },
    Unknown,
}

impl Data {
    /// Reads a frame behind its length.
    ///
    /// # Errors
    /// As the reader of a link.
    pub fn read(frame: &[u8]) -> Result<Self, RecordError> {
        Ok(match parse_data(frame)? {
            DataFrame::Message { interests, body } => Self::Message { interests, body: body.to_vec() },
            DataFrame::Large { interests } => Self::Large { interests },
            DataFrame::Gap { missed, exact } => Self::Gap { missed, exact },
            DataFrame::Unknown => Self::Unknown,
        })
    }

    /// The frame with its length in front, as the writer of a link makes it; nothing for a kind of a later version.
    pub fn write(&self) -> Vec<u8> {
        let mut buf = Vec::new();
        match self {
            Self::Message { interests, body } => {
                record::put_message_head(&mut buf, interests, body.len());
                buf.extend_from_slice(body);
            }
            Self::Large { interests } => record::put_large(&mut buf, interests),
            Self::Gap { missed, exact } => record::put_gap(&mut buf, missed, *exact),
            Self::Unknown => {}
        }
        buf
    }
}

/// The number at the front, and how many bytes it takes; none where there is no whole one.
pub fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    match record::peek_varint(bytes) {
        Varint::Whole(value, len) => Some((value, len)),
        Varint::Partial | Varint::TooLong => None,
    }
}

/// Its bytes, as they are written.
pub fn put_varint(value: u64) -> Vec<u8> {
    record::varint(value)
}

/// Kind and body of the control frames of a record's content, up to the first that is cut off.
///
/// # Errors
/// As the reader of a link.
pub fn control_frames(content: &[u8]) -> Result<Vec<(u8, &[u8])>, RecordError> {
    ControlFrames(content).map(|frame| frame.map(|(kind, body)| (kind as u8, body))).collect()
}

/// The frame of an acknowledgement with this body, which stands for all.
pub fn put_control(buf: &mut Vec<u8>, body: &[u8]) {
    record::put_control(buf, Kind::Ack, body);
}

/// The next record: its lane and its content.
///
/// # Errors
/// As the reader of a link.
pub fn next_record(open: &mut Open, wire: &mut BytesMut) -> Result<Option<(u8, BytesMut)>, RecordError> {
    Ok(open.next(wire)?.map(|(lane, content)| (lane as u8, content)))
}

/// What a handshake's payload greets with.
pub fn greeting(payload: &[u8]) -> Option<(Range, Ciphers)> {
    handshake::greeting(payload).ok().map(|greeting| (greeting.range, greeting.ciphers))
}

/// Reads a hello and writes what was understood of it.
pub fn hello(body: &[u8]) -> Option<Vec<u8>> {
    let (hello, host, secrets) = parse_hello(body).ok()?;
    let mut again = postcard::to_stdvec(&hello).ok()?;
    again.extend(HostMark::to_bytes(host));
    // Also where there are none: behind them anything may stand.
    record::put_secrets(&mut again, &secrets);
    Some(again)
}
