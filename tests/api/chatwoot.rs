//! What users of Chatwoot are used to: one test for each row of that table of the map.

mod content;

mod delivery;

mod files;

mod forms;

mod messages;

mod private;

mod translation;

use serde_json::{Value, json};

use crate::support::socket::Subscription;
use crate::support::{Actor, Answer, Person, Tenant, merge, unique};

/// Every event, with what tests look at.
const EVENTS: &str = "subscription($id: ID!, $after: String) {
    threadEvents(threadId: $id, after: $after) {
      __typename cursor actor { name }
      ... on MessageCreated { message { ...Told } }
      ... on MessageUpdated { message { ...Told } }
      ... on MessageAppended { messageId text offset }
      ... on MessageRemoved { messageId }
      ... on ThreadDeleted { threadId }
      ... on ParticipantAdded { user { name } }
      ... on ParticipantRemoved { user { name } }
      ... on ThreadSeen { user { name } upTo { id body } }
      ... on ThreadDelivered { user { name } upTo { id body } }
      ... on ResyncRequired { reason }
    }
  }
  fragment Told on Message {
    id body status direction deliveryError submittedValues contentType contentAttributes
    deletedAt private sender { name }
  }";

/// A desk: its people, its backend, an inbox of each channel.
pub struct Support {
    pub tenant: Tenant,
    pub agent: Person,
    pub admin: Person,
    pub member: Person,
    pub contact: Person,
    /// Somebody of another organization, an admin there.
    pub outsider: Person,
    pub web: String,
    pub api: String,
}

impl Support {
    pub async fn new() -> Self {
        Self::of(Tenant::new().await, &Tenant::new().await).await
    }

    /// The desk of a tenant, and somebody of another one.
    pub async fn of(tenant: Tenant, other: &Tenant) -> Self {
        let web = inbox(&tenant.backend, &tenant, "WEB").await;
        let api = inbox(&tenant.backend, &tenant, "API").await;
        Self {
            agent: tenant.agent("agent").await,
            admin: tenant.admin("admin").await,
            member: tenant.member("member").await,
            contact: tenant.contact("contact").await,
            outsider: other.admin("outsider").await,
            tenant,
            web,
            api,
        }
    }

    /// A thread of an agent, a member and a contact, which admins see too.
    pub async fn thread(&self, inbox: Option<&str>) -> String {
        let people = json!([self.contact.id, self.member.id]);
        let input = json!({ "access": "AGENTS", "inboxId": inbox, "participantIds": people });
        self.agent.open_thread(input).await
    }

    /// The backend, which has an API key.
    pub fn backend(&self) -> &Actor {
        &self.tenant.backend
    }
}

/// A new inbox's id.
pub async fn inbox(by: &Actor, tenant: &Tenant, channel: &str) -> String {
    let input = json!({
        "externalId": unique("inbox"), "organizationId": tenant.id, "name": "An inbox",
        "channel": channel,
    });
    by.mutate("upsertInbox", input, "inbox { id }")
        .await
        .text("/inbox/id")
}

/// One object with the fields of another one.
pub fn with(mut base: Value, more: Value) -> Value {
    merge(&mut base, more);
    base
}

/// Writes a message, whatever comes of it, and selects some fields of it.
pub async fn write(by: &Actor, thread: &str, input: Value, fields: &str) -> Answer {
    let input = with(json!({ "threadId": thread }), input);
    by.mutate("createMessage", input, &format!("message {{ {fields} }}"))
        .await
}

/// Writes a message that must be taken, and answers its id.
pub async fn wrote(by: &Actor, thread: &str, input: Value) -> String {
    write(by, thread, input, "id").await.text("/message/id")
}

/// What somebody reads of a message.
pub async fn read(by: &Actor, message: &str, fields: &str) -> Value {
    let query = format!("query($id: ID!) {{ message(id: $id) {{ {fields} }} }}");
    by.run(&query, json!({ "id": message }))
        .await
        .at("/message")
}

/// What somebody reads of a thread.
pub async fn read_thread(by: &Actor, thread: &str, fields: &str) -> Value {
    let query = format!("query($id: ID!) {{ thread(id: $id) {{ {fields} }} }}");
    by.run(&query, json!({ "id": thread })).await.at("/thread")
}

/// Follows a thread, with every kind of event.
pub async fn follow(by: &Actor, thread: &str, after: Option<&str>) -> Subscription {
    by.follow(EVENTS, json!({ "id": thread, "after": after }))
        .await
}

/// The paths of the fields at fault, sorted.
#[track_caller]
pub fn faults(answer: &Answer) -> Vec<String> {
    let mut paths = answer.faults();
    paths.sort();
    paths
}
