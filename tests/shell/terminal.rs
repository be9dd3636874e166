//! The shell on a pseudo-terminal.

use std::num::NonZero;
use std::path::Path;
use std::process::Command;

use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

use crate::support::process::seequel;

/// A new prompt, on a line of its own; each key redraws the current one.
pub(super) const PROMPT: &str = "\n\rseequel> ";
/// The prompt of the next line of a statement.
pub(super) const CONTINUATION: &str = "\n\r     ->  ";
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
    spawn_command(seequel(folder, arguments), with_escapes)
}

/// `seequel ARGUMENTS` on a terminal of this many columns; `$COLUMNS` is `variable`.
pub(super) fn spawn_sized(
    folder: &Path,
    arguments: &[&str],
    columns: u16,
    variable: Option<&str>,
) -> PtySession {
    let shell = seequel(folder, arguments);
    let mut command = Command::new("sh");
    command.args(["-c", "stty columns \"$0\" rows 24 && exec \"$@\"", &columns.to_string()]);
    command.arg(shell.get_program()).args(shell.get_args()).current_dir(folder);
    for (name, value) in shell.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(variable) = variable {
        command.env("COLUMNS", variable);
    }
    spawn_command(command, false)
}

/// A program on such a terminal.
pub(super) fn spawn_command(mut command: Command, with_escapes: bool) -> PtySession {
    command.env("TERM", "xterm-256color").env("COLORTERM", "truecolor");
    let options = Options::new().timeout_ms(Some(PATIENCE_MS)).strip_ansi_escape_codes(!with_escapes);
    spawn_with_options(command, options).unwrap()
}

/// What a terminal of 80 columns shows after the output of a program with escapes.
pub(super) fn screen(output: &str) -> String {
    let size = |characters| NonZero::new(characters).unwrap();
    let mut terminal = vt100::Parser::new(size(50), size(80), 0);
    // The terminal's output is read as a character for each byte.
    terminal.process(&output.chars().map(|character| character as u8).collect::<Vec<_>>());
    let lines = terminal.screen().rows(0, 80).map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// Enters a line and returns the output before the next prompt. The next line can be typed only then, since the prompt
/// does not read the terminal while statements run.
pub(super) fn enter(session: &mut PtySession, line: &str) -> String {
    session.send_line(line).unwrap();
    session.exp_string(PROMPT).unwrap()
}

/// The characters of an output, of which each byte is read as one.
pub(super) fn decoded(output: &str) -> String {
    String::from_utf8(output.chars().map(|byte| byte as u8).collect()).unwrap().replace('\r', "")
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
