//! A message's address, times, type, icon, metadata and classes.

use serde_json::{Value, json};

use crate::support::talk::{Talk, act, before, edit, kinds, plus, read};
use crate::support::{Actor, Answer};

/// Row `url`.
#[tokio::test]
async fn url_falls_back_to_the_threads() {
    let talk = Talk::new().await;
    let of = async |id: &str| {
        let by_bob = read(&talk.bob, id).await.text("/message/url");
        let query = "query($t: ID!) { thread(id: $t) { messages { nodes { id url } } } }";
        let list = talk.bob.run(query, json!({ "t": talk.thread })).await;
        let ids = list.texts("/thread/messages/nodes", "/id");
        let place = ids
            .iter()
            .position(|known| known == id)
            .expect("it is listed");
        let listed = list.text(&format!("/thread/messages/nodes/{place}/url"));
        assert_eq!(by_bob, listed);
        by_bob
    };
    let own = json!({ "body": "x", "url": "https://example.com/own" });
    let own = talk.posted(&talk.ada, own).await;
    let plain = talk.posted(&talk.ada, json!({ "body": "x" })).await;
    assert_eq!(of(&own).await, "https://example.com/own");
    assert_eq!(of(&plain).await, "");
    for url in ["https://example.com/1", "http://example.com/2"] {
        talk.change(&talk.ada, json!({ "url": url }))
            .await
            .text("/thread/url");
        assert_eq!(of(&plain).await, url);
        assert_eq!(of(&own).await, "https://example.com/own");
    }
    let cleared = edit(&talk.ada, &own, json!({ "url": null })).await;
    assert_eq!(cleared.text("/message/url"), "http://example.com/2");
    let again = edit(&talk.ada, &own, json!({ "url": "https://example.com/new" })).await;
    assert_eq!(again.text("/message/url"), "https://example.com/new");
    assert!(again.at("/message/updatedAt").is_null());
    talk.change(&talk.ada, json!({ "url": null }))
        .await
        .at("/thread/url");
    assert_eq!(of(&plain).await, "");
    for bad in [
        "",
        "javascript:x()",
        "example.com",
        "https://a b",
        &format!("https://{}", "x".repeat(2048)),
    ] {
        let refused = talk
            .post(&talk.ada, json!({ "body": "x", "url": bad }))
            .await;
        assert_eq!(refused.faults(), ["url"], "{bad}");
        let refused = edit(&talk.ada, &own, json!({ "url": bad })).await;
        assert_eq!(refused.faults(), ["url"], "{bad}");
        assert_eq!(
            talk.change(&talk.ada, json!({ "url": bad })).await.faults(),
            ["url"]
        );
    }
}

