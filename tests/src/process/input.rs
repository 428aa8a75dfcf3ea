//! What goes into a process, and what it may no longer put out.

use std::{io::Write, process::ChildStdin};

use super::Process;

impl Process {
    /// The process's standard input, which then is the caller's.
    ///
    /// # Panics
    /// If it was taken before.
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("standard input is taken once")
    }

    /// Writes a line to standard input.
    ///
    /// # Panics
    /// If standard input was taken, or the process has closed it.
    #[track_caller]
    pub fn feed(&mut self, line: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("standard input is still here");
        let line = [line.as_ref(), b"\n"].concat();
        if let Err(error) = stdin.write_all(&line) {
            panic!("standard input: {error}\n{}", self.story());
        }
    }

    /// Ends standard input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Stops reading standard output: the next line that the process writes finds a closed pipe.
    pub fn refuse_output(&self) {
        self.shared.lock().stdout_refused = true;
    }
}
