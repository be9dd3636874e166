//! Commands of psql, DuckDB, SQLite and datafusion-cli: the command of Seequel that does the same, or what to do instead.
//!
//! ```text
//!  .mode csv ──► \pset format csv        \df ──► \f        \c sales ──► "files are read by name: …"
//! ```
//!
//! docs/habits.md lists them for users.

use crate::nearest::nearest;
use crate::shell::prompt::command::COMMANDS;

/// Commands that take the same argument as one of Seequel's.
const SAME: [(&str, &str); 24] = [
    (".exit", "\\q"),
    (".functions", "\\f"),
    (".help", "\\?"),
    (".maxrows", "\\pset maxrows"),
    (".mode", "\\pset format"),
    (".nullvalue", "\\pset null"),
    (".output", "\\o"),
    (".quit", "\\q"),
    (".read", "\\i"),
    (".schema", "\\d"),
    (".show", "\\pset"),
    (".tables", "\\dt"),
    (".timer", "\\timing"),
    ("\\d+", "\\d"),
    ("\\df", "\\f"),
    ("\\df+", "\\f"),
    ("\\ds", "\\d"),
    ("\\dt+", "\\dt"),
    ("\\dv", "\\dt"),
    ("\\h", "\\f"),
    ("\\include", "\\i"),
    ("\\ir", "\\i"),
    ("\\out", "\\o"),
    ("\\quit", "\\q"),
];

/// Commands without a counterpart.
const INSTEAD: [(&[&str], &str); 13] = [
    (
        &["\\a", "\\t", ".header", ".headers", ".separator", ".width"],
        "every format has a header; \\pset format chooses another format",
    ),
    (
        &["\\c", "\\connect", "\\l", "\\list", ".databases", ".open"],
        "there is one catalog, datafusion; files are read by name: SELECT * FROM 'file.parquet'",
    ),
    (&["\\conninfo"], "there is no server to connect to: queries run in this process"),
    (
        &["\\copy", ".dump", ".import", ".once", ".save"],
        "COPY (query) TO 'file.parquet' writes a file, SELECT * FROM 'file.parquet' reads one",
    ),
    (&["\\dn", "\\di", "\\du", ".indexes", ".indices"], "\\d * lists the tables of every schema"),
    (&["\\e", "\\edit", ".edit"], "write the statement into a file, which \\i FILE runs"),
    (&["\\echo", "\\qecho", ".print"], "SELECT 'text' prints a text"),
    (
        &["\\g", "\\gx", "\\p", "\\r"],
        "; runs a statement, Ctrl-C discards it, \\x prints a line for each value",
    ),
    (&["\\quiet"], "\\timing off leaves out the summary; -q starts without it"),
    (&[".bail"], "a file ends at its first error, the prompt goes on"),
    (&["\\s", ".history"], "Ctrl-R searches the history"),
    (&["\\set", "\\unset", ".parameter"], "SET name = value changes a setting, \\pset those of the shell"),
    (
        &["\\!", "\\cd", ".cd", ".shell", ".system"],
        "there are no commands of the system; --data-path FOLDER sets where relative paths start",
    ),
];

/// Names of formats in other shells.
const FORMATS: [(&str, &str); 6] = [
    ("aligned", "table"),
    ("column", "table"),
    ("duckbox", "box"),
    ("jsonlines", "nd-json"),
    ("ndjson", "nd-json"),
    ("tabs", "tsv"),
];

/// The names of the commands that are the same as one of Seequel's.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SAME.iter().map(|(name, _)| *name)
}

/// The command of Seequel that is the same as `command`.
pub(crate) fn same(command: &str) -> Option<&'static str> {
    SAME.iter().find(|(name, _)| name.eq_ignore_ascii_case(command)).map(|(_, ours)| *ours)
}

/// Translates a line that is not a command of Seequel.
///
/// # Errors
/// What to do instead, or the nearest command.
pub(crate) fn translate(line: &str) -> Result<String, String> {
    let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = argument.trim();
    if let Some(ours) = same(command) {
        return Ok(match (ours, argument) {
            ("\\f", "") if command.eq_ignore_ascii_case("\\h") => "\\?".to_owned(),
            ("\\o", "stdout") => ours.to_owned(),
            ("\\pset format", "line") => "\\x on".to_owned(),
            ("\\pset format", mode) if !mode.is_empty() => format!("{ours} {}", format_named(mode)),
            (ours, "") if ours.starts_with("\\pset") => "\\pset".to_owned(),
            (ours, argument) => format!("{ours} {argument}"),
        });
    }
    let is_asked = |name: &&str| name.eq_ignore_ascii_case(command);
    if let Some((_, advice)) = INSTEAD.iter().find(|(names, _)| names.iter().any(is_asked)) {
        return Err(format!("{command}: {advice}"));
    }
    if COMMANDS.iter().any(is_asked) {
        return Err(format!("{command} takes no argument"));
    }
    Err(match nearest(command, COMMANDS.into_iter().chain(names())) {
        Some(near) => format!("there is no command {command}; did you mean {near}?"),
        None => format!("there is no command {command}; \\? lists those there are"),
    })
}

fn format_named(mode: &str) -> &str {
    let ours = FORMATS.iter().find(|(name, _)| name.eq_ignore_ascii_case(mode));
    ours.map_or(mode, |(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::prompt::command::Command;

    #[test]
    fn every_translation_is_a_command() {
        for name in names() {
            let ours = same(name).unwrap().split(' ').next().unwrap();
            assert!(COMMANDS.contains(&ours), "{name}: {ours}");
            assert!(!COMMANDS.contains(&name), "{name} is Seequel's own");
        }
        for name in INSTEAD.iter().flat_map(|(names, _)| names.iter()) {
            assert!(!COMMANDS.contains(name) && same(name).is_none(), "{name}");
        }
        for (_, format) in FORMATS {
            assert!(Command::parse(&format!("\\pset format {format}")).is_ok(), "{format}");
        }
    }

    #[test]
    fn arguments_are_translated() {
        for (line, ours) in [
            (".mode tabs", "\\pset format tsv"),
            (".mode CSV", "\\pset format CSV"),
            (".mode line", "\\x on"),
            (".mode", "\\pset"),
            (".output a b.csv", "\\o a b.csv"),
            (".output stdout", "\\o"),
            (".maxrows  7", "\\pset maxrows 7"),
            ("\\h", "\\?"),
            ("\\h classify", "\\f classify"),
            ("\\DF *", "\\f *"),
        ] {
            assert_eq!(translate(line).as_deref(), Ok(ours), "{line}");
        }
    }

    #[test]
    fn other_commands_are_answered() {
        for (line, answer) in [
            ("\\c sales", "\\c: there is one catalog, datafusion; files are read by name"),
            (".tabels", "there is no command .tabels; did you mean .tables?"),
            ("\\tming on", "there is no command \\tming; did you mean \\timing?"),
            ("\\y", "there is no command \\y; \\? lists those there are"),
            ("\\q now", "\\q takes no argument"),
        ] {
            let message = translate(line).err().unwrap_or_default();
            assert!(message.starts_with(answer), "{line}: {message}");
        }
    }
}
