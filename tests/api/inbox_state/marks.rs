//! Seen, unseen, delivered: up to where, for whom, and who is told.

use serde_json::{Value, json};

use super::{mark, pair, put, state, unread};
use crate::chatwoot::{Support, follow, read, read_thread, with, wrote};
use crate::support::socket::Subscription;
use crate::support::{Actor, unique};

#[tokio::test]
async fn a_thread_is_unseen_from_a_message_on() {
    let (tenant, ada, bob, thread) = pair().await;
    let mut messages = Vec::new();
    for body in ["One", "Two", "Three"] {
        messages.push(ada.say(&thread, body).await);
    }
    let mine = bob.say(&thread, "Mine").await;
    let fields = "inboxState unreadCount firstUnreadMessage { id }";
    let seen = json!({ "threadId": thread });
    mark(&bob, "markThreadSeen", seen.clone()).await.at("");
    // Without a message: from the latest one by somebody else.
    let done = mark(&bob, "markThreadUnseen", seen.clone()).await;
    assert_eq!(
        (
            done.text("/thread/inboxState"),
            done.number("/thread/unreadCount")
        ),
        ("UNREAD".to_owned(), 1)
    );
    let now = read_thread(&bob, &thread, fields).await;
    assert_eq!(now["firstUnreadMessage"]["id"], *messages[2]);
    let readers = |message: &str| {
        let (ada, message) = (ada.actor(), message.to_owned());
        async move { read(&ada, &message, "seenBy { name } seenByCount").await }
    };
    assert_eq!(
        readers(&messages[2]).await,
        json!({ "seenBy": [{ "name": "ada" }], "seenByCount": 1 })
    );
    assert_eq!(readers(&messages[1]).await["seenByCount"], 2);
    for (from, count) in [(&messages[1], 2), (&messages[0], 3)] {
        let input = with(seen.clone(), json!({ "fromMessageId": from }));
        let done = mark(&bob, "markThreadUnseen", input).await;
        assert_eq!(done.number("/thread/unreadCount"), count);
        assert_eq!(
            read_thread(&bob, &thread, fields).await["firstUnreadMessage"]["id"],
            **from
        );
    }
    // It is not seen any further by that.
    let input = with(seen.clone(), json!({ "fromMessageId": messages[2] }));
    assert_eq!(
        mark(&bob, "markThreadUnseen", input)
            .await
            .number("/thread/unreadCount"),
        3
    );
    // What one wrote oneself is nothing to read.
    mark(&bob, "markThreadSeen", seen.clone()).await.at("");
    let input = with(seen.clone(), json!({ "fromMessageId": mine }));
    assert_eq!(
        mark(&bob, "markThreadUnseen", input)
            .await
            .text("/thread/inboxState"),
        "READ"
    );
    assert_eq!(unread(&bob).await, (0, 0));
    // A backend does it for others.
    for user in [&bob.id, &bob.external_id] {
        let of = json!({ "threadId": thread, "userId": user });
        mark(&tenant.backend, "markThreadSeen", of.clone())
            .await
            .at("");
        assert_eq!(unread(&bob).await, (0, 0));
        mark(&tenant.backend, "markThreadUnseen", of.clone())
            .await
            .at("");
        assert_eq!(unread(&bob).await, (1, 1));
        let of = with(of, json!({ "fromMessageId": messages[1] }));
        mark(&tenant.backend, "markThreadUnseen", of).await.at("");
        assert_eq!(unread(&bob).await, (1, 2));
    }
    let empty = ada.open_thread(json!({})).await;
    let done = mark(&ada, "markThreadUnseen", json!({ "threadId": empty })).await;
    assert_eq!(done.text("/thread/inboxState"), "READ");
}

#[tokio::test]
async fn what_a_backend_marks_for_somebody_is_what_he_may_see() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let public = support.agent.say(&thread, "Public").await;
    let note = json!({ "body": "Note", "private": true });
    let note = wrote(&support.agent, &thread, note).await;
    for user in [&support.contact, &support.member] {
        let of = json!({ "threadId": thread, "userId": user.id });
        for field in ["markThreadSeen", "markThreadDelivered"] {
            mark(support.backend(), field, of.clone()).await.at("");
            let named = with(of.clone(), json!({ "messageId": note }));
            let refused = mark(support.backend(), field, named).await;
            assert_eq!(refused.faults(), ["messageId"]);
        }
        assert_eq!(state(user, &thread).await, "READ");
        // The notes are marked for nobody who cannot read them.
        let readers = read(&support.agent, &note, "seenByCount deliveredTo { name }").await;
        assert_eq!(readers, json!({ "seenByCount": 1, "deliveredTo": [] }));
        mark(support.backend(), "markThreadUnseen", of.clone())
            .await
            .at("");
        assert_eq!(state(user, &thread).await, "UNREAD");
        assert_eq!(unread(user).await, (1, 1));
        mark(support.backend(), "markThreadSeen", of).await.at("");
    }
    assert_eq!(
        read(&support.agent, &public, "seenByCount").await["seenByCount"],
        3
    );
    let of = json!({ "threadId": thread, "userId": support.admin.id });
    mark(support.backend(), "markThreadSeen", of).await.at("");
    assert_eq!(
        read(&support.agent, &note, "seenByCount").await["seenByCount"],
        2
    );
}

