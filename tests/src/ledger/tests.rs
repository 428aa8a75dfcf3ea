//! Good histories balance; each way of breaking a promise is found.

use super::*;

const P: &str = "00000000000000000000000000000001";

/// Ten messages `0..10` on topic `t`, and what the subscriber made of them: numbers are messages,
/// `-n` is an exact gap of n, and 1000 + n a gap of at least n.
fn history(events: &[i64]) -> Ledger {
    let mut ledger = Ledger::new();
    for number in 0..10 {
        ledger.published(P, "t", number.to_string());
    }
    ledger.subscribes("s", "t");
    heard(&mut ledger, events);
    ledger
}

fn heard(ledger: &mut Ledger, events: &[i64]) {
    for &event in events {
        let line = if event < 0 {
            serde_json::json!({"event":"gap","node":P,"missed":-event})
        } else if event >= 1000 {
            serde_json::json!({"event":"gap","node":P,"missed":event - 1000,"at_least":true})
        } else {
            serde_json::json!({"event":"message","node":P,"topic":"t","payload":event.to_string()})
        };
        ledger.printed("s", &line);
    }
}

fn first(ledger: &Ledger) -> Violation {
    ledger.check().unwrap_err().remove(0)
}

#[test]
fn everything_delivered_balances() {
    let ledger = history(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(ledger.balance(), Totals { delivered: 10, missed: 0, uncounted: 0 });
}

#[test]
fn exact_gaps_where_the_messages_would_have_been_balance() {
    assert_eq!(history(&[0, 1, -3, 5, 6, -3]).balance(), Totals { delivered: 4, missed: 6, uncounted: 0 });
    history(&[-10]).balance();
    history(&[0, -1, -2, 4, 5, 6, 7, 8, 9]).balance();
}

#[test]
fn a_silent_loss_is_found() {
    assert!(matches!(first(&history(&[0, 1, 2, 4, 5, 6, 7, 8, 9])), Violation::Misplaced { hole: 1, .. }));
    assert!(matches!(first(&history(&[0, 1, 2])), Violation::Lost { owed: 10, delivered: 3, .. }));
    assert!(matches!(first(&history(&[])), Violation::Lost { .. }));
    assert!(matches!(
        first(&history(&[0, 1, -2, 5, 6, 7, 8, 9])),
        Violation::Misplaced { hole: 3, counted: 2, .. }
    ));
}

#[test]
fn a_gap_that_counts_too_much_is_found() {
    assert!(matches!(
        first(&history(&[0, 1, -4, 5, 6, 7, 8, 9])),
        Violation::Misplaced { hole: 3, counted: 4, .. }
    ));
    assert!(matches!(first(&history(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1])), Violation::Lost { .. }));
    assert!(matches!(
        first(&history(&[0, -1, 1, 2, 3, 4, 5, 6, 7, 8])),
        Violation::Misplaced { hole: 0, .. }
    ));
}

#[test]
fn a_gap_in_the_wrong_place_is_found() {
    assert!(matches!(
        first(&history(&[0, 1, 5, -3, 6, 7, 8, 9])),
        Violation::Misplaced { hole: 3, counted: 0, .. }
    ));
}

#[test]
fn a_repeated_message_is_found() {
    assert!(matches!(first(&history(&[0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9])), Violation::Twice { .. }));
}

#[test]
fn an_overtaken_message_is_found() {
    let violations = history(&[0, 2, 1, 3, 4, 5, 6, 7, 8, 9]).check().unwrap_err();
    assert!(violations.iter().any(|v| matches!(v, Violation::OutOfOrder { .. })), "{violations:?}");
}

