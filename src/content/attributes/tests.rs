//! What attributes are taken for each content type, and what is refused.

use serde_json::json;

use super::*;
use crate::error::Error;

fn paths(content_type: ContentType, attributes: &Value) -> Vec<String> {
    let mut faults = Faults::default();
    check(&mut faults, "contentAttributes", content_type, attributes);
    match faults.finish() {
        Ok(()) => Vec::new(),
        Err(Error::BadUserInput(fields)) => {
            let short = |path: String| path.replacen("contentAttributes.", "", 1);
            fields.into_iter().map(|field| short(field.path)).collect()
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn words_and_inputs_have_no_attributes() {
    for plain in [
        ContentType::Text,
        ContentType::InputText,
        ContentType::InputTextarea,
        ContentType::InputEmail,
    ] {
        assert_eq!(paths(plain, &json!({})), [""; 0]);
        assert_eq!(paths(plain, &json!({"items": []})), ["items"]);
        assert_eq!(paths(plain, &json!(null)), ["contentAttributes"]);
    }
}

#[test]
fn a_picture_has_an_address_and_a_size() {
    let image = |attributes| paths(ContentType::Image, &attributes);
    let src = "https://example.com/a.png";
    assert_eq!(
        image(json!({"src": src, "width": 200, "height": 0.5})),
        [""; 0]
    );
    assert_eq!(image(json!({"src": src})), [""; 0]);
    assert_eq!(image(json!({"width": 1, "height": 1})), ["src"]);
    assert_eq!(
        image(json!({"src": "data:image/png,", "width": 0, "height": "1", "alt": "x"})),
        ["alt", "src", "width", "height"]
    );
}

#[test]
fn a_select_has_choices() {
    let select = |attributes| paths(ContentType::InputSelect, &attributes);
    let item = json!({"title": "One", "value": "1"});
    assert_eq!(select(json!({"items": [item, item]})), [""; 0]);
    assert_eq!(select(json!({"items": []})), ["items"]);
    assert_eq!(select(json!({})), ["items"]);
    assert_eq!(select(json!({"items": vec![item; 101]})), ["items"]);
    assert_eq!(
        select(json!({"items": [{"title": " "}, {"title": "a\0", "value": 1, "x": 1}, 5]})),
        [
            "items.0.value",
            "items.0.title",
            "items.1.x",
            "items.1.title",
            "items.1.value",
            "items.2"
        ]
    );
}

#[test]
fn a_card_has_buttons() {
    let cards = |attributes| paths(ContentType::Cards, &attributes);
    let link = json!({"type": "link", "text": "More", "uri": "https://example.com"});
    let postback = json!({"type": "postback", "text": "Buy", "payload": "BUY"});
    let card = json!({"title": "Shoe", "description": "Runs", "media_url": "http://example.com/a.jpg", "actions": [link, postback]});
    assert_eq!(cards(json!({"items": [card]})), [""; 0]);
    assert_eq!(
        cards(json!({"items": [
            {"title": "a"},
            {"title": "a", "actions": []},
            {"title": "a", "media_url": "x", "description": "", "actions": [
                {"type": "link", "text": "t", "payload": "p"},
                {"type": "call", "text": "t"},
                {"type": "postback", "text": "", "payload": "p"},
                {"type": "link", "text": "t", "uri": "example.com"},
                "x",
            ]},
        ]})),
        [
            "items.0.actions",
            "items.1.actions",
            "items.2.description",
            "items.2.media_url",
            "items.2.actions.0.uri",
            "items.2.actions.0.payload",
            "items.2.actions.1.type",
            "items.2.actions.2.text",
            "items.2.actions.3.uri",
            "items.2.actions.4",
        ]
    );
}

#[test]
fn a_form_has_fields_of_known_types_and_of_different_names() {
    let form = |attributes| paths(ContentType::Form, &attributes);
    let options = json!([{"label": "Pasta", "value": "pasta"}]);
    assert_eq!(
        form(json!({"items": [
            {"name": "email", "type": "email", "label": "Email", "placeholder": "you", "default": "a@b.example"},
            {"name": "more", "type": "text_area", "required": false},
            {"name": "code", "type": "text", "pattern": "\\d+", "title": "Digits", "pattern_error": "Digits only", "required": true},
            {"name": "food", "type": "select", "label": "Food", "options": options},
        ]})),
        [""; 0]
    );
    assert_eq!(
        form(json!({"items": [
            {"name": "a", "type": "date"},
            {"name": "a", "type": "text", "options": options},
            {"name": "b", "type": "select"},
            {"name": "c", "type": "select", "options": [{"label": "x"}]},
            {"type": "text", "required": "yes", "pattern": "(?=x)", "regex": "x"},
        ]})),
        [
            "items.0.type",
            "items.1.options",
            "items.2.options",
            "items.3.options.0.value",
            "items.4.name",
            "items.4.regex",
            "items.4.required",
            "items.4.pattern",
            "items.1.name",
        ]
    );
}

#[test]
fn an_article_has_a_link() {
    let article = |attributes| paths(ContentType::Article, &attributes);
    let item = json!({"title": "Guide", "description": "How to", "link": "http://example.com"});
    assert_eq!(article(json!({"items": [item]})), [""; 0]);
    assert_eq!(
        article(json!({"items": [{"title": "Guide"}, {"title": "a", "link": "ftp://a.example"}]})),
        ["items.0.link", "items.1.link"]
    );
}

#[test]
fn attributes_are_limited_in_size() {
    let item = json!({"title": "a".repeat(10_000), "value": "1"});
    let select = |count: usize| {
        let items = vec![item.clone(); count];
        paths(ContentType::InputSelect, &json!({"items": items}))
    };
    assert_eq!(select(14), [""; 0]);
    assert_eq!(select(15), ["contentAttributes"]);
}
