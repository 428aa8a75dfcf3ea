use super::*;

fn interests(pairs: &[(u64, u64)]) -> Interests {
    pairs.iter().map(|(id, epoch)| Interest { id: *id, epoch: *epoch }).collect()
}

#[test]
fn varints_round_trip_at_every_width() {
    for shift in 0..64 {
        for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
            let mut buf = Vec::new();
            put_varint(&mut buf, value);
            assert_eq!(peek_varint(&buf), Varint::Whole(value, buf.len()));
            for cut in 0..buf.len() {
                assert_eq!(peek_varint(&buf[..cut]), Varint::Partial);
            }
        }
    }
    assert_eq!(peek_varint(&[0xff; 10]), Varint::TooLong);
    assert_eq!(peek_varint(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02]), Varint::TooLong);
}

#[test]
fn control_frames_skip_unknown_kinds_and_refuse_cut_ones() {
    let mut buf = Vec::new();
    put_control(&mut buf, Kind::Ping, &[7]);
    buf.extend_from_slice(&[200, 0, 2, 1, 1]);
    put_control(&mut buf, Kind::Above, b"hello");
    let frames: Vec<_> = ControlFrames(&buf).collect();
    assert_eq!(frames, [Ok((Kind::Ping, &[7u8][..])), Ok((Kind::Above, &b"hello"[..]))]);
    let whole = buf.len();
    for cut in 1..whole {
        let last = ControlFrames(&buf[..cut]).last();
        let ends_at_frame = [0, 4, 9].contains(&cut);
        assert_eq!(matches!(last, Some(Err(RecordError::Truncated))), !ends_at_frame, "cut at {cut}");
    }
}

#[test]
fn data_frames_round_trip() {
    let wanted = interests(&[(1, 0), (300, 7)]);
    let mut buf = Vec::new();
    put_message_head(&mut buf, &wanted, 4);
    buf.extend_from_slice(b"body");
    let Varint::Whole(len, head) = peek_varint(&buf) else { panic!("a length comes first") };
    assert_eq!(buf.len(), head + len as usize);
    let frame = buf.split_off(head);
    assert_eq!(parse_data(&frame), Ok(DataFrame::Message { interests: wanted.clone(), body: b"body" }));
    let missed = vec![(wanted[0], 3), (wanted[1], u64::MAX)];
    let mut buf = Vec::new();
    put_gap(&mut buf, &missed, true);
    let Varint::Whole(_, head) = peek_varint(&buf) else { panic!("a length comes first") };
    assert_eq!(parse_data(&buf.split_off(head)), Ok(DataFrame::Gap { missed, exact: true }));
    assert_eq!(parse_data(&[99, 1, 2]), Ok(DataFrame::Unknown));
}

#[test]
fn lying_counts_are_refused_before_they_cost_memory() {
    for kind in [MESSAGE, GAP] {
        let mut frame = vec![kind];
        if kind == GAP {
            frame.push(1);
        }
        put_varint(&mut frame, u64::MAX);
        assert_eq!(parse_data(&frame), Err(RecordError::Malformed));
    }
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..20_000 {
        let frame: Vec<u8> = (0..rng.usize(0..40)).map(|_| rng.u8(..)).collect();
        // Whatever it is, it is an answer and no panic; what parses is no larger than what came.
        if let Ok(DataFrame::Message { interests, body }) = parse_data(&frame) {
            assert!(interests.len() * 2 + body.len() < frame.len());
        }
    }
}

#[test]
fn secrets_are_read_as_told_and_never_beyond_what_came() {
    let marks: Vec<_> = (0..40).map(|n| SecretMark::from_bytes([n; SecretMark::LEN])).collect();
    for told in [0, 1, 2, MAX_SECRETS, 40] {
        let mut body = Vec::new();
        put_secrets(&mut body, &marks[..told]);
        let read = told.min(MAX_SECRETS);
        assert_eq!(body.len(), 1 + read * SecretMark::LEN);
        assert_eq!(parse_secrets(&body), Ok(marks[..read].to_vec()));
        body.extend(b"what a later version appends");
        assert_eq!(parse_secrets(&body), Ok(marks[..read].to_vec()));
    }
    assert_eq!(parse_secrets(&[]), Ok(Vec::new()), "an older version says nothing");
    assert_eq!(parse_secrets(&[2, 0, 0, 0, 0, 0, 0, 0, 0]), Err(RecordError::Truncated));
    let many = [[255].as_slice(), &[7; 255 * SecretMark::LEN]].concat();
    assert_eq!(parse_secrets(&many).map(|read| read.len()), Ok(MAX_SECRETS));
}
