//! The machine's processor, as Linux describes it.

use std::fs;

use super::kind::Hardware;
use super::machine::Machine;

/// Its name, and the memory of the machine.
pub(super) fn hardware() -> Hardware {
    Hardware {
        name: fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| value(&text, "model name")),
        memory_bytes: fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_bytes(&text)),
    }
}

impl Machine {
    /// This machine, without its GPUs.
    pub(crate) fn without_gpus() -> Self {
        Self {
            cores: Self::cores(),
            gpus: vec![],
            vnni: has_vnni(),
            bf16: has_any(&["avx512_bf16", "amx_bf16"]),
            f16: has_any(&["avx512_fp16", "amx_fp16"]),
        }
    }
}

/// Whether it has one of these features, as `/proc/cpuinfo` spells them; `true` if that is not known.
fn has_any(features: &[&str]) -> bool {
    let flags = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| value(&text, "flags"));
    flags.is_none_or(|flags| flags.split_whitespace().any(|flag| features.contains(&flag)))
}

/// Other processors than x86 need no such instructions.
fn has_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    if !std::arch::is_x86_feature_detected!("avx512vnni") && !std::arch::is_x86_feature_detected!("avxvnni") {
        return false;
    }
    true
}

/// The value behind `key` and a colon, in the first line that has it.
fn value(text: &str, key: &str) -> Option<String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.map(|(name, value)| (name.trim(), value.trim())).find(|(name, _)| *name == key);
    found.map(|(_, value)| value.to_owned())
}

fn memory_bytes(text: &str) -> Option<u64> {
    let kilobytes: u64 = value(text, "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_from_the_first_line_with_their_key() {
        let text =
            "processor\t: 0\nmodel name\t: A: fast one\nflags\t\t: fpu avx512_bf16\n\nmodel name\t: B\n";
        assert_eq!(value(text, "model name").as_deref(), Some("A: fast one"));
        assert_eq!(value(text, "flags").as_deref(), Some("fpu avx512_bf16"));
        assert_eq!(value(text, "Features"), None);
        assert_eq!(memory_bytes("MemTotal:       16 kB\nMemFree: 1 kB\n"), Some(16384));
        assert_eq!(memory_bytes("MemFree: 1 kB\n"), None);
    }
}
