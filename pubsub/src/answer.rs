//! Nouns: what comes of a request.

use bytes::Bytes;
use talkie_discovery::{NodeId, NodeName};

use crate::proto::headers::Headers;
use crate::proto::value::DecodeError;

/// What a responder replied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply<T = Bytes> {
    /// The node that replied.
    pub from: NodeId,
    /// The name of that node; names may repeat.
    pub name: NodeName,
    /// What it replied beside the payload ([`Request::reply_with`](crate::Request::reply_with)).
    pub headers: Headers,
    /// What it replied.
    pub payload: T,
}

/// One of the answers to a request to all, or word that one will not come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer<T = Bytes> {
    /// A responder replied.
    Reply(Reply<T>),
    /// A responder that was asked did not. Told once for a node that is gone or late, however many responders it has.
    Missing {
        /// The node that was asked.
        from: NodeId,
        /// The name of that node.
        name: NodeName,
        /// Why there is no reply.
        why: Unanswered,
    },
}

/// Why a responder that was asked did not reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unanswered {
    /// It dropped the request, or had no room for one more.
    #[error("the responder dropped the request")]
    Dropped,
    /// Its node left, or was told down. It may have seen the request.
    #[error("the responder is gone")]
    Gone,
    /// It stopped to respond before it saw the request.
    #[error("no node answers this topic any more")]
    NoResponder,
    /// No reply was there in time.
    #[error("no answer in time")]
    Timeout,
    /// The request or its reply found no room on its way: what waits for the other node, or for whoever reads the answers,
    /// is at its limit, or it is over the other node's [`Config::max_message`](crate::Config::max_message).
    #[error("no room on the way")]
    NoRoom,
    /// It takes values of another type than the request's ([`Typed::respond`](crate::Typed::respond)).
    #[error("the responder takes requests of another type")]
    NotUnderstood,
    /// Its reply is no value of the type that was asked for ([`Typed::request`](crate::Typed::request)).
    #[error("the reply is of no use: {0}")]
    Malformed(DecodeError),
}
