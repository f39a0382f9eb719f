//! The row about private notes: what else there is of them than what `notes` looks at.

use serde_json::{Value, json};

use super::{Support, follow, read, wrote};
use crate::support::{Actor, unique};

/// What a contact reads of a thread with everything that hangs on its messages.
const EVERYTHING: &str = "query($t: ID!) {
    thread(id: $t) {
      updatedAt lastMessageAt messageCount inboxState unreadCount firstUnreadMessage { id }
      participants { edges { node { name } subscribed lastSeenAt lastSeenMessage { id } deliveredMessage { id } } }
      messages { totalCount edges { cursor node {
        id body content mentions { name } revisions { body } deliveredTo { name } seenBy { name }
        submittedValues contentAttributes status deliveryError direction replyTo { id }
      } } }
    }
    threads { totalCount nodes { id inboxState } }
    unread: threads(filter: { inboxState: [UNREAD] }) { totalCount }
    read: threads(filter: { inboxState: [READ] }) { totalCount }
    viewer { unreadThreadCount unreadMessageCount }
  }";

async fn everything(by: &Actor, thread: &str) -> Value {
    by.run(EVERYTHING, json!({ "t": thread })).await.at("")
}

/// Everything that can be done to a message which is a note: each by whom it is possible.
fn steps(support: &Support, thread: &str, note: &str) -> Vec<(Who, &'static str, Value)> {
    let content = json!([{ "type": "p", "children": [
        { "text": "Ask " },
        { "type": "mention", "user": { "id": support.contact.id }, "children": [{ "text": "@contact" }] },
    ] }]);
    let form = json!({ "items": [{ "name": "a", "type": "text" }] });
    vec![
        (
            Who::Agent,
            "updateMessage",
            json!({ "messageId": note, "content": content }),
        ),
        (
            Who::Agent,
            "updateMessage",
            json!({ "messageId": note, "body": "Between" }),
        ),
        (
            Who::Agent,
            "appendMessage",
            json!({ "messageId": note, "text": " us", "offset": 7 }),
        ),
        (
            Who::Agent,
            "updateMessage",
            json!({ "messageId": note, "contentType": "FORM", "contentAttributes": form }),
        ),
        (
            Who::Admin,
            "submitMessageForm",
            json!({ "messageId": note, "values": { "a": "Yes" } }),
        ),
        (
            Who::Admin,
            "updateMessageStatus",
            json!({ "messageId": note, "status": "FAILED", "error": "Why" }),
        ),
        (Who::Admin, "retryMessage", json!({ "messageId": note })),
        (
            Who::Admin,
            "markThreadSeen",
            json!({ "threadId": thread, "messageId": note }),
        ),
        (
            Who::Admin,
            "markThreadDelivered",
            json!({ "threadId": thread, "messageId": note }),
        ),
        (
            Who::Admin,
            "markThreadUnseen",
            json!({ "threadId": thread, "fromMessageId": note }),
        ),
    ]
}

/// Who does a step.
#[derive(Clone, Copy)]
enum Who {
    Agent,
    Admin,
}

/// Row: private.
#[tokio::test]
async fn private_notes_leave_no_trace_for_a_contact() {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.api)).await;
    let join = json!({ "threadId": thread, "userIds": [support.admin.id] });
    support
        .agent
        .mutate("addParticipants", join, "thread { id }")
        .await
        .at("");
    let hello = support.agent.say(&thread, "Hello").await;
    for by in [&support.admin, &support.contact] {
        let seen = json!({ "threadId": thread, "messageId": hello });
        for field in ["markThreadSeen", "markThreadDelivered"] {
            by.mutate(field, seen.clone(), "thread { id }").await.at("");
        }
    }
    let others = [&support.contact, &support.member];
    let mut before = Vec::new();
    let mut streams = Vec::new();
    for other in others {
        let query = "query($id: ID!) { thread(id: $id) { cursor } }";
        let cursor = other
            .run(query, json!({ "id": thread }))
            .await
            .text("/thread/cursor");
        before.push(everything(other, &thread).await);
        streams.push((other, follow(other, &thread, None).await, cursor));
    }
    let mut staff = follow(&support.agent, &thread, None).await;
    let note = wrote(
        &support.agent,
        &thread,
        json!({ "body": "Note", "private": true }),
    )
    .await;
    for (by, field, input) in steps(&support, &thread, &note) {
        let by = match by {
            Who::Agent => &support.agent,
            Who::Admin => &support.admin,
        };
        by.mutate(field, input, "__typename").await.at("");
        for (other, before) in others.iter().zip(&before) {
            assert_eq!(everything(other, &thread).await, *before, "after {field}");
        }
    }
    let kept = "body revisions { body plaintext } submittedValues status mentions { name } deliveredTo { name }";
    let kept = read(&support.agent, &note, kept).await;
    assert_eq!(kept["body"], "Between us");
    assert_eq!(kept["revisions"][0]["body"], "Note");
    assert_eq!(kept["revisions"][1]["plaintext"], "Ask @contact");
    assert_eq!(
        (&kept["submittedValues"], &kept["status"]),
        (&json!({ "a": "Yes" }), &json!("SENDING"))
    );
    // The staff is told of each; once it has been told of the last, others would have been too.
    let told = staff
        .until(|event| event["__typename"] == "ThreadDelivered")
        .await;
    let count = |kind: &str| {
        told.iter()
            .filter(|event| event["__typename"] == kind)
            .count()
    };
    assert_eq!(
        (
            count("MessageCreated"),
            count("MessageUpdated"),
            count("MessageAppended")
        ),
        (1, 6, 1)
    );
    support.agent.say(&thread, "For everybody").await;
    for (other, mut live, cursor) in streams {
        let mut resumed = follow(other, &thread, Some(&cursor)).await;
        for events in [&mut live, &mut resumed] {
            let event = events.event().await;
            assert_eq!(event["message"]["body"], "For everybody", "{event}");
            assert_eq!(events.heard_by_now().await, [] as [Value; 0]);
        }
        unknown(other, &note).await;
    }
}

/// No operation tells a note from what is not there.
async fn unknown(by: &Actor, note: &str) {
    let missing = unique("nothing");
    for document in [
        "mutation($id: ID!) { appendMessage(input: { messageId: $id, text: \"x\", offset: 1 }) { message { id } } }",
        "mutation($id: ID!) { submitMessageForm(input: { messageId: $id, values: {} }) { message { id } } }",
        "mutation($id: ID!) { updateMessageStatus(input: { messageId: $id, status: SEEN }) { message { id } } }",
        "mutation($id: ID!) { retryMessage(input: { messageId: $id }) { message { id } } }",
        "query($id: ID!) { message(id: $id) { revisions { body } mentions { id } } }",
        "query($id: ID!) { node(id: $id) { ... on Message { content submittedValues deliveredTo { id } } } }",
    ] {
        let hidden = by.run(document, json!({ "id": note })).await;
        let absent = by.run(document, json!({ "id": missing })).await;
        assert_eq!(
            (hidden.status, hidden.body),
            (absent.status, absent.body),
            "{document}"
        );
    }
}
