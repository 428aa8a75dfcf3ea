//! The `talkie` command: the library's verbs for a terminal or a script.
//!
//! ```text
//! main.rs       process: arguments -> one command -> exit code
//! args.rs       the command line, made of the library's table of settings
//! output.rs     what a command prints: words for people, JSON lines for programs
//! exit.rs       how a command ends
//! guard.rs      what no other process may read
//! stop.rs       the signals and the closed pipe that end one early
//! logs.rs       what is logged, for people and for the journal
//! service.rs    word to a service manager
//! commands/     one file each
//! ```

mod args;
// A command owns its process: it reads the clock, waits and starts tasks. There is no machine in here.
#[allow(clippy::disallowed_methods)]
mod commands;
mod exit;
mod guard;
mod logs;
mod output;
mod service;
#[allow(clippy::disallowed_methods)]
mod stop;

use std::io;
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use exit::Failure;

fn main() -> ExitCode {
    // Before the first look at a secret.
    let closed = guard::close();
    let invocation = match args::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(early) => return early.end(),
    };
    logs::init(invocation.log.as_deref());
    if let Err(error) = closed {
        tracing::warn!("a core dump of this process may show its secret: {error}");
    }
    let ended = room()
        .and_then(|()| tokio::runtime::Builder::new_multi_thread().enable_all().build())
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))
        .and_then(|runtime| {
            let ended = runtime.block_on(commands::run(invocation));
            // A read of standard input may still be under way, and nobody can end that.
            runtime.shutdown_background();
            ended
        });
    exit::code(ended)
}

/// File descriptors that the runtime opens for itself: six, and where it gets a part of them only, tokio panics.
const OPENED: usize = 8;

/// Whether there are as many: without them an error is told, as for everything that is opened later.
fn room() -> io::Result<()> {
    (0..OPENED).map(|_| io::stderr().as_fd().try_clone_to_owned()).collect::<io::Result<Vec<_>>>().map(drop)
}
