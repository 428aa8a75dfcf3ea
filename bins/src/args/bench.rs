//! `talkie bench`: what may be typed, and what it means.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use talkie_instrument::{Last, Rate, STAMP_BYTES};

use super::grammar::{number, output_args, seconds, setting_args};
use super::help;

/// What to measure.
#[derive(Debug)]
pub(crate) enum Bench {
    Fanout { load: Load, rate: Rate, keep: Keep },
    Throughput { load: Load, keep: Keep },
    Local { subscribers: Vec<usize>, bytes: usize, time: Duration, keep: Keep },
    Discovery { nodes: usize, rounds: u32, keep: Keep },
    Detect { rounds: u32, keep: Keep },
    Serve,
}

/// Who publishes what to whom, and for how long.
#[derive(Debug)]
pub(crate) struct Load {
    /// Processes here; across machines how many servers to wait for, or as many as there are.
    pub(crate) subscribers: Option<usize>,
    /// Sizes of payloads in bytes, each at least a stamp's.
    pub(crate) sizes: Vec<usize>,
    /// Of each size and round.
    pub(crate) time: Duration,
    pub(crate) rounds: u32,
    /// To servers on other machines, instead of processes of this one.
    pub(crate) across: bool,
    pub(crate) round_trip: bool,
}

/// What becomes of the results.
#[derive(Debug)]
pub(crate) struct Keep {
    /// The folder for the files; none: nothing is saved.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) form: Form,
}

/// How results are printed where JSON is not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Table,
    Csv,
}

/// Most processes of one host: their links grow with the square.
const MOST_PROCESSES: u64 = 256;

pub(super) fn command() -> Command {
    Command::new("bench")
        .about("Measures latency, throughput, discovery and detection on your own machine or network")
        .after_help(help::BENCH)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            common(Command::new("fanout"), "5")
                .about("One publisher, N subscriber processes at a fixed rate: how long until they have a message")
                .after_help(help::BENCH_FANOUT)
                .arg(list("size", "BYTES", "64", STAMP_BYTES as u64, MAX_PAYLOAD).help("Bytes of a message [default: 64]"))
                .arg(number("rate", "N").value_parser(whole(1, 1_000_000)).help("Messages a second [default: 1000]"))
                .args(across_args())
                .args(output_args()),
        )
        .subcommand(
            common(Command::new("throughput"), "3")
                .about("One publisher as fast as it goes, N subscriber processes: how much arrives")
                .after_help(help::BENCH_THROUGHPUT)
                .arg(
                    list("size", "BYTES", "64,1024,65536", STAMP_BYTES as u64, MAX_PAYLOAD)
                        .help("Bytes of a message, one size after the other [default: 64,1024,65536]"),
                )
                .args(across_args())
                .args(output_args()),
        )
        .subcommand(
            Command::new("local")
                .about("M subscribers in the publisher's own process: how long until all have a message")
                .after_help(help::BENCH_LOCAL)
                .arg(
                    list("subscribers", "M", "1,10,1000", 1, 100_000)
                        .help("Subscriptions, one number after the other [default: 1,10,1000]"),
                )
                .arg(list("size", "BYTES", "64", 0, MAX_PAYLOAD).help("Bytes of a message [default: 64]"))
                .arg(seconds("seconds").help("How long to measure each [default: 2]"))
                .args(keep_args())
                .args(output_args()),
        )
        .subcommand(
            Command::new("discovery")
                .about("Cold start: two processes, and N at once, until they talk and all are linked")
                .after_help(help::BENCH_DISCOVERY)
                .arg(number("nodes", "N").value_parser(whole(2, MOST_PROCESSES)).help("Processes at once [default: 8]"))
                .arg(rounds("5"))
                .args(keep_args())
                .args(output_args()),
        )
        .subcommand(
            Command::new("detect")
                .about("A process is killed, or frozen: how long until another is told")
                .after_help(help::BENCH_DETECT)
                .arg(rounds("3"))
                .args(keep_args())
                .args(output_args()),
        )
        .subcommand(
            Command::new("serve")
                .about("Subscribes here for who measures with --across on another machine")
                .after_help(help::BENCH_SERVE)
                .args(setting_args())
                .args(output_args()),
        )
}

/// What the library takes by default; a longer payload would need a setting of its own on every side.
const MAX_PAYLOAD: u64 = 1 << 20;

fn common(command: Command, time: &str) -> Command {
    command
        .arg(
            number("subscribers", "N")
                .value_parser(whole(1, MOST_PROCESSES))
                .help("Subscriber processes; with --across how many servers to wait for [default: 4; those that are there]"),
        )
        .arg(seconds("seconds").help(format!("How long each round takes [default: {time}]")))
        .arg(rounds("1"))
        .args(keep_args())
}

fn rounds(default: &str) -> Arg {
    number("rounds", "N")
        .value_parser(whole(1, 1_000))
        .help(format!("How often to measure [default: {default}]"))
}

