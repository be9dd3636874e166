//! Tab completion at the cursor, from the words before it.
//!
//! ```text
//!  \d ima|                     tables          FROM ima|                  tables, table functions
//!  \f cla|                     functions       SELECT pa|                 columns, functions, keywords
//!  \i rep|, FROM 'pho|         files           images.pa|                 columns of the table
//!  classify(image, 'eff|       models          SET inf|                   settings
//! ```

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use itertools::Itertools;
use rustyline::completion::FilenameCompleter;

use super::keywords::keywords_from;
use super::names::Names;
use crate::shell::prompt::command::{self, COMMANDS};

/// Timeout for file completion; slower folders, such as huge or remote ones, give no candidates.
const PATIENCE: Duration = Duration::from_millis(200);

/// Words that precede a table name.
const BEFORE_TABLES: [&str; 8] = ["FROM", "JOIN", "INTO", "TABLE", "VIEW", "UPDATE", "DESCRIBE", "DESC"];

/// Candidates to replace the text from `start` to the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) start: usize,
    pub(crate) candidates: Vec<String>,
}

/// Completes the end of `text`, the text before the cursor.
pub(crate) fn complete(text: &str, names: &Names) -> Completion {
    if text.trim_start().starts_with('\\') {
        return complete_command(text, names);
    }
    if let Some(start) = open_quote(text) {
        return complete_quoted(text, start, names);
    }
    let start = word_start(text);
    let (before, word) = text.split_at(start);
    let candidates = match word.rsplit_once('.') {
        _ if last_word(before).eq_ignore_ascii_case("SET") => from(word, &names.settings),
        Some((table, column)) => {
            let columns = names.tables.get(table).into_iter().flatten();
            columns.filter(|name| name.starts_with(column)).map(|name| format!("{table}.{name}")).collect()
        }
        None if BEFORE_TABLES.iter().any(|keyword| last_word(before).eq_ignore_ascii_case(keyword)) => {
            let functions = names.table_functions.iter().map(|name| format!("{name}("));
            let tables = from(word, names.tables.keys());
            tables.into_iter().chain(from(word, functions)).collect()
        }
        None if last_word(before).eq_ignore_ascii_case("MODEL") => from(word, &names.models),
        None if word.is_empty() => Vec::new(),
        None => complete_expression(text, word, names),
    };
    Completion { start, candidates }
}

/// Columns of the tables that the statement names, or of all tables if it names none yet; functions; keywords.
fn complete_expression(text: &str, word: &str, names: &Names) -> Vec<String> {
    let words = text.split(|c| !is_word(c)).collect_vec();
    let named = names.tables.iter().filter(|(table, _)| words.contains(&table.as_str())).collect_vec();
    let tables = if named.is_empty() { names.tables.iter().collect_vec() } else { named };
    let columns = tables.into_iter().flat_map(|(_, columns)| columns).cloned();
    let functions = names.functions.keys().map(|name| format!("{name}("));
    let matching = columns.chain(functions).filter(|name| name.starts_with(word));
    matching.chain(keywords_from(word)).sorted().dedup().collect()
}

fn complete_command(text: &str, names: &Names) -> Completion {
    let Some((command, argument)) = text.trim_start().split_once(char::is_whitespace) else {
        let start = text.len() - text.trim_start().len();
        return Completion { start, candidates: from(&text[start..], COMMANDS) };
    };
    let argument = argument.trim_start();
    let mut start = text.len() - argument.len();
    let candidates = match command {
        "\\d" => from(argument, names.tables.keys()),
        "\\m" => from(argument, &names.models),
        "\\f" => from(argument, names.functions.keys()),
        "\\x" | "\\timing" => from(argument, ["on", "off"]),
        "\\pset" => match argument.split_once(' ') {
            None => from(argument, command::SETTINGS),
            Some(("format", format)) => {
                start = text.len() - format.len();
                from(format, command::formats())
            }
            Some(_) => Vec::new(),
        },
        "\\i" | "\\o" | "\\show" => return files(argument, start),
        _ => Vec::new(),
    };
    Completion { start, candidates }
}

