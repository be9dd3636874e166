//! The SQL keywords that the prompt completes and colours: those of queries and of Seequel's statements, without the
//! hundreds of other parser keywords that are used as names.

/// In alphabetical order.
const KEYWORDS: [&str; 110] = [
    "ADVISE",
    "ALL",
    "ANALYZE",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "ATTACH",
    "BETWEEN",
    "BY",
    "CANCEL",
    "CASE",
    "CAST",
    "COPY",
    "CREATE",
    "CROSS",
    "CUBE",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DEVICES",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXECUTORS",
    "EXISTS",
    "EXPLAIN",
    "EXTERNAL",
    "FALSE",
    "FILTER",
    "FIRST",
    "FOLLOWING",
    "FROM",
    "FULL",
    "FUNCTIONS",
    "GROUP",
    "GROUPING",
    "HAVING",
    "ILIKE",
    "IMAGES",
    "IN",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOB",
    "JOBS",
    "JOIN",
    "LAST",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LOCATION",
    "MODEL",
    "MODELS",
    "NATURAL",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OPTIONS",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARQUET",
    "PARTITION",
    "PARTITIONED",
    "PRECEDING",
    "RECURSIVE",
    "REPLACE",
    "RESET",
    "RESUMABLE",
    "RIGHT",
    "ROLLUP",
    "ROWS",
    "SELECT",
    "SEMI",
    "SET",
    "SETS",
    "SHOW",
    "STORED",
    "SUMMARIZE",
    "TABLE",
    "TABLES",
    "THEN",
    "TO",
    "TRUE",
    "TUNE",
    "TUNING",
    "UNBOUNDED",
    "UNION",
    "UNNEST",
    "UPDATE",
    "USING",
    "VALUES",
    "VERBOSE",
    "VIEW",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "WITHIN",
    "WITHOUT",
];

/// Whether `word` is a keyword, in either case.
pub(crate) fn is_keyword(word: &str) -> bool {
    KEYWORDS.binary_search(&word.to_ascii_uppercase().as_str()).is_ok()
}

/// The keywords that start with `prefix`, in its case.
pub(crate) fn keywords_from(prefix: &str) -> impl Iterator<Item = String> {
    let is_lower = prefix.chars().any(|c| c.is_ascii_lowercase());
    let upper = prefix.to_ascii_uppercase();
    KEYWORDS
        .iter()
        .filter(move |keyword| keyword.starts_with(&upper))
        .map(move |keyword| if is_lower { keyword.to_ascii_lowercase() } else { (*keyword).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_in_order_and_found_in_either_case() {
        assert!(KEYWORDS.is_sorted());
        assert!(is_keyword("select") && is_keyword("SELECT") && !is_keyword("path"));
        assert_eq!(keywords_from("sele").collect::<Vec<_>>(), ["select"]);
        assert_eq!(keywords_from("MOD").collect::<Vec<_>>(), ["MODEL", "MODELS"]);
    }
}
