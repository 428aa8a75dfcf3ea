//! `talkie join`: a node that stays up and tells of peers as they come and go. It is `sub` to nothing.

use super::{Setup, sub};
use crate::args::Wanted;
use crate::exit::Failure;

pub(super) async fn run(setup: Setup) -> Result<(), Failure> {
    sub::run(setup, Wanted { patterns: Vec::new(), count: None, timeout: None }).await
}
