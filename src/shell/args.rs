//! The command line arguments.

use std::env;
use std::path::PathBuf;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;
use datafusion::config::ConfigNonZeroUsize;

#[cfg(feature = "cluster")]
use super::process::Process;
#[cfg(feature = "cluster")]
use crate::cluster::Address;
use crate::dashboard::DashboardAddress;
use crate::shell::logs::{LogFormat, Logs};
use crate::shell::print::{Format, MaxRows, size};
use crate::shell::progress::{Progress, When};

const EXAMPLES: &str = "\
Examples:
  A first look at a folder of images, reading nothing but their headers:
    seequel -c \"SELECT path, width, height FROM 'photos/*.jpg' LIMIT 5\"

  What is in them?
    seequel -c \"CREATE MODEL resnet FROM 'models/resnet50.onnx'\" \\
            -c \"SELECT path, classify(image, 'resnet') FROM 'photos/*.jpg'\"

  The same for a million of them, into a file:
    seequel -c \"CREATE MODEL resnet FROM 'models/resnet50.onnx'\" \\
            -c \"COPY (SELECT path, classify(image, 'resnet') AS prediction FROM 'photos/*.jpg') TO 'results.parquet'\"

  A script, in 2 GiB of memory:
    seequel --memory-limit 2g report.sql

  Into a pipe:
    echo \"SELECT path FROM 'photos/*.jpg'\" | seequel --quiet --format nd-json | wc -l

Scripts run first, then the files of -f, then the statements of -c. Without any of them, SQL is read from standard
input, or from a prompt if that is a terminal. SQL may be mixed with the commands of the prompt, a line each: \\? lists
them. ~/.seequelrc runs at each start of a prompt or of SQL from standard input.
SEEQUEL_LOG=info (or debug) logs to standard error; OTEL_EXPORTER_OTLP_ENDPOINT=URL sends traces to a collector.
NO_COLOR=1 leaves out all colours.";

/// What the user asked for.
#[derive(Debug, Parser)]
#[command(name = "seequel", version, about, after_help = EXAMPLES)]
#[cfg_attr(feature = "cluster", command(args_conflicts_with_subcommands = true))]
pub struct Args {
    /// A process of a cluster, instead of the shell
    #[cfg(feature = "cluster")]
    #[command(subcommand)]
    pub(crate) process: Option<Process>,

    /// Run the statements of these files, then exit
    #[arg(value_name = "SCRIPT")]
    pub(crate) script: Vec<PathBuf>,

    /// Run these statements, then exit
    #[arg(short, long, value_name = "SQL", num_args = 1.., value_parser = NonEmptyStringValueParser::new())]
    pub(crate) command: Vec<String>,

    /// Run these files too, after the scripts
    #[arg(short, long, value_name = "FILE", num_args = 1..)]
    pub(crate) file: Vec<PathBuf>,

    /// Run these files first, instead of ~/.seequelrc, which scripts, -c and -f leave out
    #[arg(short, long, value_name = "FILE", num_args = 1..)]
    pub(crate) rc: Option<Vec<PathBuf>>,

    /// Leave ~/.seequelrc out
    #[arg(long, conflicts_with = "rc")]
    pub(crate) no_rc: bool,

    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Automatic)]
    pub(crate) format: Format,

    /// Text for NULL in tables, csv and tsv [default: none]
    #[arg(long, value_name = "TEXT")]
    pub(crate) null: Option<String>,

    /// When the progress of a query is shown, on standard error; auto shows none with --quiet
    #[arg(long, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub(crate) progress: When,

    /// How lines of the log are written, on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,

    /// Print results only
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Memory that queries may use, such as 512m or 2g [default: no limit]
    #[arg(short, long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) memory_limit: Option<usize>,

    /// Folder that relative paths in SQL start from [default: the current one]
    #[arg(short = 'p', long, value_name = "FOLDER")]
    pub(crate) data_path: Option<PathBuf>,

    /// Rows of a result that a table shows: a number, or unlimited
    #[arg(long, value_name = "ROWS", default_value = "40")]
    pub(crate) maxrows: MaxRows,

    /// ONNX Runtime to open: cpu, openvino, webgpu or cuda; `make setup RUNTIME=NAME` installs one
    /// [default: $SEEQUEL_RUNTIME, or cpu]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) runtime: Option<String>,

    /// Open a web page of the queries, models and process, on this machine or at an address and port
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:8265")]
    pub(crate) dashboard: Option<DashboardAddress>,

    /// Let the dashboard cancel queries
    #[arg(long)]
    pub(crate) dashboard_actions: bool,

    /// Run queries that read files on the cluster of this scheduler, such as df://host:50050
    #[cfg(feature = "cluster")]
    #[arg(long, value_name = "URL")]
    pub(crate) cluster: Option<Address>,

    /// Leave queries on the cluster: print the name of a query's job instead of its rows, which ATTACH 'name' gives later
    #[cfg(feature = "cluster")]
    #[arg(long, requires = "cluster")]
    pub(crate) detach: bool,

    /// File of the cluster's token [default: the token is in $SEEQUEL_CLUSTER_TOKEN]
    #[cfg(feature = "cluster")]
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub(crate) token_file: Option<PathBuf>,

    /// Folder with the cluster's ca.crt: connect by TLS
    #[cfg(feature = "cluster")]
    #[arg(long, value_name = "FOLDER", requires = "cluster")]
    pub(crate) tls: Option<PathBuf>,

    /// Rows that operators pass on at a time [default: DataFusion's]
    #[arg(short, long, value_name = "ROWS")]
    pub(crate) batch_size: Option<ConfigNonZeroUsize>,
}

