//! What `auto` starts from: one function of the machine, the model and its options.
//!
//! ```text
//!  Machine: cores, GPUs ─────────┐
//!  ModelFacts: weights, rows ────┼─► Preset: provider, sizes ─► placement.rs, unless TUNE has chosen
//!  Resources: what is not auto ──┘
//! ```

use super::providers::{Machine, Provider};
use super::sizing::{ModelFacts, Sizing};
use crate::model::spec::{Device, Resources};

/// Where a model runs, and in what sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Preset {
    pub(super) provider: Provider,
    pub(super) sizing: Sizing,
}

impl Preset {
    /// What a model starts with on `machine`; options that are given are kept.
    ///
    /// # Errors
    /// The reason why there is no device such as the option names.
    pub(super) fn new(machine: &Machine, model: &ModelFacts, options: &Resources) -> Result<Self, String> {
        let provider = match &options.device {
            Device::Auto => Provider::auto(machine),
            Device::Named { name, numbers } => Provider::named(name, *numbers)?,
        };
        Ok(Self { provider, sizing: Sizing::new(machine, model, options, provider) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use itertools::{Itertools, iproduct};

    use super::*;
    use crate::model::runtime::sizing::Row;
    use crate::model::spec::Precision;

    /// EfficientNet-Lite0 and ResNet-50.
    const SMALL: u64 = 19 << 20;
    const LARGE: u64 = 102 << 20;

    const AUTO: Resources = Resources {
        device: Device::Auto,
        batch_size: None,
        concurrency: None,
        num_cpus: None,
        num_gpus: None,
        precision: Precision::Auto,
        provider_options: BTreeMap::new(),
    };

    fn machine(cores: usize, gpus: usize, has_instructions: bool) -> Machine {
        let gpus = vec![Some("NVIDIA H100".to_owned()); gpus];
        Machine { cores, gpus, vnni: has_instructions, bf16: has_instructions, f16: has_instructions }
    }

    /// The machines of the tables.
    fn machines() -> Vec<Machine> {
        let of = |(cores, gpus, has_instructions)| machine(cores, gpus, has_instructions);
        let processors = [(1, 0, false), (2, 0, false), (2, 0, true), (4, 0, true), (16, 0, true)];
        let more =
            [(64, 0, true), (128, 0, true), (16, 1, true), (32, 2, true), (64, 4, true), (128, 8, true)];
        processors.into_iter().chain(more).map(of).collect()
    }

    fn preset(machine: &Machine, weight_bytes: u64, options: &Resources) -> Preset {
        let (dense_bytes, row) = (0, Row::Image);
        let model = ModelFacts { weight_bytes, dense_bytes, on_integers: false, fixed_batch: None, row };
        Preset::new(machine, &model, options).unwrap()
    }

    fn shared(share: f32) -> Resources {
        Resources { num_gpus: Some(share), ..AUTO }
    }

    #[test]
    fn what_auto_starts_from_by_machine() {
        let line = |machine: &Machine, options: &Resources| {
            let [small, large] = [SMALL, LARGE].map(|weights| preset(machine, weights, options));
            let Sizing { batch_rows, sessions, threads, workers, decode_threads, .. } = small.sizing;
            assert_eq!(
                Sizing { batch_rows, ..large.sizing },
                Sizing { least_rows: large.sizing.least_rows, ..small.sizing }
            );
            let share = options.num_gpus.map(|share| format!(", num_gpus {share}")).unwrap_or_default();
            let large = large.sizing.batch_rows;
            format!(
                "{} cores, {} GPUs{share}: {}, batches of {batch_rows} and {large}, {sessions} × {threads}, \
                 {workers} workers, {} decode",
                machine.cores,
                machine.gpus.len(),
                small.provider,
                decode_threads.map_or_else(|| "which".to_owned(), |threads| format!("{threads} threads")),
            )
        };
        let all = machines();
        let with_gpus = all.iter().filter(|machine| !machine.gpus.is_empty());
        let shares = iproduct!(with_gpus, [0.5, 0.25]).map(|(machine, share)| line(machine, &shared(share)));
        let lines = all.iter().map(|machine| line(machine, &AUTO)).chain(shares);
        insta::assert_snapshot!(lines.format("\n"), @"
        1 cores, 0 GPUs: cpu, batches of 1 and 4, 1 × 1, 1 workers, which decode
        2 cores, 0 GPUs: cpu, batches of 1 and 4, 2 × 1, 2 workers, which decode
        2 cores, 0 GPUs: cpu, batches of 1 and 4, 2 × 1, 2 workers, which decode
        4 cores, 0 GPUs: cpu, batches of 1 and 4, 4 × 1, 4 workers, which decode
        16 cores, 0 GPUs: cpu, batches of 1 and 4, 16 × 1, 16 workers, which decode
        64 cores, 0 GPUs: cpu, batches of 1 and 4, 64 × 1, 64 workers, which decode
        128 cores, 0 GPUs: cpu, batches of 1 and 4, 128 × 1, 128 workers, which decode
        16 cores, 1 GPUs: cuda:0, batches of 32 and 32, 2 × 1, 10 workers, 16 threads decode
        32 cores, 2 GPUs: cuda:0..1, batches of 32 and 32, 4 × 1, 20 workers, 32 threads decode
        64 cores, 4 GPUs: cuda:0..3, batches of 32 and 32, 8 × 1, 40 workers, 64 threads decode
        128 cores, 8 GPUs: cuda:0..7, batches of 32 and 32, 16 × 1, 80 workers, 128 threads decode
        16 cores, 1 GPUs, num_gpus 0.5: cuda:0, batches of 32 and 32, 2 × 1, 10 workers, 16 threads decode
        16 cores, 1 GPUs, num_gpus 0.25: cuda:0, batches of 32 and 32, 4 × 1, 12 workers, 16 threads decode
        32 cores, 2 GPUs, num_gpus 0.5: cuda:0..1, batches of 32 and 32, 4 × 1, 20 workers, 32 threads decode
        32 cores, 2 GPUs, num_gpus 0.25: cuda:0..1, batches of 32 and 32, 8 × 1, 24 workers, 32 threads decode
        64 cores, 4 GPUs, num_gpus 0.5: cuda:0..3, batches of 32 and 32, 8 × 1, 40 workers, 64 threads decode
        64 cores, 4 GPUs, num_gpus 0.25: cuda:0..3, batches of 32 and 32, 16 × 1, 48 workers, 64 threads decode
        128 cores, 8 GPUs, num_gpus 0.5: cuda:0..7, batches of 32 and 32, 16 × 1, 80 workers, 128 threads decode
        128 cores, 8 GPUs, num_gpus 0.25: cuda:0..7, batches of 32 and 32, 32 × 1, 96 workers, 128 threads decode
        ");
    }

    /// What is wrong with README prints the table that is right.
    #[test]
    fn readme_has_the_table() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        let table = table();
        assert!(
            readme.contains(&table),
            "README.md lacks this table, in place of the one that it has:\n\n{table}"
        );
    }

    fn table() -> String {
        let machines = machines();
        let row = |name: &str, cell: &dyn Fn(&Machine) -> String| {
            format!("| {name} | {} |\n", machines.iter().map(cell).format(" | "))
        };
        let auto = |machine: &Machine| preset(machine, SMALL, &AUTO).sizing;
        let header = |machine: &Machine| {
            let mark = if machine.bf16 { "*" } else { "" };
            match machine.gpus.len() {
                0 => format!("{}{mark}", machine.cores),
                1 => format!("{}{mark}, 1 GPU", machine.cores),
                gpus => format!("{}{mark}, {gpus} GPUs", machine.cores),
            }
        };
        let bf16 = Resources { precision: Precision::Bf16, ..AUTO };
        let openvino = Provider::named("openvino", None).unwrap();
        [
            row("cores (*: with VNNI and bf16)", &header),
            format!("|---|{}\n", "---|".repeat(machines.len())),
            row("`device`", &|machine| preset(machine, SMALL, &AUTO).provider.to_string()),
            row("`batch_size` at 19, 102 MB of weights", &|machine| {
                [SMALL, LARGE]
                    .map(|weights| preset(machine, weights, &AUTO).sizing.batch_rows)
                    .iter()
                    .join(", ")
            }),
            row("`concurrency` × `num_cpus`", &|machine| {
                format!("{} × {}", auto(machine).sessions, auto(machine).threads)
            }),
            row("`concurrency` at `num_gpus` 0.5, 0.25", &|machine| {
                let sessions = |share| preset(machine, SMALL, &shared(share)).sizing.sessions;
                if machine.gpus.is_empty() {
                    String::new()
                } else {
                    [0.5, 0.25].map(sessions).iter().join(", ")
                }
            }),
            row("workers", &|machine| auto(machine).workers.to_string()),
            row("threads that decode for all", &|machine| {
                auto(machine).decode_threads.map_or_else(|| "none".to_owned(), |threads| threads.to_string())
            }),
            row("sum of two weights `AS QUANTIZED`", &|machine| {
                if machine.adds_pairs() { "128".to_owned() } else { "254".to_owned() }
            }),
            row("`precision 'bf16'` with `openvino`", &|machine| {
                if openvino.check_precision(&bf16, machine).is_ok() {
                    "yes".to_owned()
                } else {
                    "no".to_owned()
                }
            }),
        ]
        .concat()
    }
}
