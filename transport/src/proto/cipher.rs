//! Noun: the cipher of a link's records, and which one two nodes agree on.
//!
//! The handshake gives a key for each direction (Noise's `Split`), and both sides say inside it what they have instructions
//! for. Records are then sealed as Noise says for that cipher: no associated data, the nonce is a counter.

use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::record::{RecordError, TAG};

/// What seals the records of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// ChaCha20-Poly1305 (RFC 8439): fast everywhere. Nonce: 4 zeros and the counter, little endian.
    ChaCha20Poly1305,
    /// AES-256-GCM, where both processors have instructions for it; 64 KiB then take a third of the time. Nonce: 4 zeros
    /// and the counter, big endian. GCM's limit for one key, 2^32 records of random nonces, is not one for a counter.
    Aes256Gcm,
}

/// The ciphers that a node is fast at, beside ChaCha20-Poly1305, which all have: a set of bits. Bits of later versions are
/// ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ciphers(pub u8);

/// AES-256-GCM.
const AES: u8 = 1;

impl Ciphers {
    /// No other cipher.
    pub const NONE: Self = Self(0);

    /// What this machine's processor has instructions for.
    pub fn of_this_machine() -> Self {
        #[cfg(target_arch = "x86_64")]
        let aes = std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq");
        #[cfg(target_arch = "aarch64")]
        let aes = std::arch::is_aarch64_feature_detected!("aes")
            && std::arch::is_aarch64_feature_detected!("pmull");
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let aes = false;
        Self(if aes { AES } else { 0 })
    }

    /// What two nodes use that say this and that. The same from both sides.
    pub const fn common(self, other: Self) -> Cipher {
        if self.0 & other.0 & AES != 0 { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 }
    }
}

/// The secret of one direction of one link, fresh from a handshake.
pub type LinkKey = Zeroizing<[u8; 32]>;

/// The cipher of one direction with its counter: no record is sealed, or opened, under one nonce twice.
///
/// Never re-keyed: 2^64 records of one link are out of reach, and each link has keys of its own.
pub(crate) struct Direction {
    key: LessSafeKey,
    cipher: Cipher,
    counter: u64,
}

impl Direction {
    pub(crate) fn new(cipher: Cipher, key: &LinkKey) -> Result<Self, RecordError> {
        let algorithm = match cipher {
            Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Cipher::Aes256Gcm => &AES_256_GCM,
        };
        // It fails for a key of another length only.
        let key = UnboundKey::new(algorithm, &key[..]).map_err(|_| RecordError::Exhausted)?;
        Ok(Self { key: LessSafeKey::new(key), cipher, counter: 0 })
    }

    fn nonce(&mut self) -> Result<Nonce, RecordError> {
        let counter = match self.cipher {
            Cipher::ChaCha20Poly1305 => self.counter.to_le_bytes(),
            Cipher::Aes256Gcm => self.counter.to_be_bytes(),
        };
        self.counter = self.counter.checked_add(1).ok_or(RecordError::Exhausted)?;
        let mut nonce = [0; 12];
        nonce.iter_mut().skip(4).zip(counter).for_each(|(to, byte)| *to = byte);
        Ok(Nonce::assume_unique_for_key(nonce))
    }

    /// Seals `content` where it stands; the tag belongs behind it.
    pub(crate) fn seal(&mut self, content: &mut [u8]) -> Result<[u8; TAG], RecordError> {
        let nonce = self.nonce()?;
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::empty(), content)
            .map_err(|_| RecordError::Exhausted)?;
        tag.as_ref().try_into().map_err(|_| RecordError::Exhausted)
    }

    /// Opens `sealed` (with its tag) where it stands; how many bytes of it are content.
    pub(crate) fn open(&mut self, sealed: &mut [u8]) -> Result<usize, RecordError> {
        let nonce = self.nonce()?;
        let plain = self.key.open_in_place(nonce, Aad::empty(), sealed).map_err(|_| RecordError::Forged)?;
        Ok(plain.len())
    }
}

impl std::fmt::Debug for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cipher, counter, .. } = self;
        f.debug_struct("Direction").field("cipher", cipher).field("counter", counter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> LinkKey {
        Zeroizing::new(std::array::from_fn(|at| at as u8))
    }

    #[test]
    fn aes_is_used_where_both_have_it() {
        for (one, other, common) in [
            (Ciphers(AES), Ciphers(AES), Cipher::Aes256Gcm),
            (Ciphers(AES), Ciphers::NONE, Cipher::ChaCha20Poly1305),
            (Ciphers(0xfe), Ciphers(0xff), Cipher::ChaCha20Poly1305),
        ] {
            assert_eq!((one.common(other), other.common(one)), (common, common));
        }
    }

    /// The nonces are Noise's: what snow seals under a key opens here, and the other way round.
    #[test]
    fn records_are_those_of_noise() {
        use snow::resolvers::{CryptoResolver, DefaultResolver};
        for (ours, noise) in [
            (Cipher::ChaCha20Poly1305, snow::params::CipherChoice::ChaChaPoly),
            (Cipher::Aes256Gcm, snow::params::CipherChoice::AESGCM),
        ] {
            let Some(mut theirs) = DefaultResolver.resolve_cipher(&noise) else { continue };
            theirs.set(&key());
            let (mut seal, mut open) =
                (Direction::new(ours, &key()).expect("a key"), Direction::new(ours, &key()).expect("a key"));
            for counter in 0..3 {
                let mut sealed = [0; 5 + TAG];
                theirs.encrypt(counter, &[], b"hello", &mut sealed);
                let mut mine = *b"hello";
                let tag = seal.seal(&mut mine).expect("it seals");
                assert_eq!([&mine[..], &tag].concat(), sealed, "{ours:?}, record {counter}");
                assert_eq!(open.open(&mut sealed), Ok(5));
                assert_eq!(&sealed[..5], b"hello");
            }
        }
    }

    #[test]
    fn a_record_out_of_its_place_does_not_open() {
        for cipher in [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm] {
            let mut seal = Direction::new(cipher, &key()).expect("a key");
            let mut records = [(); 2].map(|()| {
                let mut content = *b"hello";
                let tag = seal.seal(&mut content).expect("it seals");
                [&content[..], &tag].concat()
            });
            let mut open = Direction::new(cipher, &key()).expect("a key");
            assert_eq!(open.open(&mut records[1]), Err(RecordError::Forged), "the second is not the first");
        }
    }
}
