//! Who loses sight of a thread hears no more of it; who may not know of a note never hears of it.

use serde_json::{Value, json};

use super::cursor;
use crate::support::socket::Subscription;
use crate::support::{Person, Tenant};

/// The subscription ends with NOT_FOUND, and what happens then is not told.
async fn ends(events: &mut Subscription, tenant: &Tenant, thread: &str) {
    assert_eq!(events.error().await, "NOT_FOUND");
    let mut others = tenant.backend.follow_thread(thread, None).await;
    tenant.backend.say(thread, "secret").await;
    assert_eq!(others.event().await["message"]["body"], "secret");
    assert_eq!(events.heard_by_now().await, [] as [Value; 0]);
}

async fn set_membership(tenant: &Tenant, person: &Person, role: Option<&str>) {
    let input = json!({ "organizationId": tenant.id, "userId": person.id, "role": role });
    tenant
        .backend
        .mutate("setMembership", input, "role")
        .await
        .at("/role");
}

#[tokio::test]
async fn a_participant_who_is_removed_hears_no_more() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.contact("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let mut events = bob.follow_thread(&thread, None).await;
    ada.say(&thread, "before").await;
    let input = json!({ "threadId": thread, "userId": bob.id });
    ada.mutate("removeParticipant", input, "thread { id }")
        .await
        .at("");
    assert_eq!(events.event().await["message"]["body"], "before");
    ends(&mut events, &tenant, &thread).await;
}

#[tokio::test]
async fn a_removal_that_a_resume_comes_to_ends_it() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.contact("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let start = cursor(&bob, &thread).await;
    let input = json!({ "threadId": thread, "userId": bob.id });
    ada.mutate("removeParticipant", input, "thread { id }")
        .await
        .at("");
    let mut events = bob.follow_thread(&thread, Some(&start)).await;
    ends(&mut events, &tenant, &thread).await;
}

#[tokio::test]
async fn who_left_and_came_back_resumes_over_it() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.contact("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let start = cursor(&bob, &thread).await;
    let input = json!({ "threadId": thread, "userId": bob.id });
    ada.mutate("removeParticipant", input, "thread { id }")
        .await
        .at("");
    let input = json!({ "threadId": thread, "userIds": [bob.id] });
    ada.mutate("addParticipants", input, "thread { id }")
        .await
        .at("");
    ada.say(&thread, "again").await;
    let mut events = bob.follow_thread(&thread, Some(&start)).await;
    let told = events
        .until(|event| event["message"]["body"] == "again")
        .await;
    let kinds: Vec<_> = told
        .iter()
        .map(|event| event["__typename"].clone())
        .collect();
    assert_eq!(
        kinds,
        ["ParticipantRemoved", "ParticipantAdded", "MessageCreated"]
    );
}

#[tokio::test]
async fn a_thread_that_is_closed_to_the_organization_is_heard_of_no_more() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let mut events = bob.follow_thread(&thread, None).await;
    let input = json!({ "threadId": thread, "access": "PARTICIPANTS" });
    ada.mutate("updateThread", input, "thread { id }")
        .await
        .at("");
    ends(&mut events, &tenant, &thread).await;
}

#[tokio::test]
async fn a_member_who_is_removed_from_the_organization_hears_no_more() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let mut events = bob.follow_thread(&thread, None).await;
    set_membership(&tenant, &bob, None).await;
    ends(&mut events, &tenant, &thread).await;
}

#[tokio::test]
async fn an_agent_who_becomes_a_contact_loses_the_agents_threads() {
    let tenant = Tenant::new().await;
    let (ada, eve) = (tenant.member("ada").await, tenant.agent("eve").await);
    let thread = ada.open_thread(json!({ "access": "AGENTS" })).await;
    let mut events = eve.follow_thread(&thread, None).await;
    set_membership(&tenant, &eve, Some("CONTACT")).await;
    ends(&mut events, &tenant, &thread).await;
}

