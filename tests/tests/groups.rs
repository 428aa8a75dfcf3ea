//! Queue groups over real processes: each job is done, once where nothing breaks, and twice only where it is marked.

#![allow(clippy::expect_used, reason = "a test may fail")]

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use talkie_tests::SOON;
use talkie_tests::command::{Talkie, example};
use talkie_tests::mesh::Mesh;
use talkie_tests::process::Process;

fn start(mesh: &Mesh, name: &str, args: &[&str]) -> Process {
    Talkie::program(&example("work_queue"), name)
        .env("TALKIE_SECRET", mesh.secret())
        .env("TALKIE_GROUP", mesh.group().to_string())
        .env("TALKIE_LISTEN", "127.0.0.1:0")
        .env("TALKIE_INTERFACE", "lo")
        .env("TALKIE_NAME", name)
        .args(args)
        .spawn_plain()
}

/// Three workers whose jobs take so many milliseconds.
fn workers(mesh: &Mesh, millis: &str) -> [Process; 3] {
    ["one", "two", "three"].map(|name| start(mesh, name, &["worker", millis]))
}

/// What each line of a worker says that it does, and whether it is marked.
fn jobs(worker: &Process) -> Vec<(u32, bool)> {
    let text = String::from_utf8_lossy(&worker.stdout()).into_owned();
    let jobs = text.lines().filter_map(|line| line.strip_prefix("doing "));
    jobs.map(|job| {
        let (number, marked) = job.split_once(' ').map_or((job, false), |(number, _)| (number, true));
        (number.parse().expect("a number"), marked)
    })
    .collect()
}

/// Waits until a worker does so many jobs.
#[track_caller]
fn does(worker: &Process, count: usize) {
    worker.expect_all(
        "jobs",
        |lines| lines.iter().filter(|line| line.raw.starts_with(b"doing")).count() >= count,
        SOON,
    );
}

/// Waits until it prints this line.
#[track_caller]
fn says(process: &Process, line: &str) {
    process.expect_all(line, |lines| lines.iter().any(|one| one.raw == line.as_bytes()), SOON);
}

/// Each job is done by somebody; who does one again, or anything that somebody else does, is told so. How many were done again.
#[track_caller]
fn account(count: u32, workers: &[&Process]) -> usize {
    let (mut unmarked, mut all) = (BTreeMap::new(), BTreeMap::new());
    for (job, marked) in workers.iter().flat_map(|worker| jobs(worker)) {
        *all.entry(job).or_insert(0_usize) += 1;
        *unmarked.entry(job).or_insert(0_usize) += usize::from(!marked);
    }
    let missing: Vec<_> = (1..=count).filter(|job| !all.contains_key(job)).collect();
    assert!(missing.is_empty(), "nobody did {missing:?}");
    assert!(unmarked.values().all(|times| *times <= 1), "twice and not marked: {unmarked:?}");
    all.values().filter(|times| **times > 1).count()
}

#[track_caller]
fn ends(queue: &Process, workers: &[&Process]) {
    queue.exits(0, SOON);
    for worker in workers {
        worker.exits(0, SOON);
    }
}

#[test]
fn without_faults_each_job_is_done_once_and_by_all_workers() {
    let mesh = Mesh::new();
    let workers = workers(&mesh, "0");
    let queue = start(&mesh, "queue", &["3000", "3"]);
    let all: Vec<_> = workers.iter().collect();
    ends(&queue, &all);
    assert_eq!(account(3_000, &all), 0);
    for worker in &workers {
        let had = jobs(worker);
        assert!(had.len() >= 300, "no fair share: {}", had.len());
        assert!(had.iter().all(|(_, marked)| !marked));
    }
}

#[test]
fn a_killed_worker_takes_no_job_with_it() {
    let mesh = Mesh::new();
    let workers = workers(&mesh, "2");
    let queue = start(&mesh, "queue", &["1000", "3"]);
    does(&workers[0], 5);
    workers[0].kill();
    does(&workers[1], 100);
    workers[1].kill();
    ends(&queue, &[&workers[2]]);
    // What it was doing, and what was under way of what it said.
    let again = account(1_000, &workers.iter().collect::<Vec<_>>());
    assert!(again <= 2 * 9, "{again}");
    assert!(jobs(&workers[2]).iter().any(|(_, marked)| *marked));
}

#[test]
fn a_frozen_worker_is_not_waited_for_and_does_nothing_twice_when_it_is_back() {
    let mesh = Mesh::new();
    let workers = workers(&mesh, "25");
    let queue = start(&mesh, "queue", &["400", "3"]);
    does(&workers[0], 5);
    workers[0].signal(Signal::SIGSTOP);
    says(&queue, "one is lost");
    let had = jobs(&workers[0]).len();
    workers[0].signal(Signal::SIGCONT);
    does(&workers[0], had + 10);
    let all: Vec<_> = workers.iter().collect();
    ends(&queue, &all);
    // Only what it was doing, and had said of what it did: not what waited in it.
    let again = account(400, &all);
    assert!(again <= 3, "{again}");
}

#[test]
fn the_last_worker_is_followed_by_another() {
    let mesh = Mesh::new();
    let first = start(&mesh, "first", &["worker", "2"]);
    let queue = start(&mesh, "queue", &["300", "1"]);
    does(&first, 50);
    first.kill();
    says(&queue, "first is lost");
    let second = start(&mesh, "second", &["worker", "0"]);
    ends(&queue, &[&second]);
    account(300, &[&first, &second]);
}
