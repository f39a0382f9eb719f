//! The log of deliveries: what became of each, who reads it, and what is tried once more.

use serde_json::{Value, json};

use super::{Hook, body_of, kinds, root, server, support, talk, tenant};
use crate::support::receiver::Receiver;
use crate::support::socket::eventually;
use crate::support::{Actor, Answer, unique};

const NODES: &str = "/webhook/deliveries/nodes";

async fn retry(by: &Actor, delivery: &str) -> Answer {
    let input = json!({ "deliveryId": delivery });
    by.mutate(
        "retryDelivery",
        input,
        "delivery { id status attempts error finishedAt }",
    )
    .await
}

/// Has a webhook call an address that the server refuses, whatever it was made with.
async fn misdirect(hook: &Hook) {
    let sql = server().await.sql().await;
    let statement = "UPDATE webhooks SET url = 'http://10.0.0.1/hook' WHERE external_id = $1";
    let changed = sql.execute(statement, &[&hook.name]).await;
    assert_eq!(changed.expect("a webhook"), 1);
}

/// The only delivery, once it is of that status.
async fn only(hook: &Hook, status: &str) -> Value {
    let arguments = format!("(status: {status})");
    let mut found = Value::Null;
    eventually(status, async || {
        let log = hook.log(&arguments).await.at(NODES);
        found = log.pointer("/0").cloned().unwrap_or_default();
        log.as_array().is_some_and(|log| log.len() == 1)
    })
    .await;
    found
}

