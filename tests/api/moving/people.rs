//! Who may move a thread, who loses it and who works in it then.

use serde_json::{Value, json};

use super::{Move, fill, next_number, relocate, sees_nothing};
use crate::chatwoot::{follow, read, read_thread, with, write, wrote};
use crate::support::server::Server;
use crate::support::{Actor, unique};

#[tokio::test]
async fn only_a_backend_that_reaches_both_organizations_moves_a_thread() {
    let moving = Move::new().await;
    let admin = moving.here.admin("admin").await;
    for by in [&moving.ann, &moving.bob, &moving.cyd, &admin] {
        assert_eq!(moving.moved_by(by).await.code(), "FORBIDDEN");
    }
    // Who does not see the thread learns nothing of it by trying.
    let stranger = moving.there.admin("stranger").await;
    let (real, none) = (
        moving.moved_by(&stranger).await,
        relocate(&stranger, &unique("no"), &moving.there.id).await,
    );
    assert_eq!((real.status, real.body), (none.status, none.body));
    for by in [&moving.here.backend, &moving.there.backend] {
        assert_eq!(moving.moved_by(by).await.code(), "NOT_FOUND");
    }
    for (thread, to) in [
        (&moving.thread, &unique("org")),
        (&unique("no"), &moving.there.id),
    ] {
        assert_eq!(relocate(&moving.root, thread, to).await.code(), "NOT_FOUND");
    }
    let read = read_thread(
        &moving.bob,
        &moving.thread,
        "number organization { id } inbox { id }",
    )
    .await;
    assert_eq!(
        (&read["number"], &read["organization"]["id"]),
        (&json!(1), &json!(moving.here.id))
    );
    assert!(read["inbox"].is_object());
    // To where it is: no change, no number, no event.
    let mut events = follow(&moving.bob, &moving.thread, None).await;
    for by in [&moving.here.backend, &moving.root] {
        let same = relocate(by, &moving.thread, &moving.here.name).await;
        assert_eq!(same.number("/thread/number"), 1);
        assert!(same.at("/thread/inbox").is_object());
    }
    assert_eq!(events.heard_by_now().await, [] as [Value; 0]);
    assert_eq!(next_number(&moving.here).await, 2);
    assert_eq!(next_number(&moving.there).await, 1);
}

