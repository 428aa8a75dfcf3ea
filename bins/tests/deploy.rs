//! The packaging files: that they name nothing that does not exist, and that the unit's command does what the unit
//! relies on.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test of real processes says so by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Mesh, Running, SECRET, SOON, TempDir, clean, run, skipped, talkie};
use nix::sys::signal::Signal;
use talkie_pubsub::settings::SETTINGS;

const UNIT: &str = include_str!("../deploy/systemd/talkie.service");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn files_below(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        if path.is_dir() {
            files_below(&path)
        } else {
            vec![(path.clone(), std::fs::read_to_string(path).unwrap())]
        }
    };
    entries.flat_map(read).collect()
}

/// Every value of a key of a unit, in order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// The words of a command line of a unit.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().map(|word| word.trim_matches('\'')).collect()
}

#[test]
fn no_file_names_a_variable_that_does_not_exist() {
    // What Kubernetes injects is spoken of, and is none of ours.
    let injected = ["TALKIE_PORT", "TALKIE_SERVICE_HOST"];
    let mut named = BTreeSet::new();
    let files = files_below(&folder());
    for (path, text) in &files {
        let names = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        for name in names.filter(|name| name.starts_with("TALKIE_") && !injected.contains(name)) {
            assert!(SETTINGS.iter().any(|it| it.variable == name), "{}: there is no {name}", path.display());
            named.insert((path.file_name().unwrap(), name));
        }
    }
    assert!(files.len() >= 6, "{files:?}");
    assert!(named.contains(&("talkie.service".as_ref(), "TALKIE_SECRET_FILE")), "{named:?}");
    assert!(named.contains(&("compose.yaml".as_ref(), "TALKIE_BUS")), "{named:?}");
}

#[test]
fn every_command_line_of_a_unit_is_one() {
    let units = files_below(&folder().join("systemd"));
    let lines: Vec<_> = units.iter().flat_map(|(_, unit)| values(unit, "ExecStart")).collect();
    let mut tried = 0;
    for line in lines.into_iter().filter(|line| !line.is_empty()) {
        let words = words(line);
        assert_eq!(words[0], "/usr/bin/talkie");
        // Help is shown only where everything before it is right.
        let (code, _, said) = run(&mut talkie(words[1..].iter().chain(&["--help"])));
        assert_eq!(code, 0, "{line}: {said}");
        tried += 1;
    }
    assert_eq!(tried, 2);
}

#[test]
fn every_setting_of_the_example_is_taken() {
    let example = include_str!("../deploy/systemd/talkie.service.d/site.conf.example");
    let mut command = talkie(["peers", "--wait", "0"]);
    command.env("TALKIE_SECRET", SECRET);
    let mut settings = 0;
    for setting in values(example, "Environment") {
        let (variable, value) = setting.split_once('=').unwrap();
        // What this machine may not have, and what would look for names.
        if !["TALKIE_INTERFACE", "TALKIE_LISTEN", "TALKIE_PARTNERS"].contains(&variable) {
            command.env(variable, value);
        }
        settings += 1;
    }
    assert!(settings >= 6);
    command.env("TALKIE_GROUP", "239.255.82.55:9301");
    assert_eq!(run(&mut command).0, 0);
}

#[test]
fn the_unit_s_command_does_what_the_unit_relies_on() {
    let folder = TempDir::new();
    let credentials = folder.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    let [credential] = values(UNIT, "LoadCredential")[..] else { panic!("one credential") };
    let secret = credentials.join(credential.split_once(':').unwrap().0);
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    std::fs::set_permissions(&secret, Permissions::from_mode(0o440)).unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let word = || {
        let mut word = [0; 512];
        let length = manager.recv(&mut word).expect("a word comes in time");
        String::from_utf8(word[..length].to_vec()).unwrap()
    };

    let [line] = values(UNIT, "ExecStart")[..] else { panic!("one command") };
    let service = |wrong: Option<(&str, &str)>| {
        let mut command = Mesh::new().talkie(&words(line)[1..]);
        command.env_remove("TALKIE_SECRET").env("CREDENTIALS_DIRECTORY", &credentials);
        command.env("NOTIFY_SOCKET", &socket);
        for setting in values(UNIT, "Environment") {
            let (variable, value) = setting.split_once('=').unwrap();
            command.env(variable, value.replace("%d", credentials.to_str().unwrap()));
        }
        command.envs(wrong);
        command
    };
    assert_eq!(values(UNIT, "Type"), ["notify"]);
    let mut running = Running::start(&mut service(None));
    assert!(word().starts_with("READY=1\nSTATUS="));
    let [signal] = values(UNIT, "KillSignal")[..] else { panic!("one signal") };
    running.signal(signal.parse::<Signal>().unwrap());
    assert!(word().starts_with("STOPPING=1\n"));
    assert_eq!(running.ends(), (Some(0), String::new()), "and nothing is warned of");

    // Wrong usage does not heal, and is what is not tried again.
    let (code, _, said) = run(&mut service(Some(("TALKIE_BUSS", "x"))));
    assert_eq!(values(UNIT, "RestartPreventExitStatus"), [code.to_string()], "{said}");
    // The process ends by itself before it is killed: 7 s and half a second for a goodbye.
    let patience: u64 = values(UNIT, "TimeoutStopSec")[0].parse().unwrap();
    assert!(patience >= 8, "{patience}");
}

#[test]
fn systemd_finds_no_fault_with_the_unit() {
    let here = Command::new("systemd-analyze").arg("--version").output();
    if !here.is_ok_and(|output| output.status.success()) {
        return skipped("there is no systemd-analyze here");
    }
    let folder = TempDir::new();
    let unit = folder.path().join("talkie.service");
    // It wants the program to be there, and the manual that the unit names.
    std::fs::write(&unit, UNIT.replace("/usr/bin/talkie", env!("CARGO_BIN_EXE_talkie"))).unwrap();
    let (code, _, _) = run(&mut talkie(["man".as_ref(), folder.path().join("man1").as_os_str()]));
    assert_eq!(code, 0);
    let drop_in = folder.path().join("talkie.service.d");
    for examples in [&[][..], &["site.conf", "encrypted-secret.conf"]] {
        for example in examples {
            let text = files_below(&self::folder().join("systemd/talkie.service.d"));
            let (_, text) =
                text.iter().find(|(path, _)| path.ends_with(format!("{example}.example"))).unwrap();
            std::fs::create_dir_all(&drop_in).unwrap();
            let text = text.replace("/usr/bin/talkie", env!("CARGO_BIN_EXE_talkie"));
            std::fs::write(drop_in.join(example), text).unwrap();
        }
        let mut verify = clean(Command::new("systemd-analyze"));
        verify.env("MANPATH", folder.path()).args(["verify", "--man=no"]).arg(&unit);
        let (code, stdout, said) = run(&mut verify);
        assert_eq!((code, stdout.as_str(), said.as_str()), (0, "", ""), "{examples:?}");
    }
    // In tenths: it fails above 1.5.
    let mut security = clean(Command::new("systemd-analyze"));
    let (code, stdout, said) =
        run(security.args(["security", "--offline=true", "--threshold=15", "--no-pager"]).arg(&unit));
    assert_eq!(code, 0, "{said}\n{stdout}");
}