#[tokio::test]
async fn the_log_says_what_became_of_each_delivery_and_why() {
    let talk = talk().await;
    let hook = Hook::new(&talk.tenant).await;
    hook.backend.answer(500);
    let message = talk.ada.say(&talk.thread, "one").await;
    eventually("it is tried twice", async || hook.backend.calls().len() > 1).await;
    let pending = only(&hook, "PENDING").await;
    assert_eq!(pending["event"], "MESSAGE_CREATED");
    assert!(
        pending["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("dlv_"))
    );
    assert_eq!(pending["webhook"]["id"], *hook.id);
    assert_eq!(pending["inbox"], Value::Null);
    assert_eq!(pending["thread"]["id"], *talk.thread);
    assert_eq!(pending["message"], json!({ "id": message, "body": "one" }));
    assert!(pending["attempts"].as_i64() > Some(0));
    assert_eq!(pending["responseStatus"], 500);
    let why = pending["error"].as_str().expect("a reason");
    assert!(why.contains("500"), "{why}");
    assert!(pending["nextAttemptAt"].is_string() && pending["lastAttemptAt"].is_string());
    assert_eq!(pending["finishedAt"], Value::Null);

    hook.backend.answer(204);
    let done = only(&hook, "DELIVERED").await;
    assert_eq!(done["id"], pending["id"]);
    assert_eq!(done["responseStatus"], 204);
    assert_eq!(
        (&done["error"], &done["nextAttemptAt"]),
        (&Value::Null, &Value::Null)
    );
    assert!(done["attempts"].as_i64() > pending["attempts"].as_i64());
    assert!(done["finishedAt"].as_str() >= done["createdAt"].as_str());
    let mut tried = hook.backend.calls().into_iter();
    assert!(tried.all(|call| done["id"] == call.id()));
}

#[tokio::test]
async fn a_delivery_that_failed_is_made_once_more_under_its_id() {
    let support = support().await;
    let thread = support.thread(None).await;
    let hook = Hook::new(&support.tenant).await;
    misdirect(&hook).await;
    support.agent.say(&thread, "one").await;
    let failed = only(&hook, "FAILED").await;
    let id = failed["id"].as_str().expect("an id");
    let why = failed["error"].as_str().expect("a reason");
    assert!(why.contains("10.0.0.1 is a private address"), "{why}");
    assert_eq!(failed["responseStatus"], Value::Null);
    assert!(failed["finishedAt"].is_string());

    for by in [&support.agent, &support.member, &support.contact] {
        assert_eq!(retry(by, id).await.code(), "FORBIDDEN");
    }
    assert_eq!(retry(&support.outsider, id).await.code(), "NOT_FOUND");
    for unknown in ["nonsense", "dlv_00000000000000000000000000", &hook.id] {
        assert_eq!(retry(&support.admin, unknown).await.code(), "NOT_FOUND");
    }
    hook.change(json!({ "url": hook.backend.receiver.url() }))
        .await;
    let again = retry(&support.admin, id).await;
    assert_eq!(again.text("/delivery/id"), id);
    assert_eq!(again.at("/delivery/error"), Value::Null);
    hook.until_said("one").await;
    assert_eq!(hook.backend.taken()[0].id(), id);
    let done = only(&hook, "DELIVERED").await;
    // What has arrived stays so.
    let again = retry(support.backend(), id).await.at("/delivery");
    assert_eq!(
        (&again["id"], &again["status"]),
        (&done["id"], &json!("DELIVERED"))
    );
    assert_eq!(again["attempts"], done["attempts"]);
}

#[tokio::test]
async fn the_log_is_read_in_pages_the_newest_first() {
    let talk = talk().await;
    let wanted = json!({ "events": ["MESSAGE_CREATED"] });
    let hook = Hook::with(&talk.tenant, wanted).await;
    let said: Vec<String> = (0..7).map(|round| round.to_string()).collect();
    for words in &said {
        talk.ada.say(&talk.thread, words).await;
    }
    hook.until_said("6").await;
    let mut newest = said.clone();
    newest.reverse();
    let mut read = Vec::new();
    let mut arguments = "(first: 3)".to_owned();
    loop {
        let page = hook.log(&arguments).await;
        assert_eq!(page.number("/webhook/deliveries/totalCount"), 7);
        read.extend(page.texts(NODES, "/message/body"));
        if page.at("/webhook/deliveries/pageInfo/hasNextPage") == false {
            break;
        }
        let cursor = page.text("/webhook/deliveries/pageInfo/endCursor");
        arguments = format!("(first: 3, after: \"{cursor}\")");
    }
    assert_eq!(read, newest);
    let last = hook.log("(last: 2)").await;
    assert_eq!(last.texts(NODES, "/message/body"), ["1", "0"]);
    eventually("all are delivered", async || {
        let log = hook.log("(status: DELIVERED)").await;
        log.number("/webhook/deliveries/totalCount") == 7
    })
    .await;
    for status in ["PENDING", "FAILED"] {
        let log = hook.log(&format!("(status: {status})")).await;
        assert_eq!(log.at(NODES), json!([]));
    }
    assert_eq!(hook.log("(after: \"x\")").await.code(), "BAD_USER_INPUT");
}

#[tokio::test]
async fn what_is_gone_before_it_is_told_is_not_told() {
    let talk = talk().await;
    let hook = Hook::new(&talk.tenant).await;
    hook.backend.answer(500);
    talk.ada.say(&talk.thread, "one").await;
    let two = talk.ada.say(&talk.thread, "two").await;
    eventually("both wait", async || {
        let log = hook.log("(status: PENDING)").await;
        log.number("/webhook/deliveries/totalCount") == 2
    })
    .await;
    let erased = json!({ "messageId": two, "permanently": true });
    let erased = talk
        .tenant
        .backend
        .mutate("deleteMessage", erased, "deletedMessageId");
    assert_eq!(erased.await.text("/deletedMessageId"), two);
    hook.backend.answer(200);
    let mark = talk.mark().await;
    let told = hook.until_said(&mark).await;
    assert_eq!(
        kinds(&told),
        ["message.created", "message.removed", "message.created"]
    );
    assert_eq!(told[1]["data"]["messageId"], *two);
    let log = hook.log("").await.at(NODES);
    let skipped = log
        .as_array()
        .expect("deliveries")
        .iter()
        .find(|one| one["event"] == "MESSAGE_CREATED" && one["message"].is_null());
    let skipped = skipped.expect("the delivery of what is gone");
    assert_eq!(
        (&skipped["status"], &skipped["attempts"]),
        (&json!("DELIVERED"), &json!(0))
    );
    assert_eq!(skipped["responseStatus"], Value::Null);
    assert!(skipped["error"].is_string() && skipped["finishedAt"].is_string());
}

#[tokio::test]
async fn what_the_log_lost_before_it_was_told_has_failed() {
    let talk = talk().await;
    let hook = Hook::new(&talk.tenant).await;
    hook.backend.answer(500);
    talk.ada.say(&talk.thread, "one").await;
    only(&hook, "PENDING").await;
    // As its retention does.
    let sql = server().await.sql().await;
    let drop = "DELETE FROM events e USING deliveries d, webhooks w
        WHERE w.external_id = $1 AND d.webhook_id = w.id
          AND e.thread_id = d.thread_id AND e.seq = d.seq";
    let dropped = sql.execute(drop, &[&hook.name]).await;
    assert_eq!(dropped.expect("a log"), 1);
    let failed = only(&hook, "FAILED").await;
    let why = failed["error"].as_str().expect("a reason");
    assert!(why.contains("the log no longer has"), "{why}");
    hook.backend.answer(200);
    let mark = talk.mark().await;
    assert_eq!(hook.words_until(&mark).await, [mark]);
}

#[tokio::test]
async fn deliveries_are_for_those_who_run_the_organization() {
    let support = support().await;
    let thread = support.thread(None).await;
    let hook = Hook::new(&support.tenant).await;
    support.agent.say(&thread, "one").await;
    hook.until_said("one").await;
    let taken = hook.backend.taken();
    let id = taken[0].id();
    let query = "query($id: ID!) { node(id: $id) { __typename id ... on Delivery {
        event webhook { id } message { body } } } }";
    let read = async |by: &Actor| by.run(query, json!({ "id": id })).await.at("/node");
    for by in [&*support.admin, support.backend(), &root().await] {
        let node = read(by).await;
        assert_eq!(
            (&node["__typename"], &node["id"]),
            (&json!("Delivery"), &json!(id))
        );
        assert_eq!(node["webhook"]["id"], *hook.id);
    }
    let other = tenant().await;
    for by in [
        &*support.agent,
        &support.member,
        &support.contact,
        &support.outsider,
        &other.backend,
    ] {
        assert_eq!(read(by).await, Value::Null);
    }
}

