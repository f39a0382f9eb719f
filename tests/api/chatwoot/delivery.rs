//! Rows about how messages are delivered, how far they have come, and what errors are called.

use serde_json::{Value, json};

use super::{Support, follow, read, read_thread, with, write, wrote};
use crate::delivery::Shop;
use crate::support::receiver::{Receiver, Reply};
use crate::support::{Actor, Answer, unique};

const UPWARD: [&str; 5] = ["SENT", "DELIVERED", "RECEIVED", "RETURN_RECEIPT", "SEEN"];

/// Reports how far a message has come.
async fn report(by: &Actor, message: &str, status: &str, error: Value) -> Answer {
    let input = json!({ "messageId": message, "status": status, "error": error });
    by.mutate(
        "updateMessageStatus",
        input,
        "message { status deliveryError }",
    )
    .await
}

fn state(status: &str, error: Value) -> Value {
    json!({ "status": status, "deliveryError": error })
}

/// Row: status sent / delivered / read / failed; update message.
#[tokio::test]
async fn status_sent_delivered_read_failed_update_message_moves_up_in_an_api_inbox() {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.api)).await;
    let message = support.agent.say(&thread, "Hello").await;
    let before = read_thread(&support.contact, &thread, "updatedAt").await;
    let mut events = follow(&support.contact, &thread, None).await;
    for (index, status) in UPWARD.iter().enumerate() {
        let done = report(support.backend(), &message, status, json!("left aside")).await;
        assert_eq!(done.at("/message"), state(status, Value::Null));
        // A lower one is accepted, and changes nothing; what has arrived has not failed.
        for lower in UPWARD[..index].iter().chain(&["SENDING"]) {
            let done = report(&support.agent, &message, lower, Value::Null).await;
            assert_eq!(done.at("/message"), state(status, Value::Null));
        }
        if index > 0 {
            let done = report(&support.admin, &message, "FAILED", json!("x")).await;
            assert_eq!(done.at("/message"), state(status, Value::Null));
            let told = events.event().await;
            assert_eq!(
                (&told["__typename"], &told["message"]["status"]),
                (&json!("MessageUpdated"), &json!(status))
            );
        }
    }
    assert_eq!(events.heard_by_now().await, [] as [Value; 0]);
    assert_eq!(
        read(&support.contact, &message, "updatedAt").await["updatedAt"],
        Value::Null
    );
    assert_eq!(
        read_thread(&support.contact, &thread, "updatedAt").await,
        before
    );

    let failing = support.agent.say(&thread, "Hello?").await;
    let done = report(support.backend(), &failing, "FAILED", json!("No route")).await;
    assert_eq!(done.at("/message"), state("FAILED", json!("No route")));
    let done = report(support.backend(), &failing, "SENT", Value::Null).await;
    assert_eq!(done.at("/message"), state("FAILED", json!("No route")));
    // Why, is for those who run the desk.
    for (by, why) in [
        (&*support.agent, json!("No route")),
        (&*support.admin, json!("No route")),
        (&*support.contact, Value::Null),
    ] {
        let read = read(by, &failing, "status deliveryError").await;
        assert_eq!(read, state("FAILED", why));
    }
    // It arrived after all: the reason goes with the failure.
    let done = report(support.backend(), &failing, "DELIVERED", json!("No route")).await;
    assert_eq!(done.at("/message"), state("DELIVERED", Value::Null));
    let kinds: Vec<Value> = [
        events.event().await,
        events.event().await,
        events.event().await,
    ]
    .iter()
    .map(|event| event["message"]["status"].clone())
    .collect();
    assert_eq!(kinds, ["SENT", "FAILED", "DELIVERED"]);
    who_may_report(&support, &thread).await;
}

