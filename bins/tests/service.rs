//! What a service needs: word to its manager, a journal, credentials, and signals that mean what they mean there.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test of real processes lives in real time and says so by panicking"
)]

mod common;

use std::fs::File;
use std::fs::Permissions;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};

use common::{Mesh, Running, SECRET, SOON, TempDir, clean, run, skipped, talkie};
use nix::sys::signal::Signal;

/// What a service manager is to its services: a socket.
struct Manager(UnixDatagram);

impl Manager {
    fn new(address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self(socket)
    }

    /// The next word, as lines.
    fn hears(&self) -> Vec<String> {
        let mut word = [0; 4096];
        let length = self.0.recv(&mut word).expect("a word comes in time");
        String::from_utf8(word[..length].to_vec()).unwrap().lines().map(str::to_owned).collect()
    }

    fn heard_nothing(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        self.0.recv(&mut [0; 1]).is_err()
    }
}

#[test]
fn a_manager_hears_ready_then_who_is_linked_then_stopping() {
    let folder = TempDir::new();
    let path = folder.path().join("notify");
    let name = format!("talkie-test-{}", std::process::id());
    let sockets = [
        (path.to_str().unwrap().to_owned(), SocketAddr::from_pathname(&path).unwrap()),
        (format!("@{name}"), SocketAddr::from_abstract_name(&name).unwrap()),
    ];
    for (variable, address) in sockets {
        let (manager, mesh) = (Manager::new(&address), Mesh::new());
        let mut service = Running::start(mesh.talkie(["join"]).env("NOTIFY_SOCKET", &variable));
        assert_eq!(manager.hears(), ["READY=1", "STATUS=Linked to 0 nodes"]);
        // Ready is when the node is there: the line was printed before.
        service.says("joined");
        let mut other = Running::start(&mut mesh.talkie(["sub", "a"]));
        assert_eq!(manager.hears(), ["STATUS=Linked to 1 node"]);
        other.signal(Signal::SIGTERM);
        assert_eq!(other.ends(), (Some(0), String::new()));
        assert_eq!(manager.hears(), ["STATUS=Linked to 0 nodes"]);
        service.signal(Signal::SIGTERM);
        assert_eq!(manager.hears(), ["STOPPING=1", "STATUS=Saying goodbye"]);
        assert_eq!(service.ends(), (Some(0), String::new()));
        assert!(manager.heard_nothing());
    }
}

#[test]
fn sub_is_a_service_too_and_nobody_is_ready_who_could_not_join() {
    let folder = TempDir::new();
    let path = folder.path().join("notify");
    let (manager, mesh) = (Manager::new(&SocketAddr::from_pathname(&path).unwrap()), Mesh::new());
    let mut wrong = mesh.talkie(["join", "--listen", "somewhere"]);
    assert_eq!(run(wrong.env("NOTIFY_SOCKET", &path)).0, 2);
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut late = mesh.talkie(["join"]);
    late.env("NOTIFY_SOCKET", &path).env("TALKIE_LISTEN", taken.local_addr().unwrap().to_string());
    assert_eq!(run(&mut late).0, 1);
    let service = Running::start(mesh.talkie(["sub", "a"]).env("NOTIFY_SOCKET", &path));
    // The first word of all three.
    assert_eq!(manager.hears()[0], "READY=1");
    service.says("listening to a");
}

#[test]
fn a_manager_that_is_not_there_is_warned_of_once_and_no_reason_to_end() {
    for socket in ["/nowhere/at/all", "vsock:2:1", "@nobody-listens-here"] {
        let mesh = Mesh::new();
        let mut service = Running::start(mesh.talkie(["join"]).env("NOTIFY_SOCKET", socket));
        let other = Running::start(&mut mesh.talkie(["join"]));
        service.says("found by");
        other.says("found by");
        service.signal(Signal::SIGTERM);
        let (code, said) = service.ends();
        assert_eq!((code, said.lines().count()), (Some(0), 1), "{said}");
        assert!(said.contains("WARN") && said.contains("NOTIFY_SOCKET"), "{said}");
    }
}

#[test]
fn a_manager_that_does_not_read_holds_nobody_up() {
    let folder = TempDir::new();
    let path = folder.path().join("notify");
    let (manager, mesh) = (Manager::new(&SocketAddr::from_pathname(&path).unwrap()), Mesh::new());
    // Until its queue is full.
    let full = UnixDatagram::unbound().unwrap();
    full.set_nonblocking(true).unwrap();
    while full.send_to(b"X", &path).is_ok() {}
    let mut service = Running::start(mesh.talkie(["join"]).env("NOTIFY_SOCKET", &path));
    service.logs("does not hear");
    let other = Running::start(&mut mesh.talkie(["join"]));
    other.says("found by");
    service.says("found by");
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ends().0, Some(0));
    drop(manager);
}

