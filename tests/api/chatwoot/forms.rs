//! Rows about what readers answer, and about the fields that hold what was one bag.

use serde_json::{Value, json};

use super::content::{form, good, select};
use super::{Support, faults, follow, read, with, write, wrote};
use crate::support::{Actor, Answer, unique};

async fn submit(by: &Actor, message: &str, values: Value) -> Answer {
    let input = json!({ "messageId": message, "values": values });
    let fields = "message { submittedValues updatedAt status }";
    by.mutate("submitMessageForm", input, fields).await
}

/// Row: submitted values.
#[tokio::test]
async fn submitted_values_are_checked_against_the_form_and_stored_once() {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.web)).await;
    let input = json!({ "contentType": "FORM", "contentAttributes": form() });
    let asked = wrote(&support.agent, &thread, input).await;
    let good = json!({ "email": "a@example.com", "code": "1234", "food": "rice" });
    for (values, expected) in [
        (json!({}), &["values.email"][..]),
        (json!([]), &["values"]),
        (json!("x"), &["values"]),
        (json!({ "email": "" }), &["values.email"]),
        (
            json!({ "email": "nobody", "code": "12345", "more": 7, "food": "Pasta", "other": "x" }),
            &[
                "values.code",
                "values.email",
                "values.food",
                "values.more",
                "values.other",
            ],
        ),
    ] {
        let refused = submit(&support.contact, &asked, values).await;
        assert_eq!(faults(&refused), expected);
    }
    let refused = submit(
        &support.contact,
        &asked,
        json!({ "email": "a@b.c", "code": "x" }),
    )
    .await;
    let message = &refused.body["errors"][0]["extensions"]["fields"][0]["message"];
    assert_eq!(*message, "four digits");
    // By a participant who is not the sender.
    for by in [&*support.agent, &support.admin, support.backend()] {
        assert_eq!(submit(by, &asked, good.clone()).await.code(), "FORBIDDEN");
    }
    assert_eq!(
        submit(&support.outsider, &asked, good.clone()).await.code(),
        "NOT_FOUND"
    );
    assert_eq!(
        read(&support.agent, &asked, "submittedValues").await["submittedValues"],
        Value::Null
    );
    the_answer_is_told(&support, &thread, &asked, good).await;
    every_kind_of_question(&support, &thread).await;
}

/// Stored once, replaced by another one, told to everybody, and forgotten with the form.
async fn the_answer_is_told(support: &Support, thread: &str, asked: &str, good: Value) {
    let mut events = follow(&support.agent, thread, None).await;
    let done = submit(&support.contact, asked, good.clone()).await;
    let expected = json!({ "submittedValues": good, "updatedAt": null, "status": "SENT" });
    assert_eq!(done.at("/message"), expected);
    submit(&support.contact, asked, good.clone()).await.at("");
    let other = json!({ "email": "b@example.com" });
    submit(&support.member, asked, other.clone()).await.at("");
    for (name, values) in [("contact", &good), ("member", &other)] {
        let event = events.event().await;
        assert_eq!(event["__typename"], "MessageUpdated", "{event}");
        assert_eq!(
            (
                &event["actor"]["name"],
                &event["message"]["submittedValues"]
            ),
            (&json!(name), values)
        );
    }
    assert_eq!(events.heard_by_now().await, [] as [Value; 0]);
    for reader in [&*support.contact, &support.admin, support.backend()] {
        assert_eq!(
            read(reader, asked, "submittedValues").await["submittedValues"],
            other
        );
    }
    // Of another form they would be no answer.
    let change =
        json!({ "messageId": asked, "contentType": "INPUT_SELECT", "contentAttributes": select() });
    let changed = support
        .agent
        .mutate("updateMessage", change, "message { submittedValues }")
        .await;
    assert_eq!(changed.at("/message/submittedValues"), Value::Null);
}

