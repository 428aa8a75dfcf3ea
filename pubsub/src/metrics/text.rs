//! The figures as text: the format that Prometheus and all that speak its language scrape.

use std::fmt::Write as _;

use super::Metrics;
use super::families::{FAMILIES, Kind};

impl Metrics {
    /// All figures in the text format of Prometheus (version 0.0.4), each with its meaning; what
    /// [`Config::metrics`](crate::Config::metrics) serves. For programs that have an HTTP server already.
    ///
    /// Some 12 KB, 600 bytes for each peer that is up (1,024 at most), 200 for each pattern (the 256 with most waiting).
    ///
    /// ```no_run
    /// # fn example(bus: talkie_pubsub::Bus) {
    /// let text = bus.metrics().to_prometheus();
    /// assert!(text.contains("talkie_peers_up"));
    /// # }
    /// ```
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        for family in FAMILIES {
            let kind = match family.kind {
                Kind::Counter | Kind::Time => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            // Writing to a text does not fail.
            let _ = writeln!(text, "# HELP {0} {1}\n# TYPE {0} {kind}", family.name, family.help);
            family.read(self, |part, labels, value| {
                text.push_str(family.name);
                text.push_str(part.suffix());
                for (at, (label, said)) in labels.iter().enumerate() {
                    let _ = write!(text, "{}{label}=\"", if at == 0 { '{' } else { ',' });
                    escape(&mut text, said);
                    text.push('"');
                }
                let close = if labels.is_empty() { "" } else { "}" };
                let _ = writeln!(text, "{close} {value}");
            });
        }
        text
    }
}

/// A label's value may hold anything but these three.
fn escape(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::metrics::families::MOST_PATTERNS;
    use crate::metrics::latency::{BUCKETS, LatencyStats};
    use crate::metrics::tests::{reading, waiting};

    #[test]
    fn each_line_is_one_that_can_be_scraped_and_none_is_there_twice() {
        let mut metrics = reading();
        metrics.published.messages = 7;
        metrics.published.waited_us = 1_500_000;
        metrics.subscriptions = vec![waiting("t/*", 2), waiting("t/*", 3), waiting(r#"odd "one" \ here"#, 0)];
        let mut counted = [0; BUCKETS];
        (counted[0], counted[1], counted[BUCKETS - 1]) = (1, 2, 4);
        metrics.latency = LatencyStats::of(counted, 40_000_000);
        let text = metrics.to_prometheus();
        let has = |line: &str| assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        has("talkie_published_total 7");
        has("talkie_publish_wait_seconds_total 1.5");
        has("# TYPE talkie_published_total counter");
        has("# TYPE talkie_peers_up gauge");
        has(r#"talkie_subscription_waiting{bus="default",pattern="t/*"} 5"#);
        has("# TYPE talkie_delivery_latency_seconds histogram");
        has(r#"talkie_delivery_latency_seconds_bucket{le="0.000001"} 1"#);
        has(r#"talkie_delivery_latency_seconds_bucket{le="0.000002"} 3"#);
        has(r#"talkie_delivery_latency_seconds_bucket{le="10"} 3"#);
        has(r#"talkie_delivery_latency_seconds_bucket{le="+Inf"} 7"#);
        has("talkie_delivery_latency_seconds_sum 40");
        has("talkie_delivery_latency_seconds_count 7");
        has(r#"talkie_subscription_waiting{bus="default",pattern="odd \"one\" \\ here"} 0"#);
        let figures: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let mut names = HashSet::new();
        for line in &figures {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(names.insert(name), "{name} is there twice");
        }
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn many_patterns_are_cut_to_the_fullest() {
        let mut metrics = reading();
        metrics.subscriptions = (0..1_000).map(|n| waiting(&format!("t/{n}"), n)).collect();
        let text = metrics.to_prometheus();
        let listed = text.matches("talkie_subscription_waiting{").count();
        assert_eq!(listed, MOST_PATTERNS);
        assert!(text.contains(r#"pattern="t/999"} 999"#) && !text.contains(r#"pattern="t/1"}"#));
    }

    #[test]
    fn the_documentation_names_every_figure_and_no_other() {
        let docs = include_str!("../../../docs/OBSERVABILITY.md");
        let cells = docs.lines().filter_map(|line| line.strip_prefix("| `talkie_"));
        let told: Vec<_> = cells.filter_map(|rest| rest.split(['`', '{']).next()).collect();
        let known: Vec<_> = FAMILIES.iter().filter_map(|one| one.name.strip_prefix("talkie_")).collect();
        assert_eq!(told, known);
    }
}
