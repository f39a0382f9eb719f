//! Backends that fail, hang, redirect, talk too much; URLs that change; threads that go.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{Shop, ids, later, progress};
use crate::chatwoot::follow;
use crate::support::receiver::{Receiver, Reply};
use crate::support::server::Server;
use crate::support::socket::eventually;
use crate::support::{Actor, Tenant};

#[tokio::test]
async fn after_the_last_attempt_it_has_failed_and_a_retry_sends_it() {
    let receiver = Receiver::new(|_, before| match before {
        0..4 => Reply::With(500, vec![], "the\u{0}shop is\nclosed".to_owned()),
        _ => Reply::Status(201),
    })
    .await;
    let shop = Shop::new(&receiver.url()).await;
    let mut events = follow(&shop.contact, &shop.thread, None).await;
    let message = shop.say("Hello").await;
    let reason = shop.until(&message, "FAILED").await;
    let expected = "the answer was 500 Internal Server Error: the shop is closed";
    assert_eq!(reason, expected);
    let retried = shop.retry(&message).await.at("/message");
    assert_eq!(
        retried,
        json!({ "status": "SENDING", "deliveryError": null })
    );
    assert_eq!(shop.until(&message, "SENT").await, Value::Null);
    for expected in [
        ("MessageCreated", "SENDING"),
        ("MessageUpdated", "FAILED"),
        ("MessageUpdated", "SENDING"),
        ("MessageUpdated", "SENT"),
    ] {
        let told = progress(&mut events).await;
        assert_eq!(told, (json!(expected.0), json!(expected.1)));
    }
    let calls = receiver.calls();
    assert_eq!(ids(&calls), [calls[0].id(); 5]);
    for call in &calls {
        assert!(call.is_signed_with(&shop.secret));
    }
    // What was taken and is reported as failed later goes out under another id: who has seen
    // the first one need not look at it again.
    let report = json!({ "messageId": message, "status": "FAILED", "error": "No route" });
    shop.tenant
        .backend
        .mutate("updateMessageStatus", report, "message { id }")
        .await
        .at("");
    shop.retry(&message).await.at("");
    shop.until(&message, "SENT").await;
    let calls = receiver.calls();
    assert_eq!(calls.len(), 6);
    assert_ne!(calls[5].id(), calls[0].id());
}

#[tokio::test]
async fn what_was_reported_as_failed_is_not_tried_any_more_before_a_retry() {
    let receiver = Receiver::new(|_, before| match before {
        0 => later(3600),
        _ => Reply::Status(200),
    })
    .await;
    let shop = Shop::new(&receiver.url()).await;
    let message = shop.say("Hello").await;
    receiver.wait(1).await;
    let report = json!({ "messageId": message, "status": "FAILED", "error": "No route" });
    shop.tenant
        .backend
        .mutate("updateMessageStatus", report, "message { id }")
        .await
        .at("");
    let next = shop.say("Next").await;
    shop.hurry().await;
    shop.until(&next, "SENT").await;
    assert_eq!(receiver.words(), ["Hello", "Next"]);
    assert_eq!(shop.until(&message, "FAILED").await, "No route");
    shop.retry(&message).await.at("");
    shop.until(&message, "SENT").await;
    assert_eq!(receiver.words(), ["Hello", "Next", "Hello"]);
}

