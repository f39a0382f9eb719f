//! What subscribers have in common is made once, what is somebody's own is made for him.

use serde_json::{Value, json};

use super::{created, cursor, log, message_uuid, say_many};
use crate::support::server::Server;
use crate::support::socket::{Socket, Subscription, eventually};
use crate::support::{Actor, Tenant};

/// What a server has counted under a name, with its labels.
pub async fn counted(server: &Server, name: &str) -> u64 {
    let answer = server.http.get(server.url("/metrics")).send().await;
    let text = answer.expect("an answer").text().await.expect("text");
    let line = text.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("{name} in {text}"));
    let (_, number) = line.rsplit_once(' ').expect("a number");
    number.parse().expect("a number")
}

pub const SHARED: &str = "bobbin_executions_total{kind=\"shared\"}";
pub const PERSONAL: &str = "bobbin_executions_total{kind=\"personal\"}";
pub const DELIVERIES: &str = "bobbin_deliveries_total";

/// A document, written in two ways that mean the same.
const ONE_WAY: &str = "subscription($id: ID!, $after: String) {
    threadEvents(threadId: $id, after: $after) {
      __typename cursor ... on MessageCreated { message { id body sender { name } } }
    }
  }";
const OTHER_WAY: &str = "subscription ($id:ID!,$after:String){ # the same
    threadEvents(threadId: $id, after: $after){__typename,cursor,...on MessageCreated{
    message{id,body,sender{name}}}}}";

#[tokio::test]
async fn subscribers_who_ask_for_the_same_are_told_by_one_execution() {
    let server = Server::other(&[]).await;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await.at(server);
    let bob = tenant.member("bob").await.at(server);
    let thread = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let now = cursor(&ada, &thread).await;
    let mut all = Vec::new();
    for number in 0..12 {
        let (by, query) = [(&ada, ONE_WAY), (&bob, OTHER_WAY)][number % 2];
        // Where they begin to listen does not set them apart.
        let after = (number % 3 == 0).then_some(&now);
        let variables = json!({ "id": thread, "after": after });
        all.push(by.follow(query, variables).await);
    }
    let message = ada.say(&thread, "hello").await;
    let mut told: Vec<Value> = Vec::new();
    for events in &mut all {
        told.push(events.event().await);
    }
    assert_eq!(created(&told[0]), Some(message_uuid(&message)));
    told.dedup();
    assert_eq!(told.len(), 1, "all are told the same, the cursor included");
    assert_eq!(counted(server, SHARED).await, 1);
    assert_eq!(counted(server, PERSONAL).await, 0);
    assert_eq!(counted(server, DELIVERIES).await, 12);
    assert_eq!(counted(server, "bobbin_groups").await, 1);
}

#[tokio::test]
async fn what_depends_on_the_viewer_is_made_for_each() {
    let server = Server::other(&[]).await;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await.at(server);
    let mut people = Vec::new();
    for number in 0..5 {
        people.push(tenant.member(&format!("m{number}")).await);
    }
    let ids: Vec<&str> = people.iter().map(|person| person.id.as_str()).collect();
    let thread = ada.open_thread(json!({ "participantIds": ids })).await;
    let mut all = Vec::new();
    for person in &people {
        let by = person.at(server);
        let query = "subscription($id: ID!) { threadEvents(threadId: $id) {
            ... on MessageCreated { message { body canEdit } thread { unreadCount } } } }";
        let events = by.follow(query, json!({ "id": thread })).await;
        all.push((by, events));
    }
    let writer = all[3].0.clone();
    writer.say(&thread, "mine").await;
    for (number, (_, events)) in all.iter_mut().enumerate() {
        let told = events.event().await;
        assert_eq!(told["message"]["canEdit"], number == 3, "{told}");
        assert_eq!(told["thread"]["unreadCount"], i32::from(number != 3));
    }
    assert_eq!(counted(server, PERSONAL).await, 5);
    assert_eq!(counted(server, SHARED).await, 0);
}

