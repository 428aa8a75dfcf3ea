//! `talkie keygen`: a new random secret.

use talkie_pubsub::Secret;

use crate::exit::Failure;
use crate::output::{Event, Output};

pub(super) fn run(mut output: Output) -> Result<(), Failure> {
    let secret = Secret::generate().to_text();
    Ok(output.print_now(&Event::Secret { secret: &secret })?)
}
