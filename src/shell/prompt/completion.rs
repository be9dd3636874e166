//! Tab completion at the cursor, from the words before it.
//!
//! ```text
//!  \d ima|                     tables          FROM ima|                  tables, table functions
//!  \f cla|                     functions       SELECT pa|                 columns, functions, keywords
//!  \i rep|, FROM 'pho|         files           images.pa|                 columns of the table
//!  classify(image, 'eff|       models          SET inf|                   settings
//!  p['la|, p.la|               fields          OPTIONS (dev|              options of the statement
//! ```

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use itertools::Itertools;
use rustyline::completion::FilenameCompleter;
use seequel_udfs::model_position;

use super::cursor::Cursor;
use super::keywords::keywords_from;
use super::names::Names;
use super::other_shells;
use crate::advise::ROWS;
use crate::model::runtime::Provider;
use crate::model::{ENSEMBLE_OPTIONS, MODEL_OPTIONS};
use crate::quantize::QUANTIZE_OPTIONS;
use crate::shell::prompt::command::{self, COMMANDS, STARTS};
use crate::tune::TUNE_OPTIONS;

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

/// Completes the end of `text`, the text before the cursor; `behind` is the rest of the entry.
pub(crate) fn complete(text: &str, behind: &str, names: &Names) -> Completion {
    if text.trim_start().starts_with(STARTS) {
        return complete_command(text, names);
    }
    if let Some(start) = open_quote(text) {
        return complete_quoted(text, start, behind, names);
    }
    let start = word_start(text);
    let (before, word) = text.split_at(start);
    let cursor = Cursor::new(before, behind);
    let candidates = match word.rsplit_once('.') {
        _ if cursor.follows(&["SET"]) => from(word, &names.settings),
        _ if is_model(&cursor) => {
            from(word, &names.models).into_iter().map(|name| format!("'{name}'")).collect()
        }
        _ if is_member(&cursor) => from(word, &names.models),
        _ if is_option(&cursor) => from(word, options(&cursor, names)),
        Some((table, column)) => {
            let (text, _) = text.rsplit_once('.').unwrap_or_default();
            let fields = || Cursor::new(&format!("{text}."), behind).fields(names);
            let columns = names.tables.get(table).map(|columns| columns.iter().map(|(name, _)| name.clone()));
            let names = columns.map_or_else(fields, Iterator::collect);
            from(column, names).into_iter().map(|name| format!("{table}.{name}")).collect()
        }
        None if BEFORE_TABLES.iter().any(|keyword| cursor.follows(&[keyword])) => {
            let functions = names.table_functions.iter().map(|name| format!("{name}("));
            let tables = from(word, names.tables.keys());
            tables.into_iter().chain(from(word, functions)).collect()
        }
        None if cursor.follows(&["MODEL"]) || cursor.follows(&["MODEL", "IF", "EXISTS"]) => {
            from(word, &names.models)
        }
        None if word.is_empty() => Vec::new(),
        None => complete_expression(text, word, names),
    };
    Completion { start, candidates }
}

/// Whether the cursor is where a call names its model.
fn is_model(cursor: &Cursor) -> bool {
    let enclosing = cursor.enclosing();
    enclosing.is_some_and(|call| call.at_start && model_position(call.word) == Some(call.item))
}

/// Whether the cursor is at a member of `ENSEMBLE OF (…)`.
fn is_member(cursor: &Cursor) -> bool {
    cursor.enclosing().is_some_and(|list| list.at_start && list.word.eq_ignore_ascii_case("OF"))
}

/// Whether the cursor is at a key of `OPTIONS (key value, …)`.
fn is_option(cursor: &Cursor) -> bool {
    cursor.enclosing().is_some_and(|list| list.at_start && list.word.eq_ignore_ascii_case("OPTIONS"))
}

/// The keys of a statement's OPTIONS.
fn options(cursor: &Cursor, names: &Names) -> Vec<String> {
    let starts = cursor.starts();
    if starts.first().is_some_and(|word| word == "TUNE") {
        return TUNE_OPTIONS.map(str::to_owned).to_vec();
    }
    if starts.first().is_some_and(|word| word == "ADVISE") && !starts.iter().any(|word| word == "COPY") {
        return vec![ROWS.to_owned()];
    }
    if starts.first().is_some_and(|word| word == "CREATE") && starts.iter().any(|word| word == "MODEL") {
        let is = |kind: &str| starts.iter().any(|word| word == kind);
        let keys: &[&str] = if is("ENSEMBLE") {
            &ENSEMBLE_OPTIONS
        } else if is("QUANTIZED") {
            &QUANTIZE_OPTIONS
        } else {
            &MODEL_OPTIONS
        };
        return keys.iter().map(|key| (*key).to_owned()).collect();
    }
    let target = cursor.word_after(&["TO"]);
    let extension = target.as_deref().and_then(|target| target.rsplit_once('.')).map(|(_, end)| end);
    let format = cursor.word_after(&["STORED", "AS"]).or_else(|| extension.map(str::to_owned));
    let prefix = format.map(|format| format!("{}.", format.to_lowercase())).unwrap_or_default();
    let of_format = names.file_options.iter().filter_map(|option| option.strip_prefix(&prefix));
    of_format.map(str::to_owned).collect()
}

