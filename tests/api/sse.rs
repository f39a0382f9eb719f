//! GraphQL over server-sent events, in the distinct connections mode of graphql-sse.

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::socket::PATIENCE;
use crate::support::{Actor, THREAD_EVENTS, Tenant};

/// A response that is read as it comes.
struct Events {
    response: reqwest::Response,
    text: String,
}

/// An event, or a comment.
#[derive(Debug, Default, PartialEq)]
struct Event {
    kind: String,
    id: String,
    data: String,
}

impl Event {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("JSON")
    }
}

impl Events {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request
            .header("accept", "text/event-stream")
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 200);
        let kind = response.headers()["content-type"].to_str().expect("text");
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        Self {
            response,
            text: String::new(),
        }
    }

    async fn follow(server: &Server, by: &Actor, body: Value, last: Option<&str>) -> Self {
        let mut request = server
            .http
            .post(server.url("/graphql"))
            .header("authorization", by.authorization())
            .json(&body);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        Self::of(request).await
    }

    /// The next event; none: the response has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let mut event = Event::default();
                for line in block.lines() {
                    let (field, value) = line.split_once(':').expect("a field");
                    let value = value.strip_prefix(' ').unwrap_or(value);
                    match field {
                        "event" => event.kind = value.to_owned(),
                        "id" => event.id = value.to_owned(),
                        "data" => event.data = value.to_owned(),
                        "" => event.kind = "comment".to_owned(),
                        other => panic!("an unknown field {other}"),
                    }
                }
                self.text = rest.to_owned();
                return Some(event);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk())
                .await
                .expect("in time")
                .expect("whole")?;
            self.text += std::str::from_utf8(&chunk).expect("UTF-8");
        }
    }

    async fn told(&mut self) -> Event {
        loop {
            let event = self.next().await.expect("an event");
            if event.kind != "comment" {
                return event;
            }
        }
    }
}

#[tokio::test]
async fn a_subscription_goes_on_behind_the_last_event_id() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let server = Server::get().await;
    let body = json!({ "query": THREAD_EVENTS, "variables": { "id": thread } });
    let mut events = Events::follow(server, &ada, body.clone(), None).await;
    let mut ids = Vec::new();
    ada.say(&thread, "one").await;
    ada.say(&thread, "two").await;
    for expected in ["one", "two"] {
        let event = events.told().await;
        assert_eq!(event.kind, "next");
        let told = &event.json()["data"]["threadEvents"];
        assert_eq!(told["message"]["body"], expected);
        assert_eq!(told["cursor"], *event.id);
        ids.push(event.id);
    }
    drop(events);
    ada.say(&thread, "three").await;
    let mut again = Events::follow(server, &ada, body, Some(&ids[0])).await;
    for expected in ["two", "three"] {
        let event = again.told().await;
        assert_eq!(
            event.json()["data"]["threadEvents"]["message"]["body"],
            expected
        );
    }
}

#[tokio::test]
async fn a_browser_may_follow_by_get_but_not_change_anything() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let server = Server::get().await;
    let get = |query: &str, variables: Value| {
        let asked = [("query", query), ("variables", &variables.to_string())];
        let url = reqwest::Url::parse_with_params(&server.url("/graphql"), asked);
        server
            .http
            .get(url.expect("an address"))
            .header("authorization", ada.authorization())
    };
    let mut events = Events::of(get(THREAD_EVENTS, json!({ "id": thread }))).await;
    ada.say(&thread, "hello").await;
    let told = events.told().await.json();
    assert_eq!(told["data"]["threadEvents"]["message"]["body"], "hello");
    let change =
        "mutation($id: ID!) { deleteThread(input: { threadId: $id }) { deletedThreadId } }";
    let refused = get(change, json!({ "id": thread }))
        .header("accept", "text/event-stream")
        .send()
        .await
        .expect("an answer");
    assert_eq!(refused.status(), 405);
}

#[tokio::test]
async fn a_query_is_one_event_and_the_end() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let body = json!({ "query": "{ viewer { user { name } } }" });
    let mut events = Events::follow(Server::get().await, &ada, body, None).await;
    let answer = events.told().await;
    assert_eq!(answer.json()["data"]["viewer"]["user"]["name"], "ada");
    assert_eq!(events.told().await.kind, "complete");
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn the_faults_of_a_document_are_told_within_the_stream() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let server = Server::get().await;
    let faults = [
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        (
            "subscription { threadEvents(threadId: \"nowhere\") { cursor } }",
            "NOT_FOUND",
        ),
    ];
    for (query, code) in faults {
        let mut events = Events::follow(server, &ada, json!({ "query": query }), None).await;
        let told = events.told().await;
        assert_eq!(told.kind, "next");
        assert_eq!(told.json()["errors"][0]["extensions"]["code"], code);
        assert_eq!(events.told().await.kind, "complete");
    }
}

#[tokio::test]
async fn a_bad_credential_is_no_stream() {
    let server = Server::get().await;
    let refused = server
        .http
        .post(server.url("/graphql"))
        .header("authorization", "Bearer nonsense")
        .header("accept", "text/event-stream")
        .json(&json!({ "query": "subscription { threadEvents(threadId: \"x\") { cursor } }" }))
        .send()
        .await
        .expect("an answer");
    assert_eq!(refused.status(), 401);
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_by_comments() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let server = Server::other(&["--ping-interval", "50"]).await;
    let body = json!({ "query": THREAD_EVENTS, "variables": { "id": thread } });
    let mut events = Events::follow(server, &ada, body, None).await;
    let beat = events.next().await.expect("a comment");
    assert_eq!(beat.kind, "comment");
}

#[tokio::test]
async fn an_expired_token_breaks_the_stream_off() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let server = Server::get().await;
    let soon = crate::support::server::now() + 1.5;
    let token = server.token(json!({ "sub": ada.id, "org": tenant.name, "exp": soon }));
    let by = Actor::with(server, format!("Bearer {token}"));
    let body = json!({ "query": THREAD_EVENTS, "variables": { "id": thread } });
    let mut events = Events::follow(server, &by, body, None).await;
    // Without an end that is told, a client comes back, and learns then that it needs a token.
    let broken = tokio::time::timeout(PATIENCE, events.response.chunk()).await;
    assert!(broken.expect("in time").is_err());
}

#[tokio::test]
async fn streams_count_among_the_sockets_of_their_viewer() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let server = Server::other(&["--max-sockets-per-viewer", "1"]).await;
    let body = json!({ "query": THREAD_EVENTS, "variables": { "id": thread } });
    let mut first = Events::follow(server, &ada, body.clone(), None).await;
    let by = ada.at(server);
    by.say(&thread, "hello").await;
    assert_eq!(first.told().await.kind, "next");
    let mut second = Events::follow(server, &ada, body, None).await;
    let told = second.told().await.json();
    assert_eq!(told["errors"][0]["extensions"]["code"], "RATE_LIMITED");
}
