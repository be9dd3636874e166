//! Commands besides SQL: lines that start with a backslash, or with a dot as in DuckDB and SQLite.

use std::path::PathBuf;

use clap::ValueEnum;

use super::other_shells;
use crate::dashboard::DashboardAddress;
use crate::shell::look::{ReportRequest, SheetRequest, Target};
use crate::shell::print::{Expanded, Format, MaxRows};

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Quit,
    Help,
    /// SQL that a command is short for.
    Sql(String),
    /// `\d`, `\dt`: lists tables.
    Tables(Tables),
    /// `\f`: lists functions.
    Functions(Functions),
    /// `\x`: expanded display on, off, automatic, or toggled.
    Expanded(Option<Expanded>),
    /// `\timing`: the summary on, off, or toggled.
    Timing(Option<bool>),
    /// `\pset` alone: shows the settings.
    Settings,
    Format(Format),
    MaxRows(MaxRows),
    /// `\pset null`: the text for NULL.
    Null(String),
    /// `\i`: runs a file.
    Include(PathBuf),
    /// `\o`: writes results to a file, or to standard output again.
    Output(Option<PathBuf>),
    /// `\show`: draws images.
    Show(Target),
    /// `\contact-sheet`: writes a page of images.
    ContactSheet(SheetRequest),
    /// `\dashboard`: opens the web page of queries, or closes it.
    Dashboard(Dashboard),
    /// `\report`: runs a query and writes where its time went.
    Report(ReportRequest),
}

/// What becomes of the dashboard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Dashboard {
    Open(DashboardAddress),
    Close,
}

/// The tables that a command lists.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tables {
    /// Those that the user has created.
    Users,
    /// Those of them whose names match a pattern with `*` and `?`.
    Matching(String),
    /// Also those of DataFusion, which describe the session.
    All,
}

/// The functions that a command lists.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Functions {
    /// Seequel's.
    Own,
    /// Seequel's, then DataFusion's.
    All,
    /// Those whose names match a pattern of LIKE.
    Named(String),
}

/// The text printed by [`Command::Help`].
pub(crate) const HELP: &str = r"
Statements end with ; and may take many lines.
  \d         your tables         \d NAME    columns of a table; \d * all tables, \dt ima* some
  \m         models              \m NAME    settings of a model
  \f         Seequel's functions \f NAME    what a function does; \f * all functions
  \show PATH draw images, such as \show photos/; \show SELECT … those of a query, with predictions
  \contact-sheet FILE SELECT …  write a page of images and predictions, for a browser
  \report FILE  run the last query, or the one given, and write where its time went, as .html or .json
  \dashboard open a web page of queries and models; \dashboard 9000 at a port, \dashboard off closes it
  \i FILE    run a file          \o FILE    write results to a file, in the format of its ending;
                                          \o alone to the screen again
  \x         one line per value, on or off; \x auto where a table would not fit
  \timing    the summary below each result, on or off
  \pset      settings            \pset format csv, \pset maxrows 100, \pset null NULL
  \format F  short for \pset format F: table, box, csv, tsv, json, nd-json, markdown, html
  \?, help   this help           \q, quit   leave, as Ctrl-D does
Many commands of other shells work too: .tables, .schema NAME, .mode csv, .read FILE, \df.
Tab completes names, the right arrow takes a suggestion, Ctrl-R searches the history.
Ctrl-C cancels the query that runs.

";

/// All commands, for completion.
pub(crate) const COMMANDS: [&str; 16] = [
    "\\?",
    "\\contact-sheet",
    "\\d",
    "\\dashboard",
    "\\dt",
    "\\f",
    "\\format",
    "\\i",
    "\\m",
    "\\o",
    "\\pset",
    "\\q",
    "\\report",
    "\\show",
    "\\timing",
    "\\x",
];

/// The characters that a command starts with.
pub(crate) const STARTS: [char; 2] = ['\\', '.'];

const NO_PIPES: &str =
    "\\o writes to files only; to pipe results into a program, run seequel --quiet --command … | program";

/// Words at the prompt that need neither `;` nor backslash, and their commands.
const BARE_COMMANDS: [(&str, &str); 3] = [("quit", "\\q"), ("exit", "\\q"), ("help", "\\?")];

