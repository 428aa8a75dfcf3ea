//! A mesh changes its secret while messages flow: FAULTS, section 2 rows 21 and 30, section 5 row 21.
#![allow(clippy::disallowed_methods, reason = "promised delays are measured in real time")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use talkie_tests::{
    SOON,
    command::Talkie,
    feeder::Feeder,
    figures::Figure,
    ledger::Ledger,
    mesh::{Member, Mesh, keygen},
    process::Process,
    temp::TempFile,
};

/// By how much a message may be later while the secret changes than before.
const ADDED: Duration = Duration::from_millis(50);

/// What a debug build on a busy machine may add to that, where sixteen processes share two cores.
const BUSY: Duration = Duration::from_secs(2);

/// How soon a node that holds only the removed secret is out.
const OUT: Duration = Duration::from_secs(3);

/// Nodes that subscribe, and nodes that publish half of the thousand messages a second each.
const SUBSCRIBERS: usize = 6;
const PUBLISHERS: usize = 2;
const EACH: u32 = 500;

/// How long messages flow at each step, at least.
const STEP: Duration = Duration::from_secs(2);

/// What a node says each time.
const CHANGED: &str = "the secrets have changed";
const KEPT: &str = "stays in force";

/// A node's own file.
fn file(secrets: &[&str]) -> TempFile {
    TempFile::new(&lines(secrets))
}

fn lines(secrets: &[&str]) -> String {
    secrets.iter().map(|secret| format!("{secret}\n")).collect()
}

fn command(mesh: &Mesh, command: &str, name: &str, file: &Path) -> Talkie {
    let command = mesh.talkie(command).without_env("TALKIE_SECRET").name(name);
    command.env("TALKIE_SECRET_FILE", file).env("RUST_LOG", "info")
}

/// Waits until the process has said this so often.
#[track_caller]
fn said(process: &Process, text: &str, times: usize) -> Instant {
    process.expect_logs(text, times, SOON);
    Instant::now()
}

/// A publisher of running numbers that knows when each was written to it.
struct Source {
    process: Process,
    id: String,
    feeder: Feeder,
    fed: Arc<Mutex<Vec<Instant>>>,
}

impl Source {
    fn start(mesh: &Mesh, name: &str, file: &Path, subs: &[Member]) -> Self {
        let wanted = subs.len().to_string();
        let args = ["t", "-", "--timeout", "20", "--subscribers", &wanted];
        let mut process = command(mesh, "pub", name, file).args(args).spawn();
        let fed = Arc::new(Mutex::new(Vec::new()));
        let times = Arc::clone(&fed);
        let feeder = Feeder::start(process.take_stdin(), EACH, move |number| {
            times.lock().unwrap().push(Instant::now());
            number.to_string()
        });
        let up = subs[0].expect("peer_up", |line| line["name"] == name, SOON);
        let id = up["node"].as_str().unwrap().to_owned();
        for sub in subs {
            let is_it = |line: &serde_json::Value| line["node"] == *id && line["payload"] == "250";
            sub.expect("message", is_it, SOON);
        }
        Self { process, id, feeder, fed }
    }
}

/// Who published, and when each of its messages was written to it.
type Fed = (String, Arc<Mutex<Vec<Instant>>>);

/// How late each message was of those that were written in this time: the longest, and how many.
fn latest(subs: &[Member], sources: &[Fed], from: Instant, to: Instant) -> (Duration, usize) {
    let (mut longest, mut count) = (Duration::ZERO, 0);
    for (id, fed) in sources {
        let fed = fed.lock().unwrap();
        for sub in subs {
            for line in sub.lines().iter().filter(|line| line.is("message")) {
                let json = line.json.as_ref().unwrap();
                if json["node"] != **id {
                    continue;
                }
                let number: usize = json["payload"].as_str().unwrap().parse().unwrap();
                let at = fed[number];
                if (from..to).contains(&at) {
                    longest = longest.max(line.at.saturating_duration_since(at));
                    count += 1;
                }
            }
        }
    }
    (longest, count)
}

/// For this long messages keep coming in.
fn flow(sub: &Member) {
    let more = STEP.as_secs() as usize * EACH as usize * PUBLISHERS;
    sub.expect_count("message", sub.count("message") + more, STEP + SOON);
}

