//! What a command prints: one enum, as a JSON line for programs or in words for people.
//!
//! The JSON lines are part of the outside that scripts depend on: fields may be added, never changed.

mod beside;
mod lines;
mod words;

use std::fmt::{self, Display};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Serialize, Serializer};
use talkie_pubsub::{BusName, DownReason, LinkKind, NodeId, NodeName, Pattern, Topic, Via};

pub(crate) use self::beside::Beside;
pub(crate) use self::lines::LINES;
pub(crate) use self::words::plural;
use self::words::{BOLD, PLAIN, Paint, micros, millis, short, words};

/// One line of output.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    Joined {
        #[serde(serialize_with = "text")]
        node: NodeId,
        #[serde(serialize_with = "text")]
        name: NodeName,
        bus: BusName,
        listen: Vec<SocketAddr>,
        /// Where its counters are served, if anywhere.
        #[serde(skip_serializing_if = "Option::is_none")]
        metrics: Option<SocketAddr>,
    },
    PeerUp {
        #[serde(serialize_with = "text")]
        node: NodeId,
        #[serde(serialize_with = "text")]
        name: NodeName,
        addr: SocketAddr,
        #[serde(serialize_with = "text")]
        via: Via,
        /// What the link goes over.
        #[serde(serialize_with = "text")]
        link: LinkKind,
    },
    PeerDown {
        #[serde(serialize_with = "text")]
        node: NodeId,
        #[serde(serialize_with = "text")]
        name: NodeName,
        #[serde(serialize_with = "text")]
        reason: DownReason,
    },
    Subscribed {
        pattern: &'a Pattern,
    },
    Message {
        topic: &'a Topic,
        #[serde(serialize_with = "text")]
        node: NodeId,
        #[serde(serialize_with = "text")]
        name: &'a NodeName,
        seq: u64,
        #[serde(flatten)]
        payload: Payload<'a>,
        #[serde(flatten)]
        beside: Beside<'a>,
    },
    Gap {
        #[serde(serialize_with = "text")]
        node: NodeId,
        /// Where it is known; the node may be gone.
        #[serde(serialize_with = "known", skip_serializing_if = "Option::is_none")]
        name: Option<&'a NodeName>,
        missed: u64,
        #[serde(skip_serializing_if = "is_false")]
        at_least: bool,
        /// Told where several are listened to.
        #[serde(skip_serializing_if = "Option::is_none")]
        pattern: Option<&'a Pattern>,
    },
    /// `reply`: what it was asked.
    Request {
        topic: &'a Topic,
        #[serde(serialize_with = "text")]
        node: NodeId,
        #[serde(serialize_with = "text")]
        name: &'a NodeName,
        #[serde(flatten)]
        payload: Payload<'a>,
        #[serde(flatten)]
        beside: Beside<'a>,
    },
    Reply {
        #[serde(serialize_with = "text")]
        node: NodeId,
        #[serde(serialize_with = "text")]
        name: &'a NodeName,
        #[serde(flatten)]
        payload: Payload<'a>,
        #[serde(flatten)]
        beside: Beside<'a>,
        /// Whether people are told whose it is: where several answer.
        #[serde(skip)]
        named: bool,
    },
    /// `request --all`: a responder did not answer.
    Missing {
        #[serde(serialize_with = "text")]
        node: NodeId,
        #[serde(serialize_with = "text")]
        name: &'a NodeName,
        why: &'a str,
    },
    Published {
        topic: &'a Topic,
        count: u64,
        nodes: usize,
    },
    Peer(Peer),
    Secret {
        secret: &'a str,
    },
    /// `demo`: a node's process runs.
    Started {
        name: &'a str,
        pid: u32,
    },
    /// `demo`: a node tells of a peer, so long after its own start.
    Found {
        name: &'a str,
        peer: &'a str,
        after_ms: f64,
    },
    /// `demo`: a node published.
    Sent {
        name: &'a str,
        topic: &'a str,
        payload: &'a str,
        nodes: u64,
    },
    /// `demo`: a subscriber has a message in hand, so long after the publisher called `publish`.
    Received {
        name: &'a str,
        from: &'a str,
        topic: &'a str,
        payload: &'a str,
        after_us: u64,
    },
    /// `demo`: a node tells that a peer said goodbye, so long after that was told to leave.
    Left {
        name: &'a str,
        peer: &'a str,
        after_ms: f64,
    },
    /// `demo`: all of it worked.
    Done {
        took_ms: f64,
    },
}

