//! The machines of discovery: they decide, and own no socket, clock, task or lock.
//!
//! Outbound: [`announcer`] says when, [`addresses`] what to tell on each interface, [`seal`] makes the datagram.
//! Inbound: [`open`] refuses or reads it, [`addresses`] admits what may be dialled, [`roster`] keeps who is here.

pub mod addresses;
pub mod announcer;
pub mod beacon;
pub mod bucket;
pub mod open;
mod recent;
pub mod roster;
pub mod seal;
