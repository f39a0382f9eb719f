//! What is told to whom: threads that one joins, loses, hides; roles that change; notes.

use serde_json::{Value, json};

use super::{follow, here, names, until};
use crate::support::socket::Subscription;
use crate::support::{Actor, Person, Tenant, unique};

const THE_END: &str = "The end";

/// What a person is told of what is done, live and by a resume over it.
async fn heard(person: &Actor, tenant: &Tenant, done: impl AsyncFnOnce()) -> Vec<Value> {
    let start = here(person).await;
    let mut live = follow(person, None).await;
    done().await;
    let end = finish(person, tenant).await;
    let told = up_to(&mut live, &end).await;
    let mut resumed = follow(person, Some(&start)).await;
    let again = up_to(&mut resumed, &end).await;
    assert_eq!(names(&again), names(&told), "resumed and live");
    let lost = |told: &[Value]| -> Vec<Value> {
        let of = |event: &Value| event["threadId"].clone();
        told.iter().map(of).collect()
    };
    assert_eq!(lost(&again), lost(&told));
    told
}

/// What is told up to now.
async fn rest(events: &mut Subscription, person: &Actor, tenant: &Tenant) -> Vec<Value> {
    let end = finish(person, tenant).await;
    up_to(events, &end).await
}

/// Says something that a person hears whatever he is; answers the words.
async fn finish(person: &Actor, tenant: &Tenant) -> String {
    let me = person.run("{ viewer { user { id } } }", json!({})).await;
    let people = match me.at("/viewer/user") {
        Value::Null => json!([]),
        user => json!([user["id"]]),
    };
    let input = json!({ "participantIds": people, "subject": THE_END });
    let thread = tenant.backend.open_thread(input).await;
    let words = unique("end");
    tenant.backend.say(&thread, &words).await;
    words
}

/// What is told up to those words, without such words.
async fn up_to(events: &mut Subscription, words: &str) -> Vec<Value> {
    let mut told = until(events, words).await;
    told.retain(|event| event["thread"]["subject"] != THE_END);
    told
}

async fn done(actor: &Actor, field: &str, input: Value) {
    let answer = actor.mutate(field, input, "__typename").await;
    answer.at("/__typename");
}

async fn set_role(tenant: &Tenant, person: &Person, role: Option<&str>) {
    let input = json!({ "organizationId": tenant.id, "userId": person.id, "role": role });
    done(&tenant.backend, "setMembership", input).await;
}

fn lost(thread: &str) -> Value {
    json!(["ThreadDeleted", thread, null, null])
}

fn losses(told: &[Value]) -> Vec<Value> {
    let told = told
        .iter()
        .filter(|event| event["__typename"] == "ThreadDeleted");
    told.map(|event| {
        json!([
            event["__typename"],
            event["threadId"],
            event["thread"],
            event["actor"]
        ])
    })
    .collect()
}

#[tokio::test]
async fn a_thread_that_somebody_joins_begins_with_that() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.contact("bob").await);
    let thread = ada.open_thread(json!({})).await;
    ada.say(&thread, "before").await;
    let told = heard(&bob, &tenant, async || {
        let input = json!({ "threadId": thread, "userIds": [bob.id] });
        done(&ada, "addParticipants", input).await;
        ada.say(&thread, "after").await;
    });
    assert_eq!(
        names(&told.await),
        ["ParticipantAdded bob", "MessageCreated after"]
    );
}

#[tokio::test]
async fn who_is_removed_or_leaves_is_told_that_the_thread_is_gone_and_no_more() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.contact("bob").await);
    let eve = tenant.agent("eve").await;
    for leaves in [false, true] {
        let people = json!({ "participantIds": [bob.id, eve.id], "access": "AGENTS" });
        let thread = ada.open_thread(people).await;
        let mut to_eve = follow(&eve, None).await;
        let told = heard(&bob, &tenant, async || {
            if leaves {
                done(&bob, "leaveThread", json!({ "threadId": thread })).await;
            } else {
                let input = json!({ "threadId": thread, "userId": bob.id });
                done(&ada, "removeParticipant", input).await;
            }
            ada.say(&thread, "secret").await;
        });
        let told = told.await;
        assert_eq!(losses(&told), [lost(&thread)]);
        assert_eq!(
            told.last().map(|event| &event["__typename"]),
            Some(&json!("ThreadDeleted"))
        );
        assert!(!names(&told).contains(&"MessageCreated secret".to_owned()));
        // Whoever sees it still hears who left it.
        let told = until(&mut to_eve, "secret").await;
        assert_eq!(names(&told), ["ParticipantRemoved bob"]);
    }
}

