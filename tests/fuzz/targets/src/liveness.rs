//! Whether the peer of a link lives.

use std::time::Duration;

use talkie_transport::proto::liveness::{Action, DEAD_AFTER, Liveness};

use crate::feed::{Feed, begin};

/// It is held dead only after three seconds of silence, suspected once per silence, and pinged with a new number each time. A time that
/// was measured is between a ping and its own pong. Once nothing is heard any more, death comes in three seconds, in a few steps.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut now = begin();
    let mut live = Liveness::new(now, feed.flag());
    let (mut heard, mut token, mut longest) = (now, 0, Duration::ZERO);
    let (mut suspected, mut sent, mut looked) = (false, None, now);
    while feed.more() {
        match feed.byte() % 8 {
            0 => {
                live.handle_heard(now);
                if now > heard {
                    (heard, suspected) = (now, false);
                }
            }
            1 | 2 => {
                let answers = if feed.flag() { token } else { feed.number() };
                let before = (live.rtt(), live.best_rtt());
                live.handle_pong(now, answers);
                if now > heard {
                    (heard, suspected) = (now, false);
                }
                if let Some(sent) = sent.filter(|_| answers == token) {
                    longest = longest.max(now - sent);
                    assert!(live.rtt().is_some_and(|rtt| rtt <= longest));
                    assert!(live.best_rtt().is_none_or(|best| best <= longest));
                } else {
                    assert_eq!((live.rtt(), live.best_rtt()), before, "not of this ping");
                }
            }
            3 if feed.flag() => {
                live.handle_doubt(now);
                (suspected, sent) = (true, None);
            }
            4 => now += feed.pause(),
            _ => {
                now = now.max(live.poll_timeout());
                looked = now;
                match live.handle_timeout(now, feed.number() as usize) {
                    Some(Action::Dead) => {
                        assert!(now - heard >= DEAD_AFTER);
                        return;
                    }
                    Some(Action::Suspect) => assert!(!std::mem::replace(&mut suspected, true), "once per silence"),
                    Some(Action::Ping(next)) => {
                        assert_eq!(next, token + 1);
                        (token, sent) = (next, Some(now));
                        assert!(live.poll_timeout() > now);
                    }
                    None => assert!(live.poll_timeout() > now),
                }
            }
        }
        if now > looked {
            assert_eq!(live.is_suspected(), suspected);
        } else {
            // What is heard in the very moment of a look may count, or not.
            suspected = live.is_suspected();
        }
    }
    let silent = now.max(heard);
    for _ in 0..200 {
        now = now.max(live.poll_timeout());
        if live.handle_timeout(now, 64) == Some(Action::Dead) {
            // What it stood still itself is given again.
            assert!(now - silent <= 2 * DEAD_AFTER + Duration::from_millis(500), "{:?}", now - silent);
            return;
        }
    }
    panic!("it is never held dead");
}
