//! What of a message is translated, and the message put together again around the translation.
//!
//! Never speaks to anybody who translates.

use aws_lc_rs::digest;
use serde_json::Value;

use crate::content::structure::MAX_DEPTH;
use crate::content::{is_blank, plain, rendering, rules, sanitize};

/// What a message says, ready to be translated: its structure if it has one, else its HTML, else
/// its raw text.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Raw text.
    Text(String),
    /// Sanitized HTML.
    Html(String),
    /// Structured content.
    Content(Value),
}

/// A message in another language.
#[derive(Debug, Clone, PartialEq)]
pub struct Translated {
    /// The words alone.
    pub body: String,
    /// As sanitized HTML, if the message has HTML or structure.
    pub body_html: Option<String>,
    /// As structured content, if the message has it.
    pub content: Option<Value>,
}

impl Source {
    /// Of what a message says in these forms.
    pub fn of((body, html, content): (&str, Option<&str>, Option<&Value>)) -> Self {
        let structured = content.filter(|content| !rendering::plaintext(content).is_empty());
        if let Some(content) = structured {
            return Self::Content(content.clone());
        }
        match html.filter(|html| !is_blank(&plain(html))) {
            Some(html) => Self::Html(html.to_owned()),
            None => Self::Text(body.to_owned()),
        }
    }

    /// SHA-256 of it: another text has another one.
    pub fn hash(&self) -> Vec<u8> {
        let (kind, text) = match self {
            Self::Text(text) => ("text", text.clone()),
            Self::Html(html) => ("html", html.clone()),
            Self::Content(content) => ("content", content.to_string()),
        };
        let text = format!("{kind}\0{text}");
        digest::digest(&digest::SHA256, text.as_bytes())
            .as_ref()
            .to_vec()
    }

    /// Whether the texts are HTML.
    pub fn is_html(&self) -> bool {
        matches!(self, Self::Html(_))
    }

    /// Whether there may be several texts.
    pub fn is_structured(&self) -> bool {
        matches!(self, Self::Content(_))
    }

    /// The texts to translate, in order. None: there are no words in it.
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        self.rewritten(&mut |text| {
            texts.push(text.to_owned());
            None
        });
        texts
    }

    /// It with these texts instead, of which there are as many. Spaces around a text stay.
    pub fn with(&self, texts: Vec<String>) -> Translated {
        let mut texts = texts.into_iter();
        // PostgreSQL has no texts with the character U+0000.
        match self.rewritten(&mut |_| texts.next().map(|text| text.replace('\0', ""))) {
            Self::Text(body) => Translated {
                body,
                body_html: None,
                content: None,
            },
            Self::Html(html) => {
                // Who translates may have made tags out of what were words.
                let html = sanitize(&html);
                Translated {
                    body: plain(&html),
                    body_html: Some(html),
                    content: None,
                }
            }
            Self::Content(content) => Translated {
                body: rendering::plaintext(&content),
                body_html: Some(rendering::html(&content)),
                content: Some(content),
            },
        }
    }

    /// It with every text that has words replaced, if `replace` says by what.
    fn rewritten(&self, replace: &mut dyn FnMut(&str) -> Option<String>) -> Self {
        match self {
            Self::Text(text) => Self::Text(put(text, replace)),
            Self::Html(html) if has_words(&plain(html)) => Self::Html(put_all(html, replace)),
            Self::Html(html) => Self::Html(html.clone()),
            Self::Content(content) => {
                let mut content = content.clone();
                rewrite(&mut content, 1, replace);
                Self::Content(content)
            }
        }
    }
}

/// The leaves of these nodes, but for code and for what names somebody.
fn rewrite(nodes: &mut Value, depth: usize, replace: &mut dyn FnMut(&str) -> Option<String>) {
    let Value::Array(nodes) = nodes else { return };
    if depth > MAX_DEPTH {
        return;
    }
    for node in nodes {
        let kind = node.get("type").and_then(Value::as_str);
        if matches!(kind, Some("code" | "mention" | "assignee"))
            || node.get("code") == Some(&Value::Bool(true))
        {
            continue;
        }
        if let Some(Value::String(text)) = node.get_mut("text") {
            *text = put(text, replace);
        }
        if let Some(children) = node.get_mut("children") {
            rewrite(children, depth + 1, replace);
        }
    }
}

fn put(text: &str, replace: &mut dyn FnMut(&str) -> Option<String>) -> String {
    if has_words(text) {
        put_all(text, replace)
    } else {
        text.to_owned()
    }
}

/// A text with its words replaced and the spaces around them kept: who translates drops them.
fn put_all(text: &str, replace: &mut dyn FnMut(&str) -> Option<String>) -> String {
    let words = text.trim();
    let Some(other) = replace(words) else {
        return text.to_owned();
    };
    let begin = text.len() - text.trim_start().len();
    let (before, rest) = text.split_at(begin);
    let after = &rest[words.len()..];
    format!("{before}{}{after}", other.trim())
}

