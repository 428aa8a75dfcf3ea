//! The floors: plain loops over sockets that frame each payload with its length and do nothing else.
//!
//! `tcp` writes each message to each subscriber in turn, one write per message. `tcp-chacha` seals it before, for each
//! link with a key of its own (handed over in clear at the start: only the cipher counts). `tcp-batch` has a queue and a
//! writer task per link. `unix` is `tcp` over Unix sockets.

use std::sync::{Arc, Mutex, PoisonError};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Notify;

use crate::failure::Failure;
use crate::sink::Sink;
use crate::system::{Publisher, Setup, Subscriber};

/// Most bytes that wait for one writer task; then the publisher waits.
const QUEUE: usize = 1 << 20;
/// Bytes that a reader asks for at once.
const READ: usize = 256 << 10;
const KEY: [u8; 32] = *b"this floor keeps nothing secret!";

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, String),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

enum Links {
    Plain(Vec<Box<dyn Stream>>),
    Sealed(Vec<(Box<dyn Stream>, Cipher)>),
    Queued(Vec<Arc<Queue>>),
}

/// A publisher.
pub struct Floor {
    listener: Listener,
    links: Links,
    framed: Vec<u8>,
}

impl Publisher for Floor {
    async fn open(setup: &Setup) -> Result<Self, Failure> {
        let listener = if setup.system == "unix" {
            let path = setup.folder.join("floor.sock");
            Listener::Unix(UnixListener::bind(&path)?, path.to_string_lossy().into_owned())
        } else {
            Listener::Tcp(TcpListener::bind("127.0.0.1:0").await?)
        };
        let links = match setup.system.as_str() {
            "tcp-chacha" => Links::Sealed(Vec::new()),
            "tcp-batch" => Links::Queued(Vec::new()),
            _ => Links::Plain(Vec::new()),
        };
        Ok(Self { listener, links, framed: Vec::new() })
    }

    fn endpoint(&self) -> String {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr().map(|at| at.to_string()).unwrap_or_default(),
            Listener::Unix(_, path) => path.clone(),
        }
    }

    async fn gather(&mut self, subscribers: usize) -> Result<(), Failure> {
        for _ in 0..subscribers {
            let stream: Box<dyn Stream> = match &self.listener {
                Listener::Tcp(listener) => {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream)
                }
                Listener::Unix(listener, _) => Box::new(listener.accept().await?.0),
            };
            match &mut self.links {
                Links::Plain(links) => links.push(stream),
                Links::Sealed(links) => links.push((stream, Cipher::new()?)),
                Links::Queued(links) => {
                    let queue = Arc::new(Queue::default());
                    tokio::spawn(write_queue(Arc::clone(&queue), stream));
                    links.push(queue);
                }
            }
        }
        Ok(())
    }

    async fn publish(&mut self, payload: &[u8]) -> Result<(), Failure> {
        match &mut self.links {
            Links::Plain(links) => {
                frame(&mut self.framed, payload, 0);
                for link in links {
                    link.write_all(&self.framed).await?;
                }
            }
            Links::Sealed(links) => {
                for (link, cipher) in links {
                    frame(&mut self.framed, payload, CHACHA20_POLY1305.tag_len());
                    cipher.seal(&mut self.framed)?;
                    link.write_all(&self.framed).await?;
                }
            }
            Links::Queued(links) => {
                for link in links {
                    link.push(payload).await?;
                }
            }
        }
        Ok(())
    }
}

/// The length and the payload, in one buffer, so that one write takes both.
fn frame(framed: &mut Vec<u8>, payload: &[u8], more: usize) {
    framed.clear();
    framed.extend_from_slice(&((payload.len() + more) as u32).to_le_bytes());
    framed.extend_from_slice(payload);
}

struct Cipher {
    key: LessSafeKey,
    number: u64,
}

impl Cipher {
    fn new() -> Result<Self, Failure> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &KEY)?;
        Ok(Self { key: LessSafeKey::new(key), number: 0 })
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        if let Some(low) = nonce.first_chunk_mut::<8>() {
            *low = self.number.to_le_bytes();
        }
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals what stands behind the length, and appends the tag.
    fn seal(&mut self, framed: &mut Vec<u8>) -> Result<(), Failure> {
        let nonce = self.nonce();
        let body = framed.get_mut(4..).unwrap_or_default();
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::empty(), body)?;
        framed.extend_from_slice(tag.as_ref());
        Ok(())
    }

    fn open<'a>(&mut self, body: &'a mut [u8]) -> Result<&'a [u8], Failure> {
        let nonce = self.nonce();
        Ok(self.key.open_in_place(nonce, Aad::empty(), body)?)
    }
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    wake: Notify,
    room: Notify,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    failed: Option<String>,
}

impl Queue {
    async fn push(&self, payload: &[u8]) -> Result<(), Failure> {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(why) = state.failed.take() {
                    return Err(Failure::new(why));
                }
                if state.bytes.len() < QUEUE {
                    state.bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
                    state.bytes.extend_from_slice(payload);
                    let first = state.bytes.len() == payload.len() + 4;
                    drop(state);
                    if first {
                        self.wake.notify_one();
                    }
                    return Ok(());
                }
            }
            room.await;
        }
    }
}

/// Takes all that waits, and writes it at once.
async fn write_queue(queue: Arc<Queue>, mut stream: Box<dyn Stream>) {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        std::mem::swap(&mut queue.state.lock().unwrap_or_else(PoisonError::into_inner).bytes, &mut bytes);
        if bytes.is_empty() {
            queue.wake.notified().await;
            continue;
        }
        queue.room.notify_one();
        if let Err(why) = stream.write_all(&bytes).await {
            queue.state.lock().unwrap_or_else(PoisonError::into_inner).failed = Some(why.to_string());
            queue.room.notify_one();
            return;
        }
    }
}

impl Subscriber for Floor {
    async fn run(setup: Setup, sink: Sink) -> Result<(), Failure> {
        let sealed = setup.system == "tcp-chacha";
        if setup.system == "unix" {
            return read(UnixStream::connect(&setup.endpoint).await?, sealed, sink).await;
        }
        let stream = TcpStream::connect(&setup.endpoint).await?;
        stream.set_nodelay(true)?;
        read(stream, sealed, sink).await
    }
}

/// Hands each payload to the sink.
async fn read(mut stream: impl AsyncRead + Unpin, sealed: bool, mut sink: Sink) -> Result<(), Failure> {
    let mut cipher = if sealed { Some(Cipher::new()?) } else { None };
    let mut buffer = vec![0; READ];
    let mut filled = 0;
    loop {
        let read = stream.read(buffer.get_mut(filled..).unwrap_or_default()).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let mut at = 0;
        while let Some(len) = buffer.get(at..filled).and_then(|rest| rest.first_chunk::<4>()) {
            let end = at + 4 + u32::from_le_bytes(*len) as usize;
            if end > filled {
                if end - at > buffer.len() {
                    return Err(Failure::new("a frame that is longer than the buffer"));
                }
                break;
            }
            let body = buffer.get_mut(at + 4..end).unwrap_or_default();
            match &mut cipher {
                Some(cipher) => sink.take(cipher.open(body)?),
                None => sink.take(body),
            }
            at = end;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
}
