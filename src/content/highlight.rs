//! Where a search has hit: a piece of a message's words as HTML. Pure functions.

/// Stands before a hit in a marked text.
pub const START: char = '\u{2}';

/// Stands behind a hit in a marked text.
pub const STOP: char = '\u{3}';

/// Stands for `<` in a marked text: the search must not take plain words for tags.
pub const LESS: char = '\u{4}';

/// The HTML of a marked text: hits in `<mark>`, everything else escaped.
pub fn html(marked: &str) -> String {
    let mut html = String::with_capacity(marked.len() + 64);
    let mut open = false;
    for character in marked.trim().chars() {
        match character {
            START if !open => {
                open = true;
                html.push_str("<mark>");
            }
            STOP if open => {
                open = false;
                html.push_str("</mark>");
            }
            START | STOP => {}
            LESS | '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    if open {
        html.push_str("</mark>");
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hits_are_markup() {
        for (marked, expected) in [
            ("", ""),
            (" \u{2}fish\u{3} & chips ", "<mark>fish</mark> &amp; chips"),
            (
                "\u{4}b>\"\u{2}x<\u{3}'",
                "&lt;b&gt;&quot;<mark>x&lt;</mark>&#39;",
            ),
            // Whatever comes, what is opened is closed, once.
            ("\u{3}a\u{2}b\u{2}c", "a<mark>bc</mark>"),
        ] {
            assert_eq!(html(marked), expected, "{marked:?}");
        }
    }

    #[test]
    fn what_is_left_is_what_was_written() {
        let text = "<script>alert('&amp;')</script>";
        assert_eq!(
            ammonia::clean(&html(text)),
            html(text).replace("&#39;", "'")
        );
    }
}
