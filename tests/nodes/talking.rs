//! A thread of which many tell and hear at several nodes, and what must hold of it in the end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bobbin::ids::{MessageId, ThreadId};
use serde_json::json;
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::support::server::Server;
use crate::support::socket::{Socket, eventually};
use crate::support::{Actor, Person, THREAD_EVENTS, Tenant, unique};

/// What ends it.
const END: &str = "The end";

/// The thread, and the nodes.
pub struct Talk {
    pub tenant: Tenant,
    pub ada: Person,
    pub bob: Person,
    pub thread: String,
    nodes: Vec<&'static Server>,
}

impl Talk {
    pub async fn new(cluster: &Cluster) -> Self {
        let tenant = Tenant::new().await;
        let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
        let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
        Self {
            tenant,
            ada,
            bob,
            thread,
            nodes: cluster.nodes.iter().map(|node| node.server).collect(),
        }
    }

    /// Subscribers at these nodes, from here on.
    pub async fn follow(&self, nodes: &[usize]) -> JoinSet<Vec<String>> {
        let mut followers = JoinSet::new();
        let query = "query($id: ID!) { thread(id: $id) { cursor } }";
        let start = self.ada.run(query, json!({ "id": self.thread })).await;
        for node in nodes {
            let follower = Follower {
                actor: self.bob.actor(),
                nodes: self.nodes.clone(),
                at: *node,
                thread: self.thread.clone(),
                cursor: start.text("/thread/cursor"),
                heard: Vec::new(),
            };
            followers.spawn(follower.run());
        }
        followers
    }

    /// Writers at these nodes.
    pub fn write(&self, nodes: &[usize]) -> Writers {
        let state = Arc::new(State::default());
        let mut tasks = JoinSet::new();
        for node in nodes {
            let writer = Writer {
                actor: self.ada.actor(),
                nodes: self.nodes.clone(),
                at: *node,
                thread: self.thread.clone(),
                state: Arc::clone(&state),
            };
            tasks.spawn(writer.run());
        }
        Writers { state, tasks }
    }

    /// Ends it at a node that is alive: what was acknowledged is in the log once, and every
    /// subscriber has been told the log.
    pub async fn end(&self, writers: Writers, followers: JoinSet<Vec<String>>, node: usize) {
        writers.state.stop.store(true, Ordering::SeqCst);
        let written: Vec<String> = writers.tasks.join_all().await.concat();
        self.ada.at(self.nodes[node]).say(&self.thread, END).await;
        let log = self.log().await;
        let mut times: HashMap<&str, usize> = HashMap::new();
        for id in &log {
            *times.entry(id).or_default() += 1;
        }
        for id in &written {
            assert_eq!(times.get(&**id), Some(&1), "{id} was acknowledged");
        }
        // Each write was repeated until it was acknowledged, under the same name.
        assert_eq!(log.len(), written.len() + 1);
        for heard in followers.join_all().await {
            assert_eq!(heard, log);
        }
    }

    /// The ids of the messages that the log tells of.
    async fn log(&self) -> Vec<String> {
        let query = "SELECT message_id::text FROM events
                     WHERE thread_id = $1::text::uuid AND kind = 'MESSAGE_CREATED' ORDER BY seq";
        let sql = Server::get().await.sql().await;
        let rows = sql.query(query, &[&thread_uuid(&self.thread)]).await;
        let rows = rows.expect("the log");
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// The bare UUID of a thread's id.
pub fn thread_uuid(id: &str) -> String {
    let id: ThreadId = id.parse().expect("a thread's id");
    id.uuid().to_string()
}

/// The bare UUID of a message's id.
fn message_uuid(id: &str) -> String {
    let id: MessageId = id.parse().expect("a message's id");
    id.uuid().to_string()
}

/// A subscriber who connects to the next node when his own one is gone.
pub struct Follower {
    actor: Actor,
    nodes: Vec<&'static Server>,
    at: usize,
    thread: String,
    cursor: String,
    heard: Vec<String>,
}

impl Follower {
    async fn run(mut self) -> Vec<String> {
        loop {
            let node = self.nodes[self.at];
            let mut socket = Socket::greeted(node, self.actor.authorization()).await;
            let variables = json!({ "id": self.thread, "after": self.cursor });
            socket.subscribe("1", THREAD_EVENTS, variables).await;
            while let Ok(message) = socket.hear_or_close().await {
                assert_eq!(message["type"], "next", "{message}");
                let event = &message["payload"]["data"]["threadEvents"];
                assert_eq!(event["__typename"], "MessageCreated", "{event}");
                let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
                self.cursor = text(&event["cursor"]);
                self.heard
                    .push(message_uuid(&text(&event["message"]["id"])));
                if event["message"]["body"] == END {
                    return self.heard;
                }
            }
            self.at = (self.at + 1) % self.nodes.len();
        }
    }
}

#[derive(Default)]
struct State {
    acknowledged: AtomicUsize,
    stop: AtomicBool,
}

/// Those who write until they are stopped.
pub struct Writers {
    state: Arc<State>,
    tasks: JoinSet<Vec<String>>,
}

impl Writers {
    /// How many messages have been acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.state.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until there are so many.
    pub async fn until(&self, number: usize) {
        let what = format!("{number} messages are acknowledged");
        eventually(&what, async || self.acknowledged() >= number).await;
    }
}

struct Writer {
    actor: Actor,
    nodes: Vec<&'static Server>,
    at: usize,
    thread: String,
    state: Arc<State>,
}

impl Writer {
    async fn run(mut self) -> Vec<String> {
        let mut written = Vec::new();
        while !self.state.stop.load(Ordering::SeqCst) {
            let name = unique("written");
            let id = loop {
                match self.try_to_write(&name).await {
                    Some(id) => break id,
                    // Nobody knows whether that was stored: the same again, elsewhere.
                    None => self.at = (self.at + 1) % self.nodes.len(),
                }
            };
            written.push(message_uuid(&id));
            self.state.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        written
    }

    async fn try_to_write(&self, name: &str) -> Option<String> {
        let query = "mutation($input: CreateMessageInput!) { createMessage(input: $input) { message { id } } }";
        let input = json!({ "threadId": self.thread, "externalId": name, "body": name });
        let node = self.nodes[self.at];
        let request = node
            .http
            .post(node.url("/graphql"))
            .header("authorization", self.actor.authorization())
            .json(&json!({ "query": query, "variables": { "input": input } }));
        let answer = request.send().await.ok()?;
        let body: serde_json::Value = answer.json().await.ok()?;
        let id = body.pointer("/data/createMessage/message/id");
        let id = id.unwrap_or_else(|| panic!("{body}"));
        Some(id.as_str().expect("an id").to_owned())
    }
}