/// Models after a `,` in a call or a `=` in a setting; files everywhere else.
fn complete_quoted(text: &str, start: usize, names: &Names) -> Completion {
    let quoted = &text[start..];
    match text[..start].trim_end_matches('\'').trim_end().chars().last() {
        Some(',' | '=') => Completion { start, candidates: from(quoted, &names.models) },
        _ => files(quoted, start),
    }
}

/// The files whose paths start with `prefix`, which is at `start`.
fn files(prefix: &str, start: usize) -> Completion {
    let (sender, receiver) = mpsc::sync_channel(1);
    let path = prefix.to_owned();
    // A file system that hangs must block only this thread.
    thread::spawn(move || {
        let found = FilenameCompleter::new().complete_path(&path, path.len());
        // This fails only after the timeout.
        let _ = sender.send(found);
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(Ok((offset, pairs))) => Completion {
            start: start + offset,
            candidates: pairs.into_iter().map(|pair| pair.replacement).collect(),
        },
        Ok(Err(_)) | Err(_) => Completion { start, candidates: Vec::new() },
    }
}

fn from<T: AsRef<str>>(prefix: &str, names: impl IntoIterator<Item = T>) -> Vec<String> {
    let matching = names.into_iter().filter(|name| name.as_ref().starts_with(prefix));
    matching.map(|name| name.as_ref().to_owned()).collect()
}

/// Start of the text of an unclosed string.
fn open_quote(text: &str) -> Option<usize> {
    let quotes = text.match_indices('\'').collect_vec();
    let (last, _) = quotes.last()?;
    (quotes.len() % 2 == 1).then_some(last + 1)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word_start(text: &str) -> usize {
    text.trim_end_matches(|c| is_word(c) || c == '.').len()
}

fn last_word(text: &str) -> &str {
    let text = text.trim_end();
    &text[text.trim_end_matches(is_word).len()..]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names() -> Names {
        let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Names {
            tables: [
                ("images".to_owned(), columns(&["image", "path", "size"])),
                ("sales".to_owned(), columns(&["price"])),
            ]
            .into(),
            functions: [("classify".to_owned(), None), ("power".to_owned(), None)].into(),
            table_functions: ["read_images".to_owned()].into(),
            models: vec!["efficientnet".to_owned(), "resnet".to_owned()],
            settings: ["inference.default_model".to_owned()].into(),
        }
    }

    #[test]
    fn candidates_depend_on_the_words_before_the_cursor() {
        for (text, start, candidates) in [
            ("SEL", 0, &["SELECT"][..]),
            ("select cla", 7, &["classify("]),
            ("SELECT p", 7, &["parquet", "partition", "partitioned", "path", "power(", "preceding", "price"]),
            ("SELECT * FROM images WHERE pa", 27, &["parquet", "partition", "partitioned", "path"]),
            ("SELECT * FROM ", 14, &["images", "sales", "read_images("]),
            ("SELECT * FROM im", 14, &["images"]),
            ("SELECT images.", 7, &["images.image", "images.path", "images.size"]),
            ("SELECT images.p", 7, &["images.path"]),
            ("SELECT classify(image, 'res", 24, &["resnet"]),
            ("SET inference.default_model = 'eff", 31, &["efficientnet"]),
            ("SET inf", 4, &["inference.default_model"]),
            ("DESCRIBE MODEL r", 15, &["resnet"]),
            ("SELECT 1, ", 10, &[]),
            ("\\", 0, &COMMANDS),
            ("\\t", 0, &["\\timing"]),
            ("\\d im", 3, &["images"]),
            ("\\m ", 3, &["efficientnet", "resnet"]),
            ("\\f cl", 3, &["classify"]),
            ("\\pset format n", 13, &["nd-json"]),
            ("\\x o", 3, &["on", "off"]),
        ] {
            let candidates = candidates.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(complete(text, &names()), Completion { start, candidates }, "{text}");
        }
    }

    #[test]
    fn files_are_completed_in_quotes_and_after_commands() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("report.sql"), "").unwrap();
        let folder = folder.path().display();
        for text in [format!("\\i {folder}/rep"), format!("SELECT * FROM '{folder}/rep")] {
            let Completion { start, candidates } = complete(&text, &names());
            assert_eq!(candidates.len(), 1, "{text}");
            assert!(
                format!("{}{}", &text[..start], candidates[0]).ends_with(&format!("{folder}/report.sql"))
            );
        }
    }
}
