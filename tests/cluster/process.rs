//! A process of a cluster, and those that it starts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::process::{seequel, signal};

/// How long a process may take to start, on a machine that is busy with other tests.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A process, which ends with this.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) log: PathBuf,
    /// Where it makes its folder for results.
    results: PathBuf,
}

impl Process {
    pub(super) fn start(
        folder: &TempDir,
        name: &str,
        arguments: &[&str],
        home: &Path,
        variables: &[(&str, &str)],
    ) -> Self {
        let log = folder.path().join(format!("{name}.log"));
        let mut command = seequel(folder.path(), arguments);
        command.env("SEEQUEL_HOME", home).env_remove("SEEQUEL_CLUSTER_TOKEN").envs(variables.iter().copied());
        // Results of executors that are killed stay there.
        let results = folder.path().join(format!("{name}.results"));
        fs::create_dir(&results).unwrap();
        command.env("TMPDIR", &results);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Self { child: command.spawn().unwrap(), log, results }
    }

    pub(super) fn executor(
        folder: &TempDir,
        name: &str,
        scheduler: &str,
        home: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let process = [&["executor", "--scheduler", scheduler, "--cores", "1"], arguments].concat();
        Self::start(folder, name, &process, home, variables)
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The processes that it has started.
    pub(super) fn children(&self) -> Vec<u32> {
        let listed = Command::new("pgrep").args(["-P", &self.child.id().to_string()]).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        listed.lines().map(|id| id.parse().unwrap()).collect()
    }

    /// Itself and those.
    pub(super) fn all(&self) -> Vec<u32> {
        [vec![self.child.id()], self.children()].concat()
    }

    pub(super) fn signal_all(&self, name: &str) {
        self.all().into_iter().for_each(|process| signal(process, name));
    }

    /// The folders that it keeps the results of jobs in.
    pub(super) fn disks(&self) -> impl Iterator<Item = PathBuf> {
        let supervisors = entries(self.results.clone());
        supervisors.flat_map(|supervisor| entries(supervisor.join("results")))
    }

    /// Where it keeps those of each job.
    pub(super) fn results(&self) -> impl Iterator<Item = PathBuf> {
        self.disks().flat_map(entries)
    }

    /// Waits for its end.
    pub(super) fn status(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Waits for a line of the log that has `text`.
    pub(super) fn wait_for(&mut self, text: &str) -> String {
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

/// What is in a folder, if there is one.
fn entries(folder: PathBuf) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Whether a process is there that has not ended.
pub(super) fn is_running(process: u32) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", &process.to_string()]).output().unwrap();
    let state = String::from_utf8(state.stdout).unwrap();
    !state.trim().is_empty() && !state.starts_with('Z')
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
