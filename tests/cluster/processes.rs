//! Starts and ends the processes of a cluster.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::process::{seequel, signal};

/// How long a process may take to start, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A scheduler and executors of one core each, which end with it.
pub(super) struct Cluster {
    pub(super) url: String,
    scheduler: Process,
    executors: Vec<Process>,
    /// Where they log, and run.
    folder: TempDir,
}

/// A process, which ends with this.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(super) fn start(
        folder: &TempDir,
        name: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let log = folder.path().join(format!("{name}.log"));
        let mut command = seequel(folder.path(), arguments);
        command.env_remove("SEEQUEL_CLUSTER_TOKEN").envs(variables.iter().copied());
        // Results of executors that are killed.
        command.env("TMPDIR", folder.path());
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Self { child: command.spawn().unwrap(), log }
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(super) fn status(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Waits for a line of the log that has `text`.
    fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(self.is_running(), "it ended: {log}");
            assert!(Instant::now() < end, "no '{text}' in {log}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Cluster {
    /// A scheduler and `executors` executors.
    pub(super) fn start(executors: usize) -> Self {
        Self::start_with(executors, &[], &[])
    }

    /// As [`Self::start`], with these arguments and environment variables of all processes.
    pub(super) fn start_with(executors: usize, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = |name: &str, process: &[&str]| {
            Process::start(&folder, name, &[process, arguments].concat(), variables)
        };
        let mut scheduler = start("scheduler", &["scheduler", "--bind", "127.0.0.1:0"]);
        let line = scheduler.wait_for("Scheduling at ");
        let url = line.split([' ', ';']).find(|word| word.starts_with("df://")).unwrap().to_owned();
        let executors = (0..executors).map(|number| {
            let name = format!("executor-{number}");
            start(&name, &["executor", "--scheduler", &url, "--cores", "1"])
        });
        let executors = executors.collect();
        Self { url, scheduler, executors, folder }
    }

    /// Ends an executor as a power failure would.
    pub(super) fn kill_executor(&mut self, number: usize) {
        signal(self.executors[number].child.id(), "KILL");
        self.executors[number].child.wait().unwrap();
    }

    /// Ends an executor as its user would, and returns its status.
    pub(super) fn stop_executor(&mut self, number: usize) -> Option<i32> {
        signal(self.executors[number].child.id(), "TERM");
        self.executors[number].child.wait().unwrap().code()
    }

    /// Waits for a line of an executor's log.
    pub(super) fn wait_for_executor(&mut self, number: usize, text: &str) {
        self.executors[number].wait_for(text);
    }

    /// Ends the scheduler as a power failure would, and starts another at its address.
    pub(super) fn restart_scheduler(&mut self) {
        signal(self.scheduler.child.id(), "KILL");
        self.scheduler.child.wait().unwrap();
        let address = self.url.trim_start_matches("df://").to_owned();
        self.scheduler = Process::start(&self.folder, "scheduler-2", &["scheduler", "--bind", &address], &[]);
        self.scheduler.wait_for("Scheduling at ");
    }

    /// Ends the scheduler, and returns its status.
    pub(super) fn stop_scheduler(&mut self) -> Option<i32> {
        signal(self.scheduler.child.id(), "TERM");
        self.scheduler.child.wait().unwrap().code()
    }

    /// What the processes have logged.
    pub(super) fn logs(&self) -> String {
        let processes = std::iter::once(&self.scheduler).chain(&self.executors);
        let logs = processes.map(|process| format!("{}:\n{}", process.log.display(), process.log()));
        format!("{}{}", logs.collect::<String>(), self.folder.path().display())
    }
}
