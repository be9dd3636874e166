//! The command line: SQL from arguments, files, standard input or a prompt; results to standard output.
//!
//! ```text
//!  --rc, scripts, --command, stdin ► Source ─┐
//!                                            ├─► Runner ─ sql::Script ─► statement ─► DataFrame ─► Printer ─┐
//!  prompt (repl) ──────────────────► Source ─┘      │ │  │                        Output ─► stdout, or the file of \o
//!                                                   │ │  └─ Command ─► settings, files, catalog; look/: images
//!                                                   │ └─ Progress ─► stderr
//!                                                   └─ Stop: error with its place in the Source ─► stderr, exit status
//! ```

mod args;
mod catalog;
mod interrupt;
mod logs;
pub(crate) mod look;
mod output;
pub(crate) mod print;
#[cfg(feature = "cluster")]
mod process;
pub(crate) mod progress;
pub(crate) mod prompt;
mod repl;
mod report;
mod runner;
mod signals;
mod source;

use std::env;
use std::io::{self, IsTerminal, Write};

pub use args::Args;
pub use logs::Logs;
pub use progress::Progress;
pub use signals::catch_signals;
use tokio::runtime::Handle;

use crate::Engine;
use crate::{Error, Result};
use interrupt::{INTERRUPTED, TERMINATED, interruptible};
use print::{Expanded, Printer};
use runner::{Runner, Stop, set_null};
use source::Source;

/// Exit status after an error.
const FAILED: u8 = 1;

/// Runs the shell as given by `args` and returns the exit status: 0, 1 after an error, 130 after Ctrl-C,
/// 143 after SIGTERM. All that it has written is flushed.
///
/// Statements run on the threads of `queries`, which must not be those that poll this future: a query that keeps them
/// busy would delay the handling of Ctrl-C. [`catch_signals`] was called first, or signals end the process as if nothing ran.
/// `progress` comes from [`Args::progress`].
pub async fn run(args: Args, progress: Progress, queries: &Handle) -> u8 {
    #[cfg(feature = "cluster")]
    if let Some(process) = &args.process {
        let ran = process::run(process.clone(), queries, to_stderr).await;
        return ran.unwrap_or_else(exit_code);
    }
    match run_args(&args, progress, queries).await {
        Ok(()) => 0,
        Err(stop) => exit_code(stop),
    }
}

fn exit_code(stop: Stop) -> u8 {
    match stop {
        // A closed output is no error: the reader, such as `head`, needs no more.
        Stop::Quit | Stop::OutputClosed => 0,
        Stop::Interrupted => INTERRUPTED,
        Stop::Terminated => TERMINATED,
        Stop::Failed(message) => fail(&message),
    }
}

/// Reports an error on standard error and returns the exit status for it.
pub fn fail(message: &str) -> u8 {
    report_error(message);
    FAILED
}

fn report_error(message: &str) {
    to_stderr(&format!("Error: {message}"));
}

fn to_stderr(line: &str) {
    // If standard error is closed too, the error can't be reported.
    let _ = writeln!(io::stderr(), "{line}");
}

async fn run_args(args: &Args, progress: Progress, queries: &Handle) -> Result<(), Stop> {
    let interactive = args.asks_for_sql() && io::stdin().is_terminal();
    // Files are read before the working directory changes and before anything runs, so that a wrong name fails early.
    let sources = read_sources(args, interactive)?;
    let runner = Runner::new(
        start_engine(args, queries)?,
        Printer { format: args.format, max_rows: args.maxrows, expanded: Expanded::Off },
        args.quiet,
        progress,
    );
    #[cfg(feature = "cluster")]
    let runner = runner.detaching(args.detach);
    if let Some(address) = args.dashboard {
        runner.open_dashboard(address)?;
    }
    let result = run_sources(&runner, sources, interactive, queries, args.quiet).await;
    // Its thread would end with the process, before its history is complete.
    runner.engine().close_dashboard();
    result
}

async fn run_sources(
    runner: &Runner,
    sources: Vec<Source>,
    interactive: bool,
    queries: &Handle,
    quiet: bool,
) -> Result<(), Stop> {
    let script_runner = runner.clone();
    interruptible(queries, runner.progress(), async move { script_runner.run(&sources).await }).await?;
    if interactive { repl::run(runner, queries, quiet).await } else { Ok(()) }
}

/// Starts the engine, and changes to the folder that relative paths in SQL start from.
fn start_engine(args: &Args, queries: &Handle) -> Result<Engine> {
    let _entered = queries.enter();
    let builder = Engine::builder().memory_limit(args.memory_limit).dashboard_actions(args.dashboard_actions);
    #[cfg(feature = "cluster")]
    let builder = match &args.cluster {
        Some(scheduler) => {
            let security = process::security(args.token_file.as_ref(), args.tls.as_ref())?;
            builder.cluster(scheduler.clone()).cluster_security(security)
        }
        None => builder,
    };
    let engine = match &args.runtime {
        Some(name) => builder.runtime(name).build()?,
        None => builder.build()?,
    };
    if let Some(rows) = args.batch_size {
        let state = engine.context().state_ref();
        state.write().config_mut().options_mut().execution.batch_size = rows;
    }
    if let Some(text) = &args.null {
        set_null(&engine, text.clone());
    }
    if let Some(path) = &args.data_path {
        env::set_current_dir(path).map_err(|source| Error::Io { path: path.clone(), source })?;
    }
    Ok(engine)
}

/// The SQL to run, before the prompt if there is one: start-up files, then scripts, `--file` and `--command`, or standard
/// input if none is given.
fn read_sources(args: &Args, interactive: bool) -> Result<Vec<Source>> {
    let mut sources =
        args.startup_files().iter().map(|path| Source::file(path)).collect::<Result<Vec<_>>>()?;
    for path in args.files() {
        sources.push(Source::file(path)?);
    }
    for sql in &args.command {
        sources.push(Source::command(sql)?);
    }
    if args.asks_for_sql() && !interactive {
        sources.push(Source::stdin()?);
    }
    Ok(sources)
}
