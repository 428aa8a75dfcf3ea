//! CONTRACT's table of settings: flag beats environment beats default, and every bad value is refused
//! before anything starts, in one line that says what would be right.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use talkie_tests::{
    SOON,
    command::Talkie,
    mesh::{Member, Mesh, free_port, keygen},
    temp::TempFile,
};

#[test]
fn without_a_secret_every_joining_command_says_how_to_get_one() {
    for command in [
        Talkie::new("join"),
        Talkie::new("sub").arg("t"),
        Talkie::new("pub").args(["t", "x"]),
        Talkie::new("peers"),
    ] {
        command.run().refused(&["secret", "TALKIE_SECRET", "keygen"]);
    }
}

#[test]
fn wrong_values_are_refused_by_flag_and_by_variable() {
    let mesh = Mesh::new();
    let long_name = "n".repeat(65);
    for (flag, variable, value) in [
        ("--name", "TALKIE_NAME", ""),
        ("--name", "TALKIE_NAME", long_name.as_str()),
        ("--name", "TALKIE_NAME", "line\nbreak"),
        ("--listen", "TALKIE_LISTEN", "nonsense"),
        ("--listen", "TALKIE_LISTEN", "127.0.0.1"),
        ("--listen", "TALKIE_LISTEN", "127.0.0.1:65536"),
        ("--partners", "TALKIE_PARTNERS", "host:port"),
        ("--partners", "TALKIE_PARTNERS", "host:0"),
        ("--partners", "TALKIE_PARTNERS", "host:99999"),
        ("--partners", "TALKIE_PARTNERS", "[fd00::7"),
        ("--partners", "TALKIE_PARTNERS", "two words"),
        ("--multicast", "TALKIE_MULTICAST", "maybe"),
        ("--unix", "TALKIE_UNIX", "yes"),
        ("--group", "TALKIE_GROUP", "127.0.0.1:8255"),
        ("--group", "TALKIE_GROUP", "239.255.82.55"),
        ("--group", "TALKIE_GROUP", "[fd00::1]:8255"),
        ("--interface", "TALKIE_INTERFACE", "no-such-interface"),
        ("--interface", "TALKIE_INTERFACE", "203.0.113.77"),
        ("--max-message", "TALKIE_MAX_MESSAGE", "67108865"),
        ("--max-message", "TALKIE_MAX_MESSAGE", "0"),
        ("--max-message", "TALKIE_MAX_MESSAGE", "-1"),
        ("--max-message", "TALKIE_MAX_MESSAGE", "lots"),
        ("--metrics", "TALKIE_METRICS", "9255"),
        ("--metrics", "TALKIE_METRICS", "203.0.113.77:9255"),
    ] {
        // The interface as a variable: a test of `--interface` must not hold another value beside it.
        let command = || mesh.talkie("join").without_interface_flag().env("TALKIE_INTERFACE", "lo");
        let shown = value.lines().next().unwrap_or_default();
        let shown = if shown.len() > 60 { &shown[..20] } else { shown };
        let done = command().arg(format!("{flag}={value}")).run();
        assert_eq!(done.code(), Some(2), "{flag}={value:?}: {done:?}");
        done.refused(&[flag, shown]);
        if value.is_empty() {
            continue; // Whether an empty variable is a wrong or a missing one, the contract leaves open.
        }
        let done = command().env(variable, value).run();
        assert_eq!(done.code(), Some(2), "{variable}={value:?}: {done:?}");
        done.refused(&[variable, shown]);
    }
}

#[test]
fn a_bus_name_that_cannot_be_is_refused() {
    let mesh = Mesh::new();
    let long = "b".repeat(300);
    mesh.talkie("join").arg("--bus=").run().refused(&["--bus"]);
    mesh.talkie("join").args(["--bus", &long]).run().refused(&["--bus"]);
    mesh.talkie("join").env("TALKIE_BUS", &long).run().refused(&["TALKIE_BUS"]);
}

#[test]
fn two_groups_of_one_family_are_refused() {
    let groups = ["--group", "239.255.82.55:8255", "--group", "239.255.82.56:8255"];
    Mesh::new().talkie("join").args(groups).run().refused(&["--group"]);
}

