//! The report of `TUNE MODEL`: what was tried, what was chosen, and what that gains.

use std::ffi::OsStr;
use std::path::Path;

use datafusion::arrow::array::{AsArray, RecordBatch, TimestampSecondArray};
use datafusion::arrow::json::ArrayWriter;
use datafusion::error::DataFusionError;
use itertools::Itertools;
use serde_json::{Value, json};

use super::chart::{Axis, Chart, Ink, Mark, SERIES, legend};
use super::html::escaped;
use super::page::{Page, facts, figure};
use super::table::table;
use crate::Result;
use crate::model::runtime::{Choice, Trial, Tuning, Variant};

/// Configurations in the charts that compare them.
const MOST_COMPARED: usize = 14;

/// Height of a configuration there.
const ROW: u32 = 26;

/// Whether a report can be written to `file`, before there is something to report.
///
/// # Errors
/// The reason why it can't.
pub(crate) fn check_report(file: &Path) -> Result<(), String> {
    let is_html = |extension: &OsStr| ["html", "htm"].iter().any(|html| extension.eq_ignore_ascii_case(html));
    if !file.extension().is_some_and(is_html) {
        return Err(format!("'{}' is no HTML file, such as 'tuning.html'", file.display()));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(format!("there is no folder '{}'", folder.display())),
        _ => Ok(()),
    }
}

/// Writes the report of `tuning` to `file`; `trials` are its trials as a table.
///
/// # Errors
/// A file that can't be written.
pub(crate) fn write_tuning_report(file: &Path, tuning: &Tuning, trials: &RecordBatch) -> Result<()> {
    let mut page = Page::new(&format!("TUNE MODEL {}", tuning.model), &header(tuning));
    let measured: Vec<&Trial> = tuning.trials.iter().filter(|trial| trial.rate.is_some()).collect();
    let variants: Vec<&Variant> = measured
        .iter()
        .map(|trial| &trial.variant)
        .unique_by(|variant| (variant.device.as_str(), variant.precision.as_str()))
        .collect();
    let most = measured.iter().filter_map(|trial| Some(trial.rate?[2])).fold(0.0, f64::max);
    let batches: Vec<usize> =
        measured.iter().filter_map(|trial| Some(trial.choice?.batch_size)).sorted().dedup().collect();
    let mut charts = String::new();
    for variant in variants {
        let trials: Vec<_> = measured.iter().copied().filter(|trial| trial.variant == *variant).collect();
        charts += &throughput(variant, &trials, &batches, most)?;
    }
    page.section(
        "Throughput by batch size",
        &format!(
            "<p class=\"quiet\">A line for each number of sessions and threads a session. Whiskers hold the mean in 95 of 100 cases; the ring is what was chosen.</p>\n<div class=\"charts\">{charts}</div>\n"
        ),
    );
    let compared = compared(&measured);
    page.section(
        "Configurations",
        &format!("<div class=\"charts\">{}{}</div>\n", rates(&compared)?, latencies(&compared)?),
    );
    let outcomes = trials.column_by_name("outcome").and_then(|column| column.as_string_opt::<i32>());
    let is_chosen = |row: usize| outcomes.is_some_and(|outcomes| outcomes.value(row) == CHOSEN);
    page.section("All trials", &table(&in_order(trials)?, is_chosen)?);
    page.write(file, &json!({"trials": rows(trials)?}))
}

/// The columns of `trials` as they are read: the configuration, its outcome, then what was measured. The model is the
/// page's title.
fn in_order(trials: &RecordBatch) -> Result<RecordBatch> {
    let place = |name: &str| match name {
        "model" => None,
        "device" | "precision" | "batch_size" | "concurrency" | "num_cpus" | "morsel_rows" => Some(0),
        "outcome" => Some(1),
        _ => Some(2),
    };
    let fields = trials.schema_ref().fields().iter().enumerate();
    let places = fields.filter_map(|(column, field)| Some((place(field.name())?, column))).sorted();
    let columns: Vec<_> = places.map(|(_, column)| column).collect();
    Ok(trials.project(&columns).map_err(DataFusionError::from)?)
}

/// The outcome of the trial that was chosen.
const CHOSEN: &str = "chosen";

