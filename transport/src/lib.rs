//! Talkie's links: bytes to peers, authenticated, in order, at most once.

mod peer;
pub use peer::{Deliver, Inbound, Interest, Interests, PeerSender, Pushed};
