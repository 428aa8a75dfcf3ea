//! From starting the second process to the first message received both ways.

use crate::command::{Mesh, beside};
use crate::stats::{median, print};

const PASSPHRASE: &str = "correct horse battery staple seven";

/// A fresh secret from the command.
pub(crate) fn keygen() -> String {
    let out = std::process::Command::new(beside("talkie")).arg("keygen").output().expect("it is built");
    String::from_utf8(out.stdout).expect("a secret is ASCII").trim().to_owned()
}

pub(crate) fn run(rounds: usize) {
    let generated: Vec<f64> = (0..rounds).map(|_| pair(&keygen())).collect();
    let passphrase: Vec<f64> = (0..rounds).map(|_| pair(PASSPHRASE)).collect();
    print("second process started -> first message both ways", "ms", &generated, "20 ms");
    print("the same with a passphrase", "ms", &passphrase, "60 ms more");
    println!("{:<58} {:>15.1} ms", "  more with a passphrase", median(&passphrase) - median(&generated));
}

/// Milliseconds from starting the second of two equal nodes until both have a message of the other.
fn pair(secret: &str) -> f64 {
    let mesh = Mesh::new(secret);
    let first = mesh.role(&["meet"]);
    first.wait("ready");
    let second = mesh.role(&["meet"]);
    let met = [&first, &second].map(|node| node.wait("met").1["at_ns"].as_u64().expect("a time"));
    (met[0].max(met[1]) - second.began) as f64 / 1e6
}
