//! The prompt: reads entries, runs them and prints their results.

use std::env;
use std::path::PathBuf;

use datafusion::DATAFUSION_VERSION;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio::runtime::Handle;

use super::interrupt::{exit_at_sigterm, interruptible};
use super::runner::{Runner, Stop, say};
use super::source::Source;
use crate::shell::prompt::command::Command;
use crate::shell::prompt::{Assistant, Names};
use crate::shell::{report_error, to_stderr};

const PROMPT: &str = "seequel> ";
/// The prompt of further lines of a statement, as wide as the first.
const CONTINUATION: &str = "     ->  ";

/// Runs the user's entries until they quit. Errors are reported and the session continues.
pub(crate) async fn run(runner: &Runner, queries: &Handle, quiet: bool) -> Result<(), Stop> {
    let mut terminal = Terminal::open()?;
    if !quiet {
        let version = env!("CARGO_PKG_VERSION");
        say(&format!("Seequel {version} on DataFusion {DATAFUSION_VERSION}; \\? lists commands\n"))?;
    }
    loop {
        // A statement may have changed the names and the dialect.
        let names = Names::of(runner.engine()).await;
        let assistant = Assistant { dialect: runner.sql_options().dialect, names, before: String::new() };
        let entry = {
            let _waiting = exit_at_sigterm(queries);
            terminal.read_entry(assistant)?
        };
        let Some(entry) = entry else {
            return Ok(());
        };
        let text = Command::bare(&entry).unwrap_or(&entry);
        let (source, entry_runner) = (Source::prompt(text), runner.clone());
        let run = async move { entry_runner.run(&[source]).await };
        match interruptible(queries, runner.progress(), run).await {
            Err(Stop::Failed(message)) => report_error(&message),
            Err(Stop::Interrupted) => to_stderr("Cancelled"),
            Err(Stop::Quit) => return Ok(()),
            result => result?,
        }
    }
}

impl From<ReadlineError> for Stop {
    fn from(error: ReadlineError) -> Self {
        Self::Failed(format!("cannot use the terminal: {error}"))
    }
}

/// The line editor, with a history that persists across sessions.
struct Terminal {
    editor: Editor<Assistant, DefaultHistory>,
    history: Option<PathBuf>,
}

impl Terminal {
    fn open() -> rustyline::Result<Self> {
        let config = Config::builder().completion_type(CompletionType::List);
        let mut editor = Editor::with_config(config.build())?;
        let history = env::home_dir().map(|home| home.join(".seequel_history"));
        if let Some(file) = history.as_ref().filter(|file| file.exists()) {
            editor.load_history(file)?;
        }
        Ok(Self { editor, history })
    }

    /// The next entry, or `None` after Ctrl-D. It is read line by line, so that each gets a prompt; text that is pasted or
    /// recalled may have several.
    fn read_entry(&mut self, assistant: Assistant) -> rustyline::Result<Option<String>> {
        self.editor.set_helper(Some(assistant));
        let mut entry = String::new();
        loop {
            let prompt = if entry.is_empty() { PROMPT } else { CONTINUATION };
            match self.editor.readline(prompt) {
                Ok(line) => entry.push_str(&line),
                Err(ReadlineError::Interrupted) => {
                    // Ctrl-C discards the typed text. The lines entered before can be recalled.
                    self.editor.add_history_entry(entry.trim_end())?;
                    entry.clear();
                    self.before(&entry);
                    continue;
                }
                Err(ReadlineError::Eof) => return Ok(None),
                Err(error) => return Err(error),
            }
            if self.editor.helper().is_none_or(|assistant| assistant.is_complete(&entry)) {
                self.editor.add_history_entry(entry.as_str())?;
                self.save_history();
                return Ok(Some(entry));
            }
            entry.push('\n');
            self.before(&entry);
        }
    }

    /// Tells the assistant the lines before the next one.
    fn before(&mut self, lines: &str) {
        if let Some(assistant) = self.editor.helper_mut() {
            lines.clone_into(&mut assistant.before);
        }
    }

    /// Saves the history after each entry, because a session may be killed. An error is logged only.
    fn save_history(&mut self) {
        let Some(file) = &self.history else { return };
        if let Err(error) = self.editor.append_history(file) {
            tracing::warn!("cannot save the history in {}: {error}", file.display());
        }
    }
}
