//! Histograms of a tensor's numbers, and the ranges that they suggest.

use super::graph::integers::Range;

/// Intervals of a histogram, as many as ONNX Runtime's calibrators have by default times 16: ranges are found in one
/// pass over the numbers, whose extremes are known.
const BINS: usize = 2048;

/// Share of the numbers that a range by percentiles leaves out at each end.
const LEFT_OUT: f64 = 1e-5;

/// Integers of 8 bits.
const LEVELS: usize = 256;

/// Share of the range by which each end of it moves in a search.
const CUT: f64 = 1.0 / 32.0;

/// How often the numbers of a tensor fall into each interval of its range.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    range: Range,
    counts: Vec<u64>,
}

impl Histogram {
    pub(super) fn new(range: Range) -> Self {
        Self { range, counts: vec![0; BINS] }
    }

    fn width(&self) -> f32 {
        (self.range.high - self.range.low) / BINS as f32
    }

    /// Counts numbers, but no zeros: these are exact integers in any range, and so frequent after `Relu` that they would
    /// outweigh all others.
    pub(super) fn add(&mut self, numbers: &[f32]) {
        let (low, width) = (self.range.low, self.width());
        if !(width > 0.0 && width.is_finite()) {
            return;
        }
        for number in numbers.iter().filter(|number| **number != 0.0) {
            let bin = ((number - low) / width) as usize;
            self.counts[bin.min(BINS - 1)] += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, other)| *count += other);
    }

    fn between(&self, first: usize, last: usize) -> Range {
        let at = |bin: usize| self.range.low + self.width() * bin as f32;
        let (low, high) = (at(first), if last >= BINS { self.range.high } else { at(last) });
        Range { low, high }
    }

    /// The range without the outermost [`LEFT_OUT`] of the numbers at each end; the whole range if it is empty.
    pub(super) fn percentiles(&self) -> Range {
        let total: u64 = self.counts.iter().sum();
        let spare = (total as f64 * LEFT_OUT) as u64;
        let beyond = |counts: &mut dyn Iterator<Item = &u64>| {
            let mut sum = 0;
            counts
                .take_while(|count| {
                    sum += **count;
                    sum <= spare
                })
                .count()
        };
        let (below, above) = (beyond(&mut self.counts.iter()), beyond(&mut self.counts.iter().rev()));
        if total == 0 || below + above >= BINS { self.range } else { self.between(below, BINS - above) }
    }

    /// The range whose numbers, rounded to 256 levels, differ least from the original ones by Kullback-Leibler
    /// divergence. Ranges are tried that keep the end nearer to zero and cut off the other, as activations are skewed
    /// (Migacz, "8-bit Inference with TensorRT", 2017).
    pub(super) fn least_divergence(&self) -> Range {
        if self.counts.iter().all(|count| *count == 0) {
            return self.range;
        }
        let cuts_high = self.range.high.abs() >= self.range.low.abs();
        let counts: Vec<u64> =
            if cuts_high { self.counts.clone() } else { self.counts.iter().rev().copied().collect() };
        let candidates = (LEVELS / 2..=BINS).step_by(16);
        let best =
            candidates.map(|kept| (divergence(&counts, kept), kept)).min_by(|a, b| a.0.total_cmp(&b.0));
        match best {
            Some((divergence, kept)) if divergence.is_finite() && cuts_high => self.between(0, kept),
            Some((divergence, kept)) if divergence.is_finite() => self.between(BINS - kept, BINS),
            _ => self.range,
        }
    }

    /// The range whose 256 levels differ least from the numbers: wide enough for those that count, and with steps as
    /// small as it allows. Each end is moved towards zero, by at most three quarters.
    ///
    /// A number beyond the range differs by its distance from the end; one within it by a step squared through 12 on
    /// average, as numbers are spread evenly between two levels.
    pub(super) fn least_squares(&self) -> Range {
        let (low, high) = (f64::from(self.range.low.min(0.0)), f64::from(self.range.high.max(0.0)));
        let ends = |end: f64| (0..=24).map(move |cuts| end * (1.0 - CUT * f64::from(cuts)));
        let below: Vec<_> = ends(low).map(|end| (end, self.beyond(|number| end - number))).collect();
        let above: Vec<_> = ends(high).map(|end| (end, self.beyond(|number| number - end))).collect();
        let total = self.counts.iter().sum::<u64>() as f64;
        let ranges = below.iter().flat_map(|below| above.iter().map(move |above| (below, above)));
        let errors = ranges.map(|((low, (under, count_under)), (high, (over, count_over)))| {
            let step = (high - low) / (LEVELS - 1) as f64;
            let error = under + over + (total - count_under - count_over) * step * step / 12.0;
            (error, Range { low: *low as f32, high: *high as f32 })
        });
        let best = errors.min_by(|a, b| a.0.total_cmp(&b.0));
        best.filter(|(error, _)| total > 0.0 && error.is_finite()).map_or(self.range, |(_, range)| range)
    }

    /// The sum of the squares of `distance`, where it is positive, and the count of these numbers.
    fn beyond(&self, distance: impl Fn(f64) -> f64) -> (f64, f64) {
        let (low, width) = (f64::from(self.range.low), f64::from(self.width()));
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.fold((0.0, 0.0), |(squares, numbers), (bin, count)| {
            let (distance, count) = (distance(low + width * (bin as f64 + 0.5)), *count as f64);
            if distance > 0.0 {
                (squares + count * distance * distance, numbers + count)
            } else {
                (squares, numbers)
            }
        })
    }
}

