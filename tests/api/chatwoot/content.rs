//! The row about content types: what each needs, and what it refuses.

use serde_json::{Value, json};

use super::{Support, faults, read, with, write, wrote};

/// A form with a field of every kind.
pub fn form() -> Value {
    json!({ "items": [
        { "name": "email", "label": "E-mail", "type": "email", "required": true,
          "placeholder": "you@example.com", "title": "Where to write to" },
        { "name": "code", "type": "text", "pattern": "\\d{4}", "pattern_error": "four digits",
          "default": "0000" },
        { "name": "more", "type": "text_area", "required": false },
        { "name": "food", "type": "select",
          "options": [{ "label": "Pasta", "value": "pasta" }, { "label": "Rice", "value": "rice" }] },
    ] })
}

pub fn select() -> Value {
    json!({ "items": [{ "title": "One", "value": "1" }, { "title": "Two", "value": "2" }] })
}

fn cards() -> Value {
    json!({ "items": [{
        "title": "A card", "description": "Of something",
        "media_url": "https://example.com/picture.png",
        "actions": [
            { "type": "link", "text": "Look", "uri": "https://example.com" },
            { "type": "postback", "text": "Take it", "payload": "TAKE" },
        ],
    }] })
}

fn article() -> Value {
    json!({ "items": [
        { "title": "How to", "description": "Step by step", "link": "https://example.com/how" },
        { "title": "Why", "link": "http://example.com/why" },
    ] })
}

/// Every content type with attributes that fit.
pub fn good() -> Vec<(&'static str, Value)> {
    vec![
        ("TEXT", json!({})),
        ("INPUT_TEXT", json!({})),
        ("INPUT_TEXTAREA", json!({})),
        ("INPUT_EMAIL", json!({})),
        (
            "IMAGE",
            json!({ "src": "https://example.com/i.png", "width": 20, "height": 10.5 }),
        ),
        ("INPUT_SELECT", select()),
        ("CARDS", cards()),
        ("FORM", form()),
        ("ARTICLE", article()),
    ]
}

/// Attributes with several faults each, and where they are.
#[expect(clippy::too_many_lines, reason = "a table")]
fn bad() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    vec![
        ("TEXT", json!({ "items": [], "b": 1 }), vec![".b", ".items"]),
        ("INPUT_TEXT", json!([]), vec![""]),
        (
            "INPUT_TEXTAREA",
            json!({ "placeholder": "x" }),
            vec![".placeholder"],
        ),
        ("INPUT_EMAIL", json!("x"), vec![""]),
        (
            "IMAGE",
            json!({ "src": "data:image/png;base64,", "width": 0, "height": "10", "alt": "" }),
            vec![".alt", ".height", ".src", ".width"],
        ),
        ("INPUT_SELECT", json!({ "items": [] }), vec![".items"]),
        (
            "INPUT_SELECT",
            json!({ "items": [
                { "title": "", "value": "1" }, { "title": "Two" }, "three",
                { "title": 4, "value": null, "more": true },
            ], "title": "x" }),
            vec![
                ".items.0.title",
                ".items.1.value",
                ".items.2",
                ".items.3.more",
                ".items.3.title",
                ".items.3.value",
                ".title",
            ],
        ),
        (
            "CARDS",
            json!({ "items": [
                { "title": " ", "media_url": "ftp://x", "actions": [] },
                { "description": 5, "subtitle": "x", "actions": [
                    { "type": "link", "text": "x", "payload": "x" },
                    { "type": "postback", "uri": "https://example.com", "payload": "" },
                    { "type": "other", "text": "x" }, { "type": "link", "text": "", "uri": "javascript:x()" },
                ] },
                { "title": "No actions" },
            ] }),
            vec![
                ".items.0.actions",
                ".items.0.media_url",
                ".items.0.title",
                ".items.1.actions.0.payload",
                ".items.1.actions.0.uri",
                ".items.1.actions.1.payload",
                ".items.1.actions.1.text",
                ".items.1.actions.1.uri",
                ".items.1.actions.2.type",
                ".items.1.actions.3.text",
                ".items.1.actions.3.uri",
                ".items.1.description",
                ".items.1.subtitle",
                ".items.1.title",
                ".items.2.actions",
            ],
        ),
        (
            "FORM",
            json!({ "items": [
                { "name": "", "type": "number" },
                { "name": "a", "type": "text", "required": "yes", "pattern": "(", "options": [] },
                { "name": "a", "type": "select", "title": "", "hint": "x" },
                { "name": "b", "type": "select", "options": [{ "label": "x" }, { "value": 1, "label": "" }] },
                { "type": "email" },
            ] }),
            vec![
                ".items.0.name",
                ".items.0.type",
                ".items.1.options",
                ".items.1.pattern",
                ".items.1.required",
                ".items.2.hint",
                ".items.2.name",
                ".items.2.options",
                ".items.2.title",
                ".items.3.options.0.value",
                ".items.3.options.1.label",
                ".items.3.options.1.value",
                ".items.4.name",
            ],
        ),
        (
            "ARTICLE",
            json!({ "items": [{ "title": "x", "link": "/relative" }, { "description": "", "url": "x" }] }),
            vec![
                ".items.0.link",
                ".items.1.description",
                ".items.1.link",
                ".items.1.title",
                ".items.1.url",
            ],
        ),
        ("ARTICLE", json!({}), vec![".items"]),
        ("FORM", json!({ "items": {} }), vec![".items"]),
    ]
}

