use super::*;

pub(crate) fn interface(name: &str, index: u32, addrs: &[(&str, u8)]) -> Interface {
    let addrs: Vec<_> = addrs.iter().map(|(ip, prefix)| (ip.parse().unwrap(), *prefix)).collect();
    let loopback = name == "lo";
    Interface { name: name.to_owned(), index, loopback, multicast: true, running: true, addrs }
}

pub(crate) fn reach() -> Reach {
    let lo = interface("lo", 1, &[("127.0.0.1", 8), ("::1", 128)]);
    let eth0 = interface("eth0", 2, &[("192.0.2.2", 24), ("fd00::2", 64), ("fe80::2", 64)]);
    let eth1 = interface("eth1", 3, &[("198.51.100.3", 25), ("fe80::3", 64)]);
    Reach { interfaces: vec![lo, eth0, eth1], restricted: false }
}

#[test]
fn a_neighbour_is_in_a_subnet() {
    for (ip, on) in [
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("::1", true),
        ("::2", false),
        ("192.0.2.255", true),
        ("192.0.3.1", false),
        ("::ffff:192.0.2.7", true),
        ("198.51.100.127", true),
        ("198.51.100.128", false),
        ("fd00::ffff", true),
        ("fd00:0:0:1::1", false),
        ("fe80::99", true),
    ] {
        assert_eq!(reach().on_link(ip.parse().unwrap()), on, "{ip}");
    }
    let odd = interface("odd", 9, &[("10.0.0.1", 0), ("10.0.0.2", 32), ("10.0.0.3", 200)]);
    assert!(!odd.on_link("10.9.9.9".parse().unwrap()), "no bits say nothing");
    assert!(odd.on_link("10.0.0.2".parse().unwrap()));
    assert!(!odd.on_link("10.0.0.4".parse().unwrap()), "an impossible prefix is a whole address");
}

#[test]
fn a_wildcard_becomes_real_addresses_in_order() {
    let list = |bound: &str| {
        let addrs = reach().addresses(bound.parse().unwrap());
        addrs.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        list("[::]:7"),
        [
            "127.0.0.1:7",
            "192.0.2.2:7",
            "198.51.100.3:7",
            "[::1]:7",
            "[fd00::2]:7",
            "[fe80::2%2]:7",
            "[fe80::3%3]:7"
        ]
    );
    assert_eq!(list("0.0.0.0:7"), ["127.0.0.1:7", "192.0.2.2:7", "198.51.100.3:7"]);
    assert_eq!(list("192.0.2.2:7"), ["192.0.2.2:7"]);
    assert_eq!(list("[::ffff:192.0.2.2]:7"), ["192.0.2.2:7"]);
    assert_eq!(list("[fe80::2%2]:7"), ["[fe80::2%2]:7"]);
}