/// What an input or a select takes; what asks for nothing, and what is gone.
async fn every_kind_of_question(support: &Support, thread: &str) {
    for (kind, attributes, fits, fails) in [
        ("INPUT_TEXT", json!({}), "hi", " "),
        ("INPUT_TEXTAREA", json!({}), "hi\nyou", ""),
        ("INPUT_EMAIL", json!({}), "a@example.com", "a"),
        ("INPUT_SELECT", select(), "2", "Two"),
    ] {
        let asks = json!({ "body": "Say", "contentType": kind, "contentAttributes": attributes });
        let id = wrote(&support.agent, thread, asks).await;
        for wrong in [json!({ "value": fails }), json!({}), json!({ "value": 2 })] {
            assert_eq!(
                submit(&support.contact, &id, wrong).await.faults(),
                ["values.value"],
                "{kind}"
            );
        }
        let done = submit(&support.contact, &id, json!({ "value": fits })).await;
        assert_eq!(
            done.at("/message/submittedValues"),
            json!({ "value": fits })
        );
    }
    for (kind, attributes) in good() {
        if matches!(kind, "TEXT" | "IMAGE" | "CARDS" | "ARTICLE") {
            let tells =
                json!({ "body": "x", "contentType": kind, "contentAttributes": attributes });
            let id = wrote(&support.agent, thread, tells).await;
            assert_eq!(
                submit(&support.contact, &id, json!({})).await.faults(),
                ["values"],
                "{kind}"
            );
        }
    }
    let asks = json!({ "body": "Say", "contentType": "INPUT_TEXT" });
    let id = wrote(&support.agent, thread, asks).await;
    submit(&support.contact, &id, json!({ "value": "secret" }))
        .await
        .at("");
    let delete = json!({ "messageId": id });
    support
        .agent
        .mutate("deleteMessage", delete, "deletedMessageId")
        .await
        .at("");
    assert_eq!(
        submit(&support.contact, &id, json!({ "value": "again" }))
            .await
            .code(),
        "CONFLICT"
    );
    let left = read(&support.agent, &id, "submittedValues contentAttributes").await;
    assert_eq!(
        left,
        json!({ "submittedValues": null, "contentAttributes": {} })
    );
}

/// Row: content_attributes.
#[tokio::test]
async fn content_attributes_are_fields_of_their_own_types() {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.api)).await;
    let quoted = support.contact.say(&thread, "Original").await;
    let input = json!({
        "contentType": "FORM", "contentAttributes": form(), "replyToId": quoted,
        "metadata": { "text": "x", "number": 1.5, "flag": true },
    });
    let fields = "contentAttributes metadata replyTo { body } submittedValues deliveryError";
    let made = write(
        &support.agent,
        &thread,
        with(input, json!({ "externalId": unique("form") })),
        &format!("id {fields}"),
    )
    .await;
    let id = made.text("/message/id");
    let change = async |field: &str, input: Value, by: &Actor| {
        let input = with(json!({ "messageId": id }), input);
        by.mutate(field, input, "message { id }").await.at("");
    };
    let answer = json!({ "email": "a@example.com" });
    change(
        "submitMessageForm",
        json!({ "values": answer }),
        &support.contact,
    )
    .await;
    change(
        "updateMessageStatus",
        json!({ "status": "FAILED", "error": "No route" }),
        &support.agent,
    )
    .await;
    let expected = json!({
        "contentAttributes": form(), "metadata": { "text": "x", "number": 1.5, "flag": true },
        "replyTo": { "body": "Original" }, "submittedValues": answer, "deliveryError": null,
    });
    assert_eq!(read(&support.contact, &id, fields).await, expected);
    // Why it has failed is the desk's business.
    let reason = read(&support.agent, &id, "deliveryError").await;
    assert_eq!(reason, json!({ "deliveryError": "No route" }));
    // Each changes alone.
    change(
        "updateMessage",
        json!({ "metadata": { "n": 1 } }),
        &support.agent,
    )
    .await;
    let expected = with(expected, json!({ "metadata": { "n": 1 } }));
    assert_eq!(read(&support.contact, &id, fields).await, expected);
    change("updateMessage", json!({ "body": "Please" }), &support.agent).await;
    assert_eq!(read(&support.contact, &id, fields).await, expected);
    let flat = json!({ "messageId": id, "metadata": { "in_reply_to": null, "submitted_values": [], "items": {} } });
    let refused = support
        .agent
        .mutate("updateMessage", flat, "message { id }")
        .await;
    assert_eq!(
        faults(&refused),
        [
            "metadata.in_reply_to",
            "metadata.items",
            "metadata.submitted_values"
        ]
    );
    let sealed = support
        .contact
        .mutate(
            "updateMessage",
            json!({ "messageId": id, "contentAttributes": {} }),
            "message { id }",
        )
        .await;
    assert!(["FORBIDDEN", "BAD_USER_INPUT"].contains(&sealed.code().as_str()));
    assert_eq!(read(&support.contact, &id, fields).await, expected);
}
