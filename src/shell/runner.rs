//! Runs texts of SQL, one statement after the other, up to the first that fails.

use std::future::{Future, pending};
use std::io::Write;
use std::time::Instant;

use datafusion::config::SqlParserOptions;
use tokio::signal;

use super::printer::{PrintError, Printer};
use super::report;
use super::source::Source;
use crate::engine::Engine;
use crate::sql::{self, Script, Statement};
use crate::{Error, Result};

/// Why a run ended before its time.
#[derive(Debug)]
pub(super) enum Stop {
    /// A message for the user.
    Failed(String),
    /// Nobody reads the output any more.
    OutputClosed,
    /// Ctrl-C.
    Interrupted,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(report::message(&error))
    }
}

impl From<PrintError> for Stop {
    fn from(error: PrintError) -> Self {
        match error {
            PrintError::Query(error) => error.into(),
            PrintError::OutputClosed => Self::OutputClosed,
            PrintError::Output(error) => Self::Failed(format!("cannot write results: {error}")),
        }
    }
}

/// An engine and the place its results go to.
#[derive(Debug)]
pub(super) struct Runner<W> {
    engine: Engine,
    printer: Printer<W>,
}

impl<W: Write> Runner<W> {
    pub(super) fn new(engine: Engine, printer: Printer<W>) -> Self {
        Self { engine, printer }
    }

    /// Prints a text of the shell's own.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Stop> {
        Ok(self.printer.say(text)?)
    }

    /// How the session wants SQL to be read at the moment.
    pub(super) fn sql_options(&self) -> SqlParserOptions {
        self.engine
            .context()
            .state_ref()
            .read()
            .config()
            .options()
            .sql_parser
            .clone()
    }

    /// Runs all statements of all sources, in order.
    pub(super) async fn run_all(&mut self, sources: &[Source]) -> Result<(), Stop> {
        for source in sources {
            self.run(source).await?;
        }
        Ok(())
    }

    /// Runs all statements of one source, in order.
    pub(super) async fn run(&mut self, source: &Source) -> Result<(), Stop> {
        let located = |error| Stop::Failed(report::render(&error, source));
        let mut script = Script::new(&source.text, &self.sql_options()).map_err(located)?;
        while let Some(statement) = script.next_statement(&self.sql_options()).map_err(located)? {
            self.execute(statement).await.map_err(|error| match error {
                PrintError::Query(error) => located(error),
                error => Stop::from(error),
            })?;
        }
        Ok(())
    }

    async fn execute(&mut self, statement: Statement) -> Result<(), PrintError> {
        let started = Instant::now();
        // a plan or a description cut short would be of no use
        let all_rows = statement.is_introspection();
        let results = sql::plan(self.engine.context(), self.engine.models(), statement).await?;
        self.printer.print(results, all_rows, started).await
    }
}

/// Does `work` unless Ctrl-C comes first, which drops it: that is what cancels a query.
pub(super) async fn interruptible(work: impl Future<Output = Result<(), Stop>>) -> Result<(), Stop> {
    tokio::select! {
        result = work => result,
        () = interrupt() => Err(Stop::Interrupted),
    }
}

async fn interrupt() {
    if signal::ctrl_c().await.is_err() {
        // the system can't tell us about it, so it never comes
        pending().await
    }
}
