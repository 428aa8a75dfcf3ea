//! The machines of discovery: they decide, and own no socket, clock, task or lock.
//!
//! Outbound: [`announcer`] says when, [`addresses`] what to tell on each interface, [`seal`] makes the datagram.
//! [`lookout`] says when to look at the interfaces, [`removed`] and [`inet6`] read what the kernel tells of them.
//! Inbound: [`open`] refuses or reads it, [`addresses`] admits what may be dialled, [`roster`] keeps who is here,
//! [`silence`] says what it may mean that nobody is.

pub mod addresses;
pub mod announcer;
pub mod beacon;
pub mod bucket;
pub mod inet6;
pub mod lookout;
pub mod open;
mod recent;
pub mod removed;
pub mod roster;
pub mod seal;
pub mod silence;