fn header(tuning: &Tuning) -> String {
    let Tuning { chosen, variant, default, gain: [gain, low, high], metric, .. } = tuning;
    let is_default = *gain == 1.0 && chosen == default;
    let lead = if is_default {
        format!("Nothing to gain: {}, the default, is best.", described(variant, *chosen))
    } else {
        format!(
            "{} has {gain:.2} × the default’s {metric} ({low:.2} to {high:.2}).",
            described(variant, *chosen)
        )
    };
    let Choice { batch_size, concurrency, num_cpus, .. } = default;
    let at = TimestampSecondArray::from(vec![tuning.at.cast_signed()]);
    let mut all = vec![
        ("device, precision", format!("{}, {}", variant.device, variant.precision)),
        ("batch_size", chosen.batch_size.to_string()),
        ("concurrency", chosen.concurrency.to_string()),
        ("num_cpus", chosen.num_cpus.to_string()),
        ("default", format!("batch_size {batch_size}, concurrency {concurrency}, num_cpus {num_cpus}")),
    ];
    if let Some(rows) = chosen.morsel_rows {
        all.push(("rows of a morsel", rows.to_string()));
    }
    if let Some(agreement) = tuning.agreement {
        all.push(("agreement with float32 on the CPU", format!("{:.1} %", agreement * 100.0)));
    }
    if let Some(twin) = &tuning.twin {
        all.push(("quantized model", twin.name.clone()));
    }
    all.extend([
        ("metric", metric.clone()),
        ("machine", tuning.key.machine.clone()),
        ("ONNX Runtime", tuning.key.runtime.clone()),
        ("Seequel", env!("CARGO_PKG_VERSION").to_owned()),
        ("tuned", at.value_as_datetime(0).map_or_else(String::new, |at| format!("{at} UTC"))),
        ("digest of the model", tuning.key.sha256.chars().take(12).collect()),
    ]);
    format!("<p class=\"lead\">{}</p>\n{}", escaped(&lead), facts(&all))
}

/// `cpu int8, batch 4, 2 × 1`
fn described(variant: &Variant, choice: Choice) -> String {
    let Choice { batch_size, concurrency, num_cpus, morsel_rows } = choice;
    let (sessions, threads) = (counted(concurrency, "session"), counted(num_cpus, "thread"));
    let morsels = morsel_rows.map_or_else(String::new, |rows| format!(", morsels of {rows}"));
    let Variant { device, precision } = variant;
    format!("{device} {precision}, batches of {batch_size}, {sessions} of {threads}{morsels}")
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Rows a second against the batch size, on one device and in one precision.
fn throughput(variant: &Variant, trials: &[&Trial], batches: &[usize], most: f64) -> Result<String> {
    // Those with another morsel have the same batch size as one of the others.
    let points =
        |trial: &&&Trial| Some((trial.choice.filter(|choice| choice.morsel_rows.is_none())?, trial.rate?));
    let mut points: Vec<_> = trials.iter().filter_map(|trial| points(&trial)).collect();
    points.sort_by_key(|(choice, _)| (choice.num_cpus, choice.concurrency, choice.batch_size));
    let place = |choice: &Choice| {
        batches.iter().position(|batch| *batch == choice.batch_size).unwrap_or(0) as f64 + 0.5
    };
    let (mut marks, mut entries, mut lines) = (vec![], vec![], vec![]);
    let families = points.iter().chunk_by(|(choice, _)| (choice.num_cpus, choice.concurrency));
    for (number, ((threads, sessions), family)) in families.into_iter().enumerate() {
        let ink = Ink::Series(number % SERIES);
        let name = format!("{} × {}", counted(sessions, "session"), counted(threads, "thread"));
        let family: Vec<_> = family.collect();
        // Several lines at the same batch size would hide each other's whiskers.
        let shift = (number % 3) as f64 * 0.06;
        let at = |choice: &Choice, rate: f64| (place(choice) + shift, rate);
        marks.push(Mark::Line(family.iter().map(|(choice, rate)| at(choice, rate[0])).collect(), ink));
        for (choice, [rate, low, high]) in &family {
            marks.push(Mark::Whisker([at(choice, *low), at(choice, *high)], ink));
            marks.push(Mark::Dot(at(choice, *rate), ink));
        }
        let is_chosen = |choice: &Choice| {
            let is_of = |other: Choice| Choice { morsel_rows: None, ..other } == *choice;
            trials.iter().any(|trial| trial.choice.is_some_and(is_of) && trial.outcome == CHOSEN)
        };
        let chosen = family.iter().filter(|(choice, _)| is_chosen(choice));
        marks.extend(chosen.map(|(choice, rate)| Mark::Ring(at(choice, rate[0]), Ink::Text)));
        let numbers =
            family.iter().map(|(choice, rate)| json!([choice.batch_size, rate[0], rate[1], rate[2]]));
        lines.push(
            json!({"concurrency": sessions, "num_cpus": threads, "points": numbers.collect::<Vec<_>>()}),
        );
        entries.push((name, ink));
    }
    let names: Vec<_> = batches.iter().map(usize::to_string).collect();
    let title = format!("{} {}", variant.device, variant.precision);
    let chart = Chart {
        label: format!("Rows a second by batch size, {title}"),
        height: 280,
        left: 62,
        x: Axis::of("batch size (rows a run)", &names),
        y: Axis::up_to("rows a second", most),
        marks,
    };
    let numbers = json!({"device": variant.device, "precision": variant.precision, "lines": lines});
    Ok(figure(&title, &(chart.svg()? + &legend(&entries)), &numbers))
}

/// The fastest configurations, and in any case the default and the fastest of each device and precision.
fn compared<'a>(measured: &[&'a Trial]) -> Vec<&'a Trial> {
    let rate = |trial: &Trial| trial.rate.map_or(0.0, |[rate, ..]| rate);
    let mut sorted = measured.to_vec();
    sorted.sort_by(|one, other| rate(other).total_cmp(&rate(one)));
    let mut seen: Vec<&Variant> = vec![];
    let mut is_kept = |number: usize, trial: &'a Trial| {
        let is_first = !seen.contains(&&trial.variant);
        if is_first {
            seen.push(&trial.variant);
        }
        is_first || number < MOST_COMPARED || ["default", CHOSEN].contains(&trial.outcome.as_str())
    };
    sorted
        .into_iter()
        .enumerate()
        .filter(|(number, trial)| is_kept(*number, trial))
        .map(|(_, trial)| trial)
        .collect()
}

