//! Handshakes with whoever does not hold the secret, and with a member whose messages are tampered with.

use std::sync::OnceLock;

use talkie_discovery::{LinkPsk, MeshKeys, Secret};
use talkie_transport::proto::handshake::{FIRST_LEN, HandshakeError, Identity, Initiator, MAX_LEN, RANGE, Responder};

use crate::feed::Feed;

struct Sides {
    psk: LinkPsk,
    dials: Identity,
    answers: Identity,
}

fn sides() -> &'static Sides {
    static SIDES: OnceLock<Sides> = OnceLock::new();
    SIDES.get_or_init(|| {
        let secret = Secret::parse("tk1-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypxwhhxai");
        Sides {
            psk: MeshKeys::derive(&secret.expect("a secret")).link,
            dials: Identity::generate().expect("random bytes"),
            answers: Identity::generate().expect("random bytes"),
        }
    })
}

/// Changes a message as the feed says; whether anything of it is changed.
fn tamper(feed: &mut Feed<'_>, message: &mut Vec<u8>) -> bool {
    let whole = message.clone();
    match feed.below(4) {
        0 => {}
        1 => {
            let (at, bit) = (feed.number() as usize % message.len(), feed.below(8));
            message[at] ^= 1 << bit;
        }
        2 => message.truncate(feed.number() as usize % message.len()),
        _ => message.extend_from_slice(feed.bytes(8)),
    }
    *message != whole
}

/// Any bytes are refused as a first message. Of a whole handshake each message is refused once it is changed, and unchanged both
/// sides know each other.
pub fn run(data: &[u8]) {
    let Sides { psk, dials, answers } = sides();
    let refused = Responder::read_first(answers, psk, RANGE, data);
    assert!(matches!(refused, Err(HandshakeError::Unauthenticated)), "{refused:?}");
    // What follows costs a hundred times as much.
    let Some((&[0x5a, 0xa5], rest)) = data.split_first_chunk() else { return };
    let mut feed = Feed::new(rest);
    let (initiator, mut first) = Initiator::new(dials, psk, RANGE).expect("random bytes");
    assert_eq!(first.len(), FIRST_LEN);
    let changed = tamper(&mut feed, &mut first);
    let (responder, mut second) = match Responder::read_first(answers, psk, RANGE, &first) {
        Ok(answered) => answered,
        Err(error) => {
            assert!(changed && error == HandshakeError::Unauthenticated, "{error}");
            return;
        }
    };
    assert!(!changed, "a first message that was changed is answered");
    let changed = tamper(&mut feed, &mut second);
    let (mut third, of_answers) = match initiator.read_second(&second) {
        Ok((third, peer)) => (third, peer.expect("the same versions")),
        Err(error) => {
            assert!(changed && error == HandshakeError::Unauthenticated, "{error}");
            return;
        }
    };
    assert!(!changed && second.len() <= MAX_LEN && third.len() <= MAX_LEN);
    assert_eq!(of_answers.id, answers.id());
    let changed = tamper(&mut feed, &mut third);
    match responder.read_third(&third) {
        Ok(of_dials) => {
            assert!(!changed, "a third message that was changed is taken");
            assert_eq!(of_dials.id, dials.id());
            assert_eq!((of_dials.version, of_dials.keys.cipher()), (of_answers.version, of_answers.keys.cipher()));
        }
        Err(error) => assert!(changed && error == HandshakeError::Unauthenticated, "{error}"),
    }
}
