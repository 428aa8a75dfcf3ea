//! The roles of Nats.

use talkie_peers::failure::Failure;
use talkie_peers::role;
use talkie_peers::systems::nats::Nats;

fn main() {
    role::main::<Nats, Nats>(|word, _| Err(Failure::new(format!("no such role: {word}"))));
}