#[test]
fn a_change_under_load_loses_nothing_and_puts_the_old_secret_out() {
    let mesh = Mesh::new();
    let (old, new) = (mesh.secret().to_owned(), keygen());
    let files: Vec<_> = (0..SUBSCRIBERS + PUBLISHERS).map(|_| file(&[&old])).collect();
    let start =
        |name: String, file: &TempFile| Member::start(command(&mesh, "sub", &name, file.path()).arg("t"));
    let subs: Vec<_> =
        files.iter().take(SUBSCRIBERS).enumerate().map(|(n, file)| start(format!("sub-{n}"), file)).collect();
    // One that nobody tells of the change.
    let left_out = file(&[&old]);
    let outdated = Member::start(command(&mesh, "join", "outdated", left_out.path()));
    let sources: Vec<_> = (0..PUBLISHERS)
        .map(|n| Source::start(&mesh, &format!("source-{n}"), files[SUBSCRIBERS + n].path(), &subs))
        .collect();
    subs.iter().for_each(|sub| drop(sub.meets(&outdated)));
    let members = || subs.iter().map(|sub| &sub.process).chain(sources.iter().map(|source| &source.process));
    let calm = Instant::now();
    flow(&subs[0]);
    let began = Instant::now();
    let mut written = Vec::new();
    for (step, secrets) in [[&*old, &new].as_slice(), &[&new, &old], &[&new]].into_iter().enumerate() {
        written.clear();
        for file in &files {
            fs::write(file.path(), lines(secrets)).unwrap();
            written.push(Instant::now());
        }
        for member in members() {
            said(member, CHANGED, step + 1);
        }
        flow(&subs[0]);
        if step == 1 {
            let here = file(secrets);
            let peers = command(&mesh, "peers", "asks", here.path());
            let others = SUBSCRIBERS + PUBLISHERS + 1;
            let peers = peers.args(["--count", &others.to_string(), "--wait", "10"]).spawn();
            peers.exits(0, SOON + SOON);
            let lines = peers.events(&["peer"]);
            let behind: Vec<_> = lines.iter().filter(|line| !line["old_secret"].is_null()).collect();
            assert_eq!((lines.len(), behind.len()), (others, 1), "{}", peers.story());
            assert_eq!((&behind[0]["name"], &behind[0]["lacks_secrets"]), (&"outdated".into(), &[1].into()));
        }
    }
    // What holds only the old one is out, and stays out, also when it starts again.
    let mut out = Figure::new("row 21: out after the removal", OUT);
    for (sub, written) in subs.iter().zip(&written) {
        let down = sub.expect_line("peer_down", |line| line["node"] == *outdated.id, SOON);
        assert_eq!(down.json.unwrap()["reason"], "secret");
        out.between(*written, down.at);
    }
    outdated.expect_log("accepts this node's secret no more", SOON);
    let again = Member::start(command(&mesh, "join", "again", left_out.path()));
    again.meets(&outdated);
    flow(&subs[0]);
    let ended = Instant::now();
    // A newcomer with the new one alone is in, under the load.
    let fresh = file(&[&new]);
    let newcomer = Member::start(command(&mesh, "join", "newcomer", fresh.path()));
    subs.iter().for_each(|sub| drop(sub.meets(&newcomer)));

    let mut ledger = Ledger::new();
    subs.iter().for_each(|sub| ledger.subscribes(&sub.id, "t"));
    let (mut counts, mut kept) = (Vec::new(), Vec::new());
    for Source { process, id, feeder, fed } in sources {
        let count = feeder.finish(SOON);
        (0..count).for_each(|number| ledger.published(&id, "t", number.to_string()));
        for sub in &subs {
            let last = (count - 1).to_string();
            sub.expect("message", |line| line["node"] == *id && line["payload"] == *last, SOON + SOON);
        }
        process.exits(0, SOON);
        counts.push(count);
        kept.push((id, fed));
    }
    subs.iter().for_each(|sub| ledger.printed_all(&sub.id, sub));
    let totals = ledger.balance();
    println!("{counts:?} published to each of {} subscribers: {totals:?}", subs.len());
    assert_eq!((totals.missed, totals.uncounted), (0, 0));
    assert_eq!(totals.delivered, counts.iter().sum::<u64>() * subs.len() as u64);
    for sub in &subs {
        assert_eq!(sub.count("gap"), 0, "{}", sub.story());
        let before_the_end = |line: &&serde_json::Value| line["reason"] != "left";
        let downs = sub.events(&["peer_down"]);
        assert_eq!(downs.iter().filter(before_the_end).count(), 1, "only the outdated one: {downs:?}");
        let ups = sub.events(&["peer_up"]);
        assert!(ups.iter().all(|up| up["name"] != "again"), "{ups:?}");
    }
    let (before, some) = latest(&subs, &kept, calm, began);
    let (during, more) = latest(&subs, &kept, began, ended);
    assert!(some > 1_000 && more > 10_000, "{some} {more}");
    println!("latest of {some} before {before:?}, of {more} during the change {during:?}");
    let mut added = Figure::new("row 21: added latency, peak", ADDED).slack(BUSY);
    added.add(during.saturating_sub(before));
}

