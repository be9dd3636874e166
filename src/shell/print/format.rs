//! The names of the output formats.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table, or csv if the source has no end
    Automatic,
    /// For human eyes
    Table,
    /// Comma-separated values
    Csv,
    /// Tab-separated values
    Tsv,
    /// One array of objects
    Json,
    /// One object per line; also called ndjson and jsonl
    #[value(aliases = ["ndjson", "jsonl"])]
    NdJson,
    /// A table drawn with lines
    Box,
    /// A table in Markdown; also called md
    #[value(alias = "md")]
    Markdown,
    /// A table in HTML
    Html,
}

impl Format {
    /// The format that a file's name asks for by its ending, if it does.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::NdJson),
            "md" | "markdown" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            "txt" => Some(Self::Table),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_format_of_their_ending() {
        for (file, format) in [
            ("results.csv", Some(Format::Csv)),
            ("a.b/RESULTS.TSV", Some(Format::Tsv)),
            ("results.json", Some(Format::Json)),
            ("results.jsonl", Some(Format::NdJson)),
            ("results.md", Some(Format::Markdown)),
            ("results.html", Some(Format::Html)),
            ("results.txt", Some(Format::Table)),
            ("results.csv.gz", None),
            ("results.log", None),
            ("csv", None),
        ] {
            assert_eq!(Format::of_file(Path::new(file)), format, "{file}");
        }
    }

    #[test]
    fn names_of_json_lines_are_the_usual_ones() {
        for name in ["nd-json", "ndjson", "NDJSON", "jsonl"] {
            assert_eq!(Format::from_str(name, true), Ok(Format::NdJson), "{name}");
        }
    }
}
