//! Threads that are deleted for good.

use serde_json::{Value, json};

use super::{Move, fill, next_number, sees_nothing};
use crate::chatwoot::{follow, read_thread};
use crate::support::server::Server;
use crate::support::{Actor, Answer, unique};

async fn delete(by: &Actor, thread: &str) -> Answer {
    by.mutate(
        "deleteThread",
        json!({ "threadId": thread }),
        "deletedThreadId",
    )
    .await
}

#[tokio::test]
async fn admins_who_see_a_thread_and_backends_delete_it() {
    let moving = Move::new().await;
    let admin = moving.here.admin("admin").await;
    let narrow = moving.ann.open_thread(json!({})).await;
    for by in [&moving.ann, &moving.bob, &moving.cyd] {
        assert_eq!(delete(by, &moving.thread).await.code(), "FORBIDDEN");
    }
    let stranger = moving.there.admin("stranger").await;
    for by in [&*stranger, &moving.there.backend] {
        assert_eq!(delete(by, &moving.thread).await.code(), "NOT_FOUND");
    }
    assert_eq!(delete(&admin, &narrow).await.code(), "NOT_FOUND");
    assert_eq!(
        delete(&admin, &moving.thread)
            .await
            .text("/deletedThreadId"),
        moving.thread
    );
    assert_eq!(delete(&admin, &moving.thread).await.code(), "NOT_FOUND");
    assert_eq!(
        delete(&moving.here.backend, &narrow)
            .await
            .text("/deletedThreadId"),
        narrow
    );
    let last = moving
        .ann
        .open_thread(json!({ "externalId": unique("last") }))
        .await;
    assert_eq!(
        delete(&moving.root, &last).await.text("/deletedThreadId"),
        last
    );
    // Neither of their numbers is given again; a name is free.
    assert_eq!(next_number(&moving.here).await, 4);
}

#[tokio::test]
async fn a_deleted_thread_is_gone_on_every_path() {
    let moving = Move::new().await;
    let admin = moving.here.admin("admin").await;
    let first = fill(&moving).await;
    let name = read_thread(&admin, &moving.thread, "externalId").await["externalId"].clone();
    let other = moving
        .ann
        .open_thread(json!({ "access": "ORGANIZATION" }))
        .await;
    moving.ann.say(&other, "Still here").await;
    delete(&admin, &moving.thread).await.at("");
    let number = "query($o: ID!) { threadByNumber(organizationId: $o, number: 1) { id } }";
    for by in [&*moving.ann, &moving.bob, &moving.cyd, &admin] {
        sees_nothing(by, &moving.thread, &first).await;
        let refused = by.run(number, json!({ "o": moving.here.id })).await;
        assert_eq!(refused.code(), "NOT_FOUND");
    }
    for by in [&moving.here.backend, &moving.root] {
        for document in [
            "query($id: ID!) { thread(id: $id) { id } }",
            "query($id: ID!) { message(id: $id) { id } }",
        ] {
            for id in [&moving.thread, &first, name.as_str().expect("a name")] {
                assert_eq!(
                    by.run(document, json!({ "id": id })).await.code(),
                    "NOT_FOUND"
                );
            }
        }
    }
    let unread = moving
        .bob
        .run(
            "{ viewer { unreadThreadCount unreadMessageCount } }",
            json!({}),
        )
        .await;
    assert_eq!(
        unread.at("/viewer"),
        json!({ "unreadThreadCount": 1, "unreadMessageCount": 1 })
    );
    let again = moving.bob.open_thread(json!({ "externalId": name })).await;
    assert_ne!(again, moving.thread);
    assert_eq!(
        read_thread(&moving.bob, &again, "number messageCount").await,
        json!({ "number": 3, "messageCount": 0 })
    );
}