#[test]
fn a_bad_file_changes_nothing_and_is_told_once() {
    let mesh = Mesh::new();
    let own = file(&[mesh.secret()]);
    let member = Member::start(command(&mesh, "join", "member", own.path()));
    let other = mesh.join("other");
    member.meets(&other);
    let five: Vec<_> = (0..5).map(|_| keygen()).collect();
    let five: Vec<_> = five.iter().map(String::as_str).collect();
    let bad = [
        (String::new(), "holds no secret"),
        ("short\n".to_owned(), "at least 8 characters"),
        ("tk1-mistyped\n".to_owned(), "copy it again"),
        (lines(&five), "more than 4 secrets"),
        (format!("{}\nhunter2\n", mesh.secret()), "line 2"),
    ];
    for (number, (text, why)) in bad.iter().enumerate() {
        fs::write(own.path(), text).unwrap();
        said(&member, KEPT, number + 1);
        member.expect_log(why, SOON);
    }
    fs::remove_file(own.path()).unwrap();
    said(&member, KEPT, bad.len() + 1);
    member.expect_log("cannot read the secret file", SOON);
    // Still a member, for those that come later, too; and each was told once.
    let late = mesh.join("late");
    late.meets(&member);
    assert_eq!(member.count("peer_down"), 0, "{}", member.story());
    let stderr = member.stderr();
    assert_eq!(
        (stderr.matches(KEPT).count(), stderr.matches(CHANGED).count()),
        (bad.len() + 1, 0),
        "{stderr}"
    );
    assert!(!stderr.contains("hunter2") && !stderr.contains("mistyped"), "{stderr}");
    // A good one, put in place whole, is taken as ever.
    let new = keygen();
    let good = file(&[mesh.secret(), &new]);
    fs::rename(good.path(), own.path()).unwrap();
    said(&member, CHANGED, 1);
    let newcomer = mesh.talkie("join").name("newcomer").env("TALKIE_SECRET", &new);
    member.meets(&Member::start(newcomer));
}

#[test]
fn a_machine_that_was_off_during_the_change_cannot_join_until_it_is_told() {
    let mesh = Mesh::new();
    let (old, new) = (mesh.secret().to_owned(), keygen());
    let [a, b, off] = [file(&[&old]), file(&[&old]), file(&[&old])];
    let members =
        [("a", &a), ("b", &b)].map(|(name, file)| Member::start(command(&mesh, "join", name, file.path())));
    let machine = || Member::start(command(&mesh, "join", "machine", off.path()));
    let before = machine();
    members.iter().for_each(|member| drop(member.meets(&before)));
    before.leaves();
    for (step, secrets) in [[&*old, &new].as_slice(), &[&new, &old], &[&new]].into_iter().enumerate() {
        for (member, file) in members.iter().zip([&a, &b]) {
            fs::write(file.path(), lines(secrets)).unwrap();
            said(member, CHANGED, step + 1);
        }
    }
    let back = machine();
    // One with the new secret that starts later is found; by then the machine would have been, too.
    let fresh = file(&[&new]);
    let newcomer = Member::start(command(&mesh, "join", "newcomer", fresh.path()));
    for member in &members {
        member.meets(&newcomer);
        assert!(member.events(&["peer_up"]).iter().all(|up| up["node"] != *back.id));
    }
    let alone = command(&mesh, "peers", "alone", off.path()).args(["--wait", "2"]).spawn();
    alone.exits(0, SOON);
    let found = alone.events(&["peer"]);
    assert!(found.iter().all(|peer| peer["node"] == *back.id), "it finds nobody but itself: {found:?}");
    assert_eq!(back.count("peer_up"), 1, "the one that asked");
    fs::write(off.path(), lines(&[&new])).unwrap();
    members.iter().for_each(|member| drop(member.meets(&back)));
}
