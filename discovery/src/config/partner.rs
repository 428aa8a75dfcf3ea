//! A fixed partner: a host to look for where multicast does not reach.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::{DEFAULT_PORT, is_interface_name};
use crate::error::PartnerError;

/// A host and port to dial: `name`, `name:port`, `192.0.2.7`, `192.0.2.7:8255`, `fd00::7`, `[fd00::7]:8255`,
/// `[fe80::1%eth0]:8255`. The port is 8255 where none is given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partner {
    host: Host,
    port: u16,
}

/// Where a [`Partner`] is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Host {
    /// A name, resolved again and again.
    Name(HostName),
    /// An address that means the same on every interface.
    Ip(IpAddr),
    /// A link-local IPv6 address, on one interface.
    LinkLocal(Ipv6Addr, Scope),
}

/// A host name: ASCII letters, digits, `-` and `_` in labels of 1 to 63 bytes with dots between, 253 bytes at
/// most (RFC 1035, and the underscore that container names have); the last label is not a number, or it
/// would be a mistyped IPv4 address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(Box<str>);

/// The interface of a link-local address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Its index, which is never 0.
    Index(u32),
    /// Its name, looked up whenever the partner is dialled.
    Name(Box<str>),
}

impl Partner {
    /// Where it is.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its TCP port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Reads partners with commas between them. Blanks around items and empty items are ignored, so an empty
    /// text is an empty list.
    ///
    /// # Errors
    /// The first item that is no partner.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, PartnerError> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::parse).collect()
    }
}

impl FromStr for Partner {
    type Err = PartnerError;

    fn from_str(text: &str) -> Result<Self, PartnerError> {
        let text = text.trim();
        let given = || text.to_owned();
        let (host, port) = if let Some(inner) = text.strip_prefix('[') {
            // The last one: the kernel lets an interface be called `a]b`, a port is digits.
            let (host, rest) = inner.rsplit_once(']').ok_or_else(|| PartnerError::Brackets(given()))?;
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(port),
                None if rest.is_empty() => None,
                None => return Err(PartnerError::Brackets(given())),
            };
            let host = parse_v6(host, text)?.ok_or_else(|| PartnerError::Brackets(given()))?;
            (host, port)
        } else if text.matches(':').count() > 1 {
            // Several colons and no brackets: an IPv6 address without a port.
            (parse_v6(text, text)?.ok_or_else(|| PartnerError::Host(given()))?, None)
        } else {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            (parse_name_or_v4(host, text)?, port)
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some(digits) => parse_port(digits).ok_or_else(|| PartnerError::Port(given()))?,
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Partner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{port}"),
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}:{port}"),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{port}"),
            Host::LinkLocal(ip, scope) => write!(f, "[{ip}%{scope}]:{port}"),
        }
    }
}

impl HostName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => index.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// `Ok(None)` where `host` is not an IPv6 address at all. `text` is what the user gave.
fn parse_v6(host: &str, text: &str) -> Result<Option<Host>, PartnerError> {
    let (ip, scope) = match host.split_once('%') {
        Some((ip, scope)) => (ip, Some(scope)),
        None => (host, None),
    };
    let Ok(ip) = ip.parse::<Ipv6Addr>() else {
        return Ok(None);
    };
    let link_local = ip.is_unicast_link_local();
    match scope {
        None if link_local => Err(PartnerError::NoScope(text.to_owned())),
        None => unicast(IpAddr::V6(ip).to_canonical(), text).map(Some),
        Some(scope) if link_local => match parse_scope(scope) {
            Some(scope) => Ok(Some(Host::LinkLocal(ip, scope))),
            None => Err(PartnerError::Scope(text.to_owned())),
        },
        Some(_) => Err(PartnerError::Scope(text.to_owned())),
    }
}

fn parse_scope(text: &str) -> Option<Scope> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().filter(|index| *index != 0).map(Scope::Index);
    }
    is_interface_name(text).then(|| Scope::Name(text.into()))
}

fn parse_name_or_v4(host: &str, text: &str) -> Result<Host, PartnerError> {
    if host.is_empty() {
        return Err(PartnerError::NoHost(text.to_owned()));
    }
    if let Ok(ip) = host.parse::<std::net::Ipv4Addr>() {
        return unicast(ip.into(), text);
    }
    if is_host_name(host) {
        return Ok(Host::Name(HostName(host.into())));
    }
    Err(PartnerError::Host(text.to_owned()))
}

fn unicast(ip: IpAddr, text: &str) -> Result<Host, PartnerError> {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if ip.is_unspecified() || ip.is_multicast() || broadcast {
        return Err(PartnerError::NotUnicast(text.to_owned()));
    }
    Ok(Host::Ip(ip))
}

fn is_host_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit())
}

fn parse_port(digits: &str) -> Option<u16> {
    // `parse` alone would take a sign.
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port != 0)
}
