//! `seequel scheduler` and `seequel executor`: processes of a cluster.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use tokio::runtime::Handle;

use super::runner::Stop;
use super::signals::{interrupt, terminate};
use crate::cluster::{
    Address, ExecutorSettings, Security, executor_bind, run_executor, run_scheduler, scheduler_bind,
    supervise, supervisor_asks,
};
use crate::{Engine, Result};

/// The argument of a process that has a supervisor.
const SUPERVISED: &str = "--supervised";

const SCHEDULER_EXAMPLES: &str = "\
Examples:
  A cluster of two machines, and a query on it:
    gpu-1$ openssl rand -hex 24 > token    # and copy it to the others
    gpu-1$ seequel scheduler --bind 10.0.0.1:50050 --token-file token
    gpu-1$ seequel executor --scheduler 10.0.0.1:50050 --bind 10.0.0.1 --token-file token
    gpu-2$ seequel executor --scheduler 10.0.0.1:50050 --bind 10.0.0.2 --token-file token
    any$   seequel --cluster df://10.0.0.1:50050 --token-file token -c \"SELECT path, classify(image) FROM '/shared/photos/**'\"

Without --tls the token and all rows cross the network as they are: use a network that you trust.
docs/cluster.md says what runs on a cluster, and how to make certificates.";

const EXECUTOR_EXAMPLES: &str = "\
Examples:
  Tasks for all cores but one:
    seequel executor --scheduler gpu-1:50050 --bind 10.0.0.2 --cores 7 --token-file token

  In a container, whose address others don't know:
    seequel executor --scheduler gpu-1:50050 --bind 0.0.0.0 --host gpu-2 --token-file token --tls /etc/seequel

Local files that queries name must be at the same paths on all machines. Models are found by their digests: at the path
that the query's machine has them at, or in $SEEQUEL_HOME/models. Ctrl-C and SIGTERM end what has begun first.";

/// A process of a cluster.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Process {
    /// Divide the queries of clients into tasks for executors, until Ctrl-C
    #[command(after_help = SCHEDULER_EXAMPLES)]
    Scheduler {
        /// Address and port to listen at; one that other machines can reach needs a token
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50050", value_parser = scheduler_bind)]
        bind: SocketAddr,

        #[command(flatten)]
        security: SecurityArgs,
    },
    /// Run tasks of a scheduler, with this machine's cores and devices, until Ctrl-C
    #[command(after_help = EXECUTOR_EXAMPLES)]
    Executor {
        /// The scheduler
        #[arg(long, value_name = "URL")]
        scheduler: Address,

        /// Tasks at a time [default: one for each core]
        #[arg(long, value_name = "N")]
        cores: Option<NonZeroUsize>,

        /// Address to listen at; one that other machines can reach needs a token
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1", value_parser = executor_bind)]
        bind: IpAddr,

        /// Port to listen at [default: a free one]
        #[arg(long, value_name = "PORT", default_value = "0", hide_default_value = true)]
        port: u16,

        /// Name by which clients and other executors reach this machine [default: the address of --bind]
        #[arg(long, value_name = "HOST")]
        host: Option<String>,

        /// ONNX Runtime to open: cpu, openvino, webgpu or cuda [default: $SEEQUEL_RUNTIME, or cpu]
        #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        runtime: Option<String>,

        #[command(flatten)]
        security: SecurityArgs,

        /// The folder of the supervisor that has started this process
        #[arg(long, value_name = "FOLDER", hide = true)]
        supervised: Option<PathBuf>,
    },
}

/// What the processes of a cluster know each other by.
#[derive(Debug, Clone, Args)]
pub(crate) struct SecurityArgs {
    /// File of the token, the same for all of the cluster [default: the token is in $SEEQUEL_CLUSTER_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Folder with ca.crt, tls.crt and tls.key: encrypt by TLS, as all of the cluster must
    #[arg(long, value_name = "FOLDER")]
    tls: Option<PathBuf>,
}

impl SecurityArgs {
    fn load(&self) -> Result<Security> {
        security(self.token_file.as_ref(), self.tls.as_ref())
    }
}

/// The token and certificates of arguments and of the environment.
pub(super) fn security(token_file: Option<&PathBuf>, tls: Option<&PathBuf>) -> Result<Security> {
    Ok(Security::load(token_file.map(PathBuf::as_path), tls.map(PathBuf::as_path))?)
}

/// Runs a process of a cluster on the threads of `queries` until Ctrl-C or SIGTERM; returns its exit status. An executor is a
/// process that starts another, which works.
///
/// `announce` is told where it is.
pub(super) async fn run(process: Process, queries: &Handle, announce: fn(&str)) -> Result<u8, Stop> {
    if matches!(process, Process::Executor { supervised: None, .. }) {
        let supervised = |folder: &Path| vec![SUPERVISED.into(), folder.into()];
        return Ok(supervise(supervised, stopped()).await?);
    }
    let ran = queries.spawn(async move {
        match process {
            Process::Scheduler { bind, security } => {
                run_scheduler(bind, security.load()?, |address| announce(&listening(address)), stopped())
                    .await
            }
            Process::Executor { scheduler, cores, bind, port, host, runtime, security, supervised } => {
                let builder = Engine::builder();
                let engine = match runtime {
                    Some(name) => builder.runtime(name).build()?,
                    None => builder.build()?,
                };
                let started = |cores| announce(&format!("Running up to {cores} tasks of {scheduler}."));
                let (scheduler, security) = (scheduler.clone(), security.load()?);
                let settings = ExecutorSettings { scheduler, bind, port, host, cores, security, supervised };
                let (stopped, asked) = (stopped(), supervisor_asks()?);
                let stop = async {
                    tokio::select! {
                        () = stopped => {}
                        () = asked => {}
                    }
                };
                Box::pin(run_executor(settings, engine.models(), started, stop)).await
            }
        }
    });
    match ran.await {
        Ok(result) => Ok(result.map(|()| 0)?),
        Err(error) => Err(Stop::Failed(format!("the process ended: {error}"))),
    }
}

fn listening(address: SocketAddr) -> String {
    format!("Scheduling at df://{address}; start executors with `seequel executor --scheduler {address}`.")
}

/// Completes with the first Ctrl-C or SIGTERM from now on.
fn stopped() -> impl Future<Output = ()> {
    let (interrupted, terminated) = (interrupt(), terminate());
    async {
        tokio::select! {
            () = interrupted => {}
            () = terminated => {}
        }
    }
}
