//! The configurations worth trying.

use crate::model::runtime::{Choice, Sizing};

/// Batch sizes on a CPU.
const CPU_BATCHES: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// Batch sizes of models that take numbers alone.
const NUMBER_BATCHES: [usize; 4] = [64, 256, 1024, 4096];

/// Batch sizes on a GPU.
const GPU_BATCHES: [usize; 5] = [8, 16, 32, 64, 128];

/// Sessions on each GPU.
const GPU_SESSIONS: [usize; 3] = [1, 2, 3];

/// What of a configuration is fixed: by an option, or by the graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) batch_size: Option<usize>,
    pub(super) concurrency: Option<usize>,
    pub(super) num_cpus: Option<usize>,
}

/// The configurations for a machine of `cores` cores, the default first. All sessions' threads together are as many as
/// the cores, or the next power of two below.
pub(super) fn choices(default: Sizing, fixed: Fixed, has_image: bool, cores: usize) -> Vec<Choice> {
    let is_gpu = default.decode_threads.is_some();
    let batches = match fixed.batch_size {
        Some(batch) => vec![batch],
        None if !has_image => NUMBER_BATCHES.to_vec(),
        None if is_gpu => GPU_BATCHES.to_vec(),
        None => CPU_BATCHES.to_vec(),
    };
    let sessions_and_threads: Vec<(usize, usize)> = if is_gpu {
        GPU_SESSIONS.iter().map(|sessions| (*sessions * default.devices, default.threads)).collect()
    } else {
        let threads = std::iter::successors(Some(1), |threads| Some(threads * 2));
        threads
            .take_while(|threads| *threads <= cores.max(1))
            .map(|threads| (cores.max(1) / threads, threads))
            .collect()
    };
    let mut all = vec![default.choice()];
    for (sessions, threads) in sessions_and_threads {
        for batch_size in &batches {
            let choice = Choice {
                batch_size: *batch_size,
                concurrency: fixed.concurrency.unwrap_or(sessions),
                num_cpus: fixed.num_cpus.unwrap_or(threads),
                morsel_rows: None,
            };
            if !all.contains(&choice) {
                all.push(choice);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(cores: usize) -> Sizing {
        Sizing {
            batch_rows: 1,
            morsel_rows: None,
            least_rows: 1,
            devices: 1,
            sessions: cores,
            threads: 1,
            workers: cores,
            decode_threads: None,
        }
    }

    fn shown(choices: &[Choice]) -> Vec<(usize, usize, usize)> {
        choices.iter().map(|choice| (choice.batch_size, choice.concurrency, choice.num_cpus)).collect()
    }

    #[test]
    fn a_cpu_s_cores_are_divided_into_sessions() {
        let two = choices(cpu(2), Fixed::default(), true, 2);
        assert_eq!(two.len(), 12);
        assert_eq!(shown(&two)[..3], [(1, 2, 1), (2, 2, 1), (4, 2, 1)]);
        assert!(shown(&two).contains(&(8, 1, 2)));
        assert_eq!(choices(cpu(2), Fixed::default(), false, 2).len(), 9, "the default is a small batch here");
        let six = choices(cpu(6), Fixed::default(), true, 6);
        assert!(shown(&six).contains(&(1, 3, 2)) && shown(&six).contains(&(1, 1, 4)));
    }

    #[test]
    fn what_is_fixed_is_not_varied() {
        let fixed = Fixed { batch_size: Some(16), concurrency: None, num_cpus: Some(1) };
        assert_eq!(shown(&choices(cpu(2), fixed, true, 2)), [(1, 2, 1), (16, 2, 1), (16, 1, 1)]);
    }

    #[test]
    fn a_gpu_gets_larger_batches_and_few_sessions() {
        let gpu = Sizing {
            batch_rows: 32,
            morsel_rows: None,
            least_rows: 32,
            devices: 1,
            sessions: 2,
            threads: 1,
            workers: 10,
            decode_threads: Some(16),
        };
        let all = choices(gpu, Fixed::default(), true, 16);
        assert_eq!(all.len(), 15);
        assert_eq!(shown(&all)[0], (32, 2, 1));
        let two = Sizing { devices: 2, sessions: 4, ..gpu };
        let all = shown(&choices(two, Fixed::default(), true, 16));
        assert_eq!((all.len(), all[0]), (15, (32, 4, 1)));
        assert!(all.contains(&(64, 6, 1)) && !all.contains(&(64, 3, 1)), "as many on each");
    }
}
