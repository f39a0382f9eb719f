//! One socket, several operations: the one with the most to tell leaves room for the others.

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::socket::Socket;
use crate::support::{Actor, THREAD_EVENTS, Tenant};

/// What came on a socket before something else: how many events of its busiest subscription.
#[derive(Debug, Default)]
struct Heard {
    hot: Vec<String>,
    pong: Option<usize>,
    query: Option<usize>,
    quiet: Option<usize>,
}

impl Heard {
    fn take(&mut self, message: &Value) {
        let before = self.hot.len();
        let body = |field: &str| {
            let body = &message["payload"]["data"][field]["message"]["body"];
            body.as_str().expect("a body").to_owned()
        };
        match (message["type"].as_str(), message["id"].as_str()) {
            (Some("pong"), None) => self.pong = Some(before),
            (Some("next"), Some("hot")) => self.hot.push(body("threadEvents")),
            (Some("next"), Some("quiet")) => self.quiet = Some(before),
            (Some("next"), Some("query")) => self.query = Some(before),
            (Some("complete"), Some("query")) => {}
            _ => panic!("{message}"),
        }
    }
}

/// Says so much in a thread that a number of events follows, each as long as this.
async fn flood(actor: &Actor, thread: &str, events: usize, length: usize) -> Vec<String> {
    let bodies: Vec<String> = (0..events).map(|n| format!("{n:0length$}")).collect();
    for bodies in bodies.chunks(50) {
        let inputs: Vec<String> = (0..bodies.len())
            .map(|n| format!("$b{n}: String!"))
            .collect();
        let fields: Vec<String> = (0..bodies.len())
            .map(|n| {
                format!("m{n}: createMessage(input: {{threadId: $id, body: $b{n}}}) {{ message {{ id }} }}")
            })
            .collect();
        let query = format!(
            "mutation($id: ID!, {}) {{ {} }}",
            inputs.join(", "),
            fields.join(" ")
        );
        let mut variables = json!({ "id": thread });
        for (n, body) in bodies.iter().enumerate() {
            variables[format!("b{n}")] = json!(body);
        }
        actor.run(&query, variables).await.at("");
    }
    bodies
}

/// What is heard when a client comes back to a socket that has far more to say than fits into it,
/// and only then asks for other things.
async fn heard_after_a_flood(events: usize, length: usize) -> Heard {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let (hot, quiet) = (
        ada.open_thread(json!({})).await,
        ada.open_thread(json!({})).await,
    );
    let mut socket = Socket::connect_narrow(Server::get().await).await;
    socket
        .greet(json!({ "Authorization": ada.authorization() }))
        .await;
    assert_eq!(socket.hear().await["type"], "connection_ack");
    for (id, thread) in [("hot", &hot), ("quiet", &quiet)] {
        let variables = json!({ "id": thread });
        socket.subscribe(id, THREAD_EVENTS, variables).await;
    }
    assert!(socket.heard_by_now().await.is_empty());
    let said = flood(&tenant.backend, &hot, events, length).await;
    tenant.backend.say(&quiet, "quiet").await;
    socket.say(json!({ "type": "ping" })).await;
    socket.subscribe("query", "{ __typename }", json!({})).await;
    let mut heard = Heard::default();
    while heard.hot.len() < events {
        heard.take(&socket.hear().await);
    }
    for message in socket.heard_by_now().await {
        heard.take(&message);
    }
    assert!(heard.hot == said, "the log, in order and once");
    heard
}

#[tokio::test]
async fn many_events_of_one_subscription_starve_nothing_else_on_its_socket() {
    const EVENTS: usize = 1_200;

    let heard = heard_after_a_flood(EVENTS, 10).await;
    let before = |what: Option<usize>| what.expect("it came");
    // What was queued already goes out before: 256 events, those being written, and those that
    // the system holds.
    for what in [heard.pong, heard.query, heard.quiet] {
        assert!(
            before(what) < EVENTS / 2,
            "{:?}",
            (heard.pong, heard.query, heard.quiet)
        );
    }
}

#[tokio::test]
async fn long_events_of_one_subscription_starve_nothing_else_on_its_socket() {
    const EVENTS: usize = 600;

    let heard = heard_after_a_flood(EVENTS, 10_000).await;
    let told = (heard.pong, heard.query, heard.quiet);
    let before = |what: Option<usize>| what.expect("it came");
    // A ping waits for what is being written, not for what is queued.
    assert!(before(heard.pong) < 100, "{told:?}");
    assert!(before(heard.query) < EVENTS / 2, "{told:?}");
    assert!(before(heard.quiet) < EVENTS / 2, "{told:?}");
    assert!(before(heard.pong) < before(heard.query), "{told:?}");
}