#[tokio::test]
async fn who_does_not_answer_in_time_has_not_taken_it() {
    let receiver = Receiver::new(|_, _| Reply::Hang).await;
    let shop = Shop::new(&receiver.url()).await;
    let message = shop.say("Hello").await;
    let reason = shop.until(&message, "FAILED").await;
    assert_eq!(reason, "there was no answer within 1s");
    let calls = receiver.calls();
    assert_eq!(ids(&calls), [calls[0].id(); 4]);
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_connection() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    let shop = Shop::new(&format!("http://{address}/secret-path")).await;
    let message = shop.say("Hello").await;
    let reason = shop.until(&message, "FAILED").await;
    let reason = reason.as_str().expect("a reason");
    assert!(reason.starts_with("no connection: "), "{reason}");
    assert!(!reason.contains("secret-path"), "{reason}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let inner = Receiver::taking().await;
    let to = inner.url();
    let receiver = Receiver::new(move |_, before| {
        let code = [301, 302, 307, 308][before % 4];
        Reply::With(code, vec![("location", to.clone())], "Moved".to_owned())
    })
    .await;
    let shop = Shop::new(&receiver.url()).await;
    let message = shop.say("Hello").await;
    let reason = shop.until(&message, "FAILED").await;
    let expected = "the answer was 308 Permanent Redirect: redirects are not followed";
    assert_eq!(reason, expected);
    assert_eq!(receiver.calls().len(), 4);
    assert_eq!(inner.calls().len(), 0);
}

#[tokio::test]
async fn an_answer_without_end_is_read_in_part() {
    let receiver = Receiver::new(|_, before| match before {
        0..4 => Reply::Endless(400),
        _ => Reply::Endless(200),
    })
    .await;
    let shop = Shop::new(&receiver.url()).await;
    let message = shop.say("Hello").await;
    let reason = shop.until(&message, "FAILED").await;
    let reason = reason.as_str().expect("a reason");
    assert!(reason.starts_with("the answer was 400 Bad Request: <p> much</p>"));
    assert!(reason.chars().count() < 600, "{reason}");
    shop.retry(&message).await.at("");
    shop.until(&message, "SENT").await;
}

#[tokio::test]
async fn what_is_on_its_way_goes_to_the_new_url_or_nowhere_if_there_is_none() {
    let first = Receiver::new(|_, _| later(3600)).await;
    let second = Receiver::new(|_, before| match before {
        0 => Reply::Status(200),
        _ => later(3600),
    })
    .await;
    let shop = Shop::new(&first.url()).await;
    let message = shop.say("Hello").await;
    first.wait(1).await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let changed = shop.change(json!({ "webhookUrl": second.url(), "webhookSecret": secret }));
    assert_eq!(changed.await.at("/webhookSecret"), Value::Null);
    // It does not wait for the hour that the first one asked for.
    shop.until(&message, "SENT").await;
    let (before, after) = (first.calls().remove(0), second.calls().remove(0));
    assert_eq!(before.id(), after.id());
    assert!(before.is_signed_with(&shop.secret) && after.is_signed_with(secret));

    for (change, reason) in [
        (json!({ "webhookUrl": null }), "no webhookUrl"),
        (
            json!({ "webhookUrl": second.url(), "channel": "WEB" }),
            "no API inbox",
        ),
    ] {
        shop.change(json!({ "webhookUrl": second.url() }))
            .await
            .at("");
        let calls = second.calls().len();
        let message = shop.say("Hello?").await;
        second.wait(calls + 1).await;
        shop.change(change).await.at("");
        let failed = shop.until(&message, "FAILED").await;
        let failed = failed.as_str().expect("a reason");
        assert!(failed.contains(reason), "{failed}");
        assert_eq!(second.calls().len(), calls + 1);
    }
    let sent = shop.say("Into the thread alone").await;
    assert_eq!(shop.until(&sent, "SENT").await, Value::Null);
}

#[tokio::test]
async fn what_is_deleted_or_moved_away_with_its_thread_does_not_go_out() {
    let receiver = Receiver::new(|_, _| later(3600)).await;
    let shop = Shop::new(&receiver.url()).await;
    let server = Server::delivering().await;
    let root = Actor::with(server, format!("Bearer {}", server.root_key));
    let (deleted, moved) = (shop.thread().await, shop.thread().await);
    let message = shop.agent.say(&moved, "To be moved").await;
    shop.agent.say(&deleted, "To be deleted").await;
    receiver.wait(2).await;
    let input = json!({ "threadId": deleted });
    root.mutate("deleteThread", input, "deletedThreadId")
        .await
        .at("");
    let other = Tenant::at(server).await;
    let input = json!({ "threadId": moved, "organizationId": other.id });
    root.mutate("updateThread", input, "thread { id }")
        .await
        .at("");
    shop.hurry().await;
    let query = "query($id: ID!) { message(id: $id) { status deliveryError } }";
    let mut state = Value::Null;
    eventually("the message has failed", async || {
        let read = other.backend.run(query, json!({ "id": message })).await;
        state = read.at("/message");
        state["status"] == "FAILED"
    })
    .await;
    let reason = state["deliveryError"].as_str().expect("a reason");
    assert!(reason.contains("left"), "{reason}");
    // There it is in no inbox, so there is nothing to retry.
    let input = json!({ "messageId": message });
    let same = other
        .backend
        .mutate("retryMessage", input, "message { status }");
    assert_eq!(same.await.text("/message/status"), "FAILED");
    let sql = server.sql().await;
    eventually("nothing is left to deliver", async || {
        let query = "SELECT count(*) FROM delivery_queues q JOIN inboxes i ON i.id = q.inbox_id
                     WHERE i.external_id = $1";
        let row = sql.query_one(query, &[&shop.inbox]).await;
        row.expect("a count").get::<_, i64>(0) == 0
    })
    .await;
    assert_eq!(receiver.calls().len(), 2);
}

/// A server with few slots, on which much hangs.
async fn small() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    let settings = [
        ["--delivery-networks", "127.0.0.0/8"],
        ["--delivery-concurrency", "8"],
        ["--delivery-timeout", "1000"],
        ["--delivery-backoff", "1"],
        ["--delivery-attempts", "1000"],
    ];
    SERVER
        .get_or_init(|| Server::with_deliveries(settings.concat()))
        .await
}

