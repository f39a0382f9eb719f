//! Structured content in other forms: its words alone, and HTML. Works on any value, valid or not.
//!
//! Never refuses anything: whatever is no node is left out.

use std::sync::LazyLock;

use ammonia::Builder;
use serde_json::Value;

use crate::content::rules;
use crate::content::structure::{self, MAX_DEPTH};

/// The sanitizer's own allow-list, and what tells a mention from other text.
static SANITIZER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut sanitizer = Builder::default();
    sanitizer
        .add_tag_attributes("span", ["data-user-id"])
        .add_allowed_classes("span", ["mention", "assignee"]);
    sanitizer
});

/// The words of a structured content: leaves joined, a line for each node of the top, trimmed.
pub fn plaintext(content: &Value) -> String {
    let mut text = String::new();
    for (index, node) in nodes(content).iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        add_words(&mut text, node, 1);
    }
    text.trim().to_owned()
}

/// A structured content as HTML that has passed the sanitizer. A mention is a
/// `<span class="mention" data-user-id="...">`, an assignee likewise.
pub fn html(content: &Value) -> String {
    let mut html = String::new();
    add_blocks(&mut html, nodes(content), 1);
    SANITIZER.clean(&html).to_string()
}

fn nodes(content: &Value) -> &[Value] {
    content.as_array().map_or(&[], Vec::as_slice)
}

fn words(node: &Value) -> &str {
    node.get("text").and_then(Value::as_str).unwrap_or_default()
}

fn add_words(text: &mut String, node: &Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    text.push_str(words(node));
    for child in structure::children(node) {
        add_words(text, child, depth + 1);
    }
}

/// Nodes one below the other: entries that follow each other make lists, inline nodes that follow
/// each other a paragraph.
fn add_blocks(html: &mut String, nodes: &[Value], depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    let mut lists = Lists::default();
    let mut in_paragraph = false;
    for node in nodes {
        let kind = structure::kind(node);
        let inline = matches!(kind, None | Some("link" | "mention" | "assignee"));
        if in_paragraph && !inline {
            html.push_str("</p>");
        } else if inline && !in_paragraph {
            lists.close_to(html, None);
            html.push_str("<p>");
        }
        in_paragraph = inline;
        if inline {
            add_inline(html, node, depth);
            continue;
        }
        if let Some(tag) = list_tag(kind) {
            lists.open_entry(html, tag, node);
            add_entry(html, node, depth);
            continue;
        }
        lists.close_to(html, None);
        add_block(html, kind, node, depth);
    }
    if in_paragraph {
        html.push_str("</p>");
    }
    lists.close_to(html, None);
}

fn add_block(html: &mut String, kind: Option<&str>, node: &Value, depth: usize) {
    let children = structure::children(node);
    match kind {
        Some("quote") => {
            html.push_str("<blockquote>");
            add_blocks(html, children, depth + 1);
            html.push_str("</blockquote>");
        }
        Some("code") => {
            html.push_str("<pre><code>");
            for leaf in children {
                html.push_str(&escape(words(leaf)));
            }
            html.push_str("</code></pre>");
        }
        _ => {
            html.push_str("<p>");
            add_all_inline(html, children, depth + 1);
            html.push_str("</p>");
        }
    }
}

/// What an entry of a list holds: its paragraphs as lines.
fn add_entry(html: &mut String, node: &Value, depth: usize) {
    if structure::kind(node) == Some("todo") {
        let done = node.get("done") == Some(&Value::Bool(true));
        html.push_str(if done { "\u{2611} " } else { "\u{2610} " });
    }
    for (index, child) in structure::children(node).iter().enumerate() {
        if structure::kind(child) != Some("p") {
            add_inline(html, child, depth + 1);
            continue;
        }
        if index > 0 {
            html.push_str("<br>");
        }
        add_all_inline(html, structure::children(child), depth + 2);
    }
}

fn add_all_inline(html: &mut String, nodes: &[Value], depth: usize) {
    for node in nodes {
        add_inline(html, node, depth);
    }
}

fn add_inline(html: &mut String, node: &Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    let id = node.pointer("/user/id").and_then(Value::as_str);
    let url = node.get("url").and_then(Value::as_str);
    let end = match (structure::kind(node), id, url) {
        (Some(kind @ ("mention" | "assignee")), Some(id), _) => {
            let id = ammonia::clean_text(id);
            html.push_str(&format!("<span class=\"{kind}\" data-user-id=\"{id}\">"));
            "</span>"
        }
        (Some("link"), _, Some(url)) if rules::url(url).is_none() => {
            // The sanitizer adds what keeps the other page away from ours (`rel`).
            html.push_str(&format!("<a href=\"{}\">", ammonia::clean_text(url)));
            "</a>"
        }
        (None, ..) => {
            add_leaf(html, node);
            ""
        }
        _ => "",
    };
    add_all_inline(html, structure::children(node), depth + 1);
    html.push_str(end);
}

fn add_leaf(html: &mut String, leaf: &Value) {
    const TAGS: [(&str, &str); 4] = [
        ("bold", "b"),
        ("italic", "i"),
        ("underline", "u"),
        ("code", "code"),
    ];
    let marked = |mark: &str| leaf.get(mark) == Some(&Value::Bool(true));
    let tags = TAGS.iter().filter(|(mark, _)| marked(mark));
    for (_, tag) in tags.clone() {
        html.push_str(&format!("<{tag}>"));
    }
    // A newline has become a character reference; no other text can have become this one.
    html.push_str(&escape(words(leaf)).replace("&#10;", "<br>"));
    for (_, tag) in tags.rev() {
        html.push_str(&format!("</{tag}>"));
    }
}

