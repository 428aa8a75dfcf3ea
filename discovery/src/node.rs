//! Who a node is: an id that no two processes share, and a name for people.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::error::{NodeIdError, NodeNameError};
use crate::host::HostMark;

/// What is hashed before a node's public key, so that the digest means nothing elsewhere.
const ID_LABEL: &[u8] = b"talkie/1 node id";

/// The 128-bit id of one process on the mesh: a hash of the static public key that it draws at its start.
///
/// The id is thus also the incarnation (a restarted process is another node), and a member can not take over
/// the id of another one, for it lacks the key. Ids are compared for equality and order; the order means
/// nothing beyond being the same everywhere.
///
/// Shown as 32 lower-case hexadecimal digits; `Debug` shows the first eight.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId([u8; Self::LEN]);

impl NodeId {
    /// Bytes in an id: 128 bits, where two random ids of a mesh meet with a chance below 2⁻¹⁰⁰.
    pub const LEN: usize = 16;

    /// The id of the node that holds the private half of `public` (X25519): the first 16 bytes of
    /// SHA-256(`"talkie/1 node id"` ‖ `public`).
    #[must_use]
    pub fn of_key(public: &[u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(ID_LABEL).chain_update(public).finalize();
        let mut id = [0; Self::LEN];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(id)
    }

    /// An id from its bytes, as they stand on the wire.
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

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = HEXLOWER.encode(&self.0);
        f.write_str(text.get(..8).unwrap_or(&text))
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    /// Reads 32 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| NodeIdError)?;
        Ok(Self(bytes.try_into().map_err(|_| NodeIdError)?))
    }
}

/// A node's name for people: 1 to 64 bytes of UTF-8 without control characters. Names may repeat on a mesh.
///
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// The longest name in bytes. It keeps the heartbeat at its constant size; host names have 64 at most
    /// on Linux (`HOST_NAME_MAX`).
    pub const MAX_LEN: usize = 64;

    /// The nearest valid name: control characters become `?`, what is over [`Self::MAX_LEN`] bytes is cut at
    /// a character's border, and an empty text becomes `?`.
    ///
    /// For names that nobody typed (a program's and a host's); what a user gives is parsed, and refused.
    #[must_use]
    pub fn lossy(text: &str) -> Self {
        let mut name = String::with_capacity(Self::MAX_LEN);
        for c in text.chars().map(|c| if c.is_control() { '?' } else { c }) {
            if name.len() + c.len_utf8() > Self::MAX_LEN {
                break;
            }
            name.push(c);
        }
        if name.is_empty() {
            name.push('?');
        }
        Self(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        if text.is_empty() {
            return Err(NodeNameError::Empty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(NodeNameError::TooLong(text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(NodeNameError::Control);
        }
        Ok(Self(text.into()))
    }
}

impl AsRef<str> for NodeName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for NodeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a node says of itself in its heartbeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Where it listens: the bound TCP address, which may be a wildcard.
    pub listen: SocketAddr,
    /// Its host, where it also takes links by an abstract Unix socket.
    pub host: Option<HostMark>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_shown_as_it_is_read() {
        let id = NodeId::from_bytes(std::array::from_fn(|i| i as u8 * 17));
        assert_eq!(id.to_string(), "00112233445566778899aabbccddeeff");
        assert_eq!(format!("{id:?}"), "00112233");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        for bad in ["", "00", "00112233445566778899aabbccddeef", "00112233445566778899aabbccddeefg"] {
            assert_eq!(bad.parse::<NodeId>(), Err(NodeIdError), "{bad}");
        }
        assert_eq!(postcard::to_stdvec(&id).unwrap(), id.as_bytes(), "sixteen bytes and nothing else");
    }

    #[test]
    fn an_id_is_a_hash_of_the_key() {
        assert_eq!(NodeId::of_key(&[7; 32]), NodeId::of_key(&[7; 32]));
        assert_ne!(NodeId::of_key(&[7; 32]), NodeId::of_key(&[8; 32]));
    }

    #[test]
    fn a_name_is_bounded_and_printable() {
        for good in ["a", "web@host-7", "Zürich ✓", &"x".repeat(64)] {
            let name: NodeName = good.parse().unwrap();
            assert_eq!(name.to_string(), good);
            let bytes = postcard::to_stdvec(&name).unwrap();
            assert_eq!(postcard::from_bytes::<NodeName>(&bytes).unwrap(), name);
        }
        assert_eq!("".parse::<NodeName>(), Err(NodeNameError::Empty));
        assert_eq!("x".repeat(65).parse::<NodeName>(), Err(NodeNameError::TooLong(65)));
        assert_eq!("é".repeat(33).parse::<NodeName>(), Err(NodeNameError::TooLong(66)));
        assert_eq!("a\u{1b}[31m".parse::<NodeName>(), Err(NodeNameError::Control));
        let unchecked = postcard::to_stdvec("a\nb").unwrap();
        assert!(postcard::from_bytes::<NodeName>(&unchecked).is_err(), "what is read is checked too");
    }

    #[test]
    fn a_lossy_name_is_always_valid() {
        for text in ["", "ok", "a\nb", &"é".repeat(40), &"x".repeat(200)] {
            let name = NodeName::lossy(text);
            assert_eq!(name.as_str().parse(), Ok(name.clone()), "{text:?}");
        }
        assert_eq!(NodeName::lossy(&"é".repeat(40)).as_str(), "é".repeat(32));
        assert_eq!(NodeName::lossy("a\nb").as_str(), "a?b");
    }
}
