//! Starts the binary like a user, without the settings of the account that runs the tests.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::home;

const SEEQUEL: &str = env!("CARGO_BIN_EXE_seequel");

/// Timeout of a process that usually needs at most seconds.
const PATIENCE: Duration = Duration::from_secs(600);

/// `seequel ARGUMENTS` in `folder`, which is the user's home as well.
pub(crate) fn seequel(folder: &Path, arguments: &[&str]) -> Command {
    program(SEEQUEL, folder, arguments)
}

/// A line for the system's shell in `folder`, in which `"$0"` is `seequel`.
pub(crate) fn system_shell(folder: &Path, line: &str) -> Command {
    program("sh", folder, &["-c", line, SEEQUEL])
}

fn program(program: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env("SEEQUEL_HOME", home())
        .env("HOME", folder)
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .env_remove("ORT_DYLIB_PATH")
        .env_remove("SEEQUEL_RUNTIME")
        .env_remove("SEEQUEL_LOG");
    command
}

/// Runs `command` without what lets root read folders that are locked.
pub(crate) fn without_privileges(command: &mut Command) -> Outcome {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !is_root {
        return Outcome::of(command);
    }
    let mut without = Command::new("setpriv");
    without.args(["--bounding-set", "-dac_override,-dac_read_search"]);
    without.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => without.env(name, value),
            None => without.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        without.current_dir(folder);
    }
    Outcome::of(&mut without)
}

/// Builds an example and returns its binary.
pub(crate) fn example_binary(name: &str) -> PathBuf {
    let mut arguments = vec!["build", "--quiet", "--locked", "--example", name];
    // Other features would build everything once more.
    if cfg!(feature = "cluster") {
        arguments.extend(["--features", "cluster"]);
    }
    let mut cargo = Command::new(env!("CARGO"));
    // Cargo sets the package's name in a test's environment. The build script of `ring` reads it, so `ring` and its
    // dependents would be rebuilt here and again in the next `cargo test`.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_")
            || name.to_string_lossy().starts_with("CARGO_MANIFEST_")
        {
            cargo.env_remove(name);
        }
    }
    let output = cargo.args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Beside the binary, in the folder of this profile.
    Path::new(env!("CARGO_BIN_EXE_seequel")).with_file_name("examples").join(name)
}

/// Starts a process with captured output and standard input `input`.
pub(crate) fn start(command: &mut Command, input: Stdio) -> (Child, Watchdog) {
    let command = command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let watchdog = Watchdog::over(&child);
    (child, watchdog)
}

/// Runs `seequel ARGUMENTS` in the set-up's home, where `photos` and `models` are, to its end.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    run_in(&home(), arguments)
}

/// Runs `seequel ARGUMENTS` in `folder` to its end.
pub(crate) fn run_in(folder: &Path, arguments: &[&str]) -> Outcome {
    Outcome::of(&mut seequel(folder, arguments))
}

/// The status and output of a process that has ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn of(command: &mut Command) -> Self {
        let (child, _watchdog) = start(command, Stdio::null());
        child.wait_with_output().unwrap().into()
    }

    /// As [`Self::of`], with `text` as standard input.
    pub(crate) fn with_input(command: &mut Command, text: &str) -> Self {
        let (mut child, _watchdog) = start(command, Stdio::piped());
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// The standard output of a successful run without warnings.
    #[track_caller]
    pub(crate) fn stdout(self) -> String {
        assert_eq!((self.status, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        self.stdout
    }

    /// The error message of a run that failed as expected.
    #[track_caller]
    pub(crate) fn error(self) -> String {
        assert_eq!(self.status, Some(1), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.stderr
    }

    /// The first line of that message, without the position in the SQL.
    #[track_caller]
    pub(crate) fn error_line(self) -> String {
        self.error().lines().next().unwrap_or_default().to_owned()
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Kills a process after a timeout, so that a hang fails its test and does not block the suite.
pub(crate) struct Watchdog {
    _called_off_when_dropped: Sender<()>,
}

impl Watchdog {
    pub(crate) fn over(child: &Child) -> Self {
        let id = child.id();
        let (sender, receiver) = channel();
        thread::spawn(move || {
            if receiver.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                signal(id, "KILL");
            }
        });
        Self { _called_off_when_dropped: sender }
    }
}

/// Sends a signal, named as `kill` knows it.
pub(crate) fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -s {name} {process}: {sent}");
}
