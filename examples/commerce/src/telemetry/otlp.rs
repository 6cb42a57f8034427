//! Spans of requests and messages, sent to a collector as OTLP over HTTP. They hold names, ids and
//! statuses; log lines, bodies and headers stay here.

use std::{cell::RefCell, fmt, sync::mpsc, time::Duration};

use opentelemetry::{
    Context, ContextGuard,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::TracerProvider as _,
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider},
};
use tracing::{
    Metadata, Span, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets, filter_fn},
    layer,
    registry::LookupSpan,
};

use crate::error::Failure;

/// Time for one request to the collector.
const DEADLINE: Duration = Duration::from_secs(5);
/// Time to send what is left when the process ends.
const FLUSH: Duration = Duration::from_secs(2);
/// Spans that wait at most. While the collector is away, newer ones are dropped.
const QUEUE: usize = 8_192;
const TRACEPARENT: &str = "traceparent";

/// Sends spans until it is ended.
#[derive(Debug)]
pub(super) struct Export(SdkTracerProvider);

impl Export {
    /// Sends the spans of this process, named `service`, to the collector at `url`.
    pub(super) fn to(url: &str, service: String) -> Result<Self, Failure> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
            .with_timeout(DEADLINE)
            .build()
            .map_err(|error| Failure::new("spans cannot be exported", &error))?;
        let queue = BatchConfigBuilder::default().with_max_queue_size(QUEUE);
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(queue.build());
        let provider = SdkTracerProvider::builder()
            .with_span_processor(batches.build())
            .with_resource(Resource::builder_empty().with_service_name(service).build())
            .build();
        commerce_chassis::trace_spans(traceparent);
        Ok(Self(provider))
    }

    /// Makes them of the spans of the application and the pattern crates.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("commerce"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        let ours = Targets::new()
            .with_target("commerce", LevelFilter::INFO)
            .with_target("mainstay", LevelFilter::INFO);
        let is_ours =
            move |it: &Metadata<'_>| it.is_span() && ours.would_enable(it.target(), it.level());
        let filter = filter_fn(is_ours).with_max_level_hint(LevelFilter::INFO);
        // What is attached lasts for the creation of one span.
        Attach.and_then(spans).and_then(Detach).with_filter(filter)
    }

    /// Sends what is left, for two seconds at most.
    pub(super) fn end(self) {
        let (done, ended) = mpsc::channel();
        // A collector that hangs must not keep the process: its thread ends with it.
        std::thread::spawn(move || {
            let shut = self.0.shutdown_with_timeout(FLUSH);
            // Nobody waits any more if it took too long.
            drop(done.send(shut));
        });
        match ended.recv_timeout(FLUSH) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not sent"),
            Err(_) => tracing::warn!("the collector did not take the last spans in time"),
        }
    }
}

/// The trace context of a span, for whom it calls; none = it is not exported.
fn traceparent(span: &Span) -> Option<String> {
    let mut header = Header(None);
    TraceContextPropagator::new().inject_context(&span.context(), &mut header);
    header.0
}

thread_local! {
    static PARENT: RefCell<Option<ContextGuard>> = const { RefCell::new(None) };
}

/// Makes the context in a new span's field `traceparent` its parent, until [`Detach`].
struct Attach;

/// Ends what [`Attach`] began.
struct Detach;

impl<S: Subscriber> Layer<S> for Attach {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: layer::Context<'_, S>) {
        let mut header = Header(None);
        attributes.record(&mut header);
        if header.0.is_some() {
            let context =
                TraceContextPropagator::new().extract_with_context(&Context::new(), &header);
            PARENT.set(Some(context.attach()));
        }
    }
}

impl<S: Subscriber> Layer<S> for Detach {
    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: layer::Context<'_, S>) {
        drop(PARENT.take());
    }
}

/// The header `traceparent`, on its way in or out.
struct Header(Option<String>);

impl Visit for Header {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == TRACEPARENT {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl Extractor for Header {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.as_deref().filter(|_| key == TRACEPARENT)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

impl Injector for Header {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.0 = Some(value);
        }
    }
}
