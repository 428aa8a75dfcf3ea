//! What a user may choose: groups, interfaces, partners.

mod partner;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::str::FromStr;

pub use partner::{Host, HostName, Partner, Scope};

use crate::error::{GroupError, InterfaceSpecError};

/// The default port of everything: the multicast groups, the listener, and partners that name none.
pub const DEFAULT_PORT: u16 = 8255;

/// How to find other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether to send and hear heartbeats. Without them only `partners` are found. On by default.
    pub multicast: bool,
    /// Where heartbeats go.
    pub groups: Groups,
    /// The interfaces to use, and loopback besides; empty (the default): every usable one.
    pub interfaces: Vec<InterfaceSpec>,
    /// Hosts to look for where multicast does not reach; none by default.
    pub partners: Vec<Partner>,
}

impl Default for Config {
    fn default() -> Self {
        Self { multicast: true, groups: Groups::default(), interfaces: Vec::new(), partners: Vec::new() }
    }
}

/// The multicast groups of a mesh, one per family; a family without one is not used for heartbeats.
///
/// By default 239.255.82.55:8255 (the organization-local block of RFC 2365) and \[ff12::8255\]:8255 (link-local
/// scope, transient, RFC 4291 §2.7).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Groups {
    /// The IPv4 group and port.
    pub v4: Option<SocketAddrV4>,
    /// The IPv6 group and port, without a scope: the interface gives it.
    pub v6: Option<SocketAddrV6>,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            v4: Some(SocketAddrV4::new(Ipv4Addr::new(239, 255, 82, 55), DEFAULT_PORT)),
            v6: Some(SocketAddrV6::new(Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0, 0x8255), DEFAULT_PORT, 0, 0)),
        }
    }
}

impl Groups {
    /// Reads a list of groups with commas between them, at most one per family. Blanks around items and empty
    /// items are ignored. A family that is not named is off.
    ///
    /// # Errors
    /// An item that is no group, a second one of a family, or no item at all.
    pub fn parse_list(text: &str) -> Result<Self, GroupError> {
        let mut groups = Self { v4: None, v6: None };
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            groups.add(item)?;
        }
        if groups.v4.is_none() && groups.v6.is_none() {
            return Err(GroupError::Empty);
        }
        Ok(groups)
    }

    fn add(&mut self, item: &str) -> Result<(), GroupError> {
        let given = || item.to_owned();
        let addr: SocketAddr = item.parse().map_err(|_| GroupError::Form(given()))?;
        if !addr.ip().is_multicast() {
            return Err(GroupError::NotMulticast(given()));
        }
        if addr.port() == 0 {
            return Err(GroupError::Port(given()));
        }
        let second = match addr {
            SocketAddr::V4(v4) => self.v4.replace(v4).is_some(),
            SocketAddr::V6(v6) if v6.scope_id() != 0 => return Err(GroupError::Scope(given())),
            SocketAddr::V6(v6) => self.v6.replace(v6).is_some(),
        };
        if second { Err(GroupError::Second(given())) } else { Ok(()) }
    }
}

impl FromStr for Groups {
    type Err = GroupError;

    /// Reads one group; the other family is off.
    fn from_str(text: &str) -> Result<Self, GroupError> {
        let mut groups = Self { v4: None, v6: None };
        groups.add(text.trim())?;
        Ok(groups)
    }
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.v4, self.v6) {
            (Some(v4), Some(v6)) => write!(f, "{v4},{v6}"),
            (Some(v4), None) => v4.fmt(f),
            (None, Some(v6)) => v6.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

/// How a user names an interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InterfaceSpec {
    /// By its name, as `eth0`.
    Name(String),
    /// By one of its addresses.
    Ip(IpAddr),
}

/// The longest name of an interface in bytes: Linux's `IFNAMSIZ` of 16 with its final zero.
const MAX_INTERFACE_NAME: usize = 15;

impl FromStr for InterfaceSpec {
    type Err = InterfaceSpecError;

    fn from_str(text: &str) -> Result<Self, InterfaceSpecError> {
        let text = text.trim();
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        if !is_interface_name(text) {
            return Err(InterfaceSpecError(text.to_owned()));
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for InterfaceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// What the kernel takes for a name (Linux's `dev_valid_name`), and no control characters, which would harm logs.
fn is_interface_name(text: &str) -> bool {
    (1..=MAX_INTERFACE_NAME).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.chars().any(|c| matches!(c, '/' | ':' | '%' | ',') || c.is_whitespace() || c.is_control())
}

/// How a node was found.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Via {
    /// It was heard.
    Multicast,
    /// It is a fixed partner, or came from there.
    Partner,
    /// A linked member told of it.
    Member,
    /// A name resolved to it.
    Dns,
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Multicast => "multicast",
            Self::Partner => "partner",
            Self::Member => "member",
            Self::Dns => "dns",
        })
    }
}

#[cfg(test)]
mod tests;
