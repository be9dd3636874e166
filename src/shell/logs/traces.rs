//! Spans for a collector of OpenTelemetry's, sent by OTLP over HTTP.
//!
//! The variables are those of its specification: `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`), `…_HEADERS`,
//! `…_TIMEOUT`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_…`; and `TRACEPARENT`
//! with `TRACESTATE`, W3C's trace context, for the trace that the process is part of.

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// What the spans are of, unless `OTEL_SERVICE_NAME` says otherwise.
const NAME: &str = "seequel";

/// The variables with the endpoint; the first goes before the second.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The variables with the protocol.
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];

/// How long the end of the process may wait for a collector.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// The traces of the process.
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// `None` if there is no endpoint, or `OTEL_SDK_DISABLED` is true.
    ///
    /// # Errors
    /// Another protocol than HTTP with Protocol Buffers, or an endpoint that is no URL.
    pub(super) fn from_environment() -> Result<Option<Self>, String> {
        let is_disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let Some((variable, endpoint)) = first_set(ENDPOINTS).filter(|_| !is_disabled) else {
            return Ok(None);
        };
        if let Some((variable, protocol)) = first_set(PROTOCOLS)
            && protocol != "http/protobuf"
        {
            return Err(format!("{variable} is '{protocol}'; traces are sent by http/protobuf only"));
        }
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build();
        let exporter = exporter.map_err(|error| format!("{variable} is '{endpoint}': {error}"))?;
        let mut resource = Resource::builder();
        if set("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(NAME);
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Reporting { exporter, endpoint, is_reported: AtomicBool::new(false) })
            .with_resource(resource.build())
            .build();
        Ok(Some(Self(provider)))
    }

    /// Takes the spans of Seequel, and its events within them.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(NAME))
            .with_filter(Targets::new().with_target(NAME, LevelFilter::DEBUG))
    }

    /// Sends the remaining spans.
    pub(super) fn end(self) {
        // What can't be sent was logged.
        self.0.shutdown_with_timeout(LAST_SPANS).ok();
    }
}

/// The span of the process, in the trace of `TRACEPARENT`. It has that parent only if the layer is there.
pub(super) fn root() -> Span {
    let span = tracing::info_span!("shell");
    let carried = ["traceparent", "tracestate"].into_iter();
    let carried = carried.filter_map(|name| Some((name.to_owned(), set(&name.to_ascii_uppercase())?)));
    let context = TraceContextPropagator::new().extract(&carried.collect::<HashMap<_, _>>());
    // It fails without the layer only.
    span.set_parent(context).ok();
    span
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traces")
    }
}

/// An exporter that logs the first failure; OpenTelemetry itself drops the spans and goes on.
#[derive(Debug)]
struct Reporting {
    exporter: SpanExporter,
    endpoint: String,
    is_reported: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        if let Err(error) = &result
            && !self.is_reported.swap(true, Relaxed)
        {
            tracing::warn!("traces can't be sent to {}: {error}", self.endpoint);
        }
        result
    }

    fn shutdown_with_timeout(&mut self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&mut self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The value of a variable, if it is not empty.
fn set(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

fn first_set(variables: [&'static str; 2]) -> Option<(&'static str, String)> {
    variables.into_iter().find_map(|variable| Some((variable, set(variable)?)))
}
