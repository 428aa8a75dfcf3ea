//! What a node says, and what its host sees of it, does not show the secret or a key made of it.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
};

use data_encoding::{BASE32_NOPAD, BASE64, BASE64URL_NOPAD, HEXLOWER};
use nix::{
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::Signal,
    },
    unistd::Uid,
};
use serde_json::Value;
use talkie_tests::{
    SOON,
    command::{Talkie, binary},
    mesh::{GROUP, Member, Mesh, free_port},
    proxy::Proxy,
    skip,
    stranger::say,
    temp::TempFile,
};

/// Secrets whose keys are known without the product's help: those of PROTOCOL.md's vectors.
fn published() -> Vec<Value> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../PROTOCOL.md")).unwrap();
    let block = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let vectors: Value = serde_json::from_str(block).unwrap();
    vectors["secrets"].as_array().unwrap().clone()
}

fn text(vector: &Value) -> &str {
    vector["secret"].as_str().unwrap()
}

/// How eight bytes of a key, or more, may stand in a text; and the secret itself.
fn traces(vector: &Value) -> Vec<(String, Vec<u8>)> {
    let mut traces = Vec::new();
    let secret = text(vector);
    // A part of it is enough.
    for part in [&secret[..16], &secret[secret.len() - 16..]] {
        traces.push(("the secret".to_owned(), part.to_lowercase().into_bytes()));
    }
    for key in ["root", "prk", "heartbeat_key", "link_key"] {
        let bytes = HEXLOWER.decode(vector[key].as_str().unwrap().as_bytes()).unwrap();
        let list = |show: fn(&u8) -> String, of: &[u8]| of.iter().map(show).collect::<Vec<_>>().join(", ");
        // Three bytes and five: four digits of base 64, eight of base 32 begin there.
        for at in [8, 15, 20] {
            let part = &bytes[at..at + 8];
            traces.push((format!("{key} as bytes"), part.to_ascii_lowercase()));
            traces.push((format!("{key} in hex"), HEXLOWER.encode(part).into_bytes()));
            traces.push((format!("{key} as a list"), list(u8::to_string, part).into_bytes()));
            traces.push((format!("{key} as a list in hex"), list(|b| format!("{b:x}"), part).into_bytes()));
            traces.push((format!("{key} as a list in hex"), list(|b| format!("{b:#x}"), part).into_bytes()));
            traces.push((format!("{key} as a list in hex"), list(|b| format!("{b:02x}"), part).into_bytes()));
        }
        for digits in [BASE64.encode(&bytes), BASE64URL_NOPAD.encode(&bytes), BASE32_NOPAD.encode(&bytes)] {
            traces.push((format!("{key} in base 32 or 64"), digits[16..32].to_lowercase().into_bytes()));
        }
    }
    traces
}

/// What of the secret shows in what was said, in either case.
fn shown(said: &[u8], vector: &Value) -> Vec<String> {
    let said = said.to_ascii_lowercase();
    let contains = |part: &[u8]| said.windows(part.len()).any(|window| window == part);
    traces(vector).into_iter().filter(|(_, part)| contains(part)).map(|(what, _)| what).collect()
}

#[test]
fn a_trace_of_a_secret_is_found_in_whatever_form() {
    for vector in published() {
        let key = HEXLOWER.decode(vector["link_key"].as_str().unwrap().as_bytes()).unwrap();
        for said in [
            format!("the secret is {}", text(&vector).to_uppercase()).into_bytes(),
            format!("Key({key:?})").into_bytes(),
            format!("Key({key:02X?})").into_bytes(),
            format!("Key({key:x?})").into_bytes(),
            format!("key={}", HEXLOWER.encode(&key)).into_bytes(),
            format!("key={}", BASE64.encode(&key)).into_bytes(),
            format!("key={}", BASE64URL_NOPAD.encode(&key)).into_bytes(),
            format!("key={}", BASE32_NOPAD.encode(&key)).into_bytes(),
            [b"\0\0", &key[..], b"\0"].concat(),
        ] {
            assert!(!shown(&said, &vector).is_empty(), "{}", String::from_utf8_lossy(&said));
        }
        assert_eq!(shown(b"nothing of it", &vector), Vec::<String>::new());
    }
}

