//! viewerEvents: everything in all that somebody sees, in each thread's order, each once.

mod order;

mod passing;

mod place;

mod retention;

mod sharing;

mod sight;

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{created, cursor, log, message_uuid, say_many};
use crate::support::server::Server;
use crate::support::socket::Subscription;
use crate::support::{Actor, Tenant};

const EVERYTHING: &str = "subscription($after: String) { viewerEvents(after: $after) {
    __typename cursor occurredAt actor { name } thread { id subject }
    ... on MessageCreated { message { id body private thread { id } } }
    ... on MessageUpdated { message { id body } }
    ... on MessageRemoved { messageId }
    ... on ThreadDeleted { threadId }
    ... on ParticipantAdded { user { name } }
    ... on ParticipantRemoved { user { name } }
    ... on ThreadSeen { user { name } upTo { id body } }
    ... on ThreadDelivered { user { name } upTo { id body } }
    ... on ResyncRequired { reason }
  } }";

/// Follows everything that somebody sees.
async fn follow(actor: &Actor, after: Option<&str>) -> Subscription {
    actor.follow(EVERYTHING, json!({ "after": after })).await
}

/// The position in everything that somebody sees.
async fn here(actor: &Actor) -> String {
    let read = actor.run("{ viewer { cursor } }", json!({})).await;
    read.text("/viewer/cursor")
}

/// What is told up to a message with these words, that one left out.
async fn until(events: &mut Subscription, words: &str) -> Vec<Value> {
    let mut told = events
        .until(|event| event["message"]["body"] == *words)
        .await;
    told.pop();
    told
}

/// What is told, each event as its type and what tells it from others.
fn names(told: &[Value]) -> Vec<String> {
    let name = |event: &Value| {
        let what = [
            &event["message"]["body"],
            &event["upTo"]["body"],
            &event["user"]["name"],
        ];
        let what = what.iter().find_map(|value| value.as_str());
        let kind = event["__typename"].as_str().expect("a name");
        format!("{kind} {}", what.unwrap_or_default())
            .trim()
            .to_owned()
    };
    told.iter().map(name).collect()
}

/// The messages of each thread in the order in which they are told.
fn by_thread(told: &[Value]) -> HashMap<String, Vec<String>> {
    let mut threads: HashMap<String, Vec<String>> = HashMap::new();
    for event in told {
        let thread = event["message"]["thread"]["id"].as_str().expect("a thread");
        let those = threads.entry(thread.to_owned()).or_default();
        those.extend(created(event));
    }
    threads
}

#[tokio::test]
async fn concurrent_writers_in_many_threads_are_heard_in_order_and_once() {
    const THREADS: usize = 6;
    const EACH: usize = 40;

    let tenant = Tenant::new().await;
    let ada = tenant.agent("ada").await;
    let start = here(&ada).await;
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        threads.push(
            tenant
                .backend
                .open_thread(json!({ "access": "AGENTS" }))
                .await,
        );
    }
    let opened = here(&ada).await;
    let mut live = follow(&ada, None).await;
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        for thread in &threads {
            let (backend, thread) = (tenant.backend.clone(), thread.clone());
            writers.spawn(async move {
                let from = writer * EACH / 4;
                say_many(&backend, &thread, from..from + EACH / 8).await;
                say_many(&backend, &thread, from + EACH / 8..from + EACH / 4).await;
            });
        }
    }
    // Some come in while it goes on.
    let mut late = follow(&ada, Some(&opened)).await;
    writers.join_all().await;
    let mut resumed = follow(&ada, Some(&start)).await;
    ada.open_thread(json!({ "message": { "body": "end" } }))
        .await;

    let sql = Server::get().await.sql().await;
    for (what, events) in [
        ("live", &mut live),
        ("late", &mut late),
        ("resumed", &mut resumed),
    ] {
        let mut told = until(events, "end").await;
        // The last thread's own event, and in the last stream those of the other threads.
        told.retain(|event| event["__typename"] != "ThreadCreated");
        assert_eq!(told.len(), THREADS * EACH, "{what}");
        let heard = by_thread(&told);
        for thread in &threads {
            assert_eq!(heard[thread], log(&sql, thread).await, "{what}");
        }
    }
}

#[tokio::test]
async fn every_event_s_cursor_resumes_behind_it_and_misses_none() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.agent("ada").await, tenant.member("bob").await);
    let mut live = follow(&ada, None).await;
    let people = json!({ "access": "AGENTS", "participantIds": [bob.id] });
    let threads = [
        tenant.backend.open_thread(people.clone()).await,
        tenant.backend.open_thread(people).await,
    ];
    for round in 0..3 {
        for thread in &threads {
            let message = bob.say(thread, &format!("{round}")).await;
            let seen = json!({ "threadId": thread, "messageId": message });
            let field = "markThreadSeen";
            bob.mutate(field, seen, "thread { id }").await.at("");
        }
    }
    bob.say(&threads[0], "end").await;
    let told = until(&mut live, "end").await;
    let place = |event: &Value| {
        let mut event = event.clone();
        event.as_object_mut().expect("an object").remove("cursor");
        event
    };
    for (index, event) in told.iter().enumerate() {
        let mut resumed = follow(&ada, event["cursor"].as_str()).await;
        let replay = until(&mut resumed, "end").await;
        let again: Vec<Value> = replay.iter().map(place).collect();
        let logged = |event: &&Value| {
            !matches!(
                event["__typename"].as_str(),
                Some("ThreadSeen" | "ThreadDelivered")
            )
        };
        for missed in told[index + 1..].iter().filter(logged) {
            assert!(again.contains(&place(missed)), "{missed} after {event}");
        }
        for thread in &threads {
            let latest = |told: &[Value]| {
                let mut moves = told.iter().filter(|event| !logged(event)).rev();
                let of = |event: &&Value| event["thread"]["id"] == **thread;
                moves.find(of).map(|event| event["upTo"].clone())
            };
            if latest(&told[index + 1..]).is_some() {
                assert_eq!(latest(&replay), latest(&told), "after {event}");
            }
        }
        // What was told is repeated only where several events share a position.
        let distinct: HashSet<String> = again.iter().map(Value::to_string).collect();
        assert_eq!(distinct.len(), again.len());
        assert!(replay.len() <= told.len() - index + 2, "{}", replay.len());
    }
}

