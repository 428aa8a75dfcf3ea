//! Messages for queue groups: who has each, and who is given the next.

use std::collections::BTreeMap;

use talkie_pubsub::proto::group::Verdict;
use talkie_pubsub::proto::ledger::{CHARGE, Handed, Ledger, MAX_JOB_BYTES, MAX_JOBS, Nearness};

use crate::feed::{Feed, begin};

/// What the model knows of a message.
#[derive(Debug)]
struct Job {
    group: u8,
    bytes: usize,
    with: Option<(u64, u8)>,
    tried: bool,
}

/// Each message is with one member or parked, until it is acknowledged by that one, or told as lost: never nowhere and never twice. It is
/// marked as given again exactly where somebody may have had it. Numbers are never used again, a word of anybody else changes
/// nothing, and what is counted is what is there. In the end nothing is.
pub fn run(data: &[u8]) {
    let (mut feed, mut now) = (Feed::new(data), begin());
    let mut ledger: Ledger<u8, u8, u64> = Ledger::default();
    let mut jobs: BTreeMap<u64, Job> = BTreeMap::new();
    let (mut made, mut done, mut redelivered, mut turn) = (0, 0, 0, 0_u32);
    while feed.more() {
        match feed.byte() % 12 {
            0..3 => {
                let (group, bytes) = ((feed.byte() % 2), feed.number().min(1 << 25) as usize);
                made += 1;
                let had = ledger.size();
                let fits = had.0 == 0 || had.0 < MAX_JOBS && had.1 + bytes + CHARGE <= MAX_JOB_BYTES;
                match ledger.admit(group, made, bytes) {
                    Ok(id) => {
                        assert!(fits && jobs.last_key_value().is_none_or(|(last, _)| *last < id));
                        assert_eq!((ledger.job(id), ledger.group(id)), (Some(&made), Some(&group)));
                        jobs.insert(id, Job { group, bytes: bytes + CHARGE, with: None, tried: false });
                    }
                    Err(back) => assert!(!fits && back == made),
                }
            }
            3..6 => {
                let Some(id) = pick(&mut feed, &jobs) else { continue };
                let members: Vec<(u8, Nearness)> = feed.bytes(4).iter().map(|it| (it % 5, near(it / 5))).collect();
                let mut members = members;
                members.sort_unstable_by_key(|(member, _)| *member);
                members.dedup_by_key(|(member, _)| *member);
                let last = ledger.last();
                let handed = ledger.hand(id, &members);
                let job = jobs.get_mut(&id).expect("it was picked");
                match handed {
                    Some(Handed { number, to, redelivered: again }) => {
                        assert!(number > last && members.iter().any(|(member, _)| *member == to));
                        assert!(job.with.is_none_or(|(_, with)| with != to), "it is there already");
                        job.tried |= job.with.is_some();
                        assert_eq!(again, job.tried);
                        redelivered += u64::from(again);
                        job.with = Some((number, to));
                    }
                    // Who is away is not waited for where others are there.
                    None if job.with.is_some() && !ledger.awaited(|_| true).contains(&job.with.expect("so").0) => {
                        assert!(members.iter().any(|(_, near)| *near != Nearness::Away));
                        (job.with, job.tried) = (None, true);
                    }
                    None => {}
                }
            }
            6 | 7 => {
                let (number, by) = word(&mut feed, &jobs);
                let id = holder(&jobs, number, by);
                let told = ledger.done(number, |member| *member == by);
                assert_eq!(told, id.map(|id| (jobs[&id].group, by)));
                done += u64::from(told.is_some());
                id.map(|id| jobs.remove(&id));
            }
            8 => {
                let (number, by) = word(&mut feed, &jobs);
                let why = [Verdict::Full, Verdict::Back, Verdict::Tried][feed.below(3)];
                let id = holder(&jobs, number, by);
                assert_eq!(ledger.returned(number, |member| *member == by, why), id);
                if let Some(job) = id.and_then(|id| jobs.get_mut(&id)) {
                    job.with = None;
                    job.tried |= why == Verdict::Tried;
                }
                if why == Verdict::Full && id.is_some() && feed.flag() {
                    assert!(ledger.eased(&by) && !ledger.eased(&by));
                }
            }
            9 => {
                let gone = feed.byte() % 5;
                let parked = ledger.detach(|member| *member == gone);
                for (id, job) in &mut jobs {
                    if job.with.is_some_and(|(_, with)| with == gone) {
                        assert!(parked.contains(id));
                        (job.with, job.tried) = (None, true);
                    } else {
                        assert!(!parked.contains(id));
                    }
                }
            }
            10 => {
                let Some(id) = pick(&mut feed, &jobs) else { continue };
                let removed = ledger.remove(id).expect("it is there");
                let job = jobs.remove(&id).expect("it was picked");
                assert_eq!((removed.group, removed.with), (job.group, job.with));
                assert!(ledger.remove(id).is_none());
            }
            _ => {
                now += feed.pause();
                let bytes = feed.number().min(1 << 25) as usize;
                let waits = ledger.room(bytes, now);
                assert!(waits.is_none_or(|until| until > now && until <= now + std::time::Duration::from_millis(250)));
            }
        }
        assert_eq!(ledger.size().0, jobs.len());
        turn += 1;
        if turn % 4 == 0 {
            check(&ledger, &jobs);
        }
        assert_eq!((ledger.counted().done, ledger.counted().redelivered), (done, redelivered));
    }
    check(&ledger, &jobs);
    for id in jobs.keys() {
        ledger.remove(*id);
    }
    check(&ledger, &BTreeMap::new());
    assert_eq!(ledger.room(0, now), None);
}

