//! One run of the `talkie` command, described before it starts.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use crate::process::Process;

/// How long [`Talkie::run`] waits for a command that ends by itself: above the longest promised run,
/// the ten seconds of `talkie demo`.
const RUN_LIMIT: Duration = Duration::from_secs(25);

/// The command under test: `talkie` beside this test executable, built first where it is missing or
/// older than its sources.
///
/// Cargo does not hold its lock while tests run, so building here cannot wait for itself; where nothing
/// changed the build is a look at the clock. `TEST_TALKIE=/path/to/talkie` tests another build.
///
/// # Panics
/// If the command cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os("TEST_TALKIE") {
        Some(path) => PathBuf::from(path),
        None => build(),
    })
}

/// An example of the library, built first where it is missing or older than its sources, as [`binary`] is.
///
/// # Panics
/// If it cannot be built.
pub fn example(name: &str) -> String {
    // Those of one test at a time: the first builds them all.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = built(&format!("examples/{name}"), &["--examples"]);
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn build() -> PathBuf {
    built("talkie", &["--bin", "talkie"])
}

/// A file in the folder of this profile, made by a build of what is selected.
fn built(file: &str, selected: &[&str]) -> PathBuf {
    // target/<profile>/deps/<test>-<hash>
    let test = env::current_exe().expect("a test knows its own executable");
    let profile_dir = test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let target_dir = profile_dir.parent().expect("target/<profile>");
    let profile = match profile_dir.file_name().and_then(OsStr::to_str).expect("a profile's folder") {
        "debug" => "dev",
        other => other,
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace");
    let path = profile_dir.join(file);
    // `cargo test --workspace` has just built it, with other features than `cargo build` would: not again.
    let built = modified(&path);
    let sources = ["Cargo.toml", "Cargo.lock", "discovery", "transport", "pubsub", "bins"];
    if built.is_some() && sources.iter().all(|source| newest(&workspace.join(source)) < built) {
        return path;
    }
    // The whole workspace is selected, so that features are united as `cargo test --workspace` unites
    // them and the dependencies that it built are used again.
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--workspace", "--profile", profile, "--target-dir"])
        .arg(target_dir)
        .args(selected)
        .current_dir(workspace)
        .stdin(Stdio::null())
        .status()
        .expect("cargo starts");
    assert!(status.success(), "cargo could not build {file}: {status}");
    path
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// When a file, or the newest file below a folder, was last changed.
fn newest(path: &Path) -> Option<SystemTime> {
    let below = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| newest(&entry.path()));
    below.chain([modified(path)]).max().flatten()
}

/// A `talkie` command to be: its arguments, its settings, and the host that it runs on.
///
/// The environment is cleared of every `TALKIE_*` of the caller. On loopback (no [`Talkie::host`]) the
/// command is held to the interface `lo` by a flag.
#[derive(Clone, Debug)]
#[must_use = "a command does nothing before `spawn` or `run`"]
pub struct Talkie {
    program: Option<PathBuf>,
    args: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    namespace: Option<String>,
    lo: bool,
    held: bool,
    label: String,
    input: Option<Vec<u8>>,
}

/// What a command left behind that ended by itself.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error, non-UTF-8 replaced.
    pub stderr: String,
    /// From its start to its end.
    pub took: Duration,
}

impl Talkie {
    /// `talkie COMMAND`, without a secret, on loopback only.
    pub fn new(command: &str) -> Self {
        Self {
            program: None,
            args: vec![command.into()],
            variables: Vec::new(),
            namespace: None,
            lo: matches!(command, "join" | "sub" | "pub" | "request" | "reply" | "peers"),
            held: false,
            label: command.to_owned(),
            input: None,
        }
    }

    /// `talkie` with no argument at all.
    pub fn bare() -> Self {
        Self { args: Vec::new(), lo: false, ..Self::new("") }
    }

    /// Another program than `talkie` that has its settings, and prints its lines, under this label.
    pub fn program(path: &str, label: &str) -> Self {
        let program = Some(PathBuf::from(path));
        Self { program, label: label.to_owned(), ..Self::bare() }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets `--name`, which is also what failure messages call this process.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.label);
        self.args(["--name", name])
    }

    /// Sets a variable, replacing an earlier value.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self = self.without_env(name.as_ref());
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Takes a variable away again that the mesh has set.
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.variables.retain(|(known, _)| known != name.as_ref());
        self
    }

    /// Runs in a network namespace, where every interface may be used.
    pub fn host(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self.lo = false;
        self
    }

    /// Leaves out the flag `--interface lo`. For a run that ends before it sends, or sets its own.
    pub fn without_interface_flag(mut self) -> Self {
        self.lo = false;
        self
    }

    /// The process waits for a line on its standard input before it becomes the command, so that many can be let
    /// go at once.
    pub fn held(mut self) -> Self {
        self.held = true;
        self
    }

    /// What [`Talkie::run`] writes to the command's standard input. Without it the input is empty.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Starts the command with `--json`: a process whose lines can be awaited.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(self) -> Process {
        let command = self.clone().arg("--json").command();
        Process::start(command, self.label, true)
    }

    /// Starts the command as a person would, without `--json`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn_plain(self) -> Process {
        let command = self.command();
        Process::start(command, self.label, false)
    }

    /// Runs the command to its end, as a person would (without `--json`).
    ///
    /// # Panics
    /// If it cannot be started or does not end within 25 seconds.
    pub fn run(self) -> Finished {
        // Not part of what it took.
        binary();
        let started = Instant::now();
        let input = self.input.clone().unwrap_or_default();
        let mut process = self.spawn_plain();
        let mut stdin = process.take_stdin();
        // A thread, because a command may end without having read its input.
        let writer = thread::spawn(move || drop(stdin.write_all(&input)));
        let status = process.wait(RUN_LIMIT);
        let took = started.elapsed();
        writer.join().expect("the writer of standard input does not panic");
        Finished { status, stdout: process.stdout(), stderr: process.stderr(), took }
    }

    fn command(&self) -> Command {
        let entered = self.namespace.iter().flat_map(|namespace| ["ip", "netns", "exec", namespace]);
        let held = ["sh", "-c", "read _; exec \"$0\" \"$@\""].into_iter().filter(|_| self.held);
        let program = self.program.as_deref().unwrap_or_else(|| binary());
        let mut words = entered.chain(held).map(OsStr::new).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(&self.args);
        if self.lo {
            command.args(["--interface", "lo"]);
        }
        for (name, _) in env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("TALKIE_") || name_text == "RUST_LOG" {
                command.env_remove(&name);
            }
        }
        command.env("RUST_BACKTRACE", "1");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Finished {
    /// The exit code, if it was not a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as JSON lines.
    ///
    /// # Panics
    /// If a line is not JSON.
    pub fn json(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// Panics unless the command ended with this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "exit code; all of it: {self:#?}\nout: {}", self.text());
        self
    }

    /// Panics unless this is how wrong usage ends: exit 2, nothing on standard output, and one plain
    /// line on standard error, in which each of `names` stands.
    #[track_caller]
    pub fn refused(&self, names: &[&str]) {
        assert_eq!(self.code(), Some(2), "exit code; all of it: {self:#?}");
        assert!(self.stdout.is_empty(), "nothing on standard output: {:?}", self.text());
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "one line: {}", self.stderr);
        assert!(!self.stderr.contains('\x1b'), "no colours where no terminal is: {:?}", self.stderr);
        let lower = self.stderr.to_lowercase();
        for name in names {
            assert!(lower.contains(&name.to_lowercase()), "{name:?} should stand in: {}", self.stderr);
        }
    }
}
