//! Logs, on standard error: with time and level for people and files, with a priority for the journal.

use std::fmt;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

/// Begins to log: what `--log` says, else `RUST_LOG`, else warnings only.
pub(crate) fn init(level: Option<&str>) {
    let from_environment = || std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let wanted = level.map(str::to_owned).or_else(from_environment).unwrap_or_else(|| "warn".to_owned());
    let (filter, bad) = match EnvFilter::try_new(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("warn"), Some(error)),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // It would say that standard error is closed on standard error, and panic.
        .log_internal_errors(false);
    if to_journal() {
        lines.with_ansi(false).event_format(Journal(format().without_time().with_level(false))).init();
    } else {
        let colour = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
        lines.with_ansi(colour).init();
    }
    if let Some(error) = bad {
        tracing::warn!("RUST_LOG={wanted:?} is not a filter ({error}); showing warnings");
    }
}

/// Whether standard error is the stream to the journal that the service manager names, as systemd.exec(5) asks to
/// compare; a service may have sent its errors elsewhere.
pub(crate) fn to_journal() -> bool {
    let Some(named) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(std::fs::File::from);
    let stream = stderr.and_then(|file| file.metadata()).map(|it| format!("{}:{}", it.dev(), it.ino()));
    stream.is_ok_and(|stream| named == *stream)
}

/// A line for the journal, which has a clock of its own: the priority before it, as sd-daemon(3) has it.
struct Journal(Format<Full, ()>);

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// The priority of syslog(3) that a level is.
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}
