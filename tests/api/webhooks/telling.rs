//! What webhooks are told: all that an API key sees, each event once, in order, as it is now.

use serde_json::{Value, json};

use super::{Hook, body_of, kinds, root, talk, tenant};
use crate::chatwoot::with;
use crate::support::talk::Talk;
use crate::support::{Actor, unique};

const EVERYTHING: &str = "subscription { viewerEvents {
    __typename thread { id } actor { name }
    ... on MessageCreated { message { id body } } ... on MessageUpdated { message { id } }
    ... on MessageAppended { messageId text offset } ... on MessageRemoved { messageId }
    ... on ThreadDeleted { threadId }
    ... on ParticipantAdded { user { name } } ... on ParticipantRemoved { user { name } }
    ... on ThreadSeen { user { name } upTo { id } }
    ... on ThreadDelivered { user { name } upTo { id } }
  } }";

const ALL: [&str; 11] = [
    "message.appended",
    "message.created",
    "message.removed",
    "message.updated",
    "participant.added",
    "participant.removed",
    "thread.created",
    "thread.deleted",
    "thread.delivered",
    "thread.seen",
    "thread.updated",
];

/// What tells an event from others, whoever told it.
fn gist(event: &Value) -> Value {
    json!([
        event["__typename"],
        event["actor"]["name"],
        event["message"]["id"],
        event["messageId"],
        event["text"],
        event["offset"],
        event["user"]["name"],
        event["upTo"]["id"],
    ])
}

/// What was told of a thread, or that it is gone.
fn of_thread<'a>(thread: &str, told: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let of = |event: &&Value| event["thread"]["id"] == *thread || event["threadId"] == *thread;
    told.filter(of).map(gist).collect()
}

async fn done(by: &Actor, field: &str, input: Value) {
    let done = by.mutate(field, input, "__typename").await;
    assert!(done.at("/__typename").is_string());
}

/// All kinds of things that happen to a thread and its two messages, but for what takes them away.
async fn happen(talk: &Talk, [one, two]: [&str; 2]) {
    let thread = &talk.thread;
    let cyd = talk.tenant.member("cyd").await;
    let (ada, bob) = (&*talk.ada, &*talk.bob);
    for (by, field, input) in [
        (
            ada,
            "appendMessage",
            json!({ "messageId": two, "text": " and more" }),
        ),
        (
            ada,
            "updateMessage",
            json!({ "messageId": one, "body": "One" }),
        ),
        (
            bob,
            "addReaction",
            json!({ "messageId": one, "emoji": "+1" }),
        ),
        (
            bob,
            "removeReaction",
            json!({ "messageId": one, "emoji": "+1" }),
        ),
        (ada, "deleteMessage", json!({ "messageId": one })),
        (ada, "restoreMessage", json!({ "messageId": one })),
        (
            ada,
            "updateThread",
            json!({ "threadId": thread, "subject": "Changed" }),
        ),
        (
            ada,
            "addParticipants",
            json!({ "threadId": thread, "userIds": [cyd.id] }),
        ),
        (
            ada,
            "removeParticipant",
            json!({ "threadId": thread, "userId": cyd.id }),
        ),
        (
            bob,
            "markThreadDelivered",
            json!({ "threadId": thread, "messageId": one }),
        ),
        (
            bob,
            "markThreadSeen",
            json!({ "threadId": thread, "messageId": two }),
        ),
    ] {
        done(by, field, input).await;
    }
}

