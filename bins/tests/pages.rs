//! Completions and manual pages, as the programs that read them see them: where one is missing here, that much is
//! skipped and said.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test of real processes says so by panicking"
)]

mod common;

use std::process::Command;

use common::{TempDir, clean, run, skipped, talkie};

/// Whether a program is here; says so if not.
fn is_here(program: &str) -> bool {
    let here = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
    if !here.status.success() {
        skipped(&format!("there is no {program} here"));
    }
    here.status.success()
}

fn script(shell: &str) -> String {
    let (code, script, said) = run(&mut talkie(["completions", shell]));
    assert_eq!((code, said.as_str()), (0, ""));
    script
}

#[test]
fn every_shell_is_told_every_command_and_every_setting() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = script(shell);
        for setting in talkie_pubsub::settings::SETTINGS {
            let flag = setting.flag.trim_start_matches("--");
            assert!(script.contains(flag), "{shell}: {flag}");
        }
        for command in [
            "demo",
            "join",
            "sub",
            "pub",
            "request",
            "reply",
            "peers",
            "bench",
            "fanout",
            "keygen",
            "completions",
            "man",
        ] {
            assert!(script.contains(command), "{shell}: {command}");
        }
        assert!(
            !script.contains("demo-node") && !script.contains("bench-role"),
            "{shell} offers what is not for people"
        );
    }
}

#[test]
fn bash_completes_what_was_begun() {
    if !is_here("bash") {
        return;
    }
    // As bash itself calls a completion's function.
    let ask = "complete -p talkie; ask() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); \
               _talkie talkie \"${@: -1}\" \"${@: -2:1}\" 2>/dev/null; echo \"${COMPREPLY[*]}\"; }; \
               ask talkie pe; ask talkie join --mu; ask talkie join --multicast ''; ask talkie sub --log d; \
               ask talkie join --secret-file /etc/passw; ask talkie completions z; ask talkie join --bus /et";
    let mut bash = clean(Command::new("bash"));
    let (code, stdout, said) = run(bash.args(["--norc", "-c", &format!("{}\n{ask}", script("bash"))]));
    assert_eq!(code, 0, "{said}");
    let lines: Vec<_> = stdout.lines().collect();
    assert!(lines[0].ends_with("-F _talkie talkie"), "{stdout}");
    assert_eq!(&lines[1..4], ["peers", "--multicast", "on off"]);
    assert_eq!(lines[4], "debug");
    assert!(lines[5].split(' ').any(|file| file == "/etc/passwd"), "{stdout}");
    // No file is offered for what is none.
    assert_eq!(&lines[6..], ["zsh", "/et"]);
}

#[test]
fn zsh_and_fish_take_their_scripts() {
    let folder = TempDir::new();
    if is_here("zsh") {
        std::fs::write(folder.path().join("_talkie"), script("zsh")).unwrap();
        let load = format!(
            "fpath=({0} $fpath); autoload -U compinit; compinit -u -d {0}/dump; autoload +X _talkie && \
             print ${{_comps[talkie]}}",
            folder.path().display()
        );
        let (code, stdout, said) = run(clean(Command::new("zsh")).args(["-f", "-c", &load]));
        assert_eq!((code, stdout.as_str()), (0, "_talkie\n"), "{said}");
    }
    if is_here("fish") {
        let file = folder.path().join("talkie.fish");
        std::fs::write(&file, script("fish")).unwrap();
        let ask = format!(
            "source {}; complete -C 'talkie p'; complete -C 'talkie join --multicast '; complete -C 'talkie demo'",
            file.display()
        );
        let mut fish = clean(Command::new("fish"));
        let (code, stdout, said) = run(fish.env("HOME", folder.path()).args(["--no-config", "-c", &ask]));
        assert_eq!(code, 0, "{said}");
        let words: Vec<_> = stdout.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(words, ["peers", "pub", "off", "on", "demo"]);
    }
}

#[test]
fn the_manual_is_written_and_its_readers_have_nothing_to_say() {
    let folder = TempDir::new();
    let dir = folder.path().join("deep/man1");
    let (code, stdout, said) = run(&mut talkie(["man".as_ref(), dir.as_os_str()]));
    assert_eq!((code, said.as_str()), (0, ""));
    let files: Vec<_> = stdout.lines().collect();
    assert_eq!(files.len(), 18, "{stdout}");
    let (_, printed, _) = run(&mut talkie(["man"]));
    assert_eq!(printed, std::fs::read_to_string(dir.join("talkie.1")).unwrap());
    for file in files {
        if is_here("mandoc") {
            let (_, stdout, said) = run(clean(Command::new("mandoc")).args(["-Tlint", "-Wwarning", file]));
            assert_eq!((stdout.as_str(), said.as_str()), ("", ""), "mandoc");
        }
        if is_here("man") {
            let mut man = clean(Command::new("man"));
            let (_, stdout, said) =
                run(man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80").args(["--warnings", "-l", file]));
            assert_eq!(said, "", "man");
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"] {
                assert!(stdout.lines().any(|line| line == section), "{file}: {section}\n{stdout}");
            }
            // For copying: no typographer's quotation marks.
            assert!(!stdout.contains(['‘', '’']), "{stdout}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let (code, stdout, said) = run(&mut talkie(["man", "/dev/null/man1"]));
    assert_eq!((code, stdout.as_str(), said.lines().count()), (1, "", 1), "{said}");
    assert!(said.contains("/dev/null/man1"), "{said}");
}
