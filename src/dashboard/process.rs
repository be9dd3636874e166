//! What the process and its machine do.

use std::time::Instant;

use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::prelude::SessionContext;
use serde::Serialize;
use sysinfo::{Networks, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Reads the process's use of its machine. Rates are those since the last reading.
#[derive(Default)]
pub(super) struct Meter {
    system: Option<System>,
    networks: Option<Networks>,
    last: Option<(Instant, Traffic)>,
}

/// Bytes since the process, or the machine, has started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Traffic {
    read: u64,
    written: u64,
    received: u64,
    sent: u64,
}

/// The process and its machine at a moment.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Process {
    /// Use of each core of the machine, 0 to 1.
    pub(super) cores: Vec<f64>,
    /// Cores that the process keeps busy.
    pub(super) busy_cores: f64,
    /// Resident memory.
    pub(super) memory_bytes: u64,
    /// The memory of the machine, or the limit of the process's group.
    pub(super) memory_limit_bytes: u64,
    /// What queries have reserved.
    pub(super) reserved_bytes: u64,
    /// What queries may reserve.
    pub(super) reservable_bytes: Option<u64>,
    /// From files, a second.
    pub(super) read_bytes_per_second: f64,
    /// To files, a second.
    pub(super) written_bytes_per_second: f64,
    /// By the machine's network, a second.
    pub(super) received_bytes_per_second: f64,
    /// By the machine's network, a second.
    pub(super) sent_bytes_per_second: f64,
    /// Processor time since the start.
    pub(super) cpu_seconds: f64,
    /// Since 1970.
    pub(super) started_seconds: u64,
}

impl Meter {
    /// The process now; numbers that the system does not tell are zero.
    pub(super) fn read(&mut self, context: &SessionContext) -> Process {
        let pool = &context.runtime_env().memory_pool;
        let mut process = Process {
            reserved_bytes: pool.reserved() as u64,
            reservable_bytes: match pool.memory_limit() {
                MemoryLimit::Finite(bytes) => Some(bytes as u64),
                _ => None,
            },
            ..Process::default()
        };
        if self.system.is_none() {
            self.system = System::new().ok();
        }
        let mut traffic = Traffic::default();
        if let Some(system) = &mut self.system {
            read_system(system, &mut process, &mut traffic);
        }
        match &mut self.networks {
            Some(networks) => networks.refresh(true),
            None => self.networks = Networks::new_with_refreshed_list().ok(),
        }
        for (_, network) in self.networks.iter().flat_map(|networks| networks.iter()) {
            traffic.received += network.total_received();
            traffic.sent += network.total_transmitted();
        }
        let now = Instant::now();
        if let Some((then, before)) = self.last.replace((now, traffic)) {
            let seconds = now.duration_since(then).as_secs_f64().max(1e-3);
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            process.read_bytes_per_second = rate(traffic.read, before.read);
            process.written_bytes_per_second = rate(traffic.written, before.written);
            process.received_bytes_per_second = rate(traffic.received, before.received);
            process.sent_bytes_per_second = rate(traffic.sent, before.sent);
        }
        process
    }
}

fn read_system(system: &mut System, process: &mut Process, traffic: &mut Traffic) {
    system.refresh_cpu_usage();
    system.refresh_memory();
    process.cores = system.cpus().iter().map(|core| f64::from(core.usage()) / 100.0).collect();
    process.memory_limit_bytes = match system.cgroup_limits() {
        Some(limits) if limits.total_memory > 0 => limits.total_memory.min(system.total_memory()),
        _ => system.total_memory(),
    };
    let pid = Pid::from_u32(std::process::id());
    let what = ProcessRefreshKind::nothing().with_cpu().with_memory().with_disk_usage().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
    if let Some(own) = system.process(pid) {
        process.busy_cores = f64::from(own.cpu_usage()) / 100.0;
        process.memory_bytes = own.memory();
        process.cpu_seconds = own.accumulated_cpu_time() as f64 / 1e3;
        process.started_seconds = own.start_time();
        let disk = own.disk_usage();
        (traffic.read, traffic.written) = (disk.total_read_bytes, disk.total_written_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_cores() {
        let mut meter = Meter::default();
        let context = SessionContext::new();
        meter.read(&context);
        let process = meter.read(&context);
        assert!(!process.cores.is_empty(), "{process:?}");
        assert!(
            process.memory_bytes > 1 << 20 && process.memory_bytes < process.memory_limit_bytes,
            "{process:?}"
        );
    }
}
