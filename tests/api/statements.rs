//! How many SQL statements a document takes: as many for fifty messages as for one.

use serde_json::{Value, json};

use crate::support::files::File;
use crate::support::server::Server;
use crate::support::statements::{note, taken};
use crate::support::{Actor, Answer, Person, Tenant};

/// The list of threads at the left of a chat, with what it shows of each.
const THREADS: &str = "query($n: Int!) {
  threads(first: $n) {
    totalCount pageInfo { hasNextPage }
    edges { cursor node {
      id number subject cursor unreadCount inboxState subscribed canPost typing: lastMessageAt
      organization { name } creator { name email } inbox { name }
      participants(first: 5) { totalCount edges {
        subscribed lastSeenAt node { name email } lastSeenMessage { id body sender { name } } deliveredMessage { id }
      } }
      firstMessage { id } latestMessage { id body sender { name } } firstUnreadMessage { id sender { name } }
      messages(last: 5) { totalCount nodes { id body sender { name } reactionGroups { emoji count } } }
    } }
  }
}";

/// Every field of a message.
const MESSAGE: &str = "fragment M on Message {
  id externalId type contentType body bodyHtml plaintext content contentAttributes submittedValues direction
  deliveryError private status url iconUrl extraClassnames metadata createdAt sentAt updatedAt deletedAt cursor
  canEdit canDelete
  thread { id subject unreadCount } organization { name } sender { name email }
  reactions { emoji user { name } } reactionGroups { emoji count viewerHasReacted users { name } }
  seenBy { name } seenByCount deliveredTo { name } mentions { name }
  revisions { body editor { name } } german: translation(language: \"de\") { body } french: translation(language: \"fr\") { body }
  replyTo { id body sender { name } }
  attachments { id createdAt message { id } file { name url urlExpiresAt } ... on ImageAttachment { width } }
}";

#[tokio::test]
async fn a_list_of_threads_takes_as_many_statements_for_fifty_as_for_one() {
    let here = Here::new().await;
    let mut counts = Vec::new();
    for n in [1, 10, 50] {
        let asked = here.count(THREADS, json!({ "n": n }), "/data/threads/edges", n);
        counts.push(asked.await);
    }
    assert_same(&counts);
}

#[tokio::test]
async fn a_thread_takes_as_many_statements_for_fifty_messages_as_for_one() {
    let here = Here::new().await;
    let query = format!(
        "query($id: ID!, $n: Int!) {{ thread(id: $id) {{ id subject messages(last: $n) {{
           totalCount pageInfo {{ hasPreviousPage }} edges {{ cursor node {{ ...M }} }} }} }} }} {MESSAGE}"
    );
    let mut counts = Vec::new();
    for n in [1, 10, 50] {
        let variables = json!({ "id": here.thread, "n": n });
        let asked = here.count(&query, variables, "/data/thread/messages/edges", n);
        counts.push(asked.await);
    }
    assert_same(&counts);
}

#[tokio::test]
async fn lists_over_all_threads_take_as_many_statements_for_fifty_as_for_one() {
    let here = Here::new().await;
    let messages = format!(
        "query($n: Int!) {{ messages(first: $n, orderBy: SENT_DESC) {{ totalCount nodes {{ ...M }} }} }} {MESSAGE}"
    );
    let drafts = format!(
        "query($n: Int!) {{ viewer {{ drafts(first: $n) {{ totalCount nodes {{ ...M }} }} }} }} {MESSAGE}"
    );
    for (query, list) in [
        (&messages, "/data/messages/nodes"),
        (&drafts, "/data/viewer/drafts/nodes"),
    ] {
        let mut counts = Vec::new();
        for n in [1, 10, 50] {
            counts.push(here.count(query, json!({ "n": n }), list, n).await);
        }
        assert_same(&counts);
    }
}

#[tokio::test]
async fn nodes_take_as_many_statements_for_fifty_ids_as_for_one_of_each_type() {
    let here = Here::new().await;
    let query = format!(
        "query($ids: [ID!]!) {{ nodes(ids: $ids) {{ __typename id
           ... on User {{ name email }} ... on Thread {{ subject unreadCount }} ... on Organization {{ name }}
           ... on Message {{ ...M }} ... on Inbox {{ name }}
           ... on Attachment {{ message {{ id sender {{ name }} }} file {{ name url }} }} }} }} {MESSAGE}"
    );
    let mut counts = Vec::new();
    for n in [1, 4, 16] {
        let mut ids = vec![here.tenant.id.clone(), here.inbox.clone()];
        ids.extend(here.threads.iter().take(n).cloned());
        ids.extend(here.messages.iter().rev().take(n).cloned());
        ids.extend(here.people.iter().take(n).map(|person| person.id.clone()));
        ids.extend(here.files.iter().take(n).cloned());
        let many = ids.len();
        let asked = here.count(&query, json!({ "ids": ids }), "/data/nodes", many);
        counts.push(asked.await);
    }
    assert_same(&counts);
}

#[tokio::test]
async fn who_is_asking_takes_few_statements() {
    let here = Here::new().await;
    let query = "{ viewer { cursor unreadThreadCount unreadMessageCount user { name email } organization { name }
      memberships { role organization { name externalId } } } }";
    let asked = here
        .count(query, json!({}), "/data/viewer/memberships", 1)
        .await;
    // Four for the credential; the totals once for both, the user, the organization once for both.
    assert!(asked.len() <= 7, "{}", asked.join("\n"));
}