#[tokio::test]
async fn every_kind_of_event_comes_once_in_order_as_api_keys_are_told_of_it() {
    let talk = talk().await;
    let (backend, thread) = (&talk.tenant.backend, &talk.thread);
    let hook = Hook::new(&talk.tenant).await;
    let mut live = backend.follow(EVERYTHING, json!({})).await;
    let one = talk.ada.say(thread, "one").await;
    let two = talk.ada.say(thread, "two").await;
    happen(&talk, [&one, &two]).await;
    // What is to be told must not be gone before it is.
    let seen = |event: &Value| event["__typename"] == "ThreadSeen";
    hook.until("Bob has seen it", |event| seen(&event["data"]))
        .await;
    let mut heard = live.until(seen).await;
    let erased = json!({ "messageId": two, "permanently": true });
    done(backend, "deleteMessage", erased).await;
    let other = talk.ada.open_thread(json!({})).await;
    let opened = |event: &Value| event["thread"]["id"] == *other;
    hook.until("it is opened", |event| opened(&event["data"]))
        .await;
    heard.extend(live.until(opened).await);
    done(backend, "deleteThread", json!({ "threadId": other })).await;
    let gone = |event: &Value| event["threadId"] == *other;
    hook.until("it is deleted", |event| gone(&event["data"]))
        .await;
    let mark = talk.mark().await;

    let told = hook.until_said(&mark).await;
    let said = |event: &Value| event["message"]["body"] == *mark;
    heard.extend(live.until(said).await);
    for thread in [thread, &other] {
        let told = of_thread(thread, told.iter().map(|event| &event["data"]));
        assert_eq!(told, of_thread(thread, heard.iter()));
    }
    let mut found = kinds(&told);
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, ALL);
}

#[tokio::test]
async fn what_is_told_says_what_a_backend_needs() {
    let talk = Talk::of(tenant().await, json!({ "metadata": { "order": 17 } })).await;
    let hook = Hook::new(&talk.tenant).await;
    let name = unique("message");
    let input =
        json!({ "body": "Where is it?", "externalId": name, "metadata": { "tone": "curt" } });
    let message = talk.posted(&talk.ada, input).await;
    let told = hook.until_said("Where is it?").await;
    let event = told.last().expect("an event");
    assert_eq!(event["type"], "message.created");
    let data = &event["data"];
    assert_eq!(event["timestamp"], data["occurredAt"]);
    assert_eq!(data["thread"]["id"], *talk.thread);
    assert_eq!(data["thread"]["metadata"], json!({ "order": 17 }));
    assert_eq!(data["thread"]["organization"]["id"], *talk.tenant.id);
    assert_eq!(
        data["thread"]["organization"]["externalId"],
        *talk.tenant.name
    );
    assert_eq!(data["actor"]["externalId"], *talk.ada.external_id);
    let said = &data["message"];
    assert_eq!(said["id"], *message);
    assert_eq!(said["externalId"], *name);
    assert_eq!(said["sender"]["id"], *talk.ada.id);
    assert_eq!(said["metadata"], json!({ "tone": "curt" }));
    assert_eq!(said["private"], false);
    assert_eq!(said["status"], "SENT");
}

#[tokio::test]
async fn a_webhook_is_told_of_the_kinds_that_it_wants_and_of_no_others() {
    let talk = talk().await;
    let wanted = json!({ "events": ["MESSAGE_CREATED", "PARTICIPANT_ADDED"] });
    let hook = Hook::with(&talk.tenant, wanted).await;
    let cyd = talk.tenant.member("cyd").await;
    let one = talk.ada.say(&talk.thread, "one").await;
    done(
        &talk.ada,
        "updateMessage",
        json!({ "messageId": one, "body": "One" }),
    )
    .await;
    done(
        &talk.bob,
        "markThreadSeen",
        json!({ "threadId": talk.thread }),
    )
    .await;
    talk.admit(&cyd).await;
    let told = hook.until_said(&talk.mark().await).await;
    let expected = ["message.created", "participant.added", "message.created"];
    assert_eq!(kinds(&told), expected);

    // From its answer on another choice holds.
    hook.change(json!({ "events": ["THREAD_UPDATED", "MESSAGE_CREATED"] }))
        .await;
    done(
        &talk.ada,
        "updateThread",
        json!({ "threadId": talk.thread, "subject": "x" }),
    )
    .await;
    let told = hook.until_said(&talk.mark().await).await;
    assert_eq!(kinds(&told)[3..], ["thread.updated", "message.created"]);
}

#[tokio::test]
async fn a_webhook_is_told_of_its_own_organization_alone() {
    let (here, there) = (talk().await, talk().await);
    let (hook, other) = (
        Hook::new(&here.tenant).await,
        Hook::new(&there.tenant).await,
    );
    for round in 0..5 {
        here.ada.say(&here.thread, &format!("here {round}")).await;
        there
            .ada
            .say(&there.thread, &format!("there {round}"))
            .await;
    }
    for (talk, hook) in [(&here, &hook), (&there, &other)] {
        let told = hook.until_said(&talk.mark().await).await;
        assert_eq!(told.len(), 6);
        let of = |event: &Value| event["data"]["thread"]["id"] == *talk.thread;
        assert!(told.iter().all(of), "{told:#?}");
    }
}

