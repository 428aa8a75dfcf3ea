//! Talkie: programs on a local network that find each other and share topics.

pub mod proto;
mod topic;

pub use topic::{
    BusName, BusNameError, MAX_BUS_BYTES, MAX_BYTES, MAX_SEGMENTS, Pattern, PatternError, ToPattern, ToTopic,
    Topic, TopicError,
};
