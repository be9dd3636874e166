//! What a query's accounts say at a glance, without a trial.

use super::finding::percent;
use crate::accounts::Accounts;

/// Waiting, padding and the like are worth a mention from here on.
const NOTABLE: f64 = 0.2;

/// A line on a query with inference that has ended; `None` for others.
///
/// `inference used 84 % of 2 cores; nothing to gain`
pub(crate) fn facts(accounts: &Accounts) -> Option<String> {
    let Accounts { query, workers, models, memory, .. } = accounts;
    let on_device = models.iter().find(|model| model.device != "cpu");
    if models.is_empty() || workers.seconds <= 0.0 {
        return None;
    }
    let padded: u64 = models.iter().map(|model| model.padded_rows).sum();
    let rows: u64 = models.iter().map(|model| model.rows).sum();
    let share = |seconds: f64| seconds / workers.seconds;
    let wastes = [
        (share(workers.input_wait_seconds), "of the workers' time was waiting for rows"),
        (
            share(accounts.stages.postprocess.room_wait_seconds),
            "of the workers' time was waiting for the result's reader",
        ),
        (share(memory.wait_seconds), "of the workers' time was waiting for memory"),
        (padded as f64 / (padded + rows).max(1) as f64, "of the rows that models ran on were padding"),
        (1.0 - query.cpu_share, "of the cores was idle"),
    ];
    // While a device computes, cores may rest.
    let wastes = wastes.into_iter().take(if on_device.is_some() { 4 } else { 5 });
    let worst = wastes.filter(|(share, _)| *share >= NOTABLE).max_by(|one, other| one.0.total_cmp(&other.0));
    let used = match on_device {
        Some(model) => {
            let running = model.run_seconds / query.seconds.max(1e-9);
            format!("{} ran {} of the time", model.device, percent(running.min(1.0)))
        }
        None => {
            let used = accounts.inference_core_seconds() / (query.seconds * query.cores as f64).max(1e-9);
            format!("inference used {} of {} cores", percent(used.min(1.0)), query.cores)
        }
    };
    Some(match worst {
        Some((share, what)) => format!("{used}; {} {what}; ADVISE looks for the cause", percent(share)),
        None => format!("{used}; nothing to gain"),
    })
}

/// What the workers and the cores did, in one line.
pub(in crate::advise) fn shares(accounts: &Accounts, rows: u64) -> String {
    let Accounts { query, workers, stages, models, .. } = accounts;
    let rate = rows as f64 / query.seconds.max(1e-9);
    let mut parts = vec![format!(
        "{rows} rows in {:.2} s, {rate:.1} a second; {} of {} cores",
        query.seconds,
        percent(query.cpu_share),
        query.cores
    )];
    if workers.seconds > 0.0 {
        let times = [
            ("decode", stages.decode.busy_seconds),
            ("preprocess", stages.preprocess.busy_seconds),
            ("infer", stages.infer.busy_seconds),
            ("postprocess", stages.postprocess.busy_seconds),
            ("load", models.iter().map(|model| model.load_seconds).sum()),
            ("wait for rows", workers.input_wait_seconds),
            ("wait for room", workers.room_wait_seconds),
        ];
        let times = times.map(|(name, seconds)| (name, seconds / workers.seconds));
        let times = times.iter().filter(|(_, share)| *share >= 0.005);
        let times: Vec<_> = times.map(|(name, share)| format!("{name} {}", percent(*share))).collect();
        parts.push(format!("the {} workers: {}", workers.count, times.join(", ")));
    }
    parts.join("; ")
}