#[tokio::test]
async fn private_notes_are_told_as_such_and_drafts_are_not_told() {
    let tenant = tenant().await;
    let agent = tenant.agent("agent").await;
    let thread = agent.open_thread(json!({ "access": "AGENTS" })).await;
    let hook = Hook::new(&tenant).await;
    let say = async |input: Value| {
        let input = with(json!({ "threadId": thread }), input);
        let said = agent.mutate("createMessage", input, "message { id }").await;
        said.text("/message/id")
    };
    say(json!({ "body": "a note", "private": true })).await;
    let draft = say(json!({ "body": "a draft", "status": "DRAFT" })).await;
    say(json!({ "body": "in between" })).await;
    hook.until_said("in between").await;
    done(&agent, "sendMessage", json!({ "messageId": draft })).await;
    say(json!({ "body": "the end" })).await;
    let told = hook.until_said("the end").await;
    let created = told
        .iter()
        .filter(|event| event["type"] == "message.created");
    let shown = |event: &Value| {
        let private = event["data"]["message"]["private"] == true;
        (body_of(event).to_owned(), private)
    };
    let shown: Vec<(String, bool)> = created.map(shown).collect();
    let expected = [
        ("a note", true),
        ("in between", false),
        ("a draft", false),
        ("the end", false),
    ];
    assert_eq!(
        shown,
        expected.map(|(words, private)| (words.to_owned(), private))
    );
}

#[tokio::test]
async fn a_thread_that_moves_is_gone_for_the_one_and_there_for_the_other() {
    let talk = talk().await;
    let there = tenant().await;
    let (hook, other) = (Hook::new(&talk.tenant).await, Hook::new(&there).await);
    talk.ada.say(&talk.thread, "before").await;
    hook.until_said("before").await;
    let root = root().await;
    let move_it = json!({ "threadId": talk.thread, "organizationId": there.id });
    done(&root, "updateThread", move_it).await;
    let input = json!({ "threadId": talk.thread, "body": "after", "type": "ACTION" });
    done(&there.backend, "createMessage", input).await;

    let told = other.until_said("after").await;
    assert!(kinds(&told).contains(&"thread.updated"), "{told:#?}");
    let here = |event: &Value| event["data"]["thread"]["organization"]["id"] == *there.id;
    assert!(told.iter().all(here), "{told:#?}");
    let thread = talk.ada.open_thread(json!({})).await;
    talk.ada.say(&thread, "elsewhere").await;
    let told = hook.until_said("elsewhere").await;
    let of = |event: &&Value| event["data"]["threadId"] == *talk.thread;
    let lost: Vec<&Value> = told.iter().filter(of).collect();
    assert_eq!(lost.len(), 1, "{told:#?}");
    assert_eq!(lost[0]["type"], "thread.deleted");
    assert_eq!(lost[0]["data"]["thread"], Value::Null);
    assert!(!told.iter().any(|event| body_of(event) == "after"));
}

#[tokio::test]
async fn a_receipt_names_the_newest_message_that_it_is_of() {
    let talk = talk().await;
    let hook = Hook::with(&talk.tenant, json!({ "events": ["THREAD_SEEN"] })).await;
    let mut said = Vec::new();
    for words in ["one", "two", "three"] {
        said.push(talk.ada.say(&talk.thread, words).await);
    }
    for message in &said {
        let seen = json!({ "threadId": talk.thread, "messageId": message });
        done(&talk.bob, "markThreadSeen", seen).await;
    }
    let last = said.last().expect("a message");
    let newest = |event: &Value| event["data"]["upTo"]["id"] == **last;
    let told = hook.until("it is seen", newest).await;
    let mut up_to = told.iter().map(|event| &event["data"]["upTo"]["id"]);
    // Of moves within a moment the latest is told, and none goes back.
    assert!(
        up_to
            .by_ref()
            .is_sorted_by_key(|id| said.iter().position(|said| *id == **said))
    );
    for event in &told {
        assert_eq!(event["data"]["user"]["id"], *talk.bob.id);
        assert_eq!(event["data"]["actor"]["id"], *talk.bob.id);
    }
}
