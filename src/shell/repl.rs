//! The prompt: reads an entry, runs it, prints what comes of it, and starts over.

use std::env;
use std::io;
use std::path::PathBuf;

use datafusion::DATAFUSION_VERSION;
use datafusion::config::Dialect;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, Editor};
use tokio::runtime::Handle;

use super::command::{self, Command};
use super::interrupt::interruptible;
use super::prompt::StatementValidator;
use super::runner::{Runner, Stop};
use super::source::Source;
use super::{printer, report_error, to_stderr};

/// Runs what the user enters until they leave. Statements that fail are reported, and the session goes on.
pub(super) async fn run(runner: &Runner, queries: &Handle, quiet: bool) -> Result<(), Stop> {
    let mut terminal = Terminal::open()?;
    if !quiet {
        let version = env!("CARGO_PKG_VERSION");
        say(&format!("Seequel {version} on DataFusion {DATAFUSION_VERSION}; \\? lists commands\n"))?;
    }
    loop {
        // SET may have changed how SQL is read
        let dialect = runner.sql_options().dialect;
        let Some(entry) = terminal.read_entry(dialect)? else {
            return Ok(());
        };
        match Command::parse(&entry) {
            Ok(Command::Nothing) => {}
            Ok(Command::Quit) => return Ok(()),
            Ok(Command::Help) => say(command::HELP)?,
            Ok(Command::Sql(sql)) => run_sql(runner.clone(), queries, &sql).await?,
            Err(message) => report_error(&message),
        }
    }
}

async fn run_sql(runner: Runner, queries: &Handle, sql: &str) -> Result<(), Stop> {
    let source = Source::prompt(sql);
    match interruptible(queries, async move { runner.run(&[source]).await }).await {
        Err(Stop::Failed(message)) => report_error(&message),
        Err(Stop::Interrupted) => to_stderr("Cancelled"),
        done_or_closed => return done_or_closed,
    }
    Ok(())
}

fn say(text: &str) -> Result<(), Stop> {
    Ok(printer::write(&mut io::stdout(), text.as_bytes())?)
}

impl From<ReadlineError> for Stop {
    fn from(error: ReadlineError) -> Self {
        Self::Failed(format!("cannot use the terminal: {error}"))
    }
}

/// The line editor, whose history outlives the session.
struct Terminal {
    editor: Editor<StatementValidator, DefaultHistory>,
    history: Option<PathBuf>,
}

impl Terminal {
    fn open() -> rustyline::Result<Self> {
        let mut editor = Editor::with_config(Config::builder().auto_add_history(true).build())?;
        let history = env::home_dir().map(|home| home.join(".seequel_history"));
        if let Some(file) = history.as_ref().filter(|file| file.exists()) {
            editor.load_history(file)?;
        }
        Ok(Self { editor, history })
    }

    /// The next entry, or `None` if the user leaves by Ctrl-D.
    fn read_entry(&mut self, dialect: Dialect) -> rustyline::Result<Option<String>> {
        self.editor.set_helper(Some(StatementValidator { dialect }));
        loop {
            match self.editor.readline("seequel> ") {
                Ok(entry) => {
                    self.save_history();
                    return Ok(Some(entry));
                }
                // Ctrl-C throws away what was typed
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Saves as we go, since a session may end in ways we don't notice; that it can't be saved is no reason to stop.
    fn save_history(&mut self) {
        let Some(file) = &self.history else { return };
        if let Err(error) = self.editor.append_history(file) {
            tracing::warn!("cannot save the history in {}: {error}", file.display());
        }
    }
}