/// Whether there is anything to translate: numbers, signs and addresses are the same everywhere.
fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphabetic) && rules::url(text.trim()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shouted(source: &Source) -> Translated {
        let texts = source.texts().into_iter();
        source.with(texts.map(|text| text.to_uppercase()).collect())
    }

    #[test]
    fn structure_is_kept_and_leaves_alone_are_translated() {
        let content = json!([
            {"type": "p", "class": "x", "children": [
                {"text": "hello "}, {"text": "big", "bold": true}, {"text": " - "},
                {"type": "mention", "user": {"id": "ann"}, "children": [{"text": "@Ann"}]},
                {"text": " run ls", "code": true},
                {"type": "link", "url": "https://example.com/a", "children": [{"text": "here"}]},
                {"type": "link", "url": "https://example.com/b", "children": [{"text": "https://example.com/b"}]},
            ]},
            {"type": "code", "children": [{"text": "let a"}]},
            {"type": "todo", "done": true, "todoID": "t", "children": [{"type": "p", "children": [{"text": "buy"}]}]},
        ]);
        let source = Source::of(("raw", None, Some(&content)));
        assert_eq!(source.texts(), ["hello", "big", "here", "buy"]);
        let made = shouted(&source);
        let other = made.content.expect("structure");
        assert_eq!(other[0]["children"][0]["text"], "HELLO ");
        assert_eq!(
            other[0]["children"][1],
            json!({"text": "BIG", "bold": true})
        );
        for (pointer, same) in [
            ("/0/class", json!("x")),
            ("/0/children/2", content[0]["children"][2].clone()),
            ("/0/children/3", content[0]["children"][3].clone()),
            ("/0/children/4", content[0]["children"][4].clone()),
            ("/0/children/5/url", json!("https://example.com/a")),
            ("/0/children/6", content[0]["children"][6].clone()),
            ("/1", content[1].clone()),
            ("/2/done", json!(true)),
        ] {
            assert_eq!(other.pointer(pointer), Some(&same), "{pointer}");
        }
        assert!(made.body.starts_with("HELLO BIG - @Ann"), "{}", made.body);
        assert!(made.body_html.expect("HTML").contains("<b>BIG</b>"));
    }

    #[test]
    fn html_is_sanitized_again() {
        let source = Source::of(("", Some("<p>a &lt;script&gt;b()</p>"), None));
        assert!(source.is_html());
        let made = source.with(vec!["<p>A <script>b()</script><i>c</i></p>".to_owned()]);
        assert_eq!(made.body_html.as_deref(), Some("<p>A <i>c</i></p>"));
        assert_eq!(made.body, "A c");
    }

    #[test]
    fn raw_text_keeps_the_spaces_around_it() {
        let made = shouted(&Source::of(("\n  hi there \t", None, None)));
        assert_eq!(made.body, "\n  HI THERE \t");
        assert_eq!((made.body_html, made.content), (None, None));
    }

    #[test]
    fn what_has_no_words_is_not_translated() {
        for text in [
            "",
            "  ",
            "42 + 1!",
            "\u{1f44d}",
            "https://example.com/hello",
        ] {
            let source = Source::of((text, None, None));
            assert!(source.texts().is_empty(), "{text}");
            assert_eq!(source.with(Vec::new()).body, text);
        }
        let image = Source::of(("", Some("<img src=\"https://example.com/a.png\">"), None));
        assert!(image.texts().is_empty());
    }

    #[test]
    fn another_text_or_form_has_another_hash() {
        let content = json!([{"type": "p", "children": [{"text": "a"}]}]);
        let other = json!([{"type": "quote", "children": [{"text": "a"}]}]);
        let sources = [
            Source::of(("a", None, None)),
            Source::of(("a ", None, None)),
            Source::of(("", Some("<p>a</p>"), None)),
            Source::of(("a", None, Some(&content))),
            Source::of(("a", None, Some(&other))),
        ];
        for (index, source) in sources.iter().enumerate() {
            for another in &sources[index + 1..] {
                assert_ne!(source.hash(), another.hash(), "{source:?} {another:?}");
            }
        }
        assert_eq!(
            Source::of(("a", Some("<p>a</p>"), Some(&content))).hash(),
            sources[3].hash()
        );
    }

    #[test]
    fn any_depth_is_survived() {
        let mut deep = json!({"text": "words"});
        for _ in 0..200 {
            deep = json!({"type": "quote", "children": [deep]});
        }
        let source = Source::Content(json!([deep, {"type": "p", "children": [{"text": "top"}]}]));
        assert_eq!(source.texts(), ["top"]);
    }
}
