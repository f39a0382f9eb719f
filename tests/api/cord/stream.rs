//! A bot's answer that grows piece by piece.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::socket::Subscription;
use crate::support::talk::{Talk, act, edit, read};
use crate::support::{Actor, Answer, Tenant};

const APPENDED: &str =
    "subscription($t: ID!, $after: String) { threadEvents(threadId: $t, after: $after) {
    __typename cursor
    ... on MessageAppended { messageId text offset }
    ... on MessageCreated { message { id body } }
    ... on MessageUpdated { message { id body } } } }";

async fn append(by: &Actor, message: &str, text: &str, offset: Option<usize>) -> Answer {
    let input = json!({ "messageId": message, "text": text, "offset": offset });
    let selection = "message { body content plaintext updatedAt }";
    by.mutate("appendMessage", input, selection).await
}

fn markdown(text: &str) -> Value {
    json!([{ "type": "markdown", "children": [{ "text": text }] }])
}

/// Row append (AI streaming).
#[tokio::test]
async fn append_ai_streaming_loses_nothing_and_tells_the_added_text_alone() {
    let talk = Talk::new().await;
    let contact = talk.tenant.contact("contact").await;
    talk.admit(&contact).await;
    let backend = &talk.tenant.backend;
    for (input, start) in [
        (
            json!({ "body": "Plain é🎉 ", "senderId": talk.bob.id }),
            "Plain é🎉 ",
        ),
        (json!({ "content": markdown("# Mark ") }), "# Mark "),
    ] {
        let id = talk.posted(backend, input.clone()).await;
        let cursor = "query($t: ID!) { thread(id: $t) { cursor } }";
        let cursor = backend.run(cursor, json!({ "t": talk.thread })).await;
        let cursor = cursor.text("/thread/cursor");
        let mut listeners = Vec::new();
        let by: [&Actor; 3] = [&talk.ada, &contact, backend];
        for listener in by {
            let variables = json!({ "t": talk.thread });
            listeners.push(listener.follow(APPENDED, variables).await);
        }
        let pieces: Vec<String> = (0..50).map(|n| format!("[é{n}]")).collect();
        let calls = pieces.iter().map(|piece| append(backend, &id, piece, None));
        for answer in join_all(calls).await {
            assert!(answer.at("/message/updatedAt").is_null());
        }
        let whole = read(&talk.ada, &id).await;
        let text = whole.text("/message/plaintext");
        assert!(text.starts_with(start), "{text}");
        assert!(pieces.iter().all(|piece| text.contains(piece)), "{text}");
        let length = |text: &str| text.chars().count();
        let added: usize = pieces.iter().map(|piece| length(piece)).sum();
        assert_eq!(length(&text), length(start) + added);
        assert!(whole.at("/message/updatedAt").is_null());
        if input.get("body").is_some() {
            assert_eq!(whole.text("/message/body"), text);
        } else {
            assert_eq!(whole.at("/message/content"), markdown(&text));
        }
        let variables = json!({ "t": talk.thread, "after": cursor });
        listeners.push(talk.ada.follow(APPENDED, variables).await);
        for mut events in listeners {
            assert_eq!(grown(&mut events, &id, start, 50).await, text);
        }
    }
    only_plain_text_or_markdown_grows(&talk).await;
    only_its_sender_and_keys_append(&talk).await;
    an_offset_is_what_the_caller_believes(&talk).await;
}

/// The text that a subscriber puts together, who knew how it began.
async fn grown(events: &mut Subscription, id: &str, start: &str, pieces: usize) -> String {
    let mut text = start.to_owned();
    for _ in 0..pieces {
        let event = events.event().await;
        assert_eq!(event["__typename"], "MessageAppended");
        assert_eq!(event["messageId"], json!(id));
        assert_eq!(event["offset"], text.chars().count());
        text += event["text"].as_str().expect("a text");
    }
    text
}

