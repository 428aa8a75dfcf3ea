use std::net::Ipv4Addr;

use super::*;
use crate::keys::MeshKeys;
use crate::proto::beacon::tests::beacon;
use crate::proto::seal::seal;
use crate::secret::Secret;
use crate::secrets::Secrets;

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

#[expect(clippy::disallowed_methods, reason = "some instant to count from")]
fn now() -> Instant {
    Instant::now()
}

fn keys(secret: &str) -> MeshKeys {
    MeshKeys::derive(&Secret::parse(secret).unwrap())
}

fn v4() -> SocketAddr {
    Groups::default().v4.unwrap().into()
}

fn v6() -> SocketAddr {
    Groups::default().v6.unwrap().into()
}

struct Rig {
    keys: MeshKeys,
    opener: Opener,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        let keys = keys("swordfish-77");
        Self { opener: Opener::new(keys.clone().into(), Groups::default()), keys, now: now() }
    }

    fn sealed(&self, group: SocketAddr) -> Datagram {
        seal(&self.keys.heartbeat, group, [9; NONCE_LEN], &beacon(7, 1))
    }

    fn open(&mut self, datagram: &[u8]) -> Result<Beacon, Refusal> {
        self.open_to(v4(), datagram)
    }

    fn open_to(&mut self, group: SocketAddr, datagram: &[u8]) -> Result<Beacon, Refusal> {
        self.opener.handle_datagram(self.now, SOURCE, group, datagram).map(|opened| opened.beacon)
    }
}

#[test]
fn what_is_sealed_is_opened() {
    let mut rig = Rig::new();
    let datagram = rig.sealed(v4());
    assert_eq!(rig.open(&datagram), Ok(beacon(7, 1)));
    let datagram = rig.sealed(v6());
    assert_eq!(rig.open_to(v6(), &datagram), Ok(beacon(7, 1)));
}

#[test]
fn a_scope_is_no_part_of_the_group() {
    let mut rig = Rig::new();
    let datagram = rig.sealed(v6());
    let scoped = "[ff12::8255%3]:8255".parse().unwrap();
    assert_eq!(rig.open_to(scoped, &datagram), Ok(beacon(7, 1)));
}

#[test]
fn a_flip_of_any_bit_is_refused() {
    let mut rig = Rig::new();
    let datagram = rig.sealed(v4());
    for at in 0..datagram.len() {
        for bit in 0..8 {
            let mut flipped = datagram;
            flipped[at] ^= 1 << bit;
            let refusal = if at < MAGIC.len() { Refusal::Magic } else { Refusal::Auth };
            rig.now += std::time::Duration::from_millis(2);
            assert_eq!(rig.open(&flipped), Err(refusal), "byte {at}");
        }
    }
}

#[test]
fn any_other_size_is_refused() {
    let mut rig = Rig::new();
    let mut longer = rig.sealed(v4()).to_vec();
    longer.resize(2_000, 0);
    for size in (0..longer.len()).filter(|size| *size != DATAGRAM_LEN) {
        assert_eq!(rig.open(&longer[..size]), Err(Refusal::Size), "{size}");
    }
}

#[test]
fn other_secrets_groups_and_ports_are_refused() {
    let mut rig = Rig::new();
    let foreign = seal(&keys("swordfish-78").heartbeat, v4(), [9; NONCE_LEN], &beacon(7, 1));
    assert_eq!(rig.open(&foreign), Err(Refusal::Auth));
    let other_port = rig.sealed("239.255.82.55:8256".parse().unwrap());
    assert_eq!(rig.open(&other_port), Err(Refusal::Auth));
    let other_group = rig.sealed("239.255.82.56:8255".parse().unwrap());
    assert_eq!(rig.open(&other_group), Err(Refusal::Auth));
    let our_other = rig.sealed(v6());
    assert_eq!(rig.open(&our_other), Err(Refusal::Group));
}

#[test]
fn each_of_several_secrets_is_accepted_and_told_until_it_is_removed() {
    let mut rig = Rig::new();
    let (old, new) = (rig.keys.clone(), keys("swordfish-78"));
    let by = |keys: &MeshKeys| seal(&keys.heartbeat, v4(), [9; NONCE_LEN], &beacon(7, 1));
    let opened = |rig: &mut Rig, datagram: &Datagram| {
        let opened = rig.opener.handle_datagram(rig.now, SOURCE, v4(), datagram);
        opened.map(|opened| [old.mark, new.mark].iter().position(|mark| *mark == opened.secret))
    };
    let secrets = |texts: &[&str]| {
        let mut secrets = texts.iter().map(|text| Secret::parse(text).unwrap());
        let first = Secrets::from(secrets.next().unwrap());
        Keyring::derive(&secrets.try_fold(first, Secrets::and).unwrap())
    };
    assert_eq!(opened(&mut rig, &by(&new)), Err(Refusal::Auth));
    for order in [["swordfish-77", "swordfish-78"], ["swordfish-78", "swordfish-77"]] {
        rig.opener.handle_rekey(secrets(&order));
        assert_eq!(opened(&mut rig, &by(&old)), Ok(Some(0)));
        assert_eq!(opened(&mut rig, &by(&new)), Ok(Some(1)));
        let carried = seal(&new.heartbeat, v6(), [9; NONCE_LEN], &beacon(7, 1));
        assert_eq!(opened(&mut rig, &carried), Err(Refusal::Group));
        assert_eq!(opened(&mut rig, &by(&keys("swordfish-79"))), Err(Refusal::Auth));
    }
    rig.opener.handle_rekey(secrets(&["swordfish-78"]));
    assert_eq!(opened(&mut rig, &by(&old)), Err(Refusal::Auth));
    assert_eq!(opened(&mut rig, &by(&new)), Ok(Some(1)));
}

#[test]
fn a_sealed_body_of_another_form_is_malformed() {
    let mut rig = Rig::new();
    let bad = Beacon { versions: crate::proto::beacon::Versions { min: 9, max: 1 }, ..beacon(7, 1) };
    let datagram = seal(&rig.keys.heartbeat, v4(), [9; NONCE_LEN], &bad);
    assert_eq!(rig.open(&datagram), Err(Refusal::Malformed));
}

#[test]
fn junk_meets_the_rate_before_the_cipher_and_known_sources_are_spared() {
    let mut rig = Rig::new();
    let good = rig.sealed(v4());
    rig.opener.handle_proven(rig.now, SOURCE);
    let mut junk = [0; DATAGRAM_LEN];
    junk[..4].copy_from_slice(&MAGIC);
    let mut refused = 0;
    for n in 0..60_000_u32 {
        let from = Ipv4Addr::from_bits(0x0a00_0000 + n).into();
        refused += u32::from(rig.opener.handle_datagram(rig.now, from, v4(), &junk) == Err(Refusal::Rate));
    }
    assert!(refused >= 40_000, "{refused}");
    assert_eq!(rig.open(&good), Ok(beacon(7, 1)));
    let elsewhere = IpAddr::from([10, 9, 9, 9]);
    assert_eq!(rig.opener.handle_datagram(rig.now, elsewhere, v4(), &good), Err(Refusal::Rate));
}

#[test]
fn random_datagrams_never_panic() {
    let seed = fastrand::Rng::new().u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut rig = Rig::new();
    for _ in 0..5_000 {
        let mut bytes = vec![0; rng.usize(0..400)];
        rng.fill(&mut bytes);
        assert!(rig.open(&bytes).is_err(), "seed {seed}");
    }
}
