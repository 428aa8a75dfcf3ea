//! A recorder of the `metrics` facade hears of what a node does.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Mesh, soon};
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    set_default_local_recorder,
};

/// Keeps the counters without labels.
#[derive(Default)]
struct Kept(Mutex<HashMap<String, Arc<AtomicU64>>>);

impl Kept {
    fn get(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |it| it.load(Ordering::Relaxed))
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.0.lock().unwrap().entry(key.name().to_owned()).or_default().clone().into()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// On one thread, whose recorder it is.
#[tokio::test]
async fn a_recorder_is_told_from_time_to_time_until_the_node_leaves() {
    let recorder = Kept::default();
    let _guard = set_default_local_recorder(&recorder);
    let bus = Mesh::new().join("node").await;
    let telling = tokio::spawn(bus.node().record_metrics(Duration::from_millis(5)));
    for n in 1..=3 {
        bus.publish("t", "x").await.unwrap();
        let told = async {
            while recorder.get("talkie_published_total") < n {
                tokio::task::yield_now().await;
            }
        };
        soon(told).await;
    }
    bus.publish("t", "last").await.unwrap();
    soon(bus.node().leave()).await.unwrap();
    soon(telling).await.unwrap();
    assert_eq!(recorder.get("talkie_published_total"), 4, "what was done before it left is told");
}