#[test]
fn nothing_that_a_node_prints_logs_or_serves_shows_its_secret() {
    for vector in published() {
        let mesh = Mesh::with_secret(text(&vector));
        let loud = |command: Talkie| command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
        let sub = loud(mesh.talkie("sub")).name("sub").args(["t/*", "--metrics", "127.0.0.1:0"]);
        let sub = Member::start(sub);
        let reply = Member::start(loud(mesh.talkie("reply")).name("reply").args(["q", "--echo"]));
        sub.meets(&reply);
        let mut said = Vec::new();
        for command in [
            loud(mesh.talkie("pub")).name("pub").args(["t/1", "hello"]),
            loud(mesh.talkie("request")).name("request").args(["q", "a question"]),
            loud(mesh.talkie("peers")).name("peers"),
            // The secret where everybody sees it is warned of, and not repeated.
            loud(mesh.talkie("peers")).args(["--wait", "0", "--secret", mesh.secret()]),
            // What cannot be.
            loud(mesh.talkie("join")).args(["--listen", "203.0.113.77:1"]),
            loud(mesh.talkie("join")).args(["--metrics", "203.0.113.77:1"]),
        ] {
            let done = command.run();
            said.extend_from_slice(&[done.stdout, done.stderr.into_bytes()].concat());
        }
        // Others on the way: a stranger's words, another secret, and a link whose bytes are changed.
        say(sub.addr(), b"TLK\x01\0\x30 and then something else, which is as long as it must be");
        let other = Mesh::new().talkie("join").args(["--multicast", "off", "--partners"]);
        let other = loud(other).arg(sub.addr().to_string()).name("other").spawn();
        other.expect_log("another secret", SOON);
        let proxy = Proxy::to(sub.addr());
        let partner = ["--multicast", "off", "--partners", &proxy.addr().to_string()];
        let peer = Member::start(loud(mesh.talkie("join")).name("tampered").args(partner));
        sub.meets(&peer);
        proxy.tamper();
        sub.expect_log("failed authentication", SOON);
        said.extend_from_slice(&page(sub.joined["metrics"].as_str().unwrap().parse().unwrap()));
        for process in [peer.process, reply.process, sub.process, other] {
            process.terminate();
            said.extend_from_slice(&[process.stdout(), process.stderr().into_bytes()].concat());
        }
        let lines = String::from_utf8_lossy(&said);
        assert!(lines.lines().filter(|line| line.contains("DEBUG")).count() > 30, "it was loud: {lines}");
        assert_eq!(shown(&said, &vector), Vec::<String>::new(), "{lines}");
    }
}

/// The page of metrics, its head included.
fn page(at: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut page = Vec::new();
    stream.read_to_end(&mut page).unwrap();
    assert!(page.windows(12).any(|part| part == b"talkie_peers"));
    page
}

#[test]
fn the_list_of_processes_shows_no_secret() {
    let mesh = Mesh::new();
    let file = TempFile::new(mesh.secret());
    let by_variable = mesh.join("by-variable");
    let by_file = mesh.talkie("join").name("by-file").without_env("TALKIE_SECRET").arg("--secret-file");
    let by_file = Member::start(by_file.arg(file.path()));
    by_file.meets(&by_variable);
    let part = &mesh.secret().as_bytes()[4..20];
    let shows = |text: &[u8]| text.windows(part.len()).any(|window| window == part);
    for (node, in_environment) in [(&by_variable, true), (&by_file, false)] {
        let read = |what| fs::read(format!("/proc/{}/{what}", node.pid())).unwrap();
        assert!(!read("cmdline").is_empty() && !shows(&read("cmdline")), "{}", node.story());
        assert!(!shows(&read("comm")));
        // Only who may trace the process reads it: see below.
        if Uid::effective().is_root() {
            assert_eq!(shows(&read("environ")), in_environment, "{}", node.story());
        }
    }
}

#[test]
fn no_core_is_dumped_of_a_node() {
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap();
    setrlimit(Resource::RLIMIT_CORE, hard, hard).unwrap();
    let folder = std::env::temp_dir();
    let control =
        Command::new("sh").args(["-c", "kill -ABRT $$"]).current_dir(&folder).stderr(Stdio::null()).status();
    if !control.unwrap().core_dumped() {
        return skip("this host makes no core dumps");
    }
    let node = Mesh::new().join("node");
    node.signal(Signal::SIGABRT);
    let status = node.wait(SOON);
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false), "a core of it was dumped");
}

/// Somebody else's process under the same user: what runs there may be broken into.
#[test]
fn other_processes_of_the_same_user_cannot_read_a_node_s_environment() {
    // Root may read everything, so it becomes a user for this.
    let user = ["setpriv", "--reuid=65534", "--clear-groups", "--"];
    let user = &user[..if Uid::effective().is_root() { user.len() } else { 0 }];
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\"", "sh"]).args(user);
    let reads = |pid: u32| {
        let mut cat = Command::new("sh");
        let environment = format!("/proc/{pid}/environ");
        cat.args(["-c", "exec \"$@\"", "sh"]).args(user).args(["cat", &environment]);
        cat.output().unwrap().status.success()
    };
    let mut sleeper = shell.args(["sleep", "60"]).stdout(Stdio::null()).spawn().unwrap();
    // Once it has become what it is to be.
    let name = format!("/proc/{}/comm", sleeper.id());
    while fs::read_to_string(&name).unwrap() != "sleep\n" {
        std::thread::yield_now();
    }
    let readable = reads(sleeper.id());
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    assert!(readable, "the environment of a usual process of that user");

    let words: Vec<&str> = [user, &[binary().to_str().unwrap(), "join", "--interface", "lo"]].concat();
    let mut node = Talkie::program(words[0], "node").args(&words[1..]);
    node = node.env("TALKIE_SECRET", text(&published()[0])).env("TALKIE_LISTEN", "127.0.0.1:0");
    let node = Member::start(node.env("TALKIE_GROUP", format!("{GROUP}:{}", free_port())));
    assert!(!reads(node.pid()), "the environment of a node, with its secret");
    node.leaves();
}
