use super::*;

type Book = Ledger<&'static str, char, u32>;

const ALL: [(&str, Nearness); 3] =
    [("a", Nearness::Elsewhere), ("b", Nearness::Elsewhere), ("c", Nearness::Elsewhere)];

fn any(_: &&str) -> bool {
    true
}

fn admit(book: &mut Book, what: u32) -> u64 {
    book.admit('g', what, 10).unwrap()
}

/// Hands out and gives number, member and whether it is marked.
fn hand(book: &mut Book, id: u64, members: &[(&'static str, Nearness)]) -> Option<(u64, &'static str, bool)> {
    book.hand(id, members).map(|Handed { number, to, redelivered }| (number, to, redelivered))
}

#[test]
fn the_nearest_is_given_it_and_then_the_one_that_has_the_fewest() {
    let mut book = Book::default();
    let mut to = |members: &[(&'static str, Nearness)]| {
        let id = admit(&mut book, 1);
        hand(&mut book, id, members).map(|(_, to, _)| to)
    };
    let near = [("far", Nearness::Elsewhere), ("host", Nearness::Host), ("here", Nearness::Here)];
    assert_eq!((to(&near), to(&near[..2]), to(&near[..1])), (Some("here"), Some("host"), Some("far")));
    let away = [("gone", Nearness::Away), ("far", Nearness::Elsewhere)];
    assert_eq!((to(&away), to(&away[..1]), to(&[])), (Some("far"), Some("gone"), None));
    let mut shares = HashMap::new();
    for _ in 0..30 {
        *shares.entry(to(&ALL)).or_insert(0) += 1;
    }
    assert_eq!(shares, HashMap::from([(Some("a"), 10), (Some("b"), 10), (Some("c"), 10)]));
}

#[test]
fn idle_members_take_turns() {
    let mut book = Book::default();
    let mut shares = HashMap::new();
    for _ in 0..30 {
        let id = admit(&mut book, 1);
        let (number, to, _) = hand(&mut book, id, &ALL).unwrap();
        *shares.entry(to).or_insert(0) += 1;
        assert_eq!(book.done(number, any), Some(('g', to)));
    }
    assert_eq!(shares, HashMap::from([("a", 10), ("b", 10), ("c", 10)]));
    assert_eq!((book.size(), book.oldest()), ((0, 0), None));
    assert!(book.owing.is_empty() && book.handed.is_empty() && book.parked.is_empty(), "nothing is left");
}

#[test]
fn only_who_has_a_message_can_say_what_became_of_it() {
    let mut book = Book::default();
    let id = admit(&mut book, 7);
    let (number, to, _) = hand(&mut book, id, &ALL).unwrap();
    assert_eq!(book.done(number, |member| *member != to), None);
    assert_eq!(book.returned(number, |member| *member != to, Verdict::Tried), None);
    assert_eq!(book.done(number + 1, any), None);
    assert!(book.done(number, |member| *member == to).is_some());
    assert_eq!(book.done(number, any), None, "once");
    assert_eq!(book.counted(), Counted { done: 1, redelivered: 0 });
}

#[test]
fn what_comes_back_is_marked_where_somebody_may_have_had_it() {
    for (why, marked) in [(Verdict::Full, false), (Verdict::Back, false), (Verdict::Tried, true)] {
        let mut book = Book::default();
        let id = admit(&mut book, 7);
        let (first, _, redelivered) = hand(&mut book, id, &ALL[..1]).unwrap();
        assert!(!redelivered);
        assert_eq!(book.returned(first, any, why), Some(id));
        assert_eq!((book.parked(&'g', 0), book.parked(&'g', id + 1)), (Some(id), None));
        let (second, to, redelivered) = hand(&mut book, id, &ALL[..2]).unwrap();
        assert_eq!(redelivered, marked, "{why:?}");
        assert!(second > first && (why != Verdict::Full || to == "b"));
        assert_eq!(book.done(first, any), None, "the first handing out is over");
        assert!(book.done(second, any).is_some());
    }
}

#[test]
fn who_is_full_gets_nothing_until_it_has_room() {
    let mut book = Book::default();
    let (one, two) = (admit(&mut book, 1), admit(&mut book, 2));
    let (number, ..) = hand(&mut book, one, &ALL[..1]).unwrap();
    let (second, ..) = hand(&mut book, two, &ALL[..1]).unwrap();
    assert_eq!(book.returned(second, any, Verdict::Full), Some(two));
    assert_eq!(hand(&mut book, two, &ALL[..1]), None, "it is parked");
    assert_eq!(book.short(), ['g']);
    assert_eq!(book.pick(&ALL[..1]), Some(&"a"), "what is not remembered goes there all the same");
    assert!(book.done(number, any).is_some(), "that made room");
    let (third, to, marked) = hand(&mut book, two, &ALL[..1]).unwrap();
    assert_eq!((to, marked), ("a", false));
    assert_eq!(book.returned(third, any, Verdict::Full), Some(two));
    let away = [("a", Nearness::Elsewhere), ("b", Nearness::Away)];
    assert_eq!(hand(&mut book, two, &away), None, "who is away is no help");
    assert!(book.eased(&"a") && !book.eased(&"a"));
    assert!(hand(&mut book, two, &ALL[..1]).is_some());
}

#[test]
fn what_the_lost_have_goes_to_others_and_stays_with_them_where_there_are_none() {
    let mut book = Book::default();
    let id = admit(&mut book, 1);
    let (number, ..) = hand(&mut book, id, &ALL[..1]).unwrap();
    let lost = [("a", Nearness::Away)];
    assert_eq!(hand(&mut book, id, &lost), None, "nobody else is there");
    assert_eq!(book.awaited(|member| *member == "a"), [number], "so it is still waited for");
    let other = [("a", Nearness::Away), ("b", Nearness::Elsewhere)];
    let (again, to, marked) = hand(&mut book, id, &other).unwrap();
    assert_eq!((to, marked, book.counted().redelivered), ("b", true, 1));
    assert!(book.awaited(|member| *member == "a").is_empty(), "it is void there");
    assert_eq!(book.awaited(|member| *member == "b"), [again]);
    assert_eq!(book.done(number, any), None, "too late");
}

#[test]
fn what_the_lost_have_waits_for_others_that_have_no_room() {
    let mut book = Book::default();
    let (one, two) = (admit(&mut book, 1), admit(&mut book, 2));
    let (first, ..) = hand(&mut book, one, &ALL[..1]).unwrap();
    let (second, ..) = hand(&mut book, two, &ALL[1..2]).unwrap();
    book.returned(second, any, Verdict::Full).unwrap();
    let members = [("a", Nearness::Away), ("b", Nearness::Elsewhere)];
    assert_eq!(hand(&mut book, two, &members), None);
    assert_eq!(hand(&mut book, one, &members), None);
    assert_eq!((book.parked(&'g', 0), book.done(first, any)), (Some(one), None), "in its place");
    assert!(book.eased(&"b"));
    assert_eq!(hand(&mut book, one, &members), Some((3, "b", true)));
    // Nothing is taken from who is there.
    book.returned(3, any, Verdict::Full).unwrap();
    assert!(book.eased(&"b"));
    let (third, ..) = hand(&mut book, one, &members).unwrap();
    book.full.insert("b");
    assert_eq!((hand(&mut book, one, &members), book.awaited(any)), (None, vec![third]));
}

#[test]
fn who_is_gone_for_good_leaves_its_messages() {
    let mut book = Book::default();
    let ids: Vec<u64> = (0..3).map(|n| admit(&mut book, n)).collect();
    for id in &ids {
        hand(&mut book, *id, &ALL[..1]).unwrap();
    }
    assert_eq!(book.detach(|member| *member == "b"), []);
    assert_eq!(book.detach(|member| *member == "a"), ids);
    assert_eq!((book.parked(&'g', 0), book.with(any)), (ids.first().copied(), vec![]));
    let (_, to, marked) = hand(&mut book, ids[1], &ALL[1..2]).unwrap();
    assert_eq!((to, marked), ("b", true));
    book.remove(ids[1]).unwrap();
    book.remove(ids[0]).unwrap();
    assert_eq!((book.size().0, book.oldest(), book.newest()), (1, Some(ids[2]), ids[2]));
}

#[test]
fn memory_is_bounded_and_publishers_wait_once_per_stall() {
    let now = Instant::now();
    let mut book = Book::default();
    let huge = book.admit('g', 0, 2 * MAX_JOB_BYTES).unwrap();
    assert_eq!(book.admit('g', 7, 0), Err(7), "one that is longer is let in alone");
    book.remove(huge);
    assert_eq!(book.room(10, now), None);
    while book.admit('g', 0, 1_000).is_ok() {}
    let (messages, bytes) = book.size();
    assert!(messages <= MAX_JOBS && bytes <= MAX_JOB_BYTES && bytes > MAX_JOB_BYTES - 2_000);
    let until = now + PATIENCE;
    assert_eq!((book.room(1_000, now), book.room(1_000, now + PATIENCE / 2)), (Some(until), Some(until)));
    assert_eq!(book.room(1_000, until), None, "they have waited");
    let oldest = book.oldest().unwrap();
    book.remove(oldest);
    assert!(book.admit('g', 0, 1_000).is_ok());
    assert_eq!(book.room(1_000, until), None, "it is the same stall");
    while book.size().1 > MAX_JOB_BYTES / 2 {
        let oldest = book.oldest().unwrap();
        book.remove(oldest);
    }
    while book.admit('g', 0, 1_000).is_ok() {}
    assert_eq!(book.room(1_000, until), Some(until + PATIENCE), "another one");
    let mut many = Book::default();
    while many.admit('g', 0, 0).is_ok() {}
    assert_eq!(many.size().0, MAX_JOBS);
}
