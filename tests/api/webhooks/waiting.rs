//! Backends that are down, come back, are told not to listen, or change their secret: what they
//! get is whole and in order.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Hook, body_of, server, talk};
use crate::support::socket::eventually;

#[tokio::test]
async fn a_backend_that_was_down_misses_nothing_and_is_told_in_order() {
    let talk = talk().await;
    let hook = Hook::new(&talk.tenant).await;
    let threads = [
        talk.thread.clone(),
        talk.ada.open_thread(json!({})).await,
        talk.ada.open_thread(json!({})).await,
    ];
    hook.backend.answer(503);
    for round in 0..10 {
        for thread in &threads {
            talk.ada.say(thread, &format!("{round}")).await;
        }
    }
    let tried = async || hook.backend.calls().len() >= threads.len();
    eventually("the first of each thread is tried", tried).await;
    assert!(hook.told().is_empty());
    hook.backend.answer(200);
    for thread in &threads {
        talk.ada.say(thread, "the end").await;
    }
    let said = |thread: &str| -> Vec<String> {
        let told = hook.told();
        let of = told
            .iter()
            .filter(|event| event["data"]["thread"]["id"] == *thread);
        let of = of.filter(|event| event["type"] == "message.created");
        of.map(|event| body_of(event).to_owned()).collect()
    };
    let mut expected: Vec<String> = (0..10).map(|round| round.to_string()).collect();
    expected.push("the end".to_owned());
    for thread in &threads {
        let ended = async || said(thread).last().is_some_and(|words| words == "the end");
        eventually("the end is told", ended).await;
        assert_eq!(said(thread), expected);
    }
}

#[tokio::test]
async fn what_happens_while_a_webhook_is_disabled_is_not_told() {
    let talk = talk().await;
    let hook = Hook::new(&talk.tenant).await;
    let watch = Hook::new(&talk.tenant).await;
    talk.ada.say(&talk.thread, "before").await;
    hook.until_said("before").await;
    hook.change(json!({ "enabled": false })).await;
    talk.ada.say(&talk.thread, "meanwhile").await;
    watch.until_said("meanwhile").await;
    hook.change(json!({ "enabled": true })).await;
    talk.ada.say(&talk.thread, "after").await;
    assert_eq!(hook.words_until("after").await, ["before", "after"]);
}

