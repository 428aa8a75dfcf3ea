//! `talkie bench serve`: a subscriber for whoever measures across machines, one after the other.

use talkie_instrument::clock_name;
use talkie_pubsub::{Bus, Delivery, Message, NodeId, PeerEvent};
use tokio::sync::mpsc;

use super::across::{CALL, PIECE, bus_name, orders_of, words_to};
use super::taker::Taker;
use super::wire::{Order, Word};
use crate::commands::{Session, Setup};
use crate::exit::Failure;

pub(super) async fn run(mut setup: Setup) -> Result<(), Failure> {
    setup.config = setup.config.bus(bus_name()?);
    let mut session = setup.join().await?;
    session.stop.watch_output();
    let ended = match session.print_joined() {
        Ok(()) => serve(&mut session).await,
        failed => failed,
    };
    session.leave(ended).await
}

/// Whom it serves now, and how far it is.
struct Service {
    bus: Bus,
    driver: Option<NodeId>,
    taker: Option<Taker>,
    tell: mpsc::UnboundedSender<(NodeId, Word)>,
}

async fn serve(session: &mut Session) -> Result<(), Failure> {
    let failed = |error: String| Failure::Failed(error);
    let bus = session.bus.clone();
    let mut orders = bus.subscribe(orders_of(bus.node().id())).map_err(|e| failed(e.to_string()))?;
    // Nothing is published here; that it is wanted tells who serves.
    let _call = bus.subscribe(CALL).map_err(|e| failed(e.to_string()))?;
    let mut peers = bus.node().peer_events();
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut service = Service { bus: bus.clone(), driver: None, taker: None, tell };
    loop {
        tokio::select! {
            biased;
            why = session.stop.stopped() => {
                let failure = session.stop.ended(why);
                return Err(failure);
            }
            Some((driver, word)) = told.recv() => say(&bus, driver, &word).await,
            delivery = orders.next() => match delivery {
                Some(Delivery::Message(message)) => service.obey(&message),
                Some(_) => {}
                None => return Ok(()),
            },
            event = peers.recv() => match event {
                Some(PeerEvent::Down { peer, .. }) if service.driver == Some(peer.id) => {
                    tracing::info!("{} is gone", peer.name);
                    (service.driver, service.taker) = (None, None);
                }
                _ => {}
            },
        }
    }
}

impl Service {
    fn obey(&mut self, message: &Message) {
        let (driver, name) = (message.from, &message.name);
        if self.driver.is_some_and(|current| current != driver) {
            let why = "it serves another one who measures".to_owned();
            return self.tell(driver, Word::Failed { why });
        }
        let order = match serde_json::from_slice(&message.payload) {
            Ok(order) => order,
            Err(error) => {
                let why = format!("it speaks another version: {error}");
                return self.tell(driver, Word::Failed { why });
            }
        };
        self.driver = Some(driver);
        match order {
            Order::Who => {
                tracing::info!("serving {name}");
                self.tell(driver, Word::Who { clock: clock_name() });
            }
            Order::Subscribe(take) => {
                let word = match Taker::start(&self.bus, take) {
                    Ok(taker) => {
                        self.taker = Some(taker);
                        Word::Ready
                    }
                    Err(why) => Word::Failed { why },
                };
                self.tell(driver, word);
            }
            Order::Report { published } => {
                let Some(taker) = self.taker.take() else {
                    return self.tell(driver, Word::Failed { why: "nothing was subscribed to".to_owned() });
                };
                let tell = self.tell.clone();
                tokio::spawn(async move {
                    let word = match taker.report(published).await {
                        Ok(got) => Word::Got(Box::new(got)),
                        Err(why) => Word::Failed { why },
                    };
                    let _ = tell.send((driver, word));
                });
            }
            // What only processes of the one who measures do.
            _ => self.tell(driver, Word::Failed { why: "a server only subscribes".to_owned() }),
        }
    }

    fn tell(&self, driver: NodeId, word: Word) {
        let _ = self.tell.send((driver, word));
    }
}

/// Sends a word in pieces: 1 before each that is followed by another, 0 before the last.
async fn say(bus: &Bus, driver: NodeId, word: &Word) {
    let topic = words_to(driver);
    let Ok(bytes) = serde_json::to_vec(word) else { return };
    let mut pieces = bytes.chunks(PIECE).peekable();
    while let Some(piece) = pieces.next() {
        let mut payload = vec![u8::from(pieces.peek().is_some())];
        payload.extend_from_slice(piece);
        // Who is gone does not hear it, and is told as a peer that is down.
        if bus.publish(topic.as_str(), payload).await.is_err() {
            return;
        }
    }
}
