//! The report of a query: where its time went, moment by moment and in all.

use std::time::Duration;

use itertools::Itertools;
use serde_json::{Value, json};

use super::chart::{Axis, Chart, Ink, Mark, SERIES, legend};
use super::html::escaped;
use super::page::{Page, facts, figure};
use super::run::Ran;
use super::samples::{Sample, rows};
use super::table::table_of_texts;
use super::thumbnail::img;
use crate::Result;
use crate::accounts::{Accounts, ModelAccount, StageAccount};
use crate::model::runtime::RunHistogram;

/// Bars of a histogram.
const BARS: usize = 20;

/// A stage with less of the time has no colour of its own.
const LEAST_SHARE: f64 = 0.01;

/// Points of a chart over time.
const POINTS: usize = 60;

/// All numbers of the report.
pub(super) fn value(ran: &Ran) -> Value {
    let histogram = |runs: &RunHistogram| {
        let recorded = runs.recorded().into_iter();
        recorded.map(|(time, count)| json!([time.as_secs_f64(), count])).collect::<Vec<_>>()
    };
    let runs = ran.runs.iter().map(|(model, runs)| json!({"model": model, "runs": histogram(runs)}));
    let errors = ran.rows.errors.iter().map(
        |(kind, error)| json!({"kind": kind, "count": error.count, "name": error.name, "error": error.error}),
    );
    let slowest = ran.rows.slowest.iter();
    let slowest = slowest.map(|image| json!({"name": image.name, "seconds": image.time.as_secs_f64()}));
    json!({
        "sql": ran.sql,
        "rows": ran.result_rows,
        "accounts": ran.accounts,
        "stages": ran.accounts.stages.named().map(|(name, _)| name),
        "samples": ran.samples,
        "run_times": runs.collect::<Vec<_>>(),
        "plan": ran.operators,
        "errors": errors.collect::<Vec<_>>(),
        "slowest_images": slowest.collect::<Vec<_>>(),
    })
}

/// The page.
///
/// # Errors
/// A chart that can't be drawn.
pub(super) fn page(ran: &Ran) -> Result<Page> {
    let mut page = Page::new("EXPLAIN ANALYZE", &header(ran));
    let over_time = [throughput(ran)?, shares(ran)?].concat();
    page.section("Over time", &format!("<div class=\"charts\">{over_time}</div>\n"));
    page.section("Stages", &(stage_chart(&ran.accounts)? + &stages(&ran.accounts)));
    if !ran.runs.is_empty() {
        let charts = ran.runs.iter().map(|(model, runs)| latencies(model, runs, &ran.accounts));
        let charts = charts.collect::<Result<String>>()?;
        let all = format!("<div class=\"charts\">{charts}</div>\n{}", models(&ran.accounts.models));
        page.section("Models", &all);
    }
    page.section("Plan", &plan(ran));
    page.section("Errors", &errors(ran));
    if !ran.rows.slowest.is_empty() {
        page.section("Slowest images", &slowest(ran));
    }
    Ok(page)
}

