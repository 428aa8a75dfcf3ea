//! The command line: commands and their own arguments here, settings from the library's table.

mod help;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use talkie_pubsub::settings::{SETTINGS, Setting};
use talkie_pubsub::{Pattern, Topic};

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
    Peers {
        wait: Duration,
    },
    Keygen,
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
    let Some((name, mut own)) = root.remove_subcommand() else {
        return Err(Early::Wrong(NO_COMMAND.to_owned()));
    };
    let verb = verb(&name, &mut own).map_err(Early::Wrong)?;
    Ok(Invocation {
        settings: settings(&name, &mut root, &mut own).map_err(Early::Wrong)?,
        json: root.get_flag("json") || own.get_flag("json"),
        log: own.remove_one("log").or_else(|| root.remove_one("log")),
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
                subscribers: own
                    .remove_one("subscribers")
                    .map_or(1, |n: u64| usize::try_from(n).unwrap_or(usize::MAX)),
                timeout: own.remove_one("timeout").unwrap_or(Duration::from_secs(5)),
            })
        }
        "peers" => Verb::Peers { wait: own.remove_one("wait").unwrap_or(Duration::from_secs(1)) },
        "keygen" => Verb::Keygen,
        other => return Err(format!("there is no command {other:?}; see talkie --help")),
    })
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

/// The whole command line, as clap knows it.
fn command() -> Command {
    Command::new("talkie")
        .bin_name("talkie")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Programs on a local network find each other and share topics; all they need is one secret.")
        .after_help(help::ROOT)
        .arg_required_else_help(true)
        .subcommand_required(true)
        .max_term_width(100)
        .args(setting_args())
        .args(output_args())
        .subcommand(
            Command::new("demo")
                .about("Shows it: three nodes on this machine find each other and talk")
                .after_help(help::DEMO)
                .args(output_args()),
        )
        .subcommand(Command::new("demo-node").hide(true).args(setting_args()).args(output_args()))
        .subcommand(
            Command::new("join")
                .about("Stays on the mesh and tells of nodes as they come and go")
                .after_help(help::JOIN)
                .args(setting_args())
                .args(output_args()),
        )
        .subcommand(
            Command::new("sub")
                .about("Prints the messages of the topics that match")
                .after_help(help::SUB)
                .arg(
                    Arg::new("PATTERN")
                        .required(true)
                        .num_args(1..)
                        .value_parser(value_parser!(OsString))
                        .help("Topics to listen to: `*` stands for one segment, `**` for any number of them"),
                )
                .arg(number("count", "N").help("End after this many messages").value_parser(count(1)))
                .arg(seconds("timeout").help("End after this time; with --count unreached, exit 1"))
                .args(setting_args())
                .args(output_args()),
        )
        .subcommand(
            Command::new("pub")
                .about("Publishes a message, or one for each line of standard input")
                .after_help(help::PUB)
                .arg(
                    Arg::new("TOPIC")
                        .required(true)
                        .value_parser(value_parser!(OsString))
                        .help("Where to publish: 1 to 16 segments between `/`"),
                )
                .arg(
                    Arg::new("PAYLOAD")
                        .value_parser(value_parser!(OsString))
                        .allow_negative_numbers(true)
                        .help("What to publish, any bytes; nothing is an empty message, `-` reads lines"),
                )
                .arg(
                    number("subscribers", "N")
                        .value_parser(count(0))
                        .help("Wait until this many nodes want the topic; 0 does not wait [default: 1]"),
                )
                .arg(seconds("timeout").help("How long to wait for them [default: 5]"))
                .args(setting_args())
                .args(output_args()),
        )
        .subcommand(
            Command::new("peers")
                .about("Joins, looks who is there, prints them and leaves")
                .after_help(help::PEERS)
                .arg(seconds("wait").help("How long to look [default: 1]"))
                .args(setting_args())
                .args(output_args()),
        )
        .subcommand(
            Command::new("keygen")
                .about("Prints a new random secret")
                .after_help(help::KEYGEN)
                .args(output_args()),
        )
}

/// One flag for each row of the table.
fn setting_args() -> impl Iterator<Item = Arg> {
    SETTINGS.iter().map(|setting| {
        let action = if setting.repeatable { ArgAction::Append } else { ArgAction::Set };
        let again = if setting.repeatable { "; may be repeated" } else { "" };
        let Setting { meaning, variable, default, .. } = setting;
        Arg::new(setting.flag)
            .long(setting.flag.trim_start_matches('-'))
            .value_name(setting.value)
            .value_parser(value_parser!(OsString))
            .action(action)
            .help(format!("{meaning}{again} [{variable}] [default: {default}]"))
            .help_heading("Settings")
    })
}

fn output_args() -> [Arg; 2] {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    [
        Arg::new("json")
            .long("json")
            .action(ArgAction::SetTrue)
            .help("Print one JSON object a line, for programs")
            .help_heading("Output"),
        Arg::new("log")
            .long("log")
            .value_name("LEVEL")
            .value_parser(levels)
            .help("What to log on standard error [RUST_LOG] [default: warn]")
            .help_heading("Output"),
    ]
}

fn number(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).allow_negative_numbers(true)
}

fn count(least: u64) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| *number >= least);
        number.ok_or_else(|| format!("it takes a whole number, at least {least}"))
    }
}

fn seconds(name: &'static str) -> Arg {
    number(name, "SECS").value_parser(|text: &str| -> Result<Duration, String> {
        let wrong = || "it takes seconds from 0 to 31536000 (a year), such as 2 or 0.5".to_owned();
        // Longer would overflow clocks, and nobody waits longer.
        match text.parse::<f64>() {
            Ok(seconds) if (0.0..=31_536_000.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
            _ => Err(wrong()),
        }
    })
}

#[cfg(test)]
mod tests;
