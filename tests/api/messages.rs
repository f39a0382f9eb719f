//! Messages: writing, drafts, idempotency, editing, deleting, imports.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Person, Tenant, unique};

/// A thread of two members.
async fn two() -> (Tenant, Person, Person, String) {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada
        .open_thread(json!({ "participantIds": [bob.external_id] }))
        .await;
    (tenant, ada, bob, thread)
}

const LIST: &str = "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  thread(id: $id) { messages(first: $first, after: $after, last: $last, before: $before) {
    totalCount edges { cursor } nodes { id body status deletedAt }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }";

#[tokio::test]
async fn a_message_is_sent_and_read_back() {
    let (_, ada, bob, thread) = two().await;
    let sent = ada.say(&thread, "Hello").await;
    let query = "query($id: ID!) { message(id: $id) { body plaintext status updatedAt url sender { name } thread { id } } }";
    let read = bob.run(query, json!({ "id": sent })).await;
    assert_eq!(read.text("/message/body"), "Hello");
    assert_eq!(read.text("/message/status"), "SENT");
    assert_eq!(read.text("/message/sender/name"), "ada");
    assert_eq!(read.text("/message/thread/id"), thread);
    assert_eq!(read.text("/message/url"), "");
    assert!(read.at("/message/updatedAt").is_null());
}

#[tokio::test]
async fn a_message_without_words_is_refused_and_names_both_fields() {
    let (_, ada, _, thread) = two().await;
    for input in [
        json!({}),
        json!({ "body": "  \n" }),
        json!({ "bodyHtml": "" }),
    ] {
        let mut input = input;
        input["threadId"] = json!(thread);
        let refused = ada.mutate("createMessage", input, "message { id }").await;
        assert_eq!(refused.faults(), ["body", "bodyHtml"]);
    }
}

#[tokio::test]
async fn every_fault_of_an_input_is_named_at_once() {
    let (_, ada, _, thread) = two().await;
    let input = json!({
        "threadId": thread, "body": "x".repeat(150_001), "externalId": "a\u{7}b",
        "url": "javascript:alert(1)", "iconUrl": "https://example.com/i.png",
        "metadata": { "good": 1, "bad": null, "worse": [] },
    });
    let refused = ada.mutate("createMessage", input, "message { id }").await;
    assert_eq!(
        refused.faults(),
        [
            "externalId",
            "body",
            "url",
            "metadata.bad",
            "metadata.worse",
            "iconUrl"
        ]
    );
}

#[tokio::test]
async fn html_is_sanitized_and_gives_the_plaintext() {
    let (_, ada, bob, thread) = two().await;
    let input = json!({ "threadId": thread, "bodyHtml": "<p onclick=x()>Fish &amp; <b>chips</b><script>x()</script></p>" });
    let sent = ada
        .mutate(
            "createMessage",
            input,
            "message { id body bodyHtml plaintext }",
        )
        .await;
    assert_eq!(sent.text("/message/body"), "");
    assert_eq!(
        sent.text("/message/bodyHtml"),
        "<p>Fish &amp; <b>chips</b></p>"
    );
    assert_eq!(sent.text("/message/plaintext"), "Fish & chips");
    let read = bob.run(LIST, json!({ "id": thread })).await;
    assert_eq!(read.number("/thread/messages/totalCount"), 1);
}

