//! The table, as Markdown: a part for each case, a row for each system.

use std::fmt::Write;

use talkie_instrument::Host;

use crate::driver::plan::Case;
use crate::report::targets::{Target, targets};
use crate::report::{Medians, Row, Spread};

/// A column: its heading, and the figure in it.
type Column = (&'static str, &'static str);

const FANOUT: &[Column] = &[
    ("last p50 µs", "last p50"),
    ("last p99 µs", "last p99"),
    ("p50 µs", "p50"),
    ("p99 µs", "p99"),
    ("p99.9 µs", "p99.9"),
    ("call p50 µs", "call p50"),
    ("reached /s", "rate"),
    ("CPU s per M", "cpu s per million"),
    ("lost", "lost"),
    ("doubled", "doubled"),
    ("reordered", "reordered"),
];
const THROUGHPUT: &[Column] = &[
    ("messages/s", "messages/s"),
    ("MiB/s", "MiB/s"),
    ("lost %", "lost %"),
    ("CPU s per M", "cpu s per million"),
    ("doubled", "doubled"),
    ("reordered", "reordered"),
];
const LOCAL: &[Column] = &[("ns per delivery", "ns per delivery"), ("µs until all", "us until all")];
const START: &[Column] = &[("ms", "ms"), ("longest ms", "ms max")];
const MEMORY: &[Column] = &[("resident MiB", "resident MiB"), ("anonymous MiB", "anonymous MiB")];

/// The columns of a case, and what a row is compared with: the first column, beside that system.
fn layout(case: Case) -> (&'static [Column], &'static str) {
    match case {
        Case::Fanout { .. } => (FANOUT, "tcp"),
        Case::Throughput { .. } => (THROUGHPUT, "tcp"),
        Case::Local { .. } => (LOCAL, "tokio-mpsc"),
        Case::Start { .. } => (START, "zenoh"),
        Case::Memory { .. } => (MEMORY, "zenoh"),
    }
}

/// All of it.
pub fn write(
    medians: &Medians,
    host: &Host,
    warnings: &[String],
    versions: &[String],
    rounds: usize,
) -> String {
    let mut out = String::from("# Talkie, plain loops and peers: the same workloads\n\n");
    let s = if rounds == 1 { "" } else { "s" };
    // Writing into a text cannot fail.
    let _ = writeln!(out, "Medians of {rounds} interleaved round{s} (least to greatest). {}.", host.words());
    let _ = writeln!(out, "Versions: {}.", versions.join(", "));
    for warning in warnings {
        let _ = writeln!(out, "- {warning}");
    }
    write_targets(&mut out, &targets(medians));
    for (case, rows) in &medians.0 {
        write_case(&mut out, *case, rows);
    }
    out
}

fn write_targets(out: &mut String, targets: &[Target]) {
    if targets.is_empty() {
        return;
    }
    out.push_str("\n## Targets\n\n| target | measured | to reach | |\n|---|---|---|---|\n");
    for target in targets {
        let verdict = if target.met() { "met" } else { "**missed**" };
        let _ =
            writeln!(out, "| {} | {} | {} | {verdict} |", target.what, number(target.measured), target.limit);
    }
}

fn write_case(out: &mut String, case: Case, rows: &[Row]) {
    let (columns, base) = layout(case);
    let _ = writeln!(out, "\n## {}\n", case.title());
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let first = columns.first().map_or("", |(_, figure)| figure);
    let _ = writeln!(out, "| system | × {base} | {} |", heads.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(columns.len() + 1));
    let of = |row: &Row| row.figures.get(first).map(|spread| spread.median);
    let base = rows.iter().find(|row| row.system == base).and_then(of);
    for row in rows {
        if row.figures.is_empty() {
            let why = row.failures.first().map_or("", String::as_str).replace('|', "/").replace('\n', " ");
            let _ = writeln!(out, "| {} | | failed: {why} |{}", row.system, " |".repeat(columns.len() - 1));
            continue;
        }
        let ratio = match (of(row), base) {
            (Some(own), Some(base)) if base > 0.0 => format!("{:.2}", own / base),
            _ => String::new(),
        };
        let cells: Vec<String> = columns
            .iter()
            .map(|(_, figure)| row.figures.get(*figure).map_or_else(String::new, spread))
            .collect();
        let failures = match row.failures.len() {
            0 => String::new(),
            failed => format!(" (failed in {failed} of the rounds)"),
        };
        let _ = writeln!(out, "| {}{failures} | {ratio} | {} |", row.system, cells.join(" | "));
    }
}

fn spread(spread: &Spread) -> String {
    if spread.min == spread.max {
        return number(spread.median);
    }
    format!("{} ({}–{})", number(spread.median), number(spread.min), number(spread.max))
}

/// Three digits that count, or all of a whole number, with commas between thousands.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, part) =
        text.split_once('.').map_or((text.as_str(), None), |(whole, part)| (whole, Some(part)));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && digit != '-' && (whole.len() - at).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(part) = part {
        out.push('.');
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_legible() {
        let shown = [0.0, 0.123, 9.87, 12.34, 123.4, 1_234.5, 1_234_567.0, -123.0].map(number);
        assert_eq!(shown, ["0", "0.12", "9.87", "12.3", "123", "1,234", "1,234,567", "-123"]);
    }

    #[test]
    fn a_failed_system_is_shown() {
        let rows = [Row { system: "zmq".to_owned(), failures: vec!["a | b".to_owned()], ..Row::default() }];
        let mut out = String::new();
        write_case(&mut out, Case::Start { processes: 2 }, &rows);
        assert!(out.ends_with("| zmq | | failed: a / b | |\n"), "{out}");
    }
}
