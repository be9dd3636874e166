//! Starts and ends a cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::{PATIENCE, Process, is_running};
use crate::support::home;
use crate::support::process::signal;

/// A scheduler and executors of one core each, which end with it.
pub(super) struct Cluster {
    pub(super) url: String,
    scheduler: Process,
    executors: Vec<Process>,
    /// Executors that were replaced.
    gone: Vec<Process>,
    /// Executors that were started.
    started: usize,
    /// Where they log, and run.
    folder: TempDir,
}

impl Cluster {
    /// A scheduler and `executors` executors.
    pub(super) fn start(executors: usize) -> Self {
        Self::start_with(executors, &[], &[])
    }

    /// As [`Self::start`], with these arguments and environment variables of all processes.
    pub(super) fn start_with(executors: usize, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_in(&vec![home(); executors], arguments, variables)
    }

    /// As [`Self::start_with`], with an executor of each home.
    pub(super) fn start_in(homes: &[PathBuf], arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_at("127.0.0.1:0", homes, arguments, variables)
    }

    /// As [`Self::start_in`], with a scheduler that listens at `bind`.
    pub(super) fn start_at(
        bind: &str,
        homes: &[PathBuf],
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let no_home = folder.path().join("none");
        let process = [&["scheduler", "--bind", bind], arguments].concat();
        let mut scheduler = Process::start(&folder, "scheduler", &process, &no_home, variables);
        let line = scheduler.wait_for("Scheduling at ");
        let url = line.split([' ', ';']).find(|word| word.starts_with("df://")).unwrap().to_owned();
        let executors = homes.iter().enumerate().map(|(number, home)| {
            let name = format!("executor-{number}");
            Process::executor(&folder, &name, &url, home, arguments, variables)
        });
        let executors: Vec<_> = executors.collect();
        let started = executors.len();
        Self { url, scheduler, executors, gone: vec![], started, folder }
    }

    /// Ends an executor as a power failure would: the process that works ends with its supervisor.
    pub(super) fn kill_executor(&mut self, number: usize) {
        let children = self.executors[number].children();
        signal(self.executors[number].child.id(), "KILL");
        self.executors[number].child.wait().unwrap();
        let end = Instant::now() + PATIENCE;
        while children.iter().any(|child| is_running(*child)) {
            assert!(Instant::now() < end, "{children:?} go on without their supervisor");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the process of an executor that works, and not its supervisor.
    pub(super) fn kill_child(&self, number: usize) {
        let children = self.executors[number].children();
        assert_eq!(children.len(), 1);
        signal(children[0], "KILL");
    }

    /// What an executor has logged.
    pub(super) fn log_of(&self, number: usize) -> String {
        self.executors[number].log()
    }

    /// Whether an executor has not ended.
    pub(super) fn is_up(&mut self, number: usize) -> bool {
        self.executors[number].is_running()
    }

    /// Asks an executor to end, as its user would.
    pub(super) fn begin_stop(&self, number: usize) {
        signal(self.executors[number].child.id(), "TERM");
    }

    /// Starts another executor in the place of one that ends or has ended.
    pub(super) fn replace_executor(&mut self, number: usize) {
        self.started += 1;
        let name = format!("executor-{}", self.started);
        let another = Process::executor(&self.folder, &name, &self.url, &home(), &[], &[]);
        self.gone.push(std::mem::replace(&mut self.executors[number], another));
    }

    /// Starts an executor that has this home.
    pub(super) fn add_executor(&mut self, home: &Path) {
        self.add_executor_with(home, &[]);
    }

    /// As [`Self::add_executor`], with these arguments.
    pub(super) fn add_executor_with(&mut self, home: &Path, arguments: &[&str]) {
        self.started += 1;
        let name = format!("executor-{}", self.started);
        self.executors.push(Process::executor(&self.folder, &name, &self.url, home, arguments, &[]));
    }

    /// The jobs whose results an executor holds.
    pub(super) fn results(&self, number: usize) -> Vec<PathBuf> {
        self.executors[number].results().collect()
    }

    /// Lets an executor do nothing for a while.
    pub(super) fn stall_executor(&self, number: usize, long: Duration) {
        self.hang_executor(number);
        thread::sleep(long);
        self.wake_executor(number);
    }

    /// Lets an executor do nothing until it is woken; connections to it stay open, and new ones are taken.
    pub(super) fn hang_executor(&self, number: usize) {
        self.executors[number].signal_all("STOP");
    }

    /// Lets an executor go on that hangs.
    pub(super) fn wake_executor(&self, number: usize) {
        self.executors[number].signal_all("CONT");
    }

    /// Lets the scheduler do nothing until it is woken.
    pub(super) fn hang_scheduler(&self) {
        self.scheduler.signal_all("STOP");
    }

    /// Lets the scheduler go on that hangs.
    pub(super) fn wake_scheduler(&self) {
        self.scheduler.signal_all("CONT");
    }

    /// The processes of an executor.
    pub(super) fn processes_of(&self, number: usize) -> Vec<u32> {
        self.executors[number].all()
    }

    /// Deletes the results that an executor holds.
    pub(super) fn empty_executor(&self, number: usize) {
        for results in self.executors[number].results() {
            // Those of a task that ends now may appear.
            let _ = fs::remove_dir_all(results);
        }
    }

    /// Lets what an executor writes and reads of results fail for a while.
    pub(super) fn fail_disk(&self, number: usize, long: Duration) {
        let disks: Vec<_> = self.executors[number].disks().filter(|disk| disk.is_dir()).collect();
        // An executor that ends takes them with it.
        for disk in &disks {
            let _ = fs::rename(disk, disk.with_extension("away")).and_then(|()| fs::write(disk, ""));
        }
        thread::sleep(long);
        for disk in &disks {
            let _ = fs::remove_file(disk).and_then(|()| fs::rename(disk.with_extension("away"), disk));
        }
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
        let process = ["scheduler", "--bind", &address];
        self.scheduler = Process::start(&self.folder, "scheduler-2", &process, &home(), &[]);
        self.scheduler.wait_for("Scheduling at ");
    }

    /// Ends the scheduler, and returns its status.
    pub(super) fn stop_scheduler(&mut self) -> Option<i32> {
        signal(self.scheduler.child.id(), "TERM");
        self.scheduler.child.wait().unwrap().code()
    }

    /// What the processes have logged.
    pub(super) fn logs(&self) -> String {
        let processes = std::iter::once(&self.scheduler).chain(&self.gone).chain(&self.executors);
        let logs = processes.map(|process| format!("{}:\n{}", process.log.display(), process.log()));
        format!("{}{}", logs.collect::<String>(), self.folder.path().display())
    }
}
