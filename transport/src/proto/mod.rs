//! What decides: no socket, no clock, no task. `now` and the random generator are arguments.

pub mod bulk;
pub mod cipher;
pub mod handshake;
pub mod inbox;
pub mod liveness;
pub mod members;
pub mod mesh;
pub mod open;
pub mod outbox;
pub mod record;
pub mod rotation;
pub mod seal;
pub mod strangers;
