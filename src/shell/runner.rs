//! Runs SQL statements and commands in order, up to the first that fails.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use datafusion::common::utils::quote_identifier;
use datafusion::config::SqlParserOptions;
use datafusion::dataframe::DataFrame;
use datafusion::physical_plan::ExecutionPlan;
use futures::future::{AbortHandle, Abortable, Aborted};
use parking_lot::Mutex;
use tracing::Instrument;

use super::output::Output;
use super::source::Source;
use super::{catalog, look, report};
#[cfg(feature = "cluster")]
use crate::cluster;
use crate::dashboard::DashboardAddress;
use crate::engine::titled;
use crate::quantize::Record;
use crate::queries::{Outcome, RunningQuery};
use crate::shell::look::{ReportRequest, SheetRequest, Target};
use crate::shell::print::{Detail, Page, PrintError, Printer, printer};
use crate::shell::progress::Progress;
use crate::shell::prompt::command;
use crate::shell::prompt::command::{Command, Dashboard};
use crate::sql::{Explanation, Script, Statement};
use crate::{Engine, Error, Result, sql, tune};

/// Maximum nesting depth of `\i`, to stop files that include each other.
const MAX_DEPTH: usize = 16;

/// Why a run ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A message for the user.
    Failed(String),
    /// `\q`.
    Quit,
    /// The reader of the output has closed it.
    OutputClosed,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
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

/// Settings of a session that commands change.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) printer: Printer,
    /// Whether a summary follows each result.
    pub(crate) timing: bool,
    pub(crate) output: Output,
}

/// An engine and the settings for its results. Clones share both.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    engine: Engine,
    settings: Arc<Mutex<Settings>>,
    /// The last query, for `\report`.
    last_query: Arc<Mutex<Option<String>>>,
    progress: Progress,
    /// Whether nothing but results and errors is shown.
    quiet: bool,
    /// Whether queries are left on the cluster.
    #[cfg(feature = "cluster")]
    detaches: bool,
}

impl Runner {
    pub(crate) fn new(engine: Engine, printer: Printer, quiet: bool, progress: Progress) -> Self {
        let settings = Settings { printer, timing: !quiet, output: Output::standard(&progress) };
        Self {
            engine,
            settings: Arc::new(Mutex::new(settings)),
            last_query: Arc::default(),
            progress,
            quiet,
            #[cfg(feature = "cluster")]
            detaches: false,
        }
    }

