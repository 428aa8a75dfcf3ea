//! The threads behind a process: two that read, one that reaps.

use std::{
    io::{BufRead, BufReader, Read},
    process::Child,
    time::Instant,
};

use nix::{
    sys::wait::{Id, WaitPidFlag, waitid},
    unistd::Pid,
};
use serde_json::Value;

use super::{Line, Shared};

pub(super) fn read_stdout(shared: &Shared, stdout: impl Read) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut raw = Vec::new();
        let end = stdout.read_until(b'\n', &mut raw).map_or(true, |read| read == 0);
        let mut state = shared.lock();
        if end || state.stdout_refused {
            state.stdout_open = false;
            break;
        }
        if raw.ends_with(b"\n") {
            raw.pop();
        }
        drop(state);
        let json: Option<Value> = serde_json::from_slice(&raw).ok();
        let mut state = shared.lock();
        if let Some(event) = json.as_ref().and_then(|json| json["event"].as_str()) {
            *state.counts.entry(event.to_owned()).or_default() += 1;
        }
        state.lines.push(Line { at: Instant::now(), raw, json, taken: false });
        shared.changed.notify_all();
    }
    drop(stdout);
    shared.changed.notify_all();
}

pub(super) fn read_stderr(shared: &Shared, mut stderr: impl Read) {
    let mut buffer = [0; 4096];
    loop {
        let read = stderr.read(&mut buffer).unwrap_or(0);
        let mut state = shared.lock();
        state.stderr_open = read > 0;
        state.stderr.extend_from_slice(&buffer[..read]);
        shared.changed.notify_all();
        if read == 0 {
            return;
        }
    }
}

pub(super) fn reap(shared: &Shared, mut child: Child, pid: Pid) {
    // Wait without reaping, then reap under the lock: nobody may signal a number that was given away.
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
        .is_err_and(|e| e == nix::Error::EINTR)
    {}
    let mut state = shared.lock();
    let status = child.wait().expect("an ended child can be reaped");
    state.exit = Some((status, Instant::now()));
    shared.changed.notify_all();
}
