//! What needs no mesh: what is refused and how, the help texts, `keygen`, and output that nobody takes.

#![allow(clippy::unwrap_used, reason = "a test says so by panicking")]

mod common;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio};

use common::{SECRET, run, talkie};

/// Runs what must be refused: exit 2, nothing printed, and one line, which is given back.
#[track_caller]
fn refused(command: &mut Command) -> String {
    let (code, stdout, stderr) = run(command);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("talkie: ") && stderr.ends_with('\n') && !stderr.contains('\u{1b}'),
        "{stderr}"
    );
    stderr
}

#[test]
fn every_setting_refuses_a_bad_value_from_flag_and_variable() {
    let bad = [
        ("--secret", "TALKIE_SECRET", "hunter2"),
        ("--secret-file", "TALKIE_SECRET_FILE", "/nowhere/at/all"),
        ("--bus", "TALKIE_BUS", "a\u{7}b"),
        ("--name", "TALKIE_NAME", "a\u{7}b"),
        ("--listen", "TALKIE_LISTEN", "somewhere"),
        ("--partners", "TALKIE_PARTNERS", "alpha:beta"),
        ("--multicast", "TALKIE_MULTICAST", "perhaps"),
        ("--unix", "TALKIE_UNIX", "/run/talkie"),
        ("--group", "TALKIE_GROUP", "10.0.0.1:8255"),
        ("--interface", "TALKIE_INTERFACE", "surely-not"),
        ("--max-message", "TALKIE_MAX_MESSAGE", "64MiB"),
        ("--metrics", "TALKIE_METRICS", "localhost"),
    ];
    for setting in talkie_pubsub::settings::SETTINGS {
        assert!(bad.iter().any(|(flag, ..)| *flag == setting.flag), "{} is not tried", setting.flag);
    }
    for (flag, variable, value) in bad {
        let secret = flag.starts_with("--secret");
        let by_flag = |command: &mut Command| {
            if secret { refused(command) } else { refused(command.env("TALKIE_SECRET", SECRET)) }
        };
        let said = by_flag(talkie(["join", flag, value]).env_remove("TALKIE_INTERFACE"));
        assert!(said.starts_with(&format!("talkie: {flag}: ")), "{said}");
        let said_of_variable = by_flag(talkie(["join"]).env(variable, value));
        assert!(said_of_variable.starts_with(&format!("talkie: {variable}: ")), "{said_of_variable}");
        for said in [said, said_of_variable] {
            if flag == "--secret" {
                assert!(!said.contains(value) && said.contains("not shown"), "{said}");
            } else {
                assert!(said.contains(&value.escape_debug().to_string()), "{said}");
            }
            assert!(said.contains(" is not "), "{said}");
        }
    }
}

#[test]
fn without_a_secret_it_says_how_to_give_and_make_one() {
    for args in [
        &["join"][..],
        &["sub", "a"],
        &["pub", "a"],
        &["request", "a"],
        &["reply", "a", "--echo"],
        &["peers"],
    ] {
        let said = refused(&mut talkie(args));
        for word in ["TALKIE_SECRET", "TALKIE_SECRET_FILE", "--secret-file", "talkie keygen"] {
            assert!(said.contains(word), "{said}");
        }
    }
}

#[test]
fn two_secrets_at_one_level_are_refused() {
    let said = refused(&mut talkie(["join", "--secret", SECRET, "--secret-file", "/nowhere"]));
    assert!(said.contains("--secret and --secret-file") && !said.contains(SECRET), "{said}");
    let said = refused(talkie(["join"]).env("TALKIE_SECRET", SECRET).env("TALKIE_SECRET_FILE", "/nowhere"));
    assert!(said.contains("TALKIE_SECRET and TALKIE_SECRET_FILE"), "{said}");
}

#[test]
fn a_misspelt_variable_is_refused_by_every_command() {
    for args in [&["join"][..], &["sub", "a"], &["pub", "a"], &["peers"], &["keygen"], &["demo"], &["man"]] {
        let said = refused(talkie(args).env("TALKIE_SECRET", SECRET).env("TALKIE_PARTNER", "a"));
        assert!(said.contains("TALKIE_PARTNER:") && said.contains("TALKIE_PARTNERS"), "{said}");
    }
}

#[test]
fn a_strange_variable_is_warned_of_and_those_of_kubernetes_are_not() {
    let mut strange = talkie(["keygen"]);
    let (code, _, stderr) = run(strange.env("TALKIE_COLOUR", "red"));
    assert!(code == 0 && stderr.contains("WARN") && stderr.contains("TALKIE_COLOUR"), "{stderr}");
    let mut injected = talkie(["keygen"]);
    injected.env("TALKIE_PORT", "tcp://10.0.0.1:8255").env("TALKIE_SERVICE_HOST", "10.0.0.1");
    assert_eq!(run(&mut injected).2, "");
}

