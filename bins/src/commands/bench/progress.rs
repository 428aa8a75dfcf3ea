//! The bar on a terminal; nothing where standard error is none.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

/// A bar that fills with the time that it takes.
pub(super) struct Progress {
    bar: ProgressBar,
    ticking: JoinHandle<()>,
}

/// Often enough to be smooth, seldom enough to take nothing from what is measured.
const TICK: Duration = Duration::from_millis(200);

impl Progress {
    /// Something that should take so long.
    pub(super) fn start(expected: Duration) -> Self {
        let bar = ProgressBar::new(u64::try_from(expected.as_millis()).unwrap_or(u64::MAX));
        let style = ProgressStyle::with_template("{msg:28} {bar:40} {percent:>3} %  {elapsed_precise}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let (began, ticker) = (Instant::now(), bar.clone());
        let ticking = tokio::spawn(async move {
            // Hidden where there is no terminal: then nobody needs ticks.
            while !ticker.is_hidden() {
                let passed = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                ticker.set_position(passed.min(ticker.length().unwrap_or_default()));
                tokio::time::sleep(TICK).await;
            }
        });
        Self { bar, ticking }
    }

    /// What is done now.
    pub(super) fn tell(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.ticking.abort();
        self.bar.finish_and_clear();
    }
}
