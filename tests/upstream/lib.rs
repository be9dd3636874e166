//! DataFusion's own sqllogictest files, run with Seequel's functions, rules and planner in the session.
//!
//! ```text
//!  datafusion-sqllogictest (the crate's source) ── copied to a folder of its own ──► session with_seequel() ─► failures
//!                                                                                    plain session, for these ─► failures
//! ```
//!
//! Records that pass in a plain session must pass with Seequel: its rules must not affect other queries. `files.txt`
//! lists the files to run, with the reason where some of their records fail in both sessions; `ours.txt` lists the
//! records whose output includes Seequel's settings or functions.
//!
//! It is a separate package because DataFusion's test driver adds Avro and Spark functions to the build, and a separate
//! process because the files refer to others relative to the working directory.

#[cfg(test)]
mod engine;
#[cfg(test)]
mod run;
#[cfg(test)]
mod source;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::PathBuf;

    use super::run::{Session, run};
    use super::source;

    /// A line for each file: its name, and the reason if it does not pass completely.
    const FILES: &str = include_str!("files.txt");
    /// A line for each record whose output includes Seequel's additions: `file:line`, and the reason.
    const OURS: &str = include_str!("ours.txt");

    #[test]
    fn records_that_pass_in_datafusion_pass_with_seequel() {
        let folder = source::copy().unwrap();
        std::env::set_current_dir(folder.path()).unwrap();
        let listed: BTreeMap<_, _> = lines(FILES).collect();
        let files = source::files().unwrap();
        assert!(files.iter().map(|file| file.to_str().unwrap()).eq(listed.keys().copied()), "{files:#?}");

        let mut failed = run(Session::Seequel, &files);
        let ours: BTreeSet<_> = lines(OURS).map(|(record, _)| record).collect();
        let passed: Vec<_> = ours.iter().filter(|record| !failed.contains_key(**record)).collect();
        assert!(passed.is_empty(), "pass, but ours.txt has them: {passed:?}");
        failed.retain(|record, _| !ours.contains(record.as_str()));
        let doubtful: BTreeSet<_> = failed.keys().map(|record| source::file_of(record)).collect();
        let plain = run(Session::Plain, &doubtful.into_iter().map(PathBuf::from).collect::<Vec<_>>());
        failed.retain(|record, _| !plain.contains_key(record));
        // A few records depend on thread timing: a second run excludes random failures.
        let again: BTreeSet<_> = failed.keys().map(|record| source::file_of(record)).collect();
        let again = run(Session::Seequel, &again.into_iter().map(PathBuf::from).collect::<Vec<_>>());
        failed.retain(|record, _| again.contains_key(record));
        assert!(failed.is_empty(), "pass in DataFusion and fail with Seequel: {failed:#?}");

        let explained = listed.iter().filter(|(_, reason)| !reason.is_empty()).map(|(file, _)| *file);
        let explained: BTreeSet<_> = explained.collect();
        let mut incomplete: BTreeSet<_> = plain.keys().map(|record| source::file_of(record)).collect();
        // For the same reason: records with little memory fail at random on a busy machine.
        let doubtful = incomplete.difference(&explained).map(PathBuf::from).collect::<Vec<_>>();
        let again = run(Session::Plain, &doubtful);
        incomplete.retain(|file| {
            explained.contains(file) || again.keys().any(|record| source::file_of(record) == *file)
        });
        assert_eq!(incomplete, explained, "fail in DataFusion: {plain:#?}");
    }

    /// The entries of a list, each with the text after it.
    fn lines(list: &str) -> impl Iterator<Item = (&str, &str)> {
        let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(|line| line.split_once(' ').unwrap_or((line, "")))
    }
}
