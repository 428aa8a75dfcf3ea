use super::*;

/// What a reader sees of a page, roughly: without the escapes that roff needs.
fn plain(page: &str) -> String {
    page.replace("\\*(Aq", "'")
        .replace("\\-", "-")
        .replace("\\fB", "")
        .replace("\\fI", "")
        .replace("\\fR", "")
        .replace("\\&", "")
}

#[test]
fn the_manual_has_a_page_for_each_command_and_each_page_its_sections() {
    let pages = all();
    let root = built();
    let commands: usize = root.get_subcommands().map(|command| 1 + command.get_subcommands().count()).sum();
    let files: Vec<_> = pages.iter().map(|(file, _)| file.as_str()).collect();
    for command in [
        "demo",
        "join",
        "sub",
        "pub",
        "request",
        "reply",
        "peers",
        "bench",
        "bench-fanout",
        "bench-serve",
        "keygen",
        "completions",
        "man",
    ] {
        assert!(files.contains(&format!("talkie-{command}.1").as_str()), "{files:?}");
    }
    assert!(files.contains(&"talkie.1") && files.len() == 1 + commands, "{files:?}");
    for (file, page) in &pages {
        let page = plain(page);
        for section in
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"EXIT STATUS\"", "EXAMPLES", "\"SEE ALSO\""]
        {
            assert!(page.contains(&format!("\n.SH {section}\n")), "{file} has no {section}\n{page}");
        }
        // Taken apart by what the help texts look like: nothing of them may be lost.
        assert!(
            page.contains("\n.SH \"EXIT STATUS\"\n0 ") && page.contains("2 wrong usage"),
            "{file}: exit codes\n{page}"
        );
        assert!(page.contains("\n.nf\n"), "{file}: examples\n{page}");
        assert!(
            !page.contains("demo-node") && !page.contains("bench-role") && !page.contains('`'),
            "{file}\n{page}"
        );
    }
}

#[test]
fn the_manual_tells_every_setting_and_every_line() {
    let page = plain(&overview());
    let (options, environment) = page.split_once("\n.SH ENVIRONMENT\n").unwrap();
    for setting in SETTINGS {
        for (part, what) in [
            (options, setting.flag),
            (options, setting.default),
            (environment, setting.flag),
            (environment, setting.variable),
            (environment, setting.value),
            (environment, setting.default),
        ] {
            assert!(part.contains(what), "{}: {what:?} is missing\n{part}", setting.flag);
        }
        let meaning = setting.meaning.replace('`', "");
        assert!(environment.contains(&meaning), "{meaning:?} is missing\n{environment}");
    }
    // For copying: an apostrophe that no reader of pages makes a quotation mark of.
    assert!(overview().contains(".ds Aq ") && overview().contains("talkie sub \\*(Aqorders/*\\*(Aq"));
    for line in LINES {
        assert!(
            page.contains(line.example) && page.contains(line.meaning),
            "{} is missing\n{page}",
            line.event
        );
    }
}
