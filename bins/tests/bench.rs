//! `talkie bench` over real processes, with durations that are too short to say anything of speed.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test of real processes says so by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use common::{Mesh, Running, SOON, TempDir, clean, run, skipped, talkie};
use nix::sys::signal::Signal;
use serde_json::Value;
use talkie_instrument::Latencies;

/// Runs a measurement that saves into the folder; its lines of JSON.
#[track_caller]
fn measured(folder: &Path, args: &[&str]) -> Vec<Value> {
    let mut command = talkie(["bench"]);
    command.args(args).args(["--json", "--save"]).arg(folder);
    lines(&mut command)
}

#[track_caller]
fn lines(command: &mut Command) -> Vec<Value> {
    let (code, stdout, stderr) = run(command);
    assert_eq!(code, 0, "{stderr}");
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.is_empty());
    for line in &lines {
        assert_eq!((&line["event"], &line["system"]), (&"bench".into(), &"talkie".into()), "{line}");
        assert!(line["host"]["cores"].as_u64() >= Some(1) && line["warnings"].is_array(), "{line}");
    }
    lines
}

/// Each of these is a number above 0.
#[track_caller]
fn positive(line: &Value, keys: &[&str]) {
    for key in keys {
        assert!(line[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {line}");
    }
}

/// The files of a workload are what their names say, and these histograms are among them.
#[track_caller]
fn files(folder: &Path, workload: &str, histograms: &[&str], lines: &[Value]) {
    let read = |name: &str| fs::read(folder.join(format!("{workload}{name}"))).expect(name);
    let text = |name: &str| String::from_utf8(read(name)).unwrap();
    let json: Value = serde_json::from_str(&text(".json")).unwrap();
    assert_eq!(json["results"].as_array().unwrap(), lines);
    let csv = text(".csv");
    let mut csv = csv::Reader::from_reader(csv.as_bytes());
    let heads: BTreeSet<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), lines.len());
    let keys = lines[0].as_object().unwrap().keys().map(String::as_str);
    for key in keys.filter(|key| !["event", "warnings", "host"].contains(key)) {
        assert!(heads.contains(key), "{key}: {heads:?}");
    }
    roxmltree::Document::parse(&text(".svg")).unwrap();
    let png = read(".png");
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    assert!(frame.width > 1_000 && frame.height > 200);
    for name in histograms {
        let all = Latencies::from_v2(&read(&format!("-{name}.hdr"))).unwrap();
        assert!(!all.is_empty(), "{name}");
    }
}

/// p50 to max, none above the next.
#[track_caller]
fn percentiles(line: &Value, before: &str) {
    let keys = ["p50_us", "p90_us", "p99_us", "p99_9_us", "max_us"].map(|key| format!("{before}{key}"));
    positive(line, &keys.each_ref().map(String::as_str));
    let values: Vec<f64> = keys.iter().map(|key| line[key].as_f64().unwrap()).collect();
    assert!(values.is_sorted(), "{line}");
}

#[test]
fn fanout_tells_every_percentile_and_counts_what_came() {
    let folder = TempDir::new();
    let args = ["fanout", "--subscribers", "2", "--rate", "200", "--seconds", "0.25", "--rounds", "2"];
    let lines = measured(folder.path(), &args);
    let rounds: Vec<&Value> = lines.iter().map(|line| &line["round"]).collect();
    assert_eq!(rounds, [&Value::from(1), &2.into(), &"all".into()]);
    for (line, delivered) in lines.iter().zip([100, 100, 200]) {
        percentiles(line, "");
        percentiles(line, "last_");
        for (key, value) in [("delivered", delivered), ("lost", 0), ("doubled", 0), ("reordered", 0)] {
            assert_eq!(line[key], value, "{key}: {line}");
        }
        assert_eq!(
            (&line["subscribers"], &line["bytes"], &line["clock"]),
            (&2.into(), &64.into(), &"one way".into())
        );
        positive(line, &["sent_p50_us", "call_p50_us", "late_p99_us", "cpu_s_per_million"]);
        positive(line, &["publisher_resident_mib", "subscriber_resident_mib"]);
        assert!(line["last_p50_us"].as_f64() >= line["p50_us"].as_f64(), "{line}");
        let rate = line["rate_reached"].as_f64().unwrap();
        assert!((100.0..=210.0).contains(&rate), "{line}");
    }
    files(folder.path(), "fanout", &["64-every-delivery", "64-last-subscriber"], &lines);
    let all = fs::read(folder.path().join("fanout-64-every-delivery.hdr")).unwrap();
    assert_eq!(Latencies::from_v2(&all).unwrap().len(), 200);
}

