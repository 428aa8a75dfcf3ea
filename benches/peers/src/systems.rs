//! The systems: one short file each. The driver knows only their names.

pub mod floor;
pub mod in_process;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "redis")]
pub mod redis;
pub mod talkie;
#[cfg(feature = "zenoh")]
pub mod zenoh;
#[cfg(feature = "zmq")]
pub mod zmq;
