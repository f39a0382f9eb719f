//! Servers that are killed while others write and a webhook is told: each event of the log comes,
//! under one id, and those of a thread in their order.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cluster::Node;
use crate::support::receiver::{Call, Receiver, Reply};
use crate::support::server::Server;
use crate::support::{Actor, unique};

/// How many write at once, each into a thread of their own.
const THREADS: usize = 6;

/// How often a server is killed.
const KILLS: usize = 10;

/// All of it has come within this time: what a killed server had claimed is taken up by others
/// when its claim has ended, after eleven seconds here.
const LONG: Duration = Duration::from_secs(120);

const SAY: &str = "mutation($input: CreateMessageInput!) {
    createMessage(input: $input) { message { id } } }";

async fn server(database: &str) -> Node {
    Node::with(database, |command| {
        command.arg("--migrate");
        command.env("BOBBIN_DELIVERY_NETWORKS", "127.0.0.0/8");
        command.env("BOBBIN_DELIVERY_TIMEOUT", "1000");
        command.env("BOBBIN_DELIVERY_BACKOFF", "20");
    })
    .await
}

/// The servers that are there, whoever was killed.
type Servers = Arc<RwLock<[&'static Server; 2]>>;

/// Somebody who writes until told to stop; repeats what was not acknowledged, elsewhere.
struct Writer {
    ada: Actor,
    servers: Servers,
    thread: String,
}

impl Writer {
    async fn run(self, mut stopped: tokio::sync::watch::Receiver<bool>) -> Vec<String> {
        let (mut said, mut at) = (Vec::new(), 0);
        while !*stopped.borrow_and_update() {
            let name = unique("said");
            while !self.say(&name, at).await {
                at = 1 - at;
                // Both may be away for a moment, when one comes back as the other goes.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            said.push(name);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        said
    }

    async fn say(&self, name: &str, at: usize) -> bool {
        let server = self.servers.read().expect("whole")[at];
        let input = json!({ "threadId": self.thread, "externalId": name, "body": name });
        let request = server
            .http
            .post(server.url("/graphql"))
            .header("authorization", self.ada.authorization())
            .json(&json!({ "query": SAY, "variables": { "input": input } }));
        let Ok(answer) = request.send().await else {
            return false;
        };
        let body: Option<Value> = answer.json().await.ok();
        body.is_some_and(|body| body["data"]["createMessage"]["message"]["id"].is_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_told_under_one_id_and_in_order_whoever_is_killed() {
    let first = Server::get().await;
    let name = unique("telling").replace('-', "_");
    let create = format!("CREATE DATABASE {name}");
    let created = first.sql().await.batch_execute(&create).await;
    created.expect("a database of its own");
    let (cluster, _) = first.database_url.rsplit_once('/').expect("an address");
    let database = format!("{cluster}/{name}");
    let mut nodes = [server(&database).await, server(&database).await];
    let servers: Servers = Arc::new(RwLock::new([nodes[0].server, nodes[1].server]));
    let backend = Receiver::new(|_, before| {
        let code = if before % 7 == 3 { 500 } else { 200 };
        Reply::Slow(Duration::from_millis(10), code)
    })
    .await;
    let claims = json!({ "sub": "ada", "org": "acme", "role": "ADMIN" });
    let ada = Actor::with(nodes[0].server, format!("Bearer {}", first.token(claims)));
    // The first use makes the organization.
    ada.run("{ viewer { user { id } } }", json!({})).await;
    let hook = json!({ "externalId": "hook", "organizationId": "acme", "url": backend.url() });
    let made = ada
        .mutate("upsertWebhook", hook, "webhook { id } secret")
        .await;
    let secret = made.text("/secret");

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (mut writers, mut threads) = (JoinSet::new(), Vec::new());
    for _ in 0..THREADS {
        let thread = ada.open_thread(json!({})).await;
        threads.push(thread.clone());
        let writer = Writer {
            ada: ada.clone(),
            servers: Arc::clone(&servers),
            thread,
        };
        writers.spawn(writer.run(stopped.clone()));
    }
    for round in 0..KILLS {
        until(&backend, (round + 1) * 20).await;
        nodes[round % 2].kill().await;
        nodes[round % 2] = server(&database).await;
        servers.write().expect("whole")[round % 2] = nodes[round % 2].server;
    }
    stop.send(true).expect("they write");
    let said: HashSet<String> = writers.join_all().await.concat().into_iter().collect();

    let sql = nodes[0].server.sql().await;
    let began = Instant::now();
    let open = "SELECT (SELECT count(*) FROM events) - (SELECT count(*) FROM deliveries),
        (SELECT count(*) FROM deliveries WHERE status <> 'DELIVERED')";
    loop {
        let row = sql.query_one(open, &[]).await.expect("counts");
        let open: (i64, i64) = (row.get(0), row.get(1));
        if open == (0, 0) {
            break;
        }
        assert!(began.elapsed() < LONG, "{open:?} are open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = "SELECT m.external_id FROM events e JOIN messages m ON m.id = e.message_id
        WHERE e.kind = 'MESSAGE_CREATED' ORDER BY e.thread_id, e.seq";
    let log = sql.query(log, &[]).await.expect("the log");
    let log: Vec<String> = log.iter().map(|row| row.get(0)).collect();
    assert_eq!(log.iter().cloned().collect::<HashSet<_>>(), said);
    let events = sql.query_one("SELECT count(*) FROM events", &[]).await;
    let events: i64 = events.expect("a count").get(0);
    check(
        &backend.calls(),
        &secret,
        &log,
        usize::try_from(events).expect("a few"),
    );
}

/// Waits until so much was sent.
async fn until(backend: &Receiver, many: usize) {
    let began = Instant::now();
    while backend.calls().len() < many {
        assert!(began.elapsed() < LONG, "{} calls", backend.calls().len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn check(calls: &[Call], secret: &str, log: &[String], events: usize) {
    let mut of_id: HashMap<&str, &Value> = HashMap::new();
    let mut heard: HashMap<&str, Vec<&str>> = HashMap::new();
    for call in calls {
        assert!(call.is_signed_with(secret));
        if let Some(known) = of_id.insert(call.id(), &call.body) {
            assert_eq!(known["data"]["cursor"], call.body["data"]["cursor"]);
        }
        if call.body["type"] == "message.created" {
            let thread = call.at("/thread/id").as_str().expect("an id");
            let name = call.at("/message/externalId").as_str().expect("a name");
            let heard = heard.entry(thread).or_default();
            // What comes again comes before anything later does.
            if heard.last() != Some(&name) {
                heard.push(name);
            }
        }
    }
    assert_eq!(of_id.len(), events, "one id for each event");
    assert_eq!(heard.len(), THREADS);
    let place: HashMap<&str, usize> = (0..).zip(log).map(|(at, name)| (&**name, at)).collect();
    for names in heard.values() {
        let places: Vec<usize> = names.iter().map(|name| place[name]).collect();
        // The log has the threads one after the other, so theirs are neighbours, too.
        assert!(
            places.windows(2).all(|two| two[0] + 1 == two[1]),
            "{places:?}"
        );
    }
    let heard: usize = heard.values().map(Vec::len).sum();
    assert_eq!(heard, log.len());
}