fn header(ran: &Ran) -> String {
    let query = &ran.accounts.query;
    let done = rows(&ran.accounts);
    let rate = done as f64 / query.seconds.max(1e-9);
    let what = if ran.accounts.models.is_empty() { "rows read" } else { "rows inferred" };
    let all = [
        ("rows of the result", grouped(ran.result_rows)),
        (what, grouped(done)),
        ("a second", format!("{rate:.1}")),
        ("time", format!("{:.3} s", query.seconds)),
        ("use of the cores", format!("{:.0} % of {}", query.cpu_share * 100.0, query.cores)),
        ("most memory", bytes(query.peak_memory_bytes)),
        ("predictions that are errors", grouped(query.failed_rows)),
        ("Seequel", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    format!("<pre tabindex=\"0\"><code>{}</code></pre>\n{}", escaped(&ran.sql), facts(&all))
}

/// Samples at most [`POINTS`], about as far from each other; the last is among them.
fn thinned(samples: &[Sample]) -> Vec<&Sample> {
    let step = samples.len().div_ceil(POINTS).max(1);
    let mut kept = samples.iter().step_by(step).collect_vec();
    if let Some(last) = samples.last() {
        // The end of a query is no sample's time: what is left over belongs to the moment before.
        if kept.len() > 2 {
            kept.pop();
        }
        kept.push(last);
    }
    kept
}

/// Rows a second between samples.
fn throughput(ran: &Ran) -> Result<String> {
    let samples = thinned(&ran.samples);
    let between = samples.iter().tuple_windows().filter(|(one, next)| next.seconds > one.seconds);
    let rate = |(one, next): (&&Sample, &&Sample)| {
        let rate = (next.rows - one.rows) as f64 / (next.seconds - one.seconds);
        (f64::midpoint(one.seconds, next.seconds), rate)
    };
    let points: Vec<_> = between.map(rate).collect();
    let most = points.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let what = if ran.accounts.models.is_empty() { "Rows read a second" } else { "Rows inferred a second" };
    let chart = Chart {
        label: "Rows a second over time".to_owned(),
        height: 280,
        left: 66,
        x: Axis::up_to("seconds", ran.accounts.query.seconds),
        y: Axis::up_to("rows a second", most),
        marks: vec![Mark::Line(points.clone(), Ink::Series(0))],
    };
    Ok(figure(what, &chart.svg()?, &json!(points)))
}

/// The stages with a share of the time that can be seen, with a colour for each; the others are one.
fn shown_stages(accounts: &Accounts) -> Vec<(usize, &'static str, f64)> {
    let stages = accounts.stages.named();
    let all: f64 = stages.iter().map(|(_, stage)| stage.busy_seconds).sum();
    let stages = stages.into_iter().enumerate();
    let shares = stages.map(|(number, (name, stage))| (number, name, stage.busy_seconds / all.max(1e-9)));
    shares.filter(|(.., share)| *share >= LEAST_SHARE).collect()
}

/// Shares of the stages in the time at work, between samples.
fn shares(ran: &Ran) -> Result<String> {
    let samples = thinned(&ran.samples);
    let shown = shown_stages(&ran.accounts);
    let windows = samples.iter().tuple_windows().filter(|(one, next)| next.seconds > one.seconds);
    let windows: Vec<_> = windows.collect();
    let mut below = vec![0.0; windows.len()];
    let (mut marks, mut entries, mut numbers) = (vec![], vec![], vec![]);
    for (place, (stage, name, _)) in shown.iter().enumerate() {
        let ink = if place < SERIES { Ink::Series(place) } else { Ink::Quiet };
        let mut shares = vec![];
        for (base, (one, next)) in below.iter_mut().zip(&windows) {
            let busy = |sample: &Sample, stage: usize| sample.busy_seconds.get(stage).copied().unwrap_or(0.0);
            let of = |stage: usize| (busy(next, stage) - busy(one, stage)).max(0.0);
            let all: f64 = (0..next.busy_seconds.len()).map(of).sum();
            let share = if all > 0.0 { of(*stage) / all } else { 0.0 };
            if share > 0.0 {
                let corners = [(one.seconds, *base * 100.0), (next.seconds, (*base + share) * 100.0)];
                marks.push(Mark::Bar(corners, ink));
            }
            *base += share;
            shares.push(share);
        }
        numbers.push(json!({"stage": name, "shares": shares}));
        entries.push(((*name).to_owned(), ink));
    }
    let is_full = |base: &f64| *base > 1.0 - LEAST_SHARE || *base == 0.0;
    if !below.iter().all(is_full) {
        for (base, (one, next)) in below.iter().zip(&windows).filter(|(base, _)| **base > 0.0) {
            let corners = [(one.seconds, base * 100.0), (next.seconds, 100.0)];
            marks.push(Mark::Bar(corners, Ink::Grid));
        }
        entries.push(("others".to_owned(), Ink::Grid));
    }
    let chart = Chart {
        label: "Shares of the stages in the time at work, over time".to_owned(),
        height: 280,
        left: 66,
        x: Axis::up_to("seconds", ran.accounts.query.seconds),
        y: Axis::up_to("% of the time at work", 100.0),
        marks,
    };
    Ok(figure("Stages at work", &(chart.svg()? + &legend(&entries)), &json!(numbers)))
}

/// Time at work of each stage as bars.
fn stage_chart(accounts: &Accounts) -> Result<String> {
    let stages: Vec<_> = accounts.stages.named().into_iter().filter(|(_, stage)| is_used(stage)).collect();
    let names: Vec<_> = stages.iter().map(|(name, _)| (*name).to_owned()).collect();
    let parts =
        |stage: &StageAccount| [stage.busy_seconds, stage.input_wait_seconds, stage.room_wait_seconds];
    let most = stages.iter().map(|(_, stage)| parts(stage).iter().sum()).fold(0.0, f64::max);
    let inks = [Ink::Series(0), Ink::Series(1), Ink::Series(4)];
    let mut marks = vec![];
    for (place, (_, stage)) in stages.iter().enumerate() {
        let (middle, mut from) = (place as f64 + 0.5, 0.0);
        for (seconds, ink) in parts(stage).into_iter().zip(inks).filter(|(seconds, _)| *seconds > 0.0) {
            marks.push(Mark::Bar([(from, middle - 0.32), (from + seconds, middle + 0.32)], ink));
            from += seconds;
        }
    }
    let chart = Chart {
        label: "Seconds at work and waiting of each stage".to_owned(),
        height: stages.len() as u32 * 30 + 60,
        left: 100,
        x: Axis::up_to("seconds, summed over threads", most),
        y: Axis::of("", &names).reversed(),
        marks,
    };
    let entries = ["at work", "waiting for input", "waiting for room"];
    let entries = entries.into_iter().map(str::to_owned).zip(inks).collect_vec();
    let numbers = stages.iter().map(|(name, stage)| json!({"stage": name, "seconds": parts(stage)}));
    let numbers = json!(numbers.collect::<Vec<_>>());
    Ok(format!(
        "<div class=\"charts\">{}</div>\n",
        figure("Time of each stage", &(chart.svg()? + &legend(&entries)), &numbers)
    ))
}

fn is_used(stage: &StageAccount) -> bool {
    stage.rows > 0 || stage.busy_seconds > 0.0 || stage.input_wait_seconds + stage.room_wait_seconds > 0.0
}

fn stages(accounts: &Accounts) -> String {
    let all: f64 = accounts.stages.named().iter().map(|(_, stage)| stage.busy_seconds).sum();
    let rows = accounts.stages.named().into_iter().filter(|(_, stage)| is_used(stage));
    let rows = rows.map(|(name, stage)| {
        vec![
            name.to_owned(),
            grouped(stage.rows),
            if stage.bytes > 0 { bytes(stage.bytes) } else { String::new() },
            seconds(stage.busy_seconds),
            format!("{:.1} %", stage.busy_seconds / all.max(1e-9) * 100.0),
            seconds(stage.input_wait_seconds),
            seconds(stage.room_wait_seconds),
        ]
    });
    let header = ["stage", "rows", "bytes", "at work", "share", "waiting for input", "waiting for room"];
    table_of_texts(&header, rows)
}

/// How long runs of a model took.
fn latencies(model: &str, runs: &RunHistogram, accounts: &Accounts) -> Result<String> {
    let recorded: Vec<(f64, u64)> =
        runs.recorded().into_iter().map(|(time, count)| (milliseconds(time), count)).collect();
    let (Some(least), Some(most)) = (recorded.first(), recorded.last()) else { return Ok(String::new()) };
    let (least, most) = (least.0.min(most.0 * 0.9), most.0);
    let width = ((most - least) / BARS as f64).max(1e-6);
    let mut bars = [0_u64; BARS];
    for (time, count) in &recorded {
        bars[(((time - least) / width) as usize).min(BARS - 1)] += count;
    }
    let high = bars.iter().copied().max().unwrap_or(0) as f64;
    let bar = |(place, count): (usize, &u64)| {
        let from = least + place as f64 * width;
        let gap = width * 0.06;
        (*count > 0)
            .then_some(Mark::Bar([(from + gap, 0.0), (from + width - gap, *count as f64)], Ink::Series(0)))
    };
    let mut marks: Vec<_> = bars.iter().enumerate().filter_map(bar).collect();
    let account = accounts.models.iter().find(|account| account.name == model);
    let quantiles = account.map(|account| [account.p50_seconds, account.p95_seconds, account.p99_seconds]);
    let quantiles = quantiles.unwrap_or_default().map(|quantile| quantile.map(|seconds| seconds * 1e3));
    let inks = [Ink::Series(1), Ink::Series(3), Ink::Series(5)];
    for (time, ink) in quantiles.iter().zip(inks) {
        marks.extend(time.map(|time| Mark::Line(vec![(time, 0.0), (time, high)], ink)));
    }
    let mut x = Axis::up_to("milliseconds a run", most);
    x.range.end = x.range.end.max(most);
    let chart = Chart {
        label: format!("Runs of {model} by their time"),
        height: 260,
        left: 66,
        x,
        y: Axis::up_to("runs", high),
        marks,
    };
    let names = ["p50", "p95", "p99"].into_iter().zip(&quantiles).zip(inks);
    let entries: Vec<_> =
        names.filter_map(|((name, time), ink)| Some((format!("{name} {:.1} ms", (*time)?), ink))).collect();
    let numbers = json!({"model": model, "least_ms": least, "width_ms": width, "runs": bars, "quantiles_ms": quantiles});
    Ok(figure(&format!("Time of a run of {model}"), &(chart.svg()? + &legend(&entries)), &numbers))
}

fn models(models: &[ModelAccount]) -> String {
    let quantile =
        |quantile: Option<f64>| quantile.map_or_else(String::new, |time| format!("{:.2} ms", time * 1e3));
    let rows = models.iter().map(|model| {
        vec![
            model.name.clone(),
            model.device.clone(),
            grouped(model.batches),
            format!("{:.1}", model.rows_a_batch),
            grouped(model.padded_rows),
            format!("{} × {}", model.concurrency, model.num_cpus),
            quantile(model.p50_seconds),
            quantile(model.p95_seconds),
            quantile(model.p99_seconds),
            seconds(model.load_seconds),
            model.device_use.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0)),
            bytes(model.memory_bytes),
        ]
    });
    let header = [
        "model",
        "device",
        "runs",
        "rows a run",
        "padded rows",
        "sessions × threads",
        "p50",
        "p95",
        "p99",
        "loading",
        "device use",
        "memory",
    ];
    table_of_texts(&header, rows)
}