#[tokio::test]
async fn a_draft_becomes_a_message_when_it_is_sent() {
    let (_, ada, bob, thread) = two().await;
    let draft = |body: &str| json!({ "threadId": thread, "body": body, "status": "DRAFT" });
    let first = ada
        .mutate(
            "createMessage",
            draft("First"),
            "message { id status sentAt }",
        )
        .await;
    assert!(first.at("/message/sentAt").is_null());
    ada.mutate("createMessage", draft("Second"), "message { id }")
        .await;
    let id = first.text("/message/id");
    bob.say(&thread, "Meanwhile").await;

    let mine = ada
        .run(
            "{ viewer { drafts { totalCount nodes { body } } } }",
            json!({}),
        )
        .await;
    assert_eq!(
        mine.texts("/viewer/drafts/nodes", "/body"),
        ["First", "Second"]
    );
    let seen = bob.run(LIST, json!({ "id": thread })).await;
    assert_eq!(seen.texts("/thread/messages/nodes", "/body"), ["Meanwhile"]);

    let not_his = bob
        .mutate("sendMessage", json!({ "messageId": id }), "message { id }")
        .await;
    assert_eq!(not_his.code(), "NOT_FOUND");
    let sent = ada
        .mutate(
            "sendMessage",
            json!({ "messageId": id }),
            "message { status sentAt }",
        )
        .await;
    assert_eq!(sent.text("/message/status"), "SENT");
    let again = ada
        .mutate("sendMessage", json!({ "messageId": id }), "message { id }")
        .await;
    assert_eq!(again.code(), "CONFLICT");
    // Its place is where it was sent, not where it was begun.
    let seen = bob.run(LIST, json!({ "id": thread })).await;
    assert_eq!(
        seen.texts("/thread/messages/nodes", "/body"),
        ["Meanwhile", "First"]
    );
}

#[tokio::test]
async fn a_deleted_draft_leaves_nothing() {
    let (_, ada, _, thread) = two().await;
    let input = json!({ "threadId": thread, "body": "No", "status": "DRAFT" });
    let id = ada
        .mutate("createMessage", input, "message { id }")
        .await
        .text("/message/id");
    let deleted = ada
        .mutate(
            "deleteMessage",
            json!({ "messageId": id }),
            "message { id } deletedMessageId",
        )
        .await;
    assert!(deleted.at("/message").is_null());
    let list = ada.run(LIST, json!({ "id": thread })).await;
    assert_eq!(list.number("/thread/messages/totalCount"), 0);
}

#[tokio::test]
async fn the_same_external_id_with_the_same_values_is_the_same_message() {
    let (_, ada, _, thread) = two().await;
    let external_id = unique("order");
    let input = json!({ "threadId": thread, "externalId": external_id, "body": "Once" });
    let calls =
        (0..50).map(|_| ada.mutate("createMessage", input.clone(), "message { id externalId }"));
    let answers = join_all(calls).await;
    let ids: std::collections::HashSet<String> = answers
        .iter()
        .map(|answer| answer.text("/message/id"))
        .collect();
    assert_eq!(ids.len(), 1);
    let list = ada.run(LIST, json!({ "id": thread })).await;
    assert_eq!(list.number("/thread/messages/totalCount"), 1);

    let other = json!({ "threadId": thread, "externalId": external_id, "body": "Twice" });
    let refused = ada.mutate("createMessage", other, "message { id }").await;
    assert_eq!(refused.code(), "CONFLICT");
    let read = ada
        .run(
            "query($id: ID!) { message(id: $id) { body } }",
            json!({ "id": external_id }),
        )
        .await;
    assert_eq!(read.text("/message/body"), "Once");
}

#[tokio::test]
async fn an_external_id_is_the_same_message_also_after_an_edit() {
    let (_, ada, _, thread) = two().await;
    let input = json!({ "threadId": thread, "externalId": unique("x"), "body": "Before" });
    let create = || ada.mutate("createMessage", input.clone(), "message { id body }");
    let id = create().await.text("/message/id");
    let edit = json!({ "messageId": id, "body": "After" });
    ada.mutate("updateMessage", edit, "message { id }")
        .await
        .text("/message/id");
    let again = create().await;
    assert_eq!(again.text("/message/id"), id);
    assert_eq!(again.text("/message/body"), "After");
}