/// Row created / updated / deleted timestamps.
#[tokio::test]
async fn created_updated_deleted_timestamps_are_set_by_a_key_and_by_words_alone() {
    let talk = Talk::new().await;
    let backend = &talk.tenant.backend;
    let import = json!({
        "body": "Then", "senderId": talk.bob.id, "sentAt": "2020-01-01T00:00:00.5+02:00",
        "updatedAt": "2020-02-01T00:00:00Z", "deletedAt": "2020-03-01T00:00:00Z",
    });
    let made = talk.post(backend, import).await;
    for (field, expected) in [
        ("createdAt", "2019-12-31T22:00:00.500000Z"),
        ("sentAt", "2019-12-31T22:00:00.500000Z"),
        ("updatedAt", "2020-02-01T00:00:00.000000Z"),
        ("deletedAt", "2020-03-01T00:00:00.000000Z"),
    ] {
        assert_eq!(made.text(&format!("/message/{field}")), expected);
    }
    let seen = talk.look(&talk.ada).await;
    assert_eq!(seen.number("/thread/deletedMessageCount"), 1);
    assert!(seen.at("/thread/lastMessageAt").is_null());
    let id = made.text("/message/id");
    let moved = json!({ "updatedAt": "2020-04-01T00:00:00Z", "deletedAt": "2020-05-01T00:00:00Z" });
    let moved = edit(backend, &id, moved).await;
    assert_eq!(
        moved.text("/message/updatedAt"),
        "2020-04-01T00:00:00.000000Z"
    );
    assert_eq!(
        moved.text("/message/deletedAt"),
        "2020-05-01T00:00:00.000000Z"
    );

    let both = json!({ "body": "Other words", "updatedAt": "2020-06-01T00:00:00Z" });
    let both = edit(backend, &id, both).await;
    assert_eq!(
        both.text("/message/updatedAt"),
        "2020-06-01T00:00:00.000000Z"
    );

    // People set none of them, not even of their own messages.
    let own = talk.posted(&talk.bob, json!({ "body": "Mine" })).await;
    let admin = talk.tenant.admin("admin").await;
    talk.admit(&admin).await;
    let at = "2020-01-01T00:00:00Z";
    for field in ["sentAt", "updatedAt", "deletedAt"] {
        for person in [&talk.bob, &admin] {
            let refused = talk.post(person, json!({ "body": "x", field: at })).await;
            assert_eq!(refused.code(), "FORBIDDEN");
        }
        if field != "sentAt" {
            let refused = edit(&talk.bob, &own, json!({ field: at })).await;
            assert_eq!(refused.code(), "FORBIDDEN");
        }
        for bad in ["yesterday", "2020-01-01", "2020-13-01T00:00:00Z"] {
            let refused = talk.post(backend, json!({ "body": "x", field: bad })).await;
            assert!(refused.body.get("errors").is_some(), "{bad}");
        }
    }
    only_other_words_move_it(&talk).await;
}

/// A part of the row above.
async fn only_other_words_move_it(talk: &Talk) {
    let mention = |text: &str| {
        json!([{ "type": "p", "children": [
        { "text": text }, { "type": "mention", "user": { "id": talk.bob.external_id }, "children": [{ "text": "@Bob" }] },
    ] }])
    };
    let forms = [
        (json!({ "body": "Words" }), json!({ "body": "Other" })),
        (
            json!({ "bodyHtml": "<b>Words</b><script>x()</script>" }),
            json!({ "bodyHtml": "<i>Words</i>" }),
        ),
        (
            json!({ "content": mention("Words") }),
            json!({ "content": mention("Other") }),
        ),
    ];
    for (words, other) in forms {
        let made = talk.post(&talk.ada, words.clone()).await;
        assert!(made.at("/message/updatedAt").is_null());
        let id = made.text("/message/id");
        let unmoved = |answer: Answer| assert!(answer.at("/message/updatedAt").is_null());
        unmoved(edit(&talk.ada, &id, words.clone()).await);
        for facts in [
            json!({ "metadata": { "a": 1 } }),
            json!({ "url": "https://example.com" }),
            json!({ "extraClassnames": "x" }),
            json!({ "addReactions": [{ "emoji": "👍" }] }),
            json!({ "removeReactions": [{ "emoji": "👍" }] }),
            json!({ "deleted": true }),
            json!({ "deleted": false }),
        ] {
            unmoved(edit(&talk.ada, &id, facts).await);
        }
        unmoved(edit(&talk.tenant.backend, &id, words.clone()).await);
        for field in ["addReaction", "removeReaction"] {
            let input = json!({ "messageId": id, "emoji": "🎉" });
            let reacted = talk.bob.mutate(field, input, "message { updatedAt }").await;
            assert!(reacted.at("/message/updatedAt").is_null());
        }
        unmoved(act(&talk.ada, "deleteMessage", &id).await);
        unmoved(act(&talk.ada, "restoreMessage", &id).await);
        let edited = edit(&talk.ada, &id, other.clone()).await;
        let first = edited.text("/message/updatedAt");
        assert!(first > edited.text("/message/sentAt"), "{other}");
        let again = edit(&talk.ada, &id, other).await;
        assert_eq!(again.text("/message/updatedAt"), first);
        let back = edit(&talk.tenant.backend, &id, words).await;
        assert!(back.text("/message/updatedAt") > first);
        assert_eq!(
            back.text("/message/createdAt"),
            made.text("/message/createdAt")
        );
        assert_eq!(back.text("/message/sentAt"), made.text("/message/sentAt"));
    }
}

