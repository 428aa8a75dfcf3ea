//! The roles of zenoh.

use talkie_peers::role;
use talkie_peers::systems::zenoh::{self, Zenoh};

fn main() {
    role::main::<Zenoh, Zenoh>(zenoh::role);
}
