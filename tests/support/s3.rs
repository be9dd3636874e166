//! A local S3 API: moto's server, with a bucket of photos and injected failures.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::process::{Outcome, seequel};
use super::{home, photos};

/// A server with the bucket `photos`; it stops when this is dropped.
pub(crate) struct S3 {
    child: Child,
    commands: ChildStdin,
    replies: BufReader<ChildStdout>,
    port: u16,
}

impl S3 {
    /// Serves the set-up's photos.
    pub(crate) fn of_photos() -> Self {
        Self::of(&photos())
    }

    /// Serves the files below `folder`.
    pub(crate) fn of(folder: &Path) -> Self {
        let packages = home().join("test-python");
        assert!(packages.is_dir(), "{} is missing: run `make test`", packages.display());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/s3_server.py");
        let mut child = Command::new("python3")
            .arg(script)
            .arg(folder)
            .env("PYTHONPATH", packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let mut replies = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        replies.read_line(&mut port).unwrap();
        let port = port.trim().parse().unwrap_or_else(|_| panic!("the server did not start: {port:?}"));
        Self { child, commands, replies, port }
    }

    /// The bucket's URL for plain HTTP.
    pub(crate) fn http(&self) -> String {
        format!("http://127.0.0.1:{}/photos", self.port)
    }

    /// OPTIONS for this server.
    pub(crate) fn options(&self) -> String {
        format!(
            "'aws.endpoint' 'http://127.0.0.1:{}', 'aws.allow_http' 'true', 'aws.region' 'us-east-1',
             'aws.access_key_id' 'test', 'aws.secret_access_key' 'test'",
            self.port
        )
    }

    /// Runs `sql` in `folder` with environment variables for this server.
    pub(crate) fn run_in(&self, folder: &Path, sql: &str) -> Outcome {
        Outcome::of(&mut self.command(folder, sql))
    }

    /// Runs `sql` with environment variables for this server.
    pub(crate) fn run(&self, sql: &str) -> Outcome {
        self.run_in(&home(), sql)
    }

    /// The command of [`Self::run_in`].
    pub(crate) fn command(&self, folder: &Path, sql: &str) -> Command {
        let mut command = seequel(folder, &["-q", "--format", "csv", "-c", sql]);
        command.envs(self.environment());
        command
    }

    /// Environment variables for this server.
    pub(crate) fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }

    /// Makes the server check signatures from now on; returns a key and its secret.
    pub(crate) fn lock(&mut self) -> (String, String) {
        let reply = self.tell(&json!({ "command": "lock" }));
        serde_json::from_value(reply).unwrap()
    }

    /// Makes the next `times` requests that match a regular expression fail: see `s3_server.py`.
    pub(crate) fn fail(&mut self, kind: &str, request: &str, times: u32) {
        self.tell(&json!({ "command": "fail", "kind": kind, "request": request, "times": times }));
    }

    /// No request fails from now on.
    pub(crate) fn heal(&mut self) {
        self.tell(&json!({ "command": "heal" }));
    }

    /// Lets all responses together have so many bytes a second from now on.
    pub(crate) fn throttle(&mut self, bytes_a_second: u32) {
        self.tell(&json!({ "command": "throttle", "bytes_a_second": bytes_a_second }));
    }

    /// Deletes the object `key` once a request that matches has been served.
    pub(crate) fn lose(&mut self, key: &str, request: &str) {
        self.tell(&json!({ "command": "fail", "kind": "lose", "request": request, "times": 1, "key": key }));
    }

    /// The requests since the last call: method, path with query, and range.
    pub(crate) fn requests(&mut self) -> Vec<String> {
        let requests = self.tell(&json!({ "command": "requests" }));
        requests.as_array().unwrap().iter().map(|request| request.as_str().unwrap().to_owned()).collect()
    }

    fn tell(&mut self, command: &Value) -> Value {
        writeln!(self.commands, "{command}").unwrap();
        let mut reply = String::new();
        self.replies.read_line(&mut reply).unwrap();
        serde_json::from_str(&reply).unwrap()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
