//! The roles of Redis.

use talkie_peers::failure::Failure;
use talkie_peers::role;
use talkie_peers::systems::redis::Redis;

fn main() {
    role::main::<Redis, Redis>(|word, _| Err(Failure::new(format!("no such role: {word}"))));
}
