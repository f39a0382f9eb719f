//! The pages: they come from this server alone.

use std::process::Command;

use crate::support::server::Server;

#[tokio::test]
async fn the_explorer_loads_nothing_from_elsewhere() {
    let server = Server::get().await;
    let http = reqwest::Client::new();
    let page = http
        .get(server.url("/graphiql"))
        .send()
        .await
        .expect("a page");
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(
        policy.contains("default-src 'none'") || policy.contains("default-src 'self'"),
        "{policy}"
    );
    let html = page.text().await.expect("text");
    assert!(html.contains("<title>Bobbin"), "{html}");
    if option_env!("BOBBIN_SKIP_WEB").is_some()
        || Command::new("npm").arg("--version").output().is_err()
    {
        assert!(
            html.contains("Node.js"),
            "the page says how to get it: {html}"
        );
        return;
    }
    let assets: Vec<&str> = html
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    assert!(!assets.is_empty(), "{html}");
    for asset in assets {
        let got = http.get(server.url(asset)).send().await.expect("an asset");
        assert_eq!(got.status(), 200, "{asset}");
    }
    assert!(!html.contains("https://"), "{html}");
}

#[tokio::test]
async fn the_first_page_leads_to_the_explorer() {
    let server = Server::get().await;
    let page = reqwest::get(server.url("/")).await.expect("a page");
    assert_eq!(page.url().path(), "/graphiql");
    let missing = reqwest::get(server.url("/nowhere"))
        .await
        .expect("an answer");
    assert_eq!(missing.status(), 404);
    let body: serde_json::Value = missing.json().await.expect("JSON");
    assert_eq!(body["errors"][0]["extensions"]["code"], "NOT_FOUND");
}
