//! A publish and its deliveries in one trace, over real links between nodes of one process, on loopback alone.
//!
//! All of a test runs in one thread, so that its collector of spans is its own.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use std::sync::mpsc::channel;
use std::time::Duration;

use opentelemetry::trace::{SpanId, SpanKind, TracerProvider as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use talkie_pubsub::{Bus, Delivery, DeliveryRef, Headers, PublishOptions, RequestOptions, Subscription};
use tracing::Instrument as _;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

mod common;

use common::{Mesh, message, soon};

/// What a program sets up to have its spans collected; here they are kept.
struct Collector {
    provider: SdkTracerProvider,
    spans: InMemorySpanExporter,
    _installed: DefaultGuard,
}

impl Collector {
    fn install(level: LevelFilter) -> Self {
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        let spans = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let installed = tracing_subscriber::registry().with(level).with(layer).set_default();
        Self { provider, spans, _installed: installed }
    }

    /// The spans of this name that have ended so far.
    fn named(&self, name: &str) -> Vec<SpanData> {
        self.provider.force_flush().unwrap();
        let mut spans = self.spans.get_finished_spans().unwrap();
        spans.retain(|span| span.name == name);
        spans
    }

    fn one(&self, name: &str) -> SpanData {
        let mut spans = self.named(name);
        assert_eq!(spans.len(), 1, "{name}: {spans:?}");
        spans.remove(0)
    }
}

/// Asserts that this is one of the parts of that.
fn assert_child(child: &SpanData, parent: &SpanData) {
    assert_eq!(child.span_context.trace_id(), parent.span_context.trace_id());
    assert_eq!(child.parent_span_id, parent.span_context.span_id());
}

#[tokio::test(flavor = "current_thread")]
async fn a_publish_and_its_deliveries_are_one_trace() {
    let collector = Collector::install(LevelFilter::INFO);
    let mesh = Mesh::new();
    let (shop, office) = (mesh.join("shop").await, mesh.join("office").await);
    let mut here = shop.subscribe("orders/*").unwrap();
    let mut there = office.subscribe("orders/*").unwrap();
    let (send, handled) = channel();
    let _handler = office
        .handle("orders/42", move |delivery| {
            let DeliveryRef::Message(_) = delivery else { panic!("{delivery:?}") };
            // Within the delivery's own span.
            tracing::info_span!("noted").in_scope(|| send.send(()).unwrap());
        })
        .unwrap();
    soon(shop.subscribed_on("orders/42", 1)).await.unwrap();
    let options = PublishOptions::new().header("language", "en");
    let publish = shop.publish_with("orders/42", "tea", options);
    publish.instrument(tracing::info_span!("order")).await.unwrap();
    message(&mut here).await;
    let order = message(&mut there).await;
    handled.recv().unwrap();
    let brew = tracing::info_span!("brew");
    assert!(order.headers.continue_trace(&brew));
    brew.in_scope(|| {});
    drop(brew);

    let root = collector.one("order");
    assert_eq!(root.parent_span_id, SpanId::INVALID);
    let publish = collector.one("talkie.publish");
    assert_child(&publish, &root);
    assert_eq!(publish.span_kind, SpanKind::Producer);
    let deliveries = collector.named("talkie.deliver");
    assert_eq!(deliveries.len(), 3, "two subscriptions and a handler");
    for delivery in &deliveries {
        assert_child(delivery, &publish);
        assert_eq!(delivery.span_kind, SpanKind::Consumer);
        let said = |key, value: &str| {
            delivery.attributes.iter().any(|had| had.key.as_str() == key && had.value.as_str() == value)
        };
        assert!(said("topic", "orders/42") && said("from", "shop"), "{:?}", delivery.attributes);
    }
    let noted = collector.one("noted");
    assert!(deliveries.iter().any(|delivery| delivery.span_context.span_id() == noted.parent_span_id));
    assert_child(&collector.one("brew"), &publish);
    let keys: Vec<_> = order.headers.iter().map(|(key, _)| key.to_owned()).collect();
    assert_eq!(keys, ["language", "traceparent"]);
}

/// The headers of a message that was published just now.
fn message_now(bus: &Bus, all: &mut Subscription) -> Headers {
    bus.try_publish("a", "now").unwrap();
    let Some(Delivery::Message(message)) = all.now() else { panic!("no message") };
    message.headers
}

#[tokio::test(flavor = "current_thread")]
async fn what_has_no_context_has_no_delivery_and_what_is_passed_on_stays_in_its_trace() {
    let mesh = Mesh::new();
    // Nobody collects yet.
    let bus = mesh.join("alone").await;
    let mut all = bus.subscribe("**").unwrap();
    let own: Headers = [("own", "1")].try_into().unwrap();
    bus.publish("a", "without").await.unwrap();
    bus.publish_with("a", "with", own.clone()).await.unwrap();
    let collector = Collector::install(LevelFilter::INFO);
    assert_eq!(message(&mut all).await.headers, Headers::new());
    let with = message(&mut all).await.headers;
    assert_eq!(with, own);
    assert!(!with.continue_trace(&tracing::info_span!("nothing to continue")));
    assert_eq!(collector.named("talkie.deliver"), []);

    bus.publisher("a").unwrap().try_publish("first").unwrap();
    let mut passed = message(&mut all).await.headers;
    passed.insert("tracestate", "vendor=1").unwrap();
    bus.try_publish_with("b", "passed on", passed).unwrap();
    assert_eq!(message(&mut all).await.headers.text("tracestate"), Some("vendor=1"));
    let publishes = collector.named("talkie.publish");
    assert_eq!(publishes[0].parent_span_id, SpanId::INVALID);
    assert_child(&publishes[1], &publishes[0]);
    let deliveries = collector.named("talkie.deliver");
    assert_child(&deliveries[0], &publishes[0]);
    assert_child(&deliveries[1], &publishes[1]);

    // Inside of a span it goes on from there, and nothing of where it came from stays.
    let mut passed = message_now(&bus, &mut all);
    passed.insert("tracestate", "vendor=1").unwrap();
    tracing::info_span!("elsewhere").in_scope(|| bus.try_publish_with("b", "", passed).unwrap());
    let next = message(&mut all).await.headers;
    assert_eq!(next.text("tracestate"), None);
    assert_child(&collector.named("talkie.publish").pop().unwrap(), &collector.one("elsewhere"));

    // The span of whoever reads is not that of who published.
    let before = collector.named("talkie.deliver").len();
    tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), || {
        bus.try_publish_with("a", "", own.clone()).unwrap();
    });
    tracing::info_span!("reading").in_scope(|| {
        let Some(Delivery::Message(read)) = all.now() else { panic!("no message") };
        assert_eq!(read.headers, own);
        assert!(!read.headers.continue_trace(&tracing::info_span!("nothing to continue")));
    });
    assert_eq!(collector.named("talkie.deliver").len(), before);

    // A faulty context is none.
    let faulty: Headers = [("traceparent", "00-nonsense")].try_into().unwrap();
    bus.publish_with("a", "", faulty).await.unwrap();
    let next = message(&mut all).await;
    let publish = collector.named("talkie.publish").pop().unwrap();
    assert_eq!(publish.parent_span_id, SpanId::INVALID);
    let id = publish.span_context.trace_id().to_string();
    assert!(next.headers.text("traceparent").unwrap().contains(&id));
}

