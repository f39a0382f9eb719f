//! A thread of two members, with the verbs that tests of messages use most.

use serde_json::{Value, json};

use super::socket::Subscription;
use super::{Actor, Answer, Person, Tenant, merge, unique};

/// What tests look at in a message.
const MESSAGE: &str =
    "id externalId type contentType status private body bodyHtml content plaintext
    url iconUrl extraClassnames metadata createdAt sentAt updatedAt deletedAt canEdit canDelete
    thread { id } organization { id } sender { id name } replyTo { body } mentions { name }
    reactions { emoji createdAt user { name } } seenBy { name } seenByCount";

/// What tests look at in a thread.
const THREAD: &str = "id number subject url metadata access updatedAt lastMessageAt resolved resolvedAt
    messageCount userMessageCount actionMessageCount deletedMessageCount
    firstMessage { id body } latestMessage { id body } firstUnreadMessage { id body }
    inboxState unreadCount subscribed canPost organization { id } creator { name }
    participants { totalCount edges { subscribed lastSeenAt lastSeenMessage { body } node { name } } }
    messages(first: 100) { totalCount nodes { id type body plaintext status deletedAt sentAt sender { name } } }";

/// A tenant with a thread that Ada opened, in which Bob takes part.
pub struct Talk {
    pub tenant: Tenant,
    pub ada: Person,
    pub bob: Person,
    pub thread: String,
}

impl Talk {
    pub async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// The same of a thread with more to it.
    pub async fn with(input: Value) -> Self {
        Self::of(Tenant::new().await, input).await
    }

    /// The same of a tenant.
    pub async fn of(tenant: Tenant, input: Value) -> Self {
        let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
        let thread = ada
            .open_thread(plus(json!({ "participantIds": [bob.id] }), input))
            .await;
        Self {
            tenant,
            ada,
            bob,
            thread,
        }
    }

    /// Writes a message into the thread, whatever comes of it.
    pub async fn post(&self, by: &Actor, input: Value) -> Answer {
        post(by, plus(json!({ "threadId": self.thread }), input)).await
    }

    /// Writes a message into the thread, and answers its id.
    pub async fn posted(&self, by: &Actor, input: Value) -> String {
        self.post(by, input).await.text("/message/id")
    }

    /// Keeps a draft, and answers its id.
    pub async fn drafted(&self, by: &Actor, input: Value) -> String {
        self.posted(by, plus(json!({ "status": "DRAFT" }), input))
            .await
    }

    /// Adds somebody, as Ada.
    pub async fn admit(&self, person: &Person) {
        let input = json!({ "threadId": self.thread, "userIds": [person.id] });
        self.ada
            .mutate("addParticipants", input, "thread { id }")
            .await
            .text("/thread/id");
    }

    /// Changes the thread, whatever comes of it.
    pub async fn change(&self, by: &Actor, input: Value) -> Answer {
        let input = plus(json!({ "threadId": self.thread }), input);
        by.mutate("updateThread", input, &format!("thread {{ {THREAD} }}"))
            .await
    }

    /// Reads the thread: paths begin with `/thread`.
    pub async fn look(&self, by: &Actor) -> Answer {
        look(by, &self.thread).await
    }

    /// The words of the thread's messages, in order.
    pub async fn words(&self, by: &Actor) -> Vec<String> {
        let read = self.look(by).await;
        read.texts("/thread/messages/nodes", "/plaintext")
    }

    /// Follows the thread.
    pub async fn follow(&self, by: &Actor) -> Subscription {
        by.follow_thread(&self.thread, None).await
    }

    /// Says something that ends what subscribers are asked for: see `before`.
    pub async fn mark(&self) -> String {
        let mark = unique("mark");
        self.ada.say(&self.thread, &mark).await;
        mark
    }
}

/// Writes a message, whatever comes of it: paths begin with `/message`.
pub async fn post(by: &Actor, input: Value) -> Answer {
    by.mutate("createMessage", input, &format!("message {{ {MESSAGE} }}"))
        .await
}

/// Changes a message, whatever comes of it: paths begin with `/message`.
pub async fn edit(by: &Actor, message: &str, input: Value) -> Answer {
    let input = plus(json!({ "messageId": message }), input);
    by.mutate("updateMessage", input, &format!("message {{ {MESSAGE} }}"))
        .await
}

/// Does what takes nothing but a message: paths begin with `/message`.
pub async fn act(by: &Actor, field: &str, message: &str) -> Answer {
    let input = json!({ "messageId": message });
    by.mutate(field, input, &format!("message {{ {MESSAGE} }}"))
        .await
}

/// Reads a message: paths begin with `/message`.
pub async fn read(by: &Actor, message: &str) -> Answer {
    let query = format!("query($id: ID!) {{ message(id: $id) {{ {MESSAGE} }} }}");
    by.run(&query, json!({ "id": message })).await
}

/// Reads a thread: paths begin with `/thread`.
pub async fn look(by: &Actor, thread: &str) -> Answer {
    let query = format!("query($id: ID!) {{ thread(id: $id) {{ {THREAD} }} }}");
    by.run(&query, json!({ "id": thread })).await
}

/// What a subscriber has heard before that mark.
pub async fn before(mark: &str, events: &mut Subscription) -> Vec<Value> {
    let mut heard = events.until(|event| event["message"]["body"] == mark).await;
    heard.pop();
    heard
}

/// The kinds of events.
pub fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| &event["__typename"]);
    kinds.map(|kind| kind.as_str().expect("a type")).collect()
}

/// An input with more in it.
pub fn plus(mut base: Value, more: Value) -> Value {
    merge(&mut base, more);
    base
}