#[tokio::test]
async fn an_empty_resume_is_silent_and_goes_live() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    ada.say(&thread, "before").await;
    let mut events = follow(&ada, Some(&here(&ada).await)).await;
    ada.say(&thread, "live").await;
    assert_eq!(until(&mut events, "live").await, Vec::<Value>::new());
}

/// What a resume after a cursor begins with is one ResyncRequired, then life goes on; and the
/// position that it names is a good one.
async fn resyncs_once(ada: &Actor, thread: &str, after: &str) {
    let mut events = follow(ada, Some(after)).await;
    let first = events.event().await;
    assert_eq!(first["__typename"], "ResyncRequired", "{after}: {first}");
    assert!(first["reason"].is_string() && first["thread"].is_null());
    ada.say(thread, "after").await;
    assert_eq!(until(&mut events, "after").await, Vec::<Value>::new());
    let mut resumed = follow(ada, first["cursor"].as_str()).await;
    assert_eq!(until(&mut resumed, "after").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_cursor_that_is_none_of_this_stream_gives_one_resync() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let of_thread = cursor(&ada, &thread).await;
    for bad in ["garbage", "", "\u{1F98A}", &of_thread, "AwAAAAAAAAAB_w"] {
        resyncs_once(&ada, &thread, bad).await;
    }
}

#[tokio::test]
async fn a_cursor_from_the_future_gives_one_resync() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let mut bytes = URL_SAFE_NO_PAD.decode(here(&ada).await).expect("base64");
    // As after the database was set back to an older state.
    bytes[4] += 1;
    resyncs_once(&ada, &thread, &URL_SAFE_NO_PAD.encode(bytes)).await;
}

#[tokio::test]
async fn a_cursor_of_the_older_shape_is_understood() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let sql = Server::get().await.sql().await;
    // No more than what has left something, as such cursors were.
    let query = "SELECT least(pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
        (SELECT max(xid) + 1 FROM events))";
    let oldest: i64 = sql.query_one(query, &[]).await.expect("a number").get(0);
    // If something has been under way since before she was a member, that is new to it.
    let query = "SELECT m.xid >= $1 FROM memberships m JOIN users u ON u.id = m.user_id
        WHERE u.external_id = $2";
    let row = sql.query_one(query, &[&oldest, &ada.external_id]).await;
    let resyncs: bool = row.expect("a membership").get(0);
    let bytes = [&[2][..], &oldest.to_be_bytes()].concat();
    ada.say(&thread, "missed").await;
    let mut events = follow(&ada, Some(&URL_SAFE_NO_PAD.encode(bytes))).await;
    let first = events.event().await;
    if resyncs {
        assert_eq!(first["__typename"], "ResyncRequired");
    } else {
        let mut told = vec![first];
        if told[0]["message"]["body"] != "missed" {
            told.extend(until(&mut events, "missed").await);
        }
        assert!(
            !names(&told).contains(&"ResyncRequired".to_owned()),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn what_other_processes_and_servers_write_arrives_in_order() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let there = ada.at(Server::other(&[]).await);
    let mut streams = [follow(&ada, None).await, follow(&there, None).await];
    let sql = Server::get().await.sql().await;
    let mut written = Vec::new();
    for number in 0..9 {
        let words = number.to_string();
        written.push(match number % 3 {
            0 => message_uuid(&ada.say(&thread, &words).await),
            1 => message_uuid(&there.say(&thread, &words).await),
            _ => super::write_behind(&sql, &thread, &words).await,
        });
    }
    for events in &mut streams {
        for id in &written {
            assert_eq!(created(&events.event().await).as_ref(), Some(id));
        }
    }
}

#[tokio::test]
async fn of_seen_and_delivered_a_resume_tells_the_latest_of_each_person() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let start = here(&ada).await;
    for words in ["one", "two", "three"] {
        let message = ada.say(&thread, words).await;
        let seen = json!({ "threadId": thread, "messageId": message });
        for field in ["markThreadDelivered", "markThreadSeen"] {
            bob.mutate(field, seen.clone(), "thread { id }")
                .await
                .at("");
        }
    }
    ada.say(&thread, "end").await;
    let mut events = follow(&ada, Some(&start)).await;
    let told = until(&mut events, "end").await;
    let mut names = names(&told);
    names.retain(|name| !name.starts_with("MessageCreated"));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.last().expect("moves"), "ThreadSeen three");
    assert!(
        names.contains(&"ThreadDelivered three".to_owned()),
        "{names:?}"
    );
    assert!(
        names.iter().all(|name| name.ends_with("three")),
        "{names:?}"
    );
}
