//! What each viewer has of a thread: unread, read, hidden, seen, delivered, subscribed.

mod lists;

mod marks;

mod subscribing;

use serde_json::{Value, json};

use crate::chatwoot::read_thread;
use crate::support::{Actor, Answer, Person, Tenant};

async fn set(by: &Actor, threads: &[&str], state: &str) -> Answer {
    let input = json!({ "threadIds": threads, "state": state });
    by.mutate(
        "updateThreadInboxState",
        input,
        "threads { id inboxState unreadCount }",
    )
    .await
}

async fn put(by: &Actor, thread: &str, state: &str) {
    let done = set(by, &[thread], state).await;
    assert_eq!(done.texts("/threads", "/inboxState"), [state]);
}

async fn mark(by: &Actor, field: &str, input: Value) -> Answer {
    by.mutate(field, input, "thread { id inboxState unreadCount }")
        .await
}

/// The threads of a list, oldest first, whose length is its total.
async fn listed(by: &Actor, filter: Value) -> Vec<String> {
    let query = "query($f: ThreadFilter) { threads(filter: $f, orderBy: CREATED_ASC) { totalCount nodes { id } } }";
    let list = by.run(query, json!({ "f": filter })).await;
    let ids = list.texts("/threads/nodes", "/id");
    assert_eq!(
        list.number("/threads/totalCount"),
        i64::try_from(ids.len()).expect("few")
    );
    ids
}

/// In how many threads how many messages are unread.
async fn unread(by: &Actor) -> (i64, i64) {
    let read = by
        .run(
            "{ viewer { unreadThreadCount unreadMessageCount } }",
            json!({}),
        )
        .await;
    (
        read.number("/viewer/unreadThreadCount"),
        read.number("/viewer/unreadMessageCount"),
    )
}

async fn state(by: &Actor, thread: &str) -> Value {
    read_thread(by, thread, "inboxState").await["inboxState"].clone()
}

/// Two members and a thread of theirs.
async fn pair() -> (Tenant, Person, Person, String) {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    (tenant, ada, bob, thread)
}