#[test]
fn wrong_usage_is_one_line() {
    let mesh = Mesh::new();
    mesh.talkie("join").arg("--no-such-flag").run().refused(&["--no-such-flag"]);
    mesh.talkie("join").arg("stray").run().refused(&["stray"]);
    Talkie::bare().arg("juggle").run().refused(&["juggle"]);
    mesh.talkie("sub").run().refused(&["pattern"]);
    mesh.talkie("pub").run().refused(&["topic"]);
    mesh.talkie("pub").args(["t", "x", "stray"]).run().refused(&["stray"]);
    mesh.talkie("sub").args(["t", "--count", "many"]).run().refused(&["--count", "many"]);
    mesh.talkie("sub").args(["t", "--timeout", "soon"]).run().refused(&["--timeout", "soon"]);
    mesh.talkie("sub").args(["t", "--timeout=-1"]).run().refused(&["--timeout", "-1"]);
    mesh.talkie("pub").args(["t", "x", "--subscribers", "few"]).run().refused(&["--subscribers", "few"]);
    mesh.talkie("peers").args(["--wait", "long"]).run().refused(&["--wait", "long"]);
    mesh.talkie("join").args(["--name", "a", "--name", "b"]).run().refused(&["--name"]);
    mesh.talkie("join").args(["--log", "shouting"]).run().refused(&["--log", "shouting"]);
}

#[test]
fn topics_and_patterns_that_cannot_be_are_refused() {
    let mesh = Mesh::new();
    let long = "t".repeat(256);
    let deep = ["s"; 17].join("/");
    for topic in ["", "/", "a//b", "/a", "a/", "a*", "a/b*c", "***", long.as_str(), deep.as_str()] {
        mesh.talkie("sub").args(["--timeout", "3", "--", topic]).run().refused(&[]);
        mesh.talkie("pub").args(["--timeout", "3", "--", topic, "x"]).run().refused(&[]);
    }
    for pattern in ["*", "a/*", "**"] {
        mesh.talkie("pub").args([pattern, "x", "--timeout", "3"]).run().refused(&[pattern]);
    }
}

#[test]
fn the_longest_and_deepest_topics_work() {
    let mesh = Mesh::new();
    let long = format!("{}x", "ü".repeat(127));
    assert_eq!(long.len(), 255);
    let deep = ["s"; 16].join("/");
    let sub = mesh.sub("sub", &["**"]);
    for topic in [long.as_str(), deep.as_str(), "room:42", "with blanks", "日本/語"] {
        mesh.publish("pub", topic, "x").exits(0);
        assert_eq!(sub.next("message")["topic"], topic);
    }
}

#[test]
fn arguments_that_are_not_utf8_are_refused_or_passed_through() {
    let mesh = Mesh::new();
    let bytes = OsStr::from_bytes(b"\xff\xfe");
    mesh.talkie("sub").arg(bytes).run().refused(&[]);
    mesh.talkie("pub").arg(bytes).arg("x").run().refused(&[]);
    mesh.talkie("join").arg("--bus").arg(bytes).run().refused(&["--bus"]);
    mesh.talkie("join").env("TALKIE_NAME", bytes).run().refused(&["TALKIE_NAME"]);
    mesh.talkie("join").env("TALKIE_SECRET", bytes).run().refused(&["TALKIE_SECRET"]);
    // A payload is bytes.
    let sub = mesh.sub("sub", &["t"]);
    mesh.talkie("pub").arg("t").arg(bytes).run().exits(0);
    assert_eq!(sub.next("message")["payload_base64"], "//4=");
}