/// `cpu f32 · 4 · 2×1`
fn short(trial: &Trial) -> String {
    let Variant { device, precision } = &trial.variant;
    trial.choice.map_or_else(String::new, |Choice { batch_size, concurrency, num_cpus, morsel_rows }| {
        let morsel = morsel_rows.map_or_else(String::new, |rows| format!(" · {rows}"));
        format!("{device} {precision} {batch_size} · {concurrency}×{num_cpus}{morsel}")
    })
}

fn ink_of(trial: &Trial) -> Ink {
    match trial.outcome.as_str() {
        CHOSEN => Ink::Chosen,
        "default" => Ink::Series(1),
        _ => Ink::Quiet,
    }
}

/// Room for the names of configurations.
fn room(names: &[String]) -> u32 {
    names.iter().map(|name| name.chars().count() as u32).max().unwrap_or(0) * 7 + 12
}

/// Throughput of configurations as bars.
fn rates(trials: &[&Trial]) -> Result<String> {
    let names: Vec<_> = trials.iter().map(|trial| short(trial)).collect();
    let most = trials.iter().filter_map(|trial| Some(trial.rate?[2])).fold(0.0, f64::max);
    let (mut marks, mut numbers) = (vec![], vec![]);
    for (place, trial) in trials.iter().enumerate() {
        let Some([rate, low, high]) = trial.rate else { continue };
        let middle = place as f64 + 0.5;
        marks.push(Mark::Bar([(0.0, middle - 0.32), (rate, middle + 0.32)], ink_of(trial)));
        marks.push(Mark::Whisker([(low, middle), (high, middle)], Ink::Text));
        numbers.push(json!({"name": names[place], "rate": [rate, low, high]}));
    }
    let chart = Chart {
        label: "Rows a second of the fastest configurations".to_owned(),
        height: trials.len() as u32 * ROW + 60,
        left: room(&names),
        x: Axis::up_to("rows a second", most),
        y: Axis::of("", &names).reversed(),
        marks,
    };
    let entries = [("chosen", Ink::Chosen), ("default", Ink::Series(1)), ("others", Ink::Quiet)];
    let entries = entries.map(|(name, ink)| (name.to_owned(), ink));
    Ok(figure(
        "Throughput (device, precision, batch size, sessions × threads, morsel if others were tried)",
        &(chart.svg()? + &legend(&entries)),
        &json!(numbers),
    ))
}

/// The time of a batch, half of them and 95 of 100.
fn latencies(trials: &[&Trial]) -> Result<String> {
    let names: Vec<_> = trials.iter().map(|trial| short(trial)).collect();
    let times = trials.iter().map(|trial| trial.latency.map(|times| times.map(|time| time * 1e3)));
    let times: Vec<_> = times.collect();
    let most = times.iter().flatten().map(|[_, most]| *most).fold(0.0, f64::max);
    let (mut marks, mut numbers) = (vec![], vec![]);
    for (place, times) in times.iter().enumerate() {
        let Some([half, most]) = *times else { continue };
        let middle = place as f64 + 0.5;
        marks.push(Mark::Line(vec![(half, middle), (most, middle)], Ink::Quiet));
        marks.push(Mark::Dot((half, middle), Ink::Series(0)));
        marks.push(Mark::Dot((most, middle), Ink::Series(1)));
        numbers.push(json!({"name": names[place], "p50_ms": half, "p95_ms": most}));
    }
    let chart = Chart {
        label: "Milliseconds of a batch, for half of them and for 95 of 100".to_owned(),
        height: trials.len() as u32 * ROW + 60,
        left: room(&names),
        x: Axis::up_to("milliseconds a batch", most),
        y: Axis::of("", &names).reversed(),
        marks,
    };
    let entries =
        [("half take at most (p50)", Ink::Series(0)), ("95 of 100 take at most (p95)", Ink::Series(1))];
    let entries = entries.map(|(name, ink)| (name.to_owned(), ink));
    Ok(figure("Latency of a batch", &(chart.svg()? + &legend(&entries)), &json!(numbers)))
}

/// The rows of a table as JSON.
fn rows(batch: &RecordBatch) -> Result<Value> {
    let mut writer = ArrayWriter::new(vec![]);
    writer.write(batch).and_then(|()| writer.finish()).map_err(DataFusionError::from)?;
    serde_json::from_slice(&writer.into_inner())
        .map_err(|error| DataFusionError::External(Box::new(error)).into())
}
