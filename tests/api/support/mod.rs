//! Actors with verbs: a tenant, its people and its backend, over HTTP and WebSocket.

pub mod answer;

pub mod files;
pub mod receiver;

pub mod server;

pub mod socket;

pub mod statements;

pub mod talk;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

pub use self::answer::Answer;
use self::server::Server;
use self::socket::Subscription;

/// Asks for the whole schema.
pub const INTROSPECTION: &str = "{ __schema {
    queryType { name } mutationType { name } subscriptionType { name }
    types {
      kind name description specifiedByURL
      fields(includeDeprecated: true) { name description type { ...T } args { name description type { ...T } } }
      inputFields { name description type { ...T } }
      enumValues(includeDeprecated: true) { name description }
      interfaces { name } possibleTypes { name }
    }
  } }
  fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }";

/// What `Actor::follow_thread` follows.
pub const THREAD_EVENTS: &str = "subscription($id: ID!, $after: String) {
    threadEvents(threadId: $id, after: $after) {
      __typename cursor occurredAt actor { name }
      ... on MessageCreated { message { id body status deletedAt private attachments { file { name uploadStatus } } } }
      ... on MessageUpdated { message { id body deletedAt reactions { emoji user { name } } } }
      ... on MessageRemoved { messageId }
      ... on ParticipantAdded { user { name } }
      ... on ParticipantRemoved { user { name } }
      ... on ThreadSeen { user { name } upTo { id body } }
      ... on TypingChanged { typing { name } }
      ... on PresenceChanged { user { name online } online }
      ... on ResyncRequired { reason }
    }
  }";

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A name that no other test uses.
pub fn unique(prefix: &str) -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{}-{number}", std::process::id())
}

/// An organization of its own for a test.
pub struct Tenant {
    /// Its externalId.
    pub name: String,
    /// Its id.
    pub id: String,
    /// A backend with an API key that is bound to it.
    pub backend: Actor,
    server: &'static Server,
}

impl Tenant {
    pub async fn new() -> Self {
        Self::at(Server::get().await).await
    }

    /// One at another server, which has another database.
    pub async fn at(server: &'static Server) -> Self {
        let name = unique("org");
        let root = Actor::with(server, format!("Bearer {}", server.root_key));
        let id = root
            .run(
                "mutation($name: String!) { upsertOrganization(input: {externalId: $name, name: $name}) { organization { id } } }",
                json!({ "name": name }),
            )
            .await
            .text("/upsertOrganization/organization/id");
        let key = server.key(Some(&name)).await;
        Self {
            backend: Actor::with(server, format!("Bearer {key}")),
            name,
            id,
            server,
        }
    }

    pub async fn admin(&self, name: &str) -> Person {
        self.person(name, "ADMIN").await
    }

    pub async fn agent(&self, name: &str) -> Person {
        self.person(name, "AGENT").await
    }

    pub async fn member(&self, name: &str) -> Person {
        self.person(name, "MEMBER").await
    }

    pub async fn contact(&self, name: &str) -> Person {
        self.person(name, "CONTACT").await
    }

    /// A person with a newer token, which names another role.
    pub async fn again(&self, person: &Person, role: &str) -> Actor {
        let token = self.server.token(json!({
            "sub": person.external_id, "org": self.name, "role": role, "iat": server::now() + 1.0,
        }));
        Actor::with(self.server, format!("Bearer {token}"))
    }

    /// A person with a token of a day, which is bound to the tenant.
    pub async fn person(&self, name: &str, role: &str) -> Person {
        let external_id = unique(name);
        let token = self.server.token(json!({
            "sub": external_id, "org": self.name, "role": role, "name": name,
            "email": format!("{external_id}@example.com"),
        }));
        let actor = Actor::with(self.server, format!("Bearer {token}"));
        // The first use of the token makes the person.
        let id = actor
            .run("{ viewer { user { id } } }", json!({}))
            .await
            .text("/viewer/user/id");
        Person {
            id,
            external_id,
            token,
            actor,
        }
    }
}

/// Somebody with a token.
pub struct Person {
    pub id: String,
    pub external_id: String,
    pub token: String,
    actor: Actor,
}

impl Person {
    /// The person as a mere actor, to be moved about.
    pub fn actor(&self) -> Actor {
        self.actor.clone()
    }
}

impl std::ops::Deref for Person {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.actor
    }
}

/// Somebody with a credential, or with none.
#[derive(Clone)]
pub struct Actor {
    server: &'static Server,
    authorization: Option<String>,
}

impl Actor {
    /// Somebody with this Authorization header.
    pub fn with(server: &'static Server, authorization: String) -> Self {
        Self {
            server,
            authorization: Some(authorization),
        }
    }

    /// Nobody.
    pub async fn nobody() -> Self {
        Self {
            server: Server::get().await,
            authorization: None,
        }
    }

    /// Somebody with an API key for the whole server.
    pub async fn root() -> Self {
        let server = Server::get().await;
        Self::with(server, format!("Bearer {}", server.root_key))
    }

    /// The same one, at another server.
    pub fn at(&self, server: &'static Server) -> Self {
        Self {
            server,
            authorization: self.authorization.clone(),
        }
    }

    /// The Authorization header.
    pub fn authorization(&self) -> &str {
        self.authorization.as_deref().unwrap_or_default()
    }

    /// Executes a document over HTTP, whatever comes of it.
    pub async fn run(&self, query: &str, variables: Value) -> Answer {
        let mut request = self
            .server
            .http
            .post(self.server.url("/graphql"))
            .json(&json!({ "query": query, "variables": variables }));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let response = request.send().await.expect("the server answers");
        let status = response.status().as_u16();
        let body = response.json().await.expect("the answer is JSON");
        Answer::new(status, body)
    }

    /// Executes a mutation with one input, and takes the payload.
    pub async fn mutate(&self, field: &str, input: Value, selection: &str) -> Answer {
        let kind = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
        let query =
            format!("mutation($input: {kind}!) {{ {field}(input: $input) {{ {selection} }} }}");
        self.run(&query, json!({ "input": input }))
            .await
            .under(field)
    }

    /// Opens a thread, and answers its id.
    pub async fn open_thread(&self, input: Value) -> String {
        let mut full = json!({ "subject": "A subject" });
        merge(&mut full, input);
        self.mutate("createThread", full, "thread { id }")
            .await
            .text("/thread/id")
    }

    /// Sends a message with a body, and answers its id.
    pub async fn say(&self, thread: &str, body: &str) -> String {
        self.mutate(
            "createMessage",
            json!({ "threadId": thread, "body": body }),
            "message { id }",
        )
        .await
        .text("/message/id")
    }

    /// Opens a socket and follows a subscription on it.
    pub async fn follow(&self, query: &str, variables: Value) -> Subscription {
        Subscription::open(self.server, self.authorization(), query, variables).await
    }

    /// Follows a thread, with the fields that tests look at.
    pub async fn follow_thread(&self, thread: &str, after: Option<&str>) -> Subscription {
        self.follow(THREAD_EVENTS, json!({ "id": thread, "after": after }))
            .await
    }
}

/// Puts the fields of one object into another one.
pub fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
