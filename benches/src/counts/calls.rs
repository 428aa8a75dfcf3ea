//! System calls of a publisher's process and of a subscriber's.
//!
//! One of the two runs under `strace -f -c`, the other undisturbed. What a process calls from its start until it is warm is
//! counted in a run of its own and taken off. `strace` holds the process up at each call, so at full speed more messages
//! go in one call than without it: that figure is a lower bound.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::mesh::{Link, Mesh, PAYLOAD};

/// Messages that are counted at a pace.
const PACED: u64 = 2_000;
/// Messages that are counted at full speed.
const FULL: u64 = 400_000;
/// The publisher's own sleep between messages; Talkie and its runtime wait otherwise.
const PACING: &str = "clock_nanosleep";

/// How often each system call was made.
type Calls = BTreeMap<String, u64>;

pub(crate) fn print() {
    println!();
    // A system may have it and forbid it.
    let mut probe = Command::new("strace");
    probe.args(["-f", "-c", "-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        println!("System calls: not counted, for strace is not here or may not trace");
        return;
    }
    println!("System calls, {PAYLOAD} B, two processes, one of them under strace -f -c");
    println!("{:<5} {:<12} {:>11} {:>12}", "link", "pace", "per publish", "per delivery");
    for link in Link::BOTH {
        let (publisher, subscriber) = (Side::Publisher.measure(link), Side::Subscriber.measure(link));
        for (pace, publish, deliver) in [
            ("1,000/s", &publisher.paced, &subscriber.paced),
            ("full speed", &publisher.full, &subscriber.full),
        ] {
            println!("{:<5} {pace:<12} {:>11.4} {:>12.4}", link.name(), publish.sum(), deliver.sum());
            println!("      publish:  {}", publish.shown());
            println!("      delivery: {}", deliver.shown());
        }
    }
}

/// Whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Publisher,
    Subscriber,
}

/// Calls per message, most often first.
struct PerMessage(Vec<(String, f64)>);

struct Measured {
    paced: PerMessage,
    full: PerMessage,
}

impl Side {
    fn measure(self, link: Link) -> Measured {
        let warm = self.trace(link, 0, 0);
        Measured {
            paced: PerMessage::of(&self.trace(link, PACED, 0), &warm, PACED),
            full: PerMessage::of(&self.trace(link, 0, FULL), &warm, FULL),
        }
    }

    /// Runs a mesh of two to its end: what this side called.
    fn trace(self, link: Link, paced: u64, full: u64) -> Calls {
        let mesh = Mesh::new(link);
        let summary = env::temp_dir().join(format!("talkie-counts-{}", std::process::id()));
        let start = |side: Self| {
            let traced = (side == self).then_some(summary.as_path());
            Process::start(&mesh, traced, side.role(), [paced, full])
        };
        let both = [start(Self::Subscriber), start(Self::Publisher)];
        both.into_iter().for_each(Process::succeed);
        let text = fs::read_to_string(&summary).expect("strace has written it");
        let _ = fs::remove_file(&summary);
        let calls = read(&text);
        assert!(!calls.is_empty(), "no summary of strace: {text}");
        calls
    }

    const fn role(self) -> &'static str {
        match self {
            Self::Publisher => "pub",
            Self::Subscriber => "sub",
        }
    }
}

impl PerMessage {
    fn of(all: &Calls, warm: &Calls, messages: u64) -> Self {
        let names = all.keys().filter(|name| *name != PACING);
        let mut each: Vec<(String, f64)> = names
            .map(|name| {
                let before = warm.get(name).copied().unwrap_or(0) as f64;
                (name.clone(), (all[name] as f64 - before) / messages as f64)
            })
            .collect();
        each.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        Self(each)
    }

    fn sum(&self) -> f64 {
        self.0.iter().map(|(_, each)| each).sum()
    }

    fn shown(&self) -> String {
        let most: Vec<String> =
            self.0.iter().take(4).map(|(name, each)| format!("{name} {each:.4}")).collect();
        most.join(", ")
    }
}

/// Reads the table of `strace -c`: `% time, seconds, usecs/call, calls, [errors,] syscall`.
fn read(summary: &str) -> Calls {
    let rows = summary.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let calls = columns.get(3)?.parse().ok()?;
        let name = *columns.last()?;
        (name != "total").then(|| (name.to_owned(), calls))
    });
    rows.collect()
}

/// One of the two, killed when dropped.
struct Process(Child);

impl Process {
    fn start(mesh: &Mesh, traced: Option<&Path>, role: &str, messages: [u64; 2]) -> Self {
        let own = env::current_exe().expect("it runs");
        let mut command = match traced {
            None => Command::new(own),
            Some(summary) => {
                let mut strace = Command::new("strace");
                strace.args(["-f", "-c", "-o"]).arg(summary).arg(own);
                strace
            }
        };
        let child = command
            .args(["role", role])
            .args(messages.map(|count| count.to_string()))
            .env_remove("TALKIE_SECRET_FILE")
            .env_remove("TALKIE_PARTNERS")
            .env("TALKIE_SECRET", mesh.secret.to_text().as_str())
            .env("TALKIE_INTERFACE", "lo")
            .env("TALKIE_LISTEN", "127.0.0.1:0")
            .env("TALKIE_GROUP", mesh.group.to_string())
            .env("TALKIE_UNIX", mesh.link.unix())
            .stdin(Stdio::null())
            .spawn()
            .expect("it can be started");
        Self(child)
    }

    fn succeed(mut self) {
        let status = self.0.wait().expect("it was started");
        assert!(status.success(), "a process failed: {status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_with_errors_and_without() {
        let table = "% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 61.54    0.000040           4        10         3 futex
 38.46    0.000025           5         5           read
------ ----------- ----------- --------- --------- ----------------
100.00    0.000065           4        15         3 total
";
        assert_eq!(read(table), Calls::from([("futex".to_owned(), 10), ("read".to_owned(), 5)]));
    }

    #[test]
    fn what_warming_up_took_and_the_pacing_are_no_part_of_a_message() {
        let calls = |futex, slept| Calls::from([("futex".to_owned(), futex), (PACING.to_owned(), slept)]);
        let each = PerMessage::of(&calls(30, 10), &calls(10, 0), 10);
        assert_eq!(each.0, [("futex".to_owned(), 2.0)]);
    }
}
