//! The cookie as a credential: whose pages may use it.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::{Actor, Person, Tenant};

const ME: &str = "{ viewer { user { id } } }";

async fn ask(server: &Server, person: &Person, origin: Option<&str>) -> (u16, Value) {
    let body = json!({ "query": ME });
    let request = server.http.post(server.url("/graphql")).json(&body);
    sent(with_cookie(request, person, origin)).await
}

fn with_cookie(request: RequestBuilder, person: &Person, origin: Option<&str>) -> RequestBuilder {
    let cookie = format!("theme=dark; bobbin_token={}; lang=en", person.token);
    let request = request.header("cookie", cookie);
    match origin {
        Some(origin) => request.header("origin", origin),
        None => request,
    }
}

async fn sent(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

#[track_caller]
fn code(answer: &Value) -> &str {
    let code = &answer["errors"][0]["extensions"]["code"];
    code.as_str().unwrap_or_else(|| panic!("no code: {answer}"))
}

#[tokio::test]
async fn a_cookie_counts_for_pages_of_this_origin_and_of_those_that_are_listed() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let listed = [
        "--cors-origins",
        "https://app.example.com, https://b.example.com",
    ];
    let server = Server::other(&listed).await;
    let own = format!("https://{}", server.address);
    for origin in [None, Some(&*own), Some("https://b.example.com")] {
        let (status, answer) = ask(server, &ada, origin).await;
        assert_eq!(
            (status, &answer["data"]["viewer"]["user"]["id"]),
            (200, &json!(ada.id)),
            "{origin:?}"
        );
    }
    for origin in [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "null",
        "",
    ] {
        let (status, answer) = ask(server, &ada, Some(origin)).await;
        assert_eq!((status, code(&answer)), (403, "FORBIDDEN"), "{origin}");
        assert!(answer.get("data").is_none());
    }
}

#[tokio::test]
async fn every_origin_is_not_an_origin_that_is_listed() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let server = Server::other(&["--cors-origins", "*"]).await;
    let (status, answer) = ask(server, &ada, Some("https://evil.example")).await;
    assert_eq!((status, code(&answer)), (403, "FORBIDDEN"));
    // A header is what the page's user gave it.
    let request = server.http.post(server.url("/graphql"));
    let request = request
        .json(&json!({ "query": ME }))
        .header("authorization", ada.authorization());
    let (status, _) = sent(with_cookie(request, &ada, Some("https://evil.example"))).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn pages_that_may_use_the_cookie_are_told_so_and_others_are_not() {
    let allowed = async |arguments: &[&str], origin: &str| {
        let server = Server::other(arguments).await;
        let response = server
            .http
            .request(Method::OPTIONS, server.url("/graphql"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        let response = response.send().await.expect("an answer");
        let text = |name| {
            let value = response.headers().get(name);
            value.map(|value| value.to_str().expect("a text").to_owned())
        };
        (
            text("access-control-allow-origin"),
            text("access-control-allow-credentials"),
        )
    };
    let page = "https://app.example.com";
    let yes = Some("true".to_owned());
    let listed = ["--cors-origins", page];
    assert_eq!(allowed(&listed, page).await, (Some(page.to_owned()), yes));
    assert_eq!(allowed(&listed, "https://evil.example").await.0, None);
    let any = allowed(&["--cors-origins", "*"], page).await;
    assert_eq!(any, (Some("*".to_owned()), None));
}

#[tokio::test]
async fn a_cookie_writes_only_by_a_json_post() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let server = Server::get().await;
    let mutation = "mutation { createThread(input: { subject: \"x\" }) { thread { id } } }";
    let mut url = reqwest::Url::parse(&server.url("/graphql")).expect("a URL");
    url.query_pairs_mut().append_pair("query", mutation);
    let by_get = with_cookie(server.http.get(url), &ada, None);
    assert_eq!(sent(by_get).await.0, 405);
    let body = json!({ "query": mutation }).to_string();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let request = server.http.post(server.url("/graphql"));
        let request = request.header("content-type", kind).body(body.clone());
        assert_eq!(
            sent(with_cookie(request, &ada, None)).await.0,
            415,
            "{kind}"
        );
    }
    let threads = ada.run("{ threads { totalCount } }", json!({})).await;
    assert_eq!(threads.number("/threads/totalCount"), 0);
    let request = server.http.post(server.url("/graphql"));
    let request = request
        .header("content-type", "application/json")
        .body(body);
    let (status, answer) = sent(with_cookie(request, &ada, None)).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_bad_cookie_is_401_and_a_key_in_one_counts_for_nothing() {
    let tenant = Tenant::new().await;
    let server = Server::get().await;
    let key = tenant.backend.authorization().trim_start_matches("Bearer ");
    for token in ["nonsense", "", key] {
        let body = json!({ "query": "{ __typename }" });
        let request = server.http.post(server.url("/graphql")).json(&body);
        let request = request.header("cookie", format!("bobbin_token={token}"));
        let (status, answer) = sent(request).await;
        assert_eq!((status, code(&answer)), (401, "UNAUTHENTICATED"), "{token}");
    }
    let backend: &Actor = &tenant.backend;
    backend
        .run("{ __typename }", json!({}))
        .await
        .at("/__typename");
}
