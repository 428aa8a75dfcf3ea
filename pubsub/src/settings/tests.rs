use super::*;

const SECRET: &str = "correct horse battery staple";

type Flags<'a> = &'a [(&'a str, &'a [&'a str])];

fn parse(flags: Flags<'_>, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let flags: Vec<_> =
        flags.iter().map(|(flag, given)| (*flag, given.iter().map(OsString::from).collect())).collect();
    let environment: Vec<_> =
        environment.iter().map(|(name, text)| (OsString::from(name), OsString::from(text))).collect();
    resolve(&flags, &environment).map(|(config, _)| config)
}

/// What is said of this variable's value, beside a good secret.
fn said(variable: &str, text: &str) -> String {
    parse(&[], &[("TALKIE_SECRET", SECRET), (variable, text)]).unwrap_err().to_string()
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_default() {
    let environment = [("TALKIE_SECRET", SECRET), ("TALKIE_BUS", "north")];
    assert_eq!(parse(&[], &[("TALKIE_SECRET", SECRET)]).unwrap().bus.as_str(), "default");
    assert_eq!(parse(&[], &environment).unwrap().bus.as_str(), "north");
    assert_eq!(parse(&[("--bus", &["south"])], &environment).unwrap().bus.as_str(), "south");
}

#[test]
fn a_value_that_is_beaten_is_not_read() {
    let environment = [("TALKIE_SECRET", "short"), ("TALKIE_LISTEN", "nowhere")];
    let flags: Flags<'_> = &[("--secret", &[SECRET]), ("--listen", &["127.0.0.1:0"])];
    assert!(parse(flags, &environment).is_ok());
}

#[test]
fn an_empty_variable_counts_as_not_set_and_an_empty_flag_does_not() {
    let environment =
        [("TALKIE_SECRET", SECRET), ("TALKIE_SECRET_FILE", ""), ("TALKIE_LISTEN", ""), ("TALKIE_BUS", "")];
    assert_eq!(parse(&[], &environment).unwrap().bus.as_str(), "default");
    assert_eq!(parse(&[], &[("TALKIE_SECRET", "")]).unwrap_err(), ConfigError::NoSecret);
    for setting in SETTINGS.iter().filter(|setting| setting.flag != "--partners") {
        let mut flags = vec![(setting.flag, [""].as_slice())];
        if !setting.flag.starts_with("--secret") {
            flags.push(("--secret", &[SECRET]));
        }
        let error = parse(&flags, &[]).unwrap_err().to_string();
        assert!(error.starts_with(setting.flag), "{error}");
    }
}

#[test]
fn two_secrets_at_one_level_are_refused() {
    let both = [("TALKIE_SECRET", SECRET), ("TALKIE_SECRET_FILE", "/nowhere")];
    assert_eq!(
        parse(&[], &both).unwrap_err(),
        ConfigError::TwoSecrets { first: "TALKIE_SECRET", second: "TALKIE_SECRET_FILE" }
    );
    let flags: Flags<'_> = &[("--secret", &[SECRET]), ("--secret-file", &["/nowhere"])];
    assert!(matches!(parse(flags, &[]).unwrap_err(), ConfigError::TwoSecrets { first: "--secret", .. }));
    // One level above the other: the flag counts.
    assert!(parse(&[("--secret", &[SECRET])], &both).is_ok());
}

#[test]
fn a_secret_is_never_shown() {
    for text in ["hunter2", "tk1-hunter2hunter2hunter2", "tk1-"] {
        let error = parse(&[], &[("TALKIE_SECRET", text)]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        assert!(error.to_string().starts_with("TALKIE_SECRET: the value (not shown) is not"), "{error}");
    }
}

#[test]
fn every_bad_value_is_one_line_with_setting_value_and_what_would_be_right() {
    let long = "n".repeat(65);
    let bad = [
        ("TALKIE_SECRET_FILE", "/nowhere/at all"),
        ("TALKIE_BUS", long.as_str()),
        ("TALKIE_BUS", "a\nb"),
        ("TALKIE_NAME", long.as_str()),
        ("TALKIE_NAME", "a\tb"),
        ("TALKIE_LISTEN", "127.0.0.1"),
        ("TALKIE_LISTEN", "127.0.0.1:65536"),
        ("TALKIE_LISTEN", "localhost:8255"),
        ("TALKIE_LISTEN", "239.255.82.55:8255"),
        ("TALKIE_LISTEN", "192.0.2.77:8255"),
        ("TALKIE_PARTNERS", "alpha:0"),
        ("TALKIE_PARTNERS", "alpha:port"),
        ("TALKIE_PARTNERS", "alpha beta"),
        ("TALKIE_PARTNERS", "[fd00::7"),
        ("TALKIE_MULTICAST", "yes"),
        ("TALKIE_GROUP", "239.255.82.55"),
        ("TALKIE_GROUP", "10.0.0.1:8255"),
        ("TALKIE_GROUP", "239.255.82.55:1,239.255.82.56:1"),
        ("TALKIE_INTERFACE", "surely-not-here"),
        ("TALKIE_INTERFACE", "192.0.2.77"),
        ("TALKIE_INTERFACE", ","),
        ("TALKIE_MAX_MESSAGE", "0"),
        ("TALKIE_MAX_MESSAGE", "-1"),
        ("TALKIE_MAX_MESSAGE", "+1"),
        ("TALKIE_MAX_MESSAGE", "67108865"),
        ("TALKIE_MAX_MESSAGE", "1MiB"),
        ("TALKIE_MAX_MESSAGE", "99999999999999999999999"),
    ];
    for (variable, text) in bad {
        let setting = SETTINGS.iter().find(|setting| setting.variable == variable).unwrap();
        let secret: Flags<'_> = &[("--secret", &[SECRET])];
        let own: Flags<'_> = &[];
        let flags = if variable == "TALKIE_SECRET_FILE" { own } else { secret };
        let error = parse(flags, &[(variable, text)]).unwrap_err().to_string();
        let shown: String = format!("{text:?}").chars().take(60).collect();
        assert!(error.starts_with(variable) && error.contains(&shown), "{error}");
        assert!(error.contains(setting.expected) && !error.contains('\n'), "{error}");
    }
    assert!(bad.iter().all(|(variable, _)| SETTINGS.iter().any(|setting| setting.variable == *variable)));
}

#[test]
fn good_values_are_taken() {
    let good = [
        ("TALKIE_LISTEN", "[::]:8255"),
        ("TALKIE_LISTEN", "0.0.0.0:0"),
        ("TALKIE_PARTNERS", " , alpha, 10.0.0.7:9,[fd00::7]:8255,[fe80::1%eth0]:8255,"),
        ("TALKIE_MULTICAST", "off"),
        ("TALKIE_GROUP", "239.255.82.55:9000,[ff12::9000]:9000"),
        ("TALKIE_INTERFACE", "127.0.0.1"),
        ("TALKIE_MAX_MESSAGE", "67108864"),
    ];
    for (variable, text) in good {
        let parsed = parse(&[], &[("TALKIE_SECRET", SECRET), (variable, text)]);
        assert!(parsed.is_ok(), "{variable}={text}: {parsed:?}");
    }
    let several: Flags<'_> = &[("--secret", &[SECRET]), ("--partners", &["alpha", "beta:9,gamma"])];
    assert_eq!(parse(several, &[]).unwrap().discovery.partners.len(), 3);
}

#[test]
fn a_value_that_is_not_utf8_is_told() {
    use std::os::unix::ffi::OsStringExt;
    let environment = [
        (OsString::from("TALKIE_SECRET"), OsString::from(SECRET)),
        (OsString::from("TALKIE_NAME"), OsString::from_vec(vec![b'a', 0xff])),
    ];
    let error = resolve(&[], &environment).unwrap_err().to_string();
    assert!(error.starts_with("TALKIE_NAME: \"a\\xFF\" is not") && error.contains("UTF-8"), "{error}");
}

#[test]
fn a_long_value_is_cut() {
    let error = said("TALKIE_LISTEN", &"x".repeat(100_000));
    assert!(error.len() < 300, "{error}");
}

#[test]
fn a_misspelt_variable_is_told_with_the_one_it_resembles() {
    let names = |names: &[&str]| check_names(names.iter().map(OsStr::new));
    for (variable, meant) in [
        ("TALKIE_SECRT", "TALKIE_SECRET"),
        ("TALKIE_PARTNER", "TALKIE_PARTNERS"),
        ("TALKIE_INTERFACES", "TALKIE_INTERFACE"),
        ("TALKIE_MAX_MESAGES", "TALKIE_MAX_MESSAGE"),
        ("TALKIE_lISTEN", "TALKIE_LISTEN"),
    ] {
        let error = names(&[variable]).unwrap_err();
        assert_eq!(error, ConfigError::Misspelt { variable: variable.to_owned(), meant }, "{variable}");
    }
    assert_eq!(names(&["TALKIE_COLOUR"]).unwrap(), ["TALKIE_COLOUR: there is no such setting; ignored"]);
    let injected =
        ["TALKIE_PORT", "TALKIE_PORT_8255_TCP", "TALKIE_SERVICE_HOST", "TALKIE_8255_SERVICE_PORT", "PATH"];
    assert!(names(&injected).unwrap().is_empty());
}

#[test]
fn distances_are_those_of_the_book() {
    for (a, b, expected) in
        [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("ab", "ba", 2)]
    {
        assert_eq!(distance(a, b), expected, "{a} {b}");
        assert_eq!(distance(b, a), expected, "{b} {a}");
    }
}

#[test]
fn the_table_is_whole() {
    for setting in SETTINGS {
        let variable = setting.flag.trim_start_matches('-').replace('-', "_").to_uppercase();
        assert_eq!(setting.variable, format!("TALKIE_{variable}"));
        assert!(!setting.meaning.ends_with('.') && !setting.default.is_empty());
    }
}
