//! What to look at: a query, or the images of a location.

use datafusion::dataframe::DataFrame;

use crate::{Engine, Result};

/// First words of a query.
const QUERY_WORDS: [&str; 5] = ["select", "with", "from", "values", "table"];

/// A query, or a path, pattern or folder of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Query(String),
    Location(String),
}

impl Target {
    /// A query if `text` starts like one and goes on; a folder may be called `table`.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        let is_query = text.starts_with('(')
            || text
                .split_once(char::is_whitespace)
                .is_some_and(|(first, _)| QUERY_WORDS.iter().any(|word| first.eq_ignore_ascii_case(word)));
        match text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            _ if is_query => Self::Query(text.to_owned()),
            Some(quoted) => Self::Location(quoted.to_owned()),
            None => Self::Location(text.to_owned()),
        }
    }

    /// The SQL for the rows.
    pub(crate) fn sql(&self) -> String {
        match self {
            Self::Query(sql) => sql.clone(),
            Self::Location(location) => {
                format!("SELECT path, image FROM read_images('{}')", location.replace('\'', "''"))
            }
        }
    }

    /// The query for at most `rows` rows.
    ///
    /// # Errors
    /// Those of the query's planning.
    pub(crate) async fn rows(&self, engine: &Engine, rows: usize) -> Result<DataFrame> {
        Ok(engine.sql(&self.sql()).await?.limit(0, Some(rows))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_told_from_locations() {
        for query in ["SELECT image FROM t", "with a AS (SELECT 1) SELECT * FROM a", "(SELECT 1)", "TABLE t"]
        {
            assert_eq!(Target::parse(query), Target::Query(query.to_owned()));
        }
        for (text, location) in [
            ("photos/*.jpg", "photos/*.jpg"),
            ("'my photos/'", "my photos/"),
            ("select", "select"),
            ("table/", "table/"),
        ] {
            assert_eq!(Target::parse(text), Target::Location(location.to_owned()));
        }
        assert!(Target::Location("it's".to_owned()).sql().ends_with("read_images('it''s')"));
    }
}
