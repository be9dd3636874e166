//! The machine as a value: what decides where models run, in what sizes and in what numbers.

/// What of a machine decides something, and nothing else of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Cores that the process may use.
    pub(crate) cores: usize,
    /// The names of the GPUs that CUDA can use, in its order; `None` for one whose driver tells none.
    pub(crate) gpus: Vec<Option<String>>,
    /// Whether the processor adds products of 8-bit integers in 32 bits.
    pub(crate) vnni: bool,
    /// Whether the processor computes in bf16.
    pub(crate) bf16: bool,
    /// Whether the processor computes in f16.
    pub(crate) f16: bool,
}

impl Machine {
    /// Cores that this process may use: a container's limit and the process's affinity count.
    pub(crate) fn cores() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// The cores and the instructions: `16 cores, VNNI, bf16`.
    pub(crate) fn processor(&self) -> String {
        let cores = if self.cores == 1 { "1 core".to_owned() } else { format!("{} cores", self.cores) };
        let instructions = [(self.vnni, ", VNNI"), (self.bf16, ", bf16"), (self.f16, ", f16")];
        let has = instructions.into_iter().filter(|(has_it, _)| *has_it).map(|(_, name)| name);
        cores + &has.collect::<String>()
    }

    /// Whether the processor adds pairs of products of 8-bit integers in 16 bits, as x86 does without VNNI: then the sum
    /// of two weights of a quantized graph is bounded.
    pub(crate) fn adds_pairs(&self) -> bool {
        !self.vnni
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_described_by_what_decides() {
        let machine = Machine { cores: 1, gpus: vec![], vnni: false, bf16: false, f16: false };
        assert_eq!((machine.processor().as_str(), machine.adds_pairs()), ("1 core", true));
        let machine = Machine { cores: 16, vnni: true, bf16: true, ..machine };
        assert_eq!((machine.processor().as_str(), machine.adds_pairs()), ("16 cores, VNNI, bf16", false));
    }
}
