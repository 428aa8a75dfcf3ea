//! THE table of settings: what a flag and a variable are called, what they mean, how their text is read.
//!
//! [`Config::from_env`], the flags of the `talkie` command and its help are made of [`SETTINGS`], so that they
//! cannot disagree. A flag beats the environment, which beats the default; a value that is beaten is not read.
//! A variable that is set to the empty text counts as not set, as compose files and unit files write it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};

use talkie_discovery::{Groups, InterfaceError, InterfaceSpec, Partner, Reach, Secret};
use talkie_transport::MAX_MAX_MESSAGE;

use crate::config::Config;

/// One setting: a row of [`SETTINGS`].
#[derive(Debug)]
pub struct Setting {
    /// The flag, with its dashes: `--listen`.
    pub flag: &'static str,
    /// What stands for the value in a help text: `ADDR:PORT`.
    pub value: &'static str,
    /// The environment variable: `TALKIE_LISTEN`.
    pub variable: &'static str,
    /// What holds where neither is given, in words.
    pub default: &'static str,
    /// What it does, in a sentence or two.
    pub meaning: &'static str,
    /// Whether the flag may be given several times; the values are then read as one list, joined by commas.
    pub repeatable: bool,
    /// What a right value looks like, to follow "is not".
    expected: &'static str,
    read: Read,
}

/// How a setting's text becomes part of a [`Config`].
#[derive(Debug)]
enum Read {
    Secret,
    SecretFile,
    Text(fn(Config, &str) -> Result<Config, String>),
}

const SECRET_FLAG: &str = "--secret";

