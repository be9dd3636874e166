//! The maximum number of rows shown: `--maxrows 40`, `--maxrows unlimited`.

use std::fmt;
use std::str::FromStr;

/// Maximum number of rows of a result that a table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaxRows {
    Limited(usize),
    Unlimited,
}

impl MaxRows {
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Limited(rows) => rows,
            Self::Unlimited => usize::MAX,
        }
    }
}

impl fmt::Display for MaxRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limited(rows) => rows.fmt(f),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

impl FromStr for MaxRows {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "unlimited" | "infinite" | "inf" | "none" => Ok(Self::Unlimited),
            number => match number.parse() {
                Ok(rows) => Ok(Self::Limited(rows)),
                Err(_) => Err("write a number of rows, or unlimited".to_string()),
            },
        }
    }
}