#[test]
fn a_misspelt_variable_is_refused_and_a_strange_one_warned_of() {
    let mesh = Mesh::new();
    mesh.talkie("join").env("TALKIE_SECRT", "x").run().refused(&["TALKIE_SECRT", "TALKIE_SECRET"]);
    mesh.talkie("join").env("TALKIE_LISTENS", "x").run().refused(&["TALKIE_LISTENS", "TALKIE_LISTEN"]);
    mesh.talkie("join").env("TALKIE_PARTNER", "x").run().refused(&["TALKIE_PARTNER", "TALKIE_PARTNERS"]);

    let strange = mesh.talkie("join").env("TALKIE_WALKIE", "x").spawn();
    strange.next("joined");
    strange.expect_log("TALKIE_WALKIE", SOON);
    strange.terminate();

    // What Kubernetes injects for a service of this name says nothing to us.
    let cluster = mesh
        .talkie("join")
        .env("TALKIE_PORT", "tcp://10.0.0.1:8255")
        .env("TALKIE_PORT_8255_TCP_ADDR", "10.0.0.1")
        .env("TALKIE_SERVICE_HOST", "10.0.0.1")
        .env("TALKIE_SERVICE_PORT", "8255")
        .env("TALKIE_MAIN_SERVICE_HOST", "10.0.0.1")
        .spawn();
    cluster.next("joined");
    cluster.leaves();
    assert_eq!(cluster.stderr().trim(), "");
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_default() {
    let mesh = Mesh::new();
    let plain = Member::start(mesh.talkie("join"));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(plain.joined["name"], format!("talkie@{}", host.trim()));
    assert_eq!(plain.joined["bus"], "default");

    let variables = |command: Talkie| command.env("TALKIE_NAME", "variable").env("TALKIE_BUS", "blue");
    let by_variable = Member::start(variables(mesh.talkie("join")));
    assert_eq!(by_variable.joined["name"], "variable");
    assert_eq!(by_variable.joined["bus"], "blue");

    let by_flag = Member::start(variables(mesh.talkie("join")).args(["--name", "flag", "--bus", "red"]));
    assert_eq!(by_flag.joined["name"], "flag");
    assert_eq!(by_flag.joined["bus"], "red");
    // All of them are of one mesh, whatever bus they open.
    by_flag.meets(&plain);
    by_flag.meets(&by_variable);

    let other = mesh.neighbour();
    let by_secret = Member::start(mesh.talkie("join").args(["--secret", other.secret()]));
    let same = other.join("same");
    by_secret.meets(&same);
}

#[test]
fn listen_gives_the_address_and_the_port() {
    let mesh = Mesh::new();
    let port = free_port();
    for (listen, expected) in [
        (format!("127.0.0.1:{port}"), vec![format!("127.0.0.1:{port}")]),
        (format!("[::1]:{port}"), vec![format!("[::1]:{port}")]),
        (format!("0.0.0.0:{port}"), vec![format!("127.0.0.1:{port}")]),
        (format!("[::]:{port}"), vec![format!("127.0.0.1:{port}"), format!("[::1]:{port}")]),
    ] {
        let node = Member::start(mesh.talkie("join").args(["--listen", &listen]));
        let told = node.joined["listen"].as_array().unwrap();
        for address in &expected {
            assert!(told.iter().any(|told| told == address), "{address} in {}", node.joined);
        }
        if listen.starts_with("0.0.0.0") {
            assert!(told.iter().all(|told| !told.as_str().unwrap().starts_with('[')), "{}", node.joined);
        }
        node.leaves();
    }
}

#[test]
fn a_port_that_is_taken_is_told_at_once() {
    let mesh = Mesh::new();
    let holder = mesh.join("holder");
    let done = mesh.talkie("join").args(["--listen", &holder.addr().to_string()]).run();
    assert!(matches!(done.code(), Some(1 | 2)), "{done:?}");
    assert!(done.stderr.contains(&holder.port().to_string()), "{}", done.stderr);
    assert_eq!(done.stderr.trim_end().lines().count(), 1, "{}", done.stderr);
}

#[test]
fn without_listen_a_second_node_takes_another_port() {
    let mesh = Mesh::new();
    let one = Member::start(mesh.talkie("join").name("one").without_env("TALKIE_LISTEN"));
    let two = Member::start(mesh.talkie("join").name("two").without_env("TALKIE_LISTEN"));
    assert_ne!(one.port(), two.port());
    one.meets(&two);
    two.meets(&one);
}

#[test]
fn a_secret_with_a_typing_error_is_refused_and_not_shown() {
    let secret = keygen();
    let last = secret.chars().last().unwrap();
    let typo = format!("{}{}", &secret[..secret.len() - 1], if last == 'a' { 'b' } else { 'a' });
    for wrong in [typo.as_str(), &secret[..secret.len() - 1], "tk1-", "tk1-hello"] {
        for command in
            [Talkie::new("join").env("TALKIE_SECRET", wrong), Talkie::new("join").args(["--secret", wrong])]
        {
            let done = command.run();
            done.refused(&["secret"]);
            let body = wrong.trim_start_matches("tk1-");
            let start = &body[..body.len().min(8)];
            assert!(start.is_empty() || !done.stderr.contains(start), "{done:?}");
        }
    }
}

#[test]
fn a_passphrase_works_a_weak_one_is_warned_of_a_short_one_refused() {
    let mesh = Mesh::with_secret("correct otter battery lighthouse 77");
    let (one, two) = (mesh.join("one"), mesh.join("two"));
    one.meets(&two);
    assert_eq!(one.stderr().trim(), "", "a strong one is not warned of");

    let weak = Mesh::with_secret("password1");
    let warned = weak.join("warned");
    warned.expect_log("passphrase", SOON);
    assert!(!warned.stderr().contains("password1"), "{}", warned.stderr());

    let short = Talkie::new("join").env("TALKIE_SECRET", "hunter2").run();
    short.refused(&["TALKIE_SECRET", "8"]);
    assert!(!short.stderr.contains("hunter2"), "{}", short.stderr);
}

#[test]
fn a_secret_file_is_trimmed_and_its_empty_lines_skipped() {
    let mesh = Mesh::new();
    let file = TempFile::new(&format!("\n  {} \r\n\n", mesh.secret()));
    let command = || mesh.talkie("join").without_env("TALKIE_SECRET");
    let by_flag = Member::start(command().name("by-flag").arg("--secret-file").arg(file.path()));
    let by_variable = Member::start(command().name("by-variable").env("TALKIE_SECRET_FILE", file.path()));
    let by_word = mesh.join("by-word");
    by_flag.meets(&by_word);
    by_flag.meets(&by_variable);
}

#[test]
fn a_secret_file_that_cannot_be_used_is_refused() {
    let command = |file: &TempFile| Talkie::new("join").arg("--secret-file").arg(file.path());
    let five: String = (0..5).map(|_| format!("{}\n", keygen())).collect();
    command(&TempFile::new(&five)).run().refused(&["--secret-file", "4"]);
    let comment = TempFile::new(&format!("{}\n# the old one, of the spring\n", keygen()));
    let done = command(&comment).run();
    done.refused(&["--secret-file", "line 2", "no comments"]);
    assert!(!done.stderr.contains("spring"), "{}", done.stderr);
    let none = TempFile::new("\n  \n");
    command(&none).run().refused(&["--secret-file"]);
    let missing = "/nonexistent/talkie-secret";
    Talkie::new("join").args(["--secret-file", missing]).run().refused(&["--secret-file", missing]);
    let bad = TempFile::new("tk1-mistyped\n");
    let done = command(&bad).run();
    done.refused(&["--secret-file"]);
    assert!(!done.stderr.contains("mistyped"), "{}", done.stderr);
}

#[test]
fn a_secret_in_the_place_of_its_file_is_not_shown() {
    for secret in [keygen(), keygen().to_uppercase()] {
        let body = &secret[4..12];
        let flag = Talkie::new("join").args(["--secret-file", &secret]).run();
        let variable = Talkie::new("join").env("TALKIE_SECRET_FILE", &secret).run();
        flag.refused(&["--secret-file", "not shown"]);
        variable.refused(&["TALKIE_SECRET_FILE", "not shown"]);
        assert!(!flag.stderr.contains(body) && !variable.stderr.contains(body), "{flag:?} {variable:?}");
    }
}

#[test]
fn a_secret_on_the_command_line_is_warned_of() {
    let mesh = Mesh::new();
    let shown = mesh.talkie("peers").args(["--wait", "0", "--secret", mesh.secret()]).run().exits(0);
    let told =
        shown.stderr.lines().filter(|line| line.contains("WARN") && line.contains("--secret ")).count();
    assert_eq!(told, 1, "{shown:?}");
    assert!(!shown.stderr.contains(&mesh.secret()[4..12]), "{shown:?}");
    let hidden = mesh.talkie("peers").args(["--wait", "0"]).run().exits(0);
    assert!(!hidden.stderr.contains("WARN"), "{hidden:?}");
}

#[test]
fn two_secrets_at_one_level_are_refused() {
    let secret = keygen();
    let file = TempFile::new(&secret);
    let flags = Talkie::new("join").args(["--secret", &secret, "--secret-file"]).arg(file.path()).run();
    flags.refused(&["--secret", "--secret-file"]);
    let variables =
        Talkie::new("join").env("TALKIE_SECRET", &secret).env("TALKIE_SECRET_FILE", file.path()).run();
    variables.refused(&["TALKIE_SECRET", "TALKIE_SECRET_FILE"]);

    // A flag beats the other level, whichever of the two it is.
    let mesh = Mesh::new();
    let by_file = Member::start(mesh.neighbour().talkie("join").arg("--secret-file").arg({
        fs::write(file.path(), mesh.secret()).unwrap();
        file.path()
    }));
    // On the neighbour's group, which is the same, with this mesh's secret.
    let member = mesh.join("member");
    by_file.meets(&member);
}