/// Row: content_type text, input_text, input_textarea, input_email, input_select, cards, form, article.
#[tokio::test]
async fn content_type_text_input_text_input_textarea_input_email_input_select_cards_form_article_is_strict()
 {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.web)).await;
    let message = |kind: &str, attributes: &Value| json!({ "body": "x", "contentType": kind, "contentAttributes": attributes });
    for (kind, attributes) in good() {
        for by in [&*support.agent, &support.contact, support.backend()] {
            let id = wrote(by, &thread, message(kind, &attributes)).await;
            let expected = json!({ "contentType": kind, "contentAttributes": attributes });
            for reader in [&*support.agent, &support.contact, support.backend()] {
                let seen = read(reader, &id, "contentType contentAttributes").await;
                assert_eq!(seen, expected);
            }
        }
    }
    // Whatever is not a TEXT may go without words.
    let silent = json!({ "contentType": "CARDS", "contentAttributes": cards() });
    let silent = write(&support.agent, &thread, silent, "id body plaintext").await;
    assert_eq!(silent.text("/message/body"), "");
    let message_id = silent.text("/message/id");
    for (kind, attributes, expected) in bad() {
        let expected: Vec<String> = expected
            .iter()
            .map(|at| format!("contentAttributes{at}"))
            .collect();
        let refused = write(&support.agent, &thread, message(kind, &attributes), "id").await;
        assert_eq!(faults(&refused), expected, "{kind} {attributes}");
        // The same rules when it is changed, and when it comes with its thread.
        let change = with(
            message(kind, &attributes),
            json!({ "messageId": message_id }),
        );
        let refused = support
            .agent
            .mutate("updateMessage", change, "message { id }")
            .await;
        assert_eq!(faults(&refused), expected, "{kind} {attributes}");
        let first = json!({ "subject": "x", "message": message(kind, &attributes) });
        let refused = support
            .agent
            .mutate("createThread", first, "thread { id }")
            .await;
        let expected: Vec<String> = expected.iter().map(|at| format!("message.{at}")).collect();
        assert_eq!(faults(&refused), expected, "{kind} {attributes}");
    }
    for kind in ["IMAGE", "INPUT_SELECT", "CARDS", "FORM", "ARTICLE"] {
        let refused = write(
            &support.agent,
            &thread,
            json!({ "contentType": kind }),
            "id",
        )
        .await;
        let missing = if kind == "IMAGE" { "src" } else { "items" };
        assert_eq!(refused.faults(), [format!("contentAttributes.{missing}")]);
    }
    let refused = write(
        &support.agent,
        &thread,
        message("STICKER", &json!({})),
        "id",
    )
    .await;
    assert_eq!(refused.code(), "GRAPHQL_VALIDATION_FAILED");
    let kept = read(&support.contact, &message_id, "contentAttributes updatedAt").await;
    assert_eq!(
        kept,
        json!({ "contentAttributes": cards(), "updatedAt": null })
    );
    another_kind(&support, &message_id).await;
}

/// A message that becomes one of another kind does not keep what the former kind needed.
async fn another_kind(support: &Support, message: &str) {
    let change = |more: Value| with(json!({ "messageId": message }), more);
    let fields = "message { contentType contentAttributes updatedAt }";
    let refused = support
        .agent
        .mutate(
            "updateMessage",
            change(json!({ "contentType": "FORM" })),
            fields,
        )
        .await;
    assert_eq!(refused.faults(), ["contentAttributes.items"]);
    let refused = support
        .contact
        .mutate(
            "updateMessage",
            change(json!({ "contentType": "INPUT_TEXT" })),
            fields,
        )
        .await;
    assert_eq!(refused.code(), "FORBIDDEN");
    let done = support
        .agent
        .mutate(
            "updateMessage",
            change(json!({ "contentType": "INPUT_TEXT" })),
            fields,
        )
        .await;
    assert_eq!(done.at("/message/contentAttributes"), json!({}));
    assert!(done.at("/message/updatedAt").is_string());
}
