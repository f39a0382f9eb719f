//! What holds for any content: valid content passes and renders clean, a fault is found where it
//! was put, and no value at all makes the check or the renderings fail.

use std::collections::BTreeMap;

use proptest::prelude::*;
use regex::Regex;
use serde_json::{Value, json};

use crate::content::{self, attributes, form, rendering, rules, structure};
use crate::db::enums::ContentType;
use crate::error::{Error, Faults};

const CONTENT_TYPES: [ContentType; 9] = [
    ContentType::Text,
    ContentType::Image,
    ContentType::InputText,
    ContentType::InputTextarea,
    ContentType::InputEmail,
    ContentType::InputSelect,
    ContentType::Cards,
    ContentType::Form,
    ContentType::Article,
];

/// Every tag of rendered content.
const KNOWN: &[&str] = &[
    "p",
    "/p",
    "br",
    "b",
    "/b",
    "i",
    "/i",
    "u",
    "/u",
    "code",
    "/code",
    "pre",
    "/pre",
    "ul",
    "/ul",
    "ol",
    "ol start",
    "/ol",
    "li",
    "/li",
    "blockquote",
    "/blockquote",
    "a href rel",
    "/a",
    "span class data-user-id",
    "/span",
];

fn paths(check: impl FnOnce(&mut Faults)) -> Vec<String> {
    let mut faults = Faults::default();
    check(&mut faults);
    match faults.finish() {
        Ok(()) => Vec::new(),
        Err(Error::BadUserInput(fields)) => fields.into_iter().map(|field| field.path).collect(),
        Err(other) => panic!("{other:?}"),
    }
}

fn content_paths(content: &Value) -> Vec<String> {
    paths(|faults| structure::check(faults, "content", content))
}

/// Texts that a careless renderer would take for something else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\0]{0,12}",
        Just("<script>alert(1)</script>".to_owned()),
        Just("\" onclick=\"x()\" a=\"".to_owned()),
        Just("</p></li><img src=x onerror=x()>&amp;&#10;".to_owned()),
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    let marks = proptest::collection::btree_map(
        prop_oneof![
            Just("bold"),
            Just("italic"),
            Just("underline"),
            Just("code")
        ],
        any::<bool>(),
        0..3,
    );
    (text(), marks).prop_map(|(text, marks)| {
        let mut leaf = json!({"text": text});
        for (mark, on) in marks {
            leaf[mark] = json!(on);
        }
        leaf
    })
}

fn mention() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![Just("mention"), Just("assignee")];
    (kind, "[^\0\\s]{1,8}", text()).prop_map(|(kind, id, name)| {
        json!({"type": kind, "user": {"id": id}, "children": [{"text": format!("@x{name}")}]})
    })
}

fn inline() -> impl Strategy<Value = Value> {
    let link = (
        proptest::collection::vec(leaf(), 0..3),
        "[a-z&\"'<>?=]{0,8}",
    );
    let link = link.prop_map(|(children, rest)| {
        json!({"type": "link", "url": format!("https://a.example/{rest}"), "children": children})
    });
    prop_oneof![3 => leaf(), 1 => mention(), 1 => link]
}

fn paragraph() -> impl Strategy<Value = Value> {
    let children = proptest::collection::vec(inline(), 1..4);
    children.prop_map(|children| json!({"type": "p", "children": children}))
}

fn entry() -> impl Strategy<Value = Value> {
    let children = proptest::collection::vec(paragraph(), 1..3);
    let number = proptest::option::of(any::<i32>());
    (0..5, number, children).prop_map(|(indent, number, children)| match number {
        None => json!({"type": "bullet", "indent": indent, "children": children}),
        Some(number) => json!({"type": "number_bullet", "indent": indent, "bulletNumber": number, "children": children}),
    })
}

fn block() -> impl Strategy<Value = Value> {
    let todo = (any::<bool>(), paragraph()).prop_map(
        |(done, child)| json!({"type": "todo", "todoID": "t", "done": done, "children": [child]}),
    );
    let raw = (
        prop_oneof![Just("code"), Just("markdown")],
        proptest::collection::vec(leaf(), 1..3),
    );
    let raw = raw.prop_map(|(kind, children)| json!({"type": kind, "children": children}));
    let held = prop_oneof![paragraph(), entry(), inline()];
    let quote = proptest::collection::vec(held, 1..4)
        .prop_map(|children| json!({"type": "quote", "children": children}));
    prop_oneof![paragraph(), entry(), todo, raw, quote, mention()]
}

