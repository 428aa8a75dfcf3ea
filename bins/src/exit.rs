//! How a command ends: 0 done, 1 it did not work out, 2 wrong usage.

use std::io::{self, Write as _};
use std::process::ExitCode;

use talkie_pubsub::JoinError;
use talkie_pubsub::settings::ConfigError;

use crate::logs;

/// Why a command ends with something other than 0, or without its last line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It was called wrongly; nothing was started.
    #[error("{0}")]
    Usage(String),
    /// It was called rightly and did not work out.
    #[error("{0}")]
    Failed(String),
    /// It was told to end before it was done (`--count` not reached).
    #[error("interrupted")]
    Unfinished,
    /// It was told to end, or nobody reads its output any more: no failure.
    #[error("ended")]
    Quiet,
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for Failure {
    /// An error of writing the output.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Quiet,
            _ => Self::Failed(format!("cannot write the output: {error}")),
        }
    }
}

/// Tells of a failure in one line and gives the process's exit code.
pub(crate) fn code(ended: Result<(), Failure>) -> ExitCode {
    match ended {
        Ok(()) | Err(Failure::Quiet) => ExitCode::SUCCESS,
        Err(Failure::Unfinished) => ExitCode::FAILURE,
        Err(failure @ Failure::Failed(_)) => {
            say(&failure.to_string());
            ExitCode::FAILURE
        }
        Err(failure @ Failure::Usage(_)) => {
            say(&failure.to_string());
            ExitCode::from(2)
        }
    }
}

/// One line on standard error; where that is closed nobody listens, and that is no reason to fail.
pub(crate) fn say(line: &str) {
    // A line is one line, whatever an error's words hold.
    let line = line.replace(['\n', '\r'], " ");
    let priority = if logs::to_journal() { "<3>" } else { "" };
    let _ = writeln!(io::stderr(), "{priority}talkie: {line}");
}
