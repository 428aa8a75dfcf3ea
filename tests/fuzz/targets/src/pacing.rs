//! When to speak, and when to look at the interfaces.

use std::time::Duration;

use talkie_discovery::proto::announcer::Announcer;
use talkie_discovery::proto::lookout::Lookout;

use crate::feed::{Feed, begin};

/// Heartbeats are numbered without holes and no more than a burst for each second and one for each pace; three goodbyes end them, and
/// nothing follows. Looks come no closer than 100 ms where notices ask for them, and no further apart than 30 s. Whoever waits for
/// the time that is asked for never waits in vain.
pub fn run(data: &[u8]) {
    let (mut feed, start) = (Feed::new(data), begin());
    let mut now = start;
    let (mut announcer, mut lookout) = (Announcer::new(now), Lookout::new(now));
    let mut random = fastrand::Rng::with_seed(u64::from(feed.byte()));
    let (mut sequence, mut goodbyes, mut leaving) = (0, None, false);
    let (mut looked, mut wished) = (None::<std::time::Instant>, false);
    while feed.more() {
        match feed.byte() % 8 {
            0 => announcer.handle_network_change(now),
            1 => announcer.handle_population(feed.number() as usize),
            2 if feed.byte() < 32 => {
                announcer.handle_leave(now);
                leaving = true;
                goodbyes.get_or_insert(0);
            }
            3 => lookout.handle_notice(now),
            4 if feed.flag() => {
                wished = true;
                lookout.handle_wish(now);
            }
            4 => {
                wished = true;
                lookout.handle_deaf(now);
            }
            5 => now += feed.pause(),
            _ => {
                let due = announcer.poll_timeout().into_iter().chain([lookout.poll_timeout()]).min();
                now = now.max(due.expect("a look"));
            }
        }
        announcer.handle_timeout(now, &mut random);
        assert!(announcer.poll_timeout().is_none_or(|due| due > now), "it would be asked for ever");
        if let Some(pulse) = announcer.poll_transmit() {
            sequence += 1;
            assert_eq!(pulse.sequence, sequence);
            assert_eq!(pulse.leaving, leaving);
            if let Some(said) = &mut goodbyes {
                *said += 1;
            }
        }
        assert!(announcer.poll_transmit().is_none(), "one at a time");
        assert!(goodbyes.is_none_or(|said| said <= 3));
        assert_eq!(announcer.poll_timeout().is_none(), goodbyes == Some(3));
        let seconds = (now - start).as_secs() + 1;
        assert!(sequence <= 4 * (seconds + 3) + 2 * seconds + 3, "{sequence} in {seconds} s");
        if lookout.handle_timeout(now) {
            let apart = looked.map(|looked| now - looked);
            assert!(wished || apart.is_none_or(|apart| apart >= Duration::from_millis(100)), "{apart:?}");
            (looked, wished) = (Some(now), false);
            assert!(!lookout.is_roused());
        }
        let due = lookout.poll_timeout();
        assert!(due > now && due <= now + Duration::from_secs(30));
    }
}
