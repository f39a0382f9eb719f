//! Servers that deliver, and are killed while they do: every message comes, under one id, and
//! those of a thread in their order.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::cluster::Node;
use crate::support::receiver::{Call, Receiver, Reply};
use crate::support::server::Server;
use crate::support::{Actor, unique};

/// More than are delivered at once.
const THREADS: usize = 24;

/// In each thread.
const MESSAGES: usize = 12;

/// All of it is delivered within this time: what a killed server had claimed is taken up by
/// others when its claim has ended, after eleven seconds here.
const LONG: Duration = Duration::from_secs(120);

async fn server(database: &str) -> Node {
    Node::with(database, |command| {
        command.arg("--migrate");
        command.env("BOBBIN_DELIVERY_NETWORKS", "127.0.0.0/8");
        command.env("BOBBIN_DELIVERY_TIMEOUT", "1000");
        command.env("BOBBIN_DELIVERY_BACKOFF", "20");
    })
    .await
}

/// A server that delivers nothing, so that nothing is written to one that dies.
async fn writing(database: &str) -> Node {
    Node::with(database, |command| {
        command.arg("--migrate");
        command.env("BOBBIN_DELIVERY_CONCURRENCY", "0");
    })
    .await
}

/// Writes a thread, a message at a time.
async fn write(actor: Actor, thread: String) {
    for number in 0..MESSAGES {
        actor.say(&thread, &number.to_string()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until so much was sent.
async fn until(receiver: &Receiver, many: usize) {
    let began = Instant::now();
    while receiver.calls().len() < many {
        assert!(began.elapsed() < LONG, "{} calls", receiver.calls().len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_comes_under_one_id_and_in_order_whoever_is_killed() {
    let first = Server::get().await;
    let name = unique("delivering").replace('-', "_");
    let create = format!("CREATE DATABASE {name}");
    let created = first.sql().await.batch_execute(&create).await;
    created.expect("a database of its own");
    let (cluster, _) = first.database_url.rsplit_once('/').expect("an address");
    let database = format!("{cluster}/{name}");
    let desk = writing(&database).await;
    let receiver = Receiver::new(|_, before| {
        let code = if before % 7 == 3 { 500 } else { 200 };
        Reply::Slow(Duration::from_millis(30), code)
    })
    .await;
    let claims = json!({ "sub": "ada", "org": "acme", "role": "ADMIN" });
    let ada = Actor::with(desk.server, format!("Bearer {}", first.token(claims)));
    // The first use makes the organization.
    ada.run("{ viewer { user { id } } }", json!({})).await;
    let input = json!({
        "externalId": "desk", "organizationId": "acme", "name": "Desk", "channel": "API",
        "webhookUrl": "https://example.com/hook",
    });
    let made = ada
        .mutate("upsertInbox", input, "inbox { id } webhookSecret")
        .await;
    let (inbox, secret) = (made.text("/inbox/id"), made.text("/webhookSecret"));
    // This server may not call this machine; those that deliver may.
    let sql = desk.server.sql().await;
    let set = "UPDATE inboxes SET webhook_url = $1";
    sql.execute(set, &[&receiver.url()])
        .await
        .expect("it is set");

    let mut nodes = [server(&database).await, server(&database).await];
    let (mut writers, mut threads) = (JoinSet::new(), Vec::new());
    for _ in 0..THREADS {
        let thread = ada.open_thread(json!({ "inboxId": inbox })).await;
        writers.spawn(write(ada.clone(), thread.clone()));
        threads.push(thread);
    }
    for round in 0..5 {
        until(&receiver, (round + 1) * 40).await;
        let node = &mut nodes[round % 2];
        if round == 2 {
            node.terminate();
            assert!(node.ended().await.success());
        } else {
            node.kill().await;
        }
        nodes[round % 2] = server(&database).await;
    }
    writers.join_all().await;

    let began = Instant::now();
    let open = "SELECT count(*) FROM messages WHERE status <> 'SENT'";
    loop {
        let row = sql.query_one(open, &[]).await.expect("a count");
        if row.get::<_, i64>(0) == 0 {
            break;
        }
        assert!(began.elapsed() < LONG, "{} are open", row.get::<_, i64>(0));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    check(&receiver.calls(), &threads, &secret);
}

fn check(calls: &[Call], threads: &[String], secret: &str) {
    let mut ids: HashMap<&str, &str> = HashMap::new();
    let mut heard: HashMap<&str, Vec<usize>> = HashMap::new();
    for call in calls {
        assert!(call.is_signed_with(secret));
        let message = call.at("/message/id").as_str().expect("an id");
        let known = ids.entry(message).or_insert(call.id());
        assert_eq!(*known, call.id(), "one id for each message");
        let number = call.words().parse().expect("a number");
        let thread = call.at("/thread/id").as_str().expect("an id");
        heard.entry(thread).or_default().push(number);
    }
    for thread in threads {
        let mut numbers = heard.remove(&**thread).unwrap_or_default();
        assert!(numbers.is_sorted(), "{thread}: {numbers:?}");
        numbers.dedup();
        assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>(), "{thread}");
    }
    assert_eq!(heard, HashMap::<&str, Vec<usize>>::new());
}
