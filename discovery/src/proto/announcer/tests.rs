use super::*;

/// Runs until `until` and returns when heartbeats went out, after `start`.
fn run(announcer: &mut Announcer, rng: &mut fastrand::Rng, start: Instant, until: Duration) -> Vec<Duration> {
    let mut at = Vec::new();
    while let Some(next) = announcer.poll_timeout().filter(|next| *next <= start + until) {
        announcer.handle_timeout(next, rng);
        while announcer.poll_transmit().is_some() {
            at.push(next - start);
        }
    }
    at
}

#[expect(clippy::disallowed_methods, reason = "some instant to count from")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn it_begins_with_a_burst() {
    let (start, mut rng) = (start(), fastrand::Rng::with_seed(1));
    let at = run(&mut Announcer::new(start), &mut rng, start, Duration::from_millis(1_400));
    assert_eq!(at, BURST);
}

#[test]
fn the_pace_is_one_a_second_until_fifty_nodes() {
    for seed in 0..200 {
        let (start, mut rng) = (start(), fastrand::Rng::with_seed(seed));
        for nodes in [1, 16, 50, 51, 256, 1_024] {
            let mut announcer = Announcer::new(start);
            announcer.handle_population(nodes);
            let at = run(&mut announcer, &mut rng, start, Duration::from_secs(200));
            let expected = if nodes <= 50 { 1.0 } else { nodes as f64 / 50.0 };
            for pair in at[BURST.len() - 1..].windows(2) {
                let pause = (pair[1] - pair[0]).as_secs_f64();
                let within = pause >= expected * 0.799 && pause <= expected * 1.201;
                assert!(within, "seed {seed}: {pause} s with {nodes} nodes");
            }
        }
    }
}

#[test]
fn the_jitter_uses_its_whole_range() {
    let (start, mut rng) = (start(), fastrand::Rng::with_seed(7));
    let at = run(&mut Announcer::new(start), &mut rng, start, Duration::from_secs(500));
    let pauses: Vec<_> = at[4..].windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert!(*pauses.iter().min().unwrap() < 820 && *pauses.iter().max().unwrap() > 1_180);
}

#[test]
fn sequences_grow_by_one() {
    let (now, mut rng) = (start(), fastrand::Rng::with_seed(1));
    let mut announcer = Announcer::new(now);
    for sequence in 1..=100 {
        announcer.handle_timeout(announcer.poll_timeout().unwrap(), &mut rng);
        assert_eq!(announcer.poll_transmit(), Some(Pulse { sequence, leaving: false }));
        assert_eq!(announcer.poll_transmit(), None, "once");
    }
}

#[test]
fn a_network_change_begins_a_burst_but_no_storm() {
    let (start, mut rng) = (start(), fastrand::Rng::with_seed(1));
    let mut announcer = Announcer::new(start);
    run(&mut announcer, &mut rng, start, Duration::from_secs(10));
    let changed = start + Duration::from_millis(10_300);
    announcer.handle_network_change(changed);
    let at = run(&mut announcer, &mut rng, changed, Duration::from_millis(1_400));
    assert_eq!(at, BURST);

    // A change every 10 ms for 10 s: one burst a second after the first three, and the last one is whole.
    let mut now = changed + Duration::from_secs(10);
    let mut sent = 0;
    for _ in 0..1_000 {
        announcer.handle_network_change(now);
        announcer.handle_timeout(now, &mut rng);
        sent += usize::from(announcer.poll_transmit().is_some());
        now += Duration::from_millis(10);
    }
    assert!((30..=48).contains(&sent), "{sent} heartbeats");
    let at = run(&mut announcer, &mut rng, now, Duration::from_millis(1_700));
    let steps: Vec<_> = at.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(steps[..3], [100, 200, 400]);
}

#[test]
fn a_network_that_comes_in_steps_is_told_each_step_at_once() {
    let (start, mut rng) = (start(), fastrand::Rng::with_seed(1));
    let mut announcer = Announcer::new(start);
    let mut sent = |announcer: &mut Announcer, now| {
        announcer.handle_timeout(now, &mut rng);
        announcer.poll_transmit().is_some()
    };
    assert!(sent(&mut announcer, start));
    for step in [20, 40, 60] {
        let now = start + Duration::from_millis(step);
        announcer.handle_network_change(now);
        assert!(sent(&mut announcer, now), "{step}");
    }
    // The fourth waits, and what is under way goes on meanwhile.
    let now = start + Duration::from_millis(80);
    announcer.handle_network_change(now);
    assert!(!sent(&mut announcer, now));
    let at = run(&mut announcer, &mut rng, start, Duration::from_millis(3_000));
    let at: Vec<_> = at.iter().map(Duration::as_millis).collect();
    assert_eq!(at[..7], [160, 360, 760, 1_020, 1_120, 1_320, 1_720], "{at:?}");
}

#[test]
fn it_leaves_with_three_goodbyes() {
    let (start, mut rng) = (start(), fastrand::Rng::with_seed(1));
    let mut announcer = Announcer::new(start);
    run(&mut announcer, &mut rng, start, Duration::from_secs(3));
    let now = start + Duration::from_secs(3);
    for _ in 0..8 {
        announcer.handle_network_change(now);
        announcer.handle_timeout(now, &mut rng);
        announcer.poll_transmit();
    }
    // A burst waits, and is not begun any more.
    announcer.handle_leave(now);
    announcer.handle_leave(now);
    announcer.handle_network_change(now);
    let mut pulses = Vec::new();
    while let Some(next) = announcer.poll_timeout() {
        assert!(next <= now + Duration::from_millis(20));
        announcer.handle_timeout(next, &mut rng);
        pulses.extend(announcer.poll_transmit());
    }
    assert_eq!(pulses.len(), 3);
    assert!(pulses.iter().all(|pulse| pulse.leaving));
    assert!(pulses.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1));
}

#[test]
fn a_long_suspension_is_not_caught_up() {
    let (start, mut rng) = (start(), fastrand::Rng::with_seed(1));
    let mut announcer = Announcer::new(start);
    run(&mut announcer, &mut rng, start, Duration::from_millis(50));
    let late = start + Duration::from_secs(3_600);
    announcer.handle_timeout(late, &mut rng);
    assert!(announcer.poll_transmit().is_some());
    assert!(announcer.poll_timeout().unwrap() > late + Duration::from_millis(700));
}