#[test]
fn the_journal_gets_a_priority_and_no_time_and_a_file_gets_both() {
    let folder = TempDir::new();
    let log = |stream: Option<&str>, args: &[&str]| {
        let path = folder.path().join("log");
        let file = File::create(&path).unwrap();
        let metadata = file.metadata().unwrap();
        let mut command = talkie(args);
        command.env("TALKIE_COLOUR", "red").env("CLICOLOR_FORCE", "1").stdout(Stdio::null()).stderr(file);
        let stream = match stream {
            Some("this") => Some(format!("{}:{}", metadata.dev(), metadata.ino())),
            other => other.map(str::to_owned),
        };
        command.envs(stream.map(|stream| ("JOURNAL_STREAM", stream)));
        let _ = command.status().unwrap();
        std::fs::read_to_string(&path).unwrap()
    };
    let journal = log(Some("this"), &["keygen"]);
    assert!(journal.starts_with("<4>") && journal.contains(" TALKIE_COLOUR: "), "{journal}");
    assert!(!journal.contains("WARN") && !journal.contains("Z ") && !journal.contains('\u{1b}'), "{journal}");
    let failed = log(Some("this"), &["join"]);
    assert!(failed.lines().any(|line| line.starts_with("<3>talkie: no secret is given")), "{failed}");
    // Where standard error leads elsewhere than the journal, the variable is somebody else's.
    for stream in [None, Some("1:2"), Some("")] {
        let file = log(stream, &["keygen"]);
        assert!(!file.contains("<4>") && file.contains("WARN") && file.contains("Z\u{1b}"), "{file}");
    }
}

#[test]
fn a_secret_that_a_manager_keeps_is_not_warned_of() {
    let folder = TempDir::new();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let said = |mode: u32, credentials: Option<&str>| {
        std::fs::set_permissions(&secret, Permissions::from_mode(mode)).unwrap();
        let mut command = Mesh::new().talkie(["peers", "--wait", "0"]);
        command.env_remove("TALKIE_SECRET").env("TALKIE_SECRET_FILE", &secret);
        if let Some(folder) = credentials {
            command.env("CREDENTIALS_DIRECTORY", folder);
        }
        let (code, _, said) = run(&mut command);
        assert_eq!(code, 0, "{said}");
        said
    };
    let own = folder.path().to_str().unwrap();
    // As systemd shows a credential that an access list opens to a user.
    for mode in [0o400, 0o440] {
        assert!(!said(mode, Some(own)).contains("other users"));
    }
    assert!(!said(0o400, None).contains("other users"));
    for elsewhere in [None, Some(""), Some("/run/credentials/other.service")] {
        assert!(said(0o440, elsewhere).contains("other users"), "{elsewhere:?}");
    }
}

#[test]
fn a_service_whose_output_is_closed_fails_so_that_it_is_started_again() {
    let folder = TempDir::new();
    let path = folder.path().join("notify");
    let manager = Manager::new(&SocketAddr::from_pathname(&path).unwrap());
    for (socket, code) in [(None, Some(0)), (Some(&path), Some(1))] {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = Mesh::new().talkie(["join"]);
        if let Some(path) = socket {
            command.env("NOTIFY_SOCKET", path);
        }
        let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        drop(reader);
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), code, "{said}");
        assert_eq!(said.contains("standard output was closed"), code == Some(1), "{said}");
    }
    drop(manager);
}

#[test]
fn standard_output_that_was_never_open_is_no_reason_to_end() {
    let mesh = Mesh::new();
    let mut shell = clean(Command::new("sh"));
    let script = format!("exec {} join --interface lo --name closed >&- <&-", env!("CARGO_BIN_EXE_talkie"));
    mesh.settle(shell.args(["-c", &script]));
    let mut silent = Running::start(&mut shell);
    let witness = Running::start(&mut mesh.talkie(["join"]));
    witness.says("+ closed");
    silent.signal(Signal::SIGTERM);
    witness.says("- closed");
    assert_eq!(silent.ends(), (Some(0), String::new()));
}

