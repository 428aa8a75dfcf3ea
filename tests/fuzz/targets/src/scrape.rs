//! Requests for the counters.

use talkie_pubsub::fuzzing::asked;

/// What was asked for is known at the end of the head: no byte behind it changes that, and none of it is asked for before.
pub fn run(data: &[u8]) {
    let whole = asked(data);
    if whole == "Unfinished" {
        return;
    }
    let more = [data, b"\r\nmore"].concat();
    assert_eq!(asked(&more), whole);
    if whole.starts_with("Metrics") {
        let text = String::from_utf8_lossy(data);
        assert!(text.contains("/metrics"), "{text}");
        assert!(text.contains("GET") || text.contains("HEAD"), "{text}");
        let end = (0..data.len()).find(|end| asked(&data[..*end]) != "Unfinished").unwrap_or(data.len());
        assert!(end == data.len() || asked(&data[..end]) == whole);
    }
}
