//! What passes without a trace in the log, over all that somebody sees: typing and presence.

use serde_json::{Value, json};

use super::until;
use crate::support::socket::Subscription;
use crate::support::{Actor, Tenant};

const PASSING: &str = "subscription($after: String) { viewerEvents(after: $after) {
    __typename cursor actor { name } thread { id }
    ... on MessageCreated { message { body } }
    ... on TypingChanged { typing { name } }
    ... on PresenceChanged { user { name } online }
  } }";

async fn follow(actor: &Actor, after: Option<&str>) -> Subscription {
    actor.follow(PASSING, json!({ "after": after })).await
}

async fn set_typing(actor: &Actor, thread: &str, typing: bool, private: bool) {
    let input = json!({ "threadId": thread, "typing": typing, "private": private });
    actor
        .mutate("setTyping", input, "threadId")
        .await
        .at("/threadId");
}

async fn set_online(actor: &Actor, online: bool) {
    let input = json!({ "online": online });
    actor
        .mutate("setPresence", input, "user { online }")
        .await
        .at("/user");
}

/// Who types, by a TypingChanged in a thread.
fn typists(event: &Value, thread: &str) -> Vec<String> {
    assert_eq!(event["__typename"], "TypingChanged", "{event}");
    assert_eq!(event["thread"]["id"], *thread);
    let typing = event["typing"].as_array().expect("a list").iter();
    typing
        .map(|user| user["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// What a stream tells until it tells the end, in a thread that only its viewer and the backend
/// see: what was told by then came before it.
async fn rest(events: &mut Subscription, id: &str, tenant: &Tenant) -> Vec<Value> {
    let input = json!({ "participantIds": [id], "message": { "body": "the end" } });
    tenant.backend.open_thread(input).await;
    let told = until(events, "the end").await;
    let kept = |event: &Value| event["__typename"] != "ThreadCreated";
    told.into_iter().filter(kept).collect()
}

#[tokio::test]
async fn who_types_is_told_to_those_who_see_the_thread_and_may_know() {
    let tenant = Tenant::new().await;
    let (agent, other) = (tenant.agent("agent").await, tenant.agent("other").await);
    let (contact, outsider) = (tenant.contact("ann").await, tenant.contact("out").await);
    let input = json!({ "access": "AGENTS", "participantIds": [contact.id] });
    let thread = tenant.backend.open_thread(input).await;
    let mut to_agent = follow(&agent, None).await;
    let mut to_backend = follow(&tenant.backend, None).await;
    let mut to_contact = follow(&contact, None).await;
    let mut to_outsider = follow(&outsider, None).await;

    set_typing(&other, &thread, true, false).await;
    for events in [&mut to_agent, &mut to_backend, &mut to_contact] {
        let told = events.event().await;
        assert_eq!(typists(&told, &thread), ["other"]);
        assert_eq!(told["actor"]["name"], "other");
    }
    // It turns to a note: for those who read none it has ended.
    set_typing(&other, &thread, true, true).await;
    assert!(typists(&to_contact.event().await, &thread).is_empty());
    set_typing(&contact, &thread, true, false).await;
    for events in [&mut to_agent, &mut to_backend] {
        assert_eq!(typists(&events.event().await, &thread), ["other", "ann"]);
    }
    assert_eq!(typists(&to_contact.event().await, &thread), ["ann"]);
    set_typing(&other, &thread, false, false).await;
    for events in [&mut to_agent, &mut to_backend] {
        assert_eq!(typists(&events.event().await, &thread), ["ann"]);
    }
    // What is said ends it, and is told as well.
    contact.say(&thread, "said").await;
    for events in [&mut to_agent, &mut to_backend, &mut to_contact] {
        let mut told = [events.event().await, events.event().await];
        told.sort_by_key(|event| event["__typename"] == "TypingChanged");
        assert_eq!(told[0]["message"]["body"], "said");
        assert!(typists(&told[1], &thread).is_empty());
    }
    // A note that begins is none of the contact's business.
    set_typing(&other, &thread, true, true).await;
    for events in [&mut to_agent, &mut to_backend] {
        assert_eq!(typists(&events.event().await, &thread), ["other"]);
    }
    let told = rest(&mut to_outsider, &outsider.id, &tenant).await;
    assert_eq!(told, Vec::<Value>::new());
    let told = rest(&mut to_contact, &contact.id, &tenant).await;
    assert_eq!(told, Vec::<Value>::new());
}

#[tokio::test]
async fn its_cursor_is_that_of_what_the_log_told_before() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let mut events = follow(&ada, None).await;
    bob.say(&thread, "before").await;
    assert_eq!(events.event().await["message"]["body"], "before");
    set_typing(&bob, &thread, true, false).await;
    let told = events.event().await;
    assert_eq!(typists(&told, &thread), ["bob"]);
    tenant.backend.say(&thread, "after").await;
    let mut resumed = follow(&ada, told["cursor"].as_str()).await;
    for events in [&mut events, &mut resumed] {
        assert_eq!(events.event().await["message"]["body"], "after");
    }
}

#[tokio::test]
async fn who_comes_online_is_told_once_to_those_who_see_him_take_part() {
    let tenant = Tenant::new().await;
    let (agent, bob) = (tenant.agent("agent").await, tenant.contact("bob").await);
    let (ada, outsider) = (tenant.contact("ada").await, tenant.contact("out").await);
    for _ in 0..3 {
        let people = json!({ "access": "AGENTS", "participantIds": [ada.id, bob.id] });
        tenant.backend.open_thread(people).await;
    }
    let input = json!({ "access": "AGENTS", "participantIds": [outsider.id] });
    tenant.backend.open_thread(input).await;
    let mut streams = Vec::new();
    for actor in [&*agent, &tenant.backend, &*ada] {
        streams.push(follow(actor, None).await);
    }
    let mut to_outsider = follow(&outsider, None).await;
    for online in [true, true, false] {
        set_online(&bob, online).await;
    }
    for events in &mut streams {
        for online in [true, false] {
            let told = events.event().await;
            assert_eq!(told["__typename"], "PresenceChanged", "{told}");
            assert_eq!(told["user"]["name"], "bob");
            assert_eq!(told["actor"]["name"], "bob");
            assert_eq!(told["online"], online);
            assert!(told["thread"].is_null());
        }
    }
    let told = rest(&mut to_outsider, &outsider.id, &tenant).await;
    assert_eq!(told, Vec::<Value>::new());
    let told = rest(&mut streams[2], &ada.id, &tenant).await;
    assert_eq!(told, Vec::<Value>::new());
}

#[tokio::test]
async fn of_a_hidden_thread_neither_is_told() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let input = json!({ "threadIds": [thread], "state": "HIDDEN" });
    ada.mutate("updateThreadInboxState", input, "__typename")
        .await
        .at("/__typename");
    let mut to_ada = follow(&ada, None).await;
    let mut to_bob = follow(&bob, None).await;
    set_typing(&bob, &thread, true, false).await;
    set_online(&bob, true).await;
    let mut told = [
        to_bob.event().await["__typename"].clone(),
        to_bob.event().await["__typename"].clone(),
    ];
    told.sort_by_key(Value::to_string);
    assert_eq!(told, ["PresenceChanged", "TypingChanged"]);
    let told = rest(&mut to_ada, &ada.id, &tenant).await;
    assert_eq!(told, Vec::<Value>::new());
    // Another one that both see and she does not hide shows him.
    ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    set_online(&bob, false).await;
    let told = to_ada
        .until(|event| event["__typename"] == "PresenceChanged")
        .await;
    assert_eq!(told.last().expect("an event")["online"], false);
}