/// The operators, each with its rows and times.
fn plan(ran: &Ran) -> String {
    let operator = |operator: &super::operators::Operator| {
        let rows = operator.rows.map(|rows| format!("{} rows", grouped(rows)));
        let times = operator.seconds.iter().map(|(name, time)| format!("{name} {}", seconds(*time)));
        let chips = rows.into_iter().chain(times).map(|chip| format!("<li>{}</li>", escaped(&chip)));
        format!(
            "<li class=\"depth-{}\"><code>{}</code><ul class=\"chips\">{}</ul></li>\n",
            operator.depth.min(12),
            escaped(&operator.line),
            chips.collect::<String>()
        )
    };
    let operators = ran.operators.iter().map(operator).collect::<String>();
    format!(
        "<p class=\"quiet\">Times are summed over partitions; those that contain others overlap.</p>\n<ul class=\"plan\">\n{operators}</ul>\n"
    )
}

fn errors(ran: &Ran) -> String {
    if ran.rows.errors.is_empty() {
        return "<p>No prediction is an error.</p>\n".to_owned();
    }
    let by_count = ran.rows.errors.iter().sorted_by_key(|(_, error)| std::cmp::Reverse(error.count));
    let rows = by_count.map(|(kind, error)| {
        let example = if error.error == *kind { String::new() } else { error.error.clone() };
        vec![kind.clone(), grouped(error.count), error.name.clone(), example]
    });
    table_of_texts(&["kind", "predictions", "such as", "its error"], rows)
}

