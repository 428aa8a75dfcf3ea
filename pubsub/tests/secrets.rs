//! A program changes the secret of its node, by a call or by its file.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::{Mesh, message, soon};
use talkie_pubsub::{Bus, Config, Secret, Secrets};

/// A file that goes with its test.
struct SecretFile(PathBuf);

impl SecretFile {
    fn new() -> Self {
        let name = format!("talkie-secrets-{}-{:016x}", std::process::id(), fastrand::u64(..));
        Self(std::env::temp_dir().join(name))
    }

    fn put(&self, secrets: &[&Secret]) {
        let lines: String = secrets.iter().map(|secret| format!("{}\n", *secret.to_text())).collect();
        std::fs::write(&self.0, lines).unwrap();
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Waits until this is so.
async fn until(is: impl Fn() -> bool) {
    soon(async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Whether it has changed its secrets so often, and its one peer holds just the same.
fn is_at(bus: &Bus, step: u64) -> bool {
    let peers = bus.node().peers();
    let same = |it: &talkie_pubsub::PeerSecrets| it.is_current() && it.lacks.is_empty();
    bus.metrics().links.rekeyed == step && peers.iter().all(|peer| peer.secrets.as_ref().is_some_and(same))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_and_a_file_change_the_secret_and_messages_go_on() {
    let (mesh, new, file) = (Mesh::new(), Secret::generate(), SecretFile::new());
    let old = mesh.secret();
    file.put(&[old]);
    let by_file = mesh.config_of_file("by-file", &file.0).join().await.unwrap();
    let by_call = mesh.join("by-call").await;
    let mut received = by_file.subscribe("t").unwrap();
    soon(by_call.subscribed_on("t", 1)).await.unwrap();
    let id = by_file.node().id();
    let two = |first: &Secret, second: &Secret| Secrets::from(first.clone()).and(second.clone()).unwrap();
    let mut sent = 0;
    for (step, secrets) in (1..).zip([vec![old, &new], vec![&new, old], vec![&new]]) {
        file.put(&secrets);
        let all = secrets.get(1).map_or_else(|| secrets[0].clone().into(), |second| two(secrets[0], second));
        by_call.node().rekey(all).await.unwrap();
        by_call.publish("t", format!("{sent}")).await.unwrap();
        assert!(by_file.node().reread_secrets(), "sooner than it looks itself");
        until(|| is_at(&by_call, step) && is_at(&by_file, step)).await;
        by_call.publish("t", format!("{}", sent + 1)).await.unwrap();
        sent += 2;
    }
    for number in 0..sent {
        assert_eq!(message(&mut received).await.payload, format!("{number}"));
    }
    let links = by_file.metrics().links;
    assert_eq!((links.told_up, links.secrets, links.rekeyed, links.other_secret), (1, 1, 3, 0), "{links:?}");
    assert_eq!(by_file.node().id(), id, "a change of the secret is none of the node");
    // A newcomer that holds only the new one.
    file.put(&[&new]);
    let newcomer = mesh.config_of_file("newcomer", &file.0).join().await.unwrap();
    until(|| newcomer.node().peers().len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_left_changes_no_secret_and_one_without_a_file_reads_none() {
    let bus = Mesh::new().join("a").await;
    assert!(!bus.node().reread_secrets());
    bus.node().leave().await.unwrap();
    bus.node().rekey(Secret::generate()).await.unwrap_err();
}

#[test]
fn a_bad_file_makes_no_config_and_shows_nothing() {
    let file = SecretFile::new();
    Config::from_secret_file(&file.0).unwrap_err();
    std::fs::write(&file.0, "correct horse battery\nhunter2\n").unwrap();
    let error = Config::from_secret_file(&file.0).unwrap_err();
    assert!(
        error.to_string().contains("line 2") && !format!("{error} {error:?}").contains("hunter2"),
        "{error}"
    );
    std::fs::write(&file.0, "correct horse battery\n").unwrap();
    assert!(!format!("{:?}", Config::from_secret_file(&file.0).unwrap()).contains("horse"));
}
