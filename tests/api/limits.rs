//! How much a document may hold, and how often somebody may come.

use serde_json::json;

use crate::live::thread_uuid;
use crate::support::server::Server;
use crate::support::socket::{Socket, eventually};
use crate::support::{Actor, Tenant};

/// A document with a field so many times, each written this way.
fn repeated(count: usize, field: impl Fn(usize) -> String) -> String {
    let fields: Vec<String> = (0..count).map(field).collect();
    format!("{{ {} }}", fields.join(" "))
}

#[tokio::test]
async fn tokens_aliases_and_directives_have_limits_which_are_settings() {
    let nobody = Actor::nobody().await;
    let narrow = nobody.at(Server::other(&[
        "--max-tokens",
        "200",
        "--max-aliases",
        "5",
        "--max-directives",
        "5",
    ])
    .await);
    let aliases = |count| repeated(count, |index| format!("a{index}: __typename"));
    let directives = |count| repeated(count, |_| "__typename @include(if: true)".to_owned());
    let tokens = |count| repeated(count, |_| "__typename".to_owned());
    for (what, most, document) in [
        ("aliases", 5, &aliases as &dyn Fn(usize) -> String),
        ("directives", 5, &directives),
        // Two of them are the braces.
        ("tokens", 198, &tokens),
    ] {
        let fits = narrow.run(&document(most), json!({})).await;
        assert!(fits.body.get("errors").is_none(), "{what}: {}", fits.body);
        let refused = narrow.run(&document(most + 1), json!({})).await;
        assert_eq!(refused.code(), "QUERY_TOO_COMPLEX", "{what}");
        let message = refused.body["errors"][0]["message"].to_string();
        assert!(message.contains(what), "{message}");
        let wider = nobody.run(&document(most + 1), json!({})).await;
        assert!(wider.body.get("errors").is_none(), "{what}: {}", wider.body);
    }
}

#[tokio::test]
async fn the_size_of_a_page_is_a_setting() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let narrow = ada.at(Server::other(&["--max-page-size", "3", "--max-complexity", "120"]).await);
    let wide = ada.at(Server::other(&["--max-page-size", "150"]).await);
    let thread = ada.open_thread(json!({})).await;
    for number in 0..5 {
        let message = ada.say(&thread, &number.to_string()).await;
        let input = json!({ "messageId": message, "emoji": "x" });
        let added = ada.mutate("addReaction", input, "message { id }").await;
        added.at("/message/id");
    }
    let lists = [
        ("threads", "threads(PAGE) { nodes { id } }"),
        ("messages", "messages(PAGE) { nodes { id } }"),
        (
            "a thread's messages",
            "thread(id: $id) { messages(PAGE) { nodes { id } } }",
        ),
        (
            "participants",
            "thread(id: $id) { participants(PAGE) { nodes { id } } }",
        ),
        ("drafts", "viewer { drafts(PAGE) { nodes { id } } }"),
        (
            "found messages",
            "searchMessages(query: \"0\", PAGE) { edges { cursor } }",
        ),
        (
            "those who reacted",
            "thread(id: $id) { firstMessage { reactionGroups { users(PAGE) { id } } } }",
        ),
    ];
    let variables = json!({ "id": thread });
    for (what, list) in lists {
        let ask = async |who: &Actor, first: u32| {
            let list = list.replace("PAGE", &format!("first: {first}"));
            let head = if list.contains("$id") {
                "query($id: ID!)"
            } else {
                "query"
            };
            who.run(&format!("{head} {{ {list} }}"), variables.clone())
                .await
        };
        for (who, most) in [(&narrow, 3), (&ada, 100), (&wide, 150)] {
            ask(who, most).await.at("");
            let refused = ask(who, most + 1).await;
            assert_eq!(refused.faults(), ["first"], "{what}");
            let message = refused.body["errors"][0].to_string();
            assert!(message.contains(&format!("1 and {most}")), "{message}");
        }
    }
    // Who does not say how many gets no more, either; and is counted for no more.
    let query = "query($id: ID!) { thread(id: $id) { messages { nodes {
        id body metadata sender { id name } participants: thread { participants { nodes { id name } } }
    } } } }";
    let read = narrow.run(query, json!({ "id": thread })).await;
    assert_eq!(
        read.texts("/thread/messages/nodes", "/body"),
        ["0", "1", "2"]
    );
}

