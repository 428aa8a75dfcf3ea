use super::*;
use crate::error::PartnerError;

#[test]
fn partners_are_read_and_shown() {
    for (given, shown) in [
        ("db", "db:8255"),
        ("db:9000", "db:9000"),
        (" talkie_web-1.internal. ", "talkie_web-1.internal.:8255"),
        ("192.0.2.7", "192.0.2.7:8255"),
        ("192.0.2.7:1", "192.0.2.7:1"),
        ("fd00::7", "[fd00::7]:8255"),
        ("[fd00::7]", "[fd00::7]:8255"),
        ("[fd00::7]:65535", "[fd00::7]:65535"),
        ("[::1]:8256", "[::1]:8256"),
        ("[::ffff:192.0.2.7]:80", "192.0.2.7:80"),
        ("[fe80::1%eth0]:8255", "[fe80::1%eth0]:8255"),
        ("fe80::1%eth0", "[fe80::1%eth0]:8255"),
        ("[fe80::1%2]:9000", "[fe80::1%2]:9000"),
        ("fe80::1%a]b", "[fe80::1%a]b]:8255"),
    ] {
        let partner: Partner = given.parse().unwrap_or_else(|error| panic!("{given}: {error}"));
        assert_eq!(partner.to_string(), shown);
        assert_eq!(shown.parse(), Ok(partner), "what is shown reads the same");
    }
}

#[test]
fn what_is_no_partner_is_refused_with_its_reason() {
    use PartnerError as E;
    type Reason = fn(String) -> PartnerError;
    let table: [(&str, Reason); 22] = [
        ("", E::NoHost),
        (":8255", E::NoHost),
        ("db:", E::Port),
        ("db:0", E::Port),
        ("db:65536", E::Port),
        ("db:+80", E::Port),
        ("db:http", E::Port),
        ("[fd00::7]:", E::Port),
        ("[fd00::7", E::Brackets),
        ("[fd00::7]x", E::Brackets),
        ("[db]:80", E::Brackets),
        ("fe80::1", E::NoScope),
        ("[fe80::1]:8255", E::NoScope),
        ("[fe80::1%]:8255", E::Scope),
        ("[fe80::1%0]:8255", E::Scope),
        ("[fd00::7%eth0]:8255", E::Scope),
        ("0.0.0.0", E::NotUnicast),
        ("[ff12::8255]:8255", E::NotUnicast),
        ("300.1.1.1", E::Host),
        ("two words", E::Host),
        ("a..b", E::Host),
        ("fd00::7::1", E::Host),
    ];
    for (given, reason) in table {
        assert_eq!(given.parse::<Partner>(), Err(reason(given.to_owned())), "{given}");
    }
}

#[test]
fn a_list_of_partners_ignores_blanks_and_empty_items() {
    assert_eq!(Partner::parse_list(""), Ok(vec![]));
    assert_eq!(Partner::parse_list(" , ,"), Ok(vec![]));
    let list = Partner::parse_list(" db , [fd00::7]:9000,,").unwrap();
    assert_eq!(list, ["db".parse().unwrap(), "[fd00::7]:9000".parse().unwrap()]);
    assert_eq!(Partner::parse_list("db,x:0"), Err(PartnerError::Port("x:0".into())));
}

#[test]
fn groups_are_read_one_per_family() {
    let both = Groups::parse_list("239.255.82.55:8255, [ff12::8255]:8255").unwrap();
    assert_eq!(both, Groups::default());
    assert_eq!(both.to_string().parse::<Groups>(), Err(GroupError::Form(both.to_string())));
    assert_eq!(Groups::parse_list(&both.to_string()), Ok(both));
    let one: Groups = "[ff12::1]:7".parse().unwrap();
    assert!(one.v4.is_none() && one.v6.is_some());
    assert_eq!(one.to_string(), "[ff12::1]:7");
    for (given, error) in [
        ("239.1.1.1", GroupError::Form("239.1.1.1".into())),
        ("192.0.2.1:8255", GroupError::NotMulticast("192.0.2.1:8255".into())),
        ("239.1.1.1:0", GroupError::Port("239.1.1.1:0".into())),
        ("[ff12::1%3]:7", GroupError::Scope("[ff12::1%3]:7".into())),
    ] {
        assert_eq!(given.parse::<Groups>(), Err(error));
    }
    assert_eq!(Groups::parse_list(" , "), Err(GroupError::Empty));
    assert_eq!(Groups::parse_list("239.1.1.1:7,239.1.1.2:7"), Err(GroupError::Second("239.1.1.2:7".into())));
}

#[test]
fn interfaces_are_named_or_addressed() {
    for good in ["eth0", "lo", "br-0a1b2c3d4e5f", "192.0.2.1", "fd00::1", "wlan0.100"] {
        let spec: InterfaceSpec = good.parse().unwrap();
        assert_eq!(spec.to_string(), good);
        assert_eq!(matches!(spec, InterfaceSpec::Ip(_)), good.parse::<IpAddr>().is_ok());
    }
    for bad in ["", "a name of blanks", "sixteen-bytes-xx", "a/b", "..", "eth0:1", "eth0,eth1"] {
        assert_eq!(bad.parse::<InterfaceSpec>(), Err(InterfaceSpecError(bad.to_owned())), "{bad}");
    }
}

#[test]
fn how_a_node_was_found_is_lower_case() {
    let all = [Via::Multicast, Via::Partner, Via::Member, Via::Dns];
    assert_eq!(all.map(|via| via.to_string()), ["multicast", "partner", "member", "dns"]);
}
