//! A browser's requests, and the binary with its dashboard open.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::photos;
use crate::support::process::{Watchdog, seequel, start};

/// How long something may take that usually takes seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) status: u16,
    /// By names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// A dashboard at an address and port.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(super) address: String,
}

impl Client {
    /// The client of a link that the shell or an engine shows.
    pub(crate) fn of(url: &str) -> Self {
        let rest = url.strip_prefix("http://").unwrap();
        Self { address: rest.split('/').next().unwrap().to_owned() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    pub(super) fn post(&self, path: &str) -> Answer {
        self.ask("POST", path, &[])
    }

    /// A request with these headers, which replace that of the host if it is among them.
    pub(super) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut reader = self.open(method, path, headers);
        let (status, headers) = head(&mut reader);
        let mut body = vec![];
        reader.read_to_end(&mut body).unwrap();
        Answer { status, headers, body }
    }

    /// The status of an answer that may have no end.
    pub(super) fn status(&self, path: &str) -> u16 {
        head(&mut self.open("GET", path, &[])).0
    }

    fn open(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> BufReader<TcpStream> {
        let port = self.address.rsplit_once(':').unwrap().1;
        let mut connection = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        connection.write_all(format!("{request}\r\n").as_bytes()).unwrap();
        BufReader::new(connection)
    }

    /// The snapshots of the event stream, until it ends.
    pub(super) fn events(&self) -> impl Iterator<Item = Value> {
        let mut reader = self.open("GET", "/api/v1/events", &[]);
        let (status, headers) = head(&mut reader);
        assert_eq!((status, headers["content-type"].as_str()), (200, "text/event-stream"));
        let lines = reader.lines().map_while(Result::ok);
        lines.filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
    }

    /// Asks until `found` finds something in the answer.
    pub(crate) fn until<T>(&self, path: &str, found: impl Fn(&Value) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            let answer = self.get(path).json();
            if let Some(found) = found(&answer) {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "{answer:#}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The identifier of the first query in this state, once there is one.
    pub(crate) fn query(&self, state: &str) -> String {
        self.until("/api/v1/queries", |all| {
            let query = all["queries"].as_array()?.iter().find(|query| query["state"] == state)?;
            Some(query["id"].as_str()?.to_owned())
        })
    }
}

fn head(reader: &mut BufReader<TcpStream>) -> (u16, BTreeMap<String, String>) {
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let status = lines.next().unwrap();
    let status = status.split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.take_while(|line| !line.is_empty());
    let headers = headers.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    });
    (status, headers.collect())
}

/// The binary with its dashboard open; it is killed when dropped.
pub(super) struct Shell {
    pub(super) child: Child,
    pub(super) client: Client,
    /// The link that was shown.
    pub(super) url: String,
    pub(super) stderr: BufReader<std::process::ChildStderr>,
    _watchdog: Watchdog,
}

impl Shell {
    /// `seequel --dashboard ADDRESS ARGUMENTS` with a home.
    pub(super) fn open(home: &Path, address: &str, arguments: &[&str]) -> Self {
        let mut command = seequel(home, &[&["--dashboard", address], arguments].concat());
        let (mut child, watchdog) = start(command.env("SEEQUEL_HOME", home), Stdio::null());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("Dashboard: ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, client: Client::of(&url), url, stderr, _watchdog: watchdog }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A model whose runs never end, and a query that waits for it.
pub(super) fn endless() -> [String; 2] {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models/endless.onnx");
    [
        format!("CREATE MODEL endless FROM '{}'", model.display()),
        format!("SELECT classify(image, 'endless') AS \"<b>\" FROM '{}/lion.jpg'", photos().display()),
    ]
}

/// The binary while it runs a query without an end.
pub(super) fn endless_shell(home: &Path, address: &str, arguments: &[&str]) -> Shell {
    let [create, select] = endless();
    Shell::open(home, address, &[arguments, &["-c", &create, &select]].concat())
}