/// Every setting, in the order of a help text.
pub const SETTINGS: &[Setting] = &[
    Setting {
        flag: SECRET_FLAG,
        value: "S",
        variable: "TALKIE_SECRET",
        default: "none: one is needed",
        meaning: "The secret that the members share: one made by `talkie keygen`, or a passphrase of at least 8 \
                  characters. On a command line it is visible to the other users of this host: prefer the \
                  variable or a file",
        repeatable: false,
        expected: "a usable secret",
        read: Read::Secret,
    },
    Setting {
        flag: "--secret-file",
        value: "F",
        variable: "TALKIE_SECRET_FILE",
        default: "none",
        meaning: "A file that holds the secret, which is read again when it changes. Several lines are several secrets, to change \
                  from one to another: the first is used to send, all are accepted. Blanks around a line and empty lines do not \
                  count",
        repeatable: false,
        expected: "a file with a usable secret",
        read: Read::SecretFile,
    },
    Setting {
        flag: "--bus",
        value: "NAME",
        variable: "TALKIE_BUS",
        default: "default",
        meaning: "The bus whose topics to share; two buses never mix",
        repeatable: false,
        expected: "a bus name: 1 to 64 bytes without control characters",
        read: Read::Text(|config, text| Ok(config.bus(text.parse().map_err(words)?))),
    },
    Setting {
        flag: "--name",
        value: "NAME",
        variable: "TALKIE_NAME",
        default: "PROGRAM@HOSTNAME",
        meaning: "What the others call this node; names may repeat",
        repeatable: false,
        expected: "a node name: 1 to 64 bytes without control characters",
        read: Read::Text(|config, text| Ok(config.name(text.parse().map_err(words)?))),
    },
    Setting {
        flag: "--listen",
        value: "ADDR:PORT",
        variable: "TALKIE_LISTEN",
        default: "[::]:8255, or a port that the system picks where 8255 is taken",
        meaning: "Where other nodes connect to; `[::]:P` takes both families, `0.0.0.0:P` IPv4 only, port 0 is \
                  one that the system picks",
        repeatable: false,
        expected: "an address and a port, such as 0.0.0.0:8255, [::]:8255 or 127.0.0.1:0",
        read: Read::Text(|config, text| Ok(config.listen(listen(text)?))),
    },
    Setting {
        flag: "--partners",
        value: "HOST[:PORT],…",
        variable: "TALKIE_PARTNERS",
        default: "none",
        meaning: "Nodes to connect to where multicast does not reach, separated by commas; port 8255 where none \
                  is given",
        repeatable: true,
        expected: "a list of hosts such as alpha,10.0.0.7:8255,[fd00::7]:8255",
        read: Read::Text(|config, text| Ok(config.partners(Partner::parse_list(text).map_err(words)?))),
    },
    Setting {
        flag: "--multicast",
        value: "on|off",
        variable: "TALKIE_MULTICAST",
        default: "on",
        meaning: "Whether to look for nodes by multicast",
        repeatable: false,
        expected: "on or off",
        read: Read::Text(|config, text| Ok(config.multicast(on_or_off(text)?))),
    },
    Setting {
        flag: "--group",
        value: "ADDR:PORT",
        variable: "TALKIE_GROUP",
        default: "239.255.82.55:8255 and [ff12::8255]:8255",
        meaning: "The multicast group to meet in, at most one per family; one alone switches the other family off",
        repeatable: true,
        expected: "at most one multicast address and port per family, such as 239.255.82.55:8255",
        read: Read::Text(|config, text| Ok(config.groups(Groups::parse_list(text).map_err(words)?))),
    },
    Setting {
        flag: "--interface",
        value: "NAME|IP",
        variable: "TALKIE_INTERFACE",
        default: "every usable one, and always loopback",
        meaning: "The network interfaces to use for heartbeats, for the addresses told to others and for \
                  connecting to them",
        repeatable: true,
        expected: "a list of this host's interfaces, by name or address, such as eth0 or 127.0.0.1",
        read: Read::Text(|config, text| Ok(config.interfaces(interfaces(text)?))),
    },
    Setting {
        flag: "--unix",
        value: "on|off",
        variable: "TALKIE_UNIX",
        default: "on",
        meaning: "Whether to link to nodes of this host by a Unix socket where both have it on (Linux only); they link by TCP \
                  otherwise",
        repeatable: false,
        expected: "on or off",
        read: Read::Text(|config, text| Ok(config.unix(on_or_off(text)?))),
    },
    Setting {
        flag: "--max-message",
        value: "BYTES",
        variable: "TALKIE_MAX_MESSAGE",
        default: "1048576",
        meaning: "The longest payload that is published or taken",
        repeatable: false,
        expected: "a number of bytes from 1 to 67108864",
        read: Read::Text(|config, text| Ok(config.max_message(bytes(text)?))),
    },
    Setting {
        flag: "--metrics",
        value: "ADDR:PORT",
        variable: "TALKIE_METRICS",
        default: "none",
        meaning: "Where to serve this node's counters at http://ADDR:PORT/metrics, for Prometheus; open to whoever reaches the \
                  address, so prefer 127.0.0.1. Port 0 is one that the system picks",
        repeatable: false,
        expected: "an address of this host and a port, such as 127.0.0.1:9255",
        read: Read::Text(|config, text| Ok(config.metrics(listen(text)?))),
    },
];