#[tokio::test]
async fn old_members_lose_a_moved_thread_at_once_also_in_mid_stream() {
    let moving = Move::new().await;
    let server = Server::get().await;
    // Somebody of both organizations, with a token for all of them.
    let both = moving.here.member("dan").await;
    let join = json!({ "organizationId": moving.there.id, "userId": both.id, "role": "MEMBER" });
    moving
        .root
        .mutate("setMembership", join, "role")
        .await
        .at("");
    let unbound = server.token(json!({ "sub": both.external_id }));
    let unbound = Actor::with(server, format!("Bearer {unbound}"));
    let add = json!({ "threadId": moving.thread, "userIds": [both.id] });
    moving
        .ann
        .mutate("addParticipants", add, "thread { id }")
        .await
        .at("");
    let message = moving.cyd.say(&moving.thread, "Before").await;
    let cursor = read_thread(&moving.bob, &moving.thread, "cursor").await;

    let old = [
        &*moving.ann,
        &moving.bob,
        &moving.cyd,
        &both,
        &moving.here.backend,
    ];
    let mut cut = Vec::new();
    for by in old {
        cut.push(follow(by, &moving.thread, None).await);
    }
    let mut kept = [
        follow(&unbound, &moving.thread, None).await,
        follow(&moving.root, &moving.thread, None).await,
    ];
    moving.go().await;
    let secret = moving.there.backend.say(&moving.thread, "Secret").await;
    for events in &mut cut {
        loop {
            let told = events.message().await;
            if told["type"] == "error" {
                assert_eq!(told["payload"][0]["extensions"]["code"], "NOT_FOUND");
                break;
            }
            assert!(!told.to_string().contains("Secret"), "{told}");
        }
    }
    for by in old {
        sees_nothing(by, &moving.thread, &message).await;
        sees_nothing(by, &moving.thread, &secret).await;
    }
    // Who was away comes back to nothing as well.
    let mut resumed = follow(&moving.bob, &moving.thread, cursor["cursor"].as_str()).await;
    assert_eq!(resumed.error().await, "NOT_FOUND");
    // Who belongs to both goes on, and is told who has lost it.
    for events in &mut kept {
        let told = events
            .until(|event| event["message"]["body"] == "Secret")
            .await;
        let kinds: Vec<&str> = told
            .iter()
            .filter_map(|event| event["__typename"].as_str())
            .collect();
        assert_eq!(
            kinds,
            [
                "ParticipantRemoved",
                "ParticipantRemoved",
                "ThreadUpdated",
                "MessageCreated"
            ]
        );
        let mut left: Vec<&str> = told
            .iter()
            .filter_map(|event| event["user"]["name"].as_str())
            .collect();
        left.sort_unstable();
        assert_eq!(left, ["ann", "cyd"]);
    }
    let people = read_thread(&unbound, &moving.thread, "participants { nodes { name } }").await;
    assert_eq!(people["participants"]["nodes"], json!([{ "name": "dan" }]));
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one action after the other")]
async fn the_new_organization_s_members_work_in_a_moved_thread() {
    let moving = Move::new().await;
    let first = fill(&moving).await;
    let (agent, member) = (
        moving.there.agent("agent").await,
        moving.there.member("member").await,
    );
    let contact = moving.there.contact("contact").await;
    let refused = member
        .run(
            "query($t: ID!) { thread(id: $t) { id } }",
            json!({ "t": moving.thread }),
        )
        .await;
    assert_eq!(refused.code(), "NOT_FOUND");
    moving.go().await;
    let thread = json!({ "threadId": moving.thread });
    let state = read_thread(
        &member,
        &moving.thread,
        "resolved unreadCount inboxState subscribed messageCount",
    )
    .await;
    assert_eq!(state["inboxState"], "UNREAD");
    assert_eq!(
        (&state["resolved"], &state["subscribed"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(state["unreadCount"], state["messageCount"]);
    let mut events = follow(&member, &moving.thread, None).await;
    let message = agent.say(&moving.thread, "Hello there").await;
    events
        .until(|event| event["message"]["body"] == "Hello there")
        .await;
    for (by, field, input) in [
        (
            &agent,
            "addParticipants",
            with(thread.clone(), json!({ "userIds": [contact.id] })),
        ),
        (
            &contact,
            "createMessage",
            with(thread.clone(), json!({ "body": "Hi", "replyToId": first })),
        ),
        (
            &member,
            "addReaction",
            json!({ "messageId": first, "emoji": "wave" }),
        ),
        (&agent, "deleteMessage", json!({ "messageId": first })),
        (&agent, "restoreMessage", json!({ "messageId": first })),
        (
            &agent,
            "updateMessage",
            json!({ "messageId": message, "body": "Hello here" }),
        ),
        (
            &agent,
            "appendMessage",
            json!({ "messageId": message, "text": "!" }),
        ),
        (&contact, "markThreadSeen", thread.clone()),
        (&member, "markThreadDelivered", thread.clone()),
        (
            &member,
            "setThreadSubscription",
            with(thread.clone(), json!({ "subscribed": true })),
        ),
        (
            &member,
            "updateThreadInboxState",
            json!({ "threadIds": [moving.thread], "state": "HIDDEN" }),
        ),
        (
            &agent,
            "updateThread",
            with(
                thread.clone(),
                json!({ "subject": "Ours", "resolved": true }),
            ),
        ),
        (
            &agent,
            "removeParticipant",
            with(thread.clone(), json!({ "userId": contact.id })),
        ),
    ] {
        by.mutate(field, input, "__typename").await.at("");
    }
    let note = json!({ "body": "Between us", "private": true });
    wrote(&agent, &moving.thread, note).await;
    let read = read(
        &agent,
        &first,
        "reactions { emoji user { name } } revisions { editor { name } }",
    )
    .await;
    assert_eq!(
        read["reactions"][1],
        json!({ "emoji": "wave", "user": { "name": "member" } })
    );
}

#[tokio::test]
async fn a_former_member_is_none_until_he_is_made_one() {
    let moving = Move::new().await;
    let first = fill(&moving).await;
    let agent = moving.there.agent("agent").await;
    moving.go().await;
    let thread = json!({ "threadId": moving.thread });
    // He is neither added, nor mentioned, nor written for.
    let mention = json!([{ "type": "mention", "user": { "id": moving.cyd.id }, "children": [{ "text": "@cyd" }] }]);
    let refused = write(&agent, &moving.thread, json!({ "content": mention }), "id").await;
    assert_eq!(refused.faults(), ["content.0.user.id"]);
    let add = with(thread.clone(), json!({ "userIds": [moving.cyd.id] }));
    assert_eq!(
        agent
            .mutate("addParticipants", add, "thread { id }")
            .await
            .faults(),
        ["userIds.0"]
    );
    let writes = json!({ "body": "x", "senderId": moving.cyd.id });
    assert_eq!(
        write(&moving.there.backend, &moving.thread, writes, "id")
            .await
            .faults(),
        ["senderId"]
    );
    let edit = json!({ "messageId": first, "body": "x" });
    assert_eq!(
        agent
            .mutate("updateMessage", edit, "message { id }")
            .await
            .code(),
        "FORBIDDEN"
    );
    // Made a member there, he finds what he wrote.
    let join =
        json!({ "organizationId": moving.there.id, "userId": moving.bob.id, "role": "MEMBER" });
    moving
        .there
        .backend
        .mutate("setMembership", join, "role")
        .await
        .at("");
    let server = Server::get().await;
    let token = server.token(json!({ "sub": moving.bob.external_id, "org": moving.there.name }));
    let bob = Actor::with(server, format!("Bearer {token}"));
    assert_eq!(
        read_thread(&bob, &moving.thread, "subject").await["subject"],
        "A subject"
    );
    let drafts = bob
        .run("{ viewer { drafts { nodes { body } } } }", json!({}))
        .await;
    assert_eq!(drafts.texts("/viewer/drafts/nodes", "/body"), ["Draft"]);
}

#[tokio::test]
async fn a_move_by_another_process_cuts_old_members_off_too() {
    let moving = Move::new().await;
    let mut cut = [
        follow(&moving.bob, &moving.thread, None).await,
        follow(&moving.cyd, &moving.thread, None).await,
    ];
    let elsewhere = moving.root.at(Server::other(&[]).await);
    relocate(&elsewhere, &moving.thread, &moving.there.id)
        .await
        .at("");
    moving.there.backend.say(&moving.thread, "Secret").await;
    for events in &mut cut {
        loop {
            let told = events.message().await;
            if told["type"] == "error" {
                assert_eq!(told["payload"][0]["extensions"]["code"], "NOT_FOUND");
                break;
            }
            assert!(!told.to_string().contains("Secret"), "{told}");
        }
    }
}
