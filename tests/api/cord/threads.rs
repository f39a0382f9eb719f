//! Resolving, counting, moving.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::talk::{Talk, act, before, kinds, look, read};
use crate::support::{Actor, Tenant, unique};

/// Row resolve / reopen thread.
#[tokio::test]
async fn resolve_reopen_thread_is_one_action_that_names_the_actor() {
    let talk = Talk::new().await;
    let contact = talk.tenant.contact("contact").await;
    talk.admit(&contact).await;
    talk.ada.say(&talk.thread, "Done?").await;
    let mut events = talk.follow(&talk.ada).await;
    let calls = (0..20).map(|_| talk.change(&talk.bob, json!({ "resolved": true })));
    for done in join_all(calls).await {
        assert_eq!(done.at("/thread/resolved"), json!(true));
        assert!(done.at("/thread/resolvedAt").is_string());
    }
    let draft = json!({ "body": "Not yet", "status": "DRAFT" });
    let draft = talk.post(&contact, draft).await.text("/message/id");
    assert_eq!(
        talk.look(&talk.ada).await.at("/thread/resolved"),
        json!(true)
    );
    act(&contact, "sendMessage", &draft).await.at("/message");
    for resolved in [true, true, false, false] {
        let done = talk
            .change(&talk.ada, json!({ "resolved": resolved }))
            .await;
        assert_eq!(done.at("/thread/resolved"), json!(resolved));
    }
    let expected = [
        "Done?",
        "bob resolved this thread",
        "contact reopened this thread",
        "Not yet",
        "ada resolved this thread",
        "ada reopened this thread",
    ];
    assert_eq!(talk.words(&talk.bob).await, expected);
    let seen = talk.look(&contact).await;
    let types = seen.texts("/thread/messages/nodes", "/type");
    assert_eq!(
        types,
        ["USER", "ACTION", "ACTION", "USER", "ACTION", "ACTION"]
    );
    assert_eq!(seen.text("/thread/messages/nodes/1/sender/name"), "bob");
    assert_eq!(seen.text("/thread/messages/nodes/2/sender/name"), "contact");
    let mark = talk.mark().await;
    let heard = before(&mark, &mut events).await;
    let (updated, created) = ("ThreadUpdated", "MessageCreated");
    let expected = [
        updated, created, updated, created, created, updated, created, updated, created,
    ];
    assert_eq!(kinds(&heard), expected);
    for outsider in [
        talk.tenant.agent("agent").await,
        Tenant::new().await.admin("elsewhere").await,
    ] {
        let refused = talk.change(&outsider, json!({ "resolved": true })).await;
        assert_eq!(refused.code(), "NOT_FOUND");
    }
    a_backend_resolves_for_somebody(&talk).await;
    many_reopen_it_once().await;
}

/// A part of the row above.
async fn a_backend_resolves_for_somebody(talk: &Talk) {
    let backend = &talk.tenant.backend;
    let last = async || talk.words(&talk.ada).await.pop().expect("a message");
    let at = "2020-01-01T00:00:00.000000Z";
    let named = json!({ "resolvedAt": at, "actorId": talk.bob.external_id });
    let done = talk.change(backend, named).await;
    assert_eq!(done.text("/thread/resolvedAt"), at);
    let words = talk.words(&talk.ada).await;
    let said = words
        .iter()
        .filter(|text| *text == "bob resolved this thread");
    assert_eq!(said.count(), 2);
    let later = json!({ "resolvedAt": "2021-01-01T00:00:00Z" });
    let done = talk.change(backend, later).await;
    assert!(done.text("/thread/resolvedAt").starts_with("2021"));
    assert_eq!(talk.words(&talk.ada).await, words);
    let both = json!({ "resolved": true, "resolvedAt": null });
    let done = talk.change(backend, both).await;
    assert!(done.at("/thread/resolvedAt").is_null());
    assert_eq!(last().await, "This thread was reopened");
    let mine = json!({ "resolvedAt": at });
    assert_eq!(talk.change(&talk.ada, mine).await.code(), "FORBIDDEN");
    let others = json!({ "resolved": true, "actorId": talk.bob.id });
    assert_eq!(talk.change(&talk.ada, others).await.code(), "FORBIDDEN");
    let stranger = Tenant::new().await.member("stranger").await;
    for actor in [&*stranger.id, "nobody"] {
        let input = json!({ "resolved": true, "actorId": actor });
        let refused = talk.change(backend, input).await;
        assert_eq!(refused.code(), "BAD_USER_INPUT");
    }
    assert_eq!(
        talk.look(&talk.ada).await.at("/thread/resolved"),
        json!(false)
    );
}