/// Columns of the tables that the statement names, or of all tables if it names none yet; functions; keywords.
fn complete_expression(text: &str, word: &str, names: &Names) -> Vec<String> {
    let words = text.split(|c| !is_word(c)).collect_vec();
    let named = names.tables.iter().filter(|(table, _)| words.contains(&table.as_str())).collect_vec();
    let tables = if named.is_empty() { names.tables.iter().collect_vec() } else { named };
    let columns = tables.into_iter().flat_map(|(_, columns)| columns).map(|(name, _)| name.clone());
    let functions = names.functions.keys().map(|name| format!("{name}("));
    let matching = columns.chain(functions).filter(|name| name.starts_with(word));
    matching.chain(keywords_from(word)).sorted().dedup().collect()
}

fn complete_command(text: &str, names: &Names) -> Completion {
    let Some((command, argument)) = text.trim_start().split_once(char::is_whitespace) else {
        let start = text.len() - text.trim_start().len();
        let commands = COMMANDS.into_iter().chain(other_shells::names());
        // Other shells' commands are offered to those who type their dot.
        let is_dot = text[start..].starts_with('.');
        let offered = commands
            .filter(|command| command.starts_with('.') == is_dot && (is_dot || COMMANDS.contains(command)));
        return Completion { start, candidates: from(&text[start..], offered) };
    };
    let argument = argument.trim_start();
    let mut start = text.len() - argument.len();
    let candidates = match other_shells::same(command).unwrap_or(command) {
        "\\d" | "\\dt" => from(argument, names.tables.keys()),
        "\\m" => from(argument, &names.models),
        "\\f" => from(argument, names.functions.keys().chain(&names.table_functions)),
        "\\x" => from(argument, ["on", "off", "auto"]),
        "\\timing" => from(argument, ["on", "off"]),
        "\\format" | "\\pset format" => from(argument, command::formats()),
        "\\pset" => match argument.split_once(' ') {
            None => from(argument, command::SETTINGS),
            Some(("format", format)) => {
                start = text.len() - format.len();
                from(format, command::formats())
            }
            Some(_) => Vec::new(),
        },
        "\\contact-sheet" | "\\i" | "\\o" | "\\report" | "\\show" => return files(argument, start),
        _ => Vec::new(),
    };
    Completion { start, candidates }
}