impl Args {
    /// Where the progress of queries is shown. Whatever else goes to standard error while they run must go through it.
    #[must_use]
    pub fn progress(&self) -> Progress {
        match self.progress {
            When::Auto if self.quiet => Progress::new(When::Never),
            when => Progress::new(when),
        }
    }

    /// Begins to log, and to send traces where the environment asks for them. `progress` comes from [`Self::progress`].
    ///
    /// # Errors
    /// Variables of OpenTelemetry that can't be followed.
    pub fn logs(&self, progress: &Progress) -> Result<Logs, String> {
        Logs::begin(self.log_format, self.log_filter(), progress)
    }

    /// What is logged unless `SEEQUEL_LOG` says otherwise: warnings, and the steps of downloads and of quantization.
    fn log_filter(&self) -> &'static str {
        if self.quiet {
            "warn,seequel::model::fetch=info"
        } else {
            "warn,seequel::model::fetch=info,seequel::quantize=info"
        }
    }

    /// Whether no argument gives any SQL.
    pub(crate) fn asks_for_sql(&self) -> bool {
        self.command.is_empty() && self.files().next().is_none()
    }

    /// The scripts, then the files of `--file`.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.script.iter().chain(&self.file)
    }

    /// The files of `--rc`, else `~/.seequelrc` if SQL comes from standard input or a prompt.
    pub(crate) fn startup_files(&self) -> Vec<PathBuf> {
        match &self.rc {
            Some(files) => files.clone(),
            None if self.asks_for_sql() && !self.no_rc => default_startup_file().into_iter().collect(),
            None => Vec::new(),
        }
    }
}

fn default_startup_file() -> Option<PathBuf> {
    let file = env::home_dir()?.join(".seequelrc");
    file.exists().then_some(file)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["seequel"], args].concat())
    }

    #[test]
    fn definitions_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn commands_and_files_may_be_many() -> Result<(), clap::Error> {
        let args = parse(&["-c", "SELECT 1", "SELECT 2", "-c", "SELECT 3", "--file", "a.sql"])?;
        assert_eq!(args.command, ["SELECT 1", "SELECT 2", "SELECT 3"]);
        assert_eq!(args.file, [PathBuf::from("a.sql")]);
        assert!(!args.asks_for_sql());
        assert!(args.startup_files().is_empty());
        Ok(())
    }

    #[test]
    fn scripts_run_before_files() -> Result<(), clap::Error> {
        let args = parse(&["-q", "a.sql", "b.sql", "-f", "c.sql", "-c", "SELECT 1"])?;
        assert_eq!(args.files().collect::<Vec<_>>(), ["a.sql", "b.sql", "c.sql"].map(Path::new));
        assert!(!args.asks_for_sql());
        Ok(())
    }

    #[test]
    fn start_up_files_can_be_named() -> Result<(), clap::Error> {
        let args = parse(&["--rc", "a.sql", "--command", "SELECT 1"])?;
        assert_eq!(args.startup_files(), [PathBuf::from("a.sql")]);
        assert!(parse(&["--no-rc"])?.startup_files().is_empty());
        Ok(())
    }

    #[test]
    fn defaults_and_units() -> Result<(), clap::Error> {
        let args = parse(&["-m", "2g", "-b", "512"])?;
        assert_eq!(args.memory_limit, Some(2 << 30));
        assert_eq!(args.batch_size.map(usize::from), Some(512));
        assert_eq!(args.maxrows, MaxRows::Limited(40));
        assert_eq!(args.format, Format::Automatic);
        assert!(args.asks_for_sql());
        Ok(())
    }

    #[test]
    fn a_dashboard_needs_no_address() -> Result<(), clap::Error> {
        let address =
            |args: &[&str]| parse(args).map(|args| args.dashboard.map(|address| address.to_string()));
        assert_eq!(address(&[])?, None);
        assert_eq!(address(&["--dashboard", "-c", "SELECT 1"])?.as_deref(), Some("127.0.0.1:8265"));
        assert_eq!(address(&["--dashboard", "0.0.0.0:9000"])?.as_deref(), Some("0.0.0.0:9000"));
        Ok(())
    }

    #[test]
    fn wrong_values_are_refused() {
        for args in [
            ["--memory-limit", "much"],
            ["--maxrows", "few"],
            ["--batch-size", "0"],
            ["--format", "xml"],
            ["--progress", "often"],
            ["--command", ""],
            ["--dashboard", "photos.sql"],
        ] {
            assert!(parse(&args).is_err(), "{args:?}");
        }
    }
}