/// A tenant with plenty of everything, looked at through a server on the test's own thread.
struct Here {
    tenant: Tenant,
    agent: Actor,
    people: Vec<Person>,
    inbox: String,
    threads: Vec<String>,
    /// With sixty messages.
    thread: String,
    messages: Vec<String>,
    files: Vec<String>,
}

impl Here {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let agent = tenant.agent("ada").await.actor();
        let mut people = Vec::new();
        for number in 0..16 {
            people.push(tenant.member(&format!("p{number}")).await);
        }
        let input = json!({
            "externalId": "inbox", "organizationId": tenant.id, "name": "Inbox", "channel": "WEB",
        });
        let backend = &tenant.backend;
        let inbox = backend.mutate("upsertInbox", input, "inbox { id }").await;
        let mut here = Self {
            inbox: inbox.text("/inbox/id"),
            agent,
            tenant,
            people,
            threads: Vec::new(),
            thread: String::new(),
            messages: Vec::new(),
            files: Vec::new(),
        };
        for number in 0..56 {
            here.open(number).await;
        }
        here.thread = here.threads[0].clone();
        for number in 0..60 {
            here.say(number).await;
        }
        for number in 0..here.people.len() {
            let (user, message) = (here.id(number), &here.messages[number * 3]);
            let seen = json!({ "threadId": here.thread, "userId": user, "messageId": message });
            for field in ["markThreadSeen", "markThreadDelivered"] {
                here.backend(field, seen.clone(), "thread { id }").await;
            }
        }
        note();
        here.agent = here.agent.at(Server::other(&[]).await);
        here
    }

    /// The id of one of the people, who take turns.
    fn id(&self, number: usize) -> &str {
        &self.people[number % self.people.len()].id
    }

    async fn backend(&self, field: &str, input: Value, selection: &str) -> Answer {
        let done = self.tenant.backend.mutate(field, input, selection).await;
        done.at("");
        done
    }

    async fn open(&mut self, number: usize) {
        let people = [self.id(number), self.id(number + 5), self.id(number + 9)];
        let input = json!({
            "subject": format!("Thread {number}"), "access": "AGENTS", "inboxId": self.inbox,
            "participantIds": people, "message": { "body": "First", "senderId": people[0] },
        });
        let thread = self.tenant.backend.open_thread(input).await;
        let seen = json!({ "threadId": thread, "userId": people[1] });
        self.backend("markThreadSeen", seen, "thread { id }").await;
        // The first one has what was sent alone.
        if number > 0 {
            let draft = json!({ "threadId": thread, "body": "Draft", "status": "DRAFT" });
            let draft = self.agent.mutate("createMessage", draft, "message { id }");
            draft.await.at("/message");
        }
        self.threads.push(thread);
    }

    /// Says something that has all that a message can have.
    async fn say(&mut self, number: usize) {
        let input = json!({
            "threadId": self.thread, "senderId": self.id(number % 3 * 5 + number % 2),
            "replyToId": self.messages.last(), "body": format!("Message {number}"),
            "reactions": [
                { "emoji": "+1", "userId": self.id(number) },
                { "emoji": "-1", "userId": self.id(number + 1) },
            ],
        });
        let said = self.backend("createMessage", input, "message { id }").await;
        let message = said.text("/message/id");
        let file = File::text(&format!("{number}.txt"));
        for _ in 0..number % 3 {
            let on_it = json!({ "messageId": message });
            let uploaded = self.tenant.backend.upload(&file, on_it).await;
            self.files.push(uploaded.text("/attachment/id"));
        }
        let mention = json!({
            "type": "mention", "user": { "id": self.id(number) }, "children": [{ "text": "@p" }],
        });
        let words = json!([{ "type": "p", "children": [{ "text": "For " }, mention] }]);
        let edit = json!({ "messageId": message, "content": words });
        self.backend("updateMessage", edit, "message { id }").await;
        self.messages.push(message);
    }

    /// The statements of a document, which must find so many.
    async fn count(&self, query: &str, variables: Value, list: &str, many: usize) -> Vec<String> {
        // Once before, so that what a server learns at its first request does not count.
        self.agent.run(query, variables.clone()).await;
        taken();
        let answer = self.agent.run(query, variables).await;
        assert!(answer.body.get("errors").is_none(), "{:#}", answer.body);
        let found = answer.body.pointer(list).and_then(Value::as_array);
        let found = found.unwrap_or_else(|| panic!("nothing at {list}: {:#}", answer.body));
        assert_eq!(found.len(), many, "{list}");
        let statements = taken();
        assert!(!statements.is_empty(), "the statements are noted down");
        statements
    }
}

#[track_caller]
fn assert_same(counts: &[Vec<String>]) {
    let numbers: Vec<usize> = counts.iter().map(Vec::len).collect();
    if numbers.iter().all(|number| *number == numbers[0]) {
        return;
    }
    let mut shown = String::new();
    for statements in counts {
        shown += &format!("\n{} statements:", statements.len());
        for statement in statements {
            let start: String = statement.chars().take(150).collect();
            let end: String = statement.chars().rev().take(150).collect();
            let end: String = end.chars().rev().collect();
            shown += &format!("\n  {start} ... {end}");
        }
    }
    panic!("{numbers:?} statements{shown}");
}