/// Text that is nothing but text, with one kind of line ends: HTML would not keep the others.
fn escape(text: &str) -> String {
    ammonia::clean_text(&text.replace("\r\n", "\n").replace('\r', "\n"))
}

fn list_tag(kind: Option<&str>) -> Option<&'static str> {
    match kind? {
        "bullet" | "todo" => Some("ul"),
        "number_bullet" => Some("ol"),
        _ => None,
    }
}

/// The lists that are open, the outermost first, each with its tag and its entries' indent.
#[derive(Default)]
struct Lists {
    open: Vec<(&'static str, u64)>,
}

impl Lists {
    /// Begins an entry: of a list that is open, or of a new one inside the last entry.
    fn open_entry(&mut self, html: &mut String, tag: &'static str, node: &Value) {
        let indent = node.get("indent").and_then(Value::as_u64).unwrap_or(0);
        self.close_to(html, Some(indent));
        if self.open.last() == Some(&(tag, indent)) {
            html.push_str("</li><li>");
            return;
        }
        if self.open.last().is_some_and(|(_, at)| *at == indent) {
            self.close_last(html);
        }
        // A tree has its limits, whatever the indents are.
        if self.open.len() >= MAX_DEPTH {
            self.close_to(html, None);
        }
        self.open.push((tag, indent));
        match node.get("bulletNumber").and_then(Value::as_i64) {
            Some(number) if number != 1 && tag == "ol" => {
                html.push_str(&format!("<ol start=\"{number}\"><li>"));
            }
            _ => html.push_str(&format!("<{tag}><li>")),
        }
    }

    /// Closes the lists that are deeper than an indent, or all.
    fn close_to(&mut self, html: &mut String, indent: Option<u64>) {
        while let Some((_, at)) = self.open.last() {
            if indent.is_some_and(|indent| *at <= indent) {
                return;
            }
            self.close_last(html);
        }
    }

    fn close_last(&mut self, html: &mut String) {
        if let Some((tag, _)) = self.open.pop() {
            html.push_str(&format!("</li></{tag}>"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(kind: &str, indent: u64, text: &str) -> Value {
        json!({"type": kind, "indent": indent, "children": [{"type": "p", "children": [{"text": text}]}]})
    }

    #[test]
    fn the_words_are_lines_of_leaves() {
        let content = json!([
            {"type": "p", "children": [{"text": "  Hi "}, {"type": "mention", "user": {"id": "ann"}, "children": [{"text": "@Ann"}]}, {"text": "!"}]},
            {"type": "p", "children": [{"text": ""}]},
            {"type": "quote", "children": [{"type": "p", "children": [{"text": "quoted "}]}]},
        ]);
        assert_eq!(plaintext(&content), "Hi @Ann!\n\nquoted");
        assert_eq!(plaintext(&json!([])), "");
    }

    #[test]
    fn text_becomes_paragraphs_with_its_marks() {
        let content = json!([{"type": "p", "children": [
            {"text": "a < b & \"c\"\nd "},
            {"text": "e", "bold": true, "italic": true},
            {"type": "mention", "user": {"id": "a\"b"}, "children": [{"text": "@Ann"}]},
        ]}]);
        assert_eq!(
            html(&content),
            "<p>a &lt; b &amp; \"c\"<br>d <b><i>e</i></b>\
             <span class=\"mention\" data-user-id=\"a&quot;b\">@Ann</span></p>"
        );
    }

    #[test]
    fn entries_become_lists() {
        let mut third = entry("number_bullet", 0, "d");
        third["bulletNumber"] = json!(3);
        let content = json!([
            entry("bullet", 0, "a"), entry("bullet", 2, "b"), entry("bullet", 0, "c"), third,
            {"type": "todo", "todoID": "t", "done": true, "children": [{"text": "e"}]},
        ]);
        assert_eq!(
            html(&content),
            "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>\
             <ol start=\"3\"><li>d</li></ol><ul><li>\u{2611} e</li></ul>"
        );
    }

    #[test]
    fn quotes_code_and_links_have_their_tags() {
        let content = json!([
            {"type": "quote", "children": [{"text": "a"}, {"type": "p", "children": [{"text": "b"}]}]},
            {"type": "code", "children": [{"text": "\nif <x>\n"}]},
            {"type": "link", "url": "https://example.com/?a&b", "children": [{"text": "c"}]},
            {"type": "markdown", "children": [{"text": "# d\n<b>"}]},
        ]);
        assert_eq!(
            html(&content),
            "<blockquote><p>a</p><p>b</p></blockquote><pre><code>\nif &lt;x&gt;\n</code></pre>\
             <p><a href=\"https://example.com/?a&amp;b\" rel=\"noopener noreferrer\">c</a></p>\
             <p># d<br>&lt;b&gt;</p>"
        );
    }

    #[test]
    fn a_link_that_runs_something_is_text() {
        let content =
            json!([{"type": "link", "url": "javascript:x()", "children": [{"text": "c"}]}]);
        assert_eq!(html(&content), "<p>c</p>");
    }

    #[test]
    fn any_depth_is_survived() {
        for kind in ["p", "quote", "bullet", "link", "marquee"] {
            let mut deep = json!({"text": "x"});
            for _ in 0..200 {
                deep = json!({"type": kind, "indent": u64::MAX, "children": [deep]});
            }
            let content = json!([deep]);
            assert_eq!(plaintext(&content), "", "{kind}");
            assert!(!html(&content).contains('x'), "{kind}");
        }
    }
}
