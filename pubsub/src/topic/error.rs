//! Why a text is no topic, pattern or bus name, in words for whoever wrote it.

use super::{MAX_BUS_BYTES, MAX_BYTES, MAX_SEGMENTS};

/// Why a text is no topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The text is empty.
    #[error("a topic must not be empty")]
    Empty,
    /// More than [`MAX_BYTES`].
    #[error("topic {given:?} has {bytes} bytes; at most {MAX_BYTES} are allowed")]
    TooLong {
        /// The text's beginning.
        given: String,
        /// Its length in bytes.
        bytes: usize,
    },
    /// More than [`MAX_SEGMENTS`].
    #[error("topic {given:?} has {segments} segments; at most {MAX_SEGMENTS} are allowed")]
    TooManySegments {
        /// The text.
        given: String,
        /// How many segments it has.
        segments: usize,
    },
    /// It begins or ends with a slash, or has two in a row.
    #[error("topic {given:?} has an empty segment; write it without a leading, trailing or double '/'")]
    EmptySegment {
        /// The text.
        given: String,
    },
    /// A `*`, which only a pattern may have.
    #[error("topic {given:?} contains '*'; only a pattern to subscribe to may have wildcards")]
    Wildcard {
        /// The text.
        given: String,
    },
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// The text is empty.
    #[error("a pattern must not be empty; '**' matches every topic")]
    Empty,
    /// More than [`MAX_BYTES`].
    #[error("pattern {given:?} has {bytes} bytes; at most {MAX_BYTES} are allowed")]
    TooLong {
        /// The text's beginning.
        given: String,
        /// Its length in bytes.
        bytes: usize,
    },
    /// More than [`MAX_SEGMENTS`].
    #[error("pattern {given:?} has {segments} segments; at most {MAX_SEGMENTS} are allowed")]
    TooManySegments {
        /// The text.
        given: String,
        /// How many segments it has.
        segments: usize,
    },
    /// It begins or ends with a slash, or has two in a row.
    #[error("pattern {given:?} has an empty segment; write it without a leading, trailing or double '/'")]
    EmptySegment {
        /// The text.
        given: String,
    },
    /// A `*` beside other characters in one segment.
    #[error(
        "pattern {given:?} has '*' inside segment {segment:?}; a wildcard is a whole segment, '*' or '**'"
    )]
    PartialWildcard {
        /// The text.
        given: String,
        /// The segment at fault.
        segment: String,
    },
}

/// Why a text is no bus name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BusNameError {
    /// The text is empty.
    #[error("a bus name must not be empty")]
    Empty,
    /// More than [`MAX_BUS_BYTES`].
    #[error("bus name {given:?} has {bytes} bytes; at most {MAX_BUS_BYTES} are allowed")]
    TooLong {
        /// The text's beginning.
        given: String,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A control character, such as a line break.
    #[error("bus name {given:?} contains a control character")]
    Control {
        /// The text.
        given: String,
    },
}
