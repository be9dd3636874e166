//! Hides passwords, keys and signatures in text that is shown or logged.
//!
//! Users write them in URLs and in OPTIONS, and libraries repeat what they are given. What a message says stays readable:
//! only the secret itself becomes `***`.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Parts of the names of options and parameters whose values are secret, as an alternative of a pattern.
const NAMES: &str = "signature|sig|token|credential|secret|password|passwd|pwd|access_key|accesskey|account_key\
                     |api_key|apikey|private_key|sas_key|bearer";

/// Each matches what comes before a secret as `before`, and the secret as `secret`.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let quoted = format!("[^'\"\\n]*(?:{NAMES})[^'\"\\n]*");
    [
        // https://user:password@host, and a token in the user's place; Azure's container@account is none.
        "(?P<before>\\b[a-z][a-z0-9+.-]*://)(?P<secret>[^/?#\\s'\"@:]*:[^/?#\\s'\"@]*)@".to_owned(),
        "(?P<before>\\bhttps?://)(?P<secret>[^/?#\\s'\"@:]+)@".to_owned(),
        // ?X-Amz-Signature=…
        format!("(?P<before>[?&][^=&\\s'\"#]*(?:{NAMES})[^=&\\s'\"#]*=)(?P<secret>[^&\\s'\"#)]+)"),
        // 'aws.secret_access_key' '…', as in a statement, and "…": "…", as a program prints it.
        format!("(?P<before>'{quoted}'\\s*[=,]?\\s*')(?P<secret>[^'\\n]+)"),
        format!("(?P<before>\"{quoted}\"[:,]?\\s*(?:\\w+\\(\\s*)*\")(?P<secret>[^\"\\n]+)"),
        // aws.secret_access_key …, as in a plan.
        format!(
            "(?P<before>\\b(?:aws|gcp|azure|http)\\.[a-z_]*(?:{NAMES})[a-z_]*[ =:]+)(?P<secret>[^\\s,)'\"]+)"
        ),
    ]
    .iter()
    .filter_map(|pattern| Regex::new(&format!("(?i){pattern}")).ok())
    .collect()
});

/// The text without secrets, each of them as `***`.
pub(crate) fn hidden(text: &str) -> Cow<'_, str> {
    hide(text, |_| "***".to_owned())
}

/// The text without secrets, with as many characters, so that positions in it stay the same.
pub(crate) fn masked(text: &str) -> Cow<'_, str> {
    hide(text, |secret| "*".repeat(secret.chars().count()))
}

fn hide(text: &str, replaced: impl Fn(&str) -> String) -> Cow<'_, str> {
    PATTERNS.iter().fold(Cow::Borrowed(text), |text, pattern| {
        let replace = |found: &Captures<'_>| {
            let all = found.get(0).map_or("", |all| all.as_str());
            let (before, secret) = (&found["before"], &found["secret"]);
            let after = all.get(before.len() + secret.len()..).unwrap_or_default();
            format!("{before}{}{after}", replaced(secret))
        };
        let changed = match pattern.replace_all(&text, replace) {
            Cow::Borrowed(_) => None,
            Cow::Owned(changed) => Some(changed),
        };
        changed.map_or(text, Cow::Owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_the_rest_stays() {
        assert_eq!(PATTERNS.len(), 6, "each pattern is well formed");
        for (text, expected) in [
            ("'https://me:hush@host/a.onnx': not found", "'https://***@host/a.onnx': not found"),
            ("s3://me:hush@bucket/a and http://hush@host/", "s3://***@bucket/a and http://***@host/"),
            ("https://host/a?X-Amz-Signature=hush&part=1", "https://host/a?X-Amz-Signature=***&part=1"),
            ("GET /b?list-type=2&sv=1&sig=hush", "GET /b?list-type=2&sv=1&sig=***"),
            (
                "OPTIONS ('aws.secret_access_key' 'hush', 'aws.region' 'eu')",
                "OPTIONS ('aws.secret_access_key' '***', 'aws.region' 'eu')",
            ),
            ("OPTIONS ('aws.secret_access_key' 'hus", "OPTIONS ('aws.secret_access_key' '***"),
            (
                "options: (aws.access_key_id hush, aws.secret_access_key hush)",
                "options: (aws.access_key_id ***, aws.secret_access_key ***)",
            ),
            (
                r#"("aws.session_token", Value(SingleQuotedString("hush")))"#,
                r#"("aws.session_token", Value(SingleQuotedString("***")))"#,
            ),
            (r#"{"aws.secret_access_key": "hush"}"#, r#"{"aws.secret_access_key": "***"}"#),
        ] {
            assert_eq!(hidden(text), expected);
            assert_eq!(masked(text).chars().count(), text.chars().count());
            assert!(!masked(text).contains("hush"), "{text}");
        }
    }

    #[test]
    fn text_without_secrets_stays() {
        for text in [
            "abfss://container@account.dfs.core.windows.net/p",
            "hf://org/repo@main/model.onnx",
            "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary ones, AWS_SESSION_TOKEN",
            "or OPTIONS ('aws.access_key_id' …, 'aws.secret_access_key' …); for a public bucket",
            "GET /photos?list-type=2&prefix=a",
            "unknown option 'aws.secret_acces_key'",
            "a@b: c",
        ] {
            assert!(matches!(hidden(text), Cow::Borrowed(_)), "{text}: {}", hidden(text));
        }
    }
}
