//! Runs texts of SQL, one statement after the other, up to the first that fails.

use std::io;
use std::time::Instant;

use datafusion::config::SqlParserOptions;

use super::printer::{PrintError, Printer};
use super::report;
use super::source::Source;
use crate::Engine;
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

/// An engine, and how its results are printed to standard output.
#[derive(Debug, Clone)]
pub(super) struct Runner {
    engine: Engine,
    printer: Printer,
}

impl Runner {
    pub(super) fn new(engine: Engine, printer: Printer) -> Self {
        Self { engine, printer }
    }

    /// How the session wants SQL to be read at the moment.
    pub(super) fn sql_options(&self) -> SqlParserOptions {
        self.engine.context().state_ref().read().config().options().sql_parser.clone()
    }

    /// Runs all statements of all sources, in order.
    pub(super) async fn run(&self, sources: &[Source]) -> Result<(), Stop> {
        for source in sources {
            self.run_source(source).await?;
        }
        Ok(())
    }

    async fn run_source(&self, source: &Source) -> Result<(), Stop> {
        let located = |error| Stop::Failed(report::render(&error, source));
        let mut script = Script::new(&source.text);
        while let Some(statement) = script.next_statement(&self.sql_options()).map_err(located)? {
            self.execute(statement).await.map_err(|error| match error {
                PrintError::Query(error) => located(error),
                error => Stop::from(error),
            })?;
        }
        Ok(())
    }

    async fn execute(&self, statement: Statement) -> Result<(), PrintError> {
        let started = Instant::now();
        // a plan or a description cut short would be of no use
        let all_rows = statement.is_introspection();
        let results = sql::plan(self.engine.context(), self.engine.models(), statement).await?;
        self.printer.print(results, all_rows, started, &mut io::stdout()).await
    }
}
