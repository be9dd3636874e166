//! Nothing is sent: ONNX Runtime's telemetry is off in the shell, in the example, and in the Python of set-up and
//! benchmarks.
//!
//! ```text
//!  strace, which refuses sockets ─► program ─► ONNX Runtime ─► files in an empty home? sockets?
//! ```
//!
//! ONNX Runtime writes its files when it starts, and sends ten seconds later. So each program is kept from ending until
//! one with telemetry, started after it, has tried to send. Programs get an environment of their own, because ONNX
//! Runtime sends nothing if a variable such as `GITHUB_ACTIONS` says that it is being tested.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use seequel::model::runtime::DISABLE_TELEMETRY;
use walkdir::WalkDir;

use crate::support::process::{Watchdog, example_binary};
use crate::support::{home, photos};

/// Timeout for ONNX Runtime's attempt to send.
const PATIENCE: Duration = Duration::from_secs(60);

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A program that runs under strace, with an empty folder as its home.
struct Traced {
    folder: tempfile::TempDir,
    child: Child,
    output: BufReader<ChildStdout>,
    _watchdog: Watchdog,
}

impl Traced {
    fn start(program: impl AsRef<OsStr>, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        let mut command = Command::new("strace");
        command
            .args(["--follow-forks", "--trace=socket", "--inject=socket:error=ENETDOWN", "--output"])
            .arg(folder.path().join("trace"))
            .arg(program.as_ref())
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("SEEQUEL_HOME", home())
            .env("HOME", folder.path().join("home"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("strace: {error}: run `make test`"));
        let watchdog = Watchdog::over(&child);
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { folder, child, output, _watchdog: watchdog }
    }

    /// The shell, which creates a model, classifies a photo, and then waits for a reader of many rows.
    fn shell(variables: &[(&str, &str)]) -> Self {
        let model = home().join("models/efficientnet_lite0/model.onnx");
        let create = format!("CREATE MODEL mine FROM '{}'", model.display());
        let photo = photos().join("lion.jpg");
        let classify = format!("SELECT classify(image, 'mine')['label'] FROM '{}'", photo.display());
        let many = "SELECT * FROM range(0, 100000)";
        let arguments = ["--quiet", "--format", "csv", "-c", &create, &classify, many];
        Self::start(env!("CARGO_BIN_EXE_seequel"), &arguments, variables).until("lion")
    }

    /// Python code that imports onnxruntime, with the project's `folder` on its path; it then waits for the end of its
    /// input.
    fn python(folder: &str, code: &str) -> Self {
        let stand_ins = tempfile::tempdir().unwrap();
        for package in ["numpy.py", "PIL.py"] {
            fs::write(stand_ins.path().join(package), "__version__ = Image = ImageOps = None\n").unwrap();
        }
        let onnxruntime = Path::new(ROOT).join("tests/support/onnxruntime.py");
        fs::copy(onnxruntime, stand_ins.path().join("onnxruntime.py")).unwrap();
        let path = format!("{}:{ROOT}/{folder}", stand_ins.path().display());
        Self::start("python3", &["-c", code], &[("PYTHONPATH", &path)]).until("started")
    }

    /// Reads the output up to a line with this text.
    #[track_caller]
    fn until(mut self, text: &str) -> Self {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "its output ends without '{text}'");
        }
        self
    }

    /// The calls of `socket` so far.
    fn sockets(&self) -> String {
        fs::read_to_string(self.folder.path().join("trace")).unwrap()
    }

    fn has_tried_to_send(&self) -> bool {
        self.sockets().contains("AF_INET")
    }

    /// The files that were written.
    fn files(&self) -> Vec<PathBuf> {
        let files = WalkDir::new(self.folder.path().join("home")).into_iter();
        files
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| entry.into_path())
            .collect()
    }

    /// Lets the program end.
    fn end(&mut self) {
        drop(self.child.stdin.take());
        self.output.read_to_end(&mut Vec::new()).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// Lets the program end, and expects that it has neither written nor sent.
    #[track_caller]
    fn expect_nothing(mut self) {
        self.end();
        assert_eq!(self.files(), Vec::<PathBuf>::new());
        assert!(!self.has_tried_to_send(), "{}", self.sockets());
    }
}

#[test]
fn nothing_is_written_or_sent() {
    let caches = tempfile::tempdir().unwrap();
    let silent = [
        Traced::shell(&[]),
        Traced::shell(&[("XDG_CACHE_HOME", caches.path().to_str().unwrap())]),
        Traced::python("scripts", "import reference; reference.reference()"),
        Traced::python("scripts", "import reference_detections; reference_detections.reference()"),
        Traced::python("benches/peers", "import classifier"),
    ];
    let mut with_telemetry = Traced::shell(&[(DISABLE_TELEMETRY, "0")]);
    let start = Instant::now();
    while !with_telemetry.has_tried_to_send() {
        assert!(
            start.elapsed() < PATIENCE,
            "telemetry that is on can't be seen here, nor any that is left on"
        );
        sleep(Duration::from_millis(100));
    }
    with_telemetry.end();
    assert!(!with_telemetry.files().is_empty());
    silent.into_iter().for_each(Traced::expect_nothing);
    assert_eq!(caches.path().read_dir().unwrap().count(), 0);
}

#[test]
fn the_example_writes_and_sends_nothing() {
    let home = home();
    let example = Traced::start(example_binary("embed"), &[home.to_str().unwrap()], &[]);
    example.until("espresso").expect_nothing();
}

/// Contenders are started with this environment; the converters of set-up with that of `home`.
#[test]
fn benchmarks_and_set_up_pass_the_setting_on() {
    for (folder, code) in [
        ("benches", "import fixtures; print(fixtures.environment()['ORT_DISABLE_TELEMETRY'])"),
        ("scripts", "import setup, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"),
    ] {
        let mut python = Command::new("python3");
        python.args(["-B", "-c", code]).env("PYTHONPATH", format!("{ROOT}/{folder}"));
        let output = python.env_remove(DISABLE_TELEMETRY).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n", "{folder}");
    }
}
