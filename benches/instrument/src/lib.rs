//! What measures messaging: one clock, one pacer, one way to count, one report and one picture, so that figures of
//! different systems stand beside each other. Knows nothing of Talkie.
//!
//! ```text
//! clock.rs      nanoseconds that all processes of a host share, and whether two processes share them
//! pacer.rs      when each message is due: an open loop, so a stall is not hidden
//! stamp.rs      what a message carries in its first 24 bytes
//! tally.rs      what a subscriber got: latencies, lost, doubled, reordered
//! latencies.rs  a histogram of nanoseconds
//! last.rs       when the last of all subscribers had each message
//! usage.rs      processor time and memory of a process
//! host.rs       the machine, and what of it spoils a figure
//! report.rs     figures of one or more systems: table, JSON, CSV
//! picture.rs    percentile curves and bars, as SVG and PNG
//! save.rs       all of it into a folder
//! ```
//!
//! A publisher stamps each payload when it is due, a subscriber notes each arrival:
//! ```
//! use talkie_instrument::{Pacer, Rate, Stamp, Tally, now_ns};
//!
//! let mut pacer = Pacer::start(Rate::per_second(1_000)?);
//! let mut tally = Tally::default();
//! for _ in 0..3 {
//!     let turn = pacer.wait(); // sleeps until the next message is due
//!     let mut payload = vec![0; 64];
//!     Stamp::of(&turn).write(&mut payload);
//!     // … publish; and on the other side:
//!     if let Some(stamp) = Stamp::read(&payload) {
//!         tally.note(&stamp, now_ns());
//!     }
//! }
//! let counts = tally.counts(3);
//! assert_eq!((counts.received, counts.lost), (3, 0));
//! # Ok::<(), talkie_instrument::RateError>(())
//! ```

// An instrument reads clocks and paces itself. There is no machine of the protocol in here.
#![allow(clippy::disallowed_methods)]

mod clock;
mod host;
mod last;
mod latencies;
mod pacer;
mod picture;
mod report;
mod save;
mod stamp;
mod tally;
mod usage;

pub use clock::{clock_name, now_ns};
pub use host::{Host, Load};
pub use last::Last;
pub use latencies::{HistogramError, Latencies, QUANTILES};
pub use pacer::{Pacer, Rate, RateError, Turn};
pub use picture::{Bar, BarChart, Curve, Picture, PictureError};
pub use report::{Figure, Outcome, Report, counts, percentiles, shown};
pub use save::{SaveError, Saved, file_name};
pub use stamp::{Kind, STAMP_BYTES, Stamp};
pub use tally::{Counts, Tally};
pub use usage::Usage;
