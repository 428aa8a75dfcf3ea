//! The content of records, once they are opened: control frames, and the data lane's stream of frames.

use bytes::BytesMut;
use talkie_transport::fuzzing::{Data, control_frames, put_control, put_varint, varint};
use talkie_transport::proto::open::{Copies, Reassembly};
use talkie_transport::proto::record::{MAX_FRAME, MAX_INTERESTS, RecordError};

/// Frames of up to so many bytes are taken.
const LIMIT: usize = 200;

/// A stream gives the same frames and the same end however it is cut into records, none longer than the limit. Each frame is
/// read within its bounds, and again from what is written of it. So are control frames.
pub fn run(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    control(stream);
    number(stream);
    let whole = cut_up(stream, stream.len().max(1));
    assert_eq!(cut_up(stream, usize::from(cut % 16) + 1), whole, "in parts of {}", cut % 16 + 1);
    let (frames, end) = whole;
    if let Some(RecordError::TooLarge { given, limit }) = end {
        assert!(given > limit as u64 && limit == LIMIT);
    }
    assert!(frames.iter().map(Vec::len).sum::<usize>() + frames.len() <= stream.len(), "nothing is made up");
    frames.iter().for_each(|frame| data_frame(frame));
}

type Frames = (Vec<Vec<u8>>, Option<RecordError>);

/// The frames of a stream in records of so many bytes, and how it ended.
fn cut_up(stream: &[u8], part: usize) -> Frames {
    let (mut reassembly, mut copies, mut frames) = (Reassembly::new(LIMIT), Copies::default(), Vec::new());
    for part in stream.chunks(part) {
        reassembly.push(BytesMut::from(part));
        loop {
            match reassembly.next_frame() {
                Ok(Some(frame)) => {
                    assert!(frame.len() <= LIMIT);
                    let len = frame.len();
                    frames.push(copies.take(frame, len).to_vec());
                }
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn data_frame(frame: &[u8]) {
    let Ok(read) = Data::read(frame) else { return };
    let (count, known) = match &read {
        Data::Message { interests, .. } | Data::Large { interests } => (interests.len(), true),
        Data::Gap { missed, .. } => (missed.len(), true),
        Data::Unknown => (0, false),
    };
    assert!(count <= MAX_INTERESTS);
    if !known {
        return;
    }
    let written = read.write();
    let (len, head) = varint(&written).expect("it has a length");
    assert_eq!(len, (written.len() - head) as u64);
    assert!(len as usize <= frame.len() && written.len() <= MAX_FRAME, "it is written as short as it can be");
    assert_eq!(Data::read(&written[head..]), Ok(read));
}

fn control(content: &[u8]) {
    let Ok(frames) = control_frames(content) else { return };
    assert!(frames.iter().map(|(_, body)| 3 + body.len()).sum::<usize>() <= content.len());
    let mut again = Vec::new();
    frames.iter().for_each(|(_, body)| put_control(&mut again, body));
    let read = control_frames(&again).expect("its own frames");
    assert!(read.iter().map(|(_, body)| body).eq(frames.iter().map(|(_, body)| body)));
    if !frames.is_empty() && again.len() > 1 {
        let short = control_frames(&again[..again.len() - 1]);
        let last = frames.last().is_some_and(|(_, body)| body.is_empty() && again.len() == 3);
        assert!(short == Err(RecordError::Truncated) || last);
    }
}

fn number(bytes: &[u8]) {
    if let Some((value, len)) = varint(bytes) {
        let written = put_varint(value);
        assert!(written.len() <= len && len <= 10);
        assert_eq!(varint(&written), Some((value, written.len())));
    }
}
