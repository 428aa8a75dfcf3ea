//! The key schedule: from a mesh's secret to every key that is made of it.
//!
//! root = the generated secret's 32 bytes, or Argon2id of the passphrase; prk = HKDF-SHA256-Extract(salt
//! `"talkie/1"`, ikm root); key = HKDF-SHA256-Expand(prk, the use's label). [`Use`] is the table of all labels.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::secret::{Form, Secret};

/// The salt of HKDF's extraction: it names the protocol and its first version.
const EXTRACT_SALT: &[u8] = b"talkie/1";

/// The salt of Argon2id. It is public and the same everywhere, since a passphrase is all that two nodes share
/// before they meet: a table of guesses can be made once for all meshes, so it is the cost that protects.
const ARGON2_SALT: &[u8] = b"talkie/1 passphrase";

/// Argon2id's memory in KiB: 19 MiB with two passes and one lane are OWASP's minimum ("Password Storage Cheat
/// Sheet"), about 50 ms on a server of 2020.
const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
/// Argon2id's passes.
const ARGON2_PASSES: u32 = 2;
/// Argon2id's lanes.
const ARGON2_LANES: u32 = 1;

/// What a key is for: the one table of all HKDF labels of the project.
#[derive(Copy, Clone)]
enum Use {
    /// Seals heartbeats.
    Heartbeat,
    /// The pre-shared key of the links' Noise handshake.
    Link,
    /// For people to compare two machines by eye.
    Check,
    /// For members to tell each other which secrets they hold.
    Mark,
}

impl Use {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Heartbeat => b"talkie/1 heartbeat",
            Self::Link => b"talkie/1 link psk",
            Self::Check => b"talkie/1 check word",
            Self::Mark => b"talkie/1 secret mark",
        }
    }
}

/// Every key that is made of a [`Secret`].
#[derive(Clone, Debug)]
pub struct MeshKeys {
    /// Seals heartbeats.
    pub heartbeat: HeartbeatKey,
    /// The pre-shared key of the links' handshake.
    pub link: LinkPsk,
    /// A short word for people to compare.
    pub check: CheckWord,
    /// Names the secret among members.
    pub mark: SecretMark,
}

impl MeshKeys {
    /// Derives all keys. Blocks for about 50 ms (and 19 MiB) where the secret is a passphrase, so call it off
    /// the async threads.
    #[must_use]
    pub fn derive(secret: &Secret) -> Self {
        let root = match secret.form() {
            Form::Generated(random) => Zeroizing::new(*random),
            Form::Passphrase(text) => stretch(text.as_bytes()),
        };
        // The extractor keeps its state in this frame, which HKDF does not wipe; its input and outputs are.
        let prk = Hkdf::<Sha256>::new(Some(EXTRACT_SALT), &*root);
        let mut heartbeat = HeartbeatKey([0; 32]);
        expand(&prk, Use::Heartbeat, &mut heartbeat.0);
        let mut link = LinkPsk([0; 32]);
        expand(&prk, Use::Link, &mut link.0);
        let mut check = [0; 2];
        expand(&prk, Use::Check, &mut check);
        let mut mark = [0; SecretMark::LEN];
        expand(&prk, Use::Mark, &mut mark);
        Self { heartbeat, link, check: CheckWord(check), mark: SecretMark(mark) }
    }
}

/// The key of the heartbeats (XChaCha20-Poly1305). Wiped when dropped, never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct HeartbeatKey([u8; 32]);

impl HeartbeatKey {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for HeartbeatKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeartbeatKey")
    }
}

/// The pre-shared key of the links' Noise handshake. Wiped when dropped, never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct LinkPsk([u8; 32]);

impl LinkPsk {
    /// The key's bytes, for the handshake only.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for LinkPsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkPsk")
    }
}

/// Sixteen bits of a mesh's keys as four hexadecimal digits, for people to see whether two machines have the
/// same secret. It may be shown and logged: it halves the search for a passphrase sixteen times, and a generated
/// secret has 256 bits.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct CheckWord([u8; 2]);

impl fmt::Display for CheckWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", u16::from_be_bytes(self.0))
    }
}

/// Names a secret, and shows nothing of it: what members that are linked tell each other of those they hold. It proves
/// nothing, for whoever is told it can repeat it.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct SecretMark([u8; Self::LEN]);

impl SecretMark {
    /// Bytes in a mark: two of the few secrets of a mesh are alike with a chance of 2⁻⁶⁴.
    pub const LEN: usize = 8;

    /// A mark from its bytes, as they stand on the wire.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes, as they stand on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// Not shown: it lets passphrases be guessed, as a heartbeat does, and logs go further than heartbeats.
impl fmt::Debug for SecretMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretMark")
    }
}

#[expect(clippy::expect_used, reason = "constant parameters, asserted by a test")]
fn stretch(passphrase: &[u8]) -> Zeroizing<[u8; 32]> {
    let params =
        Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, Some(32)).expect("valid parameters");
    // Memory of our own, since Argon2 does not wipe what it allocates itself.
    let mut memory = Zeroizing::new(vec![Block::default(); params.block_count()]);
    let mut root = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, ARGON2_SALT, &mut *root, memory.as_mut_slice())
        .expect("salt and output have valid lengths");
    root
}

#[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8,160 bytes")]
fn expand(prk: &Hkdf<Sha256>, to: Use, key: &mut [u8]) {
    prk.expand(to.label(), key).expect("a short key");
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn hex(keys: &MeshKeys) -> [String; 3] {
        [HEXLOWER.encode(&keys.heartbeat.0), HEXLOWER.encode(&keys.link.0), keys.check.to_string()]
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        let keys = MeshKeys::derive(&Secret::generate());
        let [heartbeat, link, check] = hex(&keys);
        let shown = format!("{keys:?}");
        assert!(!shown.contains(&heartbeat[..8]) && !shown.contains(&link[..8]), "{shown}");
        assert_eq!(check.len(), 4);
    }

    #[test]
    fn each_secret_and_each_use_has_its_own_key() {
        let one = hex(&MeshKeys::derive(&Secret::parse("swordfish-77").unwrap()));
        let two = hex(&MeshKeys::derive(&Secret::parse("swordfish-78").unwrap()));
        assert_eq!(one, hex(&MeshKeys::derive(&Secret::parse("swordfish-77").unwrap())));
        assert!(one[0] != two[0] && one[1] != two[1] && one[0] != one[1]);
    }
}
