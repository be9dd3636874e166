//! `~` in locations.

use std::borrow::Cow;
use std::env;

/// Replaces `~` at the start of a location by the user's home folder, as shells do; `~name` is left as it is.
pub(crate) fn expand_home(written: &str) -> Cow<'_, str> {
    let below = written.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match below.zip(env::home_dir()) {
        Some((below, home)) => format!("{}{below}", home.display()).into(),
        None => written.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leading_tilde_alone_is_the_home_folder() {
        let home = env::home_dir().unwrap();
        let home = home.display();
        assert_eq!(expand_home("~"), format!("{home}"));
        assert_eq!(expand_home("~/photos/*.jpg"), format!("{home}/photos/*.jpg"));
        for written in ["~other/a", "a/~", "./~", "", "s3://bucket/~/a"] {
            assert_eq!(expand_home(written), written);
        }
    }
}
