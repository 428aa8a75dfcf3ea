//! Who connects before having proven anything.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use talkie_transport::proto::strangers::Strangers;

use crate::feed::{Feed, begin};

/// At most 64 from elsewhere, 32 from one address and so many from this host at once; 200 handshakes a second and 100 from one
/// address, and twice that at once. One address does not keep another out, and those that are gone leave nothing.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let most_local = feed.below(40);
    let (start, mut now, mut strangers) = (begin(), begin(), Strangers::with_local(most_local));
    let (mut open, mut entered) = (Open::default(), Open::default());
    while feed.more() {
        let who = feed.below(OTHERS + 2);
        match feed.byte() % 4 {
            stays @ 0..2 => {
                for _ in 0..feed.byte() / 2 {
                    if !enter(&mut strangers, now, who, &mut open, most_local) {
                        break;
                    }
                    entered[who] += 1;
                    if stays == 0 {
                        leave(&mut strangers, who, &mut open);
                    }
                }
            }
            2 => leave(&mut strangers, who, &mut open),
            _ => now += feed.pause() / 64,
        }
        let seconds = (now - start).as_secs_f64();
        let (all, elsewhere): (usize, usize) = (entered[2..].iter().sum(), open[2..].iter().sum());
        assert!(entered[2..].iter().all(|entered| *entered as f64 <= 200.0 + 100.0 * seconds + 1.0), "{entered:?}");
        assert!(all as f64 <= 400.0 + 200.0 * seconds + 1.0 && elsewhere <= 64);
        assert!(open[2..].iter().all(|open| *open <= 32));
    }
    for who in 0..OTHERS + 2 {
        while open[who] > 0 {
            leave(&mut strangers, who, &mut open);
        }
    }
    now += Duration::from_secs(60);
    assert!(enter(&mut strangers, now, 4, &mut open, most_local), "all are gone, and somebody is kept out");
    assert_eq!(enter(&mut strangers, now, 0, &mut open, most_local), most_local > 0);
}

/// Addresses of other hosts, behind two of this one.
const OTHERS: usize = 4;
type Open = [usize; OTHERS + 2];

fn address(n: usize) -> IpAddr {
    if n < 2 { IpAddr::from([127, 0, 0, n as u8 + 1]) } else { IpAddr::from([10, 0, 0, n as u8]) }
}

fn enter(strangers: &mut Strangers, now: Instant, who: usize, open: &mut Open, most_local: usize) -> bool {
    let may = strangers.enter(now, address(who));
    if who < 2 {
        assert_eq!(may, open[0] + open[1] < most_local, "this host is apart");
    }
    open[who] += usize::from(may);
    may
}

fn leave(strangers: &mut Strangers, who: usize, open: &mut Open) {
    if open[who] > 0 {
        open[who] -= 1;
        strangers.leave(address(who));
    }
}