#[tokio::test]
async fn two_first_messages_at_the_same_moment_make_one_thread() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.agent("ada").await, tenant.agent("bob").await);
    let name = unique("request");
    let first = |body: String| {
        json!({ "threadId": name, "body": body, "createThread": {
            "subject": "Help", "access": "AGENTS", "department": "sales", "language": "fr" } })
    };
    let calls = (0..20).map(|n| {
        let by = if n % 2 == 0 { &ada } else { &bob };
        let input = first(format!("{n}"));
        async move {
            by.mutate("createMessage", input, "message { thread { id number } }")
                .await
        }
    });
    let answers = join_all(calls).await;
    let threads: std::collections::HashSet<String> = answers
        .iter()
        .map(|answer| answer.text("/message/thread/id"))
        .collect();
    assert_eq!(threads.len(), 1);
    let read = ada
        .run(
            "query($id: ID!) { thread(id: $id) { number department messageCount participants { totalCount } } }",
            json!({ "id": name }),
        )
        .await;
    assert_eq!(read.number("/thread/number"), 1);
    assert_eq!(read.number("/thread/messageCount"), 20);
    assert_eq!(read.number("/thread/participants/totalCount"), 2);
    // A number that was not needed was not taken.
    let next = ada.open_thread(json!({})).await;
    let read = ada
        .run(
            "query($id: ID!) { thread(id: $id) { number } }",
            json!({ "id": next }),
        )
        .await;
    assert_eq!(read.number("/thread/number"), 2);
}

#[tokio::test]
async fn a_thread_to_create_is_checked_also_when_it_is_not_needed() {
    let (_, ada, _, thread) = two().await;
    let input = json!({ "threadId": thread, "body": "x", "createThread": { "subject": "" } });
    let refused = ada.mutate("createMessage", input, "message { id }").await;
    assert_eq!(refused.faults(), ["createThread.subject"]);
    let unknown = json!({ "threadId": unique("nowhere"), "body": "x" });
    let refused = ada.mutate("createMessage", unknown, "message { id }").await;
    assert_eq!(refused.code(), "NOT_FOUND");
}

#[tokio::test]
async fn only_the_words_move_the_time_of_change() {
    let (_, ada, bob, thread) = two().await;
    let id = ada.say(&thread, "Hello").await;
    let update = |by: &Person, change: Value| {
        let mut input = json!({ "messageId": id });
        crate::support::merge(&mut input, change);
        let by = by.actor();
        async move {
            by.mutate("updateMessage", input, "message { body updatedAt }")
                .await
        }
    };
    let same = update(&ada, json!({ "body": "Hello" })).await;
    assert!(same.at("/message/updatedAt").is_null());
    let facts = update(&ada, json!({ "metadata": { "a": 1 } })).await;
    assert!(facts.at("/message/updatedAt").is_null());
    let reacted = update(&bob, json!({ "addReactions": [{ "emoji": "👍" }] })).await;
    assert!(reacted.at("/message/updatedAt").is_null());
    let edited = update(&ada, json!({ "body": "Goodbye" })).await;
    assert!(edited.at("/message/updatedAt").is_string());
    assert_eq!(
        update(&bob, json!({ "body": "Mine" })).await.code(),
        "FORBIDDEN"
    );
    let mixed = json!({ "body": "Mine", "addReactions": [{ "emoji": "👎" }] });
    assert_eq!(update(&bob, mixed).await.code(), "FORBIDDEN");
}