#[tokio::test]
async fn who_sees_a_thread_by_another_way_does_not_lose_it() {
    let tenant = Tenant::new().await;
    let (ada, eve) = (tenant.member("ada").await, tenant.agent("eve").await);
    let people = json!({ "participantIds": [eve.id], "access": "AGENTS" });
    let thread = ada.open_thread(people).await;
    let told = heard(&eve, &tenant, async || {
        let input = json!({ "threadId": thread, "userId": eve.id });
        done(&ada, "removeParticipant", input).await;
        ada.say(&thread, "still").await;
    });
    assert_eq!(
        names(&told.await),
        ["ParticipantRemoved eve", "MessageCreated still"]
    );
}

#[tokio::test]
async fn who_left_and_came_back_hears_all_of_it_on_a_resume() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.contact("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let start = here(&bob).await;
    done(&bob, "leaveThread", json!({ "threadId": thread })).await;
    ada.say(&thread, "between").await;
    let input = json!({ "threadId": thread, "userIds": [bob.id] });
    done(&ada, "addParticipants", input).await;
    ada.say(&thread, "end").await;
    let mut events = follow(&bob, Some(&start)).await;
    let told = until(&mut events, "end").await;
    let wanted = [
        "ParticipantRemoved bob",
        "MessageCreated between",
        "ParticipantAdded bob",
    ];
    assert_eq!(names(&told), wanted);
}

#[tokio::test]
async fn narrowing_the_access_takes_a_thread_from_exactly_those_who_saw_it_by_it() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let (eve, cem) = (tenant.agent("eve").await, tenant.contact("cem").await);
    let people = json!({ "access": "ORGANIZATION", "participantIds": [bob.id] });
    let thread = ada.open_thread(people).await;
    let others = tenant.member("dan").await;
    let narrow = async |access: &str| {
        let input = json!({ "threadId": thread, "access": access });
        done(&ada, "updateThread", input).await;
        ada.say(&thread, access).await;
    };
    let told = heard(&others, &tenant, async || narrow("AGENTS").await);
    assert_eq!(names(&told.await), ["ThreadDeleted"]);
    narrow("ORGANIZATION").await;
    let mut streams = [follow(&bob, None).await, follow(&eve, None).await];
    let told = heard(&cem, &tenant, async || narrow("AGENTS").await);
    assert_eq!(names(&told.await), Vec::<String>::new());
    for events in &mut streams {
        let told = until(events, "AGENTS").await;
        assert_eq!(names(&told), ["ThreadUpdated"]);
    }
    let told = heard(&eve, &tenant, async || narrow("PARTICIPANTS").await);
    let told = told.await;
    assert_eq!(losses(&told), [lost(&thread)]);
    assert_eq!(told.len(), 1, "{:?}", names(&told));
    let told = heard(&eve, &tenant, async || narrow("AGENTS").await);
    assert_eq!(
        names(&told.await),
        ["ThreadUpdated", "MessageCreated AGENTS"]
    );
}

#[tokio::test]
async fn a_thread_that_moves_is_lost_there_and_found_here() {
    let (from, to) = (Tenant::new().await, Tenant::new().await);
    let (ada, eve) = (from.member("ada").await, from.agent("eve").await);
    let (dan, cem) = (to.agent("dan").await, from.contact("cem").await);
    let people = json!({ "participantIds": [ada.id, eve.id], "access": "AGENTS" });
    let thread = from.backend.open_thread(people).await;
    let mut to_dan = follow(&dan, None).await;
    let before = here(&dan).await;
    let mut streams = Vec::new();
    for (actor, loses) in [
        (&*ada, true),
        (&*eve, true),
        (&from.backend, true),
        (&*cem, false),
    ] {
        streams.push((actor, here(actor).await, follow(actor, None).await, loses));
    }
    let input = json!({ "threadId": thread, "organizationId": to.id });
    done(&Actor::root().await, "updateThread", input).await;
    to.backend.say(&thread, "there").await;
    for (actor, start, mut live, loses) in streams {
        let wanted = if loses {
            vec![lost(&thread)]
        } else {
            Vec::new()
        };
        let end = finish(actor, &from).await;
        let mut resumed = follow(actor, Some(&start)).await;
        for events in [&mut live, &mut resumed] {
            let told = up_to(events, &end).await;
            assert_eq!(losses(&told), wanted);
            assert_eq!(told.len(), wanted.len(), "{:?}", names(&told));
        }
    }
    let mut resumed = follow(&dan, Some(&before)).await;
    for events in [&mut to_dan, &mut resumed] {
        let mut told = until(events, "there").await;
        told.retain(|event| event["__typename"] != "ParticipantRemoved");
        assert_eq!(names(&told), ["ThreadUpdated"]);
    }
}