/// A part of the row above.
async fn many_reopen_it_once() {
    let talk = Talk::new().await;
    talk.change(&talk.bob, json!({ "resolved": true }))
        .await
        .at("/thread");
    let calls = (0..10).map(|n| talk.post(&talk.ada, json!({ "body": format!("{n}") })));
    for posted in join_all(calls).await {
        posted.at("/message");
    }
    let seen = talk.look(&talk.bob).await;
    assert_eq!(seen.number("/thread/actionMessageCount"), 2);
    assert_eq!(seen.number("/thread/userMessageCount"), 10);
    assert_eq!(seen.text("/thread/messages/nodes/1/type"), "ACTION");
}

/// Row thread counts, first/last message, subscribers, typing, seen; without the typing.
#[tokio::test]
async fn thread_counts_first_last_message_subscribers_typing_seen_follow_the_messages() {
    let talk = Talk::new().await;
    let backend = &talk.tenant.backend;
    let state = async || {
        let seen = talk.look(&talk.bob).await;
        let numbers = [
            "messageCount",
            "userMessageCount",
            "actionMessageCount",
            "deletedMessageCount",
        ];
        let numbers = numbers.map(|name| seen.number(&format!("/thread/{name}")));
        let body = |name: &str| seen.at(&format!("/thread/{name}"))["body"].clone();
        (numbers, body("firstMessage"), body("latestMessage"))
    };
    assert_eq!(state().await, ([0; 4], Value::Null, Value::Null));
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(talk.ada.say(&talk.thread, &format!("{n}")).await);
    }
    let action = json!({ "body": "moved", "type": "ACTION" });
    let action = talk.posted(backend, action).await;
    talk.drafted(&talk.bob, json!({ "body": "draft" })).await;
    assert_eq!(state().await, ([4, 3, 1, 0], json!("0"), json!("moved")));
    act(&talk.ada, "deleteMessage", &ids[0])
        .await
        .at("/message");
    act(backend, "deleteMessage", &action).await.at("/message");
    assert_eq!(state().await, ([2, 2, 0, 2], json!("1"), json!("2")));
    act(backend, "restoreMessage", &action).await.at("/message");
    assert_eq!(state().await, ([3, 2, 1, 1], json!("1"), json!("moved")));
    let past = json!({ "body": "past", "sentAt": "2020-01-01T00:00:00Z" });
    talk.posted(backend, past).await;
    assert_eq!(state().await, ([4, 3, 1, 1], json!("past"), json!("moved")));
    let for_good = json!({ "messageId": action, "permanently": true });
    backend
        .mutate("deleteMessage", for_good, "deletedMessageId")
        .await
        .at("/deletedMessageId");
    assert_eq!(state().await, ([3, 3, 0, 1], json!("past"), json!("2")));
    let newest = read(&talk.ada, &ids[2]).await.text("/message/sentAt");
    assert_eq!(
        talk.look(&talk.ada).await.text("/thread/lastMessageAt"),
        newest
    );
    // All at once they count right, too.
    let calls = (0..30).map(|n| talk.post(&talk.ada, json!({ "body": format!("{n}") })));
    join_all(calls).await;
    assert_eq!(state().await.0, [33, 33, 0, 1]);
    subscribers_and_seen(&talk).await;
    moving_takes_all_along().await;
}

/// A part of the row above.
async fn subscribers_and_seen(talk: &Talk) {
    let (cyd, backend) = (talk.tenant.member("cyd").await, &talk.tenant.backend);
    let subscribe = async |by: &Actor, input: Value| {
        let mut full = json!({ "threadId": talk.thread });
        crate::support::merge(&mut full, input);
        by.mutate("setThreadSubscription", full, "thread { subscribed }")
            .await
    };
    let subscribers = async || {
        let seen = talk.look(&talk.ada).await.at("/thread/participants/edges");
        let edges = seen.as_array().expect("edges").clone();
        let on = edges
            .iter()
            .filter(|edge| edge["subscribed"] == json!(true));
        let name = |edge: &Value| edge["node"]["name"].as_str().expect("a name").to_owned();
        on.map(name).collect::<Vec<_>>()
    };
    assert_eq!(subscribers().await, ["ada", "bob"]);
    let done = subscribe(&talk.bob, json!({ "subscribed": false })).await;
    assert_eq!(done.at("/thread/subscribed"), json!(false));
    assert_eq!(subscribers().await, ["ada"]);
    let others = json!({ "subscribed": true, "userId": talk.bob.id });
    assert_eq!(
        subscribe(&talk.ada, others.clone()).await.code(),
        "FORBIDDEN"
    );
    subscribe(backend, others).await.at("/thread");
    let new = json!({ "subscribed": true, "userId": cyd.external_id });
    subscribe(backend, new).await.at("/thread");
    assert_eq!(subscribers().await, ["ada", "bob", "cyd"]);
    let keys = subscribe(backend, json!({ "subscribed": true })).await;
    assert_eq!(keys.faults(), ["userId"]);
    let stranger = talk.tenant.agent("stranger").await;
    let refused = subscribe(&stranger, json!({ "subscribed": true })).await;
    assert_eq!(refused.code(), "NOT_FOUND");

    let quiet = json!({ "body": "Quietly", "subscribeSender": false });
    subscribe(&talk.bob, json!({ "subscribed": false }))
        .await
        .at("/thread");
    talk.posted(&talk.bob, quiet).await;
    assert_eq!(subscribers().await, ["ada", "cyd"]);
    let last = talk.posted(&talk.bob, json!({ "body": "Aloud" })).await;
    assert_eq!(subscribers().await, ["ada", "bob", "cyd"]);
    let seen = json!({ "threadId": talk.thread, "messageId": last });
    cyd.mutate("markThreadSeen", seen, "thread { id }")
        .await
        .at("/thread");
    let read = talk.look(&talk.ada).await;
    let edge = read.at("/thread/participants/edges/2");
    assert_eq!(edge["lastSeenMessage"]["body"], "Aloud");
    assert!(edge["lastSeenAt"].is_string());
}