async fn who_may_report(support: &Support, thread: &str) {
    let message = support.agent.say(thread, "Hello").await;
    for (by, code) in [
        (&support.contact, "FORBIDDEN"),
        (&support.member, "FORBIDDEN"),
        (&support.outsider, "NOT_FOUND"),
    ] {
        assert_eq!(report(by, &message, "SEEN", Value::Null).await.code(), code);
    }
    for inbox in [None, Some(&*support.web)] {
        let elsewhere = support.thread(inbox).await;
        let there = support.agent.say(&elsewhere, "There").await;
        for by in [&*support.agent, &support.admin, support.backend()] {
            assert_eq!(
                report(by, &there, "SEEN", Value::Null).await.code(),
                "API_INBOX_REQUIRED"
            );
        }
        assert_eq!(
            read(&support.agent, &there, "status").await["status"],
            "SENT"
        );
    }
    let unknown = report(&support.agent, &message, "ARRIVED", Value::Null).await;
    assert_eq!(unknown.code(), "GRAPHQL_VALIDATION_FAILED");
    let refused = report(&support.agent, &message, "DRAFT", json!("x".repeat(1001))).await;
    assert_eq!(super::faults(&refused), ["error", "status"]);
    let draft = wrote(
        &support.agent,
        thread,
        json!({ "body": "x", "status": "DRAFT" }),
    )
    .await;
    assert_eq!(
        report(&support.agent, &draft, "SENT", Value::Null)
            .await
            .code(),
        "CONFLICT"
    );
    assert_eq!(
        report(&support.admin, &draft, "SENT", Value::Null)
            .await
            .code(),
        "NOT_FOUND"
    );
    assert_eq!(
        read(&support.agent, &draft, "status sentAt").await,
        json!({ "status": "DRAFT", "sentAt": null })
    );
    assert_eq!(
        read(&support.agent, &message, "status").await["status"],
        "SENT"
    );
}

/// What there is of a message.
const EVERYTHING: &str =
    "id externalId body bodyHtml plaintext contentType contentAttributes direction
    replyTo { id body } metadata url extraClassnames private createdAt sentAt updatedAt deletedAt
    sender { id } reactions { emoji user { name } } cursor seenBy { name } status deliveryError";

async fn retry(by: &Actor, message: &str) -> Answer {
    let input = json!({ "messageId": message });
    by.mutate(
        "retryMessage",
        input,
        &format!("message {{ {EVERYTHING} }}"),
    )
    .await
}

/// Row: retry.
#[tokio::test]
async fn retry_sends_what_failed_once_more_and_keeps_everything_else() {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.api)).await;
    let quoted = support.contact.say(&thread, "Original").await;
    let input = json!({
        "contentType": "ARTICLE", "body": "See", "bodyHtml": "<p>See</p>", "replyToId": quoted,
        "contentAttributes": { "items": [{ "title": "x", "link": "https://example.com" }] },
        "metadata": { "n": 1 }, "url": "https://example.com/m", "extraClassnames": "wide",
        "externalId": unique("message"),
    });
    let message = wrote(&support.agent, &thread, input).await;
    let input = json!({ "messageId": message, "emoji": "+1" });
    support
        .contact
        .mutate("addReaction", input, "message { id }")
        .await
        .at("");
    let before = read(&support.admin, &message, EVERYTHING).await;
    // Not failed: no change.
    let mut events = follow(&support.agent, &thread, None).await;
    let mut seen = follow(&support.contact, &thread, None).await;
    assert_eq!(retry(&support.agent, &message).await.at("/message"), before);
    report(support.backend(), &message, "FAILED", json!("No route"))
        .await
        .at("");
    let done = retry(&support.agent, &message).await;
    let sending = with(
        before,
        json!({ "status": "SENDING", "deliveryError": null }),
    );
    assert_eq!(done.at("/message"), sending);
    assert_eq!(
        retry(support.backend(), &message).await.at("/message"),
        sending
    );
    for (status, error) in [("FAILED", json!("No route")), ("SENDING", Value::Null)] {
        let told = events.event().await;
        assert_eq!(told["__typename"], "MessageUpdated");
        assert_eq!(
            (
                &told["message"]["status"],
                &told["message"]["deliveryError"]
            ),
            (&json!(status), &error)
        );
        // Whom the message was for learns that it has failed, not why.
        let told = seen.event().await;
        assert_eq!(told["message"]["status"], status);
        assert_eq!(told["message"]["deliveryError"], Value::Null);
    }
    assert_eq!(events.heard_by_now().await, [] as [Value; 0]);
    report(support.backend(), &message, "SENT", Value::Null)
        .await
        .at("");
    let sent = with(sending, json!({ "status": "SENT" }));
    assert_eq!(retry(&support.admin, &message).await.at("/message"), sent);
    what_is_not_retried(&support, &thread, &message).await;
}

/// What has not failed wherever it is, and what is not one's to send.
async fn what_is_not_retried(support: &Support, thread: &str, message: &str) {
    for inbox in [None, Some(&*support.web)] {
        let elsewhere = support.thread(inbox).await;
        let there = support.agent.say(&elsewhere, "There").await;
        let same = retry(&support.agent, &there).await;
        assert_eq!(same.text("/message/status"), "SENT");
    }
    let draft = wrote(
        &support.agent,
        thread,
        json!({ "body": "x", "status": "DRAFT" }),
    )
    .await;
    let same = retry(&support.agent, &draft).await;
    assert_eq!(same.text("/message/status"), "DRAFT");
    for (by, message, code) in [
        (&support.agent, &*unique("nothing"), "NOT_FOUND"),
        (&support.admin, &draft, "NOT_FOUND"),
        (&support.outsider, message, "NOT_FOUND"),
        (&support.contact, message, "FORBIDDEN"),
        (&support.member, message, "FORBIDDEN"),
    ] {
        assert_eq!(retry(by, message).await.code(), code);
    }
}

