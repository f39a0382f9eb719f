//! What the server counts of itself.

use std::collections::HashMap;

use serde_json::json;

use crate::support::Tenant;
use crate::support::server::Server;
use crate::support::socket::{Socket, eventually};

/// The numbers that a server shows, by series.
async fn shown(server: &Server) -> HashMap<String, f64> {
    let response = server.http.get(server.url("/metrics")).send().await;
    let response = response.expect("an answer");
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"].to_str().expect("a text");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = response.text().await.expect("a text");
    assert!(text.ends_with("# EOF\n"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            (series.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

#[tokio::test]
async fn operations_errors_and_connections_are_counted() {
    let server = Server::other(&[]).await;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await.at(server);
    for _ in 0..3 {
        ada.run("{ viewer { user { id } } }", json!({})).await;
    }
    let thread = ada.open_thread(json!({})).await;
    ada.run("{ thread(id: \"x\") { id } }", json!({})).await;
    ada.run("{ nonsense", json!({})).await;
    ada.run("{ a: nonsense }", json!({})).await;
    let body = json!({ "query": "x".repeat(10) }).to_string();
    let plain = server.http.post(server.url("/graphql")).body(body);
    assert_eq!(plain.send().await.expect("an answer").status(), 415);
    let shown = shown(server).await;
    for (series, expected) in [
        (
            "bobbin_operation_duration_seconds_count{kind=\"mutation\"}",
            1.0,
        ),
        (
            "bobbin_operation_duration_seconds_count{kind=\"query\"}",
            5.0,
        ),
        ("bobbin_errors_total{code=\"NOT_FOUND\"}", 1.0),
        ("bobbin_errors_total{code=\"GRAPHQL_PARSE_FAILED\"}", 1.0),
        (
            "bobbin_errors_total{code=\"GRAPHQL_VALIDATION_FAILED\"}",
            1.0,
        ),
        ("bobbin_errors_total{code=\"UNSUPPORTED_MEDIA_TYPE\"}", 1.0),
        ("bobbin_errors_total{code=\"CONFLICT\"}", 0.0),
        // The viewer three times, createThread, thread and one that is not valid.
        ("bobbin_documents_parsed_total", 4.0),
        ("bobbin_database_connections_max", 4.0),
    ] {
        assert_eq!(shown.get(series), Some(&expected), "{series}");
    }
    assert!(shown["bobbin_database_connections{state=\"idle\"}"] >= 1.0);
    assert!(shown["bobbin_operation_duration_seconds_sum{kind=\"query\"}"] > 0.0);
    drop(thread);
}

#[tokio::test]
async fn metrics_can_be_turned_off() {
    let server = Server::other(&["--metrics", "false"]).await;
    let response = server.http.get(server.url("/metrics")).send().await;
    assert_eq!(response.expect("an answer").status(), 404);
}

#[tokio::test]
async fn a_subscription_to_everything_ends_with_its_socket_though_nothing_happens() {
    let server = Server::other(&[]).await;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let mut socket = Socket::greeted(server, ada.authorization()).await;
    let query = "subscription { viewerEvents { cursor } }";
    for id in ["completed", "left"] {
        socket.subscribe(id, query, json!({})).await;
    }
    assert!(socket.heard_by_now().await.is_empty());
    assert_eq!(shown(server).await["bobbin_subscriptions"], 2.0);
    socket
        .say(json!({ "type": "complete", "id": "completed" }))
        .await;
    let left = async |number: f64| shown(server).await["bobbin_subscriptions"] == number;
    eventually("one subscription is left", async || left(1.0).await).await;
    drop(socket);
    eventually("none is left", async || left(0.0).await).await;
    assert_eq!(shown(server).await["bobbin_sockets"], 0.0);
}
