//! PROTOCOL.md, by scripts that know the protocol from that page alone: its vectors, and a real node.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use serde_json::Value;
use talkie_tests::{
    SOON,
    mesh::Mesh,
    skip,
    stranger::{capture, eavesdrop},
    temp::TempFile,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What the script says of this page, and whether all vectors on it hold.
fn check(page: &Path) -> (bool, String) {
    let done = Command::new("python3").arg(root().join("tests/vectors.py")).arg(page).output();
    let done = done.expect("python3, 3.8 or later, which .ci/run installs");
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn another_implementation_opens_and_makes_all_vectors() {
    let (held, said) = check(&root().join("PROTOCOL.md"));
    assert!(held, "{said}");
    let skipped = said.lines().filter_map(|line| line.strip_prefix("SKIPPED: "));
    skipped.for_each(skip);
}

/// Every value of the vectors counts: the script finds each that was changed.
#[test]
fn one_changed_digit_of_the_vectors_is_found() {
    let page = std::fs::read_to_string(root().join("PROTOCOL.md")).unwrap();
    let block = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let vectors: Value = serde_json::from_str(block).unwrap();
    let mut leaves = Vec::new();
    find_leaves(&vectors, String::new(), &mut leaves);
    assert!(leaves.len() > 80, "{leaves:?}");
    let try_all = |leaves: &[String]| {
        for leaf in leaves {
            let mut changed = vectors.clone();
            change(changed.pointer_mut(leaf).unwrap());
            let (held, said) = check(TempFile::new(&format!("```json\n{changed}\n```")).path());
            // It says which value, and does not stumble over it.
            assert!(!held && said.contains("published"), "{leaf} was changed, and: {said}");
        }
    };
    // Python takes a quarter of a second each time.
    thread::scope(|scope| leaves.chunks(20).for_each(|part| drop(scope.spawn(|| try_all(part)))));
}

#[test]
fn another_implementation_hears_a_node_and_becomes_its_peer() {
    let mesh = Mesh::new();
    let ear = eavesdrop(mesh.group(), Ipv4Addr::LOCALHOST);
    let node = mesh.join("node");
    let heartbeat: String = capture(&ear, 1)[0].iter().map(|byte| format!("{byte:02x}")).collect();
    // Either cipher, and most often each side is once the one that takes the link up.
    for ciphers in ["0", "1", "0", "1"] {
        let mut guest = Command::new("python3");
        guest.arg(root().join("tests/guest.py")).arg(mesh.secret()).arg(mesh.group().to_string());
        let done = guest.args([ciphers, &heartbeat]).output().unwrap();
        let told: Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|_| panic!("{}\n{}", String::from_utf8_lossy(&done.stderr), node.story()));
        let (heard, hello) = (&told["heartbeat"], &told["hello"]);
        assert_eq!((&heard["node"], &hello["node"]), (&node.joined["node"], &node.joined["node"]), "{told}");
        assert_eq!((&heard["name"], &hello["name"]), (&"node".into(), &"node".into()), "{told}");
        assert_eq!(heard["port"], node.port(), "{told}");
        assert_eq!(hello["listen"], serde_json::json!([["127.0.0.1", node.port()]]), "{told}");
        assert!(ciphers == "1" || hello["aes"] == 0, "{told}");
        let up = node.expect("peer_up", |line| line["node"] == hello["guest"], SOON);
        assert_eq!((&up["name"], &up["link"]), (&"guest".into(), &"tcp".into()));
        let down = node.expect("peer_down", |line| line["node"] == hello["guest"], SOON);
        assert_eq!(down["reason"], "left");
    }
}

fn find_leaves(value: &Value, at: String, leaves: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| find_leaves(value, format!("{at}/{key}"), leaves));
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, value)| find_leaves(value, format!("{at}/{index}"), leaves)),
        _ => leaves.push(at),
    }
}

/// The last digit or letter becomes another, and a number the next.
fn change(leaf: &mut Value) {
    *leaf = match leaf {
        Value::String(text) => {
            let mut text = text.clone();
            let at = text.rfind(|c: char| c.is_ascii_alphanumeric()).unwrap();
            let other = if &text[at..=at] == "4" { "5" } else { "4" };
            text.replace_range(at..=at, other);
            text.into()
        }
        Value::Number(number) => (number.as_u64().unwrap() ^ 1).into(),
        _ => vec![1, 1].into(),
    }
}