#[tokio::test]
async fn however_many_targets_hang_one_that_answers_has_its_turn() {
    let server = small().await;
    let hanging = Receiver::new(|_, _| Reply::Hang).await;
    for _ in 0..5 {
        let stuck = Shop::at(server, &hanging.url()).await;
        for _ in 0..10 {
            let thread = stuck.thread().await;
            stuck.agent.say(&thread, "stuck").await;
        }
    }
    hanging.wait(16).await;
    let receiver = Receiver::taking().await;
    let shop = Shop::at(server, &receiver.url()).await;
    let began = Instant::now();
    for number in 0..4 {
        let message = shop.say(&number.to_string()).await;
        shop.until(&message, "SENT").await;
    }
    // The next slot that is free is its own; behind the others it would take six seconds each.
    assert!(began.elapsed() < Duration::from_secs(12));
}

#[tokio::test]
async fn when_a_target_answers_again_the_other_threads_are_tried_at_once() {
    let receiver = Receiver::new(|_, before| match before {
        0..3 => later(3600),
        _ => Reply::Status(200),
    })
    .await;
    let shop = Shop::new(&receiver.url()).await;
    let mut messages = Vec::new();
    for _ in 0..3 {
        let thread = shop.thread().await;
        messages.push(shop.agent.say(&thread, "Hello").await);
    }
    let sql = Server::delivering().await.sql().await;
    eventually("all have been left alone for a while", async || {
        let query = "SELECT count(*) FROM deliveries d JOIN inboxes i ON i.id = d.inbox_id
                     WHERE i.external_id = $1 AND d.response_status IS NOT NULL
                       AND d.last_attempt_at < now() - interval '1 second'";
        let row = sql.query_one(query, &[&shop.inbox]).await;
        row.expect("a count").get::<_, i64>(0) == 3
    })
    .await;
    let one = "UPDATE delivery_queues SET next_at = now() WHERE thread_id = (
                 SELECT thread_id FROM delivery_queues q JOIN inboxes i ON i.id = q.inbox_id
                 WHERE i.external_id = $1 LIMIT 1)";
    let hastened = sql.execute(one, &[&shop.inbox]).await;
    assert_eq!(hastened.expect("a queue"), 1);
    for message in &messages {
        shop.until(message, "SENT").await;
    }
    assert_eq!(receiver.calls().len(), 6);
}

#[tokio::test]
async fn an_attempt_is_counted_when_it_begins_and_a_retry_does_not_wait_for_it() {
    let receiver = Receiver::new(|_, before| match before {
        0 => Reply::Hang,
        _ => Reply::Status(200),
    })
    .await;
    let shop = Shop::new(&receiver.url()).await;
    let message = shop.say("Hello").await;
    receiver.wait(1).await;
    let sql = Server::delivering().await.sql().await;
    let query = "SELECT attempts FROM deliveries d JOIN inboxes i ON i.id = d.inbox_id
                 WHERE i.external_id = $1";
    let row = sql.query_one(query, &[&shop.inbox]).await;
    assert_eq!(row.expect("a delivery").get::<_, i32>(0), 1);
    let report = json!({ "messageId": message, "status": "FAILED", "error": "No route" });
    shop.tenant
        .backend
        .mutate("updateMessageStatus", report, "message { id }")
        .await
        .at("");
    shop.retry(&message).await.at("");
    shop.until(&message, "SENT").await;
    let calls = receiver.calls();
    assert_eq!(ids(&calls), [calls[0].id(); 2]);
    // Both were under way at once.
    assert_eq!(receiver.most_open(), 2);
    // What comes of the first one counts no more.
    let next = shop.say("Next").await;
    shop.until(&next, "SENT").await;
    assert_eq!(shop.until(&message, "SENT").await, Value::Null);
}
