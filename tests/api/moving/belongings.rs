//! What goes along with a thread that moves, or does not let it go.

use serde_json::{Value, json};

use super::{Move, WHOLE, fill, next_number, relocate, sees_nothing};
use crate::chatwoot::{follow, read, read_thread, wrote};
use crate::support::unique;

#[tokio::test]
async fn everything_in_a_thread_goes_along_and_former_senders_are_named() {
    let moving = Move::new().await;
    next_number(&moving.there).await;
    let first = fill(&moving).await;
    let mut before = read_thread(&moving.root, &moving.thread, WHOLE).await;
    assert_eq!(before["messages"]["totalCount"], 7);
    // It has no inbox there, and its messages no direction.
    for message in before["messages"]["nodes"]
        .as_array_mut()
        .expect("messages")
    {
        message["direction"] = Value::Null;
    }
    let moved = moving.moved_by(&moving.root).await;
    assert_eq!(
        (moved.number("/thread/number"), moved.at("/thread/inbox")),
        (2, Value::Null)
    );
    // Neither number is given again.
    assert_eq!(
        (
            next_number(&moving.here).await,
            next_number(&moving.there).await
        ),
        (2, 3)
    );
    assert_eq!(
        read_thread(&moving.root, &moving.thread, WHOLE).await,
        before
    );
    let admin = moving.there.agent("admin").await;
    let named = before["externalId"].as_str().expect("a name");
    for by in [&*admin, &moving.there.backend] {
        assert_eq!(read_thread(by, named, WHOLE).await, before);
        let message = before["messages"]["nodes"][0]["externalId"]
            .as_str()
            .expect("a name");
        let found = read(
            by,
            message,
            "id organization { id } thread { organization { id } } sender { name }",
        )
        .await;
        let there = json!({ "id": moving.there.id });
        let expected = json!({
            "id": first, "organization": there, "thread": { "organization": there },
            "sender": { "name": "cyd" },
        });
        assert_eq!(found, expected);
        let number = "query($o: ID!) { threadByNumber(organizationId: $o, number: 2) { id } }";
        let found = by.run(number, json!({ "o": moving.there.id })).await;
        assert_eq!(found.text("/threadByNumber/id"), moving.thread);
        // They are named, and are no members.
        let query = "query($o: ID!, $u: ID!) { user(id: $u) { name } organization(id: $o) { members { totalCount nodes { name } } }
            messages(filter: { senderId: $u, organizationId: $o }) { totalCount } }";
        let found = by
            .run(query, json!({ "o": moving.there.id, "u": moving.cyd.id }))
            .await;
        assert_eq!(found.text("/user/name"), "cyd");
        assert_eq!(found.number("/messages/totalCount"), 1);
        assert_eq!(
            found.texts("/organization/members/nodes", "/name"),
            ["admin"]
        );
    }
    let part = read_thread(&admin, &moving.thread, "participants { totalCount }").await;
    assert_eq!(part["participants"]["totalCount"], 0);
    // And it can go back.
    let back = relocate(&moving.root, &moving.thread, &moving.here.id).await;
    assert_eq!(back.number("/thread/number"), 3);
    // What somebody hid of it is forgotten where nobody of that organization may know him by it.
    assert_eq!(
        read_thread(&moving.bob, &moving.thread, "inboxState").await["inboxState"],
        "UNREAD"
    );
    sees_nothing(&admin, &moving.thread, &first).await;
}

/// Gives the thread, or its message, a name that is taken in the other organization; answers the
/// thread there.
async fn clash(moving: &Move, kind: &str, message: &str) -> String {
    let taken = unique("taken");
    if kind == "thread" {
        let change = json!({ "threadId": moving.thread, "externalId": taken });
        moving
            .ann
            .mutate("updateThread", change, "thread { id }")
            .await
            .at("");
        moving
            .there
            .backend
            .open_thread(json!({ "externalId": taken }))
            .await
    } else {
        let change = json!({ "messageId": message, "externalId": taken });
        moving
            .cyd
            .mutate("updateMessage", change, "message { id }")
            .await
            .at("");
        let other = moving.there.backend.open_thread(json!({})).await;
        wrote(
            &moving.there.backend,
            &other,
            json!({ "body": "x", "externalId": taken }),
        )
        .await;
        other
    }
}

#[tokio::test]
async fn a_name_that_is_taken_there_leaves_everything_as_it_was() {
    for kind in ["thread", "message"] {
        let moving = Move::new().await;
        let first = fill(&moving).await;
        let other = clash(&moving, kind, &first).await;
        let fields = format!(
            "number organization {{ id }} inbox {{ id }} updatedAt participants {{ nodes {{ name }} }} {WHOLE}"
        );
        let before = read_thread(&moving.root, &moving.thread, &fields).await;
        let mut events = follow(&moving.cyd, &moving.thread, None).await;
        let refused = moving.moved_by(&moving.root).await;
        assert_eq!(refused.code(), "CONFLICT");
        let message = refused.body["errors"][0]["message"]
            .as_str()
            .expect("a message");
        assert!(
            message.contains("externalId") && message.contains(kind),
            "{message}"
        );
        // Nor is anything else of the same call done.
        let both = json!({
            "threadId": moving.thread, "organizationId": moving.there.id, "subject": "New", "resolved": false,
        });
        let refused = moving
            .root
            .mutate("updateThread", both, "thread { id }")
            .await;
        assert_eq!(refused.code(), "CONFLICT");
        assert_eq!(
            read_thread(&moving.root, &moving.thread, &fields).await,
            before
        );
        assert_eq!(events.heard_by_now().await, [] as [Value; 0]);
        assert_eq!(next_number(&moving.there).await, 2);
        assert_eq!(
            read_thread(&moving.there.backend, &other, "number").await["number"],
            1
        );
        // Another name, and it goes.
        let free = if kind == "thread" {
            json!({ "threadId": moving.thread, "externalId": unique("free") })
        } else {
            json!({ "threadId": moving.thread })
        };
        let change = json!({ "messageId": first, "externalId": unique("free") });
        moving
            .cyd
            .mutate("updateMessage", change, "message { id }")
            .await
            .at("");
        moving
            .ann
            .mutate("updateThread", free, "thread { id }")
            .await
            .at("");
        moving.go().await;
    }
}
