//! Members told by members: what a node tells a peer of the others that it is linked to.
//!
//! A frame is a list of nodes, each with where the teller's link to it leads and what the node itself told beside that. It
//! adds and never removes: whether a node lives is for each to find out by a link of its own. Of two nodes that meet a third
//! one, the later is told of the earlier, so one common member is enough for each pair to meet.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use talkie_discovery::{HostMark, NodeId};

use super::record::RecordError;

/// Nodes in one frame; with their addresses and hosts they take 28 KiB at most.
const PER_FRAME: usize = 256;
/// Addresses told of one node.
const MAX_TOLD: usize = 4;
/// Of more members than this, so many are told, taken by chance: each of them tells more, and a mesh of hundreds that starts
/// at once does not spend its time on lists.
const MOST: usize = 64;
/// The same for a peer that was found by multicast: it most likely hears the others too, so what is told is mostly known.
const MOST_BESIDE_MULTICAST: usize = 8;
/// One peer, taken by chance, is told all again this often: who could not be reached then may be now.
pub const AGAIN: Duration = Duration::from_secs(5);

/// A node that another one is linked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub id: NodeId,
    /// Where, the likeliest first.
    pub addrs: Vec<SocketAddr>,
    /// The host that it is on, if it takes links by a Unix socket there. Stands behind the list, where an older version
    /// passes over it.
    #[serde(skip)]
    pub host: Option<HostMark>,
}

/// How many of so many members are told to a peer, which was found by multicast or not.
pub const fn most(members: usize, by_multicast: bool) -> usize {
    if members > MOST && by_multicast { MOST_BESIDE_MULTICAST } else { MOST }
}

/// The frames that tell the peer `to`, whose link leads to `at`, of these members.
pub fn frames<'a>(
    members: impl Iterator<Item = (NodeId, &'a [SocketAddr], Option<HostMark>)>,
    to: NodeId,
    at: SocketAddr,
) -> Vec<Vec<u8>> {
    let told: Vec<Member> = members
        .filter(|(id, ..)| *id != to)
        .map(|(id, addrs, host)| {
            let usable = addrs.iter().filter(|addr| is_of_use(addr, at)).take(MAX_TOLD);
            Member { id, addrs: usable.copied().collect(), host }
        })
        .filter(|member| !member.addrs.is_empty())
        .collect();
    // postcard fails for types that have no length only.
    told.chunks(PER_FRAME).filter_map(|part| Some(frame(part, postcard::to_stdvec(part).ok()?))).collect()
}

/// The list and, behind it, the host of each.
fn frame(part: &[Member], mut list: Vec<u8>) -> Vec<u8> {
    list.extend(part.iter().flat_map(|member| HostMark::to_bytes(member.host)));
    list
}

/// What a frame from the peer whose link leads to `from` tells. Addresses that can be of no use are left out.
///
/// # Errors
/// [`RecordError::Malformed`] for what is not such a list, or a longer one.
pub fn parse(frame: &[u8], from: SocketAddr) -> Result<Vec<Member>, RecordError> {
    let (mut told, rest) =
        postcard::take_from_bytes::<Vec<Member>>(frame).map_err(|_| RecordError::Malformed)?;
    if told.len() > PER_FRAME {
        return Err(RecordError::Malformed);
    }
    // An older version tells no hosts, and what a later one appends is left alone.
    let (hosts, _) = rest.as_chunks();
    for (member, host) in told.iter_mut().zip(hosts) {
        member.host = HostMark::from_bytes(*host);
    }
    for member in &mut told {
        member.addrs.retain_mut(|addr| {
            // The scope is the teller's interface; its link tells ours.
            if let (SocketAddr::V6(addr), SocketAddr::V6(from)) = (&mut *addr, from)
                && addr.ip().is_unicast_link_local()
            {
                *addr = SocketAddrV6::new(*addr.ip(), addr.port(), 0, from.scope_id());
            }
            is_of_use(addr, from)
        });
        member.addrs.truncate(MAX_TOLD);
    }
    Ok(told)
}

/// Whether a node at `at` can dial `addr`, which this node was told or dials itself: loopback only on this host, link-local
/// only on the interface that its own link uses.
fn is_of_use(addr: &SocketAddr, at: SocketAddr) -> bool {
    let ip = addr.ip().to_canonical();
    let usable = addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast();
    usable
        && (!ip.is_loopback() || at.ip().to_canonical().is_loopback())
        && (scope(addr).is_none() || scope(addr) == scope(&at))
}

