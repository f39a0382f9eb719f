//! What messages say: sanitized HTML, structured content, items and answers, and the words alone.
//! Pure functions; they look at nothing but their arguments.

pub mod attributes;
pub mod file;
pub mod form;
pub mod language;
pub mod object;
pub mod rendering;
pub mod rules;
pub mod structure;
pub mod translation;

use serde_json::Value;

pub mod highlight;

use crate::db::message::Words;

/// How wide a line of text made from HTML may be: wide enough to break none.
const UNBROKEN: usize = 100_000;

/// The forms of a message that was given as raw text, as HTML, as structured content, or as
/// several of them: the words alone come from the structure, else from the text, else from the
/// HTML; HTML that was not given comes from the structure.
pub fn words(body: Option<String>, html: Option<&str>, content: Option<Value>) -> Words {
    let body = body.unwrap_or_default();
    let derived = || content.as_ref().map(rendering::html);
    let body_html = html.map(sanitize).or_else(derived);
    let of_content = content.as_ref().map(rendering::plaintext);
    let plaintext = of_content
        .into_iter()
        .chain([body.trim().to_owned()])
        .find(|text| !text.is_empty())
        .or_else(|| body_html.as_deref().map(plain))
        .unwrap_or_default();
    Words {
        body,
        body_html,
        content,
        plaintext,
    }
}

/// Whether a text has nothing in it that is seen.
pub fn is_blank(text: &str) -> bool {
    // Spaces of no width are no white space to Unicode.
    let unseen = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}".contains(c)
    };
    text.chars().all(unseen)
}

/// Whether there is anything to see in an HTML text once it is sanitized: words or an image.
pub fn says_something(html: &str) -> bool {
    let clean = sanitize(html);
    clean.contains("<img") || !is_blank(&plain(&clean))
}

/// HTML without anything that runs, loads or frames: ammonia's allow-list.
pub fn sanitize(html: &str) -> String {
    ammonia::clean(html)
}

/// The words of an HTML text.
pub fn plain(html: &str) -> String {
    // Tables would be drawn, each row as wide as the widest one; in raw mode their cells are
    // words like all others.
    html2text::config::plain_no_decorate()
        .raw_mode(true)
        .no_table_borders()
        .string_from_read(html.as_bytes(), UNBROKEN)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_runs_survives() {
        let html = r#"<p onclick="x()">Hi <b>you</b><script>alert(1)</script><a href="javascript:x()">l</a></p>"#;
        let clean = sanitize(html);
        assert!(clean.contains("<b>you</b>"), "{clean}");
        for bad in ["script", "onclick", "javascript"] {
            assert!(!clean.contains(bad), "{clean}");
        }
    }

    #[test]
    fn a_table_is_words_and_no_drawing() {
        let wide = format!(
            "<table><tr><td>{}</td></tr>{}</table>",
            "a".repeat(500),
            "<tr><td>b<td>c".repeat(500)
        );
        let words = plain(&wide);
        assert!(words.contains('b') && !words.contains('─'));
        assert!(
            words.len() < wide.len(),
            "{} of {}",
            words.len(),
            wide.len()
        );
    }

    #[test]
    fn the_words_come_from_the_html_when_there_is_no_text() {
        let html = words(
            None,
            Some("<p>Fish &amp; <i>chips</i></p><p>Peas</p>"),
            None,
        );
        assert_eq!(html.body, "");
        assert!(
            html.plaintext.starts_with("Fish & chips"),
            "{:?}",
            html.plaintext
        );
        assert!(html.plaintext.ends_with("Peas"), "{:?}", html.plaintext);
        let both = words(Some(" text ".to_owned()), Some("<p>html</p>"), None);
        assert_eq!(
            (both.body.as_str(), both.plaintext.as_str()),
            (" text ", "text")
        );
    }
}
