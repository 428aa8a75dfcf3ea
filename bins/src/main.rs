//! The talkie command.
fn main() {}