#[tokio::test]
async fn deletion_is_the_last_event_and_the_subscription_completes() {
    let moving = Move::new().await;
    let cursor = read_thread(&moving.cyd, &moving.thread, "cursor").await;
    let everyone = [
        &*moving.ann,
        &moving.bob,
        &moving.cyd,
        &moving.here.backend,
        &moving.root,
    ];
    let mut streams = Vec::new();
    for by in everyone {
        streams.push(follow(by, &moving.thread, None).await);
    }
    let thread_of_it = "subscription($id: ID!) { threadEvents(threadId: $id) { thread { id } ... on ThreadDeleted { threadId actor { id } } } }";
    let mut nothing = moving
        .bob
        .follow(thread_of_it, json!({ "id": moving.thread }))
        .await;
    moving.ann.say(&moving.thread, "Last words").await;
    let admin = moving.here.admin("admin").await;
    delete(&admin, &moving.thread).await.at("");
    let mut last = String::new();
    for events in &mut streams {
        assert_eq!(events.event().await["message"]["body"], "Last words");
        let event = events.event().await;
        assert_eq!(
            (&event["__typename"], &event["threadId"]),
            (&json!("ThreadDeleted"), &json!(moving.thread))
        );
        assert_eq!(event["actor"]["name"], "admin");
        last = event["cursor"].as_str().expect("a cursor").to_owned();
        assert_eq!(events.message().await["type"], "complete");
        assert_eq!(events.heard_by_now().await, [] as [Value; 0]);
    }
    nothing.event().await;
    let expected =
        json!({ "thread": null, "threadId": moving.thread, "actor": { "id": admin.id } });
    assert_eq!(nothing.event().await, expected);
    assert_eq!(nothing.message().await["type"], "complete");
    // Who was away finds nothing, and so does who was there to the end.
    for by in everyone {
        for after in [None, cursor["cursor"].as_str(), Some(&last)] {
            assert_eq!(
                follow(by, &moving.thread, after).await.error().await,
                "NOT_FOUND"
            );
        }
    }
}

#[tokio::test]
async fn a_deletion_by_another_process_ends_the_subscriptions_here() {
    let moving = Move::new().await;
    let mut streams = [
        follow(&moving.bob, &moving.thread, None).await,
        follow(&moving.cyd, &moving.thread, None).await,
    ];
    let elsewhere = moving.root.at(Server::other(&[]).await);
    // What changes who sees it makes a subscriber look again, when it may be gone already.
    let both = "mutation($t: ID!) {
        updateThread(input: { threadId: $t, subject: \"Last words\", resolved: true }) { thread { id } }
        deleteThread(input: { threadId: $t }) { deletedThreadId }
      }";
    elsewhere
        .run(both, json!({ "t": moving.thread }))
        .await
        .at("");
    for events in &mut streams {
        let told = events
            .until(|event| event["__typename"] == "ThreadDeleted")
            .await;
        assert_eq!(
            told.last().expect("one")["threadId"],
            moving.thread.as_str()
        );
        assert_eq!(events.message().await["type"], "complete");
    }
}

#[tokio::test]
async fn who_is_removed_just_before_hears_of_no_deletion() {
    let moving = Move::new().await;
    let narrow = json!({ "participantIds": [moving.bob.id, moving.cyd.id] });
    let narrow = moving.ann.open_thread(narrow).await;
    let mut removed = follow(&moving.cyd, &narrow, None).await;
    let mut stays = follow(&moving.bob, &narrow, None).await;
    let elsewhere = moving.root.at(Server::other(&[]).await);
    let both = "mutation($t: ID!, $u: ID!) {
        removeParticipant(input: { threadId: $t, userId: $u }) { thread { id } }
        deleteThread(input: { threadId: $t }) { deletedThreadId }
      }";
    let variables = json!({ "t": narrow, "u": moving.cyd.id });
    elsewhere.run(both, variables).await.at("");
    assert_eq!(removed.error().await, "NOT_FOUND");
    let told = stays
        .until(|event| event["__typename"] == "ThreadDeleted")
        .await;
    assert_eq!(told.last().expect("one")["threadId"], narrow.as_str());
    assert_eq!(stays.message().await["type"], "complete");
}
