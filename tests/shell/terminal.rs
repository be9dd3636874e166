//! The shell on a pseudo-terminal.

use std::path::Path;

use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

use crate::support::process::seequel;

/// A new prompt, on a line of its own; each key redraws the current one.
pub(super) const PROMPT: &str = "\n\rseequel> ";
const PATIENCE_MS: u64 = 120_000;

/// A session in `folder` that shows its prompt.
pub(super) fn start(folder: &Path, arguments: &[&str]) -> PtySession {
    let mut session = spawn(folder, arguments);
    session.exp_string("seequel> ").unwrap();
    session
}

/// `seequel ARGUMENTS` on a terminal with colours, which are removed from the output.
pub(super) fn spawn(folder: &Path, arguments: &[&str]) -> PtySession {
    spawn_on(folder, arguments, false)
}

/// The same, with colours and cursor movements in the output if `with_escapes`.
pub(super) fn spawn_on(folder: &Path, arguments: &[&str], with_escapes: bool) -> PtySession {
    let mut command = seequel(folder, arguments);
    command.env("TERM", "xterm-256color").env("COLORTERM", "truecolor").env_remove("NO_COLOR");
    let options = Options::new().timeout_ms(Some(PATIENCE_MS)).strip_ansi_escape_codes(!with_escapes);
    spawn_with_options(command, options).unwrap()
}

/// Enters a line and returns the output before the next prompt. The next line can be typed only then, since the prompt
/// does not read the terminal while statements run.
pub(super) fn enter(session: &mut PtySession, line: &str) -> String {
    session.send_line(line).unwrap();
    session.exp_string(PROMPT).unwrap()
}

/// Types keys without Enter.
pub(super) fn type_in(session: &mut PtySession, keys: &str) {
    session.send(keys).unwrap();
    session.flush().unwrap();
}

/// Ends the session and expects success.
pub(super) fn leave(mut session: PtySession) {
    session.send_control('d').unwrap();
    end(session);
}

/// Expects the session to exit with status 0.
pub(super) fn end(mut session: PtySession) {
    session.exp_eof().unwrap();
    let status = format!("{:?}", session.process().wait().unwrap());
    assert!(status.starts_with("Exited(") && status.ends_with(", 0)"), "{status}");
}