fn check(ledger: &Ledger<u8, u8, u64>, jobs: &BTreeMap<u64, Job>) {
    assert_eq!(ledger.size(), (jobs.len(), jobs.values().map(|job| job.bytes).sum()));
    assert!(jobs.len() <= 1 || ledger.size().1 <= MAX_JOB_BYTES);
    let mut numbers: Vec<u64> = jobs.values().filter_map(|job| job.with).map(|(number, _)| number).collect();
    numbers.sort_unstable();
    assert_eq!(ledger.awaited(|_| true), numbers);
    assert_eq!(ledger.oldest(), jobs.keys().next().copied());
    for group in 0..2 {
        let waits = jobs.iter().find(|(_, job)| job.group == group && job.with.is_none()).map(|(id, _)| *id);
        assert_eq!(ledger.parked(&group, 0), waits);
        assert_eq!(ledger.short().contains(&group), waits.is_some());
    }
    for member in 0..5 {
        let with = jobs.iter().filter(|(_, job)| job.with.is_some_and(|(_, with)| with == member));
        assert!(ledger.with(|it| *it == member).iter().eq(with.map(|(id, _)| id)));
    }
}

fn near(n: u8) -> Nearness {
    [Nearness::Here, Nearness::Host, Nearness::Elsewhere, Nearness::Away][usize::from(n % 4)]
}

fn pick(feed: &mut Feed<'_>, jobs: &BTreeMap<u64, Job>) -> Option<u64> {
    let at = usize::from(feed.byte()).checked_rem(jobs.len())?;
    jobs.keys().nth(at).copied()
}

/// A number, and who says something of it; most often one that has it.
fn word(feed: &mut Feed<'_>, jobs: &BTreeMap<u64, Job>) -> (u64, u8) {
    match pick(feed, jobs).and_then(|id| jobs[&id].with) {
        Some(with) if feed.byte() < 224 => with,
        Some((number, _)) if feed.flag() => (number, feed.byte() % 5),
        _ => (feed.number(), feed.byte() % 5),
    }
}

fn holder(jobs: &BTreeMap<u64, Job>, number: u64, by: u8) -> Option<u64> {
    jobs.iter().find(|(_, job)| job.with == Some((number, by))).map(|(id, _)| *id)
}
