//! What can be refused, one enum per operation. No text of a secret stands in any of them.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::config::InterfaceSpec;

/// A text is no [`NodeId`](crate::NodeId).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a node id has 32 hexadecimal digits")]
pub struct NodeIdError;

/// A text is no [`NodeName`](crate::NodeName).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeNameError {
    /// There is no text.
    #[error("a node name is not empty")]
    Empty,
    /// More bytes (given) than [`NodeName::MAX_LEN`](crate::NodeName::MAX_LEN).
    #[error("a node name has 64 bytes at most, not {0}")]
    TooLong(usize),
    /// A control character, which would harm terminals and logs.
    #[error("a node name holds no control characters")]
    Control,
}

/// A text is no [`Secret`](crate::Secret). The text is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// A passphrase of too few characters (given).
    #[error(
        "a passphrase has at least 8 characters, not {0}: use a longer one, or make a secret with `talkie keygen`"
    )]
    TooShort(usize),
    /// Begins with `tk1-`, but has not the length of a generated secret: a part is missing, or too much.
    #[error(
        "a secret that begins with `tk1-` has 62 characters, not {0}: copy it again from where it was made"
    )]
    Length(usize),
    /// Begins with `tk1-`, but holds a character that no generated secret has.
    #[error(
        "a secret that begins with `tk1-` goes on with letters and the digits 2 to 7 only: copy it again from where it was made"
    )]
    Alphabet,
    /// Begins with `tk1-`, but its checksum is wrong: a typing error.
    #[error(
        "the secret's checksum is wrong, so it holds a typing error: copy it again from where it was made"
    )]
    Checksum,
}

/// A file gives no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretFileError {
    /// The file can not be read.
    #[error("cannot read the secret file {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The file is over 64 KiB: no secret file, but a mistaken path.
    #[error("the secret file {} is over 64 KiB: it should hold a line or a few", .0.display())]
    TooLarge(PathBuf),
    /// The file is not UTF-8.
    #[error("the secret file {} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// The file holds blanks at most.
    #[error("the secret file {} holds no secret: make one with `talkie keygen`", .0.display())]
    Empty(PathBuf),
    /// More secrets than [`Secrets::MAX`](crate::Secrets::MAX).
    #[error(
        "the secret file {} holds more than 4 secrets: keep the one to send under first, then those that others still use",
        .0.display()
    )]
    TooMany(PathBuf),
    /// Several lines, one of which looks like a comment: it would be a passphrase that anybody may guess.
    #[error(
        "the secret file {}, line {line}: a secret file has no comments, and `#` begins none: remove the line",
        path.display()
    )]
    Comment {
        /// The file.
        path: PathBuf,
        /// The line, 1 for the first.
        line: usize,
    },
    /// The one line is no secret.
    #[error("the secret file {}: {error}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong with its line.
        error: SecretError,
    },
    /// One of several lines is no secret.
    #[error("the secret file {}, line {line}: {error}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, 1 for the first.
        line: usize,
        /// What is wrong with it.
        error: SecretError,
    },
}

/// More secrets than [`Secrets::MAX`](crate::Secrets::MAX).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a mesh has at most 4 secrets at once")]
pub struct TooManySecrets;

/// A text is no [`Partner`](crate::Partner), or no list of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartnerError {
    /// There is no text where a host should be.
    #[error("{0:?} names no host")]
    NoHost(String),
    /// The host is neither an address nor a name.
    #[error("{0:?} is neither an IP address nor a host name")]
    Host(String),
    /// The port is not a number of 1 to 65535.
    #[error("{0:?} has no port of 1 to 65535")]
    Port(String),
    /// A bracket without its twin, or text behind it.
    #[error("{0:?} is not of the form [ADDRESS]:PORT")]
    Brackets(String),
    /// A link-local IPv6 address says not on which interface it is.
    #[error("{0:?} is link-local and needs its interface, as in [fe80::1%eth0]:8255")]
    NoScope(String),
    /// A scope on an address that has none, or an empty one.
    #[error("{0:?} has an interface behind `%`, which only a link-local IPv6 address can have")]
    Scope(String),
    /// An address that no single host has.
    #[error("{0:?} is not the address of one host")]
    NotUnicast(String),
}

/// A text is no multicast group, or no list of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// Not of the form `ADDRESS:PORT`.
    #[error("{0:?} is not of the form ADDRESS:PORT, as in 239.255.82.55:8255 or [ff12::8255]:8255")]
    Form(String),
    /// The address is not in 224.0.0.0/4 or ff00::/8.
    #[error("{0:?} is not a multicast address (224.0.0.0/4 or ff00::/8)")]
    NotMulticast(String),
    /// Port 0.
    #[error("{0:?} has no port of 1 to 65535")]
    Port(String),
    /// A scope: the interface is another setting.
    #[error("{0:?} names an interface: a group has none, choose interfaces with their own setting")]
    Scope(String),
    /// A second group of one family.
    #[error("{0:?} is a second group of its family: there is one for IPv4 and one for IPv6")]
    Second(String),
    /// A list without a group.
    #[error("there is no group in the list")]
    Empty,
}

/// A text names no interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an interface's name (at most 15 bytes, no blanks, no `/`) nor an IP address")]
pub struct InterfaceSpecError(pub(crate) String);

/// This host's interfaces can not be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterfaceError {
    /// A setting matches no interface of this host.
    #[error("no interface of this host is named or has the address {0}")]
    NoMatch(InterfaceSpec),
    /// The system does not list its interfaces.
    #[error("cannot list this host's interfaces: {0}{hint}", hint = forbidden(.0))]
    List(#[source] io::Error),
}

/// A service manager or container may keep a program from the sockets by which interfaces are listed.
fn forbidden(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EACCES | Errno::EAFNOSUPPORT) => {
            " (are netlink sockets, AF_NETLINK, forbidden to this program?)"
        }
        _ => "",
    }
}

/// Discovery can not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Not called within a tokio runtime.
    #[error("discovery must be started within a tokio runtime")]
    NoRuntime,
    /// The interfaces can not be told, or a chosen one does not exist.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
}
