//! Who has seen a message, and how it goes away.

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::talk::{Talk, act, before, edit, kinds, look, read};
use crate::support::{Actor, Answer, Tenant};

async fn see(by: &Actor, thread: &str, input: Value) -> Answer {
    let mut full = json!({ "threadId": thread });
    crate::support::merge(&mut full, input);
    by.mutate("markThreadSeen", full, "thread { unreadCount }")
        .await
}

async fn seen_by(by: &Actor, message: &str) -> Vec<String> {
    let read = read(by, message).await;
    let names = read.texts("/message/seenBy", "/name");
    let count = read.number("/message/seenByCount");
    assert_eq!(usize::try_from(count), Ok(names.len()));
    names
}

/// Row `seenBy`.
#[tokio::test]
async fn seen_by_comes_from_watermarks_and_deleting_recomputes_unread() {
    let talk = Talk::new().await;
    let cyd = talk.tenant.contact("cyd").await;
    talk.admit(&cyd).await;
    let (ada, bob, thread) = (&talk.ada, &talk.bob, &*talk.thread);
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(ada.say(thread, &format!("{n}")).await);
    }
    let mut events = talk.follow(ada).await;
    assert_eq!(seen_by(bob, &ids[0]).await, ["ada"]);
    see(bob, thread, json!({ "messageId": ids[1] }))
        .await
        .at("/thread");
    // Up to there means everything before, too, and nothing behind.
    for (n, names) in [
        (0, &["ada", "bob"][..]),
        (1, &["ada", "bob"]),
        (2, &["ada"]),
    ] {
        assert_eq!(seen_by(&cyd, &ids[n]).await, names);
    }
    let for_cyd = json!({ "userId": cyd.external_id });
    see(&talk.tenant.backend, thread, for_cyd.clone())
        .await
        .at("/thread");
    assert_eq!(seen_by(bob, &ids[3]).await, ["ada", "cyd"]);
    assert_eq!(see(bob, thread, for_cyd).await.code(), "FORBIDDEN");
    let heard = events.event().await;
    assert_eq!(heard["__typename"], "ThreadSeen");
    assert_eq!(heard["user"]["name"], "bob");
    assert_eq!(heard["upTo"]["body"], "1");
    // Neither an edit nor anything else about a message takes it away.
    for change in [
        json!({ "body": "other" }),
        json!({ "metadata": { "a": 1 } }),
    ] {
        edit(ada, &ids[0], change).await.at("/message");
        let mut names = seen_by(bob, &ids[0]).await;
        names[1..].sort();
        assert_eq!(names, ["ada", "bob", "cyd"]);
    }
    let bots = talk
        .posted(&talk.tenant.backend, json!({ "body": "bot" }))
        .await;
    assert_eq!(seen_by(ada, &bots).await, [""; 0]);
    act(&talk.tenant.backend, "deleteMessage", &bots)
        .await
        .at("/message");

    deleting_recomputes_unread(&talk, &ids).await;
}

/// A part of the row above: of four messages Bob has seen two.
async fn deleting_recomputes_unread(talk: &Talk, ids: &[String]) {
    let (ada, bob, thread) = (&talk.ada, &talk.bob, &*talk.thread);
    let unread = async || {
        let query = "query($t: ID!) { viewer { unreadMessageCount unreadThreadCount }
            thread(id: $t) { unreadCount inboxState firstUnreadMessage { body } } }";
        let read = bob.run(query, json!({ "t": thread })).await;
        let count = read.number("/thread/unreadCount");
        assert_eq!(read.number("/viewer/unreadMessageCount"), count);
        assert_eq!(
            read.number("/viewer/unreadThreadCount"),
            i64::from(count > 0)
        );
        let state = if count > 0 { "UNREAD" } else { "READ" };
        assert_eq!(read.text("/thread/inboxState"), state);
        let first = read.at("/thread/firstUnreadMessage");
        (count, first["body"].as_str().unwrap_or_default().to_owned())
    };
    let is = |count: i64, first: &str| (count, first.to_owned());
    assert_eq!(unread().await, is(2, "2"));
    act(ada, "deleteMessage", &ids[2]).await.at("/message");
    assert_eq!(unread().await, is(1, "3"));
    edit(ada, &ids[3], json!({ "deleted": true }))
        .await
        .at("/message");
    assert_eq!(unread().await, is(0, ""));
    act(ada, "restoreMessage", &ids[2]).await.at("/message");
    assert_eq!(unread().await, is(1, "2"));
    edit(ada, &ids[3], json!({ "deleted": false }))
        .await
        .at("/message");
    assert_eq!(unread().await, is(2, "2"));
    // One that was seen counts no more when it comes back.
    act(ada, "deleteMessage", &ids[0]).await.at("/message");
    act(ada, "restoreMessage", &ids[0]).await.at("/message");
    assert_eq!(unread().await, is(2, "2"));
    // Where the watermark stands may go for good.
    let for_good = json!({ "messageId": ids[1], "permanently": true });
    let backend = &talk.tenant.backend;
    backend
        .mutate("deleteMessage", for_good, "deletedMessageId")
        .await
        .at("/deletedMessageId");
    assert_eq!(unread().await, is(2, "2"));
    assert_eq!(seen_by(ada, &ids[0]).await.len(), 3);
}