#[test]
fn an_invented_message_is_found() {
    assert!(matches!(first(&history(&[0, 77])), Violation::Unknown { .. }));
    let mut stranger = history(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let line = serde_json::json!({"event":"message","node":"somebody","topic":"t","payload":"0"});
    stranger.printed("s", &line);
    assert!(matches!(first(&stranger), Violation::Unknown { .. }));
}

#[test]
fn an_unasked_topic_is_found() {
    let mut ledger = history(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    ledger.published(P, "u", "0");
    ledger.balance();
    ledger.printed("s", &serde_json::json!({"event":"message","node":P,"topic":"u","payload":"0"}));
    assert!(matches!(first(&ledger), Violation::Unasked { .. }));
}

#[test]
fn a_lower_bound_may_be_low_and_never_high() {
    let totals = history(&[0, 1, 1001, 5, 6, 7, 8, 9]).balance();
    assert_eq!(totals, Totals { delivered: 7, missed: 1, uncounted: 2 });
    history(&[0, 1, 1003, 5, 6, 7, 8, 9]).balance();
    assert!(matches!(first(&history(&[0, 1, 1004, 5, 6, 7, 8, 9])), Violation::Misplaced { .. }));
    history(&[0, 1, 1000]).balance();
}

#[test]
fn a_publisher_that_died_owes_its_tail() {
    let mut ledger = history(&[0, 1, 2]);
    ledger.died(P);
    assert_eq!(ledger.balance(), Totals { delivered: 3, missed: 0, uncounted: 7 });
    let mut holed = history(&[0, 2]);
    holed.died(P);
    assert!(matches!(first(&holed), Violation::Misplaced { .. }));
}

#[test]
fn what_came_before_the_subscriber_was_counted_is_optional() {
    for events in [&[4, 5, 6, 7][..], &[2, 3, 4, 5, 6, 7], &[4, -3], &[0, 1, 2, 3, 4, 5, 6, 7], &[-4]] {
        let mut ledger = Ledger::new();
        ledger.subscribes("s", "t");
        for number in 0..8 {
            if number == 4 {
                ledger.counted("s", P);
            }
            ledger.published(P, "t", number.to_string());
        }
        heard(&mut ledger, events);
        ledger.balance();
    }
    let mut ledger = Ledger::new();
    ledger.subscribes("s", "t");
    ledger.published(P, "t", "0");
    ledger.counted("s", P);
    ledger.published(P, "t", "1");
    heard(&mut ledger, &[0]);
    assert!(matches!(first(&ledger), Violation::Lost { .. }), "the early one does not pay for the owed one");
}

#[test]
fn several_topics_keep_order_each_and_count_together() {
    let say = |topic: &str, payload: &str| serde_json::json!({"event":"message","node":P,"topic":topic,"payload":payload});
    let mut ledger = Ledger::new();
    ledger.subscribes("s", "a/*");
    for (topic, payload) in
        [("a/large", "0"), ("a/small", "0"), ("b/x", "0"), ("a/small", "1"), ("a/large", "1")]
    {
        ledger.published(P, topic, payload);
    }
    ledger.printed("s", &say("a/small", "0"));
    ledger.printed("s", &say("a/large", "0"));
    ledger.printed("s", &serde_json::json!({"event":"gap","node":P,"missed":1}));
    ledger.printed("s", &say("a/large", "1"));
    assert_eq!(ledger.balance(), Totals { delivered: 3, missed: 1, uncounted: 0 });
    ledger.printed("s", &say("a/small", "1"));
    assert!(matches!(first(&ledger), Violation::Lost { .. }));
}

#[test]
fn patterns_match_as_the_contract_says() {
    for (pattern, topic) in [
        ("a", "a"),
        ("a/*", "a/b"),
        ("a/**", "a"),
        ("a/**", "a/b/c"),
        ("**", "a/b"),
        ("**/b", "b"),
        ("a/**/b/*", "a/x/y/b/z"),
        ("*/b", "a/b"),
    ] {
        assert!(matches(pattern, topic), "{pattern} {topic}");
    }
    for (pattern, topic) in
        [("a", "b"), ("a", "a/b"), ("a/*", "a"), ("a/*", "a/b/c"), ("*/b", "b"), ("a/**/b", "a")]
    {
        assert!(!matches(pattern, topic), "{pattern} {topic}");
    }
}
