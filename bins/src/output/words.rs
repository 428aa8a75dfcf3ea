//! The form for people: plain words, with colours where a terminal shows them.

use std::fmt::{self, Display, Write as _};

use anstyle::{AnsiColor, Style};
use talkie_pubsub::{LinkKind, NodeId, Topic};

use super::{Beside, Event, Payload};

pub(super) const PLAIN: Style = Style::new();
pub(super) const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const GONE: Style = AnsiColor::Yellow.on_default();
const TOPIC: Style = AnsiColor::Cyan.on_default();

/// Colours, or none.
#[derive(Clone, Copy)]
pub(super) struct Paint {
    pub(super) colour: bool,
}

impl Paint {
    pub(super) fn over(self, style: Style, text: impl Display) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_string() }
    }
}

/// The line for people, without its end.
pub(super) fn words(line: &mut String, event: &Event<'_>, paint: Paint) -> fmt::Result {
    let topic = |topic: &Topic| paint.over(TOPIC, printable(topic.as_str()));
    let dim = |text: String| paint.over(DIM, text);
    match event {
        Event::Joined { node, name, bus, listen, metrics } => {
            let listen = listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let listen = if listen.is_empty() { "no address yet".to_owned() } else { listen };
            let metrics = metrics.map_or_else(String::new, |at| format!(", metrics at http://{at}/metrics"));
            let rest = dim(format!("(id {}), listening on {listen}{metrics}", short(node)));
            write!(line, "joined bus {bus} as {} {rest}", paint.over(BOLD, name))
        }
        Event::PeerUp { node, name, addr, via, link } => {
            let over = if *link == LinkKind::Unix { ", by a Unix socket" } else { "" };
            let rest = dim(format!("(id {}) at {addr}, found by {via}{over}", short(node)));
            write!(line, "{} {name} {rest}", paint.over(GOOD, "+"))
        }
        Event::PeerDown { node, name, reason } => {
            write!(line, "{} {name} {} {reason}", paint.over(GONE, "-"), dim(format!("(id {})", short(node))))
        }
        Event::Subscribed { pattern } => {
            write!(line, "listening to {}", paint.over(TOPIC, printable(pattern.as_str())))
        }
        Event::Message { topic: on, payload, beside, .. } => {
            write!(line, "{} ", topic(on))?;
            line.write_str(&shown(payload, paint))?;
            line.write_str(&along(beside, paint))
        }
        Event::Request { topic: on, name, payload, beside, .. } => {
            write!(line, "{} {} {}", topic(on), dim(format!("asked by {name}")), shown(payload, paint))?;
            line.write_str(&along(beside, paint))
        }
        Event::Reply { node, name, payload, beside, named } => {
            if *named {
                write!(line, "{} {} ", paint.over(BOLD, name), dim(format!("(id {})", short(node))))?;
            }
            match payload {
                // What a command prints ends with a line feed.
                Payload::Text(text) => {
                    line.write_str(&shown(&Payload::Text(text.strip_suffix('\n').unwrap_or(text)), paint))?;
                }
                payload => line.write_str(&shown(payload, paint))?,
            }
            line.write_str(&along(beside, paint))
        }
        Event::Missing { node, name, why } => {
            let why = paint.over(BAD, format!("no answer: {}", why.replace('_', " ")));
            write!(line, "{} {} {why}", paint.over(BOLD, name), dim(format!("(id {})", short(node))))
        }
        Event::Gap { node, name, missed, at_least, pattern } => {
            let messages = match (missed, at_least) {
                (0, true) => "an unknown number of messages".to_owned(),
                (missed, true) => format!("at least {}", plural(*missed, "message")),
                (missed, false) => plural(*missed, "message"),
            };
            let of = match name {
                Some(name) => format!("{name} (id {})", short(node)),
                None => format!("id {}", short(node)),
            };
            line.write_str(&paint.over(BAD, format!("gap: missed {messages} of {of}")))?;
            match pattern {
                Some(pattern) => write!(line, " on {}", printable(pattern.as_str())),
                None => Ok(()),
            }
        }
        Event::Published { topic: on, count, nodes } => {
            let (messages, handed) = (plural(*count, "message"), plural(*nodes as u64, "node"));
            write!(line, "published {messages} on {}, handed over to {handed}", topic(on))
        }
        Event::Peer(peer) => write!(line, "{} {} {}", peer.name, short(&peer.node), peer.addr),
        Event::Secret { secret } => line.write_str(secret),
        Event::Started { name, pid } => {
            write!(line, "{} started as process {pid}", paint.over(BOLD, name))
        }
        Event::Found { name, peer, after_ms } => {
            let after = paint.over(GOOD, millis(*after_ms));
            write!(line, "{} found {peer}, {after} after its own start", paint.over(BOLD, name))
        }
        Event::Sent { name, topic, payload, nodes } => {
            let (name, topic) = (paint.over(BOLD, name), paint.over(TOPIC, topic));
            write!(line, "{name} published {payload:?} on {topic}: {} want it", plural(*nodes, "other node"))
        }
        Event::Received { name, from, payload, after_us, .. } => {
            let after = paint.over(GOOD, micros(*after_us));
            write!(
                line,
                "  {} received {payload:?} from {from}, {after} after publish",
                paint.over(BOLD, name)
            )
        }
        Event::Left { name, peer, after_ms } => {
            let after = paint.over(GOOD, millis(*after_ms));
            write!(
                line,
                "  {} heard {peer} say goodbye, {after} after it was told to leave",
                paint.over(BOLD, name)
            )
        }
        Event::Done { took_ms } => write!(line, "{} in {}", paint.over(GOOD, "All done"), millis(*took_ms)),
    }
}

/// A payload, made fit for a terminal.
fn shown(payload: &Payload<'_>, paint: Paint) -> String {
    match payload {
        Payload::Text("") => paint.over(DIM, "(empty)"),
        Payload::Text(text) => printable(text),
        Payload::Base64(text) => format!("{} {text}", paint.over(DIM, "base64")),
    }
}

/// Headers behind a payload; nothing where there are none.
fn along(beside: &Beside<'_>, paint: Paint) -> String {
    let text = beside.text.iter().map(|(key, value)| format!("{key}={}", printable(value)));
    let base64 = beside.base64.iter().map(|(key, value)| format!("{key}=base64 {value}"));
    let all: Vec<_> = text.chain(base64).collect();
    if all.is_empty() {
        String::new()
    } else {
        format!(" {}", paint.over(DIM, format!("({})", all.join(", "))))
    }
}

/// A text that another node chose, made fit for a terminal: control characters are escaped.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        // A tab does no harm and is common in tables.
        if c.is_control() && c != '\t' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A number and a noun.
pub(crate) fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The first 8 of an id's 32 digits: enough to tell the nodes of a mesh apart by eye.
pub(super) fn short(node: &NodeId) -> String {
    node.to_string().chars().take(8).collect()
}

pub(super) fn micros(us: u64) -> String {
    if us < 10_000 { format!("{us} µs") } else { millis(us as f64 / 1000.0) }
}

pub(super) fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.0} s", ms / 1000.0),
    }
}