/// One member, as `peers` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Peer {
    #[serde(serialize_with = "text")]
    pub(crate) node: NodeId,
    #[serde(serialize_with = "text")]
    pub(crate) name: NodeName,
    pub(crate) addr: SocketAddr,
    #[serde(serialize_with = "text")]
    pub(crate) link: LinkKind,
    /// `null` as long as nothing was measured.
    pub(crate) rtt_us: Option<u64>,
    pub(crate) since_ms: u64,
    #[serde(flatten)]
    pub(crate) secrets: Secrets,
}

/// How a member is not as far as this node in a change of the secret; nothing is printed where it is.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Secrets {
    /// It sends under a secret that is not the first here.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) old_secret: bool,
    /// It sends under one that is not there here.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) unknown_secret: bool,
    /// Those of this node's that it does not accept, 1 for the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lacks_secrets: Vec<usize>,
}

impl Display for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lacks = self.lacks_secrets.iter().map(|place| format!("lacks {place}"));
        let sends = match (self.old_secret, self.unknown_secret) {
            (true, _) => Some("old".to_owned()),
            (_, true) => Some("unknown".to_owned()),
            _ => None,
        };
        f.write_str(&sends.into_iter().chain(lacks).collect::<Vec<_>>().join(", "))
    }
}

/// A payload: as text where it is UTF-8, else in base64.
#[derive(Debug, Serialize)]
pub(crate) enum Payload<'a> {
    #[serde(rename = "payload")]
    Text(&'a str),
    #[serde(rename = "payload_base64")]
    Base64(String),
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Base64(data_encoding::BASE64.encode(bytes)),
        }
    }
}

/// Standard output, in one of the two forms.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    colour: bool,
    buffer: Vec<u8>,
    writing: Arc<AtomicBool>,
}

/// Bytes that may wait while more is ready to be printed; bounds what a busy `sub` holds back.
const BUFFERED: usize = 64 << 10;

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let colour = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        Self { json, colour, buffer: Vec::new(), writing: Arc::default() }
    }

    /// True while a write is under way, which waits for as long as nobody reads.
    pub(crate) fn writing(&self) -> Arc<AtomicBool> {
        self.writing.clone()
    }

    /// Whether it is lines of JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Adds a line of JSON that was made elsewhere, and sends it out.
    pub(crate) fn print_line(&mut self, line: &str) -> io::Result<()> {
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
        self.flush()
    }

    /// Adds a line; it goes out with [`flush`](Self::flush), or when many wait.
    pub(crate) fn print(&mut self, event: &Event<'_>) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.buffer, event)?;
        } else {
            let mut line = String::new();
            // Writing to a String cannot fail.
            let _ = words(&mut line, event, Paint { colour: self.colour });
            self.buffer.extend_from_slice(line.as_bytes());
        }
        self.buffer.push(b'\n');
        if self.buffer.len() < BUFFERED { Ok(()) } else { self.flush() }
    }

    /// Adds a line and sends it out.
    pub(crate) fn print_now(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.print(event)?;
        self.flush()
    }

    /// The members: a table for people.
    pub(crate) fn print_peers(&mut self, peers: Vec<Peer>) -> io::Result<()> {
        if self.json {
            for peer in peers {
                self.print(&Event::Peer(peer))?;
            }
            return self.flush();
        }
        // Only while the mesh changes its secret; cells at the end that are empty are cut.
        let differ = peers.iter().any(|peer| !peer.secrets.to_string().is_empty());
        let last = if differ { "SECRET" } else { "" };
        let heads = ["NAME", "ID", "ADDRESS", "ROUND TRIP", "SINCE", last].map(str::to_owned);
        let mut rows = vec![heads];
        rows.extend(peers.iter().map(|peer| {
            let rtt = peer.rtt_us.map_or_else(|| "-".to_owned(), micros);
            [
                peer.name.to_string(),
                short(&peer.node),
                peer.addr.to_string(),
                rtt,
                millis(peer.since_ms as f64),
                peer.secrets.to_string(),
            ]
        }));
        let mut widths = [0; 6];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for (index, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let style = if index == 0 { BOLD } else { PLAIN };
            let painted = Paint { colour: self.colour }.over(style, line.trim_end());
            self.buffer.extend_from_slice(painted.as_bytes());
            self.buffer.push(b'\n');
        }
        self.flush()
    }

    /// Text for people between the lines; nothing in JSON.
    pub(crate) fn remark(&mut self, text: &str) -> io::Result<()> {
        if !self.json {
            self.buffer.extend_from_slice(text.as_bytes());
            self.buffer.push(b'\n');
        }
        self.flush()
    }

    /// Sends out what waits.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.writing.store(true, Ordering::Relaxed);
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.buffer).and_then(|()| stdout.flush());
        self.writing.store(false, Ordering::Relaxed);
        self.buffer.clear();
        self.buffer.shrink_to(BUFFERED);
        written
    }
}

fn text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn known<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests;
