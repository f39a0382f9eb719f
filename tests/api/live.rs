//! Subscriptions: nothing lost, nothing twice, in the log's order, for those who may know.

mod delivery;

mod fairness;

mod resume;

mod seen;

mod sharing;

mod sight;

mod viewer;

use bobbin::ids::{MessageId, ThreadId};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::Actor;

/// The position of a thread's log.
async fn cursor(actor: &Actor, thread: &str) -> String {
    let query = "query($id: ID!) { thread(id: $id) { cursor } }";
    let read = actor.run(query, json!({ "id": thread })).await;
    read.text("/thread/cursor")
}

/// Sends messages `from..to` with one request, their numbers as their words.
async fn say_many(actor: &Actor, thread: &str, numbers: std::ops::Range<usize>) {
    let fields: Vec<String> = numbers
        .map(|number| {
            format!(
                "m{number}: createMessage(input: {{threadId: $id, body: \"{number}\"}}) {{ message {{ id }} }}"
            )
        })
        .collect();
    let query = format!("mutation($id: ID!) {{ {} }}", fields.join(" "));
    actor.run(&query, json!({ "id": thread })).await.at("");
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

/// The UUIDs of a thread's messages as its log tells of them.
async fn log(sql: &Client, thread: &str) -> Vec<String> {
    let query = "SELECT message_id::text FROM events
                 WHERE thread_id = $1::text::uuid AND kind = 'MESSAGE_CREATED' ORDER BY seq";
    let rows = sql
        .query(query, &[&thread_uuid(thread)])
        .await
        .expect("the log");
    rows.iter().map(|row| row.get(0)).collect()
}

/// The message that an event says was sent: its UUID.
fn created(event: &Value) -> Option<String> {
    (event["__typename"] == "MessageCreated")
        .then(|| message_uuid(event["message"]["id"].as_str().expect("an id")))
}

/// Writes a message as another process would, which tells no bus; answers its UUID.
async fn write_behind(sql: &Client, thread: &str, body: &str) -> String {
    let statement = "
        WITH t AS (
          UPDATE threads SET seq = seq + 1, clock_at = greatest(clock_at, now()),
            user_message_count = user_message_count + 1, last_message_at = now(),
            staff_message_at = now(), updated_at = now()
          WHERE id = $1::text::uuid RETURNING organization_id, id, seq, clock_at
        ), m AS (
          INSERT INTO messages (id, organization_id, thread_id, seq, place_at, place_seq, body,
            plaintext, status, created_at, sent_at)
          SELECT gen_random_uuid(), organization_id, id, seq, clock_at, seq, $2, $2, 'SENT',
            now(), clock_at FROM t
          RETURNING id, organization_id, thread_id, seq
        )
        INSERT INTO events (thread_id, seq, organization_id, kind, message_id, occurred_at)
        SELECT thread_id, seq, organization_id, 'MESSAGE_CREATED', id, now() FROM m
        RETURNING message_id::text";
    let row = sql
        .query_one(statement, &[&thread_uuid(thread), &body])
        .await;
    row.expect("the message is written").get(0)
}
