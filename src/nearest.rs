//! The known word that a misspelt one was probably meant to be.

use datafusion::common::utils::datafusion_strsim::levenshtein;

/// Letters that must be right before the rest of a word is supplied.
const SHORTEST_PREFIX: usize = 3;

/// The word of `known` nearest to `word`, in any case: at an edit distance of at most a third of its length, or one
/// that `word` begins.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let distance = |known: &str| levenshtein(&known.to_lowercase(), &word);
    let is_near = |known: &str| {
        let begins = word.len() >= SHORTEST_PREFIX && known.to_lowercase().starts_with(&word);
        begins || distance(known) * 3 <= known.len()
    };
    known.into_iter().filter(|known| is_near(known)).min_by_key(|known| distance(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_and_shortened_words_are_found() {
        assert_eq!(nearest("lables", ["layout", "labels"]), Some("labels"));
        assert_eq!(nearest("IMAGE", ["CSV", "IMAGES"]), Some("IMAGES"));
        assert_eq!(nearest("efficientnet", ["vit", "efficientnet_lite0"]), Some("efficientnet_lite0"));
        assert_eq!(nearest("\\y", ["\\x", "\\d"]), None);
        assert_eq!(nearest("colour", ["layout", "labels"]), None);
    }
}