#[tokio::test]
async fn a_deleted_message_is_a_tombstone_until_it_is_restored() {
    let (tenant, ada, bob, thread) = two().await;
    let id = ada.say(&thread, "Secret").await;
    ada.say(&thread, "Last").await;
    let not_his = bob
        .mutate(
            "deleteMessage",
            json!({ "messageId": id }),
            "deletedMessageId",
        )
        .await;
    assert_eq!(not_his.code(), "FORBIDDEN");
    let deleted = ada
        .mutate(
            "deleteMessage",
            json!({ "messageId": id }),
            "message { body plaintext deletedAt }",
        )
        .await;
    assert_eq!(deleted.text("/message/body"), "");
    assert_eq!(deleted.text("/message/plaintext"), "");
    let list = bob.run(LIST, json!({ "id": thread })).await;
    assert_eq!(list.texts("/thread/messages/nodes", "/body"), ["", "Last"]);
    let counts = "query($id: ID!) { thread(id: $id) { messageCount deletedMessageCount firstMessage { body } } }";
    let read = bob.run(counts, json!({ "id": thread })).await;
    assert_eq!(read.number("/thread/messageCount"), 1);
    assert_eq!(read.number("/thread/deletedMessageCount"), 1);
    assert_eq!(read.text("/thread/firstMessage/body"), "Last");

    let all = "query($t: ID!, $d: Boolean) { messages(filter: {threadId: $t, includeDeleted: $d}) { totalCount nodes { body } } }";
    let for_people = bob.run(all, json!({ "t": thread, "d": true })).await;
    assert_eq!(for_people.texts("/messages/nodes", "/body"), ["", "Last"]);
    let unasked = tenant.backend.run(all, json!({ "t": thread })).await;
    assert_eq!(unasked.texts("/messages/nodes", "/body"), ["Last"]);
    let asked = tenant
        .backend
        .run(all, json!({ "t": thread, "d": true }))
        .await;
    assert_eq!(asked.texts("/messages/nodes", "/body"), ["Secret", "Last"]);

    let back = ada
        .mutate(
            "restoreMessage",
            json!({ "messageId": id }),
            "message { body deletedAt }",
        )
        .await;
    assert_eq!(back.text("/message/body"), "Secret");
    let read = bob.run(counts, json!({ "id": thread })).await;
    assert_eq!(read.number("/thread/messageCount"), 2);
}

#[tokio::test]
async fn deleting_for_good_is_for_admins_and_backends() {
    let (tenant, ada, _, thread) = two().await;
    let id = ada.say(&thread, "Gone").await;
    let input = json!({ "messageId": id, "permanently": true });
    let refused = ada
        .mutate("deleteMessage", input.clone(), "deletedMessageId")
        .await;
    assert_eq!(refused.code(), "FORBIDDEN");
    let done = tenant
        .backend
        .mutate(
            "deleteMessage",
            input.clone(),
            "message { id } deletedMessageId",
        )
        .await;
    assert_eq!(done.text("/deletedMessageId"), id);
    assert!(done.at("/message").is_null());
    let again = tenant
        .backend
        .mutate("deleteMessage", input, "deletedMessageId")
        .await;
    assert_eq!(again.code(), "NOT_FOUND");
    let read = ada
        .run(
            "query($id: ID!) { thread(id: $id) { messageCount lastMessageAt } }",
            json!({ "id": thread }),
        )
        .await;
    assert_eq!(read.number("/thread/messageCount"), 0);
    assert!(read.at("/thread/lastMessageAt").is_null());
}

#[tokio::test]
async fn a_quote_is_of_the_same_thread_and_visible() {
    let (_, ada, bob, thread) = two().await;
    let quoted = bob.say(&thread, "Original").await;
    let input = json!({ "threadId": thread, "body": "Reply", "replyToId": quoted });
    let reply = ada
        .mutate("createMessage", input, "message { replyTo { body } }")
        .await;
    assert_eq!(reply.text("/message/replyTo/body"), "Original");
    let elsewhere = ada.open_thread(json!({})).await;
    let input = json!({ "threadId": elsewhere, "body": "Reply", "replyToId": quoted });
    let refused = ada.mutate("createMessage", input, "message { id }").await;
    assert_eq!(refused.faults(), ["replyToId"]);
}

