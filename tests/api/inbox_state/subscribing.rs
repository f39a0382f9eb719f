//! Who is to be notified.

use serde_json::{Value, json};

use super::{listed, state};
use crate::chatwoot::{Support, follow, read_thread, with, wrote};
use crate::support::{Actor, Answer, unique};

async fn subscribe(thread: &str, by: &Actor, subscribed: bool, more: Value) -> Answer {
    let input = with(
        json!({ "threadId": thread, "subscribed": subscribed }),
        more,
    );
    by.mutate("setThreadSubscription", input, "thread { id subscribed }")
        .await
}

/// Who takes part, and whether they are notified.
async fn people(support: &Support, thread: &str) -> String {
    let edges = "participants { edges { node { name } subscribed } }";
    let found = read_thread(&support.agent, thread, edges).await;
    let edges = found["participants"]["edges"]
        .as_array()
        .expect("people")
        .iter();
    let name =
        |edge: &Value| format!("{}:{}", edge["node"]["name"], edge["subscribed"]).replace('"', "");
    let mut names: Vec<String> = edges.map(name).collect();
    names.sort();
    names.join(" ")
}

#[tokio::test]
async fn a_subscription_is_set_by_whoever_sees_the_thread() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let mut events = follow(&support.agent, &thread, None).await;
    let before = read_thread(&support.agent, &thread, "updatedAt").await;
    for (subscribed, list) in [(false, vec![]), (false, vec![]), (true, vec![&*thread])] {
        let done = subscribe(&thread, &support.contact, subscribed, json!({})).await;
        assert_eq!(done.at("/thread/subscribed"), subscribed);
        assert_eq!(
            listed(&support.contact, json!({ "subscribed": true })).await,
            list
        );
    }
    // Of the participants, which moves no list; again is no event.
    for _ in 0..2 {
        assert_eq!(events.event().await["__typename"], "ThreadUpdated");
    }
    assert_eq!(events.heard_by_now().await, [] as [Value; 0]);
    assert_eq!(
        read_thread(&support.agent, &thread, "updatedAt").await,
        before
    );
    // Who takes no part does so by subscribing, not by the contrary.
    subscribe(&thread, &support.admin, false, json!({}))
        .await
        .at("");
    assert_eq!(
        people(&support, &thread).await,
        "agent:true contact:true member:true"
    );
    subscribe(&thread, &support.admin, true, json!({}))
        .await
        .at("");
    assert_eq!(
        people(&support, &thread).await,
        "admin:true agent:true contact:true member:true"
    );
}

#[tokio::test]
async fn a_backend_subscribes_members_and_nobody_else_does_it_for_others() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    // A backend does it for members.
    for user in [&support.member.id, &support.member.external_id] {
        for subscribed in [false, true] {
            subscribe(
                &thread,
                support.backend(),
                subscribed,
                json!({ "userId": user }),
            )
            .await
            .at("");
            let own = read_thread(&support.member, &thread, "subscribed").await;
            assert_eq!(own["subscribed"], subscribed);
        }
    }
    assert_eq!(
        subscribe(&thread, support.backend(), true, json!({}))
            .await
            .faults(),
        ["userId"]
    );
    let other = json!({ "userId": support.contact.id });
    assert_eq!(
        subscribe(&thread, &support.admin, false, other)
            .await
            .code(),
        "FORBIDDEN"
    );
    for (by, more) in [
        (support.backend(), json!({ "userId": support.outsider.id })),
        (&support.outsider, json!({})),
        (support.backend(), json!({ "userId": unique("nobody") })),
    ] {
        assert_eq!(subscribe(&thread, by, true, more).await.code(), "NOT_FOUND");
    }
}

#[tokio::test]
async fn who_is_not_notified_still_has_it_unread_and_who_writes_is_notified() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    // Unsubscribed, he sees it, and what is new in it is unread.
    subscribe(&thread, &support.contact, false, json!({}))
        .await
        .at("");
    support.agent.say(&thread, "Hello").await;
    assert_eq!(state(&support.contact, &thread).await, "UNREAD");
    // Who writes is notified from then on, unless he says otherwise.
    wrote(
        &support.contact,
        &thread,
        json!({ "body": "x", "subscribeSender": false }),
    )
    .await;
    assert_eq!(
        read_thread(&support.contact, &thread, "subscribed").await["subscribed"],
        false
    );
    support.contact.say(&thread, "y").await;
    assert_eq!(
        read_thread(&support.contact, &thread, "subscribed").await["subscribed"],
        true
    );
}
