mod vectors;

use talkie_discovery::{MeshKeys, Secret};

use super::*;

fn psk() -> LinkPsk {
    MeshKeys::derive(&Secret::generate()).link
}

fn identity() -> Identity {
    Identity::generate().expect("the system gives random bytes")
}

#[test]
fn both_sides_learn_who_the_other_is_and_share_keys() {
    let (a, b, psk) = (identity(), identity(), psk());
    let (initiator, first) = Initiator::new(&a, &psk, RANGE).expect("begins");
    assert_eq!(first.len(), FIRST_LEN);
    let (responder, second) = Responder::read_first(&b, &psk, RANGE, &first).expect("same secret");
    assert!(second.len() <= MAX_LEN);
    let (third, at_a) = initiator.read_second(&second).expect("same secret");
    let at_b = responder.read_third(&third).expect("same secret");
    let at_a = at_a.expect("same version");
    assert_eq!((at_a.id, at_b.id), (b.id(), a.id()));
    assert_eq!(at_a.version, 1);
    carries(&at_a.keys, &at_b.keys);
    carries(&at_b.keys, &at_a.keys);
}

/// What one side seals, the other one opens.
fn carries(from: &Keys, to: &Keys) {
    assert_eq!(from.cipher(), to.cipher());
    let (mut seal, mut open) = (from.directions().expect("keys").0, to.directions().expect("keys").1);
    let mut wire = Vec::new();
    seal.seal(b"\x00hello", &mut wire).expect("it fits");
    let mut wire = bytes::BytesMut::from(&wire[..]);
    let (_, content) = open.next(&mut wire).expect("same keys").expect("it is whole");
    assert_eq!(&content[..], b"hello");
}

#[test]
fn who_has_no_other_cipher_links_with_who_has() {
    let (a, b, psk) = (identity(), identity(), psk());
    let (initiator, first) = Initiator::new(&a, &psk, RANGE).expect("begins");
    let (responder, second) = Responder::read_first(&b, &psk, RANGE, &first).expect("same secret");
    let (third, at_a) = initiator.with_ciphers(Ciphers::NONE).read_second(&second).expect("same secret");
    let (at_a, at_b) = (at_a.expect("same version"), responder.read_third(&third).expect("same secret"));
    assert_eq!(at_a.keys.cipher(), Cipher::ChaCha20Poly1305);
    carries(&at_a.keys, &at_b.keys);
}

#[test]
fn a_stranger_gets_no_answer() {
    let (_, first) = Initiator::new(&identity(), &psk(), RANGE).expect("begins");
    let refused = Responder::read_first(&identity(), &psk(), RANGE, &first);
    assert_eq!(refused.err(), Some(HandshakeError::Unauthenticated));
}

#[test]
fn one_flipped_bit_anywhere_fails_the_handshake() {
    let (a, b, psk) = (identity(), identity(), psk());
    let flip = |message: &[u8], at: usize| {
        let mut message = message.to_vec();
        message[at] ^= 1 << (at % 8);
        message
    };
    let (_, first) = Initiator::new(&a, &psk, RANGE).expect("begins");
    for at in 0..first.len() {
        assert!(Responder::read_first(&b, &psk, RANGE, &flip(&first, at)).is_err(), "first, byte {at}");
    }
    let second_len = Responder::read_first(&b, &psk, RANGE, &first).expect("whole").1.len();
    for at in 0..second_len {
        let (initiator, first) = Initiator::new(&a, &psk, RANGE).expect("begins");
        let (_, second) = Responder::read_first(&b, &psk, RANGE, &first).expect("whole");
        assert!(initiator.read_second(&flip(&second, at)).is_err(), "second, byte {at}");
    }
    let third_len = 67;
    for at in 0..third_len {
        let (initiator, first) = Initiator::new(&a, &psk, RANGE).expect("begins");
        let (responder, second) = Responder::read_first(&b, &psk, RANGE, &first).expect("whole");
        let (third, _) = initiator.read_second(&second).expect("whole");
        assert_eq!(third.len(), third_len);
        assert!(responder.read_third(&flip(&third, at)).is_err(), "third, byte {at}");
    }
}

#[test]
fn a_replayed_first_message_leads_nowhere() {
    let (a, b, psk) = (identity(), identity(), psk());
    let (initiator, first) = Initiator::new(&a, &psk, RANGE).expect("begins");
    let (_, second) = Responder::read_first(&b, &psk, RANGE, &first).expect("whole");
    let (third, _) = initiator.read_second(&second).expect("whole");
    let (again, _) = Responder::read_first(&b, &psk, RANGE, &first).expect("a replay looks whole");
    assert_eq!(again.read_third(&third).err(), Some(HandshakeError::Unauthenticated));
}

#[test]
fn a_node_that_dials_itself_is_told_so() {
    let (a, psk) = (identity(), psk());
    let (initiator, first) = Initiator::new(&a, &psk, RANGE).expect("begins");
    let (_, second) = Responder::read_first(&a, &psk, RANGE, &first).expect("whole");
    let (_, peer) = initiator.read_second(&second).expect("whole");
    assert_eq!(peer.err(), Some(HandshakeError::Myself));
}

#[test]
fn versions_that_do_not_meet_are_told_on_both_sides() {
    let (a, b, psk) = (identity(), identity(), psk());
    let (old, new) = (Range { min: 1, max: 2 }, Range { min: 3, max: 5 });
    let (initiator, first) = Initiator::new(&a, &psk, old).expect("begins");
    let (responder, second) = Responder::read_first(&b, &psk, new, &first).expect("whole");
    let (third, at_a) = initiator.read_second(&second).expect("whole");
    assert_eq!(at_a.err(), Some(HandshakeError::Version { ours: old, theirs: new }));
    assert_eq!(responder.read_third(&third).err(), Some(HandshakeError::Version { ours: new, theirs: old }));
    assert_eq!(old.common(Range { min: 2, max: 9 }), Some(2));
}
