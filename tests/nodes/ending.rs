//! A server that is told to end: what it has begun ends as it should, everybody is told to come
//! back, and who does has missed nothing.

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_postgres::Client;

use crate::MANY;
use crate::cluster::{Cluster, Node};
use crate::support::server::Server;
use crate::support::socket::{Socket, eventually};
use crate::support::{Actor, THREAD_EVENTS, Tenant};
use crate::talking::{Talk, thread_uuid};

const SAY: &str = "mutation($id: ID!, $body: String!) {
    createMessage(input: { threadId: $id, body: $body }) { message { id } } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_in_order_takes_nothing_with_it() {
    let mut cluster = Cluster::start().await;
    let talk = Talk::new(&cluster).await;
    let followers = talk.follow(&[0, 1, 1, 2]).await;
    let writers = talk.write(&[0, 1, 2]);
    writers.until(MANY).await;
    assert!(cluster.terminate(1).await.success());
    let then = writers.acknowledged();
    writers.until(then + MANY).await;
    talk.end(writers, followers, 0).await;
}

/// Waits until so many wait for the locks of a connection.
async fn wait_for_waiting(watcher: &Client, holder: i32, many: i64) {
    let query = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))
        OR EXISTS (SELECT FROM pg_stat_activity b WHERE $1 = ANY (pg_blocking_pids(b.pid))
          AND b.pid = ANY (pg_blocking_pids(pg_stat_activity.pid)))";
    eventually("the writes wait for the lock", async || {
        let row = watcher.query_one(query, &[&holder]).await.expect("a count");
        row.get::<_, i64>(0) >= many
    })
    .await;
}

/// A response to a subscription, as far as it has come.
struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    async fn open(server: &Server, actor: &Actor, thread: &str) -> Self {
        let body = json!({ "query": THREAD_EVENTS, "variables": { "id": thread } });
        let request = server.http.post(server.url("/graphql")).json(&body);
        let request = request
            .header("accept", "text/event-stream")
            .header("authorization", actor.authorization());
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        Self {
            response,
            text: String::new(),
        }
    }

    async fn until(&mut self, words: &str) {
        while !self.text.contains(words) {
            let more = self.response.chunk().await.expect("more");
            self.text
                .push_str(&String::from_utf8_lossy(&more.expect("more")));
        }
    }

    /// The rest; whether it ended as a whole response does.
    async fn rest(&mut self) -> bool {
        loop {
            match self.response.chunk().await {
                Ok(Some(more)) => self.text.push_str(&String::from_utf8_lossy(&more)),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    fn last_id(&self) -> &str {
        let mut lines = self.text.lines().rev();
        let line = lines.find_map(|line| line.strip_prefix("id: "));
        line.expect("an id")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_end_finishes_its_writes_and_sends_everybody_back() {
    let mut node = Node::alone().await;
    let server = node.server;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await.at(server);
    let (thread, locked) = (
        ada.open_thread(json!({})).await,
        ada.open_thread(json!({})).await,
    );
    let mut idle = Socket::connect(server).await;
    let mut following = ada.follow_thread(&thread, None).await;
    let mut stream = Stream::open(server, &ada, &thread).await;
    ada.say(&thread, "before").await;
    let before = following.event().await;
    assert_eq!(before["message"]["body"], "before");
    stream.until("before").await;

    // Two writes have begun that cannot end yet.
    let mut sql = Server::get().await.sql().await;
    let watcher = Server::get().await.sql().await;
    let holder = sql.query_one("SELECT pg_backend_pid()", &[]).await;
    let holder: i32 = holder.expect("a number").get(0);
    let lock = sql.transaction().await.expect("a transaction");
    let statement = "SELECT FROM threads WHERE id = $1::text::uuid FOR UPDATE";
    let held = lock.execute(statement, &[&thread_uuid(&locked)]).await;
    held.expect("a lock");
    let (actor, at) = (ada.clone(), locked.clone());
    let by_http = tokio::spawn(async move { actor.say(&at, "by HTTP").await });
    let mut writing = Socket::greeted(server, ada.authorization()).await;
    let variables = json!({ "id": locked, "body": "by WebSocket" });
    writing.subscribe("1", SAY, variables).await;
    wait_for_waiting(&watcher, holder, 2).await;

    node.terminate();
    for socket in [&mut idle, &mut following.socket, &mut writing] {
        let mut heard = Vec::new();
        let code = loop {
            match socket.hear_or_close().await {
                Ok(message) => heard.push(message),
                Err(code) => break code,
            }
        };
        assert!([1001, 1012].contains(&code), "{code}");
        // Nothing that a client would take for an end, or for an answer.
        assert_eq!(heard, Vec::<Value>::new());
    }
    let whole = stream.rest().await;
    assert!(!whole && !stream.text.contains("event: complete"));
    eventually("nobody is let in any more", async || {
        TcpStream::connect(server.address).await.is_err()
    })
    .await;
    assert!(!by_http.is_finished());
    lock.rollback().await.expect("the lock is released");
    let acknowledged = by_http.await.expect("the write is answered");
    assert!(node.ended().await.success());

    // Meanwhile somebody else goes on, and then a server is there again.
    let elsewhere = ada.at(Server::get().await);
    elsewhere.say(&thread, "meanwhile").await;
    let node = Node::alone().await;
    let ada = ada.at(node.server);
    for cursor in [
        before["cursor"].as_str().expect("a cursor"),
        stream.last_id(),
    ] {
        let mut events = ada.follow_thread(&thread, Some(cursor)).await;
        assert_eq!(events.event().await["message"]["body"], "meanwhile");
    }
    let query = "query($id: ID!) { thread(id: $id) { messages { nodes { id body } } } }";
    let read = ada.run(query, json!({ "id": locked })).await;
    let mut bodies = read.texts("/thread/messages/nodes", "/body");
    bodies.sort();
    // The second one was never acknowledged, but no write is cut short.
    assert_eq!(bodies, ["by HTTP", "by WebSocket"]);
    let ids = read.texts("/thread/messages/nodes", "/id");
    assert!(ids.contains(&acknowledged));
}