/// The interface of a link-local address.
fn scope(addr: &SocketAddr) -> Option<u32> {
    match (addr, addr.ip()) {
        (SocketAddr::V6(addr), IpAddr::V6(ip)) if ip.is_unicast_link_local() => Some(addr.scope_id()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u16) -> NodeId {
        let [high, low] = n.to_be_bytes();
        let mut bytes = [0; 16];
        bytes[0] = high;
        bytes[1] = low;
        NodeId::from_bytes(bytes)
    }

    fn link_local(n: u16, scope: u32) -> SocketAddr {
        SocketAddrV6::new([0xfe80, 0, 0, 0, 0, 0, 0, n].into(), 8255, 0, scope).into()
    }

    /// Every second one is on a host.
    fn framed(members: &[(NodeId, Vec<SocketAddr>)], at: SocketAddr) -> Vec<Vec<u8>> {
        let members = members.iter().map(|(id, addrs)| (*id, addrs.as_slice(), host_of(*id)));
        frames(members, id(0), at)
    }

    fn host_of(id: NodeId) -> Option<HostMark> {
        let low = id.as_bytes()[1];
        (low % 2 == 1).then(|| HostMark::from_bytes([low; HostMark::LEN])).flatten()
    }

    fn tell(members: &[(NodeId, Vec<SocketAddr>)], at: SocketAddr, from: SocketAddr) -> Vec<Member> {
        let frames = framed(members, at);
        frames.iter().flat_map(|frame| parse(frame, from).expect("our own frame")).collect()
    }

    #[test]
    fn everybody_but_the_peer_itself_is_told_in_bounded_frames() {
        let at: SocketAddr = "10.0.0.9:8255".parse().unwrap();
        let members: Vec<_> = (0..1_000).map(|n| (id(n), vec![at; 9])).collect();
        let all = framed(&members, at);
        assert!(all.iter().all(|frame| frame.len() <= super::super::record::MAX_CONTROL));
        let told = tell(&members, at, at);
        assert_eq!(told.len(), 999);
        assert!(told.iter().all(|member| member.id != id(0) && member.addrs.len() == MAX_TOLD));
        assert!(told.iter().all(|member| member.host == host_of(member.id)), "each with its own host");
    }

    #[test]
    fn addresses_are_told_only_where_they_mean_something() {
        let lan: SocketAddr = "10.0.0.9:8255".parse().unwrap();
        let here: SocketAddr = "127.0.0.1:8255".parse().unwrap();
        let bad = ["0.0.0.0:1", "239.1.1.1:1", "10.0.0.1:0"].map(|addr| addr.parse().unwrap());
        let addrs = vec![bad[0], bad[1], bad[2], here, link_local(7, 3), lan];
        let told = |at, from| tell(&[(id(1), addrs.clone())], at, from).pop().map(|member| member.addrs);
        assert_eq!(told(lan, lan), Some(vec![lan]));
        assert_eq!(told(here, here), Some(vec![here, lan]));
        // The same wire is interface 3 there and 8 here.
        assert_eq!(told(link_local(1, 3), link_local(2, 8)), Some(vec![link_local(7, 8), lan]));
        assert_eq!(told(link_local(1, 4), link_local(2, 8)), Some(vec![lan]));
        // What somebody tells all the same is left out by who is told.
        assert_eq!(told(here, lan), Some(vec![lan]));
    }

    #[test]
    fn what_is_no_list_is_refused_and_what_follows_one_is_not() {
        let from: SocketAddr = "10.0.0.9:8255".parse().unwrap();
        let mut frame = framed(&[(id(1), vec![from])], from).remove(0);
        let older = frame.len() - HostMark::LEN;
        for cut in 0..older {
            assert_eq!(parse(&frame[..cut], from), Err(RecordError::Malformed), "cut at {cut}");
        }
        let mut member = Member { id: id(1), addrs: vec![from], host: None };
        assert_eq!(parse(&frame[..older], from).unwrap(), [member.clone()], "an older version tells no host");
        frame.extend_from_slice(b"later, and more");
        member.host = host_of(id(1));
        assert_eq!(parse(&frame, from).unwrap(), [member]);
        let many = vec![Member { id: id(1), addrs: vec![], host: None }; PER_FRAME + 1];
        assert_eq!(parse(&postcard::to_stdvec(&many).unwrap(), from), Err(RecordError::Malformed));
    }
}
