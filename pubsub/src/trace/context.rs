//! Spans and the headers that join them, by way of `tracing-opentelemetry` and the propagator that the program has set.

use std::borrow::Cow;

use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, global};
use talkie_discovery::NodeName;
use tracing::instrument::Instrumented;
use tracing::span::EnteredSpan;
use tracing::{Instrument as _, Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::proto::headers::Headers;
use crate::topic::{BusName, Topic};

/// What is sent, and the span that it is sent in.
pub(crate) struct Traced<'a> {
    span: Span,
    headers: Cow<'a, Headers>,
}

/// A delivery under way: the span that a handler is called in.
pub(crate) struct Within(#[allow(dead_code, reason = "left on drop")] Option<EnteredSpan>);

impl<'a> Traced<'a> {
    /// A span for a publish, and its context beside the payload.
    pub(crate) fn publish(bus: &BusName, topic: &Topic, headers: &'a Headers) -> Self {
        let (bus, topic) = (bus.as_str(), topic.as_str());
        let span = tracing::info_span!("talkie.publish", otel.kind = "producer", bus, topic);
        // What is passed on outside of any span goes on where it came from.
        if !headers.is_empty()
            && !span.is_disabled()
            && Span::current().is_none()
            && let Some(context) = extract(headers)
        {
            // Where nobody collects traces, there is nothing to be set.
            let _ = span.set_parent(context);
        }
        let headers =
            if span.is_disabled() { inject(&Span::current(), headers) } else { inject(&span, headers) };
        Self { span, headers }
    }

    /// The context of the span that this is called in.
    pub(crate) fn here(headers: &'a Headers) -> Self {
        Self { span: Span::none(), headers: inject(&Span::current(), headers) }
    }

    pub(crate) fn headers(&self) -> &Headers {
        &self.headers
    }

    pub(crate) fn within<F: Future>(&self, future: F) -> Instrumented<F> {
        future.instrument(self.span.clone())
    }

    pub(crate) fn run<R>(&self, what: impl FnOnce() -> R) -> R {
        self.span.in_scope(what)
    }
}

/// A span for a delivery whose headers have a context, from here until it is dropped.
pub(crate) fn delivery(headers: &Headers, topic: &Topic, from: &NodeName) -> Within {
    if headers.is_empty() || !tracing::span_enabled!(Level::INFO) {
        return Within(None);
    }
    Within(extract(headers).map(|context| {
        let (topic, from) = (topic.as_str(), from.as_str());
        let span = tracing::info_span!(parent: None, "talkie.deliver", otel.kind = "consumer", topic, from);
        let _ = span.set_parent(context);
        span.entered()
    }))
}

impl Headers {
    /// Makes a span of yours a child of the one that the message, request or reply was sent in: what is done with it is then part
    /// of the same trace. To be called before the span is entered. Whether there was a trace context, and somebody who collects
    /// traces.
    ///
    /// Only with the feature `trace-context`.
    ///
    /// ```no_run
    /// # async fn brew(_: talkie_pubsub::Bytes) {}
    /// # async fn example(mut orders: talkie_pubsub::Subscription) {
    /// use tracing::Instrument as _;
    /// while let Some(talkie_pubsub::Delivery::Message(order)) = orders.next().await {
    ///     let span = tracing::info_span!("brew");
    ///     order.headers.continue_trace(&span);
    ///     brew(order.payload).instrument(span).await;
    /// }
    /// # }
    /// ```
    pub fn continue_trace(&self, span: &Span) -> bool {
        extract(self).is_some_and(|context| span.set_parent(context).is_ok())
    }
}

/// The headers with the context of a span.
fn inject<'a>(span: &Span, headers: &'a Headers) -> Cow<'a, Headers> {
    if span.is_disabled() {
        return Cow::Borrowed(headers);
    }
    let context = span.context();
    if !context.span().span_context().is_valid() {
        // Nobody collects traces.
        return Cow::Borrowed(headers);
    }
    let mut carrier = Carrier(headers.clone());
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut carrier));
    Cow::Owned(carrier.0)
}

/// The context that came in headers.
fn extract(headers: &Headers) -> Option<Context> {
    if headers.is_empty() {
        return None;
    }
    let from = Carrier(headers.clone());
    // Not that of the task that reads, which has nothing to do with it.
    let none = Context::new();
    let context = global::get_text_map_propagator(|propagator| propagator.extract_with_context(&none, &from));
    context.span().span_context().is_valid().then_some(context)
}

struct Carrier(Headers);

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        // In the place of what came from elsewhere. What finds no room is left out: the message goes before its trace.
        self.0.remove(key);
        if !value.is_empty() {
            let _ = self.0.insert(key, value);
        }
    }
}

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.text(key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(key, _)| key).collect()
    }
}
