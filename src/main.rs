//! The `seequel` command: parses arguments, runs the shell and returns its exit status.

use std::env;
use std::io;
use std::time::Duration;

use clap::Parser;
use mimalloc::MiMalloc;
use seequel::exec::exit;
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

/// How long the scheduler of a cluster may take to be told that a query is cancelled.
#[cfg(feature = "cluster")]
const TOLD: Duration = Duration::from_secs(5);

/// How long cancelled work may take to end and to drop what it holds, such as the unfinished files of a `COPY`. The process
/// ends without waiting longer: loading a model can take seconds, and can't be stopped.
const LAST_WORK: Duration = Duration::from_millis(500);

fn main() {
    disable_telemetry();
    let args = Args::parse();
    // Before any other thread is started, as is the above.
    if let Err(error) = shell::catch_signals() {
        exit(shell::fail(&format!("signals can't be handled: {error}")));
    }
    let progress = args.progress();
    let logs = match args.logs(&progress) {
        Ok(logs) => logs,
        Err(error) => exit(shell::fail(&error)),
    };
    let status = run(args, progress, logs.span())
        .unwrap_or_else(|error| shell::fail(&format!("cannot start the async runtime: {error}")));
    logs.end();
    // Not by returning, since threads may still load or run models.
    exit(status)
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

fn run(args: Args, progress: Progress, span: Span) -> io::Result<u8> {
    let queries = Builder::new_multi_thread().enable_all().thread_stack_size(QUERY_STACK_BYTES).build()?;
    // The shell has its own thread, so that it handles Ctrl-C while queries keep all others busy.
    let shell = shell::run(args, progress, queries.handle()).instrument(span);
    let status = Builder::new_current_thread().enable_all().build()?.block_on(shell);
    #[cfg(feature = "cluster")]
    seequel::cluster::finish_cancelling(TOLD);
    queries.shutdown_timeout(LAST_WORK);
    Ok(status)
}
