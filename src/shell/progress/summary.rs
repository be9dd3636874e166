//! The summary line below a result: row and image counts, and time.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use itertools::Itertools;

use crate::progress::Inference;

/// Summary of a finished query.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) rows: usize,
    pub(crate) elapsed: Duration,
    pub(crate) inference: Option<Inference>,
    /// Files in folders that are not images by their names.
    pub(crate) skipped_files: u64,
    /// Entries of folders that can't be listed, by reason.
    pub(crate) unlisted_entries: BTreeMap<&'static str, u64>,
    /// Failures that the statement's errors file lists.
    pub(crate) listed_failures: u64,
    /// What limited a long query.
    pub(crate) facts: Option<String>,
}

/// `20 row(s) in set, 0.523 seconds; 19 image(s), 36.3 a second; 1 failed; 2 file(s) skipped, no images by name.`
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        write!(f, "{} row(s) in set, {seconds:.3} seconds", self.rows)?;
        if let Some(Inference { images, rows, failed_rows }) = self.inference {
            let (count, what) = if rows > images { (rows, "row(s) inferred") } else { (images, "image(s)") };
            write!(f, "; {count} {what}, {:.1} a second", count as f64 / seconds.max(f64::EPSILON))?;
            if failed_rows > 0 {
                write!(f, "; {failed_rows} failed")?;
                if self.listed_failures == 0 {
                    f.write_str(" (image_error(image) says why, COPY … OPTIONS ('errors' 'errors.parquet') lists them)")?;
                }
            }
        }
        if self.skipped_files > 0 {
            write!(f, "; {} file(s) skipped, no images by name", self.skipped_files)?;
        }
        if !self.unlisted_entries.is_empty() {
            let reasons = self.unlisted_entries.iter().map(|(reason, count)| format!("{count} × {reason}"));
            let count: u64 = self.unlisted_entries.values().sum();
            write!(f, "; {count} not listed: {}", reasons.format(", "))?;
        }
        if self.listed_failures > 0 {
            write!(f, "; {} in the errors file", self.listed_failures)?;
        }
        f.write_str(".")?;
        self.facts.iter().try_for_each(|facts| write!(f, "\n{facts}."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_failures_are_shown_only_if_there_are_any() {
        let elapsed = Duration::from_millis(500);
        let plain = Summary {
            rows: 20,
            elapsed,
            inference: None,
            skipped_files: 0,
            unlisted_entries: BTreeMap::new(),
            listed_failures: 0,
            facts: None,
        };
        let summary = |inference| Summary { inference, ..plain.clone() }.to_string();
        let inference = |failed_rows| Some(Inference { images: 19, rows: 0, failed_rows });
        assert_eq!(summary(None), "20 row(s) in set, 0.500 seconds.");
        assert_eq!(summary(inference(0)), "20 row(s) in set, 0.500 seconds; 19 image(s), 38.0 a second.");
        assert_eq!(
            summary(inference(1)),
            "20 row(s) in set, 0.500 seconds; 19 image(s), 38.0 a second; 1 failed (image_error(image) says why, COPY … \
             OPTIONS ('errors' 'errors.parquet') lists them)."
        );
        let listed = Summary {
            unlisted_entries: [("link that loops", 1), ("no permission", 2)].into(),
            listed_failures: 4,
            inference: inference(1),
            ..plain.clone()
        };
        assert_eq!(
            listed.to_string(),
            "20 row(s) in set, 0.500 seconds; 19 image(s), 38.0 a second; 1 failed; 3 not listed: 1 × link that \
             loops, 2 × no permission; 4 in the errors file."
        );
        let skipped = Summary { skipped_files: 2, ..plain.clone() };
        let expected = "20 row(s) in set, 0.500 seconds; 2 file(s) skipped, no images by name.";
        assert_eq!(skipped.to_string(), expected);
        let long =
            Summary { facts: Some("inference used 84 % of 2 cores; nothing to gain".to_owned()), ..skipped };
        assert_eq!(long.to_string(), format!("{expected}\ninference used 84 % of 2 cores; nothing to gain."));
        let numbers = summary(Some(Inference { images: 0, rows: 20, failed_rows: 0 }));
        assert_eq!(numbers, "20 row(s) in set, 0.500 seconds; 20 row(s) inferred, 40.0 a second.");
    }
}