#[tokio::test]
async fn an_inbox_shows_what_went_out_of_it_to_those_who_run_the_organization() {
    let support = support().await;
    let desk = Receiver::taking().await;
    let name = unique("inbox");
    let input = json!({
        "externalId": name, "organizationId": support.tenant.id, "name": "Desk",
        "channel": "API", "webhookUrl": desk.url(),
    });
    let made = support
        .admin
        .mutate("upsertInbox", input, "inbox { id }")
        .await;
    let inbox = made.text("/inbox/id");
    let thread = support.thread(Some(&inbox)).await;
    support.agent.say(&thread, "outwards").await;
    eventually("it has come", async || !desk.calls().is_empty()).await;
    assert_eq!(body_of(&desk.calls()[0].body), "outwards");
    let query = "query($id: ID!) { inbox(id: $id) { deliveries { totalCount nodes {
        id event status inbox { id } webhook { id } message { body } } } } }";
    let read = async |by: &Actor| by.run(query, json!({ "id": inbox })).await;
    eventually("it is settled", async || {
        let log = read(&support.admin).await;
        log.text("/inbox/deliveries/nodes/0/status") == "DELIVERED"
    })
    .await;
    let log = read(support.backend()).await;
    assert_eq!(log.number("/inbox/deliveries/totalCount"), 1);
    let delivery = log.at("/inbox/deliveries/nodes/0");
    assert_eq!(delivery["id"], desk.calls()[0].id());
    assert_eq!(delivery["event"], "MESSAGE_CREATED");
    assert_eq!(delivery["inbox"]["id"], *inbox);
    assert_eq!(delivery["webhook"], Value::Null);
    assert_eq!(delivery["message"]["body"], "outwards");
    for by in [&support.agent, &support.member] {
        assert_eq!(read(by).await.code(), "FORBIDDEN");
    }
}
