//! The command line: what was typed becomes an [`Invocation`], or ends the process at once.

mod bench;
mod grammar;
mod help;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap_complete::Shell;
use talkie_pubsub::settings::{SETTINGS, Setting};
use talkie_pubsub::{Headers, Pattern, Topic};

pub(crate) use self::bench::{Bench, Form, Keep, Load};
use self::grammar::command;
pub(crate) use self::grammar::shown;
use crate::exit;

/// A command line that makes sense so far; the settings' values are still texts.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) verb: Verb,
    /// Each setting's flag with the values that it was given.
    pub(crate) settings: Vec<(&'static str, Vec<OsString>)>,
    pub(crate) json: bool,
    /// A level's name.
    pub(crate) log: Option<String>,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Verb {
    Demo,
    /// One of the demo's nodes: not for people.
    DemoNode,
    Join,
    Sub(Wanted),
    Pub(Publication),
    Request(Question),
    Reply(Answering),
    Peers {
        wait: Duration,
        /// Enough of them, so that it need not look on.
        count: Option<usize>,
    },
    Bench(Bench),
    /// One of the processes that `bench` measures: not for people.
    BenchRole,
    Keygen,
    Completions(Shell),
    /// The manual: one page, or all of them into this folder.
    Man(Option<PathBuf>),
}

/// What `sub` listens to, and until when.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// None twice.
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) count: Option<u64>,
    pub(crate) timeout: Option<Duration>,
}

/// What `pub` publishes, and for whom it waits.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) topic: Topic,
    pub(crate) payload: Payload,
    pub(crate) headers: Headers,
    pub(crate) subscribers: usize,
    pub(crate) timeout: Duration,
}

/// The messages.
#[derive(Debug)]
pub(crate) enum Payload {
    /// One message.
    Bytes(Vec<u8>),
    /// A message for each line of standard input.
    Lines,
}

/// What `request` asks, and of whom.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) topic: Topic,
    /// None: all of standard input.
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Headers,
    pub(crate) all: bool,
    /// Nodes to wait for before it is asked.
    pub(crate) responders: usize,
    /// For them and their answers together.
    pub(crate) timeout: Duration,
}

/// What `reply` answers.
#[derive(Debug)]
pub(crate) struct Answering {
    pub(crate) pattern: Pattern,
    pub(crate) how: How,
}

/// Where `reply` has its answers from.
#[derive(Debug)]
pub(crate) enum How {
    /// The request itself.
    Echo,
    /// A command of the shell.
    Exec(Arc<str>),
}

/// The command line ends the process at once: with a help text, or as wrong usage.
#[derive(Debug)]
pub(crate) enum Early {
    /// Asked for, or shown for want of a command.
    Help { text: StyledStr, asked: bool },
    /// One line.
    Wrong(String),
}

impl Early {
    pub(crate) fn end(self) -> ExitCode {
        match self {
            Self::Help { text, asked: true } => {
                exit::code(write!(anstream::stdout(), "{}", text.ansi()).map_err(Into::into))
            }
            Self::Help { text, asked: false } => {
                let _ = write!(anstream::stderr(), "{}", text.ansi());
                ExitCode::from(2)
            }
            Self::Wrong(line) => {
                exit::say(&line);
                ExitCode::from(2)
            }
        }
    }
}

const NO_COMMAND: &str = "a command is needed, such as `talkie demo`; see talkie --help";

/// Reads the command line; the first item is the program.
pub(crate) fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Invocation, Early> {
    let mut root = command().try_get_matches_from(line).map_err(|error| early(&error))?;
    let Some((mut name, mut own)) = root.remove_subcommand() else {
        return Err(Early::Wrong(NO_COMMAND.to_owned()));
    };
    let verb = if let Some((what, inner)) = own.remove_subcommand() {
        (name, own) = (format!("{name} {what}"), inner);
        bench::read(&what, &mut own).map(Verb::Bench)
    } else {
        verb(&name, &mut own)
    };
    let verb = verb.map_err(Early::Wrong)?;
    let json = json(&name, &root, &own).map_err(Early::Wrong)?;
    if json && own.try_get_one("csv").ok().flatten() == Some(&true) {
        return Err(Early::Wrong("the argument '--csv' cannot be used with '--json'".to_owned()));
    }
    Ok(Invocation {
        settings: settings(&name, &mut root, &mut own).map_err(Early::Wrong)?,
        json,
        log: own.try_remove_one("log").ok().flatten().or_else(|| root.remove_one("log")),
        verb,
    })
}