#[tokio::test]
async fn a_backend_imports_with_times_and_names() {
    let (tenant, ada, bob, thread) = two().await;
    ada.say(&thread, "Now").await;
    let import = json!({
        "threadId": thread, "senderId": bob.external_id, "body": "Then",
        "sentAt": "2020-01-02T03:04:05.123456+01:00", "updatedAt": "2021-01-01T00:00:00Z",
        "reactions": [{ "emoji": "🎉", "userId": ada.id, "timestamp": "2020-01-03T00:00:00Z" }],
    });
    let selection =
        "message { sentAt updatedAt sender { name } reactions { emoji createdAt user { name } } }";
    let imported = tenant
        .backend
        .mutate("createMessage", import.clone(), selection)
        .await;
    assert_eq!(
        imported.text("/message/sentAt"),
        "2020-01-02T02:04:05.123456Z"
    );
    assert_eq!(
        imported.text("/message/updatedAt"),
        "2021-01-01T00:00:00.000000Z"
    );
    assert_eq!(imported.text("/message/sender/name"), "bob");
    assert_eq!(
        imported.text("/message/reactions/0/createdAt"),
        "2020-01-03T00:00:00.000000Z"
    );
    let list = ada.run(LIST, json!({ "id": thread })).await;
    assert_eq!(
        list.texts("/thread/messages/nodes", "/body"),
        ["Then", "Now"]
    );

    let mut by_person = import;
    by_person["senderId"] = Value::Null;
    by_person["reactions"] = Value::Null;
    let refused = ada
        .mutate("createMessage", by_person, "message { id }")
        .await;
    assert_eq!(refused.code(), "FORBIDDEN");
    let stranger = Tenant::new().await.member("eve").await;
    let input = json!({ "threadId": thread, "senderId": stranger.id, "body": "x" });
    let refused = tenant
        .backend
        .mutate("createMessage", input, "message { id }")
        .await;
    assert_eq!(refused.faults(), ["senderId"]);
}

#[tokio::test]
async fn only_a_backend_makes_actions() {
    let (tenant, ada, _, thread) = two().await;
    let input = json!({ "threadId": thread, "body": "moved", "type": "ACTION", "iconUrl": "https://example.com/i.png" });
    let refused = ada
        .mutate("createMessage", input.clone(), "message { id }")
        .await;
    assert_eq!(refused.code(), "INVALID_MESSAGE_TYPE");
    let made = tenant
        .backend
        .mutate(
            "createMessage",
            input,
            "message { type iconUrl sender { id } thread { actionMessageCount userMessageCount } }",
        )
        .await;
    assert_eq!(made.text("/message/type"), "ACTION");
    assert!(made.at("/message/sender").is_null());
    assert_eq!(made.number("/message/thread/actionMessageCount"), 1);
    assert_eq!(made.number("/message/thread/userMessageCount"), 0);
}

#[tokio::test]
async fn pages_give_each_message_once_in_both_directions() {
    let (tenant, ada, bob, thread) = two().await;
    // Equal times are what imports bring.
    for n in 0..25 {
        let at = format!("2020-01-01T00:00:0{}Z", n / 9);
        let input =
            json!({ "threadId": thread, "senderId": bob.id, "body": format!("{n}"), "sentAt": at });
        tenant
            .backend
            .mutate("createMessage", input, "message { id }")
            .await
            .text("/message/id");
    }
    let all: Vec<String> = (0..25).map(|n| n.to_string()).collect();
    let (mut forward, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = ada
            .run(LIST, json!({ "id": thread, "first": 4, "after": after }))
            .await;
        assert_eq!(page.number("/thread/messages/totalCount"), 25);
        forward.extend(page.texts("/thread/messages/nodes", "/body"));
        after = page.at("/thread/messages/pageInfo/endCursor");
        if page.at("/thread/messages/pageInfo/hasNextPage") == json!(false) {
            break;
        }
    }
    assert_eq!(forward, all);
    let (mut backward, mut before) = (Vec::new(), Value::Null);
    loop {
        let page = ada
            .run(LIST, json!({ "id": thread, "last": 7, "before": before }))
            .await;
        backward.splice(0..0, page.texts("/thread/messages/nodes", "/body"));
        before = page.at("/thread/messages/pageInfo/startCursor");
        if page.at("/thread/messages/pageInfo/hasPreviousPage") == json!(false) {
            break;
        }
    }
    assert_eq!(backward, all);
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused() {
    let (_, ada, _, thread) = two().await;
    for (arguments, fault) in [
        (json!({ "first": 0 }), "first"),
        (json!({ "first": 101 }), "first"),
        (json!({ "last": -1 }), "last"),
        (json!({ "first": 1, "last": 1 }), "last"),
        (json!({ "after": "nonsense" }), "after"),
        (json!({ "before": "" }), "before"),
    ] {
        let mut variables = json!({ "id": thread });
        crate::support::merge(&mut variables, arguments);
        assert_eq!(ada.run(LIST, variables).await.faults(), [fault]);
    }
}
