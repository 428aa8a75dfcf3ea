//! The control frames of one link, as they come.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::mpsc;

use super::{Acks, End};
use crate::io::input::Input;
use crate::io::session::{Session, lock};
use crate::peer::{Deliver, Inbound, PeerSender};
use crate::proto::inbox::{Begin, Inbox};
use crate::proto::liveness::Liveness;
use crate::proto::members;
use crate::proto::mesh::LinkNumber;
use crate::proto::record::{ControlFrames, Farewell, Kind, RecordError, parse_secrets, take_varint};

/// What they are handled with.
pub(super) struct Control<'a> {
    pub(super) session: &'a Session,
    pub(super) number: LinkNumber,
    pub(super) live: &'a Mutex<Liveness>,
    pub(super) from: &'a PeerSender,
    pub(super) addr: SocketAddr,
    pub(super) inputs: &'a mpsc::Sender<Input>,
}

impl Control<'_> {
    /// Handles every control frame of one record.
    pub(super) fn handle_all(
        &self,
        content: &[u8],
        deliver: &dyn Deliver,
        next: &mut Option<u64>,
        acks: &mut Acks,
    ) -> Result<Option<End>, RecordError> {
        for frame in ControlFrames(content) {
            let (kind, body) = frame?;
            if let Some(end) = self.handle(kind, body, deliver, next, acks)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    fn handle(
        &self,
        kind: Kind,
        mut body: &[u8],
        deliver: &dyn Deliver,
        next: &mut Option<u64>,
        acks: &mut Acks,
    ) -> Result<Option<End>, RecordError> {
        match kind {
            Kind::Ack => self.session.acknowledged(take_varint(&mut body)?),
            Kind::AckNow => {
                let wanted = take_varint(&mut body)?;
                acks.wanted = Some(acks.wanted.map_or(wanted, |old| old.max(wanted)));
            }
            Kind::Taken => self.session.taken(self.number, take_varint(&mut body)?),
            // It leaves with whatever else answers this record.
            Kind::Ping => self.session.queue_control(self.number, Kind::Pong, body),
            Kind::Pong => {
                let mut live = lock(self.live);
                live.handle_pong(Instant::now(), take_varint(&mut body)?);
                if let Some(rtt) = live.rtt() {
                    self.session.set_rtt(rtt);
                }
                if let Some(best) = live.best_rtt() {
                    drop(live);
                    self.session.set_best_rtt(self.number, best);
                }
            }
            Kind::Start => {
                let (generation, first) = (take_varint(&mut body)?, take_varint(&mut body)?);
                *next = Some(first);
                let Some(mut inbox) = self.inbox() else { return Ok(Some(End::Replaced)) };
                if inbox.start(generation, first) == Begin::Lost {
                    let _ = deliver.deliver(self.from, Inbound::Lost);
                }
            }
            Kind::Above => {
                let Some(_inbox) = self.inbox() else { return Ok(Some(End::Replaced)) };
                let _ = deliver.deliver(self.from, Inbound::Control(body));
            }
            Kind::Members => {
                let told = members::parse(body, self.addr)?;
                // A driver that has too much to do may miss it: it is told again.
                let _ = self.inputs.try_send(Input::Members { teller: self.session.id, told });
            }
            Kind::Secrets => {
                let theirs = parse_secrets(body)?;
                // As above.
                let _ = self.inputs.try_send(Input::Secrets { id: self.session.id, theirs });
            }
            Kind::Bye => return Ok(Some(End::Bye(Farewell::of(body)))),
            // Both belong to the time before the link was taken up.
            Kind::Hello | Kind::Adopt => {}
        }
        Ok(None)
    }

    /// The right to deliver, while this is the link in use: what an old link still holds is of no interest.
    fn inbox(&self) -> Option<MutexGuard<'_, Inbox>> {
        let inbox = lock(&self.session.inbox);
        (self.session.current() == self.number).then_some(inbox)
    }
}
