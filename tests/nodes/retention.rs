//! The log of a server that keeps it for a short time: it is dropped without being asked, while
//! others write and follow.

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::cluster::Node;
use crate::support::server::Server;
use crate::support::socket::{Subscription, eventually};
use crate::support::{Actor, unique};
use crate::talking::thread_uuid;

/// More than are dropped at once.
const OLD: i64 = 5_000;

const EVERYTHING: &str = "subscription($after: String) { viewerEvents(after: $after) {
    __typename cursor ... on MessageCreated { message { body } } } }";

/// A server on an empty database of its own, and somebody there.
struct Place {
    node: Node,
    sql: Client,
    ada: Actor,
    thread: String,
}

impl Place {
    async fn new(retention: &str) -> Self {
        let first = Server::get().await;
        let name = unique("retention").replace('-', "_");
        let create = format!("CREATE DATABASE {name}");
        let created = first.sql().await.batch_execute(&create).await;
        created.expect("a database of its own");
        let (cluster, _) = first.database_url.rsplit_once('/').expect("an address");
        let database = format!("{cluster}/{name}");
        let node = server(&database, retention).await;
        let claims = json!({ "sub": "ada", "org": "acme", "role": "ADMIN" });
        let ada = Actor::with(node.server, format!("Bearer {}", first.token(claims)));
        let thread = ada.open_thread(json!({})).await;
        Self {
            sql: node.server.sql().await,
            node,
            ada,
            thread,
        }
    }

    /// How many events there are of which something is true.
    async fn events(&self, condition: &str) -> i64 {
        let query = format!("SELECT count(*) FROM events WHERE {condition}");
        let row = self.sql.query_one(&query, &[]).await;
        row.expect("a count").get(0)
    }

    /// The positions in all that Ada sees and in the thread.
    async fn here(&self) -> [String; 2] {
        let query = "query($id: ID!) { viewer { cursor } thread(id: $id) { cursor } }";
        let read = self.ada.run(query, json!({ "id": self.thread })).await;
        [read.text("/viewer/cursor"), read.text("/thread/cursor")]
    }

    /// Both streams from these positions on, at a server.
    async fn follow(
        &self,
        server: &'static Server,
        [all, thread]: &[String; 2],
    ) -> [Subscription; 2] {
        let ada = self.ada.at(server);
        [
            ada.follow(EVERYTHING, json!({ "after": all })).await,
            ada.follow_thread(&self.thread, Some(thread)).await,
        ]
    }

    /// A resume at these positions begins with a ResyncRequired, and goes on live.
    async fn resyncs(&self, server: &'static Server, after: &[String; 2]) {
        let mut streams = self.follow(server, after).await;
        for events in &mut streams {
            assert_eq!(events.event().await["__typename"], "ResyncRequired");
        }
        self.goes_on(&mut streams).await;
    }

    /// What is said now comes next in both streams.
    async fn goes_on(&self, streams: &mut [Subscription; 2]) {
        let said = unique("live");
        self.ada.say(&self.thread, &said).await;
        for events in streams {
            assert_eq!(words(events, &said).await, [&*said]);
        }
    }
}

async fn server(database: &str, retention: &str) -> Node {
    Node::with(database, |command| {
        command.arg("--migrate");
        command.env("BOBBIN_EVENT_RETENTION", retention);
    })
    .await
}

/// The words of messages up to these, which end them; nothing else is told.
async fn words(events: &mut Subscription, last: &str) -> Vec<String> {
    let told = events
        .until(|event| event["message"]["body"] == *last)
        .await;
    let body = |event: &Value| {
        assert_eq!(event["__typename"], "MessageCreated", "{event}");
        event["message"]["body"].as_str().expect("words").to_owned()
    };
    told.iter().map(body).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_go_while_others_write_and_follow() {
    let place = Place::new("off").await;
    let old = place.here().await;
    place.ada.say(&place.thread, "long ago").await;
    let statement = "
        WITH t AS (
          UPDATE threads SET seq = seq + $2 WHERE id = $1::text::uuid
          RETURNING id, organization_id, seq
        )
        INSERT INTO events (thread_id, seq, organization_id, kind, occurred_at)
        SELECT id, seq - $2 + n, organization_id, 'THREAD_UPDATED', now()
        FROM t, generate_series(1, $2::bigint) AS n";
    let thread = thread_uuid(&place.thread);
    let written = place.sql.execute(statement, &[&thread, &OLD]).await;
    assert_eq!(written.expect("events"), u64::try_from(OLD).expect("many"));
    let past = "UPDATE events SET occurred_at = occurred_at - interval '2 days'";
    place.sql.batch_execute(past).await.expect("old events");
    let young = place.here().await;
    let here = place.node.server;
    let mut streams = Vec::from(place.follow(here, &young).await);

    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let (ada, thread) = (place.ada.clone(), place.thread.clone());
    let writing = tokio::spawn(async move {
        let mut said = Vec::new();
        while stopped.try_recv().is_err() {
            said.push(said.len().to_string());
            ada.say(&thread, said.last().expect("words")).await;
        }
        said
    });
    let another = server(&here.database_url, "1d").await;
    eventually("the old events are dropped", async || {
        // At every moment the thread keeps the end of its log, without a hole.
        let whole = "SELECT max(seq) - min(seq) + 1 = count(*) FROM events";
        let row = place.sql.query_one(whole, &[]).await.expect("a row");
        assert!(row.get::<_, bool>(0));
        place.events("occurred_at < now() - interval '1 day'").await == 0
    })
    .await;
    stop.send(()).expect("they still write");
    let mut said = writing.await.expect("each write was acknowledged");
    place.ada.say(&place.thread, "the end").await;
    said.push("the end".to_owned());

    streams.extend(place.follow(here, &young).await);
    streams.extend(place.follow(another.server, &young).await);
    for events in &mut streams {
        assert_eq!(words(events, "the end").await, said);
    }
    place.resyncs(here, &old).await;
    place.resyncs(another.server, &old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_grows_old_while_a_server_runs_is_dropped() {
    let place = Place::new("1s").await;
    let here = place.node.server;
    let old = place.here().await;
    for round in ["one", "two"] {
        place.ada.say(&place.thread, round).await;
        eventually("nothing of the log is left", async || {
            place.events("true").await == 0
        })
        .await;
    }
    // Nothing was dropped behind this, so nothing is missed.
    let young = place.here().await;
    let mut streams = place.follow(here, &young).await;
    place.goes_on(&mut streams).await;
    place.resyncs(here, &old).await;
}