#[test]
fn wrong_usage_is_one_line_that_names_it() {
    let wrong: [(&[&str], &[&str]); 33] = [
        (&["doctor", "a", "b"], &["doctor"]),
        (&["jion"], &["jion", "join"]),
        (&["--json"], &["command"]),
        (&["join", "--jsno"], &["--jsno", "--json"]),
        (&["join", "stray"], &["stray"]),
        (&["join", "--bus"], &["--bus"]),
        (&["join", "--bus", "a", "--bus", "b"], &["--bus"]),
        (&["--bus", "a", "join", "--bus", "b"], &["--bus"]),
        (&["keygen", "--secret", "x"], &["--secret"]),
        (&["--bus", "a", "demo"], &["--bus"]),
        (&["join", "--log", "loud"], &["--log", "loud"]),
        (&["sub"], &["PATTERN"]),
        (&["sub", "a//b"], &["PATTERN", "a//b"]),
        (&["sub", "a", "b*"], &["PATTERN", "b*"]),
        (&["sub", "a", "--count", "0"], &["--count", "0"]),
        (&["sub", "a", "--count", "-1"], &["--count", "-1"]),
        (&["sub", "a", "--timeout", "soon"], &["--timeout", "soon"]),
        (&["request", "a/*"], &["TOPIC", "a/*"]),
        (&["request", "a", "b", "--responders", "-1"], &["--responders", "-1"]),
        (&["request", "a", "b", "c"], &["'c'"]),
        (&["reply", "a//b", "--echo"], &["PATTERN", "a//b"]),
        (&["reply", "a"], &["--exec", "--echo"]),
        (&["reply", "a", "--echo", "--exec", "true"], &["--exec", "--echo"]),
        (&["pub"], &["TOPIC"]),
        (&["pub", "a/*", "x"], &["TOPIC", "a/*"]),
        (&["pub", "a", "x", "--subscribers", "few"], &["--subscribers", "few"]),
        (&["pub", "a", "xx", "--max-message", "1"], &["PAYLOAD", "--max-message"]),
        (&["peers", "--wait", "-1"], &["--wait", "-1"]),
        (&["peers", "--count", "0"], &["--count", "0"]),
        (&["completions"], &["SHELL"]),
        (&["completions", "tcsh"], &["tcsh", "bash"]),
        (&["--json", "completions", "bash"], &["--json"]),
        (&["man", "--bus", "a"], &["--bus"]),
    ];
    for (args, words) in wrong {
        let said = refused(talkie(args).env("TALKIE_SECRET", SECRET));
        for word in words {
            assert!(said.contains(word), "{args:?}: {said}");
        }
    }
}

#[test]
fn arguments_that_are_not_utf8_are_named() {
    let odd = || OsString::from_vec(vec![b'a', 0xff]);
    for (args, word) in [
        (vec!["sub".into(), odd()], "pattern"),
        (vec!["pub".into(), odd()], "topic"),
        (vec!["join".into(), "--name".into(), odd()], "--name"),
        (vec![odd()], "a"),
    ] {
        let said = refused(talkie(&args).env("TALKIE_SECRET", SECRET));
        assert!(said.contains(word), "{args:?}: {said}");
    }
}

#[test]
fn no_argument_shows_the_help_as_wrong_usage() {
    let (code, stdout, stderr) = run(&mut talkie([] as [&str; 0]));
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("Usage:") && stderr.contains("talkie demo"), "{stderr}");
}

#[test]
fn help_tells_settings_output_exit_codes_and_examples() {
    for command in ["demo", "join", "sub", "pub", "request", "reply", "peers", "keygen", "completions", "man"]
    {
        let (code, stdout, stderr) = run(&mut talkie([command, "--help"]));
        assert_eq!((code, stderr.as_str()), (0, ""));
        let prints_events = !matches!(command, "completions" | "man");
        for (word, there) in
            [("Exit codes:", true), ("Examples:", true), ("--json", prints_events), ("--log", prints_events)]
        {
            assert_eq!(stdout.contains(word), there, "{command}: {stdout}");
        }
        let joins = prints_events && !matches!(command, "demo" | "keygen");
        for setting in talkie_pubsub::settings::SETTINGS {
            let shown = stdout.contains(setting.flag) && stdout.contains(setting.variable);
            assert!(shown || !joins, "{command} {}: {stdout}", setting.flag);
        }
        assert_eq!(stdout.contains("visible to the"), joins, "{stdout}");
    }
    let (code, stdout, _) = run(&mut talkie(["--help"]));
    assert_eq!(code, 0);
    for later in ["doctor", "demo-node", "bench-role"] {
        assert!(!stdout.contains(&format!("\n  {later}")), "{stdout}");
    }
    let (code, stdout, _) = run(&mut talkie(["--version"]));
    assert_eq!((code, stdout), (0, format!("talkie {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn keygen_prints_a_secret_that_parses_and_is_new() {
    let (code, one, stderr) = run(&mut talkie(["keygen"]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (_, two, _) = run(&mut talkie(["keygen"]));
    assert_ne!(one, two);
    assert_eq!(one.lines().count(), 1);
    let secret = one.trim_end();
    assert!(secret.starts_with("tk1-"));
    assert_eq!(*talkie_pubsub::Secret::parse(secret).unwrap().to_text(), secret);
    let (_, json, _) = run(&mut talkie(["keygen", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["event"], "secret");
    talkie_pubsub::Secret::parse(json["secret"].as_str().unwrap()).unwrap();
}

#[test]
fn output_that_nobody_takes_is_a_quiet_end_and_a_full_disk_is_not() {
    for args in [&["keygen"][..], &["--help"], &["sub", "--help"], &["man"], &["completions", "zsh"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, _, stderr) = run(talkie(args).stdout(writer));
        assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (code, _, stderr) = run(talkie(["keygen"]).stdout(full));
    assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
}

#[test]
fn a_closed_standard_error_is_no_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = talkie(["join"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = talkie(["keygen"]).env("TALKIE_COLOUR", "red").stderr(writer).stdout(Stdio::null()).status();
    assert_eq!(status.unwrap().code(), Some(0));
}