fn across_args() -> impl Iterator<Item = Arg> {
    [
        Arg::new("across")
            .long("across")
            .action(ArgAction::SetTrue)
            .help("Publish to every `talkie bench serve` of the mesh that the settings tell"),
        Arg::new("round-trip")
            .long("round-trip")
            .action(ArgAction::SetTrue)
            .requires("across")
            .help("Measure there and back also where the clocks are the same"),
    ]
    .into_iter()
    .chain(setting_args().map(|arg| arg.help_heading("Settings, for --across")))
}

fn keep_args() -> [Arg; 3] {
    [
        Arg::new("save")
            .long("save")
            .value_name("DIR")
            .value_hint(ValueHint::DirPath)
            .value_parser(value_parser!(PathBuf))
            .help("The folder for JSON, CSV, histograms and picture [default: talkie-bench]")
            .help_heading("Output"),
        Arg::new("no-save")
            .long("no-save")
            .action(ArgAction::SetTrue)
            .conflicts_with("save")
            .help("Write no files")
            .help_heading("Output"),
        Arg::new("csv")
            .long("csv")
            .action(ArgAction::SetTrue)
            .conflicts_with("json")
            .help("Print comma-separated values, for a spreadsheet")
            .help_heading("Output"),
    ]
}

/// A whole number within bounds.
fn whole(least: u64, most: u64) -> ValueParser {
    ValueParser::new(move |text: &str| bounded(text, least, most))
}

fn bounded(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("it takes a whole number from {least} to {most}"))
}

/// Whole numbers between commas.
fn list(name: &'static str, value: &'static str, example: &'static str, least: u64, most: u64) -> Arg {
    number(name, value).value_parser(move |text: &str| -> Result<Numbers, String> {
        let numbers: Result<Vec<u64>, String> =
            text.split(',').map(|part| bounded(part.trim(), least, most)).collect();
        numbers.map(Numbers).map_err(|why| format!("{why}, or several such as {example}"))
    })
}

/// Not a `Vec`, which clap would take for several arguments.
#[derive(Debug, Clone)]
struct Numbers(Vec<u64>);

/// Reads what follows `bench`.
pub(super) fn read(what: &str, own: &mut ArgMatches) -> Result<Bench, String> {
    if what == "serve" {
        return Ok(Bench::Serve);
    }
    let keep = keep(own);
    Ok(match what {
        "fanout" => {
            let load = load(own, &[64], 5)?;
            let rate: u64 = own.remove_one("rate").unwrap_or(1_000);
            let messages = rate as f64 * load.time.as_secs_f64();
            if messages > Last::MOST as f64 {
                return Err(format!(
                    "--rate and --seconds make {messages} messages a round; at most {} can be kept",
                    Last::MOST
                ));
            }
            if messages < 1.0 {
                return Err(format!("--rate and --seconds make {messages} messages a round; one is needed"));
            }
            Bench::Fanout { load, rate: Rate::per_second(rate).map_err(|e| e.to_string())?, keep }
        }
        "throughput" => Bench::Throughput { load: load(own, &[64, 1_024, 65_536], 3)?, keep },
        "local" => Bench::Local {
            subscribers: numbers(own, "subscribers", &[1, 10, 1_000]),
            bytes: numbers(own, "size", &[64]).first().copied().unwrap_or(64),
            time: time(own, 2)?,
            keep,
        },
        "discovery" => Bench::Discovery {
            nodes: own.remove_one("nodes").map_or(8, |n: u64| n as usize),
            rounds: own.remove_one("rounds").map_or(5, |n: u64| n as u32),
            keep,
        },
        "detect" => Bench::Detect { rounds: own.remove_one("rounds").map_or(3, |n: u64| n as u32), keep },
        other => return Err(format!("there is no measurement {other:?}; see talkie bench --help")),
    })
}

fn load(own: &mut ArgMatches, sizes: &[u64], seconds: u64) -> Result<Load, String> {
    let across = own.get_flag("across");
    Ok(Load {
        subscribers: own.remove_one("subscribers").map(|n: u64| n as usize),
        sizes: numbers(own, "size", sizes),
        time: time(own, seconds)?,
        rounds: own.remove_one("rounds").map_or(1, |n: u64| n as u32),
        across,
        round_trip: own.get_flag("round-trip"),
    })
}

fn keep(own: &mut ArgMatches) -> Keep {
    let folder = own.remove_one("save").unwrap_or_else(|| PathBuf::from("talkie-bench"));
    Keep {
        folder: (!own.get_flag("no-save")).then_some(folder),
        form: if own.get_flag("csv") { Form::Csv } else { Form::Table },
    }
}

fn numbers(own: &mut ArgMatches, name: &str, default: &[u64]) -> Vec<usize> {
    let numbers = own.remove_one(name).map_or_else(|| default.to_vec(), |Numbers(numbers)| numbers);
    numbers.into_iter().map(|number| number as usize).collect()
}

/// Not 0, and an hour at most: who wants to measure a day repeats it.
fn time(own: &mut ArgMatches, default: u64) -> Result<Duration, String> {
    let time = own.remove_one("seconds").unwrap_or_else(|| Duration::from_secs(default));
    if time.is_zero() || time > Duration::from_secs(3_600) {
        return Err(format!("--seconds: {} is not more than 0 and at most 3600", time.as_secs_f64()));
    }
    Ok(time)
}
