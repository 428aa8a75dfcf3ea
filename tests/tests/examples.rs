//! The examples are programs that work: each is run as its own documentation says, over loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::io::Write as _;

use talkie_tests::SOON;
use talkie_tests::command::{Talkie, example};
use talkie_tests::mesh::Mesh;
use talkie_tests::process::Process;

fn program(mesh: &Mesh, name: &str, args: &[&str]) -> Talkie {
    Talkie::program(&example(name), name)
        .env("TALKIE_SECRET", mesh.secret())
        .env("TALKIE_GROUP", mesh.group().to_string())
        .env("TALKIE_LISTEN", "127.0.0.1:0")
        .env("TALKIE_INTERFACE", "lo")
        .env("TALKIE_NAME", args.first().unwrap_or(&name))
        .args(args)
}

fn start(mesh: &Mesh, name: &str, args: &[&str]) -> Process {
    program(mesh, name, args).spawn_plain()
}

/// Waits for a line that contains this.
#[track_caller]
fn says(process: &Process, text: &str) {
    let has = |line: &[u8]| String::from_utf8_lossy(line).contains(text);
    process.expect_all(text, |lines| lines.iter().any(|line| has(&line.raw)), SOON);
}

#[test]
fn a_shop_orders_and_its_back_office_ships() {
    let mesh = Mesh::new();
    let (office, shop) = (start(&mesh, "back_office", &[]), start(&mesh, "shop", &[]));
    says(&office, "shop wants Order { id: 1");
    says(&shop, "(heard by 1)");
    says(&shop, "shipped  Order { id: 1");
    mesh.publish("pub", "commands/shop", "quit").exits(0);
    shop.exits(0, SOON);
    says(&office, "shop is gone: left");
    office.terminate();
}

#[test]
fn a_dashboard_shows_devices_commands_one_and_sees_it_vanish() {
    let mesh = Mesh::new();
    let (mut dashboard, boiler) = (start(&mesh, "dashboard", &[]), start(&mesh, "device", &["boiler"]));
    let attic = start(&mesh, "device", &["attic"]);
    says(&dashboard, "+ boiler (version ");
    says(&dashboard, "+ attic (version ");
    says(&dashboard, "  boiler 1");
    let mut typed = dashboard.take_stdin();
    typed.write_all(b"boiler 60\n").unwrap();
    says(&boiler, "dashboard says Heat { to: 60.0 }");
    says(&dashboard, "> boiler: heating to 60 °C");
    says(&dashboard, "  boiler aims at 60 °C");
    says(&dashboard, "  boiler 5");
    // One that comes later is given what was said last, and nothing that was said before that.
    let late = start(&mesh, "dashboard", &[]);
    says(&late, "  boiler aims at 60 °C");
    says(&late, "  attic aims at 20 °C");
    assert!(
        !String::from_utf8_lossy(&late.stdout()).contains("boiler aims at 20"),
        "it has been told 60 since"
    );
    late.terminate();
    typed.write_all(b"boiler 100\nnothing 10\n").unwrap();
    says(&dashboard, "> boiler: the responder dropped the request");
    says(&dashboard, "> nothing: no ");
    boiler.kill();
    says(&dashboard, "- boiler");
    typed.write_all(b"quit\n").unwrap();
    dashboard.exits(0, SOON);
    attic.terminate();
}

#[test]
fn people_chat() {
    let mesh = Mesh::new();
    let (mut ann, mut bob) =
        (start(&mesh, "chat", &["ann", "kitchen"]), start(&mesh, "chat", &["bob", "kitchen"]));
    says(&ann, "(bob is here)");
    says(&bob, "(ann is here)");
    let (mut to_ann, mut to_bob) = (ann.take_stdin(), bob.take_stdin());
    to_ann.write_all(b"tea?\n").unwrap();
    says(&bob, "ann: tea?");
    to_bob.write_all(b"yes\n").unwrap();
    says(&ann, "bob: yes");
    drop(to_bob);
    bob.exits(0, SOON);
    says(&ann, "(bob is gone)");
    drop(to_ann);
    ann.exits(0, SOON);
    assert!(!String::from_utf8_lossy(&ann.stdout()).contains("tea"), "who says it has read it already");
}

#[test]
fn jobs_are_shared_out_and_none_is_lost_with_its_worker() {
    let mesh = Mesh::new();
    let workers = ["one", "two", "three"]
        .map(|name| program(&mesh, "worker", &[]).env("TALKIE_NAME", name).spawn_plain());
    let jobs = start(&mesh, "jobs", &["2000"]);
    says(&workers[0], "doing ");
    workers[0].kill();
    jobs.exits(0, SOON);
    let sum: u64 = (1..=2000_u64).map(|n| n * n).sum();
    says(&jobs, &format!("all done: {sum}"));
    for worker in &workers[1..] {
        worker.exits(0, SOON);
    }
}

#[test]
fn a_work_queue_shares_out_and_loses_nothing_with_a_worker() {
    let mesh = Mesh::new();
    let worker = |name| program(&mesh, "work_queue", &["worker", "1"]).env("TALKIE_NAME", name).spawn_plain();
    let workers = ["one", "two", "three"].map(worker);
    let queue = program(&mesh, "work_queue", &["500", "3"]).env("TALKIE_NAME", "queue").spawn_plain();
    says(&workers[0], "doing ");
    workers[0].kill();
    queue.exits(0, SOON);
    says(&queue, "one is lost");
    says(&queue, &format!("all done: {}", (1..=500_u64).map(|n| n * n).sum::<u64>()));
    for worker in &workers[1..] {
        worker.exits(0, SOON);
    }
}

#[test]
fn a_typed_topic_tells_of_other_types() {
    let done = program(&Mesh::new(), "typed", &[]).run().exits(0);
    let text = done.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines.first(), Some(&"2 of cocoa"));
    assert!(lines.iter().skip(1).all(|line| line.contains("is no order: ")), "{text}");
}

#[test]
fn plain_threads_publish_and_read() {
    let done = program(&Mesh::new(), "threads", &[]).run().exits(0);
    assert_eq!(done.text().lines().collect::<Vec<_>>(), ["1", "4", "9", "16", "25"]);
}

#[test]
fn people_in_a_room_see_each_other() {
    let mesh = Mesh::new();
    let (ann, mut bob) = (start(&mesh, "presence", &["ann"]), start(&mesh, "presence", &["bob"]));
    says(&ann, "bob is here, at table 1");
    let mut to_bob = bob.take_stdin();
    to_bob.write_all(b"3\n").unwrap();
    says(&ann, "bob went from table 1 to table 3");
    to_bob.write_all(b"quit\n").unwrap();
    bob.exits(0, SOON);
    says(&ann, "bob is gone");
    ann.terminate();
}
