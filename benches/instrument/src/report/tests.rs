use super::*;

fn report() -> Report {
    let row = |system: &str, bytes: u64, p50, lost| Outcome {
        system: system.to_owned(),
        load: vec![("bytes", json!(bytes))],
        figures: vec![Figure::new("p50_us", "p50", "µs", p50), Figure::new("lost", "lost", "", lost)],
    };
    let mut odd = row("a,\"b\"", 1_024, 1234.5678, 0.0);
    odd.figures.push(Figure::new("extra", "extra", "", f64::NAN));
    Report {
        workload: "fanout".to_owned(),
        title: "a title".to_owned(),
        settings: vec![("subscribers", json!(4)), ("clock", json!("one way"))],
        warnings: vec!["busy".to_owned()],
        outcomes: vec![row("talkie", 64, 92.125, 12_345.0), odd],
        ..Report::default()
    }
}

#[test]
fn a_json_line_has_settings_load_and_every_figure() {
    let texts = report().json_lines();
    assert!(
        texts[0].starts_with(r#"{"event":"bench","workload":"fanout","system":"talkie","subscribers":4,"#)
    );
    let lines: Vec<Value> = texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let line = &lines[0];
    for (key, value) in
        [("event", json!("bench")), ("workload", json!("fanout")), ("system", json!("talkie"))]
    {
        assert_eq!(line[key], value);
    }
    assert_eq!((&line["subscribers"], &line["bytes"]), (&json!(4), &json!(64)));
    assert_eq!((&line["p50_us"], &line["lost"]), (&json!(92.125), &json!(12345)));
    assert_eq!(lines[1]["lost"], json!(0), "a zero is a result");
    assert!(lines[1].as_object().unwrap().contains_key("extra") && lines[1]["extra"].is_null());
    assert_eq!(line["warnings"], json!(["busy"]));
    let file: Value = serde_json::from_str(&report().json()).unwrap();
    assert_eq!((&file["workload"], &file["results"]), (&json!("fanout"), &json!(lines)));
}

#[test]
fn csv_is_read_back_by_a_reader_of_csv() {
    let text = report().csv().unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heads: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(heads, ["workload", "system", "subscribers", "clock", "bytes", "p50_us", "lost", "extra"]);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows[0], vec!["fanout", "talkie", "4", "one way", "64", "92.125", "12345", ""]);
    assert_eq!(&rows[1][1], "a,\"b\"");
}

#[test]
fn the_table_is_aligned_and_shows_zeros() {
    let table = report().table();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert!(lines[3].ends_with("12,345      0"), "{table}");
    assert!(lines[4].ends_with('-'), "{table}");
    assert_eq!(lines[1].chars().count(), lines[2].chars().count(), "{table}");
}

#[test]
fn numbers_are_short_for_people() {
    for (value, text) in [
        (0.0, "0"),
        (0.1234, "0.123"),
        (1.234, "1.23"),
        (92.125, "92.1"),
        (1234.56, "1,235"),
        (1_234_567.0, "1,234,567"),
        (-1500.5, "-1,500"),
        (999.96, "1,000"),
    ] {
        assert_eq!(shown(value), text);
    }
}

#[test]
fn no_latencies_are_no_figures_and_not_zeros() {
    assert!(percentiles(&Latencies::default(), "", "").iter().all(|figure| figure.value.is_none()));
    let mut all = Latencies::default();
    all.record(1_500);
    let figures = percentiles(&all, "last_", "last ");
    assert_eq!((figures[3].key.as_str(), figures[3].label.as_str()), ("last_p99_9_us", "last p99.9"));
    assert!((figures[0].value.unwrap() - 1.5).abs() < 0.01);
}
