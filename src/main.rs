//! The `seequel` command: arguments in, exit status out; the shell does the rest.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mimalloc::MiMalloc;
use seequel::exec::wait_for_inference;
use seequel::shell::{self, Args, Progress};
use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Hash tables and Arrow buffers grow and go faster with it than with the system's allocator. Without huge pages, which
/// would keep 100 MB more resident and make nothing faster here.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What the main thread usually has: the planner recurses into expressions, and long ones are deep.
const QUERY_STACK_BYTES: usize = 8 << 20;

/// How long the last batch of a cancelled query may take before the process leaves without it.
const LAST_BATCH: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let args = Args::parse();
    let progress = args.progress();
    log_to_stderr(&progress);
    run(args, progress)
        .unwrap_or_else(|error| shell::fail(&format!("cannot start the async runtime: {error}")))
}

fn run(args: Args, progress: Progress) -> io::Result<ExitCode> {
    let queries = Builder::new_multi_thread().enable_all().thread_stack_size(QUERY_STACK_BYTES).build()?;
    // the shell has a thread of its own, to notice Ctrl-C while queries keep all others busy
    let exit = Builder::new_current_thread().enable_all().build()?.block_on(shell::run(
        args,
        progress,
        queries.handle(),
    ));
    // Other work of a cancelled query may never yield; inference does, and must not outlive `main`.
    queries.shutdown_background();
    wait_for_inference(LAST_BATCH);
    Ok(exit)
}

/// Warnings and worse and what is being fetched, or what `SEEQUEL_LOG` asks for (`info`, `seequel=debug`, …), above the
/// lines of progress.
fn log_to_stderr(progress: &Progress) {
    let progress = progress.clone();
    let wanted =
        std::env::var("SEEQUEL_LOG").unwrap_or_else(|_| "warn,seequel::model::fetch=info".to_owned());
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).parse_lossy(wanted);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || progress.stderr()).init();
}
