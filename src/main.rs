//! The `seequel` command: parses arguments, runs the shell and returns its exit status.

use std::env;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mimalloc::MiMalloc;
use seequel::exec::cancel_inference;
use seequel::model::runtime::DISABLE_TELEMETRY;
use seequel::shell::{self, Args, Progress};
use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Allocates and frees hash tables and Arrow buffers faster than the system allocator. Without huge pages, which would
/// keep 100 MB more resident without a speed-up here.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The usual stack size of a main thread: the planner recurses into expressions, and long ones are deep.
const QUERY_STACK_BYTES: usize = 8 << 20;

/// How long cancelled inference may take to end before the process exits without it.
const LAST_BATCH: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    disable_telemetry();
    let args = Args::parse();
    let progress = args.progress();
    log_to_stderr(&progress, args.log_filter());
    run(args, progress)
        .unwrap_or_else(|error| shell::fail(&format!("cannot start the async runtime: {error}")))
}

/// Keeps ONNX Runtime from reporting to its maker, unless the user has set the variable. Must be called before any
/// thread is started.
fn disable_telemetry() {
    if env::var_os(DISABLE_TELEMETRY).is_none() {
        // SAFETY: this is the process's only thread, so no other one reads the environment.
        #[expect(unsafe_code, reason = "ONNX Runtime has no other switch that works before it starts")]
        unsafe {
            env::set_var(DISABLE_TELEMETRY, "1");
        }
    }
}

fn run(args: Args, progress: Progress) -> io::Result<ExitCode> {
    let queries = Builder::new_multi_thread().enable_all().thread_stack_size(QUERY_STACK_BYTES).build()?;
    // The shell has its own thread, so that it handles Ctrl-C while queries keep all others busy.
    let exit = Builder::new_current_thread().enable_all().build()?.block_on(shell::run(
        args,
        progress,
        queries.handle(),
    ));
    // Other work of a cancelled query may never yield. Inference does, and must end before `main` returns.
    queries.shutdown_background();
    cancel_inference(LAST_BATCH);
    Ok(exit)
}

/// Logs what `filter` lets through, or what `SEEQUEL_LOG` selects (`info`, `seequel=debug`, …), above the progress
/// lines; in colours on a terminal, unless `NO_COLOR` is set.
fn log_to_stderr(progress: &Progress, filter: &str) {
    let progress = progress.clone();
    let wanted = env::var("SEEQUEL_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).parse_lossy(wanted);
    let with_colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(with_colours)
        .with_writer(move || progress.stderr())
        .init();
}