fn verb(name: &str, own: &mut ArgMatches) -> Result<Verb, String> {
    Ok(match name {
        "demo" => Verb::Demo,
        "demo-node" => Verb::DemoNode,
        "join" => Verb::Join,
        "sub" => {
            let mut patterns: Vec<Pattern> = Vec::new();
            for given in own.remove_many::<OsString>("PATTERN").into_iter().flatten() {
                let pattern = text(&given, "pattern")?.parse().map_err(|e| format!("PATTERN: {e}"))?;
                if !patterns.contains(&pattern) {
                    patterns.push(pattern);
                }
            }
            Verb::Sub(Wanted { patterns, count: own.remove_one("count"), timeout: own.remove_one("timeout") })
        }
        "pub" => {
            let topic: OsString = own.remove_one("TOPIC").unwrap_or_default();
            let payload: OsString = own.remove_one("PAYLOAD").unwrap_or_default();
            Verb::Pub(Publication {
                topic: text(&topic, "topic")?.parse().map_err(|e| format!("TOPIC: {e}"))?,
                payload: match payload.to_str() {
                    Some("-") => Payload::Lines,
                    _ => Payload::Bytes(payload.into_encoded_bytes()),
                },
                headers: headers(own)?,
                subscribers: nodes(own.remove_one("subscribers")),
                timeout: own.remove_one("timeout").unwrap_or(Duration::from_secs(5)),
            })
        }
        "request" => {
            let topic: OsString = own.remove_one("TOPIC").unwrap_or_default();
            let payload: OsString = own.remove_one("PAYLOAD").unwrap_or_default();
            Verb::Request(Question {
                topic: text(&topic, "topic")?.parse().map_err(|e| format!("TOPIC: {e}"))?,
                payload: (payload.to_str() != Some("-")).then(|| payload.into_encoded_bytes()),
                headers: headers(own)?,
                all: own.get_flag("all"),
                responders: nodes(own.remove_one("responders")),
                timeout: own.remove_one("timeout").unwrap_or(Duration::from_secs(5)),
            })
        }
        "reply" => {
            let pattern: OsString = own.remove_one("PATTERN").unwrap_or_default();
            let pattern = text(&pattern, "pattern")?.parse().map_err(|e| format!("PATTERN: {e}"))?;
            let command = own.remove_one::<String>("exec");
            let how = command.map_or(How::Echo, |command| How::Exec(command.into()));
            Verb::Reply(Answering { pattern, how })
        }
        "peers" => Verb::Peers {
            wait: own.remove_one("wait").unwrap_or(Duration::from_secs(1)),
            count: own.remove_one("count").map(|n: u64| usize::try_from(n).unwrap_or(usize::MAX)),
        },
        "bench-role" => Verb::BenchRole,
        "keygen" => Verb::Keygen,
        // clap asks for a shell, and knows these.
        "completions" => Verb::Completions(own.remove_one("SHELL").unwrap_or(Shell::Bash)),
        "man" => Verb::Man(own.remove_one("DIR")),
        other => return Err(format!("there is no command {other:?}; see talkie --help")),
    })
}

/// What goes beside the payload; a value is any bytes.
fn headers(own: &mut ArgMatches) -> Result<Headers, String> {
    let mut headers = Headers::new();
    for given in own.remove_many::<OsString>("header").into_iter().flatten() {
        let bytes = given.as_encoded_bytes();
        let Some(at) = bytes.iter().position(|byte| *byte == b'=') else {
            return Err(format!("--header: {given:?} is not KEY=VALUE, such as language=en"));
        };
        let (key, value) = bytes.split_at(at);
        let key = String::from_utf8_lossy(key);
        if headers.get(&key).is_some() {
            return Err(format!("--header: {key:?} is given twice; a key is there once"));
        }
        headers.insert(&key, value.get(1..).unwrap_or_default()).map_err(|e| format!("--header: {e}"))?;
    }
    Ok(headers)
}

/// How many nodes to wait for.
fn nodes(given: Option<u64>) -> usize {
    given.map_or(1, |n| usize::try_from(n).unwrap_or(usize::MAX))
}

/// Whether lines of JSON are asked for, on either side of the command.
fn json(command: &str, root: &ArgMatches, own: &ArgMatches) -> Result<bool, String> {
    match (root.get_flag("json"), own.try_get_one::<bool>("json")) {
        (wanted, Ok(own)) => Ok(wanted || own.copied().unwrap_or_default()),
        (true, Err(_)) => Err(format!("unexpected argument '--json': talkie {command} prints no events")),
        (false, Err(_)) => Ok(false),
    }
}

/// A topic or pattern must be UTF-8, unlike a payload.
fn text<'a>(given: &'a OsString, what: &str) -> Result<&'a str, String> {
    given.to_str().ok_or_else(|| format!("{what} {given:?} is not UTF-8, as every {what} must be"))
}

/// The settings' flags, which may stand before the command or behind it.
fn settings(
    command: &str,
    root: &mut ArgMatches,
    own: &mut ArgMatches,
) -> Result<Vec<(&'static str, Vec<OsString>)>, String> {
    let mut settings = Vec::new();
    for Setting { flag, repeatable, .. } in SETTINGS {
        let mut given: Vec<OsString> = root.remove_many(flag).into_iter().flatten().collect();
        let joins = own.try_contains_id(flag).is_ok();
        if !joins && !given.is_empty() {
            return Err(format!("unexpected argument '{flag}': talkie {command} takes no settings"));
        }
        if joins {
            given.extend(own.remove_many(flag).into_iter().flatten());
        }
        if given.len() > 1 && !repeatable {
            return Err(format!("the argument '{flag}' cannot be used multiple times"));
        }
        settings.push((*flag, given));
    }
    Ok(settings)
}

/// clap's many lines, in one; help texts as they are.
fn early(error: &clap::Error) -> Early {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return Early::Help { text: error.render(), asked: true };
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return Early::Help { text: error.render(), asked: false };
        }
        ErrorKind::MissingSubcommand => return Early::Wrong(NO_COMMAND.to_owned()),
        _ => {}
    }
    let full = error.render().to_string();
    let first: Vec<&str> = full.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let first = first.join(" ");
    let mut line = first.strip_prefix("error: ").unwrap_or(&first).to_owned();
    let hints = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg];
    for hint in hints.iter().filter_map(|kind| error.get(*kind)) {
        match hint {
            ContextValue::String(hint) => line.push_str(&format!("; did you mean {hint}?")),
            ContextValue::Strings(hints) => line.push_str(&format!("; did you mean {}?", hints.join(" or "))),
            _ => {}
        }
    }
    Early::Wrong(line)
}

#[cfg(test)]
mod tests;
