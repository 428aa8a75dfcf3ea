//! Which IPv6 addresses of this host are not usable yet, by Linux's table of them.

use std::net::Ipv6Addr;

/// Flags of linux/if_addr.h: the address is being checked for duplicates, may be used meanwhile, is a duplicate.
const TENTATIVE: u32 = 0x40;
const OPTIMISTIC: u32 = 0x04;
const DUPLICATE: u32 = 0x08;

/// The addresses, with the index of their interface, from or to which nothing can be sent: those that the system
/// still checks for duplicates, and duplicates. `table` is the text of `/proc/net/if_inet6`; lines that are not
/// understood are passed over.
pub fn unusable(table: &str) -> impl Iterator<Item = (u32, Ipv6Addr)> {
    table.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let ip = words.next().filter(|ip| ip.len() == 32)?;
        let ip = Ipv6Addr::from_bits(u128::from_str_radix(ip, 16).ok()?);
        let mut numbers = words.map(|word| u32::from_str_radix(word, 16).ok());
        // Then the length of its prefix, and its scope.
        let (index, flags) = (numbers.next()??, numbers.nth(2)??);
        let checking = flags & TENTATIVE != 0 && flags & OPTIMISTIC == 0;
        (checking || flags & DUPLICATE != 0).then_some((index, ip))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tentative_and_duplicate_addresses_are_unusable() {
        let table = "\
00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000001122fffe334455 0b 40 20 c0     eth0
fd770000000000000000000000000001 0b 40 00 80     eth0
fd770000000000000000000000000002 0b 40 00 44     eth0
fd770000000000000000000000000003 10 40 00 88     eth1
fd770000000000000000000000000004 10 40 00 48     eth1
fd770000000000000000000000000005 10 40 00 20     eth1
";
        let unusable: Vec<_> = unusable(table).map(|(index, ip)| (index, ip.to_string())).collect();
        let expected = [(11, "fe80::11:22ff:fe33:4455"), (16, "fd77::3"), (16, "fd77::4")];
        assert_eq!(unusable, expected.map(|(index, ip)| (index, ip.to_owned())));
    }

    #[test]
    fn other_text_is_passed_over() {
        for text in
            ["", "\n\n", "fe80 0b 40 20 c0 eth0", "fe80000000000000001122fffe334455 0b 40 20", "é 1 2 3 4"]
        {
            assert_eq!(unusable(text).count(), 0, "{text}");
        }
    }
}
