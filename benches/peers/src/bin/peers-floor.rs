//! The roles of the plain loops, and of tokio's channels.

use talkie_peers::role;
use talkie_peers::systems::{floor::Floor, in_process};

fn main() {
    role::main::<Floor, Floor>(in_process::role);
}
