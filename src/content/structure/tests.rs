//! What structured content is taken, what is refused, and where the fault is said to be.

use serde_json::json;

use super::*;
use crate::error::Error;

fn paths(content: &Value) -> Vec<String> {
    let mut faults = Faults::default();
    check(&mut faults, "content", content);
    match faults.finish() {
        Ok(()) => Vec::new(),
        Err(Error::BadUserInput(fields)) => fields.into_iter().map(|field| field.path).collect(),
        Err(other) => panic!("{other:?}"),
    }
}

fn p(child: Value) -> Value {
    json!([{"type": "p", "children": [child]}])
}

fn mention(id: &str, label: &str) -> Value {
    json!({"type": "mention", "user": {"id": id}, "children": [{"text": label}]})
}

#[test]
fn every_kind_of_node_is_taken() {
    let all = json!([
        {"type": "p", "class": "purple", "children": [
            {"text": ""},
            {"text": "a", "bold": true, "italic": false, "underline": true, "code": true, "class": "x"},
            {"type": "link", "url": "https://example.com", "children": [{"text": "b"}, mention("ann", "@Ann")]},
            {"type": "assignee", "user": {"id": "bob"}, "children": [{"text": "+Bob"}]},
        ]},
        {"type": "bullet", "children": [{"type": "p", "children": [{"text": "c"}]}]},
        {"type": "bullet", "indent": 4, "children": [{"type": "p", "children": [{"text": "c"}]}]},
        {"type": "number_bullet", "bulletNumber": 3, "indent": 0, "children": [{"type": "p", "children": [{"text": "d"}]}]},
        {"type": "quote", "children": [{"text": "e"}, {"type": "p", "children": [{"text": "f"}]}]},
        {"type": "todo", "todoID": "t1", "done": false, "children": [{"type": "p", "children": [{"text": "g"}]}]},
        {"type": "code", "children": [{"text": "h"}]},
        {"type": "markdown", "children": [{"text": "# i"}]},
        {"type": "link", "url": "http://example.com", "children": []},
        mention("usr_01h455vb4pex5vsknk084sn02q", "@Ann"),
    ]);
    assert_eq!(paths(&all), [""; 0]);
    assert_eq!(paths(&json!([])), [""; 0]);
}

#[test]
fn what_is_no_array_of_nodes_is_refused() {
    for bad in [json!(null), json!({}), json!("text"), json!(1)] {
        assert_eq!(paths(&bad), ["content"], "{bad}");
    }
    for bad in [
        json!([1]),
        json!([[]]),
        json!([{}]),
        json!([{"text": "bare"}]),
    ] {
        assert_eq!(paths(&bad), ["content.0"], "{bad}");
    }
    assert_eq!(
        paths(&json!([{"type": "marquee", "children": []}, {"type": 3}])),
        ["content.0.type", "content.1.type"]
    );
}

#[test]
fn a_node_holds_only_what_belongs_there() {
    let inner = json!({"type": "p", "children": [{"text": "x"}]});
    for bad in [
        p(inner.clone()),
        json!([{"type": "bullet", "children": [mention("a", "@A")]}]),
        json!([{"type": "code", "children": [inner]}]),
    ] {
        assert_eq!(paths(&bad), ["content.0.children.0"], "{bad}");
    }
    assert_eq!(
        paths(&json!([{"type": "p", "children": []}])),
        ["content.0.children"]
    );
}

#[test]
fn an_entry_of_a_list_holds_paragraphs_or_text_itself() {
    for kind in ["bullet", "number_bullet", "todo"] {
        let inner = json!({"type": "p", "children": [{"text": "x"}]});
        for good in [json!({"text": "x"}), inner] {
            let entry = json!([{"type": kind, "children": [good]}]);
            assert_eq!(paths(&entry), [""; 0], "{entry}");
        }
    }
}

#[test]
fn every_fault_is_told_with_its_path() {
    let content = json!([
        {"type": "p", "extra": 1, "children": [
            {"text": "ok", "marquee": true},
            {"text": 3, "bold": "yes"},
            {"type": "mention", "user": {"id": 7, "name": "x"}, "children": [{"text": "Ann"}]},
            {"type": "mention", "user": {"id": "ann"}, "children": []},
        ]},
        {"type": "bullet", "indent": 5, "children": 1},
        {"type": "todo", "todoID": "", "children": [{"text": "a\0"}]},
        {"type": "link", "url": "javascript:x()", "children": [{"text": "l"}]},
        {"type": "number_bullet", "bulletNumber": 1.5, "children": [{"type": "p", "children": [{"text": "x"}]}]},
        {"text": "bare"},
    ]);
    let mut expected = [
        "content.0.extra",
        "content.0.children.0.marquee",
        "content.0.children.1.text",
        "content.0.children.1.bold",
        "content.0.children.2.user.id",
        "content.0.children.2.user.name",
        "content.0.children.2.children.0.text",
        "content.0.children.3.children",
        "content.1.indent",
        "content.1.children",
        "content.2.todoID",
        "content.2.children.0.text",
        "content.3.url",
        "content.4.bulletNumber",
        "content.5",
    ];
    let mut found = paths(&content);
    found.sort();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_mention_shows_a_name_after_its_sign() {
    for bad in ["Ann", "@", "+Ann", ""] {
        let path = "content.0.children.0.children.0.text";
        assert_eq!(paths(&p(mention("ann", bad))), [path], "{bad}");
    }
    let two = json!({"type": "mention", "user": {"id": "a"}, "children": [{"text": "@A"}, {"text": "@B"}]});
    assert_eq!(paths(&p(two)), ["content.0.children.0.children"]);
}

#[test]
fn content_is_limited_in_size_and_depth() {
    let leaf = json!({"text": "a".repeat(75_000)});
    let node = json!({"type": "p", "children": [leaf, leaf]});
    assert_eq!(paths(&json!([node])), [""; 0]);
    let more = json!({"type": "p", "children": [{"text": "a"}]});
    assert_eq!(paths(&json!([node, more])), ["content"]);

    let nodes = |count: usize| Value::Array(vec![more.clone(); count]);
    assert_eq!(paths(&nodes(2_500)), [""; 0]);
    assert_eq!(paths(&nodes(2_501)), ["content"]);

    let mut deep = json!({"text": "x"});
    for _ in 0..500 {
        deep = json!({"type": "p", "children": [deep]});
    }
    let found = paths(&json!([deep]));
    assert_eq!(found.len(), MAX_DEPTH, "{found:?}");
    assert_eq!(paths(&Value::Array(vec![json!(1); 1_000])).len(), 100);
}

#[test]
fn everybody_who_is_named_is_found() {
    let content = json!([
        {"type": "p", "children": [mention("ann", "@Ann"), {"type": "link", "url": "https://a.example", "children": [mention("bob", "@Bob")]}]},
        {"type": "assignee", "user": {"id": "ann"}, "children": [{"text": "+Ann"}]},
    ]);
    let found: Vec<_> = mentions("message.content", &content)
        .into_iter()
        .map(|mention| (mention.path, mention.id))
        .collect();
    let expected = [
        ("message.content.0.children.0.user.id", "ann"),
        ("message.content.0.children.1.children.0.user.id", "bob"),
        ("message.content.1.user.id", "ann"),
    ];
    assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}
