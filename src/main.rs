//! The `seequel` command: parses arguments, runs the shell and returns its exit status.

use std::env;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mimalloc::MiMalloc;
use seequel::exec::cancel_inference;
use seequel::model::runtime::DISABLE_TELEMETRY;
use seequel::shell::{self, Args, Progress};
use tokio::runtime::Builder;
use tracing::{Instrument, Span};

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
    let logs = match args.logs(&progress) {
        Ok(logs) => logs,
        Err(error) => return shell::fail(&error),
    };
    let exit = run(args, progress, logs.span())
        .unwrap_or_else(|error| shell::fail(&format!("cannot start the async runtime: {error}")));
    logs.end();
    exit
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

fn run(args: Args, progress: Progress, span: Span) -> io::Result<ExitCode> {
    let queries = Builder::new_multi_thread().enable_all().thread_stack_size(QUERY_STACK_BYTES).build()?;
    // The shell has its own thread, so that it handles Ctrl-C while queries keep all others busy.
    let shell = shell::run(args, progress, queries.handle()).instrument(span);
    let exit = Builder::new_current_thread().enable_all().build()?.block_on(shell);
    #[cfg(feature = "cluster")]
    seequel::cluster::finish_cancelling(LAST_BATCH);
    // Other work of a cancelled query may never yield. Inference does, and must end before `main` returns.
    queries.shutdown_background();
    cancel_inference(LAST_BATCH);
    Ok(exit)
}