#[tokio::test]
async fn a_selection_is_shared_as_long_as_it_does_not_come_to_what_is_personal() {
    let server = Server::other(&[]).await;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await.at(server);
    let bob = tenant.member("bob").await.at(server);
    let thread = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let query = "subscription($id: ID!) { threadEvents(threadId: $id) { __typename
        ... on MessageCreated { message { reactionGroups { viewerHasReacted } } }
        ... on MessageUpdated { message { reactionGroups { viewerHasReacted } } } } }";
    let mut hers = ada.follow(query, json!({ "id": thread })).await;
    let mut his = bob.follow(query, json!({ "id": thread })).await;
    let message = ada.say(&thread, "hello").await;
    for events in [&mut hers, &mut his] {
        assert_eq!(events.event().await["message"]["reactionGroups"], json!([]));
    }
    assert_eq!(counted(server, SHARED).await, 1);
    let input = json!({ "messageId": message, "emoji": "👍" });
    bob.mutate("addReaction", input, "message { id }").await;
    for (events, reacted) in [(&mut hers, false), (&mut his, true)] {
        let told = events.event().await;
        assert_eq!(
            told["message"]["reactionGroups"][0]["viewerHasReacted"],
            reacted
        );
    }
    assert_eq!(counted(server, SHARED).await, 1);
    assert_eq!(counted(server, PERSONAL).await, 2);
}

#[tokio::test]
async fn agents_and_contacts_share_with_their_own() {
    let server = Server::other(&[]).await;
    let tenant = Tenant::new().await;
    let agent = tenant.agent("agent").await;
    let contact = tenant.contact("contact").await;
    let people = json!([agent.id, contact.id]);
    let (agent, contact) = (agent.at(server), contact.at(server));
    let thread = agent.open_thread(json!({ "participantIds": people })).await;
    let mut agents = Vec::new();
    let mut contacts = Vec::new();
    for _ in 0..3 {
        agents.push(agent.follow(ONE_WAY, json!({ "id": thread })).await);
        contacts.push(contact.follow(ONE_WAY, json!({ "id": thread })).await);
    }
    let note = json!({ "threadId": thread, "body": "between us", "private": true });
    agent.mutate("createMessage", note, "message { id }").await;
    agent.say(&thread, "for all").await;
    for events in &mut agents {
        assert_eq!(events.event().await["message"]["body"], "between us");
        assert_eq!(events.event().await["message"]["body"], "for all");
    }
    for events in &mut contacts {
        assert_eq!(events.event().await["message"]["body"], "for all");
    }
    assert_eq!(counted(server, SHARED).await, 3);
    assert_eq!(counted(server, PERSONAL).await, 0);
}

#[tokio::test]
async fn those_who_come_back_share_what_the_first_of_them_reads() {
    const MESSAGES: usize = 40;

    let server = Server::other(&[]).await;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await.at(server);
    let thread = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let start = cursor(&ada, &thread).await;
    say_many(&ada, &thread, 0..MESSAGES).await;
    let sent = log(&server.sql().await, &thread).await;
    let mut all = Vec::new();
    for _ in 0..10 {
        let variables = json!({ "id": thread, "after": start });
        all.push(ada.follow(ONE_WAY, variables).await);
    }
    for events in &mut all {
        let mut heard = Vec::new();
        while heard.len() < MESSAGES {
            heard.extend(created(&events.event().await));
        }
        assert_eq!(heard, sent);
    }
    // Each reads for all; a second one may have begun before the group was there.
    let made = counted(server, SHARED).await + counted(server, PERSONAL).await;
    let few = u64::try_from(2 * MESSAGES).expect("few");
    assert!(made <= few, "{made} executions for {MESSAGES} messages");
}

#[tokio::test]
async fn what_was_not_kept_is_not_left_out_for_those_who_come_back() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let start = cursor(&ada, &thread).await;
    let query = "subscription($id: ID!, $after: String) {
        threadEvents(threadId: $id, after: $after) { __typename cursor
          ... on MessageCreated { message { id reactionGroups { viewerHasReacted } } }
          ... on MessageUpdated { message { id reactionGroups { viewerHasReacted } } } } }";
    let mut witness = ada.follow(query, json!({ "id": thread })).await;
    // The first and the last are the same for all, and kept; what is between is personal.
    let first = ada.say(&thread, "one").await;
    let input = json!({ "messageId": first, "emoji": "👍" });
    ada.mutate("addReaction", input, "message { id }").await;
    ada.say(&thread, "two").await;
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(witness.event().await);
    }
    assert_eq!(told[1]["__typename"], "MessageUpdated");
    let variables = json!({ "id": thread, "after": start });
    let mut late = ada.follow(query, variables).await;
    for expected in ["MessageCreated", "MessageUpdated", "MessageCreated"] {
        assert_eq!(late.event().await["__typename"], expected);
    }
}