/// Why settings make no [`Config`]. Each is one line, and none shows a secret. [`Debug`](fmt::Debug) is that line too, since a
/// `main` that returns an error prints it so.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value that its setting does not take.
    #[error("{setting}: {given} is not {expected}{why}")]
    BadValue {
        /// The flag or the variable, whichever gave the value.
        setting: &'static str,
        /// The value, quoted; hidden where it is a secret.
        given: String,
        /// What would be right.
        expected: &'static str,
        /// What is wrong with it, as ` (words)`; empty where the rest says it all.
        why: String,
    },
    /// A variable that nobody reads, and that looks like one that is read.
    #[error("{variable}: there is no such setting; did you mean {meant}?")]
    Misspelt {
        /// The variable, as it was found.
        variable: String,
        /// The variable that it resembles.
        meant: &'static str,
    },
    /// A flag that is no setting's.
    #[error("{flag}: there is no such setting; there are {}", flags())]
    UnknownFlag {
        /// As it was given.
        flag: String,
    },
    /// Two ways of giving the secret at one level.
    #[error("{first} and {second} are both given: the secret can come from one of them only")]
    TwoSecrets {
        /// One of the two.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// No secret at all.
    #[error(
        "no secret is given: set TALKIE_SECRET, or TALKIE_SECRET_FILE or --secret-file to a file that holds it, \
         the same on every node; `talkie keygen` prints a new one"
    )]
    NoSecret,
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes a [`Config`] of a command's flags and this process's environment.
///
/// `flags` names a setting's flag with each value that it was given, none where it was not.
/// What is odd and yet no error (an unknown variable, a secret in the list of processes) is logged as a warning.
///
/// # Errors
/// The first thing found wrong. Nothing has been started then.
pub fn from_flags<'a>(
    flags: impl IntoIterator<Item = (&'a str, Vec<OsString>)>,
) -> Result<Config, ConfigError> {
    let flags: Vec<_> = flags.into_iter().collect();
    let environment: Vec<_> = std::env::vars_os().collect();
    let (config, warnings) = resolve(&flags, &environment)?;
    for warning in warnings {
        tracing::warn!(name: "talkie.setting.unknown", "{warning}");
    }
    // To write over it would take `unsafe`, and whoever looked before that has it.
    if flags.iter().any(|(flag, given)| *flag == SECRET_FLAG && !given.is_empty()) {
        tracing::warn!(
            name: "talkie.secret.visible",
            "{SECRET_FLAG} shows the secret to the other users of this host, in the list of processes: a file \
             (--secret-file) or TALKIE_SECRET does not"
        );
    }
    Ok(config)
}

/// Looks for a variable that resembles a setting's and is none; returns those that resemble nothing, as warnings.
///
/// # Errors
/// [`ConfigError::Misspelt`] for a `TALKIE_` variable within two letters of a known one.
pub fn check_names<'a>(variables: impl IntoIterator<Item = &'a OsStr>) -> Result<Vec<String>, ConfigError> {
    let mut warnings = Vec::new();
    for name in variables {
        let name = name.to_string_lossy();
        let Some(rest) = name.strip_prefix("TALKIE_") else { continue };
        // Kubernetes sets these in every pod beside a service that is named `talkie`.
        let injected = rest.starts_with("PORT") || rest.contains("SERVICE_");
        if injected || SETTINGS.iter().any(|known| known.variable == name) {
            continue;
        }
        let nearest =
            SETTINGS.iter().map(|known| (distance(&name, known.variable), known)).min_by_key(|c| c.0);
        match nearest {
            Some((0..=2, known)) => {
                return Err(ConfigError::Misspelt {
                    variable: name.escape_debug().to_string(),
                    meant: known.variable,
                });
            }
            _ => warnings.push(format!("{}: there is no such setting; ignored", name.escape_debug())),
        }
    }
    Ok(warnings)
}

/// The flags that there are.
fn flags() -> String {
    SETTINGS.iter().map(|known| known.flag).collect::<Vec<_>>().join(", ")
}

/// One setting's value and where it came from.
struct Source<'a> {
    setting: &'a Setting,
    /// The flag or the variable.
    name: &'static str,
    text: OsString,
}

fn resolve(
    flags: &[(&str, Vec<OsString>)],
    environment: &[(OsString, OsString)],
) -> Result<(Config, Vec<String>), ConfigError> {
    let unknown = flags.iter().find(|(flag, _)| !SETTINGS.iter().any(|known| known.flag == *flag));
    if let Some((flag, _)) = unknown {
        return Err(ConfigError::UnknownFlag { flag: flag.escape_debug().to_string() });
    }
    let warnings = check_names(environment.iter().map(|(name, _)| name.as_os_str()))?;
    let from_flags = |setting: &'static Setting| {
        let (_, given) = flags.iter().find(|(flag, given)| *flag == setting.flag && !given.is_empty())?;
        Some(Source { setting, name: setting.flag, text: given.join(OsStr::new(",")) })
    };
    let from_environment = |setting: &'static Setting| {
        let (_, text) =
            environment.iter().find(|(name, text)| name == setting.variable && !text.is_empty())?;
        Some(Source { setting, name: setting.variable, text: text.clone() })
    };

    let secrets = || SETTINGS.iter().filter(|setting| !matches!(setting.read, Read::Text(_)));
    let mut given: Vec<_> = secrets().filter_map(from_flags).collect();
    if given.is_empty() {
        given = secrets().filter_map(from_environment).collect();
    }
    let mut config = match given.as_slice() {
        [] => return Err(ConfigError::NoSecret),
        [source] => source.secrets()?,
        [first, second, ..] => {
            return Err(ConfigError::TwoSecrets { first: first.name, second: second.name });
        }
    };

    for setting in SETTINGS {
        let Read::Text(read) = setting.read else { continue };
        let Some(source) = from_flags(setting).or_else(|| from_environment(setting)) else { continue };
        config = read(config, source.utf8()?).map_err(|why| source.bad(&why))?;
    }
    Ok((config, warnings))
}

