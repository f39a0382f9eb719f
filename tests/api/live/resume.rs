//! `after`: a replay in order, then what happens; or one ResyncRequired, never a hole.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{created, cursor, log, say_many, thread_uuid};
use crate::support::server::Server;
use crate::support::{Actor, Tenant};

#[tokio::test]
async fn a_resume_replays_everything_in_order_and_then_goes_live() {
    // More than is read from the log at once.
    const MESSAGES: usize = 230;

    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let start = cursor(&ada, &thread).await;
    for from in (0..MESSAGES).step_by(46) {
        say_many(&ada, &thread, from..from + 46).await;
    }
    let mut events = ada.follow_thread(&thread, Some(&start)).await;
    ada.say(&thread, "live").await;
    let mut heard = Vec::new();
    while heard.len() < MESSAGES + 1 {
        heard.extend(created(&events.event().await));
    }
    assert_eq!(heard, log(&Server::get().await.sql().await, &thread).await);
    assert!(events.heard_by_now().await.is_empty());
}

#[tokio::test]
async fn every_event_s_cursor_resumes_right_behind_it() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let mut events = ada.follow_thread(&thread, None).await;
    say_many(&ada, &thread, 0..5).await;
    let live = events.until(|event| event["message"]["body"] == "4").await;
    for (index, event) in live.iter().enumerate().take(4) {
        let mut resumed = ada.follow_thread(&thread, event["cursor"].as_str()).await;
        let replay = resumed.until(|event| event["message"]["body"] == "4").await;
        assert_eq!(replay, live[index + 1..]);
    }
}

#[tokio::test]
async fn an_empty_resume_is_silent_and_goes_live() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    ada.say(&thread, "before").await;
    let now = cursor(&ada, &thread).await;
    let mut events = ada.follow_thread(&thread, Some(&now)).await;
    assert!(events.heard_by_now().await.is_empty());
    ada.say(&thread, "live").await;
    assert_eq!(events.event().await["message"]["body"], "live");
}

/// What a resume after a cursor begins with is one ResyncRequired, then life goes on; and the
/// position that it names is a good one.
async fn resyncs_once(ada: &Actor, thread: &str, after: &str) {
    let mut events = ada.follow_thread(thread, Some(after)).await;
    let first = events.event().await;
    assert_eq!(first["__typename"], "ResyncRequired", "{first}");
    assert!(first["reason"].is_string());
    ada.say(thread, "after the resync").await;
    let next = events.event().await;
    assert_eq!(next["message"]["body"], "after the resync", "{next}");
    assert!(events.heard_by_now().await.is_empty());

    let mut resumed = ada.follow_thread(thread, first["cursor"].as_str()).await;
    assert_eq!(resumed.event().await["message"]["body"], "after the resync");
}

#[tokio::test]
async fn a_cursor_that_is_none_or_of_another_thread_gives_one_resync() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let other = ada.open_thread(json!({})).await;
    ada.say(&other, "there").await;
    let of_other = cursor(&ada, &other).await;
    for bad in [
        "garbage",
        "",
        "\u{1F98A}",
        of_other.as_str(),
        "AgAAAAAAAAAA",
    ] {
        resyncs_once(&ada, &thread, bad).await;
    }
}

#[tokio::test]
async fn a_cursor_from_the_future_gives_one_resync() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    ada.say(&thread, "before").await;
    let mut bytes = URL_SAFE_NO_PAD
        .decode(cursor(&ada, &thread).await)
        .expect("base64");
    let (seq, running) = (17, 25);
    // As after the database was set back to an older state: the numbers are ahead of it.
    for number in [seq, running] {
        let mut ahead = bytes.clone();
        ahead[number + 4] += 1;
        resyncs_once(&ada, &thread, &URL_SAFE_NO_PAD.encode(ahead)).await;
    }
    bytes.push(0);
    resyncs_once(&ada, &thread, &URL_SAFE_NO_PAD.encode(bytes)).await;
}

#[tokio::test]
async fn a_cursor_whose_log_is_partly_gone_gives_one_resync() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let start = cursor(&ada, &thread).await;
    say_many(&ada, &thread, 0..6).await;
    let sql = Server::get().await.sql().await;
    let statement = "DELETE FROM events WHERE thread_id = $1::text::uuid
                     AND seq < (SELECT seq - 1 FROM threads WHERE id = $1::text::uuid)";
    sql.execute(statement, &[&thread_uuid(&thread)])
        .await
        .expect("a shorter log");
    resyncs_once(&ada, &thread, &start).await;
}

#[tokio::test]
async fn a_cursor_whose_log_is_all_gone_gives_one_resync_at_once() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let start = cursor(&ada, &thread).await;
    say_many(&ada, &thread, 0..6).await;
    let end = cursor(&ada, &thread).await;
    let sql = Server::get().await.sql().await;
    let statement = "DELETE FROM events WHERE thread_id = $1::text::uuid";
    sql.execute(statement, &[&thread_uuid(&thread)])
        .await
        .expect("no log");
    // What is gone was told before this one.
    let mut events = ada.follow_thread(&thread, Some(&end)).await;
    assert!(events.heard_by_now().await.is_empty());
    resyncs_once(&ada, &thread, &start).await;
    assert_eq!(events.event().await["message"]["body"], "after the resync");
}
