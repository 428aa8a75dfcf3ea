//! Tells the `metrics` facade what is counted, from time to time.

use std::sync::Weak;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::metrics::facade::Facade;
use crate::node::Inner;

/// Until the node has left.
pub(crate) async fn record(node: Weak<Inner>, every: Duration) {
    // Under a millisecond it would do nothing else.
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut facade = Facade::default();
    loop {
        ticks.tick().await;
        let Some(node) = node.upgrade() else { return };
        let closed = node.registry.check_open().is_err();
        facade.record(&node.metrics());
        if closed {
            return;
        }
    }
}