/// The divergence of the first `kept` counts, the last of which takes all beyond, from their means over 256 levels.
fn divergence(counts: &[u64], kept: usize) -> f64 {
    let (inside, beyond) = counts.split_at(kept);
    let mut original: Vec<f64> = inside.iter().map(|count| *count as f64).collect();
    if let Some(last) = original.last_mut() {
        *last += beyond.iter().sum::<u64>() as f64;
    }
    let mut rounded = vec![0.0; kept];
    for level in 0..LEVELS.min(kept) {
        let bins =
            level * kept / LEVELS..((level + 1) * kept / LEVELS).max(level * kept / LEVELS + 1).min(kept);
        let filled = inside[bins.clone()].iter().filter(|count| **count > 0).count();
        let mean = inside[bins.clone()].iter().sum::<u64>() as f64 / filled.max(1) as f64;
        bins.filter(|bin| inside[*bin] > 0).for_each(|bin| rounded[bin] = mean);
    }
    let (total, total_rounded) = (original.iter().sum::<f64>(), rounded.iter().sum::<f64>());
    let terms = original.iter().zip(&rounded).filter(|(p, _)| **p > 0.0).map(|(p, q)| {
        let (p, q) = (p / total, (q / total_rounded).max(1e-12));
        p * (p / q).ln()
    });
    terms.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(low: f32, high: f32, numbers: &[f32]) -> Histogram {
        let mut histogram = Histogram::new(Range { low, high });
        histogram.add(numbers);
        histogram
    }

    #[test]
    fn percentiles_leave_out_single_numbers_among_many() {
        let mut numbers: Vec<f32> = (0..1_000_000).map(|number| (number % 1000) as f32 / 1000.0).collect();
        numbers.extend([100.0, 100.0, 50.0]);
        let range = histogram(0.0, 100.0, &numbers).percentiles();
        assert!(range.low == 0.0 && range.high > 0.99 && range.high < 1.1, "{range:?}");
        let few = histogram(0.0, 100.0, &[0.0, 1.0, 100.0]).percentiles();
        // A range is extended to zero where it is used.
        assert!(few.low < 1.0 && few.high == 100.0, "{few:?}");
    }

    #[test]
    fn a_long_tail_is_cut_by_divergence_and_an_even_range_is_not() {
        let mut numbers: Vec<f32> = (0..100_000).map(|number| (number % 500) as f32 / 500.0).collect();
        numbers.push(20.0);
        assert!(histogram(0.0, 20.0, &numbers).least_divergence().high < 5.0);
        let negative: Vec<f32> = numbers.iter().map(|number| -number).collect();
        assert!(histogram(-20.0, 0.0, &negative).least_divergence().low > -5.0);
        let even: Vec<f32> = (0..100_000).map(|number| (number % 2048) as f32).collect();
        assert!(histogram(0.0, 2048.0, &even).least_divergence().high > 1900.0);
    }

    #[test]
    fn ends_are_cut_as_far_as_the_numbers_near_zero_gain() {
        let mut numbers: Vec<f32> = (0..100_000).map(|number| (number % 1001) as f32 / 500.0 - 1.0).collect();
        assert_eq!(histogram(-1.0, 1.0, &numbers).least_squares(), Range { low: -1.0, high: 1.0 });
        numbers.push(3.0);
        let range = histogram(-1.0, 3.0, &numbers).least_squares();
        assert!(range.low == -1.0 && range.high > 2.0 && range.high < 3.0, "{range:?}");
        // Far from the others, a number counts by the square of its distance.
        numbers.push(100.0);
        assert!(histogram(-1.0, 100.0, &numbers).least_squares().high > 25.0);
    }

    #[test]
    fn no_numbers_leave_the_range() {
        let range = Range { low: -1.0, high: 2.0 };
        assert_eq!(Histogram::new(range).percentiles(), range);
        assert_eq!(Histogram::new(range).least_divergence(), range);
        assert_eq!(Histogram::new(range).least_squares(), range);
    }
}
