//! What messages say: sanitized HTML, and the words alone. Pure functions; they look at nothing
//! but their arguments.

pub mod highlight;

use crate::db::message::Words;

/// How wide a line of text made from HTML may be: wide enough to break none.
const UNBROKEN: usize = 100_000;

/// The forms of a message that was given as raw text, as HTML, or as both.
pub fn words(body: Option<String>, html: Option<&str>) -> Words {
    let body_html = html.map(sanitize);
    let body = body.unwrap_or_default();
    let plaintext = match &body_html {
        Some(html) if body.trim().is_empty() => plain(html),
        _ => body.trim().to_owned(),
    };
    Words {
        body,
        body_html,
        plaintext,
    }
}

/// HTML without anything that runs, loads or frames: ammonia's allow-list.
pub fn sanitize(html: &str) -> String {
    ammonia::clean(html)
}

/// The words of an HTML text.
pub fn plain(html: &str) -> String {
    html2text::config::plain_no_decorate()
        .string_from_read(html.as_bytes(), UNBROKEN)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

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
    fn the_words_come_from_the_html_when_there_is_no_text() {
        let html = words(None, Some("<p>Fish &amp; <i>chips</i></p><p>Peas</p>"));
        assert_eq!(html.body, "");
        assert!(
            html.plaintext.starts_with("Fish & chips"),
            "{:?}",
            html.plaintext
        );
        assert!(html.plaintext.ends_with("Peas"), "{:?}", html.plaintext);
        let both = words(Some(" text ".to_owned()), Some("<p>html</p>"));
        assert_eq!(
            (both.body.as_str(), both.plaintext.as_str()),
            (" text ", "text")
        );
    }
}
