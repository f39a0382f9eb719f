//! Who hears of which event: a table over every type of event. A type without a row fails.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::notes::{Desk, heard};
use crate::support::{Actor, INTROSPECTION};

/// What makes an event happen.
enum Cause {
    /// Something that a person does, publicly, and the same about a private note if there is
    /// such a thing.
    Done(&'static str, Option<&'static str>),
    /// Nothing within a thread that somebody follows; why.
    Never(&'static str),
}

const EVENTS: [(&str, Cause); 14] = [
    ("MessageCreated", Cause::Done("say", Some("note"))),
    ("MessageUpdated", Cause::Done("edit", Some("edit the note"))),
    (
        "MessageAppended",
        Cause::Done("append", Some("append to the note")),
    ),
    (
        "MessageRemoved",
        Cause::Done("remove", Some("remove the note")),
    ),
    ("ThreadUpdated", Cause::Done("rename", None)),
    ("ParticipantAdded", Cause::Done("add", None)),
    ("ParticipantRemoved", Cause::Done("take out", None)),
    ("ThreadSeen", Cause::Done("see", None)),
    ("ThreadDelivered", Cause::Done("receive", None)),
    ("TypingChanged", Cause::Done("type", Some("type a note"))),
    ("PresenceChanged", Cause::Done("come online", None)),
    (
        "ThreadDeleted",
        Cause::Never("it ends every subscription of the thread"),
    ),
    ("ThreadCreated", Cause::Never("nobody follows it yet")),
    (
        "ResyncRequired",
        Cause::Never("it tells one subscriber of his own cursor"),
    ),
];

#[tokio::test]
async fn every_event_has_a_row() {
    let schema = Actor::root().await.run(INTROSPECTION, json!({})).await;
    let types = schema.at("/__schema/types");
    let mut types = types.as_array().expect("types").iter();
    let events = types.find(|kind| kind["name"] == "ThreadEvent");
    let served: BTreeSet<String> = events.expect("the events")["possibleTypes"]
        .as_array()
        .expect("types")
        .iter()
        .filter_map(|kind| kind["name"].as_str().map(str::to_owned))
        .collect();
    let listed = EVENTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(served, listed);
}

#[tokio::test]
async fn everybody_hears_what_is_public_and_the_staff_what_is_not() {
    let desk = Desk::new().await;
    for (event, cause) in &EVENTS {
        let (public, private) = match cause {
            Cause::Done(public, private) => (*public, *private),
            Cause::Never(why) => {
                assert!(!why.is_empty());
                continue;
            }
        };
        for (what, for_all) in [(Some(public), true), (private, false)] {
            let Some(what) = what else { continue };
            let subject = prepare(&desk, !for_all).await;
            let mut listeners = Vec::new();
            for (who, actor, staff) in [
                ("the agent", &*desk.agent, true),
                ("the admin", &*desk.admin, true),
                ("the key", &desk.tenant.backend, true),
                ("the member", &*desk.member, false),
                ("the contact", &*desk.contact, false),
            ] {
                listeners.push((who, staff, actor.follow_thread(&desk.thread, None).await));
            }
            happen(&desk, what, &subject).await;
            for (who, staff, events) in &mut listeners {
                if for_all || *staff {
                    let told = events.until(|told| told["__typename"] == *event).await;
                    assert_eq!(told.len(), 1, "{what}: {who} heard {told:#?}");
                }
            }
            desk.agent.say(&desk.thread, "The end").await;
            for (who, _, events) in &mut listeners {
                let rest = heard(events, "The end").await;
                assert_eq!(rest, ["MessageCreated"], "{what}: {who}");
            }
        }
    }
}

/// A message for things to happen to.
async fn prepare(desk: &Desk, private: bool) -> String {
    if private {
        desk.note(&desk.agent, json!({})).await
    } else {
        desk.agent.say(&desk.thread, "Before").await
    }
}

async fn happen(desk: &Desk, what: &str, subject: &str) {
    let thread = &desk.thread;
    let (actor, field, input): (_, _, Value) = match what {
        "say" => (
            &desk.agent,
            "createMessage",
            json!({ "threadId": thread, "body": "Said" }),
        ),
        "note" => (
            &desk.agent,
            "createMessage",
            json!({ "threadId": thread, "body": "Noted", "private": true }),
        ),
        "edit" | "edit the note" => (
            &desk.agent,
            "updateMessage",
            json!({ "messageId": subject, "body": "Edited" }),
        ),
        "append" | "append to the note" => (
            &desk.agent,
            "appendMessage",
            json!({ "messageId": subject, "text": " and more" }),
        ),
        "receive" => (
            &desk.contact,
            "markThreadDelivered",
            json!({ "threadId": thread }),
        ),
        "remove" | "remove the note" => (
            &desk.admin,
            "deleteMessage",
            json!({ "messageId": subject, "permanently": true }),
        ),
        "rename" => (
            &desk.agent,
            "updateThread",
            json!({ "threadId": thread, "subject": "Renamed" }),
        ),
        "add" => (
            &desk.agent,
            "addParticipants",
            json!({ "threadId": thread, "userIds": [desk.colleague.id] }),
        ),
        "take out" => (
            &desk.agent,
            "removeParticipant",
            json!({ "threadId": thread, "userId": desk.colleague.id }),
        ),
        "see" => (
            &desk.contact,
            "markThreadSeen",
            json!({ "threadId": thread }),
        ),
        "type" => (
            &desk.contact,
            "setTyping",
            json!({ "threadId": thread, "typing": true }),
        ),
        "type a note" => (
            &desk.agent,
            "setTyping",
            json!({ "threadId": thread, "typing": true, "private": true }),
        ),
        "come online" => (&desk.contact, "setPresence", json!({ "online": true })),
        other => panic!("nothing does {other}"),
    };
    let done = actor.mutate(field, input, "__typename").await;
    assert!(done.at("/__typename").is_string());
}