/// In quotes: the model of a call or setting, an option, a device, a field in brackets; files everywhere else.
fn complete_quoted(text: &str, start: usize, behind: &str, names: &Names) -> Completion {
    let (before, quoted) = text.split_at(start);
    // An odd quote closes the string that is being typed.
    let is_closed = behind.matches('\'').count() % 2 == 1;
    let rest = behind.split_once('\'').filter(|_| is_closed).map_or(behind, |(_, rest)| rest);
    let cursor = Cursor::new(before.strip_suffix('\'').unwrap_or(before), rest);
    let default_model = [["default_model", "="], ["default_model", "TO"]];
    let candidates = if is_model(&cursor) || default_model.iter().any(|words| cursor.follows(words)) {
        from(quoted, &names.models)
    } else if is_option(&cursor) {
        from(quoted, options(&cursor, names))
    } else if cursor.follows(&["device"]) {
        from(quoted, Provider::devices())
    } else if cursor.follows(&["["]) {
        let end = if is_closed { "" } else { "']" };
        from(quoted, cursor.fields(names)).into_iter().map(|field| field + end).collect()
    } else {
        return files(quoted, start);
    };
    Completion { start, candidates }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use datafusion::arrow::datatypes::DataType;
    use seequel_udfs::{classification_type, detections_type};

    use super::*;

    fn names() -> Names {
        let columns =
            |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), DataType::Utf8)).collect();
        Names {
            tables: [
                ("images".to_owned(), columns(&["image", "path", "size"])),
                ("sales".to_owned(), columns(&["price"])),
                ("results".to_owned(), vec![("prediction".to_owned(), classification_type())]),
            ]
            .into(),
            functions: [("classify".to_owned(), None), ("power".to_owned(), None)].into(),
            table_functions: ["read_images".to_owned()].into(),
            models: vec!["efficientnet".to_owned(), "resnet".to_owned()],
            settings: ["inference.default_model".to_owned()].into(),
            file_options: ["csv.delimiter", "csv.has_header", "parquet.compression"]
                .map(str::to_owned)
                .into(),
            returns: [
                ("classify".to_owned(), classification_type()),
                ("detect".to_owned(), detections_type()),
            ]
            .into(),
        }
    }

    #[test]
    fn candidates_depend_on_the_words_before_the_cursor() {
        for (text, start, candidates) in [
            ("SEL", 0, &["SELECT"][..]),
            ("select cla", 7, &["classify("]),
            ("SELECT pr", 7, &["preceding", "prediction", "price"]),
            ("SELECT * FROM images WHERE pa", 27, &["parquet", "partition", "partitioned", "path"]),
            ("SELECT * FROM ", 14, &["images", "results", "sales", "read_images("]),
            ("SELECT * FROM im", 14, &["images"]),
            ("SELECT images.", 7, &["images.image", "images.path", "images.size"]),
            ("SELECT images.p", 7, &["images.path"]),
            ("SELECT classify(image, 'res", 24, &["resnet"]),
            ("SELECT classify(image, ", 23, &["'efficientnet'", "'resnet'"]),
            ("SELECT classify_top_k(image, 3, 'r", 33, &["resnet"]),
            ("SELECT predict('", 16, &["efficientnet", "resnet"]),
            ("CREATE MODEL both AS ENSEMBLE OF (resnet, ", 42, &["efficientnet", "resnet"]),
            ("CREATE MODEL m FROM 'a.onnx' OPTIONS (res", 38, &["rescale", "resize"]),
            ("CREATE MODEL m FROM 'a.onnx' OPTIONS (task 'x', 'la", 49, &["layout", "labels"]),
            ("CREATE MODEL m FROM 'a.onnx' OPTIONS (device 'c", 46, &["cpu", "cuda:0"]),
            ("SHOW DEV", 5, &["DEVICES"]),
            ("CREATE MODEL m AS ENSEMBLE OF (a, b) OPTIONS (", 46, &["combine", "weights"]),
            ("CREATE MODEL m AS QUANTIZED a USING (SELECT 1) OPTIONS (cal", 56, &["calibration"]),
            ("COPY images TO 'a.csv' OPTIONS (h", 32, &["has_header"]),
            ("COPY images TO 'a' STORED AS PARQUET OPTIONS (", 46, &["compression"]),
            ("SELECT prediction['la", 19, &["label']"]),
            ("SELECT prediction.con", 7, &["prediction.confidence"]),
            (
                "SELECT results.prediction.c",
                7,
                &["results.prediction.class", "results.prediction.confidence"],
            ),
            ("SELECT classify(image, 'resnet')['mo", 34, &["model']"]),
            ("SELECT unnest(detect(image)) AS b, b['box']['x", 45, &["x0']", "x1']"]),
            ("SET inference.default_model = 'eff", 31, &["efficientnet"]),
            ("SET inf", 4, &["inference.default_model"]),
            ("TUNE MODEL r", 11, &["resnet"]),
            ("TUNE MODEL resnet USING (SELECT 1) OPTIONS (bud", 44, &["budget"]),
            ("SHOW TUNI", 5, &["TUNING"]),
            ("DESCRIBE MODEL r", 15, &["resnet"]),
            ("SELECT 1, ", 10, &[]),
            ("\\", 0, &COMMANDS),
            ("\\t", 0, &["\\timing"]),
            (".ti", 0, &[".timer"]),
            (".mode cs", 6, &["csv"]),
            ("\\d im", 3, &["images"]),
            ("\\m ", 3, &["efficientnet", "resnet"]),
            ("\\f cl", 3, &["classify"]),
            ("\\pset format n", 13, &["nd-json"]),
            ("\\x o", 3, &["on", "off"]),
        ] {
            let candidates = candidates.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(complete(text, "", &names()), Completion { start, candidates }, "{text}");
        }
    }

    #[test]
    fn aliases_behind_the_cursor_have_fields() {
        let behind = " FROM (SELECT classify(image) AS p FROM images);";
        let fields = |behind| complete("SELECT p['la", behind, &names()).candidates;
        assert_eq!(fields(behind), ["label']"]);
        assert_eq!(fields(&format!("']{behind}")), ["label"]);
        assert!(complete("SELECT q['la", behind, &names()).candidates.is_empty());
    }

    #[test]
    fn files_are_completed_in_quotes_and_after_commands() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("report.sql"), "").unwrap();
        let folder = folder.path().display();
        for text in [format!("\\i {folder}/rep"), format!("SELECT * FROM '{folder}/rep")] {
            let Completion { start, candidates } = complete(&text, "", &names());
            assert_eq!(candidates.len(), 1, "{text}");
            assert!(
                format!("{}{}", &text[..start], candidates[0]).ends_with(&format!("{folder}/report.sql"))
            );
        }
    }
}
