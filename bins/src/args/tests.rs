use super::*;

fn read(line: &[&str]) -> Result<Invocation, String> {
    parse(line.iter().map(OsString::from)).map_err(|early| match early {
        Early::Wrong(line) => line,
        Early::Help { asked, .. } => format!("help, asked: {asked}"),
    })
}

#[test]
fn clap_finds_no_fault() {
    command().debug_assert();
}

#[test]
fn settings_may_stand_on_both_sides_of_the_command() {
    let line = ["talkie", "--json", "--partners", "a", "--bus", "x", "sub", "t", "--partners", "b"];
    let invocation = read(&line).unwrap();
    assert!(invocation.json);
    let given = |flag| &invocation.settings.iter().find(|(name, _)| *name == flag).unwrap().1;
    assert_eq!(given("--partners"), &["a", "b"]);
    assert_eq!(given("--bus"), &["x"]);
    assert!(given("--name").is_empty());
    let twice = read(&["talkie", "--bus", "x", "sub", "t", "--bus", "y"]).unwrap_err();
    assert!(twice.contains("'--bus'") && twice.contains("multiple times"), "{twice}");
}

#[test]
fn commands_that_do_not_join_take_no_settings() {
    for line in [["talkie", "--bus", "x", "keygen"], ["talkie", "keygen", "--bus", "x"]] {
        assert!(read(&line).unwrap_err().contains("'--bus'"));
    }
}

#[test]
fn equal_patterns_are_one() {
    let Verb::Sub(Wanted { patterns, .. }) = read(&["talkie", "sub", "a", "b/*", "a"]).unwrap().verb else {
        panic!("not sub");
    };
    assert_eq!(patterns.len(), 2);
}

#[test]
fn payloads_are_bytes_and_a_dash_is_standard_input() {
    let payload = |line: &[&str]| match read(line).unwrap().verb {
        Verb::Pub(Publication { payload, .. }) => payload,
        other => panic!("{other:?}"),
    };
    assert!(matches!(payload(&["talkie", "pub", "t", "-"]), Payload::Lines));
    assert!(matches!(payload(&["talkie", "pub", "t"]), Payload::Bytes(bytes) if bytes.is_empty()));
    assert!(matches!(payload(&["talkie", "pub", "t", "-5"]), Payload::Bytes(bytes) if bytes == b"-5"));
    assert!(matches!(payload(&["talkie", "pub", "t", "--", "-x"]), Payload::Bytes(bytes) if bytes == b"-x"));
}

#[test]
fn headers_are_key_and_value_and_what_is_none_is_told() {
    let headers = |line: &[&str]| match read(line).unwrap().verb {
        Verb::Pub(Publication { headers, .. }) | Verb::Request(Question { headers, .. }) => headers,
        other => panic!("{other:?}"),
    };
    let expected: Headers = [("a", "1=2"), ("b", "")].try_into().unwrap();
    for command in ["pub", "request"] {
        assert!(headers(&["talkie", command, "t"]).is_empty());
        assert_eq!(headers(&["talkie", command, "t", "--header", "a=1=2", "p", "--header", "b="]), expected);
        let long = format!("a={}", "x".repeat(5_000));
        for (given, told) in [
            ("a", r#"--header: "a" is not KEY=VALUE, such as language=en"#),
            ("=1", r#"--header: header key "" is not 1 to 64 printable ASCII characters without blanks"#),
            ("b=2", r#"--header: "b" is given twice; a key is there once"#),
            (
                &long,
                "--header: headers of 5000 bytes are over the limit of 4096; what is long belongs into the payload",
            ),
        ] {
            let line = read(&["talkie", command, "t", "--header", "b=1", "--header", given]).unwrap_err();
            assert_eq!(line, told);
        }
    }
}

#[test]
fn seconds_are_finite_and_not_negative() {
    for bad in ["-1", "nan", "inf", "1e99", "soon", ""] {
        let line = read(&["talkie", "peers", "--wait", bad]).unwrap_err();
        assert!(line.contains("--wait") && !line.contains('\n'), "{line}");
    }
    let Verb::Peers { wait, .. } = read(&["talkie", "peers", "--wait", "0.25"]).unwrap().verb else {
        panic!("not peers");
    };
    assert_eq!(wait, Duration::from_millis(250));
}

#[test]
fn commands_that_print_no_events_take_no_json() {
    for line in [["talkie", "--json", "man"], ["talkie", "man", "--json"]] {
        assert!(read(&line).unwrap_err().contains("'--json'"));
    }
    assert!(!read(&["talkie", "completions", "zsh"]).unwrap().json);
}