#[test]
fn throughput_loses_nothing_at_any_size() {
    let folder = TempDir::new();
    let args = ["throughput", "--subscribers", "2", "--size", "64,65536", "--seconds", "0.2"];
    let lines = measured(folder.path(), &args);
    assert_eq!((&lines[0]["bytes"], &lines[1]["bytes"], lines.len()), (&64.into(), &65536.into(), 2));
    for line in &lines {
        positive(line, &["published", "messages_per_s", "slowest_messages_per_s", "mib_per_s"]);
        positive(line, &["cpu_s_per_million", "subscriber_peak_mib"]);
        let delivered = line["published"].as_u64().unwrap() * 2;
        assert_eq!(
            (&line["delivered"], &line["lost"], &line["doubled"]),
            (&delivered.into(), &0.into(), &0.into())
        );
    }
    files(folder.path(), "throughput", &[], &lines);
}

#[test]
fn local_tells_how_long_until_all_have_it() {
    let folder = TempDir::new();
    let lines = measured(folder.path(), &["local", "--subscribers", "1,50", "--seconds", "0.1"]);
    assert_eq!((&lines[0]["subscribers"], &lines[1]["subscribers"], lines.len()), (&1.into(), &50.into(), 2));
    for line in &lines {
        percentiles(line, "");
        positive(line, &["messages", "ns_per_delivery"]);
    }
    files(folder.path(), "local", &["1-subscribers", "50-subscribers"], &lines);
}

#[test]
fn discovery_tells_when_all_are_linked_and_talked() {
    let folder = TempDir::new();
    let lines = measured(folder.path(), &["discovery", "--nodes", "3", "--rounds", "1"]);
    assert_eq!((&lines[0]["nodes"], &lines[1]["nodes"], lines.len()), (&2.into(), &3.into(), 2));
    lines.iter().for_each(|line| positive(line, &["linked_median_ms", "talked_min_ms", "talked_max_ms"]));
    files(folder.path(), "discovery", &[], &lines);
}

#[test]
fn detect_tells_of_the_killed_soon_and_of_the_frozen_after_its_silence() {
    let folder = TempDir::new();
    let lines = measured(folder.path(), &["detect", "--rounds", "1"]);
    assert_eq!((&lines[0]["how"], &lines[1]["how"], lines.len()), (&"killed".into(), &"frozen".into(), 2));
    let told = |line: &Value| line["told_median_ms"].as_f64().unwrap();
    assert!(told(&lines[0]) < 1_500.0 && told(&lines[1]) > 2_000.0, "{lines:?}");
    files(folder.path(), "detect", &[], &lines);
}

#[test]
fn for_people_there_is_a_table_and_for_spreadsheets_csv() {
    let folder = TempDir::new();
    let args = ["bench", "local", "--subscribers", "2", "--seconds", "0.05"];
    let (code, stdout, _) = run(talkie(args).arg("--save").arg(folder.path().join("deep/down")));
    assert_eq!(code, 0);
    for part in ["until all have a message", "p99.9, µs", "per delivery, ns", "saved in ", "local.png"] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    assert!(folder.path().join("deep/down/local.svg").exists());
    let (code, stdout, _) = run(talkie(args).arg("--csv").arg("--no-save").current_dir(folder.path()));
    let mut csv = csv::Reader::from_reader(stdout.as_bytes());
    assert_eq!((code, csv.records().map(Result::unwrap).count()), (0, 1), "{stdout}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only what was saved before");
}

