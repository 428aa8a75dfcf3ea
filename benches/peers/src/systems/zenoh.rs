//! zenoh: peers that are told where the publisher listens, so that no scouting is needed.
//!
//! `zenoh`: its default setting. `zenoh-ll`: the low-latency transport (which excludes QoS), messages marked express.
//! `zenoh-block`: default, but a publisher waits instead of dropping. `zenoh-tls`: that over TLS, with a certificate
//! made for the run. Subscribers take messages by callback, which spares zenoh a change of threads.

mod words;

use std::sync::Mutex;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use zenoh::bytes::ZBytes;
use zenoh::config::Config;
use zenoh::pubsub::Publisher as Topic;
use zenoh::qos::CongestionControl;
use zenoh::{Session, open};

pub use words::role;

use crate::failure::Failure;
use crate::sink::Sink;
use crate::system::{LARGE, LARGE_TOPIC, Publisher, Setup, Subscriber, TOPIC};

/// A publisher.
pub struct Zenoh {
    session: Session,
    topic: Topic<'static>,
    endpoint: String,
}

/// Sets one value of the configuration.
pub fn set(config: &mut Config, key: &str, json5: &str) -> Result<(), Failure> {
    config.insert_json5(key, json5).map_err(|why| Failure::new(format!("{key}: {why}")))
}

/// Its errors are boxed.
pub fn told(why: impl std::fmt::Display) -> Failure {
    Failure::new(why.to_string())
}

fn config(setup: &Setup) -> Result<Config, Failure> {
    let mut config = Config::default();
    set(&mut config, "mode", "\"peer\"")?;
    set(&mut config, "scouting/multicast/enabled", "false")?;
    if setup.system == "zenoh-ll" {
        set(&mut config, "transport/unicast/lowlatency", "true")?;
        set(&mut config, "transport/unicast/qos/enabled", "false")?;
    }
    if setup.system == "zenoh-tls" {
        let path = |name: &str| format!("{:?}", setup.folder.join(name));
        set(&mut config, "transport/link/tls/root_ca_certificate", &path("certificate.pem"))?;
        set(&mut config, "transport/link/tls/listen_certificate", &path("certificate.pem"))?;
        set(&mut config, "transport/link/tls/listen_private_key", &path("key.pem"))?;
    }
    Ok(config)
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, Failure> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Publisher for Zenoh {
    async fn open(setup: &Setup) -> Result<Self, Failure> {
        let tls = setup.system == "zenoh-tls";
        if tls {
            let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
            std::fs::write(setup.folder.join("certificate.pem"), cert.pem())?;
            std::fs::write(setup.folder.join("key.pem"), signing_key.serialize_pem())?;
        }
        let port = free_port()?;
        let endpoint = if tls { format!("tls/localhost:{port}") } else { format!("tcp/127.0.0.1:{port}") };
        let mut config = config(setup)?;
        set(&mut config, "listen/endpoints", &format!("[{endpoint:?}]"))?;
        let session = open(config).await.map_err(told)?;
        let blocks = matches!(setup.system.as_str(), "zenoh-block" | "zenoh-tls");
        let topic = session
            .declare_publisher(TOPIC)
            .congestion_control(if blocks { CongestionControl::Block } else { CongestionControl::default() })
            .express(setup.system == "zenoh-ll")
            .await
            .map_err(told)?;
        Ok(Self { session, topic, endpoint })
    }

    fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    async fn publish(&mut self, payload: &[u8]) -> Result<(), Failure> {
        self.topic.put(payload).await.map_err(told)
    }

    fn large(&self) -> Result<(), Failure> {
        let session = self.session.clone();
        tokio::spawn(async move {
            let payload = ZBytes::from(vec![7; LARGE]);
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
            loop {
                seconds.tick().await;
                // Its default drops a large message; to wait is what its documentation says for them.
                let put = session.put(LARGE_TOPIC, payload.clone());
                if let Err(why) = put.congestion_control(CongestionControl::Block).await {
                    eprintln!("a large message was not published: {why}");
                    return;
                }
            }
        });
        Ok(())
    }
}

impl Subscriber for Zenoh {
    async fn run(setup: Setup, sink: Sink) -> Result<(), Failure> {
        let mut config = config(&setup)?;
        set(&mut config, "connect/endpoints", &format!("[{:?}]", setup.endpoint))?;
        set(&mut config, "listen/endpoints", "[\"tcp/127.0.0.1:0\"]")?;
        let session = open(config).await.map_err(told)?;
        let large = sink.large();
        let sink = Mutex::new(sink);
        let _small = session
            .declare_subscriber(TOPIC)
            .callback(move |sample| {
                if let Ok(mut sink) = sink.lock() {
                    sink.take(&sample.payload().to_bytes());
                }
            })
            .await
            .map_err(told)?;
        let _large = if setup.large {
            let take = move |sample: zenoh::sample::Sample| large.take(sample.payload().len());
            Some(session.declare_subscriber(LARGE_TOPIC).callback(take).await.map_err(told)?)
        } else {
            None
        };
        std::future::pending().await
    }
}