/// Row `deleted`, `deletedTimestamp`, delete message.
#[tokio::test]
async fn deleted_deleted_timestamp_delete_message_are_soft_or_for_good() {
    let talk = Talk::with(json!({ "access": "AGENTS" })).await;
    let (backend, agent) = (&talk.tenant.backend, talk.tenant.agent("agent").await);
    let id = talk.posted(&talk.bob, json!({ "body": "Hi" })).await;
    let deleted_at =
        async |by: &Actor, input: Value| edit(by, &id, input).await.at("/message/deletedAt");
    let at = "2020-01-01T00:00:00.000000Z";
    // The time wins over the flag, even null.
    for (input, expected) in [
        (json!({ "deletedAt": at }), json!(at)),
        (json!({ "deleted": true }), json!(at)),
        (json!({ "deleted": true, "deletedAt": null }), Value::Null),
        (json!({ "deleted": false, "deletedAt": at }), json!(at)),
        (json!({ "metadata": { "a": 1 } }), json!(at)),
        (json!({ "deletedAt": null }), Value::Null),
        (json!({ "deleted": true, "deletedAt": at }), json!(at)),
        (json!({ "deleted": false }), Value::Null),
    ] {
        assert_eq!(
            deleted_at(backend, input.clone()).await,
            expected,
            "{input}"
        );
        let seen = talk.look(&talk.ada).await;
        let gone = i64::from(!expected.is_null());
        assert_eq!(seen.number("/thread/deletedMessageCount"), gone, "{input}");
        assert_eq!(seen.number("/thread/messageCount"), 1 - gone, "{input}");
    }
    for by in [&talk.bob, &agent] {
        assert!(deleted_at(by, json!({ "deleted": true })).await.is_string());
        assert!(deleted_at(by, json!({ "deleted": false })).await.is_null());
        let refused = edit(by, &id, json!({ "deletedAt": at })).await;
        assert_eq!(refused.code(), "FORBIDDEN");
        let refused = edit(by, &id, json!({ "deletedAt": null })).await;
        assert_eq!(refused.code(), "FORBIDDEN");
    }
    let others = edit(&talk.ada, &id, json!({ "deleted": true })).await;
    assert_eq!(others.code(), "FORBIDDEN");
    let import = json!({ "body": "x", "deletedAt": at });
    let import = talk.post(backend, import).await;
    assert_eq!(import.text("/message/deletedAt"), at);
    for_good(&talk, &id).await;
}

/// A part of the row above.
async fn for_good(talk: &Talk, id: &str) {
    let (backend, admin) = (&talk.tenant.backend, talk.tenant.admin("admin").await);
    let agent = talk.tenant.agent("clerk").await;
    let quoting = json!({ "body": "Quoting", "replyToId": id });
    let quoting = talk.posted(&talk.ada, quoting).await;
    let thumb = json!({ "addReactions": [{ "emoji": "👍" }] });
    edit(&talk.ada, id, thumb).await.at("/message");
    let erase = async |by: &Actor, id: &str| {
        let input = json!({ "messageId": id, "permanently": true });
        by.mutate("deleteMessage", input, "message { id } deletedMessageId")
            .await
    };
    for person in [&talk.ada, &talk.bob, &agent] {
        assert_eq!(erase(person, id).await.code(), "FORBIDDEN");
    }
    let stranger = Tenant::new().await;
    assert_eq!(erase(&stranger.backend, id).await.code(), "NOT_FOUND");
    assert_eq!(erase(backend, "no-such-message").await.code(), "NOT_FOUND");
    let tombstone = talk.posted(&talk.bob, json!({ "body": "Second" })).await;
    act(&talk.bob, "deleteMessage", &tombstone)
        .await
        .at("/message");
    let mut events = talk.follow(&talk.bob).await;
    let count = talk.look(&talk.bob).await;
    let count = count.number("/thread/deletedMessageCount");
    let erasing: [(&Actor, &str); 2] = [(backend, id), (&admin, &tombstone)];
    for (by, id) in erasing {
        let done = erase(by, id).await;
        assert_eq!(done.text("/deletedMessageId"), id);
        assert!(done.at("/message").is_null());
        let again: [&Actor; 3] = [backend, &admin, &talk.bob];
        for actor in again {
            assert_eq!(erase(actor, id).await.code(), "NOT_FOUND");
            assert_eq!(read(actor, id).await.code(), "NOT_FOUND");
            assert_eq!(act(actor, "restoreMessage", id).await.code(), "NOT_FOUND");
        }
    }
    let seen = look(&talk.bob, &talk.thread).await;
    assert_eq!(seen.number("/thread/deletedMessageCount"), count - 1);
    let all = "query($t: ID!) { messages(filter: { threadId: $t, includeDeleted: true }) { nodes { id } } }";
    let all = backend.run(all, json!({ "t": talk.thread })).await;
    let left = all.texts("/messages/nodes", "/id");
    assert!(!left.contains(&id.to_owned()) && !left.contains(&tombstone));
    assert!(
        read(&talk.ada, &quoting)
            .await
            .at("/message/replyTo")
            .is_null()
    );
    let sql = Server::get().await.sql().await;
    let uuid: bobbin::ids::MessageId = id.parse().expect("a message's id");
    let rows = sql
        .query_one(
            "SELECT (SELECT count(*) FROM reactions WHERE message_id = $1::text::uuid)
                  + (SELECT count(*) FROM messages WHERE id = $1::text::uuid)",
            &[&uuid.uuid().to_string()],
        )
        .await;
    assert_eq!(rows.expect("a count").get::<_, i64>(0), 0);
    let mark = talk.mark().await;
    let heard = before(&mark, &mut events).await;
    assert_eq!(kinds(&heard), ["MessageRemoved"; 2]);
    assert_eq!(heard[0]["messageId"], json!(id));
}