#[tokio::test]
async fn whom_and_what_a_mark_names_is_checked() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let elsewhere = support.thread(None).await;
    let there = support.agent.say(&elsewhere, "There").await;
    support.agent.say(&thread, "Here").await;
    let note = wrote(
        &support.agent,
        &thread,
        json!({ "body": "Note", "private": true }),
    )
    .await;
    for (field, argument) in [
        ("markThreadSeen", "messageId"),
        ("markThreadUnseen", "fromMessageId"),
        ("markThreadDelivered", "messageId"),
    ] {
        let input = json!({ "threadId": thread, argument: there });
        assert_eq!(
            mark(&support.contact, field, input).await.faults(),
            [argument]
        );
        for unseen in [&note, &unique("nothing")] {
            let input = json!({ "threadId": thread, argument: unseen });
            assert_eq!(
                mark(&support.contact, field, input).await.code(),
                "NOT_FOUND",
                "{field}"
            );
        }
        let own = json!({ "threadId": thread });
        assert_eq!(
            mark(support.backend(), field, own.clone()).await.faults(),
            ["userId"]
        );
        let other = with(own.clone(), json!({ "userId": support.contact.id }));
        for by in [&support.agent, &support.admin, &support.member] {
            assert_eq!(mark(by, field, other.clone()).await.code(), "FORBIDDEN");
        }
        assert_eq!(
            mark(&support.contact, field, other.clone())
                .await
                .text("/thread/id"),
            thread
        );
        for unknown in [&support.outsider.id, &unique("nobody")] {
            let unknown = with(own.clone(), json!({ "userId": unknown }));
            assert_eq!(
                mark(support.backend(), field, unknown).await.code(),
                "NOT_FOUND"
            );
        }
        let stranger = support.tenant.contact("stranger").await;
        for by in [&*stranger, &support.outsider] {
            assert_eq!(mark(by, field, own.clone()).await.code(), "NOT_FOUND");
        }
    }
}

#[tokio::test]
async fn what_is_delivered_is_told_of_each_message_and_person() {
    let (tenant, ada, bob, thread) = pair().await;
    let cem = tenant.member("cem").await;
    let add = json!({ "threadId": thread, "userIds": [cem.id] });
    ada.mutate("addParticipants", add, "thread { id }")
        .await
        .at("");
    let mut messages = Vec::new();
    for body in ["One", "Two", "Three"] {
        messages.push(ada.say(&thread, body).await);
    }
    let to = |message: &str| {
        let (ada, message) = (ada.actor(), message.to_owned());
        async move {
            let found = read(&ada, &message, "deliveredTo { name } seenByCount").await;
            let names = found["deliveredTo"].as_array().expect("people").iter();
            let mut names: Vec<String> = names
                .map(|one| one["name"].as_str().expect("a name").to_owned())
                .collect();
            names.sort();
            (
                names.join(" "),
                found["seenByCount"].as_i64().expect("a count"),
            )
        }
    };
    let delivered = async |by: &Actor, more: Value| {
        let input = with(json!({ "threadId": thread }), more);
        mark(by, "markThreadDelivered", input).await
    };
    assert_eq!(to(&messages[0]).await, (String::new(), 1));
    // Delivered is not seen.
    let done = delivered(&bob, json!({ "messageId": messages[1] })).await;
    assert_eq!(
        (
            done.text("/thread/inboxState"),
            done.number("/thread/unreadCount")
        ),
        ("UNREAD".to_owned(), 3)
    );
    assert_eq!(to(&messages[1]).await, ("bob".to_owned(), 1));
    assert_eq!(to(&messages[2]).await, (String::new(), 1));
    // Never backwards.
    delivered(&bob, json!({ "messageId": messages[0] }))
        .await
        .at("");
    assert_eq!(to(&messages[1]).await, ("bob".to_owned(), 1));
    // Who has seen it has it.
    let seen = json!({ "threadId": thread, "messageId": messages[0] });
    mark(&cem, "markThreadSeen", seen).await.at("");
    assert_eq!(to(&messages[0]).await, ("bob cem".to_owned(), 2));
    let edges = "participants { edges { node { name } deliveredMessage { body } lastSeenMessage { body } } }";
    let expected = |bob: Value| {
        json!([
            { "node": { "name": "ada" }, "deliveredMessage": null, "lastSeenMessage": null },
            { "node": { "name": "bob" }, "deliveredMessage": bob, "lastSeenMessage": null },
            { "node": { "name": "cem" }, "deliveredMessage": { "body": "One" }, "lastSeenMessage": { "body": "One" } },
        ])
    };
    let found = read_thread(&cem, &thread, edges).await;
    assert_eq!(
        found["participants"]["edges"],
        expected(json!({ "body": "Two" }))
    );
    // By default up to the latest, also by a backend.
    delivered(&tenant.backend, json!({ "userId": bob.external_id }))
        .await
        .at("");
    assert_eq!(to(&messages[2]).await, ("bob".to_owned(), 1));
    let found = read_thread(&tenant.backend, &thread, edges).await;
    assert_eq!(
        found["participants"]["edges"],
        expected(json!({ "body": "Three" }))
    );
    // A draft has come to nobody.
    let draft = wrote(&ada, &thread, json!({ "body": "x", "status": "DRAFT" })).await;
    assert_eq!(
        read(&ada, &draft, "deliveredTo { name }").await["deliveredTo"],
        json!([])
    );
}

