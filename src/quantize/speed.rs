//! How much faster one model is than another on this machine.

use std::time::Instant;

use crate::Result;
use crate::agreement::{ImageInput, Runner, Samples, median, outputs};
use crate::model::Model;
use crate::model::runtime::Cancellation;

/// Pairs of runs that are timed, after one that is not.
const PAIRS: usize = 20;

/// The throughput of one session of `twin` in multiples of that of `original`: the median over pairs of runs, one of
/// each, so that a machine that gets slower or faster favours neither.
pub(super) fn speed_ratio(
    original: &Model,
    twin: &Model,
    samples: &Samples,
    cancellation: &Cancellation,
) -> Result<f64> {
    let runner = Runner { cancellation };
    let (mut input, outputs) = (ImageInput::new(original)?, outputs(original.spec()));
    let Some(sample) = samples.get(0) else { return Ok(1.0) };
    input.write(sample)?;
    let seconds = |model: &Model| {
        let start = Instant::now();
        runner.run(model, &input, &outputs)?;
        Ok::<_, crate::Error>(start.elapsed().as_secs_f64())
    };
    seconds(original)?;
    seconds(twin)?;
    let ratios = (0..PAIRS).map(|_| Ok(seconds(original)? / seconds(twin)?)).collect::<Result<Vec<_>>>()?;
    Ok(median(ratios))
}