#[tokio::test]
async fn a_deletion_is_told_to_all_who_saw_the_thread_and_to_nobody_else() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.contact("ada").await, tenant.contact("bob").await);
    let (eve, dan) = (tenant.agent("eve").await, tenant.agent("dan").await);
    let thread = tenant
        .backend
        .open_thread(json!({ "participantIds": [ada.id], "access": "AGENTS" }))
        .await;
    let hide = json!({ "threadIds": [thread], "state": "HIDDEN" });
    done(&dan, "updateThreadInboxState", hide).await;
    let actors = [(&*ada, true), (&*eve, true), (&*dan, false), (&*bob, false)];
    let mut streams = Vec::new();
    for (actor, hears) in actors {
        streams.push((actor, here(actor).await, follow(actor, None).await, hears));
    }
    done(
        &tenant.backend,
        "deleteThread",
        json!({ "threadId": thread }),
    )
    .await;
    for (actor, start, mut live, hears) in streams {
        let wanted = if hears {
            vec![lost(&thread)]
        } else {
            Vec::new()
        };
        let end = finish(actor, &tenant).await;
        let mut resumed = follow(actor, Some(&start)).await;
        for events in [&mut live, &mut resumed] {
            let told = up_to(events, &end).await;
            assert_eq!(losses(&told), wanted);
            assert_eq!(told.len(), wanted.len(), "{:?}", names(&told));
        }
    }
}

#[tokio::test]
async fn a_hidden_thread_is_silent_until_it_is_shown() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let mut events = follow(&bob, None).await;
    let state = |state: &str| json!({ "threadIds": [thread], "state": state });
    let mut told = Vec::new();
    for (words, then) in [("one", "HIDDEN"), ("two", "UNREAD"), ("three", "HIDDEN")] {
        ada.say(&thread, words).await;
        told.extend(names(&rest(&mut events, &bob, &tenant).await));
        done(&bob, "updateThreadInboxState", state(then)).await;
        told.extend(names(&rest(&mut events, &bob, &tenant).await));
    }
    told.retain(|name| name.starts_with("MessageCreated"));
    assert_eq!(told, ["MessageCreated one", "MessageCreated three"]);
    // Neither is what happens to it told, nor that it is gone.
    let told = heard(&bob, &tenant, async || {
        ada.say(&thread, "four").await;
        done(&ada, "markThreadSeen", json!({ "threadId": thread })).await;
        done(
            &ada,
            "removeParticipant",
            json!({ "threadId": thread, "userId": bob.id }),
        )
        .await;
    });
    assert_eq!(names(&told.await), Vec::<String>::new());
}

#[tokio::test]
async fn a_role_that_changes_gives_one_resync_live_and_on_resume() {
    let tenant = Tenant::new().await;
    let (ada, agent) = (tenant.member("ada").await, tenant.agent("eve").await);
    // By a token that is too old to claim the former role once more.
    let server = crate::support::server::Server::get().await;
    let old = crate::support::server::now() - 60.0;
    let claims = json!({ "sub": agent.external_id, "org": tenant.name, "iat": old });
    let eve = Actor::with(server, format!("Bearer {}", server.token(claims)));
    let thread = ada.open_thread(json!({ "access": "AGENTS" })).await;
    let start = here(&eve).await;
    let mut live = follow(&eve, None).await;
    ada.say(&thread, "for agents").await;
    assert_eq!(live.event().await["message"]["body"], "for agents");
    set_role(&tenant, &agent, Some("MEMBER")).await;
    let resync = live.event().await;
    assert_eq!(resync["__typename"], "ResyncRequired", "{resync}");
    ada.say(&thread, "no more").await;
    assert_eq!(rest(&mut live, &eve, &tenant).await, Vec::<Value>::new());
    let mut resumed = follow(&eve, Some(&start)).await;
    let told = rest(&mut resumed, &eve, &tenant).await;
    let told = names(&told);
    assert_eq!(told.first().map(String::as_str), Some("ResyncRequired"));
    assert!(
        !told.iter().any(|name| name.contains("for agents")),
        "{told:?}"
    );
    // From the position behind the resync nothing is missed, and it is not told again.
    let mut again = follow(&eve, resync["cursor"].as_str()).await;
    set_role(&tenant, &agent, Some("AGENT")).await;
    let told = rest(&mut again, &eve, &tenant).await;
    let resyncs = names(&told)
        .iter()
        .filter(|name| *name == "ResyncRequired")
        .count();
    assert_eq!(resyncs, 1, "{:?}", names(&told));
    ada.say(&thread, "for agents again").await;
    let told = until(&mut again, "for agents again").await;
    assert_eq!(told, Vec::<Value>::new());
}

