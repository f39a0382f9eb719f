//! Webhooks: who sets them up, what they are told of, and that nothing is missing from it.

mod asking;

mod log;

mod telling;

mod waiting;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::chatwoot::Support;
use crate::support::receiver::{Call, Receiver, Reply};
use crate::support::server::Server;
use crate::support::socket::eventually;
use crate::support::talk::Talk;
use crate::support::{Actor, Answer, Tenant, merge, unique};

const FIELDS: &str =
    "id externalId url events enabled missedAt createdAt updatedAt organization { id }";

/// A server that tells backends on this machine, again and again.
async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    let settings = [
        ["--delivery-networks", "127.0.0.0/8"],
        ["--delivery-concurrency", "64"],
        ["--delivery-timeout", "5000"],
        ["--delivery-backoff", "20"],
        ["--delivery-attempts", "20"],
        ["--event-retention", "off"],
    ];
    SERVER
        .get_or_init(|| Server::with_deliveries(settings.concat()))
        .await
}

/// A tenant there.
async fn tenant() -> Tenant {
    Tenant::at(server().await).await
}

/// Somebody with an API key for all of that server.
async fn root() -> Actor {
    let server = server().await;
    Actor::with(server, format!("Bearer {}", server.root_key))
}

/// A thread there.
async fn talk() -> Talk {
    Talk::of(tenant().await, json!({})).await
}

/// A desk there.
async fn support() -> Support {
    Support::of(tenant().await, &tenant().await).await
}

/// Sets a webhook, whatever comes of it: paths begin with `/webhook` and `/secret`.
async fn upsert(by: &Actor, input: Value) -> Answer {
    let selection = format!("webhook {{ {FIELDS} }} secret");
    by.mutate("upsertWebhook", input, &selection).await
}

/// A backend that answers as it is told to.
struct Backend {
    receiver: Receiver,
    status: Arc<AtomicU16>,
    taken: Arc<Mutex<Vec<Call>>>,
}

impl Backend {
    /// One that takes what it is sent.
    async fn new() -> Self {
        let (status, taken) = (
            Arc::new(AtomicU16::new(200)),
            Arc::<Mutex<Vec<Call>>>::default(),
        );
        let (now, kept) = (Arc::clone(&status), Arc::clone(&taken));
        let receiver = Receiver::new(move |call, _| {
            let status = now.load(Ordering::SeqCst);
            if status < 300 {
                kept.lock().expect("whole").push(call.clone());
            }
            Reply::Status(status)
        });
        Self {
            receiver: receiver.await,
            status,
            taken,
        }
    }

    /// Answers so from now on.
    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// What it was sent.
    fn calls(&self) -> Vec<Call> {
        self.receiver.calls()
    }

    /// What it has taken.
    fn taken(&self) -> Vec<Call> {
        self.taken.lock().expect("whole").clone()
    }
}

/// A webhook with its backend.
struct Hook {
    backend: Backend,
    by: Actor,
    organization: String,
    name: String,
    id: String,
    secret: String,
}

impl Hook {
    /// One that is told of all that happens in a tenant.
    async fn new(tenant: &Tenant) -> Self {
        Self::with(tenant, json!({})).await
    }

    /// The same with more to it.
    async fn with(tenant: &Tenant, input: Value) -> Self {
        let (name, backend) = (unique("hook"), Backend::new().await);
        let mut full = json!({
            "externalId": name, "organizationId": tenant.id, "url": backend.receiver.url(),
        });
        merge(&mut full, input);
        let made = upsert(&tenant.backend, full).await;
        Self {
            backend,
            by: tenant.backend.clone(),
            organization: tenant.id.clone(),
            name,
            id: made.text("/webhook/id"),
            secret: made.text("/secret"),
        }
    }

    /// Changes it: paths begin with `/webhook` and `/secret`.
    async fn change(&self, input: Value) -> Answer {
        let mut full = json!({ "externalId": self.name, "organizationId": self.organization });
        merge(&mut full, input);
        upsert(&self.by, full).await
    }

    /// What its backend has taken, in order, each once; all of it must be signed.
    fn told(&self) -> Vec<Value> {
        let mut known = HashSet::new();
        let taken = self.backend.taken();
        let new = taken.into_iter().filter(|call| {
            assert!(call.is_signed_with(&self.secret), "{}", call.raw);
            known.insert(call.id().to_owned())
        });
        new.map(|call| call.body).collect()
    }

    /// The same once something is among it.
    async fn until(&self, what: &str, last: impl Fn(&Value) -> bool) -> Vec<Value> {
        eventually(what, async || self.told().iter().any(&last)).await;
        self.told()
    }

    /// The same once a message with these words has come.
    async fn until_said(&self, words: &str) -> Vec<Value> {
        self.until(words, |event| body_of(event) == words).await
    }

    /// The messages of which it is told when these words have come.
    async fn words_until(&self, words: &str) -> Vec<String> {
        let told = self.until_said(words).await;
        let created = told
            .iter()
            .filter(|event| event["type"] == "message.created");
        created.map(|event| body_of(event).to_owned()).collect()
    }

    /// A page of its deliveries; paths begin with `/webhook/deliveries`.
    async fn log(&self, arguments: &str) -> Answer {
        let query = format!(
            "query($id: ID!) {{ webhook(id: $id) {{ deliveries{arguments} {{
               totalCount pageInfo {{ hasNextPage endCursor }}
               nodes {{
                 id event status attempts responseStatus error createdAt finishedAt lastAttemptAt
                 nextAttemptAt webhook {{ id }} inbox {{ id }} thread {{ id }} message {{ id body }}
               }}
             }} }} }}"
        );
        self.by.run(&query, json!({ "id": self.id })).await
    }
}

/// The types of events, in order.
fn kinds(told: &[Value]) -> Vec<&str> {
    told.iter()
        .map(|event| event["type"].as_str().expect("a type"))
        .collect()
}

/// The words of the message that was sent; else none.
fn body_of(event: &Value) -> &str {
    event["data"]["message"]["body"]
        .as_str()
        .unwrap_or_default()
}
