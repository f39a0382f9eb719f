//! ThreadSeen: the latest value, live and on resume.

use serde_json::{Value, json};

use super::cursor;
use crate::support::{Actor, Tenant};

/// Marks a thread as seen up to each of these messages, with one request.
async fn mark(actor: &Actor, thread: &str, messages: &[String]) {
    let fields: Vec<String> = messages
        .iter()
        .enumerate()
        .map(|(index, id)| {
            format!("m{index}: markThreadSeen(input: {{threadId: $id, messageId: \"{id}\"}}) {{ thread {{ id }} }}")
        })
        .collect();
    let query = format!("mutation($id: ID!) {{ {} }}", fields.join(" "));
    actor.run(&query, json!({ "id": thread })).await.at("");
}

fn is_seen(event: &Value) -> bool {
    event["__typename"] == "ThreadSeen"
}

#[tokio::test]
async fn many_moves_of_a_watermark_are_told_as_few_and_the_latest_one_last() {
    const MESSAGES: usize = 60;

    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let mut messages = Vec::new();
    for number in 0..MESSAGES {
        messages.push(ada.say(&thread, &number.to_string()).await);
    }
    let mut events = ada.follow_thread(&thread, None).await;
    mark(&bob, &thread, &messages).await;
    let last = (MESSAGES - 1).to_string();
    let told = events
        .until(|event| event["upTo"]["body"] == last.as_str())
        .await;
    let numbers: Vec<usize> = told
        .iter()
        .map(|event| {
            assert!(is_seen(event), "{event}");
            assert_eq!(event["user"]["name"], "bob");
            assert_eq!(event["actor"]["name"], "bob");
            event["upTo"]["body"]
                .as_str()
                .and_then(|body| body.parse().ok())
                .expect("a number")
        })
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert!(numbers.len() < MESSAGES / 2, "{numbers:?}");
    // What moves nothing is not told.
    mark(&bob, &thread, &messages[..3]).await;
    ada.say(&thread, "end").await;
    assert_eq!(events.event().await["message"]["body"], "end");
}

#[tokio::test]
async fn a_resume_tells_the_latest_watermark_of_each_person_once() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let cem = tenant.member("cem").await;
    let people = json!({ "participantIds": [bob.id, cem.id] });
    let thread = ada.open_thread(people).await;
    let start = cursor(&ada, &thread).await;
    let mut messages = Vec::new();
    for number in 0..6 {
        messages.push(ada.say(&thread, &number.to_string()).await);
        mark(&bob, &thread, &messages[number..]).await;
    }
    mark(&cem, &thread, &messages[2..3]).await;
    let mut events = ada.follow_thread(&thread, Some(&start)).await;
    let mut told = Vec::new();
    while told.iter().filter(|event| is_seen(event)).count() < 2 {
        told.push(events.event().await);
    }
    let kinds: Vec<bool> = told.iter().map(is_seen).collect();
    // A message is told before the news that somebody has seen it.
    assert_eq!(
        kinds,
        [false, false, false, false, false, false, true, true]
    );
    let mut seen: Vec<_> = told[6..]
        .iter()
        .map(|event| {
            (
                event["user"]["name"].as_str(),
                event["upTo"]["body"].as_str(),
            )
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [(Some("bob"), Some("5")), (Some("cem"), Some("2"))]);
    ada.say(&thread, "end").await;
    assert_eq!(events.event().await["message"]["body"], "end");
}

#[tokio::test]
async fn a_watermark_on_a_private_note_is_told_as_what_the_viewer_may_see() {
    let tenant = Tenant::new().await;
    let (ada, eve) = (tenant.member("ada").await, tenant.agent("eve").await);
    let thread = ada.open_thread(json!({ "participantIds": [eve.id] })).await;
    let public = ada.say(&thread, "public").await;
    let mut events = ada.follow_thread(&thread, None).await;
    let note = json!({ "threadId": thread, "body": "note", "private": true });
    let note = eve
        .mutate("createMessage", note, "message { id }")
        .await
        .text("/message/id");
    mark(&eve, &thread, std::slice::from_ref(&note)).await;
    let seen = events.event().await;
    assert!(is_seen(&seen), "{seen}");
    assert_eq!(seen["upTo"]["id"], public.as_str());
}
