//! `talkie request`: asks one responder, or all, and prints what they reply.

use std::time::Duration;

use bytes::Bytes;
use talkie_pubsub::{Answer, Reply, RequestError, RequestOptions, Unanswered};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use super::{Session, Setup};
use crate::args::Question;
use crate::exit::Failure;
use crate::output::{Event, plural};

pub(super) async fn run(setup: Setup, question: Question) -> Result<(), Failure> {
    let longest = setup.config.longest_message();
    let payload = payload(&setup, &question, longest).await?;
    let mut session = setup.join().await?;
    let mut stop = session.stop.clone();
    let ended = tokio::select! {
        asked = ask(&mut session, &question, payload) => asked,
        why = stop.stopped() => Err(stop.ended(why)),
    };
    session.leave(ended).await
}

/// What was given, or all of standard input, which is read before the node joins.
async fn payload(setup: &Setup, question: &Question, longest: usize) -> Result<Bytes, Failure> {
    let payload = match &question.payload {
        Some(payload) => Bytes::copy_from_slice(payload),
        None => {
            let mut stop = setup.stop.clone();
            let mut read = Vec::new();
            let mut input = tokio::io::stdin().take(longest as u64 + 1);
            tokio::select! {
                read = input.read_to_end(&mut read) => {
                    read.map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?
                }
                why = stop.stopped() => return Err(stop.ended(why)),
            };
            if read.len() > longest {
                return Err(Failure::Failed(format!(
                    "standard input is longer than the {longest} bytes that --max-message allows"
                )));
            }
            read.into()
        }
    };
    if payload.len() > longest {
        let length = payload.len();
        return Err(Failure::Usage(format!("PAYLOAD has {length} bytes; --max-message allows {longest}")));
    }
    Ok(payload)
}

async fn ask(session: &mut Session, question: &Question, payload: Bytes) -> Result<(), Failure> {
    let Question { topic, all, responders, timeout, .. } = question;
    let deadline = Instant::now() + *timeout;
    let bus = session.bus.clone();
    if *responders > 0 {
        match tokio::time::timeout_at(deadline, bus.answered_on(topic, *responders)).await {
            Ok(Ok(())) => {}
            Ok(Err(closed)) => return Err(Failure::Failed(closed.to_string())),
            Err(_) => {
                let nodes = match bus.responders(topic).map_or(0, |nodes| nodes.len()) {
                    0 => "no node answers".to_owned(),
                    some => format!("only {some} of {responders} nodes answer"),
                };
                let within = timeout.as_secs_f64();
                return Err(Failure::Failed(format!(
                    "{nodes} {:?} within {within} s; nothing was sent",
                    topic.as_str()
                )));
            }
        }
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let options = RequestOptions::within(left).headers(question.headers.clone());
    if !all {
        let Reply { from, name, payload, headers, .. } =
            bus.request_with(topic, payload, options).await.map_err(|error| failed(&error, *timeout))?;
        return Ok(session.output.print_now(&Event::Reply {
            node: from,
            name: &name,
            payload: payload.as_ref().into(),
            beside: (&headers).into(),
            named: false,
        })?);
    }
    let mut answers =
        bus.request_all_with(topic, payload, options).await.map_err(|error| failed(&error, *timeout))?;
    let (mut replies, mut missing) = (0, 0);
    while let Some(answer) = answers.next().await {
        let event = match &answer {
            Answer::Reply(reply) => {
                replies += 1;
                let (payload, beside) = (reply.payload.as_ref().into(), (&reply.headers).into());
                Event::Reply { node: reply.from, name: &reply.name, payload, beside, named: true }
            }
            Answer::Missing { from, name, why } => {
                missing += 1;
                Event::Missing { node: *from, name, why: word(why) }
            }
            // Of a kind that this command has not learnt of yet.
            _ => continue,
        };
        session.output.print_now(&event)?;
    }
    if missing == 0 {
        return Ok(());
    }
    let all = plural(replies + missing, "answer");
    Err(Failure::Failed(format!("{missing} of {all} did not come")))
}

/// In the words of the command: the time that was given, and not what was left of it.
fn failed(error: &RequestError, timeout: Duration) -> Failure {
    Failure::Failed(match error {
        RequestError::Timeout(_) => format!("no answer within {} s", timeout.as_secs_f64()),
        error => error.to_string(),
    })
}

/// As it stands in the JSON line.
const fn word(why: &Unanswered) -> &'static str {
    match why {
        Unanswered::Dropped => "dropped",
        Unanswered::Gone => "gone",
        Unanswered::NoResponder => "no_responder",
        Unanswered::Timeout => "timeout",
        Unanswered::NoRoom => "no_room",
        Unanswered::NotUnderstood => "not_understood",
        _ => "unknown",
    }
}
