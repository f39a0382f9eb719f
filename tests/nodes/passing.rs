//! Typing and presence over all that somebody sees, told at another node than theirs.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::socket::Subscription;
use crate::support::{Actor, Tenant};

const PASSING: &str = "subscription { viewerEvents { __typename
    ... on MessageCreated { message { body } }
    ... on TypingChanged { thread { id } typing { name } }
    ... on PresenceChanged { user { name } online }
  } }";

async fn set_typing(actor: &Actor, thread: &str, private: bool) {
    let input = json!({ "threadId": thread, "typing": true, "private": private });
    actor.mutate("setTyping", input, "threadId").await.at("");
}

/// An event in short: who types, who comes or goes, what is said.
fn told(event: &Value, thread: &str) -> String {
    match event["__typename"].as_str().expect("a name") {
        "TypingChanged" => {
            assert_eq!(event["thread"]["id"], *thread, "{event}");
            let typing = event["typing"].as_array().expect("a list").iter();
            let names: Vec<&str> = typing.filter_map(|user| user["name"].as_str()).collect();
            format!("typing: {}", names.join(" "))
        }
        "PresenceChanged" => {
            let name = event["user"]["name"].as_str().expect("a name");
            format!("online: {name} {}", event["online"])
        }
        _ => event["message"]["body"].as_str().expect("words").to_owned(),
    }
}

/// What a stream tells up to this, that included.
async fn until(events: &mut Subscription, thread: &str, last: &str) -> Vec<String> {
    let told_all = events.until(|event| told(event, thread) == last).await;
    told_all.iter().map(|event| told(event, thread)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_everything_hears_who_types_at_another_node_until_it_dies() {
    let mut cluster = Cluster::start().await;
    let tenant = Tenant::new().await;
    let (ann, bob) = (tenant.agent("ann").await, tenant.agent("bob").await);
    let (cyd, dee) = (tenant.contact("cyd").await, tenant.agent("dee").await);
    let people = json!({ "access": "AGENTS", "participantIds": [bob.id, cyd.id] });
    let thread = tenant.backend.open_thread(people).await;
    let (mut staff, mut contacts) = (Vec::new(), Vec::new());
    for node in &cluster.nodes[1..] {
        staff.push(ann.at(node.server).follow(PASSING, json!({})).await);
        contacts.push(cyd.at(node.server).follow(PASSING, json!({})).await);
    }
    let here = cluster.nodes[0].server;
    let (bob, dee) = (bob.at(here), dee.at(here));
    // A note is typed first, which no contact may know, then words for all.
    for _ in 0..3 {
        set_typing(&dee, &thread, true).await;
    }
    for _ in 0..3 {
        set_typing(&bob, &thread, false).await;
    }
    for _ in 0..3 {
        let online = json!({ "online": true });
        let set = bob.mutate("setPresence", online, "user { online }").await;
        set.at("/user");
    }
    for events in &mut staff {
        let mut heard = until(events, &thread, "online: bob true").await;
        // Both may have begun before anybody was told.
        heard.retain(|told| told != "typing: dee");
        assert_eq!(heard, ["typing: dee bob", "online: bob true"]);
    }
    for events in &mut contacts {
        let heard = until(events, &thread, "online: bob true").await;
        assert_eq!(heard, ["typing: bob", "online: bob true"]);
    }
    // What ends it is that nobody renews it: on every node, and told once.
    cluster.kill(0).await;
    for events in &mut staff {
        let mut heard = until(events, &thread, "online: bob false").await;
        heard.retain(|told| told != "typing: bob");
        assert_eq!(heard, ["typing: ", "online: bob false"]);
    }
    for events in &mut contacts {
        let heard = until(events, &thread, "online: bob false").await;
        assert_eq!(heard, ["typing: ", "online: bob false"]);
    }
    // Another node's clock may be a little behind, and would tell it by now.
    for node in &cluster.nodes[1..] {
        let query = "query($t: ID!) { thread(id: $t) { typing { name } } }";
        let read = ann.at(node.server).run(query, json!({ "t": thread })).await;
        assert_eq!(read.at("/thread/typing"), json!([]));
    }
    let last = tenant.backend.at(cluster.nodes[1].server);
    last.say(&thread, "the end").await;
    for events in staff.iter_mut().chain(&mut contacts) {
        assert_eq!(until(events, &thread, "the end").await, ["the end"]);
    }
}