#[tokio::test]
async fn what_was_deleted_is_not_told_to_those_who_come_back() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let start = cursor(&ada, &thread).await;
    // Somebody is there, so that what is told is kept for a while.
    let mut witness = ada.follow(ONE_WAY, json!({ "id": thread })).await;
    let message = ada.say(&thread, "a secret").await;
    assert_eq!(witness.event().await["message"]["body"], "a secret");
    let delete = json!({ "messageId": message });
    ada.mutate("deleteMessage", delete, "message { id }").await;
    assert_eq!(witness.event().await["__typename"], "MessageUpdated");
    let variables = json!({ "id": thread, "after": start });
    let mut late = ada.follow(ONE_WAY, variables).await;
    assert_eq!(late.event().await["message"]["body"], "");
}

/// A client that takes in little that it does not read.
async fn narrow(server: &Server, by: &Actor, query: &str, variables: Value) -> Subscription {
    let mut socket = Socket::connect_narrow(server).await;
    socket
        .greet(json!({ "Authorization": by.authorization() }))
        .await;
    assert_eq!(socket.hear().await["type"], "connection_ack");
    Subscription::on(socket, query, variables).await
}

#[tokio::test]
async fn a_reader_who_pauses_reads_the_rest_from_the_log_and_holds_up_nobody() {
    const MESSAGES: usize = 150;

    let server = Server::other(&[]).await;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await.at(server);
    let thread = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let variables = json!({ "id": thread });
    let mut slow = narrow(server, &ada, ONE_WAY, variables.clone()).await;
    let mut swift = ada.follow(ONE_WAY, variables).await;
    let mut sent = Vec::new();
    let words = "w".repeat(20_000);
    for _ in 0..MESSAGES {
        let message = message_uuid(&ada.say(&thread, &words).await);
        assert_eq!(created(&swift.event().await).as_ref(), Some(&message));
        sent.push(message);
    }
    assert!(counted(server, "bobbin_slow_readers_total{end=\"log\"}").await > 0);
    let mut heard = Vec::new();
    while heard.len() < MESSAGES {
        heard.extend(created(&slow.event().await));
    }
    assert_eq!(heard, sent);
    // It is with the others again.
    let last = ada.say(&thread, "the last one").await;
    assert_eq!(created(&slow.event().await), Some(message_uuid(&last)));
}

#[tokio::test]
async fn a_reader_who_does_not_go_on_is_closed_with_4508_and_resumes() {
    let server = Server::other(&["--write-timeout", "300"]).await;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await.at(server);
    let thread = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let variables = json!({ "id": thread });
    let mut slow = narrow(server, &ada, ONE_WAY, variables).await;
    let words = "w".repeat(20_000);
    let mut sent = Vec::new();
    for _ in 0..100 {
        sent.push(message_uuid(&ada.say(&thread, &words).await));
    }
    eventually("the slow reader is cut off", async || {
        counted(server, "bobbin_slow_readers_total{end=\"closed\"}").await == 1
    })
    .await;
    let mut heard = Vec::new();
    let mut last = Value::Null;
    let code = loop {
        match slow.socket.hear_or_close().await {
            Err(code) => break code,
            Ok(message) => {
                let told = &message["payload"]["data"]["threadEvents"];
                heard.extend(created(told));
                last = told["cursor"].clone();
            }
        }
    };
    assert_eq!(code, 4508);
    let variables = json!({ "id": thread, "after": last });
    let mut again = ada.follow(ONE_WAY, variables).await;
    while heard.len() < sent.len() {
        heard.extend(created(&again.event().await));
    }
    assert_eq!(heard, sent);
}