/// `talkie join` as a shell's script starts it, in a session of its own, or in a terminal of its own.
fn started(mesh: &Mesh, terminal: bool, before: &str) -> Running {
    let join = format!(
        "{before} echo pid $$ >&2; exec {} join --interface lo --name it --log info",
        env!("CARGO_BIN_EXE_talkie")
    );
    let mut command = if terminal {
        let mut script = clean(Command::new("script"));
        script.args(["-qefc", &format!("exec 2>&1; {join}"), "/dev/null"]);
        script
    } else {
        let mut setsid = clean(Command::new("setsid"));
        setsid.args(["sh", "-c", &join]);
        setsid
    };
    mesh.settle(&mut command);
    Running::start(&mut command)
}

#[test]
fn sighup_changes_nothing_without_a_terminal() {
    let mesh = Mesh::new();
    let mut service = started(&mesh, false, "");
    service.logs("pid ");
    service.says("joined");
    service.signal(Signal::SIGHUP);
    service.logs("SIGHUP changes nothing");
    // A second one finds it as well.
    service.signal(Signal::SIGHUP);
    service.logs("SIGHUP changes nothing");
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ends().0, Some(0));
}

#[test]
fn sighup_reads_the_secret_file_again_without_a_terminal() {
    let (mesh, folder) = (Mesh::new(), TempDir::new());
    let path = folder.path().join("secret");
    let put = |text: &str| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    };
    put(SECRET);
    let before = format!("unset TALKIE_SECRET; export TALKIE_SECRET_FILE={};", path.display());
    let mut service = started(&mesh, false, &before);
    service.says("joined");
    service.signal(Signal::SIGHUP);
    service.logs("SIGHUP: reads the secret file again");
    service.logs("holds what is in force");
    put("");
    service.signal(Signal::SIGHUP);
    service.logs("stays in force");
    put(&format!("xylem otter quartz bivouac 91\n{SECRET}\n"));
    service.signal(Signal::SIGHUP);
    service.logs("the secrets have changed");
    // It sends under the new one now, and accepts the old one.
    let (code, said, logged) = run(&mut mesh.talkie(["peers", "--count", "1", "--wait", "10", "--json"]));
    assert_eq!(code, 0, "{logged}");
    assert!(said.contains(r#""unknown_secret":true"#) && !said.contains("lacks"), "{said}");
    let (code, said, logged) = run(&mut mesh.talkie(["peers", "--count", "1", "--wait", "10"]));
    assert_eq!(code, 0, "{logged}");
    assert!(said.contains("SECRET") && said.contains("unknown"), "{said}");
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ends().0, Some(0));
}

#[test]
fn a_closed_terminal_ends_a_command_with_a_goodbye_unless_it_runs_under_nohup() {
    let mesh = Mesh::new();
    let witness = Running::start(&mut mesh.talkie(["join", "--json"]));
    for (before, ends) in [("", true), ("trap '' HUP;", false)] {
        let terminal = started(&mesh, true, before);
        let line = terminal.says("pid ");
        let pid: i32 = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        witness.says(r#""event":"peer_up""#);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGHUP).unwrap();
        if !ends {
            // Still there for who comes later, until it is told to end.
            let late = Running::start(&mut mesh.talkie(["peers", "--count", "2", "--wait", "10"]));
            late.says("it ");
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        }
        loop {
            let gone = witness.says(r#""event":"peer_down""#);
            if gone.contains(r#""name":"it""#) {
                assert!(gone.contains(r#""reason":"left""#), "{gone}");
                break;
            }
        }
    }
}

#[test]
fn a_host_without_any_network_is_no_reason_to_end() {
    let mut command = clean(Command::new("unshare"));
    command.args(["-n", env!("CARGO_BIN_EXE_talkie"), "join", "--log", "info"]);
    let mut lonely = Running::start(command.env("TALKIE_SECRET", SECRET));
    let said = lonely.logs("");
    if said.starts_with("unshare:") {
        return skipped(&format!("a network namespace cannot be made here: {said}"));
    }
    assert!(said.contains("waiting for a network"), "{said}");
    lonely.says("listening on no address yet");
    lonely.signal(Signal::SIGTERM);
    assert_eq!(lonely.ends(), (Some(0), String::new()));
}

#[test]
fn a_demo_without_loopback_says_so() {
    let mut command = clean(Command::new("unshare"));
    command.args(["-n", env!("CARGO_BIN_EXE_talkie"), "demo"]);
    let (code, stdout, said) = run(&mut command);
    if said.starts_with("unshare:") {
        skipped(&format!("a network namespace cannot be made here: {said}"));
        return;
    }
    assert_eq!((code, stdout.as_str(), said.lines().count()), (1, "", 1), "{said}");
    assert!(said.contains("loopback") && said.contains("ip link set lo up"), "{said}");
}
