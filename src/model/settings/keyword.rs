//! Enums for options with keyword values, parsed in any case.

/// A keyword that an option does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is not one of {allowed}")]
pub struct UnknownKeyword {
    /// The value the user wrote.
    pub given: String,
    /// The allowed keywords, separated by commas.
    pub allowed: String,
}

/// Declares an enum with a keyword per variant, and implements `Display` and `FromStr` (in any case).
macro_rules! keywords {
    ($(#[$about:meta])* $vis:vis enum $name:ident { $($(#[$meaning:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $name { $($(#[$meaning])* $variant,)+ }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $word,)+ })
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::settings::UnknownKeyword;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $(if text.eq_ignore_ascii_case($word) { return Ok(Self::$variant); })+
                Err($crate::model::settings::UnknownKeyword {
                    given: text.to_string(),
                    allowed: [$($word),+].join(", "),
                })
            }
        }
    };
}
pub(crate) use keywords;

#[cfg(test)]
mod tests {
    use crate::model::input::Resize;

    #[test]
    fn parses_any_case_and_prints_the_documented_spelling() {
        assert_eq!("LetterBox".parse(), Ok(Resize::Letterbox));
        assert_eq!(Resize::Letterbox.to_string(), "letterbox");
    }

    #[test]
    fn unknown_keyword_error_lists_the_allowed_ones() {
        let error = "squash".parse::<Resize>().map_err(|error| error.to_string());
        assert_eq!(error, Err("'squash' is not one of crop, stretch, letterbox".to_string()));
    }
}