#[tokio::test]
async fn the_depth_of_a_document_is_a_setting() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let shallow = ada.at(Server::other(&["--max-depth", "5"]).await);
    let five = "{ threads { nodes { creator { name } } } }";
    let six = "{ threads { nodes { organization { members { totalCount } } } } }";
    let seven = "{ threads { nodes { organization { members { nodes { name } } } } } }";
    for (document, fits) in [(five, true), (six, true), (seven, false)] {
        ada.run(document, json!({})).await.at("");
        let answer = shallow.run(document, json!({})).await;
        assert_eq!(answer.body.get("errors").is_none(), fits, "{}", answer.body);
        if !fits {
            assert_eq!(answer.code(), "QUERY_TOO_COMPLEX");
        }
    }
}

#[tokio::test]
async fn the_time_of_an_operation_is_a_setting_and_a_write_goes_on_to_its_end() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let brief = ada.at(Server::other(&["--operation-timeout", "1"]).await);
    let thread = ada.open_thread(json!({})).await;
    let mut events = brief.follow_thread(&thread, None).await;
    let mut sql = Server::get().await.sql().await;
    // Whoever writes into the thread waits for this lock.
    let lock = sql.transaction().await.expect("a transaction");
    let statement = "SELECT FROM threads WHERE id = $1::text::uuid FOR UPDATE";
    let locked = lock.execute(statement, &[&thread_uuid(&thread)]).await;
    locked.expect("a lock");
    let input = json!({ "threadId": thread, "body": "late" });
    let late = brief.mutate("createMessage", input, "message { id }").await;
    assert_eq!(late.code(), "TIMEOUT");
    lock.rollback().await.expect("the lock is released");
    assert_eq!(events.event().await["message"]["body"], "late");
}

#[tokio::test]
async fn a_viewer_who_asks_too_often_is_told_when_to_come_again() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let bob = tenant.member("bob").await;
    let server = Server::other(&["--max-operation-rate", "1"]).await;
    let ask = async |who: &Actor| {
        let request = server.http.post(server.url("/graphql"));
        let request = request.header("authorization", who.authorization());
        let body = json!({ "query": "{ __typename }" });
        request.json(&body).send().await.expect("an answer")
    };
    let mut refused = None;
    eventually("a request is one too many", async || {
        let response = ask(&ada).await;
        if response.status() == 429 {
            refused = Some(response);
        }
        refused.is_some()
    })
    .await;
    let refused = refused.expect("it is there");
    let wait = refused.headers()["retry-after"].to_str().expect("a text");
    let wait: u64 = wait.parse().expect("a number");
    let body: serde_json::Value = refused.json().await.expect("JSON");
    assert_eq!(body["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    assert_eq!(body["errors"][0]["extensions"]["retryAfter"], wait);
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(ask(&bob).await.status(), 200);
    eventually("a later request is answered", async || {
        ask(&ada).await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_refused_before_the_upgrade() {
    let server = Server::other(&[
        "--max-connection-rate",
        "1",
        "--client-address-header",
        "X-Forwarded-For",
    ])
    .await;
    let upgrade = async |from: &str| {
        let request = server.http.get(server.url("/graphql"));
        let request = request
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", "graphql-transport-ws")
            .header("x-forwarded-for", from);
        request.send().await.expect("an answer")
    };
    eventually("a connection is one too many", async || {
        let response = upgrade("192.0.2.1").await;
        if response.status() == 101 {
            return false;
        }
        assert_eq!(response.status(), 429);
        assert!(response.headers().contains_key("retry-after"));
        let body: serde_json::Value = response.json().await.expect("JSON");
        assert_eq!(body["errors"][0]["extensions"]["code"], "RATE_LIMITED");
        true
    })
    .await;
    assert_eq!(upgrade("192.0.2.2").await.status(), 101);
    // Who is connected already goes on.
    let mut socket = Socket::connect_with(server, &[("x-forwarded-for", "192.0.2.3")]).await;
    while upgrade("192.0.2.3").await.status() == 101 {}
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await["type"], "pong");
}
