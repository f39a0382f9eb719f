//! Several servers on one database, each a process of its own, joined by a real NATS server:
//! what each subscriber is told is the log, whoever of them dies in the midst of it.

#[path = "api/support/mod.rs"]
#[expect(dead_code, reason = "the tests of the API use all of it, these a part")]
mod support;

#[path = "nodes/cluster.rs"]
mod cluster;

#[path = "nodes/talking.rs"]
mod talking;

#[path = "nodes/delivering.rs"]
mod delivering;

#[path = "nodes/ending.rs"]
mod ending;

#[path = "nodes/passing.rs"]
mod passing;

#[cfg(target_os = "linux")]
#[path = "nodes/pausing.rs"]
mod pausing;

#[path = "nodes/retention.rs"]
mod retention;

#[path = "nodes/telling.rs"]
mod telling;

#[path = "nodes/tls.rs"]
mod tls;

#[path = "nodes/storing.rs"]
mod storing;

#[path = "nodes/s3.rs"]
mod s3;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use cluster::{Cluster, Nats, Node};
use support::socket::eventually;
use support::{Actor, Tenant};
use talking::Talk;

/// Trips from one node to another, each after the one before it.
const TRIPS: u32 = 20;

/// So many messages are acknowledged at least before something is done to the servers, and again
/// after it.
const MANY: usize = 30;

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_all_nodes_are_told_the_log() {
    let cluster = Cluster::start().await;
    let talk = Talk::new(&cluster).await;
    let followers = talk.follow(&[0, 1, 2, 0, 1, 2]).await;
    let writers = talk.write(&[0, 1, 2]);
    writers.until(4 * MANY).await;
    talk.end(writers, followers, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_takes_nothing_with_it() {
    let mut cluster = Cluster::start().await;
    let talk = Talk::new(&cluster).await;
    let followers = talk.follow(&[0, 1, 1, 2]).await;
    let writers = talk.write(&[0, 1, 2]);
    writers.until(MANY).await;
    cluster.kill(1).await;
    let then = writers.acknowledged();
    writers.until(then + MANY).await;
    talk.end(writers, followers, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_can_go_away_and_come_back() {
    let mut cluster = Cluster::start().await;
    let talk = Talk::new(&cluster).await;
    let followers = talk.follow(&[0, 1, 2]).await;
    let writers = talk.write(&[0, 1, 2]);
    writers.until(MANY).await;
    cluster.nats.stop().await;
    for node in &cluster.nodes {
        node.answers_ready(503, "the bus is away\n").await;
    }
    let then = writers.acknowledged();
    writers.until(then + MANY).await;
    cluster.nats.start().await;
    for node in &cluster.nodes {
        node.answers_ready(200, "ready\n").await;
    }
    let then = writers.acknowledged();
    writers.until(then + MANY).await;
    talk.end(writers, followers, 0).await;
    // Neither of these goes by the database: they tell that the way is open again.
    let mut here = talk.ada.at(cluster.nodes[2].server);
    let mut events = here.follow_thread(&talk.thread, None).await;
    set_typing(&talk.bob.at(cluster.nodes[0].server), &talk.thread, true).await;
    assert_eq!(names(&events.event().await), ["bob"]);
    here = talk.ada.at(cluster.nodes[1].server);
    let hints = cluster.hints().await;
    here.say(&talk.thread, "A hint").await;
    hints.next_of(&talk.thread).await;
    // A node that had to find each of these in the log, at which it looks once a second, would
    // need as many seconds.
    let began = Instant::now();
    for number in 0..TRIPS {
        let number = number.to_string();
        here.say(&talk.thread, &number).await;
        events
            .until(|event| event["message"]["body"] == *number)
            .await;
    }
    assert!(began.elapsed() < Duration::from_secs(1) * TRIPS / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_and_presence_are_known_on_every_node_and_end_with_theirs() {
    let mut cluster = Cluster::start().await;
    let talk = Talk::new(&cluster).await;
    let (ada, bob) = (&talk.ada, talk.bob.at(cluster.nodes[0].server));
    let mut events = Vec::new();
    for node in &cluster.nodes[1..] {
        events.push(ada.at(node.server).follow_thread(&talk.thread, None).await);
    }
    for _ in 0..3 {
        set_typing(&bob, &talk.thread, true).await;
    }
    for events in &mut events {
        assert_eq!(names(&events.event().await), ["bob"]);
    }
    let input = json!({ "online": true });
    let online = bob.mutate("setPresence", input, "user { online }").await;
    assert_eq!(online.at("/user/online"), true);
    for events in &mut events {
        let event = events.event().await;
        assert_eq!(event["__typename"], "PresenceChanged", "{event}");
        assert_eq!(
            (&event["user"]["name"], &event["online"]),
            (&json!("bob"), &json!(true))
        );
    }
    let query = "query($t: ID!, $u: ID!) { thread(id: $t) { typing { name online } } user(id: $u) { online } }";
    let variables = json!({ "t": talk.thread, "u": talk.bob.id });
    for node in &cluster.nodes {
        let read = ada.at(node.server).run(query, variables.clone()).await;
        assert_eq!(
            read.at("/thread/typing"),
            json!([{ "name": "bob", "online": true }])
        );
        assert_eq!(read.at("/user/online"), true);
    }
    // What ends it is that nobody renews it.
    cluster.kill(0).await;
    for events in &mut events {
        assert!(names(&events.event().await).is_empty());
        let event = events.event().await;
        assert_eq!(
            (&event["user"]["name"], &event["online"]),
            (&json!("bob"), &json!(false))
        );
    }
    for node in &cluster.nodes[1..] {
        let read = ada.at(node.server).run(query, variables.clone()).await;
        assert_eq!(read.at("/thread/typing"), json!([]));
        assert_eq!(read.at("/user/online"), false);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_serves_before_nats_is_there() {
    let mut nats = Nats::new();
    let node = Node::start(&nats.url()).await;
    node.answers_ready(503, "the bus is away\n").await;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await.at(node.server);
    let thread = ada.open_thread(json!({})).await;
    let mut events = ada.follow_thread(&thread, None).await;
    ada.say(&thread, "Alone").await;
    assert_eq!(events.event().await["message"]["body"], "Alone");
    nats.start().await;
    node.answers_ready(200, "ready\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_address_of_nats_stops_the_start_with_one_line() {
    let said = Node::refused(|command| {
        command.env("BOBBIN_NATS_URL", "http://user:swordfish@example.com");
    })
    .await;
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("BOBBIN_NATS_URL"), "{said}");
    assert!(!said.contains("swordfish"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_and_lost_access_cross_the_nodes() {
    let cluster = Cluster::start().await;
    let talk = Talk::new(&cluster).await;
    let there = talk.bob.at(cluster.nodes[1].server);
    let mut events = there.follow_thread(&talk.thread, None).await;
    let here = talk.ada.at(cluster.nodes[0].server);
    here.say(&talk.thread, "Read me").await;
    assert_eq!(events.event().await["message"]["body"], "Read me");
    let seen = json!({ "threadId": talk.thread });
    // Not before node 1 has asked for the thread, which is when it hears of it.
    eventually("a receipt goes by the bus", async || {
        here.mutate("markThreadUnseen", seen.clone(), "__typename")
            .await;
        here.mutate("markThreadSeen", seen.clone(), "__typename")
            .await;
        let heard = events.heard_by_now().await;
        heard.iter().any(|message| {
            message.pointer("/payload/data/threadEvents/__typename") == Some(&json!("ThreadSeen"))
        })
    })
    .await;
    let out = json!({ "organizationId": talk.tenant.id, "userId": talk.bob.id, "role": null });
    let root = Actor::root().await.at(cluster.nodes[0].server);
    root.mutate("setMembership", out, "role").await.at("");
    loop {
        let message = events.message().await;
        if message["type"] == "error" {
            assert_eq!(message["payload"][0]["extensions"]["code"], "NOT_FOUND");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_seen_is_told_while_a_transaction_stays_open_somewhere() {
    let cluster = Cluster::start().await;
    let talk = Talk::new(&cluster).await;
    let (ada, bob) = (&talk.ada, &talk.bob);
    let (first, second) = (
        ada.say(&talk.thread, "first").await,
        ada.say(&talk.thread, "second").await,
    );
    let sql = cluster.nodes[0].server.sql().await;
    let open = "BEGIN; SELECT pg_current_xact_id()";
    sql.batch_execute(open).await.expect("a transaction");
    let see = async |message: &str| {
        let input = json!({ "threadId": talk.thread, "messageId": message });
        bob.mutate("markThreadSeen", input, "__typename")
            .await
            .at("");
    };
    see(&first).await;
    let mut events = ada.follow_thread(&talk.thread, None).await;
    see(&second).await;
    let up_to = |event: &Value| event["upTo"]["body"] == "second";
    events.until(up_to).await;
    sql.batch_execute("COMMIT").await.expect("the end");
}

/// Begins or ends to type.
pub async fn set_typing(actor: &Actor, thread: &str, typing: bool) {
    let input = json!({ "threadId": thread, "typing": typing });
    actor.mutate("setTyping", input, "threadId").await.at("");
}

/// Who types, by an event.
pub fn names(event: &Value) -> Vec<&str> {
    assert_eq!(event["__typename"], "TypingChanged", "{event}");
    let typing = event["typing"].as_array().expect("a list").iter();
    typing
        .map(|user| user["name"].as_str().expect("a name"))
        .collect()
}
