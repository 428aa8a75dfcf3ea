//! How a link begins: `Noise_XXpsk0_25519_ChaChaPoly_BLAKE2s`, whose steps are types.
//!
//! On the wire: the initiator sends four clear bytes (`TLK` and the wire version), then each side sends its Noise
//! messages behind `length: u16 BE`. The prologue covers the clear bytes. The first message carries nothing (it is
//! not forward secret), and who cannot make it gets no byte back. The second and third carry a greeting: the
//! protocols that each side speaks.

use serde::{Deserialize, Serialize};
use snow::{Builder, HandshakeState, params::NoiseParams};
use talkie_discovery::{LinkPsk, NodeId};
use zeroize::Zeroizing;

use super::cipher::{Cipher, Ciphers, LinkKey};
use super::open::Open;
use super::record::RecordError;
use super::seal::Seal;

/// Noise's name of the handshake.
const PATTERN: &str = "Noise_XXpsk0_25519_ChaChaPoly_BLAKE2s";
/// What the initiator sends in clear before anything else: magic and the version of the wire.
pub const PREAMBLE: [u8; 4] = *b"TLK\x01";
/// Begins the prologue; the preamble follows.
const PROLOGUE: &[u8] = b"talkie/1 link";
/// Bytes of the first message: an ephemeral key and the tag of an empty payload.
pub const FIRST_LEN: usize = 48;
/// Most bytes that a handshake message may have.
pub const MAX_LEN: usize = 512;
/// The protocols that this node speaks above the handshake, lowest and highest.
pub const RANGE: Range = Range { min: 1, max: 1 };

/// Protocol versions, lowest and highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Lowest.
    pub min: u8,
    /// Highest.
    pub max: u8,
}

impl Range {
    /// The highest version that both speak.
    pub fn common(self, other: Self) -> Option<u8> {
        let version = self.max.min(other.max);
        (version >= self.min && version >= other.min).then_some(version)
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// What both sides say inside the handshake. A later version may append fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) range: Range,
    /// An earlier version does not say it: none then.
    pub(crate) ciphers: Ciphers,
}

impl Greeting {
    fn of(range: Range) -> Self {
        Self { range, ciphers: Ciphers::of_this_machine() }
    }
}

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The first bytes are not ours.
    #[error("it does not speak this protocol")]
    NotTalkie,
    /// The secret differs, or somebody changed bytes on the way.
    #[error("it holds another secret, or the connection was tampered with")]
    Unauthenticated,
    /// Authenticated, but not understood.
    #[error("its greeting is malformed")]
    Malformed,
    /// No common protocol version.
    #[error("it speaks protocol {theirs}, this node {ours}")]
    Version {
        /// This node's range.
        ours: Range,
        /// The peer's range.
        theirs: Range,
    },
    /// The peer is this very node.
    #[error("it is this node itself")]
    Myself,
}

/// A node's static key of one process; its id is a hash of the public half.
pub struct Identity {
    private: Zeroizing<Vec<u8>>,
    id: NodeId,
}

impl Identity {
    /// Draws a fresh key from the system's generator.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn generate() -> Result<Self, snow::Error> {
        let pair = Builder::new(params()?).generate_keypair()?;
        let public: [u8; 32] = pair.public.as_slice().try_into().map_err(|_| snow::Error::Dh)?;
        Ok(Self { private: Zeroizing::new(pair.private), id: NodeId::of_key(&public) })
    }

    /// The id that follows from the key.
    pub const fn id(&self) -> NodeId {
        self.id
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A peer that has proven the secret and its id, and the keys of the link.
#[derive(Debug)]
pub struct Authenticated {
    /// Who it is: the hash of the key that it proved to hold.
    pub id: NodeId,
    /// The keys of both directions.
    pub keys: Keys,
    /// The highest version that both speak.
    pub version: u8,
}

/// What seals and opens the records of a link.
pub struct Keys {
    cipher: Cipher,
    outward: LinkKey,
    inward: LinkKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("cipher", &self.cipher).finish_non_exhaustive()
    }
}

impl Keys {
    /// What both sides agreed on.
    pub const fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// What seals what this side says, and opens what the other one does.
    ///
    /// # Errors
    /// [`RecordError::Exhausted`] where the cipher does not take the keys, which cannot be.
    pub fn directions(&self) -> Result<(Seal, Open), RecordError> {
        Ok((Seal::new(self.cipher, &self.outward)?, Open::new(self.cipher, &self.inward)?))
    }
}

fn params() -> Result<NoiseParams, snow::Error> {
    PATTERN.parse()
}

fn builder<'a>(
    identity: &'a Identity,
    psk: &'a LinkPsk,
    prologue: &'a [u8],
) -> Result<Builder<'a>, snow::Error> {
    Builder::new(params()?).local_private_key(&identity.private)?.psk(0, psk.as_bytes())?.prologue(prologue)
}

fn prologue() -> Vec<u8> {
    [PROLOGUE, &PREAMBLE].concat()
}

fn greet(noise: &mut HandshakeState, ours: Greeting) -> Result<Vec<u8>, HandshakeError> {
    let Greeting { range, ciphers } = ours;
    let payload = postcard::to_stdvec(&(range, ciphers.0)).map_err(|_| HandshakeError::Malformed)?;
    write(noise, &payload)
}

