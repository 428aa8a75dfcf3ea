//! The pages as roff(7) text.

use clap::{Arg, Command};
use roff::{Inline, Roff, bold, italic, roman};
use talkie_pubsub::settings::SETTINGS;

use crate::args;
use crate::output::LINES;

/// Every page with its file's name: `talkie.1` and one for each command.
pub(super) fn all() -> Vec<(String, String)> {
    let root = built();
    let mut pages = vec![("talkie.1".to_owned(), overview())];
    for command in root.get_subcommands() {
        let mut page = Page::of(command, &root);
        page.commands(command);
        let others: Vec<_> = command.get_subcommands().map(name).collect();
        let others: Vec<_> = ["talkie"].into_iter().chain(others.iter().map(String::as_str)).collect();
        pages.push((format!("{}.1", name(command)), page.finish(&others)));
        let above = name(command);
        pages.extend(
            command.get_subcommands().map(|inner| {
                (format!("{}.1", name(inner)), Page::of(inner, &root).finish(&["talkie", &above]))
            }),
        );
    }
    pages
}

/// talkie(1).
pub(super) fn overview() -> String {
    let root = built();
    let mut page = Page::of(&root, &root);
    page.commands(&root);
    page.section("ENVIRONMENT");
    page.paragraph(
        "A flag counts more than its variable, which counts more than the default. A variable that is set to nothing \
         counts as not set. The library reads the same variables.",
    );
    for setting in SETTINGS {
        let tag = [bold(setting.variable), roman("="), italic(setting.value)];
        let meaning = setting.meaning;
        page.tagged(
            tag,
            &format!("{meaning}. The flag is `{}`. Default: {}.", setting.flag, setting.default),
        );
    }
    for (variable, meaning) in VARIABLES {
        page.tagged([bold(*variable)], meaning);
    }
    page.section("JSON LINES");
    page.paragraph(
        "With `--json` every line of standard output is one object, written at once. Fields and events may be added, \
         which readers skip; these stay.",
    );
    for line in LINES {
        page.tagged([bold(line.event)], &format!("{} ({}).", line.meaning, line.printed_by));
        page.example(line.example);
    }
    page.section("SIGNALS");
    for (signal, meaning) in SIGNALS {
        page.tagged([bold(*signal)], meaning);
    }
    page.section("FILES");
    for (file, meaning) in FILES {
        page.tagged([italic(*file)], meaning);
    }
    let names: Vec<_> = root.get_subcommands().map(name).collect();
    page.finish(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// When the pages last said something else; fixed, so that the same sources give the same pages.
const CHANGED: &str = "2026-11-25";

/// The variables that are no settings.
const VARIABLES: &[(&str, &str)] = &[
    ("RUST_LOG", "What to log, where `--log` does not say: a level, or levels by module."),
    ("NO_COLOR", "If set, nothing is coloured, as nothing is where the output is no terminal."),
    (
        "NOTIFY_SOCKET",
        "Where a service manager wants to hear of `join`, `sub` and `reply`, as in sd_notify(3).",
    ),
    ("JOURNAL_STREAM", "Which stream leads to the journal: there, logs have a priority and no time."),
    ("CREDENTIALS_DIRECTORY", "Where a service manager keeps credentials: a secret there is not warned of."),
];

const SIGNALS: &[(&str, &str)] = &[
    (
        "SIGINT, SIGTERM",
        "End a command that joins: it hands over what was published, says goodbye and exits, within 8 seconds. \
         A second one ends it at once.",
    ),
    (
        "SIGHUP",
        "As SIGTERM, where the command has a terminal, which then is closed. Without a terminal the secret file \
         is read again, and nothing else changes; under nohup(1) it is ignored.",
    ),
];

const FILES: &[(&str, &str)] = &[(
    "F of --secret-file",
    "The secret on one line, or up to four, one a line, while the mesh changes from one to another: the first is used to \
     send, all are accepted. Blanks around a line and empty lines do not count; there are no comments. It is read again \
     within a second of a change; a bad one is warned of then, and changes nothing. That others may read it is warned of, \
     unless a service manager or a container's runtime keeps it (`$CREDENTIALS_DIRECTORY`, `/run/secrets`).",
)];

fn built() -> Command {
    // Without clap's own `help` command, which no page is about.
    let mut root = args::shown().disable_help_subcommand(true);
    root.build();
    root
}

/// `talkie-join`.
fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// A page under way.
struct Page {
    roff: Roff,
    /// Right below a heading, where a paragraph needs no macro.
    fresh: bool,
    /// What the help text says of the end, and the examples: both come last.
    exits: String,
    examples: String,
}

impl Page {
    /// What clap knows of a command, and the paragraphs of its help text.
    fn of(command: &Command, root: &Command) -> Self {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let mut page =
            Self { roff: Roff::new(), fresh: false, exits: String::new(), examples: String::new() };
        let source = format!("Talkie {}", root.get_version().unwrap_or_default());
        let title = name(command).to_uppercase();
        page.roff.control("TH", [title.as_str(), "1", CHANGED, source.as_str(), "Talkie"]);
        page.section("NAME");
        page.roff.text([roman(format!("{} - {}", name(command), about.trim_end_matches('.')))]);
        page.section("SYNOPSIS");
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        let bin = command.get_bin_name().unwrap_or_default();
        page.roff.text([bold(bin), roman(usage.strip_prefix(bin).unwrap_or(usage))]);
        page.section("DESCRIPTION");
        page.paragraph(&format!("{}.", about.trim_end_matches('.')));
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for paragraph in help.split("\n\n") {
            if let Some(codes) = paragraph.strip_prefix("Exit codes: ") {
                codes.clone_into(&mut page.exits);
            } else if let Some((_, lines)) = paragraph.split_once(":\n") {
                lines.clone_into(&mut page.examples);
            } else {
                page.paragraph(paragraph);
            }
        }
        page.section("OPTIONS");
        // Its own arguments first, as in its help text.
        let own = |arg: &&Arg| arg.get_help_heading().is_none();
        command.get_arguments().filter(own).for_each(|arg| page.argument(arg));
        command.get_arguments().filter(|arg| !own(arg)).for_each(|arg| page.argument(arg));
        page
    }

    /// The commands below one, where there are any.
    fn commands(&mut self, above: &Command) {
        if above.has_subcommands() {
            self.section("COMMANDS");
        }
        for command in above.get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            self.tagged([bold(name(command)), roman("(1)")], &format!("{about}."));
        }
    }

    fn section(&mut self, title: &str) {
        self.roff.control("SH", [title]);
        self.fresh = true;
    }

    fn paragraph(&mut self, text: &str) {
        if !std::mem::take(&mut self.fresh) {
            self.roff.control("PP", []);
        }
        self.roff.text(marked(text));
    }

    fn argument(&mut self, arg: &Arg) {
        let value = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
        let mut tag: Vec<Inline> = arg.get_short().map(|c| bold(format!("-{c}"))).into_iter().collect();
        if let Some(long) = arg.get_long() {
            tag.extend((!tag.is_empty()).then(|| roman(", ")));
            tag.push(bold(format!("--{long}")));
        }
        if arg.is_positional() {
            tag.push(italic(arg.get_id().as_str()));
        } else if let Some(value) = value.filter(|_| arg.get_action().takes_values()) {
            tag.extend([roman(" "), italic(value)]);
        }
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<_> =
            arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        let values = match values.as_slice() {
            // A switch has values, too, as clap sees it.
            _ if !arg.get_action().takes_values() => String::new(),
            [] => String::new(),
            values => format!(": {}", values.join(", ")),
        };
        self.tagged(tag, &format!("{help}{values}."));
    }

    fn tagged(&mut self, tag: impl Into<Vec<Inline>>, text: &str) {
        self.roff.control("TP", []);
        self.roff.text(tag);
        self.roff.text(marked(text));
    }

    /// Lines as they are, as far in as the text before them.
    fn example(&mut self, lines: &str) {
        self.roff.control("RS", []);
        self.roff.control("nf", []);
        for line in lines.lines() {
            self.roff.text([roman(line.trim_start())]);
        }
        self.roff.control("fi", []);
        self.roff.control("RE", []);
    }

    /// The end of the page, with other pages to see.
    fn finish(mut self, others: &[&str]) -> String {
        let (exits, examples) = (std::mem::take(&mut self.exits), std::mem::take(&mut self.examples));
        self.section("EXIT STATUS");
        self.paragraph(&exits);
        self.section("EXAMPLES");
        self.example(&examples);
        self.section("SEE ALSO");
        let mut names = Vec::new();
        for (index, other) in others.iter().enumerate() {
            names.extend([roman(if index == 0 { "" } else { ", " }), bold(*other), roman("(1)")]);
        }
        self.roff.text(names);
        self.roff.render()
    }
}

/// What stands between backquotes is set in bold.
fn marked(text: &str) -> Vec<Inline> {
    let pieces = text.split('`').enumerate();
    pieces.map(|(index, piece)| if index % 2 == 1 { bold(piece) } else { roman(piece) }).collect()
}

#[cfg(test)]
mod tests;