/// The images that took longest to decode.
fn slowest(ran: &Ran) -> String {
    let card = |image: &crate::exec::SlowImage| {
        let picture = match &image.bytes {
            Some(bytes) => img(bytes, ran.max_pixels).unwrap_or_else(|reason| escaped(&reason).into_owned()),
            None => "a very large file".to_owned(),
        };
        let name = image.name.rsplit('/').next().unwrap_or(&image.name);
        format!(
            "<li title=\"{}\"><div class=\"frame\">{picture}</div><div class=\"name\">{}</div><div>{:.1} ms</div></li>\n",
            escaped(&image.name),
            escaped(name),
            milliseconds(image.time)
        )
    };
    let cards = ran.rows.slowest.iter().map(card).collect::<String>();
    format!("<p class=\"quiet\">Those that took longest to decode.</p>\n<ul class=\"cards\">\n{cards}</ul>\n")
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn seconds(seconds: f64) -> String {
    if seconds >= 1.0 { format!("{seconds:.2} s") } else { format!("{:.1} ms", seconds * 1e3) }
}

fn bytes(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        bytes if bytes >= 1e9 => format!("{:.2} GB", bytes / 1e9),
        bytes if bytes >= 1e6 => format!("{:.1} MB", bytes / 1e6),
        bytes => format!("{:.1} kB", bytes / 1e3),
    }
}

/// `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    groups.map(|group| String::from_utf8_lossy(group)).join(",")
}
