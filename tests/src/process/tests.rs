//! The rig itself, with a shell in the place of the command.

use std::{panic::catch_unwind, path::Path};

use super::*;

fn shell(script: &str) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::start(command, "shell".to_owned(), true)
}

/// What a failing test says.
fn complaint(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = catch_unwind(test).expect_err("it should have failed");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn lines_are_taken_once_each_in_any_order_of_asking() {
    let process = shell(r#"for n in 1 2 3; do echo "{\"event\":\"e\",\"n\":$n}"; done"#);
    let take = |n: u64| process.expect("e", move |line| line["n"] == n, SOON)["n"].as_u64();
    assert_eq!((take(3), take(1)), (Some(3), Some(1)));
    assert_eq!(process.next("e")["n"], 2);
    process.exits(0, SOON);
    assert_eq!(process.count("e"), 3);
    let again = catch_unwind(std::panic::AssertUnwindSafe(|| {
        process.expect("e", |_| true, Duration::from_millis(50));
    }));
    assert!(again.is_err(), "none is left");
}

#[test]
fn a_deadline_that_passes_shows_what_there_was() {
    let said = complaint(|| {
        let process = shell(r#"echo '{"event":"other"}'; echo 'a remark' >&2; sleep 60"#);
        process.next("other");
        process.expect_log("a remark", SOON);
        process.expect("e", |_| true, Duration::from_millis(50));
    });
    for part in ["no \"e\"", "{\"event\":\"other\"}", "a remark", "alive"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn a_dropped_process_is_killed_also_a_frozen_one() {
    let process = shell(r#"echo '{"event":"e"}'; exec sleep 60"#);
    process.next("e");
    process.signal(Signal::SIGSTOP);
    let proc = format!("/proc/{}", process.pid());
    drop(process);
    assert!(!Path::new(&proc).exists());
}

#[test]
fn a_panic_of_the_process_fails_the_test() {
    let said = complaint(|| shell("echo \"thread 'main' panicked at src/main.rs\" >&2").exits(0, SOON));
    assert!(said.contains("a panic"), "{said}");
}

#[test]
fn a_line_against_the_contract_fails_the_test() {
    let said = complaint(|| shell(r#"echo '{"event":"gap","node":"me","missed":1}'"#).exits(0, SOON));
    assert!(said.contains("`node`"), "{said}");
    let said = complaint(|| shell("echo plain words").exits(0, SOON));
    assert!(said.contains("not a JSON object"), "{said}");
}

#[test]
fn input_output_and_exit_are_the_command_s() {
    let mut process = shell(r#"read line; echo "{\"event\":\"$line\"}"; exit 7"#);
    process.feed("hello");
    process.next("hello");
    process.exits(7, SOON);
    assert!(!process.is_alive());
    // Nobody is signalled any more.
    process.signal(Signal::SIGKILL);
}