#[tokio::test]
async fn what_was_before_a_change_is_told_as_it_was_wanted_then() {
    let talk = talk().await;
    let wanted = json!({ "events": ["MESSAGE_CREATED"] });
    let hook = Hook::with(&talk.tenant, wanted.clone()).await;
    let mut expected = Vec::new();
    for round in 0..5 {
        for (before, then) in [
            (json!({ "events": ["THREAD_DELETED"] }), wanted.clone()),
            (json!({ "enabled": false }), json!({ "enabled": true })),
        ] {
            let words = format!("{round} before {before}");
            talk.ada.say(&talk.thread, &words).await;
            hook.change(before).await.at("/webhook");
            talk.ada.say(&talk.thread, "not to be told").await;
            hook.change(then).await.at("/webhook");
            expected.push(words);
        }
    }
    talk.ada.say(&talk.thread, "the end").await;
    expected.push("the end".to_owned());
    assert_eq!(hook.words_until("the end").await, expected);
    // What held before is forgotten then.
    let sql = server().await.sql().await;
    let kept = "SELECT count(*) FROM webhook_terms t JOIN webhooks w ON w.id = t.webhook_id
                WHERE w.external_id = $1";
    let kept = sql.query_one(kept, &[&hook.name]).await.expect("a count");
    assert_eq!(kept.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn what_is_pending_waits_while_a_webhook_is_disabled() {
    let talk = talk().await;
    let hook = Hook::new(&talk.tenant).await;
    let watch = Hook::new(&talk.tenant).await;
    hook.backend.answer(500);
    talk.ada.say(&talk.thread, "before").await;
    eventually("it is tried", async || !hook.backend.calls().is_empty()).await;
    hook.change(json!({ "enabled": false })).await;
    hook.backend.answer(200);
    talk.ada.say(&talk.thread, "meanwhile").await;
    watch.until_said("meanwhile").await;
    let taken = hook.told().len();
    let pending = hook.log("(status: PENDING)").await;
    let left = pending.number("/webhook/deliveries/totalCount");
    // An attempt may have been under way when it was disabled.
    assert_eq!((taken, left), if taken == 0 { (0, 1) } else { (1, 0) });
    hook.change(json!({ "enabled": true })).await;
    talk.ada.say(&talk.thread, "after").await;
    assert_eq!(hook.words_until("after").await, ["before", "after"]);
}

#[tokio::test]
async fn what_is_sent_is_signed_with_the_secret_of_that_moment() {
    let talk = talk().await;
    let mut hook = Hook::new(&talk.tenant).await;
    talk.ada.say(&talk.thread, "with the old one").await;
    hook.until_said("with the old one").await;
    let old = hook.backend.calls().len();
    hook.secret = hook.change(json!({ "secret": null })).await.text("/secret");
    talk.ada.say(&talk.thread, "with the new one").await;
    eventually("it has come", async || hook.backend.calls().len() > old).await;
    for call in &hook.backend.calls()[old..] {
        assert!(call.is_signed_with(&hook.secret), "{}", call.raw);
    }
}

#[tokio::test]
async fn what_a_url_does_not_take_goes_to_the_next_one() {
    let talk = talk().await;
    let hook = Hook::new(&talk.tenant).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    hook.change(json!({ "url": format!("http://{address}/") }))
        .await;
    talk.ada.say(&talk.thread, "one").await;
    eventually("it is tried", async || {
        let log = hook.log("(status: PENDING)").await;
        let pending = log.at("/webhook/deliveries/nodes");
        let why = pending.pointer("/0/error").and_then(Value::as_str);
        why.is_some_and(|why| why.contains("no connection"))
    })
    .await;
    hook.change(json!({ "url": hook.backend.receiver.url() }))
        .await;
    talk.ada.say(&talk.thread, "two").await;
    assert_eq!(hook.words_until("two").await, ["one", "two"]);
}

#[tokio::test]
async fn what_the_log_no_longer_has_is_said_to_be_missed() {
    let talk = talk().await;
    let hook = Hook::new(&talk.tenant).await;
    talk.ada.say(&talk.thread, "before").await;
    hook.until_said("before").await;
    // As it would be after a long time without any server.
    let sql = server().await.sql().await;
    let past = "UPDATE webhooks SET position_xmax = 0, position_xip = '{}' WHERE external_id = $1";
    sql.execute(past, &[&hook.name]).await.expect("a webhook");
    eventually("it is told so", async || {
        let read = hook.change(json!({})).await;
        read.at("/webhook/missedAt").is_string()
    })
    .await;
    talk.ada.say(&talk.thread, "after").await;
    assert_eq!(hook.words_until("after").await, ["before", "after"]);
}

#[tokio::test]
async fn a_webhook_that_is_deleted_is_told_nothing_more() {
    let talk = talk().await;
    let hook = Hook::new(&talk.tenant).await;
    let watch = Hook::new(&talk.tenant).await;
    hook.backend.answer(500);
    talk.ada.say(&talk.thread, "before").await;
    eventually("it is tried", async || !hook.backend.calls().is_empty()).await;
    let deleted = talk.tenant.backend.mutate(
        "deleteWebhook",
        json!({ "webhookId": hook.id }),
        "deletedWebhookId",
    );
    assert_eq!(deleted.await.text("/deletedWebhookId"), hook.id);
    let tried = hook.backend.calls().len();
    hook.backend.answer(200);
    talk.ada.say(&talk.thread, "after").await;
    watch.until_said("after").await;
    let sql = server().await.sql().await;
    let left = "SELECT count(*) FROM deliveries d
        WHERE NOT EXISTS (SELECT FROM webhooks w WHERE w.id = d.webhook_id) AND inbox_id IS NULL";
    let left = sql.query_one(left, &[]).await.expect("a count");
    assert_eq!(left.get::<_, i64>(0), 0);
    // One attempt may have been under way.
    assert!(hook.backend.calls().len() <= tried + 1);
}
