//! `talkie completions`: what makes a shell complete this command.

use std::io::Write as _;

use clap::{Arg, Command};
use clap_complete::{Shell, generate};

use crate::args;
use crate::exit::Failure;

pub(super) fn run(shell: Shell) -> Result<(), Failure> {
    // In memory first: the generators panic where they cannot write.
    let mut script = Vec::new();
    generate(shell, &mut with_values(args::shown()), "talkie", &mut script);
    let mut stdout = std::io::stdout().lock();
    Ok(stdout.write_all(&script).and_then(|()| stdout.flush())?)
}

/// Values that a shell can offer and that clap must not check: the settings have words of their own for a bad value.
fn with_values(command: Command) -> Command {
    let offer = |arg: Arg| match arg.get_id().as_str() {
        "--multicast" | "--unix" => arg.value_parser(["on", "off"]),
        _ => arg,
    };
    command.mut_args(offer).mut_subcommands(with_values)
}