fn write(noise: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    let mut message = vec![0; MAX_LEN];
    let len = noise.write_message(payload, &mut message).map_err(|_| HandshakeError::Malformed)?;
    message.truncate(len);
    Ok(message)
}

fn read(noise: &mut HandshakeState, message: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    let mut payload = vec![0; MAX_LEN];
    let len = noise.read_message(message, &mut payload).map_err(|_| HandshakeError::Unauthenticated)?;
    payload.truncate(len);
    Ok(payload)
}

pub(crate) fn greeting(payload: &[u8]) -> Result<Greeting, HandshakeError> {
    let (range, rest) = postcard::take_from_bytes(payload).map_err(|_| HandshakeError::Malformed)?;
    // What a later version appends is left alone.
    let ciphers = rest.first().map_or(Ciphers::NONE, |bits| Ciphers(*bits));
    Ok(Greeting { range, ciphers })
}

fn finish(
    mut noise: HandshakeState,
    own: NodeId,
    ours: Greeting,
    theirs: Greeting,
) -> Result<Authenticated, HandshakeError> {
    let key: [u8; 32] =
        noise.get_remote_static().and_then(|key| key.try_into().ok()).ok_or(HandshakeError::Malformed)?;
    let id = NodeId::of_key(&key);
    if id == own {
        return Err(HandshakeError::Myself);
    }
    let (Greeting { range: ours, ciphers }, theirs) = (ours, theirs);
    let version = ours.common(theirs.range).ok_or(HandshakeError::Version { ours, theirs: theirs.range })?;
    let (of_initiator, of_responder) = noise.dangerously_get_raw_split();
    let (of_initiator, of_responder) = (Zeroizing::new(of_initiator), Zeroizing::new(of_responder));
    let (outward, inward) =
        if noise.is_initiator() { (of_initiator, of_responder) } else { (of_responder, of_initiator) };
    Ok(Authenticated { id, keys: Keys { cipher: ciphers.common(theirs.ciphers), outward, inward }, version })
}

/// The side that dialed, waiting for the second message.
#[derive(Debug)]
pub struct Initiator {
    noise: HandshakeState,
    own: NodeId,
    ours: Greeting,
}

impl Initiator {
    /// Says that this side has these ciphers, instead of those that its processor is fast at.
    #[must_use]
    pub const fn with_ciphers(mut self, ciphers: Ciphers) -> Self {
        self.ours.ciphers = ciphers;
        self
    }

    /// Begins; the second value is the first message. The preamble goes before it.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn new(identity: &Identity, psk: &LinkPsk, range: Range) -> Result<(Self, Vec<u8>), HandshakeError> {
        let noise = builder(identity, psk, &prologue())
            .and_then(Builder::build_initiator)
            .map_err(|_| HandshakeError::Malformed)?;
        Self::begin(noise, identity.id, Greeting::of(range))
    }

    fn begin(
        mut noise: HandshakeState,
        own: NodeId,
        ours: Greeting,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let first = write(&mut noise, &[])?;
        Ok((Self { noise, own, ours }, first))
    }

    /// Reads the second message and makes the third. Where only the versions do not fit, the third message is
    /// there all the same, so that the other side is told too.
    ///
    /// # Errors
    /// Another secret, changed bytes, no common version, or this node itself.
    pub fn read_second(
        mut self,
        second: &[u8],
    ) -> Result<(Vec<u8>, Result<Authenticated, HandshakeError>), HandshakeError> {
        let theirs = greeting(&read(&mut self.noise, second)?)?;
        let third = greet(&mut self.noise, self.ours)?;
        Ok((third, finish(self.noise, self.own, self.ours, theirs)))
    }
}

/// The side that was dialed, waiting for the third message.
#[derive(Debug)]
pub struct Responder {
    noise: HandshakeState,
    own: NodeId,
    ours: Greeting,
}

impl Responder {
    /// Reads the first message; the second value is the answer to it.
    ///
    /// # Errors
    /// Who does not hold the secret: nothing may be answered then.
    pub fn read_first(
        identity: &Identity,
        psk: &LinkPsk,
        range: Range,
        first: &[u8],
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let noise = builder(identity, psk, &prologue())
            .and_then(Builder::build_responder)
            .map_err(|_| HandshakeError::Malformed)?;
        Self::begin(noise, identity.id, Greeting::of(range), first)
    }

    fn begin(
        mut noise: HandshakeState,
        own: NodeId,
        ours: Greeting,
        first: &[u8],
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        read(&mut noise, first)?;
        let second = greet(&mut noise, ours)?;
        Ok((Self { noise, own, ours }, second))
    }

    /// Reads the third message: now the initiator is known.
    ///
    /// # Errors
    /// Changed bytes, a replayed first message, no common version, or this node itself.
    pub fn read_third(mut self, third: &[u8]) -> Result<Authenticated, HandshakeError> {
        let theirs = greeting(&read(&mut self.noise, third)?)?;
        finish(self.noise, self.own, self.ours, theirs)
    }
}

#[cfg(test)]
mod tests;
