//! The tools of the machine: `ip`, `nft`, `ss`, `bridge`, and a thread inside a namespace.

use std::{
    fmt::Display,
    fs::File,
    io::Write,
    panic::resume_unwind,
    process::{Command, Output, Stdio},
    thread,
};

use nix::sched::{CloneFlags, setns};

/// Runs a tool to its end, quietly.
#[track_caller]
pub(super) fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("the tool starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Whether a tool is there and content.
pub(super) fn works(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Many `ip` commands in one process: in a namespace, or in none.
#[track_caller]
pub(super) fn ip(namespace: Option<&str>, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let mut command = Command::new("ip");
    if let Some(namespace) = namespace {
        command.args(["-n", namespace]);
    }
    feed(command.args(["-batch", "-"]), &lines.join("\n"));
}

/// Rules for the kernel's packet filter of a namespace.
#[track_caller]
pub(super) fn nft(namespace: &str, rules: &str) {
    feed(Command::new("ip").args(["netns", "exec", namespace, "nft", "-f", "-"]), rules);
}

/// A tool in a namespace, and what it said.
#[track_caller]
pub(super) fn inside(namespace: &str, program: &str, args: &[&str]) -> String {
    let output = run(Command::new("ip").args(["netns", "exec", namespace, program]).args(args));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a tool with this on its standard input.
#[track_caller]
fn feed(command: &mut Command, input: &str) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let mut stdin = child.stdin.take().expect("standard input is piped");
    // Whether it read all is seen from how it ends.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("the tool ends");
    assert!(
        output.status.success(),
        "{command:?}: {}\nof:\n{input}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Does something in a thread that sees this namespace's network and no other.
pub(super) fn within<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/run/netns/{namespace}")).expect("the host's namespace");
    let worked = thread::scope(|scope| {
        let inside = || {
            setns(&namespace, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
            work()
        };
        scope.spawn(inside).join()
    });
    worked.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Sets switches of a namespace's kernel, each a path below `/proc/sys/net`.
pub(super) fn set(namespace: &str, switches: &[(&str, impl Display + Sync)]) {
    within(namespace, || {
        for (path, value) in switches {
            std::fs::write(format!("/proc/sys/net/{path}"), value.to_string()).expect(path);
        }
    });
}
