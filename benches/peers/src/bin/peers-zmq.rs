//! The roles of Zmq.

use talkie_peers::failure::Failure;
use talkie_peers::role;
use talkie_peers::systems::zmq::Zmq;

fn main() {
    role::main::<Zmq, Zmq>(|word, _| Err(Failure::new(format!("no such role: {word}"))));
}
