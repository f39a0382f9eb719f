//! Readers who pause while there is more to tell them than a server would want to keep for each.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::Node;
use crate::support::socket::{Socket, Subscription};
use crate::support::{Actor, Tenant};

/// How many pause: half of them while it happens, the others when they have come back after it.
const READERS: usize = 8;

const MESSAGES: usize = 200;
const LENGTH: usize = 100_000;

/// What the server may keep of what all of them have to be told, and of all it does meanwhile.
const MOST: usize = READERS * MESSAGES * LENGTH * 5 / 8;

/// Subscribes with a document of its own, so that nothing is kept once for several; reads nothing
/// from then on.
async fn follow(number: usize, node: &Node, ada: &Actor, variables: &Value) -> Subscription {
    let query = format!(
        "subscription($id: ID!, $after: String) {{ threadEvents(threadId: $id, after: $after) {{
           ... on MessageCreated {{ message {{ r{number}: id body }} }} }} }}"
    );
    let mut socket = Socket::connect_narrow(node.server).await;
    let greeting = json!({ "Authorization": ada.authorization() });
    socket.greet(greeting).await;
    assert_eq!(socket.hear().await["type"], "connection_ack");
    Subscription::on(socket, &query, variables.clone()).await
}

/// How many events the server has handed over, once it hands over no more.
async fn settled(node: &Node) -> u64 {
    let mut before = None;
    loop {
        let answer = node.server.http.get(node.server.url("/metrics")).send();
        let text = answer.await.expect("an answer").text().await;
        let text = text.expect("a text");
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix("bobbin_deliveries_total "));
        let now: u64 = found.expect("a series").parse().expect("a number");
        if before.replace(now) == Some(now) {
            return now;
        }
        // As long as nobody reads, whatever can still be handed over is by then.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_who_pause_cost_little_and_are_told_everything_once() {
    let node = Node::alone().await;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await.at(node.server);
    let thread = ada.open_thread(json!({})).await;
    let query = "query($id: ID!) { thread(id: $id) { cursor } }";
    let read = ada.run(query, json!({ "id": thread })).await;
    let variables = json!({ "id": thread, "after": read.text("/thread/cursor") });
    let before = node.resident();
    let mut readers = Vec::new();
    for number in 0..READERS / 2 {
        readers.push(follow(number, &node, &ada, &variables).await);
    }
    let padding = "w".repeat(LENGTH);
    for number in 0..MESSAGES {
        ada.say(&thread, &format!("{number} {padding}")).await;
    }
    for number in READERS / 2..READERS {
        readers.push(follow(number, &node, &ada, &variables).await);
    }
    let told = settled(&node).await;
    assert!(told < (READERS * MESSAGES / 2).try_into().expect("few"));
    let grown = node.resident().saturating_sub(before);
    assert!(grown < MOST, "{grown} bytes more");
    for events in &mut readers {
        let mut heard = Vec::new();
        while heard.len() < MESSAGES {
            let event = events.event().await;
            let body = event["message"]["body"].as_str().expect("words");
            let (number, _) = body.split_once(' ').expect("a number and padding");
            heard.push(number.parse::<usize>().expect("a number"));
        }
        assert!(heard.into_iter().eq(0..MESSAGES));
        assert_eq!(events.heard_by_now().await, Vec::<Value>::new());
    }
    let grown = node.resident().saturating_sub(before);
    assert!(grown < MOST, "{grown} bytes more");
}
