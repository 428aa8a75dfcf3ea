//! The driver: runs the workloads and writes the table, the figures and the picture.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use serde_json::json;
use talkie_instrument::Host;
use talkie_peers::driver::plan::{CASES, Plan, SYSTEMS, System, WORKLOADS};
use talkie_peers::driver::{self, Curves, Outcome};
use talkie_peers::failure::Failure;
use talkie_peers::report::table::number;
use talkie_peers::report::versions::versions;
use talkie_peers::report::{Medians, picture, table};

const USAGE: &str = "usage: peers [--short] [--rounds R] [--only w1,w2,…] [--save DIR] [SYSTEM…]";

/// Rounds of a full run where none are named: enough for a median and a spread.
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    let (plan, folder) = match parse(env::args().skip(1)) {
        Ok(parsed) => parsed,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            for System { name, meaning, .. } in SYSTEMS {
                eprintln!("  {name:<18} {meaning}");
            }
            return ExitCode::from(2);
        }
    };
    let host = Host::look();
    // A publisher and its four subscribers: the number of processes of most cases.
    let warnings = host.warnings(5);
    warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    let (outcomes, curves) = driver::run(&plan, tell);
    if let Err(why) = write(&plan, &folder, &host, &warnings, &outcomes, &curves) {
        eprintln!("{}: {why}", folder.display());
        return ExitCode::FAILURE;
    }
    println!("written to {}", folder.display());
    let wrong: Vec<String> = outcomes.iter().filter_map(|outcome| complaint(outcome, plan.short)).collect();
    wrong.iter().for_each(|line| eprintln!("{line}"));
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What must not be: in the short form anything that fails or loses, else only of Talkie.
fn complaint(outcome: &Outcome, short: bool) -> Option<String> {
    if !short && !System::named(&outcome.system).is_some_and(System::is_talkie) {
        return None;
    }
    let what = format!("{}, {}", outcome.case.title(), outcome.system);
    if let Some(why) = &outcome.failed {
        return Some(format!("{what}: failed: {why}"));
    }
    let wrong = ["lost", "doubled", "reordered"]
        .into_iter()
        .filter_map(|name| Some((name, *outcome.figures.get(name)?)))
        .find(|(_, count)| *count > 0.0);
    wrong.map(|(name, count)| format!("{what}: {count} {name}"))
}

/// One line as each measurement ends: it takes long.
fn tell(outcome: &Outcome) {
    let figures: Vec<String> =
        outcome.figures.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect();
    let told = outcome.failed.as_ref().map_or_else(|| figures.join(", "), |why| format!("failed: {why}"));
    println!("round {}  {}  {}: {told}", outcome.round, outcome.case.title(), outcome.system);
}

fn parse(args: impl Iterator<Item = String>) -> Result<(Plan, PathBuf), Failure> {
    let mut plan = Plan { rounds: 0, short: false, only: Vec::new(), systems: Vec::new() };
    let mut folder = PathBuf::from("results");
    let mut args = args;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| Failure::new(format!("{arg} needs a value")));
        match arg.as_str() {
            "--short" => plan.short = true,
            "--rounds" => plan.rounds = value()?.parse()?,
            "--save" => folder = value()?.into(),
            "--only" => plan.only = value()?.split(',').map(str::to_owned).collect(),
            name if System::named(name).is_some() => plan.systems.push(arg),
            _ => return Err(Failure::new(format!("there is no system `{arg}`"))),
        }
    }
    let known = |only: &str| WORKLOADS.contains(&only) || CASES.iter().any(|case| case.name() == only);
    if let Some(other) = plan.only.iter().find(|only| !known(only)) {
        return Err(Failure::new(format!("there is no workload `{other}`: {}", WORKLOADS.join(", "))));
    }
    if plan.rounds == 0 {
        plan.rounds = if plan.short { 1 } else { ROUNDS };
    }
    Ok((plan, folder))
}

fn write(
    plan: &Plan,
    folder: &Path,
    host: &Host,
    warnings: &[String],
    outcomes: &[Outcome],
    curves: &Curves,
) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    let (medians, versions) = (Medians::of(outcomes), versions());
    fs::write(folder.join("table.md"), table::write(&medians, host, warnings, &versions, plan.rounds))?;
    let results = json!({
        "host": host,
        "warnings": warnings,
        "versions": versions,
        "rounds": plan.rounds,
        "short": plan.short,
        "outcomes": outcomes,
    });
    fs::write(folder.join("results.json"), serde_json::to_string_pretty(&results)?)?;
    let picture = picture::picture(&medians, curves, host, warnings, plan.rounds);
    fs::write(folder.join("picture.svg"), picture.svg())?;
    fs::write(folder.join("picture.png"), picture.png()?)?;
    Ok(())
}
