//! ZeroMQ: PUB/SUB of libzmq, in clear and with CURVE.
//!
//! `zmq` and `zmq-curve` are its default setting, where a message for a subscriber with 1,000 waiting ones is dropped.
//! `zmq-nodrop` and `zmq-curve-nodrop` wait instead (`ZMQ_XPUB_NODROP`), which is what throughput is measured with.
//! A message begins with its topic, which subscriptions are matched with.

use std::fs;

use arzmq::context::Context;
use arzmq::message::Message;
use arzmq::security::SecurityMechanism;
use arzmq::security::curve::curve_keypair;
use arzmq::socket::{PublishSocket, Receiver, RecvFlags, SendFlags, Sender, SubscribeSocket};

use crate::failure::Failure;
use crate::sink::Sink;
use crate::system::{Publisher, Setup, Subscriber, TOPIC};

/// The file with the publisher's public key.
const KEY_FILE: &str = "curve.key";

/// A publisher.
pub struct Zmq {
    socket: PublishSocket,
    endpoint: String,
    // Must outlive the socket.
    _context: Context,
}

impl Publisher for Zmq {
    async fn open(setup: &Setup) -> Result<Self, Failure> {
        let context = Context::new()?;
        let socket = PublishSocket::from_context(&context)?;
        if setup.system.contains("curve") {
            let (public, secret_key) = curve_keypair()?;
            fs::write(setup.folder.join(KEY_FILE), public)?;
            socket.set_security_mechanism(&SecurityMechanism::CurveServer { secret_key })?;
        }
        if setup.system.ends_with("nodrop") {
            socket.set_nodrop(true)?;
        }
        socket.bind("tcp://127.0.0.1:*")?;
        let endpoint = socket.last_endpoint()?;
        Ok(Self { socket, endpoint, _context: context })
    }

    fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    async fn publish(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let mut message = Vec::with_capacity(TOPIC.len() + payload.len());
        message.extend_from_slice(TOPIC.as_bytes());
        message.extend_from_slice(payload);
        Ok(self.socket.send_msg(Message::from(message), SendFlags::empty())?)
    }
}

impl Subscriber for Zmq {
    async fn run(setup: Setup, mut sink: Sink) -> Result<(), Failure> {
        tokio::task::spawn_blocking(move || {
            let context = Context::new()?;
            let socket = SubscribeSocket::from_context(&context)?;
            if setup.system.contains("curve") {
                let server_key = fs::read(setup.folder.join(KEY_FILE))?;
                let (public_key, secret_key) = curve_keypair()?;
                let keys = SecurityMechanism::CurveClient { server_key, public_key, secret_key };
                socket.set_security_mechanism(&keys)?;
            }
            socket.connect(setup.endpoint.as_str())?;
            socket.subscribe(TOPIC)?;
            loop {
                let message = socket.recv_msg(RecvFlags::empty())?;
                sink.take(message.as_bytes().get(TOPIC.len()..).unwrap_or_default());
            }
        })
        .await?
    }
}
