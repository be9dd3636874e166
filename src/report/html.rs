//! Text in HTML.

use std::borrow::Cow;

/// `text` for an element's content or a quoted attribute: nothing in it is markup. Control characters, which HTML does
/// not allow, become `�`.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    let is_special = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\'' | '`') || is_forbidden(c);
    if !text.contains(is_special) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '`' => safe.push_str("&#96;"),
            c if is_forbidden(c) => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

fn is_forbidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(
            escaped("<img src=x onerror=\"alert('1')\">&amp;`"),
            "&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;amp;&#96;"
        );
        assert_eq!(escaped("a\0b\x1b[31m\u{85}\n"), "a\u{fffd}b\u{fffd}[31m\u{fffd}\n");
        assert!(matches!(escaped("löwe.jpg"), Cow::Borrowed(_)));
    }
}
