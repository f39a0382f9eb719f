//! The way of messages out of an API inbox: to a backend in this process, by a server that may
//! call this machine.

mod guard;

mod kinds;

mod setup;

mod trouble;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::chatwoot::{follow, read, with, write};
use crate::support::receiver::{Call, Receiver, Reply};
use crate::support::server::Server;
use crate::support::socket::{Subscription, eventually};
use crate::support::{Answer, Person, Tenant, unique};

/// A desk with an API inbox that has a URL, and a thread in it.
pub struct Shop {
    pub tenant: Tenant,
    pub agent: Person,
    pub contact: Person,
    /// The inbox's externalId.
    pub inbox: String,
    /// The secret that was made for it.
    pub secret: String,
    pub thread: String,
}

impl Shop {
    /// At the server that delivers to this machine.
    pub async fn new(url: &str) -> Self {
        Self::at(Server::delivering().await, url).await
    }

    pub async fn at(server: &'static Server, url: &str) -> Self {
        let tenant = Tenant::at(server).await;
        let (agent, contact) = (tenant.agent("agent").await, tenant.contact("contact").await);
        let inbox = unique("inbox");
        let made = upsert(&tenant, &inbox, json!({ "webhookUrl": url })).await;
        let mut shop = Self {
            agent,
            contact,
            secret: made.text("/webhookSecret"),
            inbox,
            thread: String::new(),
            tenant,
        };
        shop.thread = shop.thread().await;
        shop
    }

    /// Another thread in the inbox.
    pub async fn thread(&self) -> String {
        let input = json!({
            "access": "AGENTS", "inboxId": self.inbox, "participantIds": [self.contact.id],
        });
        self.agent.open_thread(input).await
    }

    /// Changes the inbox.
    pub async fn change(&self, input: Value) -> Answer {
        upsert(&self.tenant, &self.inbox, input).await
    }

    /// Has what waits tried at once, as setting up the inbox does.
    pub async fn hurry(&self) {
        self.change(json!({})).await.at("");
    }

    /// Says something to the contact.
    pub async fn say(&self, body: &str) -> String {
        self.agent.say(&self.thread, body).await
    }

    /// Waits until a message has come so far; why it has failed, if it has.
    pub async fn until(&self, message: &str, status: &str) -> Value {
        let mut state = Value::Null;
        let what = format!("the message is {status}");
        eventually(&what, async || {
            state = read(&self.agent, message, "status deliveryError").await;
            state["status"] == status
        })
        .await;
        state["deliveryError"].clone()
    }

    /// Sends a message that has failed once more.
    pub async fn retry(&self, message: &str) -> Answer {
        let input = json!({ "messageId": message });
        self.agent
            .mutate("retryMessage", input, "message { status deliveryError }")
            .await
    }
}

/// Sets up an API inbox.
pub async fn upsert(tenant: &Tenant, name: &str, input: Value) -> Answer {
    let base = json!({
        "externalId": name, "organizationId": tenant.id, "name": "An inbox", "channel": "API",
    });
    let selection = "inbox { id webhookUrl } webhookSecret";
    let input = with(base, input);
    tenant.backend.mutate("upsertInbox", input, selection).await
}

/// How far a message has come, as it is told.
async fn progress(events: &mut Subscription) -> (Value, Value) {
    let event = events
        .until(|event| event["message"].is_object())
        .await
        .pop()
        .expect("an event");
    (
        event["__typename"].clone(),
        event["message"]["status"].clone(),
    )
}

