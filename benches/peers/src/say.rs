//! A role speaks to the driver by JSON lines, and hears single words from it.

use std::io::{BufRead, Write, stdin, stdout};
use std::process::exit;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;

/// Prints one object in one line.
pub fn say(line: &Value) {
    let mut out = stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        // The driver is gone: there is nobody to measure for.
        exit(0);
    }
}

/// The words of the driver. When it closes its end, or dies, this process ends: none outlives it.
pub fn words() -> Receiver<String> {
    let (sender, words) = channel();
    thread::spawn(move || {
        for line in stdin().lock().lines() {
            let Ok(word) = line else { break };
            // The receiver may be dropped by a role that hears no words.
            let _ = sender.send(word);
        }
        exit(0)
    });
    words
}