#[test]
fn wrong_usage_is_one_line_and_exit_2() {
    let wrong: [(&[&str], &[&str]); 14] = [
        (&["fnout"], &["fnout", "fanout"]),
        (&["fanout", "--rate", "0"], &["--rate", "0"]),
        (&["fanout", "--size", "23"], &["--size", "23", "24"]),
        (&["fanout", "--size", "64,x"], &["--size", "64,x"]),
        (&["fanout", "--seconds", "0"], &["--seconds"]),
        (&["fanout", "--rate", "1000000", "--seconds", "3600"], &["--rate", "--seconds"]),
        (&["fanout", "--rate", "1", "--seconds", "0.5"], &["--rate", "--seconds"]),
        (&["fanout", "--subscribers", "257"], &["--subscribers", "257"]),
        (&["fanout", "--bus", "a"], &["--bus", "--across"]),
        (&["fanout", "--round-trip"], &["--across"]),
        (&["fanout", "--json", "--csv"], &["--json", "--csv"]),
        (&["fanout", "--save", "a", "--no-save"], &["--save", "--no-save"]),
        (&["discovery", "--nodes", "1"], &["--nodes", "1"]),
        (&["detect", "--rounds", "0"], &["--rounds", "0"]),
    ];
    for (args, words) in wrong {
        let (code, stdout, stderr) = run(talkie(["bench"]).args(args));
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (2, "", 1), "{args:?}: {stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{args:?}: {stderr}");
    }
    let (code, _, stderr) = run(&mut talkie(["--bus", "a", "bench", "throughput"]));
    assert!(code == 2 && stderr.contains("--bus") && stderr.contains("--across"), "{stderr}");
    let (code, _, stderr) = run(&mut talkie(["--json", "bench", "fanout", "--csv"]));
    assert!(code == 2 && stderr.contains("--csv"), "{stderr}");
    let (code, _, stderr) = run(&mut talkie(["bench", "fanout", "--across"]));
    assert!(code == 2 && stderr.contains("TALKIE_SECRET"), "{stderr}");
    let (code, _, stderr) = run(&mut talkie(["bench", "detect", "--save", "/dev/null/x"]));
    assert!(code == 1 && stderr.contains("/dev/null/x"), "{stderr}");
}

/// The processes whose parent this is.
fn children(pid: i32) -> Vec<i32> {
    let stat = |entry: fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut words = rest.split(' ');
        let (state, parent) = (words.next()?.to_owned(), words.next()?.parse::<i32>().ok()?);
        Some((pid, state, parent))
    };
    let all = fs::read_dir("/proc").unwrap().map_while(Result::ok).filter_map(stat);
    all.filter(|(_, state, parent)| *parent == pid && state != "Z").map(|(child, ..)| child).collect()
}

fn status(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default()
}

fn is_there(pid: i32) -> bool {
    let status = status(pid);
    !status.is_empty() && !status.contains("State:\tZ")
}

/// Waits until a condition holds; how the kernel tells of processes cannot be awaited.
#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn no_process_survives_the_one_who_measures() {
    // An interrupt, and a death that leaves it no time to clean up.
    for (signal, code) in [(Signal::SIGINT, Some(1)), (Signal::SIGTERM, Some(1)), (Signal::SIGKILL, None)] {
        let args = ["bench", "fanout", "--subscribers", "2", "--seconds", "60", "--no-save"];
        let mut bench = Running::start(&mut talkie(args));
        let pid = bench.pid().as_raw();
        until("three processes", || children(pid).len() == 3);
        let started = children(pid);
        bench.signal(signal);
        let (ended, said) = bench.ends();
        assert_eq!((ended, said.as_str()), (code, ""), "{signal}");
        until("all are gone", || !started.iter().copied().any(is_there));
    }
}

#[test]
fn a_frozen_process_does_not_survive_it_either() {
    for (signal, code) in [(Signal::SIGINT, Some(1)), (Signal::SIGKILL, None)] {
        let args = ["bench", "detect", "--rounds", "1", "--no-save"];
        let mut bench = Running::start(&mut talkie(args));
        let pid = bench.pid().as_raw();
        let frozen = || children(pid).into_iter().any(|child| status(child).contains("State:\tT"));
        until("one is frozen", frozen);
        let started = children(pid);
        bench.signal(signal);
        assert_eq!(bench.ends().0, code, "{signal}");
        until("all are gone", || !started.iter().copied().any(is_there));
    }
}