impl Command {
    /// Parses a line that starts with a backslash or a dot.
    ///
    /// # Errors
    /// An unknown command or an invalid argument.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim().trim_end_matches(';').trim_end();
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let argument = unquoted(rest.trim());
        let command = match (command.to_ascii_lowercase().as_str(), argument) {
            ("\\q", "") => Self::Quit,
            ("\\?", "") => Self::Help,
            ("\\d" | "\\dt", "") => Self::Tables(Tables::Users),
            ("\\d", "*") | ("\\ds", "") => Self::Tables(Tables::All),
            ("\\dt", pattern) => Self::Tables(Tables::Matching(pattern.to_string())),
            // Quotes are kept: they distinguish files from tables.
            ("\\d", _) => Self::Sql(format!("DESCRIBE {}", line[2..].trim())),
            ("\\m", "") => Self::Sql("SHOW MODELS".to_string()),
            ("\\m", model) => Self::Sql(format!("DESCRIBE MODEL {model}")),
            ("\\f", "") => Self::Functions(Functions::Own),
            ("\\f", "*") => Self::Functions(Functions::All),
            ("\\f", function) => Self::Functions(Functions::Named(function.to_string())),
            ("\\x", "") => Self::Expanded(None),
            ("\\x", switch) => Self::Expanded(Some(parse_expanded(line, switch)?)),
            ("\\timing", switch) => Self::Timing(parse_switch(line, switch)?),
            ("\\pset", "") => Self::Settings,
            ("\\pset", setting) => parse_setting(line, setting)?,
            ("\\format", format) => parse_format(format)?,
            ("\\i", "") => return Err("\\i runs a file: \\i report.sql".to_string()),
            ("\\i", file) => Self::Include(file.into()),
            ("\\o", "") => Self::Output(None),
            ("\\o", command) if command.starts_with('|') => return Err(NO_PIPES.to_string()),
            ("\\o", file) => Self::Output(Some(file.into())),
            ("\\show", "") => {
                return Err(
                    "\\show draws images: \\show photos/, \\show SELECT image FROM images".to_string()
                );
            }
            ("\\show", _) => Self::Show(Target::parse(rest)),
            ("\\dashboard", argument) => Self::Dashboard(parse_dashboard(argument)?),
            ("\\report", _) => Self::Report(ReportRequest::parse(rest)?),
            ("\\contact-sheet", _) => Self::ContactSheet(SheetRequest::parse(rest)?),
            // Scripts switch headers on; they are never off.
            (".header" | ".headers", "on") => Self::Sql(String::new()),
            _ => Self::parse(&other_shells::translate(line)?)?,
        };
        Ok(command)
    }

    /// The command for an entry at the prompt without a backslash, such as `quit`.
    pub(crate) fn bare(entry: &str) -> Option<&'static str> {
        let word = entry.trim().trim_end_matches(';');
        let matches = |(bare, _): &&(&str, &str)| word.eq_ignore_ascii_case(bare);
        BARE_COMMANDS.iter().find(matches).map(|(_, command)| *command)
    }

    /// Whether an entry at the prompt is complete without a `;`.
    pub(crate) fn is_command(entry: &str) -> bool {
        entry.trim_start().starts_with(STARTS) || Self::bare(entry).is_some()
    }
}

/// Removes the quotes around a file name, which keep leading and trailing blanks.
fn unquoted(argument: &str) -> &str {
    argument.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(argument)
}

fn parse_switch(line: &str, switch: &str) -> Result<Option<bool>, String> {
    match switch.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "on" => Ok(Some(true)),
        "off" => Ok(Some(false)),
        _ => Err(format!("{line}: write on, off or nothing")),
    }
}

fn parse_dashboard(argument: &str) -> Result<Dashboard, String> {
    match argument {
        "" => Ok(Dashboard::Open(DashboardAddress::default())),
        off if off.eq_ignore_ascii_case("off") => Ok(Dashboard::Close),
        address => match address.parse() {
            Ok(address) => Ok(Dashboard::Open(address)),
            Err(reason) => Err(format!("\\dashboard: {reason}")),
        },
    }
}

fn parse_expanded(line: &str, switch: &str) -> Result<Expanded, String> {
    switch.parse().map_err(|reason| format!("{line}: {reason}"))
}

/// A setting and its value. A setting alone shows all, as it does in psql for one.
fn parse_setting(line: &str, setting: &str) -> Result<Command, String> {
    let (name, value) = setting.split_once(char::is_whitespace).unwrap_or((setting, ""));
    let value = value.trim();
    match name.to_ascii_lowercase().as_str() {
        name if value.is_empty() && SETTINGS.contains(&name) => Ok(Command::Settings),
        "format" => parse_format(value),
        "maxrows" => match value.parse() {
            Ok(rows) => Ok(Command::MaxRows(rows)),
            Err(reason) => Err(format!("\\pset maxrows: {reason}")),
        },
        "null" => Ok(Command::Null(unquoted(value).to_string())),
        "expanded" => Ok(Command::Expanded(Some(parse_expanded(line, value)?))),
        "timing" => Ok(Command::Timing(parse_switch(line, value)?)),
        _ => Err(format!("there is no setting '{name}'; there are {}", SETTINGS.join(", "))),
    }
}

fn parse_format(name: &str) -> Result<Command, String> {
    match Format::from_str(name, true) {
        Ok(format) => Ok(Command::Format(format)),
        Err(_) => Err(format!("there is no format '{name}'; there are {}", formats().join(", "))),
    }
}

/// Names of the settings of `\pset`.
pub(crate) const SETTINGS: [&str; 5] = ["format", "maxrows", "null", "expanded", "timing"];