/// Row: error responses: Message Not Found, Invalid Message Type, API Inbox Required, Translation
/// Failed (its code comes with translations).
#[tokio::test]
async fn error_responses_message_not_found_invalid_message_type_api_inbox_required_translation_failed_are_codes()
 {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.web)).await;
    let message = support.agent.say(&thread, "Hello").await;
    let text = |answer: &Answer| {
        assert_eq!(answer.status, 200);
        assert!(
            answer.body["data"]
                .as_object()
                .is_some_and(|data| data.values().all(Value::is_null))
        );
        answer.body["errors"][0]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let unknown = unique("nothing");
    for (by, id) in [(&support.agent, &unknown), (&support.outsider, &message)] {
        let id = json!({ "messageId": id });
        for (field, more, selection) in [
            ("updateMessage", json!({ "body": "x" }), "message { id }"),
            ("deleteMessage", json!({}), "deletedMessageId"),
            ("restoreMessage", json!({}), "message { id }"),
            ("sendMessage", json!({}), "message { id }"),
            ("appendMessage", json!({ "text": "x" }), "message { id }"),
            ("addReaction", json!({ "emoji": "x" }), "message { id }"),
            ("removeReaction", json!({ "emoji": "x" }), "message { id }"),
            ("retryMessage", json!({}), "message { id }"),
            (
                "submitMessageForm",
                json!({ "values": {} }),
                "message { id }",
            ),
            (
                "updateMessageStatus",
                json!({ "status": "SEEN" }),
                "message { id }",
            ),
        ] {
            let refused = by.mutate(field, with(id.clone(), more), selection).await;
            assert_eq!(
                (refused.code().as_str(), text(&refused).as_str()),
                ("NOT_FOUND", "message not found")
            );
        }
        let query = "query($id: ID!) { message(id: $id) { id } }";
        let refused = by.run(query, json!({ "id": id["messageId"] })).await;
        assert_eq!(
            (refused.code().as_str(), text(&refused).as_str()),
            ("NOT_FOUND", "message not found")
        );
    }
    let incoming = json!({ "body": "x", "direction": "INCOMING" });
    let refused = write(&support.agent, &thread, incoming, "id").await;
    assert_eq!(refused.code(), "INVALID_MESSAGE_TYPE");
    assert!(!text(&refused).is_empty());
    let refused = report(&support.agent, &message, "SEEN", Value::Null).await;
    assert_eq!(refused.code(), "API_INBOX_REQUIRED");
    assert!(!text(&refused).is_empty());
    // One failure in a document leaves the others alone.
    let both = "mutation($t: ID!, $m: ID!) {
        bad: updateMessageStatus(input: { messageId: $m, status: SEEN }) { message { id } }
        good: createMessage(input: { threadId: $t, body: \"Still\" }) { message { body } }
      }";
    let answer = support
        .agent
        .run(both, json!({ "t": thread, "m": message }))
        .await;
    assert_eq!(answer.body["data"]["bad"], Value::Null);
    assert_eq!(answer.body["data"]["good"]["message"]["body"], "Still");
    assert_eq!(answer.code(), "API_INBOX_REQUIRED");
}

/// Row: delivery by webhook (API inbox).
#[tokio::test]
async fn delivery_by_webhook_of_an_api_inbox_is_signed_repeated_and_settled() {
    let receiver = Receiver::new(|_, before| match before {
        0 => Reply::Status(500),
        _ => Reply::Status(200),
    })
    .await;
    let shop = Shop::new(&receiver.url()).await;
    let fields = "id status";
    let first = write(&shop.agent, &shop.thread, json!({ "body": "one" }), fields).await;
    assert_eq!(first.text("/message/status"), "SENDING");
    let second = shop.say("two").await;
    shop.until(&first.text("/message/id"), "SENT").await;
    shop.until(&second, "SENT").await;
    let calls = receiver.calls();
    assert_eq!(receiver.words(), ["one", "one", "two"]);
    assert_eq!(calls[0].id(), calls[1].id());
    assert_ne!(calls[1].id(), calls[2].id());
    assert!(calls.iter().all(|call| call.is_signed_with(&shop.secret)));
}
