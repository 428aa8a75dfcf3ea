//! A member that holds the secret and says what it likes.

use std::net::SocketAddr;
use std::time::Duration;

use talkie_discovery::{LinkPsk, NodeId};
use talkie_transport::proto::handshake::{Identity, Initiator, PREAMBLE, RANGE};
use talkie_transport::proto::open::Open;
use talkie_transport::proto::seal::Seal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);
/// The largest message that it says to take.
const TAKES: u64 = 4 << 20;

pub(crate) struct Insider {
    id: NodeId,
    stream: TcpStream,
    seal: Seal,
    open: Open,
    /// What the other side says to have taken of large messages.
    taken: u64,
    sent: u64,
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn read_varint(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

fn control(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[0, kind], &(body.len() as u16).to_be_bytes()[..], body].concat()
}

impl Insider {
    /// A link, if the first message is answered.
    pub(crate) async fn try_link(to: SocketAddr, psk: &LinkPsk) -> Option<Self> {
        let identity = Identity::generate().expect("random bytes");
        let mut stream = TcpStream::connect(to).await.expect("it listens");
        let (noise, first) = Initiator::new(&identity, psk, RANGE).expect("a first message");
        stream.write_all(&[&PREAMBLE[..], &framed(&first)].concat()).await.expect("it reads");
        let len = stream.read_u16().await.ok()?;
        let mut second = vec![0; usize::from(len)];
        stream.read_exact(&mut second).await.expect("it answers");
        let (third, peer) = noise.read_second(&second).expect("it holds the secret");
        let peer = peer.expect("it speaks the same version");
        stream.write_all(&framed(&third)).await.expect("it reads");
        let id = identity.id();
        let (seal, open) = peer.keys.directions().expect("keys");
        let mut insider = Self { id, stream, seal, open, taken: 0, sent: 0 };
        let nowhere: Vec<SocketAddr> = vec!["127.0.0.1:1".parse().expect("an address")];
        let hello = ("insider", nowhere, TAKES, 0u64, false, None::<(u64, u64)>, false, 0u8);
        insider.say(&control(1, &postcard::to_stdvec(&hello).expect("it serialises"))).await;
        if id > peer.id {
            insider.say(&control(2, &varint(1))).await;
        } else {
            // The word of the other side, after its hello.
            while !insider.hear().await.expect("it goes on").contains(&2) {}
        }
        insider.say(&control(3, &[varint(7), varint(1)].concat())).await;
        Some(insider)
    }

    pub(crate) async fn link(to: SocketAddr, psk: &LinkPsk) -> Self {
        Self::try_link(to, psk).await.expect("it answers")
    }

    pub(crate) fn id(&self) -> String {
        self.id.to_string()
    }

    async fn say(&mut self, content: &[u8]) {
        let mut wire = Vec::new();
        self.seal.seal(content, &mut wire).expect("it fits");
        // It may have been dropped already.
        let _ = self.stream.write_all(&wire).await;
    }

    /// The kinds of control frames in the next record; `None`: the link has ended.
    async fn hear(&mut self) -> Option<Vec<u8>> {
        let len = self.stream.read_u16().await.ok()?;
        let mut sealed = vec![0; usize::from(len)];
        self.stream.read_exact(&mut sealed).await.ok()?;
        let len = self.open.open(&mut sealed).expect("it is authentic");
        let content = sealed;
        let (mut kinds, mut pongs) = (Vec::new(), Vec::new());
        let mut rest = &content[1..len];
        while content[0] == 0 && !rest.is_empty() {
            let (head, behind) = rest.split_at(3);
            let (body, behind) = behind.split_at(usize::from(u16::from_be_bytes([head[1], head[2]])));
            match head[0] {
                6 => pongs.push(control(7, body)),
                11 => self.taken = read_varint(body),
                _ => {}
            }
            kinds.push(head[0]);
            rest = behind;
        }
        for pong in pongs {
            self.say(&pong).await;
        }
        Some(kinds)
    }

    pub(crate) async fn piece(&mut self, total: usize, at: usize, bytes: &[u8]) {
        let head = [vec![2], varint(total as u64), varint(at as u64)].concat();
        self.sent += bytes.len() as u64;
        self.say(&[&head, bytes].concat()).await;
    }

    /// Pieces of zeros, in one write: their totals, offsets and lengths.
    pub(crate) async fn pieces(&mut self, pieces: impl IntoIterator<Item = (usize, usize, usize)>) {
        let mut wire = Vec::new();
        for (total, at, len) in pieces {
            let content = [vec![2], varint(total as u64), varint(at as u64), vec![0; len]].concat();
            self.seal.seal(&content, &mut wire).expect("it fits");
        }
        let _ = self.stream.write_all(&wire).await;
    }

    /// The first bytes of a message, by the rules.
    pub(crate) async fn send(&mut self, body: &[u8], bytes: usize) {
        let begin = self.sent;
        for (n, part) in body[..body.len().min(bytes)].chunks(32 * 1024).enumerate() {
            while self.sent + part.len() as u64 - self.taken.max(begin) > 64 * 1024 {
                self.hear().await.expect("it goes on");
            }
            self.piece(body.len(), n * 32 * 1024, part).await;
        }
    }

    /// The frame that delivers a large message, for interest 1.
    pub(crate) async fn deliver(&mut self) {
        self.say(&[1, 4, 3, 1, 1, 0]).await;
    }

    pub(crate) async fn small(&mut self, body: &[u8]) {
        let frame = [&[1, 1, 1, 0], body].concat();
        self.say(&[vec![1], varint(frame.len() as u64), frame].concat()).await;
    }

    /// Waits until so many bytes are told as taken.
    pub(crate) async fn is_told(&mut self, bytes: u64) {
        let heard = async {
            while self.taken < bytes {
                self.hear().await.expect("it goes on");
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("it is told");
    }

    /// Waits for the end of the link.
    /// Says that it accepts the secrets of these marks, and counts so many.
    pub(crate) async fn secrets(&mut self, count: u8, marks: &[u8]) {
        self.say(&control(12, &[&[count], marks].concat())).await;
    }

    /// Says goodbye, for this reason.
    pub(crate) async fn bye(&mut self, why: u8) {
        self.say(&control(8, &[why])).await;
    }

    pub(crate) async fn is_dropped(&mut self) {
        let end = async { while self.hear().await.is_some() {} };
        tokio::time::timeout(PATIENCE, end).await.expect("the link ends");
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}
