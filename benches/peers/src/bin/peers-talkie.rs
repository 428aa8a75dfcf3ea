//! The roles of Talkie.

use talkie_peers::role;
use talkie_peers::systems::talkie::{self, Talkie};

fn main() {
    role::main::<Talkie, Talkie>(talkie::role);
}