/// Row `type`, `iconURL`.
#[tokio::test]
async fn type_icon_url_are_action_by_a_key_alone() {
    let talk = Talk::with(json!({ "access": "ORGANIZATION" })).await;
    let (agent, admin) = (
        talk.tenant.agent("agent").await,
        talk.tenant.admin("admin").await,
    );
    let backend = &talk.tenant.backend;
    let icon = "https://example.com/i.png";
    let action = json!({ "body": "moved it", "type": "ACTION", "iconUrl": icon });
    for person in [&talk.ada, &agent, &admin] {
        let refused = talk.post(person, action.clone()).await;
        assert_eq!(refused.code(), "INVALID_MESSAGE_TYPE");
        let own = talk.posted(person, json!({ "body": "x" })).await;
        let refused = edit(person, &own, json!({ "type": "ACTION" })).await;
        assert_eq!(refused.code(), "INVALID_MESSAGE_TYPE");
        let refused = talk
            .post(person, json!({ "body": "x", "iconUrl": icon }))
            .await;
        assert_eq!(refused.faults(), ["iconUrl"]);
        let refused = edit(person, &own, json!({ "iconUrl": icon })).await;
        assert_eq!(refused.faults(), ["iconUrl"]);
    }
    let users = talk
        .look(&talk.bob)
        .await
        .number("/thread/userMessageCount");
    let made = talk.post(backend, action.clone()).await;
    assert_eq!(made.text("/message/type"), "ACTION");
    assert_eq!(made.text("/message/iconUrl"), icon);
    assert!(made.at("/message/sender").is_null());
    let named = json!({ "senderId": talk.bob.id, "iconUrl": null });
    let named = talk.post(backend, plus(action, named)).await;
    assert_eq!(named.text("/message/sender/name"), "bob");
    let counts = async || {
        let seen = talk.look(&talk.bob).await;
        let users_now = seen.number("/thread/userMessageCount");
        (users_now - users, seen.number("/thread/actionMessageCount"))
    };
    assert_eq!(counts().await, (0, 2));
    let id = made.text("/message/id");
    let user = edit(backend, &id, json!({ "type": "USER" })).await;
    assert_eq!(user.text("/message/type"), "USER");
    assert!(user.at("/message/iconUrl").is_null());
    assert_eq!(counts().await, (1, 1));
    let refused = edit(backend, &id, json!({ "iconUrl": icon })).await;
    assert_eq!(refused.faults(), ["iconUrl"]);
    let refused = talk
        .post(backend, json!({ "body": "x", "iconUrl": icon }))
        .await;
    assert_eq!(refused.faults(), ["iconUrl"]);
    let both = edit(backend, &id, json!({ "type": "ACTION", "iconUrl": icon })).await;
    assert_eq!(both.text("/message/iconUrl"), icon);
    let cleared = edit(backend, &id, json!({ "iconUrl": null })).await;
    assert!(cleared.at("/message/iconUrl").is_null());
    let bad = edit(
        backend,
        &id,
        json!({ "iconUrl": "data:image/png;base64,x" }),
    )
    .await;
    assert_eq!(bad.faults(), ["iconUrl"]);
    // The server's own.
    talk.change(&talk.bob, json!({ "resolved": true }))
        .await
        .at("/thread");
    assert_eq!(counts().await, (0, 3));
}