/// The next event: its type, whose, up to what.
async fn next(events: &mut Subscription) -> (String, String, Value) {
    let event = events.event().await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&event["__typename"]),
        text(&event["user"]["name"]),
        event["upTo"]["body"].clone(),
    )
}

#[tokio::test]
async fn moved_marks_are_told_live_and_on_resume() {
    let (tenant, ada, bob, thread) = pair().await;
    let mut messages = Vec::new();
    for body in ["One", "Two"] {
        messages.push(ada.say(&thread, body).await);
    }
    let start = read_thread(&ada, &thread, "cursor").await;
    let mut live = [
        follow(&ada, &thread, None).await,
        follow(&tenant.backend, &thread, None).await,
    ];
    let at = |message: &str| json!({ "threadId": thread, "messageId": message });
    let told = |kind: &str, up_to: Value| (kind.to_owned(), "bob".to_owned(), up_to);
    for (field, input, expected) in [
        (
            "markThreadDelivered",
            at(&messages[0]),
            told("ThreadDelivered", json!("One")),
        ),
        (
            "markThreadDelivered",
            at(&messages[1]),
            told("ThreadDelivered", json!("Two")),
        ),
        (
            "markThreadSeen",
            at(&messages[1]),
            told("ThreadSeen", json!("Two")),
        ),
        (
            "markThreadUnseen",
            json!({ "threadId": thread }),
            told("ThreadSeen", json!("One")),
        ),
        (
            "markThreadUnseen",
            json!({ "threadId": thread, "fromMessageId": messages[0] }),
            told("ThreadSeen", Value::Null),
        ),
        (
            "markThreadSeen",
            at(&messages[0]),
            told("ThreadSeen", json!("One")),
        ),
    ] {
        mark(&bob, field, input).await.at("");
        for events in &mut live {
            assert_eq!(next(events).await, expected);
        }
    }
    put(&bob, &thread, "READ").await;
    for events in &mut live {
        assert_eq!(next(events).await, told("ThreadSeen", json!("Two")));
    }
    put(&bob, &thread, "UNREAD").await;
    for events in &mut live {
        assert_eq!(next(events).await, told("ThreadSeen", json!("One")));
    }
    // Only the latest of each is told to who was away.
    let mut resumed = follow(&ada, &thread, start["cursor"].as_str()).await;
    let mut both = vec![next(&mut resumed).await, next(&mut resumed).await];
    both.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        both,
        [
            told("ThreadDelivered", json!("Two")),
            told("ThreadSeen", json!("One"))
        ]
    );
    // What moves nothing is not told.
    mark(&bob, "markThreadDelivered", at(&messages[0]))
        .await
        .at("");
    mark(&bob, "markThreadSeen", at(&messages[0])).await.at("");
    ada.say(&thread, "End").await;
    for events in live.iter_mut().chain([&mut resumed]) {
        assert_eq!(events.event().await["message"]["body"], "End");
    }
}
