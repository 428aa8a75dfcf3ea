//! `talkie pub`: publishes, and ends only when those who wanted it have it.

use bytes::Bytes;
use talkie_pubsub::{FlushError, Topic};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::{Session, Setup};
use crate::args::{Payload, Publication};
use crate::exit::Failure;
use crate::output::{Event, plural};

pub(super) async fn run(setup: Setup, wanted: Publication) -> Result<(), Failure> {
    let longest = setup.config.longest_message();
    if let Payload::Bytes(payload) = &wanted.payload
        && payload.len() > longest
    {
        let length = payload.len();
        return Err(Failure::Usage(format!("PAYLOAD has {length} bytes; --max-message allows {longest}")));
    }
    let mut session = setup.join().await?;
    if let Err(nobody) = wait_for_subscribers(&mut session, &wanted).await {
        return session.leave(Err(nobody)).await;
    }
    let mut tally = Tally::default();
    // Whatever ends the publishing: what was published before is handed over, and counts.
    let mut ended = publish(&session, &mut tally, &wanted, longest).await;
    if !matches!(ended, Err(Failure::Quiet)) {
        let mut stop = session.stop.clone();
        tokio::select! {
            handed = session.bus.flush() => tally.in_doubt = in_doubt(handed),
            why = stop.stopped() => ended = ended.and_then(|()| Err(stop.ended(why))),
        }
    }
    if matches!(ended, Err(Failure::Quiet)) {
        // Leaving hands over, too, and does not take long over it.
        tally.in_doubt = in_doubt(session.bus.node().leave().await);
    }
    let ended = match (ended, tally.verdict()) {
        (Ok(()) | Err(Failure::Quiet), Ok(())) => session.print_published(&wanted.topic, &tally),
        (Err(first), Ok(())) => session.print_published(&wanted.topic, &tally).and(Err(first)),
        (Ok(()) | Err(Failure::Quiet), Err(lost)) => Err(Failure::Failed(lost)),
        (Err(first), Err(lost)) => Err(Failure::Failed(format!("{first}; {lost}"))),
    };
    session.leave(ended).await
}

impl Session {
    fn print_published(&mut self, topic: &Topic, tally: &Tally) -> Result<(), Failure> {
        let (count, nodes) = (tally.count, tally.nodes);
        Ok(self.output.print_now(&Event::Published { topic, count, nodes })?)
    }
}

async fn wait_for_subscribers(session: &mut Session, wanted: &Publication) -> Result<(), Failure> {
    let Publication { topic, subscribers, timeout, .. } = wanted;
    if *subscribers == 0 {
        return Ok(());
    }
    tokio::select! {
        waited = tokio::time::timeout(*timeout, session.bus.subscribed_on(topic, *subscribers)) => match waited {
            Ok(Ok(())) => Ok(()),
            Ok(Err(closed)) => Err(Failure::Failed(closed.to_string())),
            Err(_) => {
                let nodes = match session.bus.subscribers(topic).map_or(0, |nodes| nodes.len()) {
                    0 => "no node wants".to_owned(),
                    some => format!("only {some} of {subscribers} nodes want"),
                };
                let within = timeout.as_secs_f64();
                Err(Failure::Failed(format!("{nodes} {:?} within {within} s; nothing was sent", topic.as_str())))
            }
        },
        why = session.stop.stopped() => Err(session.stop.ended(why)),
    }
}

/// Publishes all there is; [`Failure::Quiet`] where it was told to end before.
async fn publish(
    session: &Session,
    tally: &mut Tally,
    wanted: &Publication,
    longest: usize,
) -> Result<(), Failure> {
    let mut stop = session.stop.clone();
    let all = async {
        match &wanted.payload {
            Payload::Bytes(payload) => tally.publish(session, wanted, Bytes::copy_from_slice(payload)).await,
            Payload::Lines => lines(session, tally, wanted, longest).await,
        }
    };
    tokio::select! {
        published = all => published,
        why = stop.stopped() => Err(stop.ended(why)),
    }
}

/// A message for each line of standard input, as it comes.
async fn lines(
    session: &Session,
    tally: &mut Tally,
    wanted: &Publication,
    longest: usize,
) -> Result<(), Failure> {
    let mut input = BufReader::new(tokio::io::stdin());
    // One byte more than the longest line, for its line feed.
    let limit = longest as u64 + 1;
    for number in 1_u64.. {
        let mut line = Vec::new();
        let read = (&mut input).take(limit).read_until(b'\n', &mut line).await;
        match read {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Err(Failure::Failed(format!("cannot read standard input: {error}"))),
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() > longest {
            return Err(Failure::Failed(format!(
                "line {number} of standard input is longer than the {longest} bytes that --max-message allows"
            )));
        }
        tally.publish(session, wanted, line.into()).await?;
    }
    Ok(())
}

fn in_doubt(handed: Result<(), FlushError>) -> u64 {
    match handed {
        Err(FlushError::InDoubt { messages }) => messages,
        _ => 0,
    }
}

/// What became of the messages.
#[derive(Default)]
struct Tally {
    count: u64,
    /// The most nodes that one message went to.
    nodes: usize,
    /// Messages times nodes that had no room.
    overflowed: u64,
    /// Messages that a lost node may not have.
    in_doubt: u64,
}

impl Tally {
    async fn publish(
        &mut self,
        session: &Session,
        wanted: &Publication,
        payload: Bytes,
    ) -> Result<(), Failure> {
        let publish = session.bus.publish_with(&wanted.topic, payload, wanted.headers.clone());
        let receipt = publish.await.map_err(|e| Failure::Failed(e.to_string()))?;
        self.count += 1;
        self.nodes = self.nodes.max(receipt.nodes);
        self.overflowed += receipt.overflowed as u64;
        Ok(())
    }

    /// Whether every message is where it should be, or in words what is not.
    fn verdict(&self) -> Result<(), String> {
        let mut words = Vec::new();
        if self.in_doubt > 0 {
            let messages = plural(self.in_doubt, "message");
            words.push(format!("{messages} in doubt: a node was lost before it had confirmed everything"));
        }
        if self.overflowed > 0 {
            let messages = plural(self.overflowed, "message");
            words.push(format!(
                "{messages} not taken by a node: it stood still, or they are over its --max-message"
            ));
        }
        if words.is_empty() { Ok(()) } else { Err(words.join("; ")) }
    }
}