/// A part of the row above.
async fn moving_takes_all_along() {
    let talk = Talk::with(json!({ "access": "AGENTS" })).await;
    let (from, to, root) = (&talk.tenant, Tenant::new().await, Actor::root().await);
    let (old_agent, new_agent) = (from.agent("old").await, to.agent("new").await);
    // Bob is a member of both.
    let role = json!({ "organizationId": to.id, "userId": talk.bob.id, "role": "MEMBER" });
    root.mutate("setMembership", role, "user { id }")
        .await
        .at("/user");
    let name = unique("m");
    let id = talk
        .posted(&talk.ada, json!({ "body": "Hi", "externalId": name }))
        .await;
    let gone = talk.ada.say(&talk.thread, "Gone").await;
    act(&talk.ada, "deleteMessage", &gone).await.at("/message");
    let there = json!({ "organizationId": to.id });
    for person in [&talk.ada, &old_agent] {
        assert_eq!(talk.change(person, there.clone()).await.code(), "FORBIDDEN");
    }
    let bound = talk.change(&from.backend, there.clone()).await;
    assert_eq!(bound.code(), "NOT_FOUND");
    let nowhere = talk
        .change(&root, json!({ "organizationId": "nowhere" }))
        .await;
    assert_eq!(nowhere.code(), "NOT_FOUND");
    let mut losing = talk.follow(&talk.ada).await;
    to.backend.open_thread(json!({})).await;
    let moved = talk.change(&root, there.clone()).await;
    assert_eq!(moved.text("/thread/organization/id"), to.id);
    assert_eq!(moved.number("/thread/number"), 2);
    let again = talk.change(&root, there).await;
    assert_eq!(again.number("/thread/number"), 2);

    assert_eq!(losing.error().await, "NOT_FOUND");
    let lost: [&Actor; 3] = [&talk.ada, &old_agent, &from.backend];
    for actor in lost {
        assert_eq!(look(actor, &talk.thread).await.code(), "NOT_FOUND");
        assert_eq!(read(actor, &id).await.code(), "NOT_FOUND");
        let list = actor.run(
            "{ messages { totalCount } threads { totalCount } }",
            json!({}),
        );
        let list = list.await;
        assert_eq!(list.number("/messages/totalCount"), 0);
        assert_eq!(list.number("/threads/totalCount"), 0);
    }
    let found: [&Actor; 2] = [&new_agent, &to.backend];
    for actor in found {
        for key in [&id, &name] {
            let message = read(actor, key).await;
            assert_eq!(message.text("/message/organization/id"), to.id);
            assert_eq!(message.text("/message/body"), "Hi");
        }
        let seen = look(actor, &talk.thread).await;
        assert_eq!(seen.number("/thread/messageCount"), 1);
        assert_eq!(seen.number("/thread/deletedMessageCount"), 1);
        let names = seen.texts("/thread/participants/edges", "/node/name");
        assert_eq!(names, ["bob"]);
        let query = "query($o: ID!) { messages(filter: { organizationId: $o }) { totalCount } }";
        let list = actor.run(query, json!({ "o": to.id })).await;
        assert_eq!(list.number("/messages/totalCount"), 1);
    }
    // Whoever belongs there goes on as before.
    let bobs = to.again(&talk.bob, "MEMBER").await;
    talk.posted(&bobs, json!({ "body": "Still here" })).await;
}