fn content() -> impl Strategy<Value = Value> {
    proptest::collection::vec(block(), 0..5).prop_map(Value::Array)
}

/// Any JSON, often with the keys and the kinds that mean something.
fn anything() -> impl Strategy<Value = Value> {
    let word =
        "(p|bullet|number_bullet|quote|todo|link|mention|form|select|text|link|email|[^a]{0,4}|\0)";
    let key = "(type|children|text|user|id|url|indent|bold|items|name|value|actions|options|pattern|[^a]{0,3})";
    let single = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    single.prop_recursive(8, 60, 5, move |inner| {
        let object = proptest::collection::btree_map(key, inner.clone(), 0..5);
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(Value::Array),
            object.prop_map(|pairs: BTreeMap<String, Value>| pairs.into_iter().collect()),
        ]
    })
}

/// The places of all objects of a value, in the form of a JSON pointer.
fn objects(at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                objects(&format!("{at}/{index}"), entry, found);
            }
        }
        Value::Object(pairs) => {
            found.push(at.to_owned());
            for (key, value) in pairs {
                objects(&format!("{at}/{key}"), value, found);
            }
        }
        _ => {}
    }
}

/// The tags of a markup, each with the names of its attributes.
fn tags(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for tag in html.split('<').skip(1) {
        // The serializer leaves `>` alone inside quotes: take the quoted parts away first.
        let bare: String = tag.split('"').step_by(2).collect();
        let inside = bare.split('>').next().unwrap_or_default();
        found.push(inside.replace('=', ""));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_content_passes_and_renders_clean(content in content()) {
        prop_assert_eq!(content_paths(&content), Vec::<String>::new());
        let text = rendering::plaintext(&content);
        prop_assert_eq!(text.trim(), &text);
        let html = rendering::html(&content);
        for tag in tags(&html) {
            prop_assert!(KNOWN.contains(&tag.as_str()), "<{}> in {}", tag, html);
        }
        // What the general sanitizer cares for, it leaves as it is.
        let mention = Regex::new("<span class=\"[a-z]+\" data-user-id=\"[^\"]*\">").expect("it is a pattern");
        prop_assert_eq!(content::sanitize(&html), mention.replace_all(&html, "<span>"));
    }

    #[test]
    fn the_words_of_valid_content_are_those_of_its_leaves(content in content()) {
        let mut leaves = Vec::new();
        objects("", &content, &mut leaves);
        let words = leaves.iter().filter_map(|at| content.pointer(at)?.get("text")?.as_str());
        let joined: String = words.collect::<String>().split_whitespace().collect();
        let text: String = rendering::plaintext(&content).split_whitespace().collect();
        prop_assert_eq!(text, joined);
    }

    #[test]
    fn a_wrong_key_is_the_one_fault(content in content(), at in any::<prop::sample::Index>()) {
        let mut places = Vec::new();
        objects("", &content, &mut places);
        prop_assume!(!places.is_empty());
        let place = at.get(&places);
        let mut wrong = content.clone();
        if let Some(object) = wrong.pointer_mut(place) {
            object["wrong"] = json!(1);
        }
        let expected = format!("content{}.wrong", place.replace('/', "."));
        prop_assert_eq!(content_paths(&wrong), vec![expected]);
    }

    #[test]
    fn any_value_is_survived(value in anything(), other in anything(), kind in 0..9_usize) {
        for path in content_paths(&value) {
            prop_assert!(path.starts_with("content"), "{}", path);
        }
        rendering::plaintext(&value);
        let html = rendering::html(&value);
        prop_assert!(!html.contains("<script") && !html.contains(" on"), "{}", html);
        structure::mentions("content", &value);
        let content_type = CONTENT_TYPES[kind];
        for path in paths(|faults| attributes::check(faults, "a", content_type, &value)) {
            prop_assert!(path.starts_with('a'), "{}", path);
        }
        let answers = |faults: &mut Faults| form::check_values(faults, "v", content_type, &value, &other);
        for path in paths(answers) {
            prop_assert!(path.starts_with('v'), "{}", path);
        }
    }

    #[test]
    fn any_pattern_is_survived(pattern in "[^\0]{0,12}|[()|\\\\\\[\\]a-f{}0-9,?*+^$]{0,12}", text in "[^\0]{0,6}|[a-f]{0,6}") {
        if let Some(pattern) = rules::pattern(&pattern) {
            let whole = pattern.find(&text);
            prop_assert!(whole.is_none_or(|found| found.as_str() == text));
        }
    }
}
