//! Pieces of large messages, of an honest sender and of any other.

use talkie_transport::fuzzing::put_varint;
use talkie_transport::proto::bulk::{Assembly, FIRST, MAX_WINDOW, PieceError, Window};

use crate::feed::Feed;

/// Messages of up to so many bytes are taken.
const LIMIT: usize = 300_000;

static BYTES: [u8; 70_000] = {
    let mut bytes = [0; 70_000];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at % 251) as u8;
        at += 1;
    }
    bytes
};

/// What is delivered is what the pieces held, in their order, of the length that each of them said. Without room no more than
/// the first 64 KiB of a message are kept. What was taken is told at least as far as half a window, never more than was had, and
/// never less than before; and a window never lets more leave than it has.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut assembly = Assembly::new(LIMIT);
    // What the sender of honest pieces has in mind, and what of it has left.
    let (mut total, mut at) = (0, 0);
    let (mut had, mut told, mut granted) = (0_u64, 0_u64, false);
    let mut window = Window::new(feed.below(256) * 8 * 1024);
    while feed.more() {
        match feed.byte() % 8 {
            0..4 => {
                if at >= total {
                    total = 1 + feed.number() as usize % 1_000 * usize::from(feed.byte()) * 4;
                    at = 0;
                    if total > LIMIT {
                        assert!(matches!(
                            push(&mut assembly, total, 0, &BYTES[..1]),
                            Err(PieceError::TooLarge { .. } | PieceError::Unsteady { .. })
                        ));
                        return;
                    }
                    granted = total <= FIRST;
                }
                let len = (1 + feed.below(64) * 550).min(total - at);
                let begin = at % 30_000;
                let piece = &BYTES[begin..begin + len];
                match push(&mut assembly, total, at, piece) {
                    Ok(()) => {
                        at += len;
                        had += len as u64;
                        assert!(granted || at <= FIRST, "{at} bytes of {total} are kept without room");
                        assert!(had - told <= MAX_WINDOW as u64, "more than may be under way");
                    }
                    Err(PieceError::Flood) => {
                        let over = had + len as u64 - told > MAX_WINDOW as u64;
                        assert!(over || (!granted && at + len > FIRST), "it is no flood");
                        return;
                    }
                    // The last one was not taken off yet.
                    Err(error) => {
                        assert!(at == 0 && assembly.pending().is_some(), "{error}");
                        total = 0;
                        continue;
                    }
                }
                if room(&mut window, len) {
                    window.handle_sent(len, at == total);
                }
                if at == total {
                    // Begins anew with the next piece, if this one is taken off.
                    let whole = assembly.take().expect("it is whole");
                    assert_eq!(whole.len(), total);
                    assert!(assembly.pending().is_none());
                    (total, at) = (0, 0);
                }
            }
            4 => {
                assert_eq!(assembly.wanted(), (at > 0 && !granted).then_some(total));
                if assembly.wanted().is_some() {
                    assembly.handle_granted();
                    granted = true;
                }
            }
            5 => {
                if let Some(taken) = assembly.poll_taken() {
                    assert!(taken >= told && taken <= had, "{told} {taken} {had}");
                    told = taken;
                    window.handle_taken(taken);
                }
            }
            6 => assert_eq!(assembly.take().err(), Some(PieceError::Absent), "it is not whole"),
            _ => {
                // Of somebody else, who may say what he will; the link would end with it.
                let before = (assembly.pending(), assembly.wanted(), assembly.is_unfinished());
                let (says, from) = (feed.number(), feed.number());
                let mut piece = [put_varint(says), put_varint(from)].concat();
                piece.extend_from_slice(feed.bytes(9));
                if feed.flag() {
                    piece.truncate(feed.below(8));
                }
                match assembly.push(&piece) {
                    Ok(()) => return,
                    Err(_) => {
                        let after = (assembly.pending(), assembly.wanted(), assembly.is_unfinished());
                        assert_eq!(after, before, "nothing of it was kept");
                    }
                }
            }
        }
        assert!(window.under_way() <= MAX_WINDOW as u64);
        assert_eq!(assembly.is_unfinished(), at > 0 && at < total);
    }
}

fn room(window: &mut Window, len: usize) -> bool {
    len <= window.room()
}

fn push(assembly: &mut Assembly, total: usize, at: usize, bytes: &[u8]) -> Result<(), PieceError> {
    let mut piece = [put_varint(total as u64), put_varint(at as u64)].concat();
    piece.extend_from_slice(bytes);
    assembly.push(&piece)
}
