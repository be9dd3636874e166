//! What the shell logs, and the traces that it sends where `OTEL_EXPORTER_OTLP_ENDPOINT` says.
//!
//! ```text
//!  events ─┬─► a line each, text or JSON ─► standard error, above the progress lines
//!  spans ──┴─► OTLP, if there is an endpoint ─► collector
//! ```
//!
//! Lines carry the span of their query, whose `id` is that of `Engine::queries`.

mod tasks;
mod traces;

use std::env;
use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing::{Span, Subscriber};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

use self::traces::Traces;
use crate::shell::progress::Progress;

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Time, level, query, place in the program, message.
    Text,
    /// An object a line, with the fields `timestamp`, `level`, `target`, `message`, `span` and `spans`.
    Json,
}

/// Logs and traces of the process, until [`Self::end`].
#[derive(Debug)]
pub struct Logs {
    traces: Option<Traces>,
    span: Span,
}

impl Logs {
    /// Begins to log what `SEEQUEL_LOG` selects (`info`, `seequel=debug`, …), else what `filter` does; text is in colours on a
    /// terminal, unless `NO_COLOR` is set. Lines are written above those of `progress`.
    ///
    /// # Errors
    /// Variables of OpenTelemetry that can't be followed.
    pub(crate) fn begin(format: LogFormat, filter: &str, progress: &Progress) -> Result<Self, String> {
        let traces = Traces::from_environment()?;
        Registry::default()
            .with(traces.as_ref().map(Traces::layer))
            .with(lines(format, filter, progress))
            .init();
        tasks::keep_spans();
        let span = if traces.is_some() { traces::root() } else { Span::none() };
        Ok(Self { traces, span })
    }

    /// The span that all work is within: part of the trace that `TRACEPARENT` names, if there is one.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// Sends the remaining spans; gives up after three seconds.
    pub fn end(self) {
        drop(self.span);
        if let Some(traces) = self.traces {
            traces.end();
        }
    }
}

fn lines<S>(format: LogFormat, filter: &str, progress: &Progress) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let wanted = env::var("SEEQUEL_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).parse_lossy(wanted);
    let progress = progress.clone();
    let lines = fmt::layer().with_writer(move || progress.stderr());
    match format {
        LogFormat::Text => {
            let is_plain = env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
            lines.with_ansi(io::stderr().is_terminal() && !is_plain).with_filter(filter).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    }
}
