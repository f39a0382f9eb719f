//! Typing and presence: told on transitions, ended by themselves, shown to those who may know.

use serde_json::{Value, json};

use crate::notes::{Desk, heard};
use crate::support::server::Server;
use crate::support::socket::eventually;
use crate::support::talk::Talk;
use crate::support::{Actor, Answer, Tenant};

async fn set_typing(actor: &Actor, thread: &str, typing: bool) -> Answer {
    let input = json!({ "threadId": thread, "typing": typing });
    actor.mutate("setTyping", input, "threadId").await
}

async fn type_note(actor: &Actor, thread: &str) -> Answer {
    let input = json!({ "threadId": thread, "typing": true, "private": true });
    actor.mutate("setTyping", input, "threadId").await
}

async fn set_online(actor: &Actor, online: bool) {
    let input = json!({ "online": online });
    let set = actor
        .mutate("setPresence", input, "user { online }")
        .await
        .at("/user/online");
    assert_eq!(set, online);
}

/// The names of those who type.
async fn typing(actor: &Actor, thread: &str) -> Vec<String> {
    let query = "query($id: ID!) { thread(id: $id) { typing { name } } }";
    let read = actor.run(query, json!({ "id": thread })).await;
    read.texts("/thread/typing", "/name")
}

async fn is_online(actor: &Actor, user: &str) -> bool {
    let query = "query($id: ID!) { user(id: $id) { online } }";
    let read = actor.run(query, json!({ "id": user })).await;
    read.at("/user/online") == true
}

/// The names that a TypingChanged has.
fn names(event: &Value) -> Vec<&str> {
    assert_eq!(event["__typename"], "TypingChanged", "{event}");
    let typing = event["typing"].as_array().expect("a list").iter();
    typing
        .map(|user| user["name"].as_str().expect("a name"))
        .collect()
}

#[tokio::test]
async fn typing_is_told_when_it_begins_and_ends_and_not_in_between() {
    let talk = Talk::new().await;
    let (ada, bob, thread) = (&talk.ada, &talk.bob, &talk.thread);
    let first = ada.say(thread, "Before").await;
    let mut events = talk.follow(ada).await;
    for _ in 0..3 {
        let set = set_typing(bob, thread, true).await;
        assert_eq!(set.text("/threadId"), *thread);
    }
    assert_eq!(typing(ada, thread).await, ["bob"]);
    set_typing(ada, thread, true).await.at("");
    assert_eq!(typing(bob, thread).await, ["bob", "ada"]);
    for _ in 0..2 {
        set_typing(bob, thread, false).await.at("");
    }
    let told = events.event().await;
    assert_eq!(names(&told), ["bob"]);
    assert_eq!(told["actor"]["name"], "bob");
    assert_eq!(names(&events.event().await), ["bob", "ada"]);
    assert_eq!(names(&events.event().await), ["ada"]);
    // Its cursor is that of what is in the log before it: nothing else is told again.
    let cursor = told["cursor"].as_str().expect("a cursor");
    let mut resumed = ada.follow_thread(thread, Some(cursor)).await;
    ada.say(thread, "After").await;
    for events in [&mut events, &mut resumed] {
        assert_eq!(events.event().await["message"]["body"], "After");
        assert_eq!(names(&events.event().await), Vec::<&str>::new());
    }
    assert_ne!(first, "");
}

#[tokio::test]
async fn a_message_ends_its_sender_s_typing_and_a_draft_does_not() {
    let talk = Talk::new().await;
    let (ada, bob, thread) = (&talk.ada, &talk.bob, &talk.thread);
    set_typing(ada, thread, true).await.at("");
    set_typing(bob, thread, true).await.at("");
    let draft = talk.drafted(bob, json!({ "body": "Not yet" })).await;
    assert_eq!(typing(ada, thread).await, ["ada", "bob"]);
    let mut events = talk.follow(ada).await;
    let sent = bob.mutate(
        "sendMessage",
        json!({ "messageId": draft }),
        "message { id }",
    );
    sent.await.at("/message");
    assert_eq!(events.event().await["message"]["body"], "Not yet");
    assert_eq!(names(&events.event().await), ["ada"]);
    // A backend that writes for him counts as well.
    let input = json!({ "body": "For Ada", "senderId": ada.id });
    talk.posted(&talk.tenant.backend, input).await;
    assert!(typing(bob, thread).await.is_empty());
}

#[tokio::test]
async fn who_types_a_note_is_shown_to_the_staff_alone() {
    let desk = Desk::new().await;
    let thread = &desk.thread;
    let mut staff = desk.colleague.follow_thread(thread, None).await;
    let mut others = Vec::new();
    for actor in [&desk.contact, &desk.member] {
        others.push(actor.follow_thread(thread, None).await);
        let refused = type_note(actor, thread).await;
        assert_eq!(refused.code(), "FORBIDDEN");
    }
    type_note(&desk.agent, thread).await.at("");
    for actor in [&*desk.colleague, &*desk.admin, &desk.tenant.backend] {
        assert_eq!(typing(actor, thread).await, ["agent"]);
    }
    assert_eq!(names(&staff.event().await), ["agent"]);
    desk.note(&desk.agent, json!({})).await;
    let told = staff.until(|event| event["__typename"] == "TypingChanged");
    assert!(names(told.await.last().expect("an event")).is_empty());
    // A note does not end what the others see of its sender, either.
    set_typing(&desk.agent, thread, true).await.at("");
    desk.note(&desk.agent, json!({})).await;
    for actor in [&desk.contact, &desk.member] {
        assert_eq!(typing(actor, thread).await, ["agent"]);
    }
    desk.agent.say(thread, "The end").await;
    for events in &mut others {
        assert_eq!(names(&events.event().await), ["agent"]);
        assert_eq!(heard(events, "The end").await, ["MessageCreated"]);
        assert!(names(&events.event().await).is_empty());
    }
}