#[tokio::test(flavor = "current_thread")]
async fn without_spans_of_ours_deliveries_belong_to_the_span_that_published() {
    let collector = Collector::install(LevelFilter::WARN);
    let mesh = Mesh::new();
    let (shop, office) = (mesh.join("shop").await, mesh.join("office").await);
    let mut there = office.subscribe("orders/*").unwrap();
    soon(shop.subscribed_on("orders/42", 1)).await.unwrap();
    let publish = shop.publish("orders/42", "tea");
    publish.instrument(tracing::warn_span!("order")).await.unwrap();
    let Some(Delivery::Message(order)) = soon(there.next()).await else { panic!("no message") };
    let brew = tracing::warn_span!("brew");
    assert!(order.headers.continue_trace(&brew));
    drop(brew);
    assert_child(&collector.one("brew"), &collector.one("order"));
    assert_eq!(collector.named("talkie.publish").len() + collector.named("talkie.deliver").len(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_request_is_in_the_trace_of_its_asker() {
    let collector = Collector::install(LevelFilter::DEBUG);
    let mesh = Mesh::new();
    let (desk, device) = (mesh.join("desk").await, mesh.join("device").await);
    let mut requests = device.respond("devices/7").unwrap();
    soon(desk.answered_on("devices/7", 1)).await.unwrap();
    let options = RequestOptions::within(Duration::from_secs(15)).header("user", "ann");
    let (reply, ()) = tokio::join!(desk.request_with("devices/7", "", options), async {
        let request = soon(requests.next()).await.unwrap();
        assert_eq!(request.headers.text("user"), Some("ann"));
        request.reply("").unwrap();
    });
    assert_eq!(reply.unwrap().headers, Headers::new());
    assert_child(&collector.one("talkie.deliver"), &collector.one("talkie.request"));
}