#[tokio::test]
async fn the_same_role_again_is_no_change() {
    let tenant = Tenant::new().await;
    let eve = tenant.agent("eve").await;
    let told = heard(&eve, &tenant, async || {
        set_role(&tenant, &eve, Some("AGENT")).await
    });
    assert_eq!(told.await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_membership_elsewhere_brings_that_organization_s_threads() {
    let (here_tenant, there) = (Tenant::new().await, Tenant::new().await);
    let ada = here_tenant.agent("ada").await;
    let server = crate::support::server::Server::get().await;
    let token = server.token(json!({ "sub": ada.external_id }));
    let anywhere = Actor::with(server, format!("Bearer {token}"));
    let mut events = follow(&anywhere, None).await;
    let input = json!({ "organizationId": there.id, "userId": ada.id, "role": "AGENT" });
    done(&Actor::root().await, "setMembership", input).await;
    assert_eq!(events.event().await["__typename"], "ResyncRequired");
    let thread = there
        .backend
        .open_thread(json!({ "access": "AGENTS" }))
        .await;
    there.backend.say(&thread, "there").await;
    assert_eq!(names(&until(&mut events, "there").await), ["ThreadCreated"]);
    // A token that is bound to the one hears nothing of the other.
    let mut bound = follow(&ada, None).await;
    there.backend.say(&thread, "unheard").await;
    assert_eq!(
        rest(&mut bound, &ada, &here_tenant).await,
        Vec::<Value>::new()
    );
}

#[tokio::test]
async fn who_loses_the_last_membership_or_the_key_hears_an_error_at_the_end() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let start = here(&ada).await;
    let mut live = follow(&ada, None).await;
    set_role(&tenant, &ada, None).await;
    assert_eq!(live.error().await, "NOT_FOUND");
    let mut resumed = follow(&ada, Some(&start)).await;
    assert_eq!(resumed.error().await, "NOT_FOUND");

    let server = crate::support::server::Server::get().await;
    let key = server.key(Some(&tenant.name)).await;
    let backend = Actor::with(server, format!("Bearer {key}"));
    let mut events = follow(&backend, None).await;
    let (id, _) = key.split_once(':').expect("an id and a secret");
    bobbin::actions::api_key::revoke(&server.app, id)
        .await
        .expect("it is revoked");
    assert_eq!(events.error().await, "UNAUTHENTICATED");
}

#[tokio::test]
async fn notes_are_for_the_staff_and_other_tenants_do_not_exist() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (bob, eve) = (tenant.contact("bob").await, tenant.agent("eve").await);
    let stranger = other.admin("mallory").await;
    let thread = eve
        .open_thread(json!({ "participantIds": [bob.id], "access": "AGENTS" }))
        .await;
    let mut streams = [follow(&eve, None).await, follow(&stranger, None).await];
    let told = heard(&bob, &tenant, async || {
        let note = json!({ "threadId": thread, "body": "note", "private": true });
        let note = eve.mutate("createMessage", note, "message { id }").await;
        let note = note.text("/message/id");
        let seen = json!({ "threadId": thread, "messageId": note });
        done(&eve, "markThreadSeen", seen).await;
        done(&eve, "deleteMessage", json!({ "messageId": note })).await;
        eve.say(&thread, "public").await;
    });
    assert_eq!(names(&told.await), ["MessageCreated public"]);
    let [to_eve, to_stranger] = &mut streams;
    let told = names(&until(to_eve, "public").await);
    assert_eq!(
        told.first().map(String::as_str),
        Some("MessageCreated note")
    );
    assert!(
        told.iter().any(|name| name.starts_with("MessageUpdated")),
        "{told:?}"
    );
    assert_eq!(
        rest(to_stranger, &stranger, &other).await,
        Vec::<Value>::new()
    );
}