#[tokio::test]
async fn typing_that_turns_private_ends_for_those_who_read_no_notes() {
    let desk = Desk::new().await;
    let mut contact = desk.contact.follow_thread(&desk.thread, None).await;
    set_typing(&desk.agent, &desk.thread, true).await.at("");
    assert_eq!(names(&contact.event().await), ["agent"]);
    type_note(&desk.agent, &desk.thread).await.at("");
    assert!(names(&contact.event().await).is_empty());
    assert_eq!(typing(&desk.colleague, &desk.thread).await, ["agent"]);
}

#[tokio::test]
async fn who_loses_a_thread_types_in_it_no_more() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.admin("ada").await, tenant.member("bob").await);
    let cem = tenant.member("cem").await;
    let open = json!({ "access": "ORGANIZATION", "participantIds": [bob.id] });
    let thread = ada.open_thread(open).await;
    // Taken out of the thread.
    set_typing(&bob, &thread, true).await.at("");
    let out = json!({ "threadId": thread, "userId": bob.id });
    ada.mutate("removeParticipant", out, "thread { typing { name } }")
        .await
        .at("");
    assert!(typing(&ada, &thread).await.is_empty());
    // The thread is closed to those who take no part.
    set_typing(&cem, &thread, true).await.at("");
    assert_eq!(typing(&ada, &thread).await, ["cem"]);
    let close = json!({ "threadId": thread, "access": "PARTICIPANTS" });
    ada.mutate("updateThread", close, "thread { id }")
        .await
        .at("");
    assert!(typing(&ada, &thread).await.is_empty());
    // Taken out of the organization.
    let add = json!({ "threadId": thread, "userIds": [cem.id] });
    ada.mutate("addParticipants", add, "thread { id }")
        .await
        .at("");
    set_typing(&cem, &thread, true).await.at("");
    let mut events = ada.follow_thread(&thread, None).await;
    let remove = json!({ "organizationId": tenant.id, "userId": cem.id, "role": null });
    ada.mutate("setMembership", remove, "role").await.at("");
    assert!(names(&events.event().await).is_empty());
    assert!(typing(&ada, &thread).await.is_empty());
}

#[tokio::test]
async fn presence_is_told_where_the_person_takes_part_and_on_transitions() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let with = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let also = bob.open_thread(json!({ "participantIds": [ada.id] })).await;
    let without = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let mut told = vec![
        ada.follow_thread(&with, None).await,
        ada.follow_thread(&also, None).await,
    ];
    let mut untold = ada.follow_thread(&without, None).await;
    for online in [true, true, false, false, true] {
        set_online(&bob, online).await;
        assert_eq!(is_online(&ada, &bob.id).await, online);
    }
    for events in &mut told {
        for online in [true, false, true] {
            let event = events.event().await;
            assert_eq!(event["__typename"], "PresenceChanged", "{event}");
            assert_eq!(event["user"]["name"], "bob");
            assert_eq!(event["actor"]["name"], "bob");
            assert_eq!(event["online"], online);
        }
    }
    ada.say(&without, "The end").await;
    assert_eq!(heard(&mut untold, "The end").await, ["MessageCreated"]);
    assert!(!is_online(&ada, &ada.id).await);
}

#[tokio::test]
async fn what_nobody_renews_ends_by_itself() {
    let lifetimes = ["--typing-lifetime", "400", "--presence-lifetime", "600"];
    let server = Server::other(&lifetimes).await;
    let talk = Talk::new().await;
    let (ada, bob) = (talk.ada.at(server), talk.bob.at(server));
    let mut events = ada.follow_thread(&talk.thread, None).await;
    set_online(&bob, true).await;
    set_typing(&bob, &talk.thread, true).await.at("");
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(events.event().await);
    }
    let of = |kind: &str| -> Vec<&Value> {
        let of_kind = |event: &&Value| event["__typename"] == kind;
        told.iter().filter(of_kind).collect()
    };
    let typed: Vec<_> = of("TypingChanged").into_iter().map(names).collect();
    assert_eq!(typed, [vec!["bob"], vec![]]);
    let presence = of("PresenceChanged").into_iter();
    let presence: Vec<&Value> = presence.map(|event| &event["online"]).collect();
    assert_eq!(presence, [true, false]);
    assert!(typing(&ada, &talk.thread).await.is_empty());
    assert!(!is_online(&ada, &talk.bob.id).await);
}

#[tokio::test]
async fn who_renews_in_time_does_not_end() {
    let server = Server::other(&["--typing-lifetime", "1500"]).await;
    let talk = Talk::new().await;
    let (ada, bob) = (talk.ada.at(server), talk.bob.at(server));
    let mut events = ada.follow_thread(&talk.thread, None).await;
    let began = std::time::Instant::now();
    eventually("the lifetime is over", async || {
        set_typing(&bob, &talk.thread, true).await.at("");
        began.elapsed() > std::time::Duration::from_millis(2000)
    })
    .await;
    ada.say(&talk.thread, "Still typing").await;
    assert_eq!(names(&events.event().await), ["bob"]);
    assert_eq!(events.event().await["message"]["body"], "Still typing");
}

#[tokio::test]
async fn an_api_key_neither_types_nor_is_online() {
    let talk = Talk::new().await;
    let backend = &talk.tenant.backend;
    let typed = set_typing(backend, &talk.thread, true).await;
    assert_eq!(typed.code(), "FORBIDDEN");
    let input = json!({ "online": true });
    let online = backend.mutate("setPresence", input, "user { id }").await;
    assert_eq!(online.code(), "FORBIDDEN");
}