#[tokio::test]
async fn a_role_that_a_newer_token_takes_away_ends_the_older_one_s_subscriptions() {
    let tenant = Tenant::new().await;
    let (ada, eve) = (tenant.member("ada").await, tenant.agent("eve").await);
    let thread = ada.open_thread(json!({ "access": "AGENTS" })).await;
    let mut events = eve.follow_thread(&thread, None).await;
    tenant
        .again(&eve, "CONTACT")
        .await
        .run("{ __typename }", json!({}))
        .await
        .at("");
    ends(&mut events, &tenant, &thread).await;
}

#[tokio::test]
async fn an_agent_who_becomes_a_member_hears_no_more_notes_but_goes_on() {
    let tenant = Tenant::new().await;
    let (ada, eve) = (tenant.member("ada").await, tenant.agent("eve").await);
    let thread = ada.open_thread(json!({ "participantIds": [eve.id] })).await;
    let mut events = eve.follow_thread(&thread, None).await;
    let note = json!({ "threadId": thread, "body": "note", "private": true });
    tenant
        .backend
        .mutate("createMessage", note.clone(), "message { id }")
        .await
        .at("");
    assert_eq!(events.event().await["message"]["body"], "note");
    set_membership(&tenant, &eve, Some("MEMBER")).await;
    tenant
        .backend
        .mutate("createMessage", note, "message { id }")
        .await
        .at("");
    ada.say(&thread, "public").await;
    assert_eq!(events.event().await["message"]["body"], "public");
}

#[tokio::test]
async fn what_happens_to_a_private_note_never_reaches_contacts_and_members() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.contact("bob").await);
    let eve = tenant.agent("eve").await;
    let people = json!({ "participantIds": [bob.id, eve.id] });
    let thread = ada.open_thread(people).await;
    let start = cursor(&bob, &thread).await;
    let (mut to_ada, mut to_bob) = (
        ada.follow_thread(&thread, None).await,
        bob.follow_thread(&thread, None).await,
    );
    let mut to_eve = eve.follow_thread(&thread, None).await;

    let input = json!({ "threadId": thread, "body": "note", "private": true });
    let note = eve
        .mutate("createMessage", input, "message { id }")
        .await
        .text("/message/id");
    for change in [
        json!({ "body": "edited" }),
        json!({ "addReactions": [{ "emoji": "x" }] }),
        json!({ "deleted": true }),
        json!({ "deleted": false }),
    ] {
        let mut input = json!({ "messageId": note });
        crate::support::merge(&mut input, change);
        eve.mutate("updateMessage", input, "message { id }")
            .await
            .at("");
    }
    let input = json!({ "messageId": note, "permanently": true });
    tenant
        .backend
        .mutate("deleteMessage", input, "deletedMessageId")
        .await
        .at("");
    ada.say(&thread, "public").await;

    let told = to_eve
        .until(|event| event["message"]["body"] == "public")
        .await;
    let kinds: Vec<_> = told
        .iter()
        .map(|event| event["__typename"].clone())
        .collect();
    let updates = ["MessageUpdated"; 4];
    assert_eq!(
        kinds,
        [
            &["MessageCreated"][..],
            &updates,
            &["MessageRemoved", "MessageCreated"]
        ]
        .concat()
    );
    for events in [&mut to_ada, &mut to_bob] {
        assert_eq!(events.event().await["message"]["body"], "public");
    }
    let mut resumed = bob.follow_thread(&thread, Some(&start)).await;
    assert_eq!(resumed.event().await["message"]["body"], "public");
}

#[tokio::test]
async fn a_thread_that_the_viewer_does_not_see_cannot_be_followed() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({})).await;
    for name in [thread.as_str(), "unknown", ""] {
        let mut events = bob.follow_thread(name, None).await;
        assert_eq!(events.error().await, "NOT_FOUND");
    }
    let stranger = Tenant::new().await.admin("mallory").await;
    assert_eq!(
        stranger.follow_thread(&thread, None).await.error().await,
        "NOT_FOUND"
    );
}
