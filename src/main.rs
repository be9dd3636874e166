//! The `seequel` command: arguments in, exit status out; the shell does the rest.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use seequel::shell::{self, Args};
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return shell::fail(&format!("cannot start the async runtime: {error}")),
    };
    let exit = runtime.block_on(shell::run(args));
    // a query that was cancelled may still sit in a call that cannot be interrupted: don't wait for it
    runtime.shutdown_background();
    exit
}

/// Warnings and worse, or what `SEEQUEL_LOG` asks for (`info`, `seequel=debug`, …).
fn log_to_stderr() {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .with_env_var("SEEQUEL_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
}