#[test]
fn a_closed_output_ends_it_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut bench = talkie(["bench", "fanout", "--subscribers", "1", "--seconds", "60", "--no-save"]);
    let mut bench = bench.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(reader);
    // The command holds the other end, too, until it is gone.
    let code = bench.wait().unwrap().code();
    assert_eq!(code, Some(0));
}

#[test]
fn across_servers_are_found_driven_and_measured_both_ways() {
    let (mesh, folder) = (Mesh::new(), TempDir::new());
    let serve = || Running::start(&mut mesh.talkie(["bench", "serve", "--json"]));
    let mut servers = [serve(), serve()];
    for server in &servers {
        assert!(server.says("\"joined\"").contains("\"bus\":\"talkie-bench\""));
    }
    let across = |args: &[&str]| {
        let mut command = mesh.talkie(["bench", "fanout", "--across", "--subscribers", "2"]);
        command
            .args(["--rate", "200", "--seconds", "0.25", "--json", "--save"])
            .arg(folder.path())
            .args(args);
        lines(&mut command)
    };
    // One host: one clock.
    let mut measured = vec![(across(&[]), "one way"), (across(&["--round-trip"]), "round trip")];
    // Another time namespace has another clock, as another host has, and that is found out.
    let apart = ["--time", "--monotonic", "100000", "--fork"];
    if clean(Command::new("unshare")).args(apart).arg("true").status().is_ok_and(|status| status.success()) {
        let mut command = Command::new("unshare");
        command.args(apart).arg(env!("CARGO_BIN_EXE_talkie"));
        let mut command = clean(command);
        command.env("TALKIE_INTERFACE", "127.0.0.1");
        mesh.settle(&mut command);
        command.args(["bench", "fanout", "--across", "--subscribers", "2", "--rate", "200"]);
        measured.push((lines(command.args(["--seconds", "0.25", "--json", "--no-save"])), "round trip"));
    } else {
        skipped("no time namespace can be made here");
    }
    for (lines, clock) in &measured {
        let line = &lines[0];
        assert_eq!((&line["clock"], &line["subscribers"]), (&(*clock).into(), &2.into()));
        assert_eq!(
            (&line["delivered"], &line["lost"], &line["doubled"]),
            (&100.into(), &0.into(), &0.into())
        );
        percentiles(line, "");
        percentiles(line, "last_");
        assert!(line["last_p50_us"].as_f64() >= line["p50_us"].as_f64(), "{line}");
    }
    files(folder.path(), "fanout", &["64-every-delivery"], &measured[1].0);
    let mut command = mesh.talkie(["bench", "throughput", "--across", "--subscribers", "2", "--size", "64"]);
    let lines = lines(command.args(["--seconds", "0.1", "--json", "--no-save"]));
    assert_eq!(lines[0]["lost"], 0);
    for server in &mut servers {
        server.signal(Signal::SIGINT);
        assert_eq!(server.ends(), (Some(0), String::new()));
    }
}

#[test]
fn without_servers_it_says_what_is_missing() {
    let mesh = Mesh::new();
    let (code, stdout, stderr) = run(&mut mesh.talkie(["bench", "fanout", "--across", "--no-save"]));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("no server") && stderr.contains("talkie bench serve"), "{stderr}");
}

#[test]
fn the_manuals_example_is_a_line_as_it_is_printed() {
    let page = run(&mut talkie(["man"])).1.replace("\\-", "-").replace("\\&", "");
    let example = page.lines().find(|line| line.contains("\"event\":\"bench\"")).unwrap();
    let example: Value = serde_json::from_str(example).unwrap();
    let lines = lines(&mut talkie(["bench", "detect", "--rounds", "1", "--json", "--no-save"]));
    let keys = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((keys(&example), keys(&example["host"])), (keys(&lines[0]), keys(&lines[0]["host"])));
}
