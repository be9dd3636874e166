//! The prompt: reads entries, runs them and prints their results.

use std::env;
use std::path::PathBuf;

use datafusion::DATAFUSION_VERSION;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio::runtime::Handle;

use super::interrupt::interruptible;
use super::runner::{Runner, Stop, say};
use super::source::Source;
use crate::shell::prompt::command::Command;
use crate::shell::prompt::{Assistant, Names};
use crate::shell::{report_error, to_stderr};

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
        let assistant = Assistant { dialect: runner.sql_options().dialect, names };
        let Some(entry) = terminal.read_entry(assistant)? else {
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
        let config = Config::builder().auto_add_history(true).completion_type(CompletionType::List);
        let mut editor = Editor::with_config(config.build())?;
        let history = env::home_dir().map(|home| home.join(".seequel_history"));
        if let Some(file) = history.as_ref().filter(|file| file.exists()) {
            editor.load_history(file)?;
        }
        Ok(Self { editor, history })
    }

    /// The next entry, or `None` after Ctrl-D.
    fn read_entry(&mut self, assistant: Assistant) -> rustyline::Result<Option<String>> {
        self.editor.set_helper(Some(assistant));
        loop {
            match self.editor.readline("seequel> ") {
                Ok(entry) => {
                    self.save_history();
                    return Ok(Some(entry));
                }
                // Ctrl-C discards the typed text.
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(None),
                Err(error) => return Err(error),
            }
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