impl Source<'_> {
    fn secrets(&self) -> Result<Config, ConfigError> {
        match self.setting.read {
            // The secret itself in the place of its file: no error may show it.
            Read::SecretFile if looks_secret(&self.text) => Err(self.bad("it looks like the secret itself")),
            Read::SecretFile => Config::from_secret_file(&self.text).map_err(|e| self.bad(&words(e))),
            _ => Secret::parse(self.utf8()?).map(Config::new).map_err(|e| self.bad(&words(e))),
        }
    }

    fn utf8(&self) -> Result<&str, ConfigError> {
        self.text.to_str().ok_or_else(|| self.bad("it is not UTF-8"))
    }

    /// The one line that is told of a bad value: what gave it, what it was, what would be right.
    fn bad(&self, why: &str) -> ConfigError {
        let given = match self.setting.read {
            Read::Secret => HIDDEN.to_owned(),
            Read::SecretFile if looks_secret(&self.text) => HIDDEN.to_owned(),
            _ => quoted(&self.text),
        };
        let why = match why {
            "" => String::new(),
            // It may repeat the value, whatever that holds.
            why => format!(" ({})", shortened(why.replace(char::is_control, " "))),
        };
        ConfigError::BadValue { setting: self.name, given, expected: self.setting.expected, why }
    }
}

/// In the place of a bad value that is a secret, or may be.
const HIDDEN: &str = "the value (not shown)";

/// Whether a file's name begins as every generated secret does.
fn looks_secret(name: &OsStr) -> bool {
    name.to_string_lossy().get(..4).is_some_and(|start| start.eq_ignore_ascii_case("tk1-"))
}

/// At most this many characters of a bad value are shown, so that the line stays one that a person reads.
const SHOWN: usize = 160;

fn quoted(text: &OsStr) -> String {
    shortened(format!("{text:?}"))
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn words(error: impl fmt::Display) -> String {
    error.to_string()
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(String::new()),
    }
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let at: SocketAddr = text.parse().map_err(|_| String::new())?;
    match at.ip() {
        ip if ip.is_multicast() => Err("a multicast address cannot be listened on".to_owned()),
        IpAddr::V4(ip) if ip.is_broadcast() => Err("the broadcast address cannot be listened on".to_owned()),
        // Whether the port is free, only the start can tell; whether the address is this host's, its value decides.
        ip => match TcpListener::bind((ip, 0)) {
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                Err("no interface of this host has this address".to_owned())
            }
            _ => Ok(at),
        },
    }
}

fn interfaces(text: &str) -> Result<Vec<InterfaceSpec>, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let specs = items.map(|item| item.parse().map_err(words)).collect::<Result<Vec<InterfaceSpec>, _>>()?;
    if specs.is_empty() {
        return Err("it names none".to_owned());
    }
    // Asked here, before anything starts: a misspelt interface would otherwise be a node that meets nobody.
    match Reach::look(&specs) {
        // That the system lists none at all is no setting's fault, and is told by whoever uses them.
        Ok(_) | Err(InterfaceError::List(_)) => Ok(specs),
        Err(error) => Err(words(error)),
    }
}

fn bytes(text: &str) -> Result<usize, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(bytes) if digits && (1..=MAX_MAX_MESSAGE).contains(&bytes) => Ok(bytes),
        _ => Err(String::new()),
    }
}

/// How many letters must be put in, taken out or changed to make one text of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for ((&to, &diagonal), &above) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(from != to)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
