//! What ends a command early: SIGINT, SIGTERM, a terminal that is closed, or that nobody reads its output any more.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use talkie_pubsub::Bus;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::exit::Failure;
use crate::output::Output;

/// Why to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Signal,
    OutputClosed,
}

/// Tells a command to end. Clones tell the same.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    why: watch::Receiver<Option<Why>>,
    tell: Arc<watch::Sender<Option<Why>>>,
    backstop: Arc<Backstop>,
}

/// What ends the process where the command itself cannot: it hangs in a write that nobody reads.
#[derive(Debug)]
struct Backstop {
    writing: Arc<AtomicBool>,
    /// Whether to end now is to end with exit code 1.
    unfinished: AtomicBool,
    bus: OnceLock<Bus>,
}

/// How long after a signal a write that still waits is given up.
const WRITE_WITHIN: Duration = Duration::from_millis(200);

/// How long after a signal the process ends at the latest: ample for leaving, which takes 5 s at most, and less than
/// the 10 s after which container runtimes kill.
const END_WITHIN: Duration = Duration::from_secs(7);

/// How long a goodbye may take when the command itself is stuck.
const GOODBYE_WITHIN: Duration = Duration::from_millis(500);

impl Stop {
    /// Listens for the signals from now on.
    pub(crate) fn listen(output: &Output) -> Result<Self, Failure> {
        let cannot = |error: io::Error| Failure::Failed(format!("cannot listen for signals: {error}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        let mut hang_up = HangUp::listen().map_err(cannot)?;
        let (tell, why) = watch::channel(None);
        let tell = Arc::new(tell);
        let backstop = Arc::new(Backstop {
            writing: output.writing(),
            unfinished: AtomicBool::new(false),
            bus: OnceLock::new(),
        });
        let stop = Self { why, tell: tell.clone(), backstop: backstop.clone() };
        tokio::spawn(async move {
            let mut signalled = async || {
                tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} () = hang_up.closed(&backstop) => {} }
            };
            signalled().await;
            tell.send_replace(Some(Why::Signal));
            tokio::select! {
                () = signalled() => std::process::exit(1),
                () = backstop.hold() => {}
            }
        });
        Ok(stop)
    }

    /// Also ends when the reader of standard output goes, which a command that prints seldom would not notice.
    pub(crate) fn watch_output(&self) {
        let tell = self.tell.clone();
        // A thread of its own, since this waits for as long as the process lives. Without it the next line would
        // find out, so that it is no error if it cannot be started.
        let _ = std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            let stdout = io::stdout();
            loop {
                // No event is asked for: errors and hang-ups are reported always, and a plain file has neither.
                let mut output = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
                match poll(&mut output, PollTimeout::NONE) {
                    Err(Errno::EINTR) => {}
                    Ok(_) => break tell.send_if_modified(|why| why.replace(Why::OutputClosed).is_none()),
                    Err(_) => break false,
                }
            }
        });
    }

    /// Whom to say goodbye to where the command cannot.
    pub(crate) fn guard(&self, bus: &Bus) {
        let _ = self.backstop.bus.set(bus.clone());
    }

    /// Whether ending now is exit code 1.
    pub(crate) fn unfinished(&self, unfinished: bool) {
        self.backstop.unfinished.store(unfinished, Ordering::Relaxed);
    }

    /// Waits until there is a reason to end; at once if there was one.
    pub(crate) async fn stopped(&mut self) -> Why {
        match self.why.wait_for(Option::is_some).await.map(|why| *why) {
            Ok(Some(why)) => why,
            // The sender is held by `self`, so it cannot be gone.
            _ => std::future::pending().await,
        }
    }

    /// Whether a signal asked it to end.
    pub(crate) fn signalled(&self) -> bool {
        *self.why.borrow() == Some(Why::Signal)
    }

    /// How a command ends that was stopped before its end.
    pub(crate) fn ended(&self, why: Why) -> Failure {
        match why {
            Why::Signal if self.backstop.unfinished.load(Ordering::Relaxed) => Failure::Unfinished,
            Why::Signal | Why::OutputClosed => Failure::Quiet,
        }
    }
}

/// SIGHUP: the terminal is closed, and the command ends as after SIGTERM. A process that has no terminal, such as a
/// service, goes on: there it customarily means to read the settings again, of which there is the secret file.
struct HangUp {
    signal: Option<Signal>,
    terminal: bool,
}

impl HangUp {
    fn listen() -> io::Result<Self> {
        // Who started this with nohup(1) wants it to go on; to listen would undo that.
        let signal = if ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { signal, terminal: File::open("/dev/tty").is_ok() })
    }

    /// Waits until the terminal is closed; forever where there is none.
    async fn closed(&mut self, backstop: &Backstop) {
        while let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            if self.terminal {
                return;
            }
            if backstop.bus.get().is_some_and(|bus| bus.node().reread_secrets()) {
                tracing::info!("SIGHUP: reads the secret file again; other settings are read at the start");
            } else {
                tracing::info!("SIGHUP changes nothing: settings are read at the start");
            }
        }
        std::future::pending().await
    }
}

/// Whether this process was started with SIGHUP ignored, as the kernel tells in proc(5); true where it does not tell.
fn ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal N is bit N - 1, and SIGHUP is 1 everywhere.
    mask.is_none_or(|mask| mask & 1 == 1)
}

impl Backstop {
    /// Waits as long as the command deserves, then ends the process.
    async fn hold(&self) {
        tokio::time::sleep(WRITE_WITHIN).await;
        if !self.writing.load(Ordering::Relaxed) {
            tokio::time::sleep(END_WITHIN - WRITE_WITHIN).await;
        }
        if let Some(bus) = self.bus.get() {
            let _ = tokio::time::timeout(GOODBYE_WITHIN, bus.node().leave()).await;
        }
        std::process::exit(i32::from(self.unfinished.load(Ordering::Relaxed)));
    }
}
