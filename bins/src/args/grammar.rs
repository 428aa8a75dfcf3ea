//! What may be typed, as clap knows it: the commands and their own arguments, and settings from the library's table.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgGroup, Command, ValueHint, value_parser};
use clap_complete::Shell;
use talkie_pubsub::settings::{SETTINGS, Setting};

use super::{bench, help};

/// The whole command line, as clap knows it.
pub(super) fn command() -> Command {
    let hidden = |name| Command::new(name).hide(true).args(setting_args()).args(output_args());
    shown().subcommand(hidden("demo-node")).subcommand(hidden("bench-role"))
}

/// What of it is for people: help, manual pages and completions are made of it.
pub(crate) fn shown() -> Command {
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
                        .value_hint(ValueHint::Other)
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
                        .value_hint(ValueHint::Other)
                        .required(true)
                        .value_parser(value_parser!(OsString))
                        .help("Where to publish: 1 to 16 segments between `/`"),
                )
                .arg(
                    Arg::new("PAYLOAD")
                        .value_hint(ValueHint::Other)
                        .value_parser(value_parser!(OsString))
                        .allow_negative_numbers(true)
                        .help("What to publish, any bytes; nothing is an empty message, `-` reads lines"),
                )
                .arg(header())
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
            Command::new("request")
                .about("Asks a question and prints the answer")
                .after_help(help::REQUEST)
                .arg(
                    Arg::new("TOPIC")
                        .value_hint(ValueHint::Other)
                        .required(true)
                        .value_parser(value_parser!(OsString))
                        .help("What to ask of: 1 to 16 segments between `/`"),
                )
                .arg(
                    Arg::new("PAYLOAD")
                        .value_hint(ValueHint::Other)
                        .value_parser(value_parser!(OsString))
                        .allow_negative_numbers(true)
                        .help("What to ask, any bytes; nothing is an empty request, `-` is all of standard input"),
                )
                .arg(header())
                .arg(
                    Arg::new("all")
                        .long("all")
                        .action(ArgAction::SetTrue)
                        .help("Ask every responder, and print each answer as it comes"),
                )
                .arg(
                    number("responders", "N")
                        .value_parser(count(0))
                        .help("Wait until this many nodes answer the topic; 0 does not wait [default: 1]"),
                )
                .arg(seconds("timeout").help("How long to wait for them and their answers [default: 5]"))
                .args(setting_args())
                .args(output_args()),
        )
        .subcommand(
            Command::new("reply")
                .about("Answers the requests on the topics that match")
                .after_help(help::REPLY)
                .arg(
                    Arg::new("PATTERN")
                        .value_hint(ValueHint::Other)
                        .required(true)
                        .value_parser(value_parser!(OsString))
                        .help("Topics to answer: `*` stands for one segment, `**` for any number of them"),
                )
                .arg(
                    Arg::new("exec")
                        .long("exec")
                        .value_name("CMD")
                        .value_hint(ValueHint::CommandString)
                        .help("Answer with what this command of the shell prints"),
                )
                .arg(
                    Arg::new("echo")
                        .long("echo")
                        .action(ArgAction::SetTrue)
                        .help("Answer with what was asked"),
                )
                .group(ArgGroup::new("how").args(["exec", "echo"]).required(true))
                .args(setting_args())
                .args(output_args()),
        )
        .subcommand(
            Command::new("peers")
                .about("Joins, looks who is there, prints them and leaves")
                .after_help(help::PEERS)
                .arg(seconds("wait").help("How long to look [default: 1]"))
                .arg(
                    number("count", "N")
                        .help("End as soon as there are this many; exit 1 if --wait is over before")
                        .value_parser(count(1)),
                )
                .args(setting_args())
                .args(output_args()),
        )
        .subcommand(bench::command())
        .subcommand(
            Command::new("keygen")
                .about("Prints a new random secret")
                .after_help(help::KEYGEN)
                .args(output_args()),
        )
        .subcommand(
            Command::new("completions")
                .about("Prints what makes a shell complete this command")
                .after_help(help::COMPLETIONS)
                .arg(
                    Arg::new("SHELL")
                        .required(true)
                        .value_parser(value_parser!(Shell))
                        .help("The shell to print it for"),
                ),
        )
        .subcommand(
            Command::new("man")
                .about("Prints the manual page, or writes the pages of all commands")
                .after_help(help::MAN)
                .arg(
                    Arg::new("DIR")
                        .value_parser(value_parser!(PathBuf))
                        .value_hint(ValueHint::DirPath)
                        .help("A folder to write all pages to: talkie.1, talkie-join.1, …"),
                ),
        )
}

/// One flag for each row of the table.
pub(super) fn setting_args() -> impl Iterator<Item = Arg> {
    SETTINGS.iter().map(|setting| {
        let action = if setting.repeatable { ArgAction::Append } else { ArgAction::Set };
        let again = if setting.repeatable { "; may be repeated" } else { "" };
        let Setting { meaning, variable, default, .. } = setting;
        Arg::new(setting.flag)
            .long(setting.flag.trim_start_matches('-'))
            .value_name(setting.value)
            .value_hint(hint(setting.flag))
            .value_parser(value_parser!(OsString))
            .action(action)
            .help(format!("{meaning}{again} [{variable}] [default: {default}]"))
            .help_heading("Settings")
    })
}

/// What a shell may offer for a setting's value; most of them only their user knows.
fn hint(flag: &str) -> ValueHint {
    match flag {
        "--secret-file" => ValueHint::FilePath,
        "--partners" => ValueHint::Hostname,
        _ => ValueHint::Other,
    }
}

pub(super) fn output_args() -> [Arg; 2] {
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

fn header() -> Arg {
    Arg::new("header")
        .long("header")
        .value_name("KEY=VALUE")
        .value_hint(ValueHint::Other)
        .value_parser(value_parser!(OsString))
        .action(ArgAction::Append)
        .help("A header beside the payload; may be repeated")
}

pub(super) fn number(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).value_hint(ValueHint::Other).allow_negative_numbers(true)
}

pub(super) fn count(least: u64) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| *number >= least);
        number.ok_or_else(|| format!("it takes a whole number, at least {least}"))
    }
}

pub(super) fn seconds(name: &'static str) -> Arg {
    number(name, "SECS").value_parser(|text: &str| -> Result<Duration, String> {
        let wrong = || "it takes seconds from 0 to 31536000 (a year), such as 2 or 0.5".to_owned();
        // Longer would overflow clocks, and nobody waits longer.
        match text.parse::<f64>() {
            Ok(seconds) if (0.0..=31_536_000.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
            _ => Err(wrong()),
        }
    })
}
