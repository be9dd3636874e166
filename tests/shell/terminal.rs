//! The shell on a pseudo-terminal, as a user at a keyboard has it.

use std::path::Path;

use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

use crate::support::process::seequel;

/// A new prompt, which stands on a line of its own; each key that is typed draws the old one again.
pub(super) const PROMPT: &str = "\n\rseequel> ";
const PATIENCE_MS: u64 = 120_000;

/// A session in `folder` whose prompt is waiting.
pub(super) fn start(folder: &Path, arguments: &[&str]) -> PtySession {
    let mut session = spawn(folder, arguments);
    session.exp_string("seequel> ").unwrap();
    session
}

/// `seequel ARGUMENTS` on a terminal that knows colours, which are left out of what is shown.
pub(super) fn spawn(folder: &Path, arguments: &[&str]) -> PtySession {
    spawn_on(folder, arguments, false)
}

/// The same, with colours and movements of the cursor in what is shown if `with_escapes`.
pub(super) fn spawn_on(folder: &Path, arguments: &[&str], with_escapes: bool) -> PtySession {
    let mut command = seequel(folder, arguments);
    command.env("TERM", "xterm-256color").env("COLORTERM", "truecolor").env_remove("NO_COLOR");
    let options = Options::new().timeout_ms(Some(PATIENCE_MS)).strip_ansi_escape_codes(!with_escapes);
    spawn_with_options(command, options).unwrap()
}

/// Enters a line and returns what is shown before the next prompt. Only then can the next line be typed: the terminal
/// is not the prompt's while statements run.
pub(super) fn enter(session: &mut PtySession, line: &str) -> String {
    session.send_line(line).unwrap();
    session.exp_string(PROMPT).unwrap()
}

/// Types without an Enter at the end.
pub(super) fn type_in(session: &mut PtySession, keys: &str) {
    session.send(keys).unwrap();
    session.flush().unwrap();
}

/// Leaves, and expects that to go well.
pub(super) fn leave(mut session: PtySession) {
    session.send_control('d').unwrap();
    end(session);
}

/// Expects the session to end well.
pub(super) fn end(mut session: PtySession) {
    session.exp_eof().unwrap();
    let status = format!("{:?}", session.process().wait().unwrap());
    assert!(status.starts_with("Exited(") && status.ends_with(", 0)"), "{status}");
}
