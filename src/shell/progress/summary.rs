//! The summary line below a result: row and image counts, and time.

use std::fmt;
use std::time::Duration;

use crate::progress::Inference;

/// Summary of a finished query.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) rows: usize,
    pub(crate) elapsed: Duration,
    pub(crate) inference: Option<Inference>,
    /// Files in folders that are not images by their names.
    pub(crate) skipped_files: u64,
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
            }
        }
        if self.skipped_files > 0 {
            write!(f, "; {} file(s) skipped, no images by name", self.skipped_files)?;
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
        let summary =
            |inference| Summary { rows: 20, elapsed, inference, skipped_files: 0, facts: None }.to_string();
        let inference = |failed_rows| Some(Inference { images: 19, rows: 0, failed_rows });
        assert_eq!(summary(None), "20 row(s) in set, 0.500 seconds.");
        assert_eq!(summary(inference(0)), "20 row(s) in set, 0.500 seconds; 19 image(s), 38.0 a second.");
        assert_eq!(
            summary(inference(1)),
            "20 row(s) in set, 0.500 seconds; 19 image(s), 38.0 a second; 1 failed."
        );
        let skipped = Summary { rows: 20, elapsed, inference: None, skipped_files: 2, facts: None };
        let expected = "20 row(s) in set, 0.500 seconds; 2 file(s) skipped, no images by name.";
        assert_eq!(skipped.to_string(), expected);
        let long =
            Summary { facts: Some("inference used 84 % of 2 cores; nothing to gain".to_owned()), ..skipped };
        assert_eq!(long.to_string(), format!("{expected}\ninference used 84 % of 2 cores; nothing to gain."));
        let numbers = summary(Some(Inference { images: 0, rows: 20, failed_rows: 0 }));
        assert_eq!(numbers, "20 row(s) in set, 0.500 seconds; 20 row(s) inferred, 40.0 a second.");
    }
}
