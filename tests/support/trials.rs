//! Tests of harnesses that count what a machine lacks something for as ignored.

use libtest_mimic::Trial;

/// A test.
pub(crate) type Test = (&'static str, fn());

/// The trials of `tests`, ignored if something is missing.
pub(crate) fn trials(tests: &[Test], missing: Option<&str>) -> Vec<Trial> {
    let trial = |&(name, test): &Test| {
        let trial = Trial::test(name, move || {
            test();
            Ok(())
        });
        match missing {
            Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
            None => trial,
        }
    };
    tests.iter().map(trial).collect()
}
