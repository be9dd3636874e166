//! The summary line below a result: row and image counts, and time.

use std::fmt;
use std::time::Duration;

use super::stages::Inference;

/// Summary of a finished query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) rows: usize,
    pub(crate) elapsed: Duration,
    pub(crate) inference: Option<Inference>,
}

/// `20 row(s) in set, 0.523 seconds; 19 image(s), 36.3 a second; 1 failed.`
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
        f.write_str(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_failures_are_shown_only_if_there_are_any() {
        let summary =
            |inference| Summary { rows: 20, elapsed: Duration::from_millis(500), inference }.to_string();
        let inference = |failed_rows| Some(Inference { images: 19, rows: 0, failed_rows });
        assert_eq!(summary(None), "20 row(s) in set, 0.500 seconds.");
        assert_eq!(summary(inference(0)), "20 row(s) in set, 0.500 seconds; 19 image(s), 38.0 a second.");
        assert_eq!(
            summary(inference(1)),
            "20 row(s) in set, 0.500 seconds; 19 image(s), 38.0 a second; 1 failed."
        );
        let numbers = summary(Some(Inference { images: 0, rows: 20, failed_rows: 0 }));
        assert_eq!(numbers, "20 row(s) in set, 0.500 seconds; 20 row(s) inferred, 40.0 a second.");
    }
}
