//! What several are told of all that they see is made once; what is somebody's own, for him.

use serde_json::{Value, json};

use super::super::sharing::{DELIVERIES, PERSONAL, SHARED, counted};
use crate::support::server::Server;
use crate::support::socket::{Subscription, eventually};
use crate::support::{Actor, Person, Tenant};

/// What a server has counted so far: shared executions, personal ones, deliveries.
async fn counts(server: &Server) -> [u64; 3] {
    [
        counted(server, SHARED).await,
        counted(server, PERSONAL).await,
        counted(server, DELIVERIES).await,
    ]
}

/// Follows everything that each of them sees, all with the same document. A first message shows
/// that they are live.
async fn all_follow(
    server: &'static Server,
    people: &[Person],
    selection: &str,
    (writer, thread): (&Actor, &str),
) -> Vec<Subscription> {
    let query = format!(
        "subscription {{ viewerEvents {{ __typename cursor
           ... on MessageCreated {{ message {{ body {selection} }} }} }} }}"
    );
    let mut all = Vec::new();
    for person in people {
        all.push(person.at(server).follow(&query, json!({})).await);
    }
    writer.say(thread, "first").await;
    for events in &mut all {
        events
            .until(|event| event["message"]["body"] == "first")
            .await;
    }
    all
}

#[tokio::test]
async fn six_agents_are_told_of_everything_by_one_execution() {
    let server = Server::other(&[]).await;
    let tenant = Tenant::new().await;
    let mut agents = Vec::new();
    for number in 0..6 {
        agents.push(tenant.agent(&format!("a{number}")).await);
    }
    let writer = tenant.backend.at(server);
    let thread = writer.open_thread(json!({ "access": "AGENTS" })).await;
    let wanted = "id sender { name } thread { id subject }";
    let mut all = all_follow(server, &agents, wanted, (&writer, &thread)).await;
    let before = counts(server).await;
    writer.say(&thread, "hello").await;
    let mut told: Vec<Value> = Vec::new();
    for events in &mut all {
        told.push(events.event().await);
    }
    assert_eq!(told[0]["message"]["body"], "hello");
    assert_eq!(told[0]["message"]["thread"]["id"], *thread);
    told.dedup();
    assert_eq!(told.len(), 1, "all are told the same, the cursor included");
    let after = counts(server).await;
    let [shared, personal, _] = std::array::from_fn(|index| after[index] - before[index]);
    assert_eq!((shared, personal), (1, 0));
    // The last one may have been read before it was counted.
    eventually("six deliveries are counted", async || {
        counted(server, DELIVERIES).await == before[2] + 6
    })
    .await;
}

#[tokio::test]
async fn of_everything_what_is_personal_is_made_for_each() {
    let server = Server::other(&[]).await;
    let tenant = Tenant::new().await;
    let mut people = Vec::new();
    for number in 0..5 {
        people.push(tenant.member(&format!("m{number}")).await);
    }
    let ids: Vec<&str> = people.iter().map(|person| person.id.as_str()).collect();
    let writer = people[3].at(server);
    let thread = writer.open_thread(json!({ "participantIds": ids })).await;
    let mut all = all_follow(server, &people, "canEdit", (&writer, &thread)).await;
    let before = counts(server).await;
    writer.say(&thread, "mine").await;
    for (number, events) in all.iter_mut().enumerate() {
        let told = events.event().await;
        assert_eq!(told["message"]["canEdit"], number == 3, "{told}");
    }
    let after = counts(server).await;
    let [shared, personal, _] = std::array::from_fn(|index| after[index] - before[index]);
    assert_eq!((shared, personal), (0, 5));
}

#[tokio::test]
async fn of_everything_agents_and_contacts_share_with_their_own() {
    let server = Server::other(&[]).await;
    let tenant = Tenant::new().await;
    let mut people = Vec::new();
    for number in 0..3 {
        people.push(tenant.agent(&format!("a{number}")).await);
        people.push(tenant.contact(&format!("c{number}")).await);
    }
    let ids: Vec<&str> = people.iter().map(|person| person.id.as_str()).collect();
    let writer = people[0].at(server);
    let thread = writer.open_thread(json!({ "participantIds": ids })).await;
    let mut all = all_follow(server, &people, "private", (&writer, &thread)).await;
    let before = counts(server).await;
    let note = json!({ "threadId": thread, "body": "between us", "private": true });
    writer.mutate("createMessage", note, "message { id }").await;
    writer.say(&thread, "for all").await;
    for (number, events) in all.iter_mut().enumerate() {
        if number % 2 == 0 {
            assert_eq!(events.event().await["message"]["body"], "between us");
        }
        assert_eq!(events.event().await["message"]["body"], "for all");
    }
    let after = counts(server).await;
    let [shared, personal, _] = std::array::from_fn(|index| after[index] - before[index]);
    assert_eq!((shared, personal), (3, 0));
}