#[tokio::test]
async fn an_outgoing_message_is_posted_and_sent_then() {
    let receiver = Receiver::taking().await;
    let shop = Shop::new(&receiver.url()).await;
    let mut events = follow(&shop.contact, &shop.thread, None).await;
    let input = json!({
        "body": "On its way", "externalId": "reply-1", "metadata": { "order": 17 },
        "content": [{ "type": "p", "children": [{ "text": "On its way" }] }],
    });
    let said = write(&shop.agent, &shop.thread, input, "id status").await;
    assert_eq!(said.text("/message/status"), "SENDING");
    let message = said.text("/message/id");
    let call = receiver.wait(1).await.remove(0);
    assert_eq!(call.header("content-type"), "application/json");
    let agent = concat!("Bobbin/", env!("CARGO_PKG_VERSION"));
    assert_eq!(call.header("user-agent"), agent);
    assert!(call.id().starts_with("dlv_"), "{}", call.id());
    assert!(call.is_signed_with(&shop.secret));
    assert!(!call.is_signed_with("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    assert_eq!(call.body["type"], "message.created");
    assert_eq!(call.body["timestamp"], *call.at("/occurredAt"));
    for (pointer, expected) in [
        ("/__typename", json!("MessageCreated")),
        ("/thread/id", json!(shop.thread)),
        ("/thread/inbox/externalId", json!(shop.inbox)),
        ("/thread/organization/externalId", json!(shop.tenant.name)),
        ("/actor/externalId", json!(shop.agent.external_id)),
        ("/message/id", json!(message)),
        ("/message/externalId", json!("reply-1")),
        ("/message/body", json!("On its way")),
        ("/message/content/0/type", json!("p")),
        ("/message/metadata", json!({ "order": 17 })),
        ("/message/direction", json!("OUTGOING")),
        ("/message/status", json!("SENDING")),
        ("/message/private", json!(false)),
        ("/message/sender/id", json!(shop.agent.id)),
    ] {
        assert_eq!(*call.at(pointer), expected, "{pointer}");
    }
    shop.until(&message, "SENT").await;
    for expected in [("MessageCreated", "SENDING"), ("MessageUpdated", "SENT")] {
        let told = progress(&mut events).await;
        assert_eq!(told, (json!(expected.0), json!(expected.1)));
    }
    let state = read(&shop.agent, &message, "updatedAt deliveryError").await;
    assert_eq!(state, json!({ "updatedAt": null, "deliveryError": null }));
    // The same call again is the same message, and goes out no second time.
    let again = json!({
        "body": "On its way", "externalId": "reply-1", "metadata": { "order": 17 },
        "content": [{ "type": "p", "children": [{ "text": "On its way" }] }],
    });
    let again = write(&shop.agent, &shop.thread, again, "id").await;
    assert_eq!(again.text("/message/id"), message);
    let last = shop.say("The last").await;
    shop.until(&last, "SENT").await;
    assert_eq!(receiver.words(), ["On its way", "The last"]);
    // Where it stands is a place in the thread's log.
    let cursor = call.at("/cursor").as_str().expect("a cursor").to_owned();
    let mut events = shop.agent.follow_thread(&shop.thread, Some(&cursor)).await;
    let updated = |event: &Value| event["__typename"] == "MessageUpdated";
    let heard = events.until(updated).await;
    let created = |event: &&Value| event["__typename"] == "MessageCreated";
    assert_eq!(heard.iter().find(created), None);
}

#[tokio::test]
async fn what_follows_in_a_thread_waits_for_what_failed_and_other_threads_do_not() {
    let receiver = Receiver::new(|call, _| match call.words().as_str() {
        "stuck" => Reply::Status(500),
        _ => Reply::Status(204),
    })
    .await;
    let shop = Shop::new(&receiver.url()).await;
    let stuck = shop.say("stuck").await;
    let behind = shop.say("behind").await;
    let elsewhere = shop.thread().await;
    let other = shop.agent.say(&elsewhere, "elsewhere").await;
    shop.until(&other, "SENT").await;
    shop.until(&stuck, "FAILED").await;
    shop.until(&behind, "SENT").await;
    let words = receiver.words();
    let of_thread: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|words| *words != "elsewhere")
        .collect();
    assert_eq!(of_thread, ["stuck", "stuck", "stuck", "stuck", "behind"]);
}

#[tokio::test]
async fn a_hanging_target_leaves_room_for_others() {
    let hanging = Receiver::new(|_, _| Reply::Hang).await;
    let stuck = Shop::new(&hanging.url()).await;
    let threads = 20;
    for _ in 0..threads {
        let thread = stuck.thread().await;
        stuck.agent.say(&thread, "stuck").await;
    }
    hanging.wait(8).await;
    let receiver = Receiver::taking().await;
    let shop = Shop::new(&receiver.url()).await;
    let began = Instant::now();
    for number in 0..5 {
        let message = shop.say(&number.to_string()).await;
        shop.until(&message, "SENT").await;
    }
    // Of 32 slots one target has a quarter.
    assert!(began.elapsed() < Duration::from_secs(3));
    assert!((8..16).contains(&hanging.most_open()));
}

#[tokio::test]
async fn the_edited_words_are_sent_and_deleted_ones_are_not() {
    let receiver = Receiver::new(|call, _| match call.words().as_str() {
        "new words" => Reply::Status(200),
        _ => later(3600),
    })
    .await;
    let shop = Shop::new(&receiver.url()).await;
    let message = shop.say("old words").await;
    receiver.wait(1).await;
    let edit = json!({ "messageId": message, "body": "new words" });
    shop.agent
        .mutate("updateMessage", edit, "message { id }")
        .await
        .at("");
    shop.hurry().await;
    shop.until(&message, "SENT").await;
    let calls = receiver.calls();
    assert_eq!(receiver.words(), ["old words", "new words"]);
    assert_eq!(calls[0].id(), calls[1].id());

    let deleted = shop.say("never mind").await;
    receiver.wait(3).await;
    let input = json!({ "messageId": deleted });
    shop.agent
        .mutate("deleteMessage", input.clone(), "deletedMessageId")
        .await
        .at("");
    shop.hurry().await;
    let reason = shop.until(&deleted, "FAILED").await;
    let reason = reason.as_str().expect("a reason");
    assert!(reason.contains("deleted"), "{reason}");
    assert_eq!(receiver.calls().len(), 3);
    // Deleted for good: nothing is left to tell of it, and what follows goes on.
    let gone = shop.say("gone").await;
    receiver.wait(4).await;
    let behind = shop.say("new words").await;
    let input = json!({ "messageId": gone, "permanently": true });
    shop.tenant
        .backend
        .mutate("deleteMessage", input, "deletedMessageId")
        .await
        .at("");
    shop.hurry().await;
    shop.until(&behind, "SENT").await;
    assert_eq!(receiver.words()[3..], ["gone", "new words"]);
}

#[tokio::test]
async fn the_other_side_says_when_to_come_again() {
    let receiver = Receiver::new(|_, before| match before {
        0 => later(1),
        _ => Reply::Status(200),
    })
    .await;
    let shop = Shop::new(&receiver.url()).await;
    let message = shop.say("Hello").await;
    shop.until(&message, "SENT").await;
    let calls = receiver.calls();
    assert!(calls[1].at - calls[0].at >= Duration::from_millis(900));
}

#[tokio::test]
async fn what_is_reported_meanwhile_stays() {
    let receiver = Receiver::new(|_, before| match before {
        0 => later(3600),
        _ => Reply::Status(200),
    })
    .await;
    let shop = Shop::new(&receiver.url()).await;
    let message = shop.say("Hello").await;
    receiver.wait(1).await;
    let report = json!({ "messageId": message, "status": "DELIVERED" });
    shop.tenant
        .backend
        .mutate("updateMessageStatus", report, "message { id }")
        .await
        .at("");
    let last = shop.say("Last").await;
    shop.hurry().await;
    shop.until(&last, "SENT").await;
    assert_eq!(receiver.words(), ["Hello", "Hello", "Last"]);
    let state = read(&shop.agent, &message, "status").await;
    assert_eq!(state["status"], "DELIVERED");
}

#[tokio::test]
async fn attempts_are_counted() {
    let receiver = Receiver::new(|_, before| match before {
        0 => Reply::Status(500),
        _ => Reply::Slow(Duration::from_millis(100), 200),
    })
    .await;
    let shop = Shop::new(&receiver.url()).await;
    let message = shop.say("Hello").await;
    shop.until(&message, "SENT").await;
    let server = Server::delivering().await;
    let shown = server.http.get(server.url("/metrics")).send().await;
    let shown = shown.expect("an answer").text().await.expect("a text");
    for outcome in ["delivered", "retried"] {
        let series = format!("bobbin_webhook_attempts_total{{outcome=\"{outcome}\"}} ");
        let line = shown.lines().find_map(|line| line.strip_prefix(&series));
        let count: f64 = line.expect("a series").parse().expect("a number");
        assert!(count >= 1.0, "{outcome}: {count}");
    }
    assert!(shown.contains("bobbin_webhook_duration_seconds_count"));
}

/// The ids of some calls.
fn ids(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(Call::id).collect()
}

/// Asks to come again after so many seconds.
fn later(seconds: u32) -> Reply {
    Reply::With(
        503,
        vec![("retry-after", seconds.to_string())],
        String::new(),
    )
}
