//! The choices that make a query: random and recorded, or taken from a record, which can be shortened.

/// Choices, of which 0 is the simplest. A query that is generated from a shorter record, or from one with smaller
/// numbers, is a simpler one, so that shrinking needs to know nothing of SQL.
#[derive(Debug)]
pub(crate) struct Choices {
    record: Vec<u32>,
    position: usize,
    /// State of the generator; `None` if the record ends in zeros.
    random: Option<u64>,
}

impl Choices {
    pub(crate) fn random(seed: u64) -> Self {
        Self { record: Vec::new(), position: 0, random: Some(seed) }
    }

    pub(crate) fn replay(record: Vec<u32>) -> Self {
        Self { record, position: 0, random: None }
    }

    /// What was chosen.
    pub(crate) fn into_record(mut self) -> Vec<u32> {
        self.record.truncate(self.position);
        self.record
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        if self.position == self.record.len() {
            let choice = self.random.as_mut().map_or(0, |state| splitmix(state) as usize % count);
            self.record.push(choice as u32);
        }
        self.position += 1;
        self.record[self.position - 1] as usize % count
    }

    /// True once in `count` times.
    pub(crate) fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// SplitMix64, which needs no state but a counter.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The simplest record found that still fails, by at most `tries` calls of `fails`: shorter first, then smaller.
pub(crate) async fn shrink(
    record: Vec<u32>,
    mut tries: usize,
    fails: impl AsyncFn(Vec<u32>) -> bool,
) -> Vec<u32> {
    let mut best = record;
    loop {
        let before = best.clone();
        for length in [32, 16, 8, 4, 2, 1] {
            let mut start = 0;
            while start < best.len() {
                let end = (start + length).min(best.len());
                let shorter = [&best[..start], &best[end..]].concat();
                let mut zeroed = best.clone();
                zeroed[start..end].fill(0);
                let mut is_shorter = false;
                for candidate in [shorter, zeroed] {
                    if candidate != best && tries > 0 {
                        tries -= 1;
                        if fails(candidate.clone()).await {
                            is_shorter = candidate.len() < best.len();
                            best = candidate;
                            break;
                        }
                    }
                }
                start += if is_shorter { 0 } else { length };
            }
        }
        if best == before || tries == 0 {
            return best;
        }
    }
}