/// Names of the formats.
pub(crate) fn formats() -> Vec<String> {
    let names = Format::value_variants().iter().filter_map(Format::to_possible_value);
    names.map(|value| value.get_name().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(text: &str) -> Result<Command, String> {
        Ok(Command::Sql(text.to_string()))
    }

    #[test]
    fn commands_are_parsed_with_their_arguments() {
        for (line, command) in [
            ("\\q", Ok(Command::Quit)),
            ("\\? ", Ok(Command::Help)),
            ("\\d", Ok(Command::Tables(Tables::Users))),
            ("\\d *", Ok(Command::Tables(Tables::All))),
            ("\\dS", Ok(Command::Tables(Tables::All))),
            ("\\dt ima*", Ok(Command::Tables(Tables::Matching("ima*".to_string())))),
            ("\\d  images;", sql("DESCRIBE images")),
            ("\\d 'a b.jpg'", sql("DESCRIBE 'a b.jpg'")),
            ("\\m resnet", sql("DESCRIBE MODEL resnet")),
            ("\\f", Ok(Command::Functions(Functions::Own))),
            ("\\f *", Ok(Command::Functions(Functions::All))),
            ("\\f it's", Ok(Command::Functions(Functions::Named("it's".to_string())))),
            ("\\x", Ok(Command::Expanded(None))),
            ("\\x Auto", Ok(Command::Expanded(Some(Expanded::Auto)))),
            ("\\timing OFF", Ok(Command::Timing(Some(false)))),
            ("\\pset", Ok(Command::Settings)),
            ("\\pset format nd-json", Ok(Command::Format(Format::NdJson))),
            ("\\pset maxrows 7", Ok(Command::MaxRows(MaxRows::Limited(7)))),
            ("\\format jsonl", Ok(Command::Format(Format::NdJson))),
            ("\\pset null", Ok(Command::Settings)),
            ("\\pset null (none)", Ok(Command::Null("(none)".to_string()))),
            ("\\pset null ' '", Ok(Command::Null(" ".to_string()))),
            ("\\pset null ''", Ok(Command::Null(String::new()))),
            ("\\pset expanded on", Ok(Command::Expanded(Some(Expanded::On)))),
            ("\\pset timing off", Ok(Command::Timing(Some(false)))),
            ("\\dashboard", Ok(Command::Dashboard(Dashboard::Open(DashboardAddress::default())))),
            ("\\dashboard off", Ok(Command::Dashboard(Dashboard::Close))),
            ("\\i a.sql", Ok(Command::Include("a.sql".into()))),
            ("\\o", Ok(Command::Output(None))),
            ("\\o 'my file.csv'", Ok(Command::Output(Some("my file.csv".into())))),
            ("\\show photos/*.jpg", Ok(Command::Show(Target::Location("photos/*.jpg".to_string())))),
        ] {
            assert_eq!(Command::parse(line), command, "{line}");
        }
    }

    #[test]
    fn some_commands_need_no_backslash_at_the_prompt() {
        assert_eq!(["EXIT;", " quit", "help"].map(Command::bare), [Some("\\q"), Some("\\q"), Some("\\?")]);
        assert_eq!(Command::bare("SELECT help"), None);
        assert!(
            Command::is_command(" \\d") && Command::is_command("quit") && !Command::is_command("SELECT 1")
        );
    }

    #[test]
    fn commands_of_other_shells_are_translated() {
        for (line, command) in [
            (".tables", Ok(Command::Tables(Tables::Users))),
            (".schema images", sql("DESCRIBE images")),
            (".mode jsonlines", Ok(Command::Format(Format::NdJson))),
            (".maxrows 7", Ok(Command::MaxRows(MaxRows::Limited(7)))),
            (".read a.sql;", Ok(Command::Include("a.sql".into()))),
            (".timer on", Ok(Command::Timing(Some(true)))),
            (".headers on", sql("")),
            (".exit", Ok(Command::Quit)),
        ] {
            assert_eq!(Command::parse(line), command, "{line}");
        }
        assert!(Command::is_command(".tables") && !Command::is_command("SELECT .5"));
    }

    #[test]
    fn unknown_commands_and_arguments_are_rejected_with_a_reason() {
        for (line, reason) in [
            ("\\y", "there is no command \\y;"),
            ("\\q now", "\\q takes no argument"),
            ("\\", "there is no command \\;"),
            ("\\x maybe", "\\x maybe: write on, off, auto or nothing"),
            ("\\pset expanded maybe", "\\pset expanded maybe: write on, off, auto or nothing"),
            ("\\format", "there is no format ''; there are automatic, table, csv"),
            ("\\o |less", "\\o writes to files only"),
            ("\\pset format xml", "there is no format 'xml'; there are automatic, table, csv"),
            ("\\pset maxrows few", "\\pset maxrows: write a number of rows, or unlimited"),
            (
                "\\pset border 2",
                "there is no setting 'border'; there are format, maxrows, null, expanded, timing",
            ),
            ("\\i", "\\i runs a file"),
            ("\\show", "\\show draws images"),
            ("\\contact-sheet a.html", "\\contact-sheet writes a page"),
            ("\\report", "\\report runs the last query again"),
        ] {
            let message = Command::parse(line).err().unwrap_or_default();
            assert!(message.starts_with(reason), "{message}");
        }
    }
}