/// A part of the row above.
async fn only_plain_text_or_markdown_grows(talk: &Talk) {
    let p = json!([{ "type": "p", "children": [{ "text": "x" }] }]);
    let two = json!([markdown("a")[0], markdown("b")[0]]);
    for input in [
        json!({ "bodyHtml": "<b>x</b>" }),
        json!({ "body": "x", "bodyHtml": "<b>x</b>" }),
        json!({ "content": p }),
        json!({ "content": two }),
        json!({ "content": [] }),
    ] {
        let id = talk.posted(&talk.ada, input.clone()).await;
        let refused = append(&talk.ada, &id, "more", None).await;
        assert_eq!(refused.faults(), ["messageId"], "{input}");
        let seen = read(&talk.ada, &id).await;
        assert!(!seen.text("/message/plaintext").contains("more"));
    }
    let id = talk.posted(&talk.ada, json!({ "body": "x" })).await;
    assert_eq!(append(&talk.ada, &id, "", None).await.faults(), ["text"]);
    assert_eq!(append(&talk.ada, &id, "\0", None).await.faults(), ["text"]);
    let rest = "y".repeat(150_000);
    assert_eq!(append(&talk.ada, &id, &rest, None).await.faults(), ["text"]);
    append(&talk.ada, &id, &rest[1..], None)
        .await
        .at("/message");
    assert_eq!(append(&talk.ada, &id, "y", None).await.faults(), ["text"]);
    // An edit of what has grown is an edit.
    let edited = edit(&talk.ada, &id, json!({ "body": "z" })).await;
    assert!(edited.at("/message/updatedAt").is_string());
    let grown = append(&talk.ada, &id, "z", Some(1)).await;
    assert_eq!(grown.text("/message/body"), "zz");
    assert_eq!(
        grown.at("/message/updatedAt"),
        edited.at("/message/updatedAt")
    );
}

/// A part of the row above.
async fn only_its_sender_and_keys_append(talk: &Talk) {
    let id = talk.posted(&talk.bob, json!({ "body": "x" })).await;
    let (stranger, other) = (talk.tenant.agent("stranger").await, Tenant::new().await);
    let refused: [(&Actor, &str); 4] = [
        (&talk.ada, "FORBIDDEN"),
        (&stranger, "NOT_FOUND"),
        (&other.backend, "NOT_FOUND"),
        (&Actor::nobody().await, "UNAUTHENTICATED"),
    ];
    for (who, code) in refused {
        assert_eq!(append(who, &id, "y", None).await.code(), code);
    }
    append(&talk.bob, &id, "y", None).await.at("/message");
    append(&talk.tenant.backend, &id, "z", None)
        .await
        .at("/message");
    assert_eq!(read(&talk.ada, &id).await.text("/message/body"), "xyz");
    let unknown = append(&talk.ada, "no-such-message", "x", None).await;
    assert_eq!(unknown.code(), "NOT_FOUND");
    // A draft grows in silence.
    let mut events = talk.ada.follow(APPENDED, json!({ "t": talk.thread })).await;
    let draft = talk.drafted(&talk.bob, json!({ "body": "a" })).await;
    assert_eq!(
        append(&talk.ada, &draft, "b", None).await.code(),
        "NOT_FOUND"
    );
    append(&talk.bob, &draft, "b", None).await.at("/message");
    act(&talk.bob, "sendMessage", &draft).await.at("/message");
    let event = events.event().await;
    assert_eq!(event["__typename"], "MessageCreated");
    assert_eq!(event["message"]["body"], "ab");
    act(&talk.bob, "deleteMessage", &draft).await.at("/message");
    assert_eq!(
        append(&talk.bob, &draft, "c", None).await.code(),
        "CONFLICT"
    );
}

/// A part of the row above.
async fn an_offset_is_what_the_caller_believes(talk: &Talk) {
    let id = talk.posted(&talk.ada, json!({ "body": "é🎉" })).await;
    for wrong in [0, 1, 3, 6] {
        let refused = append(&talk.ada, &id, "x", Some(wrong)).await;
        assert_eq!(refused.code(), "CONFLICT");
    }
    append(&talk.ada, &id, "x", Some(2)).await.at("/message");
    assert_eq!(
        append(&talk.ada, &id, "x", Some(2)).await.code(),
        "CONFLICT"
    );
    // Of many that believe the same, one is right.
    let calls = (0..20).map(|_| append(&talk.ada, &id, "y", Some(3)));
    let answers = join_all(calls).await;
    let good = answers
        .iter()
        .filter(|answer| answer.body.get("errors").is_none());
    assert_eq!(good.count(), 1);
    assert_eq!(read(&talk.bob, &id).await.text("/message/body"), "é🎉xy");
}