    /// Leaves queries on the cluster, if `detaches`.
    #[cfg(feature = "cluster")]
    pub(crate) fn detaching(self, detaches: bool) -> Self {
        Self { detaches, ..self }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The session's current SQL parser options.
    pub(crate) fn sql_options(&self) -> SqlParserOptions {
        self.engine.context().state_ref().read().config().options().sql_parser.clone()
    }

    /// Runs all statements and commands of all sources, in order.
    pub(crate) async fn run(&self, sources: &[Source]) -> Result<(), Stop> {
        for source in sources {
            self.run_source(source, 0).await?;
        }
        Ok(())
    }

    async fn run_source(&self, source: &Source, depth: usize) -> Result<(), Stop> {
        let located = |error, explanation| Stop::Failed(report::render(&error, explanation, source));
        let misparsed = |error| located(error, Explanation::default());
        let mut script = Script::new(&source.text);
        loop {
            let options = self.sql_options();
            if let Some((place, line)) = script.next_command(&options).map_err(misparsed)? {
                let misread = |message: String| Stop::Failed(report::at(place, &message, source));
                self.perform(Command::parse(line).map_err(misread)?, source, depth).await?;
            } else if let Some(statement) = script.next_statement(&options).map_err(misparsed)? {
                sql::contained(Box::pin(self.execute(statement))).await.map_err(|error| match error {
                    PrintError::Query(error) => {
                        let models = self.engine.models().names();
                        let explanation = script.explain(&error, &options, &models);
                        located(error, explanation)
                    }
                    error => Stop::from(error),
                })?;
            } else {
                return Ok(());
            }
        }
    }

    /// Runs a statement, which is listed among the engine's queries and ends when it is cancelled there.
    async fn execute(&self, statement: Statement) -> Result<(), PrintError> {
        let (abort, registration) = AbortHandle::new_pair();
        let listed = self.engine.queries().begin(&statement.to_string(), move || abort.abort());
        let executed = self.execute_listed(statement, &listed).instrument(listed.span());
        let result = match Abortable::new(executed, registration).await {
            Ok(result) => result,
            Err(Aborted) => Err(PrintError::Query(Error::Cancelled)),
        };
        listed.end(&outcome(&result));
        result
    }

    async fn execute_listed(&self, statement: Statement, listed: &RunningQuery) -> Result<(), PrintError> {
        let started = Instant::now();
        // A truncated plan or description would be of no use.
        let (Settings { printer, timing, mut output }, page) = self.page(statement.is_introspection());
        let mut watch = None;
        let observe = |plan: &Arc<dyn ExecutionPlan>| {
            listed.observe(plan);
            watch = Some(self.progress.watch(plan));
        };
        if let Some(query) = statement.query() {
            *self.last_query.lock() = Some(query);
        }
        let created = self.created_by(&statement);
        let tuned = match &statement {
            Statement::TuneModel(tune) => Some(tune.name.clone()),
            _ => None,
        };
        let text = statement.to_string();
        let results = sql::plan(self.engine.context(), self.engine.models(), statement, observe).await?;
        let results = titled(results, &text);
        #[cfg(feature = "cluster")]
        if self.detaches
            && let Some(id) = cluster::detach(&results).await?
        {
            return printer::write(&mut output, format!("{id}\n").as_bytes());
        }
        if let Some(model) = created {
            self.remark(&model);
        }
        if let Some(summary) =
            tuned.and_then(|model| tune::summary(self.engine.models(), &model)).filter(|_| !self.quiet)
        {
            let _ = writeln!(io::stderr(), "{summary}; SHOW TUNING shows all");
        }
        let inference = watch.as_ref().and_then(|watch| watch.inference());
        let facts = watch.as_ref().and_then(|watch| watch.facts());
        let skipped_files = watch.map_or(0, |watch| watch.skipped_files());
        let shown = (&self.progress, Some(listed));
        let mut summary = printer.print(results, page, started, shown, &mut output).await?;
        summary.inference = summary.inference.or(inference);
        summary.facts = summary.facts.or(facts);
        summary.skipped_files += skipped_files;
        if timing { say(&format!("{summary}\n\n")) } else { Ok(()) }
    }

    /// The settings with the format of the output, and what fits there; `is_whole` shows all rows and whole values.
    fn page(&self, is_whole: bool) -> (Settings, Page) {
        let mut settings = self.settings.lock().clone();
        let output = &settings.output;
        settings.printer.format = output.format().unwrap_or(settings.printer.format);
        let page = Page {
            width: output.width(),
            all_rows: is_whole || matches!(output, Output::File(_)),
            detail: if is_whole { Detail::Whole } else { Detail::Short },
        };
        (settings, page)
    }

    /// The name of the model that `statement` creates.
    fn created_by(&self, statement: &Statement) -> Option<String> {
        let (name, if_not_exists) = match statement {
            Statement::CreateModel(create) => (&create.name, create.if_not_exists),
            Statement::CreateQuantized(create) => (&create.name, create.if_not_exists),
            _ => return None,
        };
        let is_kept = if_not_exists && self.engine.models().names().contains(name);
        (!is_kept).then(|| name.clone())
    }

    /// Says on standard error what a new model assumes, or how a quantized one compares with its original: standard
    /// output may be a pipe of results.
    fn remark(&self, name: &str) {
        let Ok(model) = self.engine.models().get(name) else { return };
        let spec = model.spec();
        let quantized = Record::beside(&spec.file).map(|record| format!("quantized: {}", record.summary()));
        let remark = quantized.or_else(|| Some(format!("assumed: {}", spec.assumptions()?)));
        if let Some(remark) = remark.filter(|_| !self.quiet) {
            // If standard error is closed, the remark is lost.
            let _ = writeln!(io::stderr(), "{remark}; DESCRIBE MODEL {} shows all", quote_identifier(name));
        }
    }

    /// Prints all rows of what a command lists.
    async fn list(&self, listed: DataFrame) -> Result<(), PrintError> {
        let started = Instant::now();
        let (Settings { printer, timing, mut output }, page) = self.page(true);
        let summary = printer.print(listed, page, started, (&self.progress, None), &mut output).await?;
        if timing { say(&format!("{summary}\n\n")) } else { Ok(()) }
    }

    async fn perform(&self, command: Command, source: &Source, depth: usize) -> Result<(), Stop> {
        match command {
            Command::Quit => return Err(Stop::Quit),
            Command::Help => say(command::HELP)?,
            Command::Sql(text) => {
                let source = Source { name: source.name.clone(), text };
                Box::pin(self.run_source(&source, depth)).await?;
            }
            Command::Tables(tables) => match catalog::tables(&self.engine, &tables).await? {
                Some(listed) => self.list(listed).await?,
                None => say(catalog::NO_TABLES)?,
            },
            Command::Functions(functions) => {
                self.list(catalog::functions(&self.engine, &functions)?).await?;
            }
            Command::Include(file) => self.include(&file, depth + 1).await?,
            Command::Show(target) => Box::pin(self.show(&target, source)).await?,
            Command::Report(request) => Box::pin(self.report(&request, source)).await?,
            Command::ContactSheet(request) => Box::pin(self.contact_sheet(&request, source)).await?,
            Command::Dashboard(Dashboard::Open(address)) => self.open_dashboard(address)?,
            Command::Dashboard(Dashboard::Close) => self.engine.close_dashboard(),
            Command::Settings => say(&self.settings_text())?,
            Command::Expanded(switch) => {
                let mut settings = self.settings.lock();
                let expanded = switch.unwrap_or_else(|| settings.printer.expanded.toggled());
                settings.printer.expanded = expanded;
                say(&format!("Expanded display is {expanded}.\n"))?;
            }
            Command::Timing(switch) => {
                let mut settings = self.settings.lock();
                settings.timing = switch.unwrap_or(!settings.timing);
                say(&format!("Timing is {}.\n", on_or_off(settings.timing)))?;
            }
            Command::Format(format) => self.settings.lock().printer.format = format,
            Command::MaxRows(max_rows) => self.settings.lock().printer.max_rows = max_rows,
            Command::Null(text) => set_null(&self.engine, text),
            Command::Output(None) => self.settings.lock().output = Output::standard(&self.progress),
            Command::Output(Some(file)) => self.settings.lock().output = Output::file(&file)?,
        }
        Ok(())
    }

    /// Opens the dashboard and says on standard error where it is: standard output may be a pipe of results. With `--quiet`
    /// only the link with a token is shown, which nobody could guess.
    pub(crate) fn open_dashboard(&self, address: DashboardAddress) -> Result<(), Error> {
        let url = self.engine.open_dashboard(address)?;
        if !self.quiet || !address.is_local() {
            // If standard error is closed, the link is lost.
            let _ = writeln!(io::stderr(), "Dashboard: {url}");
        }
        Ok(())
    }

    async fn show(&self, target: &Target, source: &Source) -> Result<(), Stop> {
        let mut screen = Output::standard(&self.progress);
        let shown = look::show(&self.engine, target, &self.progress, &mut screen).await;
        shown.map_err(|error| match error {
            PrintError::Query(error) => self.in_query(&error, target.sql(), source),
            error => error.into(),
        })
    }

    async fn contact_sheet(&self, request: &SheetRequest, source: &Source) -> Result<(), Stop> {
        let written = look::write_sheet(&self.engine, request, &self.progress).await;
        say(&written.map_err(|error| self.in_query(&error, request.target.sql(), source))?)?;
        Ok(())
    }

    async fn report(&self, request: &ReportRequest, source: &Source) -> Result<(), Stop> {
        let Some(sql) = request.query.clone().or_else(|| self.last_query.lock().clone()) else {
            let reason = "\\report: there was no query yet; \\report query.html SELECT … runs one";
            return Err(Stop::Failed(reason.to_owned()));
        };
        let written = request.write(&self.engine, &sql, &self.progress).await;
        say(&written.map_err(|error| self.in_query(&error, sql, source))?)?;
        Ok(())
    }

    /// Runs a file; `\q` in it ends only that file.
    async fn include(&self, file: &Path, depth: usize) -> Result<(), Stop> {
        if depth > MAX_DEPTH {
            let reason = format!("\\i: {MAX_DEPTH} files are nested; does one of them run itself?");
            return Err(Stop::Failed(reason));
        }
        match Box::pin(self.run_source(&Source::file(file)?, depth)).await {
            Err(Stop::Quit) => Ok(()),
            result => result,
        }
    }

    /// An error of a command's query, with its place in that.
    fn in_query(&self, error: &Error, sql: String, source: &Source) -> Stop {
        let query = Source { name: source.name.clone(), text: sql };
        let (options, models) = (self.sql_options(), self.engine.models().names());
        let mut script = Script::new(&query.text);
        // The query was parsed before it ran.
        let explanation = match script.next_statement(&options) {
            Ok(Some(_)) => script.explain(error, &options, &models),
            _ => Explanation::default(),
        };
        Stop::Failed(report::render(error, explanation, &query))
    }

    fn settings_text(&self) -> String {
        let Settings { printer: Printer { format, max_rows, expanded }, timing, output } =
            self.settings.lock().clone();
        let null = self.engine.context().state_ref().read().config().options().format.null.clone();
        let file_format = output.format().map(|format| format!(", as {format}")).unwrap_or_default();
        format!(
            "format    {format}\nmaxrows   {max_rows}\nnull      '{null}'\nexpanded  {expanded}\n\
             timing    {}\noutput    {output}{file_format}\n",
            on_or_off(timing)
        )
    }
}

/// How a statement ended.
fn outcome(result: &Result<(), PrintError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Finished,
        Err(PrintError::Query(Error::Cancelled) | PrintError::OutputClosed) => Outcome::Cancelled,
        Err(PrintError::Query(error)) => Outcome::Failed(report::message(error)),
        Err(PrintError::Output(error)) => Outcome::Failed(error.to_string()),
    }
}

/// Sets the text that is printed for NULL.
pub(crate) fn set_null(engine: &Engine, text: String) {
    engine.context().state_ref().write().config_mut().options_mut().format.null = text;
}

fn on_or_off(switch: bool) -> &'static str {
    if switch { "on" } else { "off" }
}

/// Prints a message that is not a result to standard output, regardless of `\o`.
pub(crate) fn say(text: &str) -> Result<(), PrintError> {
    printer::write(&mut io::stdout(), text.as_bytes())
}
