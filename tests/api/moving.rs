//! Threads that go: to another organization, with all that is in them, or for good.

mod belongings;

mod deletion;

mod people;

use serde_json::json;

use crate::chatwoot::{inbox, wrote};
use crate::support::{Actor, Answer, Person, Tenant, unique};

/// Two organizations, a backend for both, and a thread in the first one.
struct Move {
    here: Tenant,
    there: Tenant,
    root: Actor,
    ann: Person,
    bob: Person,
    cyd: Person,
    thread: String,
}

impl Move {
    async fn new() -> Self {
        let (here, there) = (Tenant::new().await, Tenant::new().await);
        let (ann, bob) = (here.agent("ann").await, here.member("bob").await);
        let cyd = here.contact("cyd").await;
        let input = json!({
            "access": "ORGANIZATION", "participantIds": [cyd.id], "externalId": unique("thread"),
            "inboxId": inbox(&here.backend, &here, "API").await,
        });
        let thread = ann.open_thread(input).await;
        Self {
            root: Actor::root().await,
            here,
            there,
            ann,
            bob,
            cyd,
            thread,
        }
    }

    async fn moved_by(&self, by: &Actor) -> Answer {
        relocate(by, &self.thread, &self.there.id).await
    }

    /// Moves it.
    async fn go(&self) {
        let moved = self.moved_by(&self.root).await;
        assert_eq!(moved.text("/thread/organization/id"), self.there.id);
    }
}

async fn relocate(by: &Actor, thread: &str, organization: &str) -> Answer {
    let input = json!({ "threadId": thread, "organizationId": organization });
    by.mutate(
        "updateThread",
        input,
        "thread { id number organization { id } inbox { id } }",
    )
    .await
}

/// The number that the next thread of an organization gets.
async fn next_number(tenant: &Tenant) -> i64 {
    let input = json!({ "subject": "Next" });
    tenant
        .backend
        .mutate("createThread", input, "thread { number }")
        .await
        .number("/thread/number")
}

/// Every read path that could show a thread or its message, as if neither was there.
async fn sees_nothing(by: &Actor, thread: &str, message: &str) {
    for document in [
        "query($t: ID!) { thread(id: $t) { id } }",
        "query($m: ID!) { message(id: $m) { id } }",
        "query($t: ID!) { messages(filter: { threadId: $t }) { totalCount } }",
        "mutation($t: ID!) { createMessage(input: { threadId: $t, body: \"x\" }) { message { id } } }",
        "mutation($m: ID!) { updateMessage(input: { messageId: $m, body: \"x\" }) { message { id } } }",
        "mutation($m: ID!) { updateMessage(input: { messageId: $m, addReactions: [{ emoji: \"x\" }] }) { message { id } } }",
        "mutation($m: ID!) { deleteMessage(input: { messageId: $m }) { deletedMessageId } }",
        "mutation($t: ID!) { updateThread(input: { threadId: $t, subject: \"x\" }) { thread { id } } }",
        "mutation($t: ID!) { deleteThread(input: { threadId: $t }) { deletedThreadId } }",
        "mutation($t: ID!) { markThreadSeen(input: { threadId: $t }) { thread { id } } }",
        "mutation($t: ID!) { setThreadSubscription(input: { threadId: $t, subscribed: true }) { thread { id } } }",
    ] {
        let refused = by.run(document, json!({ "t": thread, "m": message })).await;
        assert_eq!(refused.code(), "NOT_FOUND", "{document}");
    }
    let lists = "query($ids: [ID!]!) {
        nodes(ids: $ids) { id } threads(filter: { inboxState: [UNREAD, READ, HIDDEN] }) { nodes { id } }
        messages(filter: { includeDeleted: true }) { nodes { thread { id } } }
        viewer { drafts { nodes { thread { id } } } unreadMessageCount }
      }";
    let lists = by
        .run(lists, json!({ "ids": [thread, message] }))
        .await
        .at("");
    assert_eq!(lists["nodes"], json!([null, null]));
    assert!(!lists.to_string().contains(thread), "{lists}");
    assert_eq!(
        by.follow_thread(thread, None).await.error().await,
        "NOT_FOUND"
    );
}

const WHOLE: &str = "externalId subject access messageCount userMessageCount actionMessageCount
  deletedMessageCount creator { name } lastMessageAt resolved
  messages(first: 50) { totalCount nodes {
    id externalId body bodyHtml content plaintext private status direction metadata sentAt updatedAt
    deletedAt contentType contentAttributes submittedValues sender { id name } replyTo { id }
    reactions { emoji user { name } } revisions { editor { name } body } mentions { name }
    seenBy { name } deliveredTo { name } type cursor
  } }";

/// Fills a thread with everything that can hang on a message; answers a message's id.
async fn fill(moving: &Move) -> String {
    let thread = &moving.thread;
    let said = json!({ "body": "One", "externalId": unique("message"), "metadata": { "n": 1 } });
    let first = wrote(&moving.cyd, thread, said).await;
    let edit = json!({ "messageId": first, "bodyHtml": "<b>Uno</b>" });
    moving
        .cyd
        .mutate("updateMessage", edit, "message { id }")
        .await
        .at("");
    let mention = json!([{ "type": "p", "children": [
        { "type": "mention", "user": { "id": moving.bob.external_id }, "children": [{ "text": "@bob" }] },
    ] }]);
    wrote(
        &moving.ann,
        thread,
        json!({ "content": mention, "replyToId": first }),
    )
    .await;
    wrote(
        &moving.bob,
        thread,
        json!({ "body": "Note?", "contentType": "INPUT_TEXT" }),
    )
    .await;
    let note = wrote(
        &moving.ann,
        thread,
        json!({ "body": "Note", "private": true }),
    )
    .await;
    let gone = moving.bob.say(thread, "Gone").await;
    wrote(
        &moving.bob,
        thread,
        json!({ "body": "Draft", "status": "DRAFT" }),
    )
    .await;
    let asks = json!({ "contentType": "INPUT_SELECT", "contentAttributes": { "items": [{ "title": "x", "value": "x" }] } });
    let asks = wrote(&moving.ann, thread, asks).await;
    for (by, field, input) in [
        (
            &moving.bob,
            "addReaction",
            json!({ "messageId": first, "emoji": "+1" }),
        ),
        (
            &moving.ann,
            "addReaction",
            json!({ "messageId": note, "emoji": "-1" }),
        ),
        (&moving.bob, "deleteMessage", json!({ "messageId": gone })),
        (
            &moving.cyd,
            "submitMessageForm",
            json!({ "messageId": asks, "values": { "value": "x" } }),
        ),
        (&moving.cyd, "markThreadSeen", json!({ "threadId": thread })),
        (
            &moving.bob,
            "markThreadDelivered",
            json!({ "threadId": thread }),
        ),
        (
            &moving.bob,
            "updateThread",
            json!({ "threadId": thread, "resolved": true }),
        ),
        (
            &moving.bob,
            "updateThreadInboxState",
            json!({ "threadIds": [thread], "state": "HIDDEN" }),
        ),
    ] {
        by.mutate(field, input, "__typename").await.at("");
    }
    first
}
