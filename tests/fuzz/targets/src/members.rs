//! What a member tells of others.

use std::net::SocketAddr;

use talkie_discovery::NodeId;
use talkie_transport::proto::members::{Member, frames, parse};

/// At most 256 nodes of at most four addresses, each of which can be dialed; and what is told on of it is read as it was.
pub fn run(data: &[u8]) {
    let (here, there): (SocketAddr, SocketAddr) =
        ("127.0.0.1:1".parse().expect("an address"), "[fe80::9%8]:1".parse().expect("an address"));
    for from in [here, there] {
        let Ok(told) = parse(data, from) else {
            assert!(parse(data, here).is_err(), "whether it is a list depends on nobody");
            return;
        };
        assert!(told.len() <= 256);
        for Member { addrs, .. } in &told {
            assert!(addrs.len() <= 4);
            for addr in addrs {
                let ip = addr.ip().to_canonical();
                assert!(addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast());
                assert!(from == here || !ip.is_loopback(), "a loopback address of another host");
            }
        }
        let list = told.iter().map(|member| (member.id, &member.addrs[..], member.host));
        let nobody = NodeId::from_bytes([0xee; NodeId::LEN]);
        let again: Vec<_> = frames(list, nobody, from).iter().flat_map(|frame| parse(frame, from)).flatten().collect();
        let usable = told.iter().filter(|member| !member.addrs.is_empty() && member.id != nobody);
        assert!(again.iter().eq(usable), "{again:?} of {told:?}");
    }
}