/// Row `metadata`.
#[tokio::test]
async fn metadata_is_flat_and_replaced_whole() {
    let talk = Talk::new().await;
    let writers: [&Actor; 2] = [&talk.ada, &talk.tenant.backend];
    let facts = json!({ "text": "é", "whole": 9_007_199_254_740_991_i64, "part": -1.5, "yes": true, "": "" });
    let id = talk
        .posted(&talk.ada, json!({ "body": "x", "metadata": facts }))
        .await;
    assert_eq!(read(&talk.bob, &id).await.at("/message/metadata"), facts);
    let none = talk.post(&talk.ada, json!({ "body": "x" })).await;
    assert_eq!(none.at("/message/metadata"), json!({}));
    for (bad, faults) in [
        (
            json!({ "a": null, "b": [], "c": {}, "d": 1 }),
            vec!["metadata.a", "metadata.b", "metadata.c"],
        ),
        (json!([]), vec!["metadata"]),
        (json!("text"), vec!["metadata"]),
        (json!(7), vec!["metadata"]),
        (json!({ "long": "x".repeat(10_001) }), vec!["metadata.long"]),
        (
            Value::Object((0..101).map(|n| (format!("{n}"), json!(n))).collect()),
            vec!["metadata"],
        ),
    ] {
        for writer in writers {
            let refused = talk
                .post(writer, json!({ "body": "x", "metadata": bad }))
                .await;
            assert_eq!(refused.faults(), faults, "{bad}");
            let refused = edit(writer, &id, json!({ "metadata": bad })).await;
            assert_eq!(refused.faults(), faults, "{bad}");
        }
    }
    let refused = edit(&talk.bob, &id, json!({ "metadata": { "mine": true } })).await;
    assert_eq!(refused.code(), "FORBIDDEN");
    assert_eq!(read(&talk.bob, &id).await.at("/message/metadata"), facts);
    let mut events = talk.follow(&talk.bob).await;
    for (writer, facts) in writers.into_iter().zip([json!({ "b": "2" }), json!({})]) {
        let changed = edit(writer, &id, json!({ "metadata": facts })).await;
        assert_eq!(changed.at("/message/metadata"), facts);
        let same = edit(writer, &id, json!({ "metadata": facts })).await;
        assert!(same.at("/message/updatedAt").is_null());
        let absent = edit(writer, &id, json!({ "extraClassnames": "x" })).await;
        assert_eq!(absent.at("/message/metadata"), facts);
    }
    let mark = talk.mark().await;
    // Two changes of the metadata, one of the classes; the same again is none.
    let heard = before(&mark, &mut events).await;
    assert_eq!(kinds(&heard), ["MessageUpdated"; 3]);
}

/// Row `extraClassnames`.
#[tokio::test]
async fn extra_classnames_are_cleared_by_null() {
    let talk = Talk::new().await;
    let writers: [&Actor; 2] = [&talk.ada, &talk.tenant.backend];
    for writer in writers {
        let input =
            json!({ "body": "x", "senderId": talk.ada.id, "extraClassnames": "wide purple" });
        let made = talk.post(writer, input).await;
        let id = made.text("/message/id");
        let of = async || read(&talk.bob, &id).await.at("/message/extraClassnames");
        assert_eq!(of().await, json!("wide purple"));
        let absent = edit(writer, &id, json!({ "metadata": { "a": 1 } })).await;
        assert_eq!(absent.text("/message/extraClassnames"), "wide purple");
        let other = edit(writer, &id, json!({ "extraClassnames": "narrow" })).await;
        assert_eq!(other.text("/message/extraClassnames"), "narrow");
        for bad in [&*"x".repeat(256), "a\0b"] {
            let refused = edit(writer, &id, json!({ "extraClassnames": bad })).await;
            assert_eq!(refused.faults(), ["extraClassnames"]);
            let refused = talk
                .post(writer, json!({ "body": "x", "extraClassnames": bad }))
                .await;
            assert_eq!(refused.faults(), ["extraClassnames"]);
        }
        let refused = edit(&talk.bob, &id, json!({ "extraClassnames": null })).await;
        assert_eq!(refused.code(), "FORBIDDEN");
        assert_eq!(of().await, json!("narrow"));
        let cleared = edit(writer, &id, json!({ "extraClassnames": null })).await;
        assert!(cleared.at("/message/extraClassnames").is_null());
        assert!(cleared.at("/message/updatedAt").is_null());
        assert_eq!(of().await, Value::Null);
    }
}
