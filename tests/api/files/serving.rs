//! What is handed out, and what a browser may make of it.

use std::path::Path;

use bobbin::ids::AttachmentId;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;

use super::file;
use crate::support::files::File;
use crate::support::server::Server;
use crate::support::{Actor, Tenant};

async fn get(url: &str, headers: &[(&str, &str)]) -> Response {
    sent(Server::get().await.http.get(url), headers).await
}

async fn sent(mut request: RequestBuilder, headers: &[(&str, &str)]) -> Response {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    let value = answer.headers().get(name);
    value.map_or("", |value| value.to_str().expect("a text"))
}

async fn ada() -> Actor {
    Tenant::new().await.member("ada").await.actor()
}

#[tokio::test]
async fn what_could_run_is_never_shown() {
    let ada = ada().await;
    let script = "<script>alert(document.domain)</script>";
    for (name, declared, content) in [
        ("x.html", "text/html", format!("<!doctype html><p>{script}")),
        (
            "x.svg",
            "image/svg+xml",
            format!("<svg xmlns=\"http://www.w3.org/2000/svg\">{script}</svg>"),
        ),
        (
            "x.xml",
            "text/xml",
            "<?xml version=\"1.0\"?><a/>".to_owned(),
        ),
        (
            "x.xhtml",
            "application/xhtml+xml",
            format!("<?xml version=\"1.0\"?><html>{script}</html>"),
        ),
        ("x.js", "text/javascript", "alert(1)".to_owned()),
        ("x.css", "text/css", "* { color: red }".to_owned()),
        ("x.json", "application/json", "{}".to_owned()),
        // Not declared, and found out.
        (
            "x",
            "application/octet-stream",
            format!("<!doctype html><p>{script}"),
        ),
    ] {
        let (_, url) = file(&ada, &File::new(name, declared, content.clone())).await;
        let answer = get(&url, &[]).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(
            header(&answer, "content-type"),
            "application/octet-stream",
            "{name}"
        );
        assert!(
            header(&answer, "content-disposition").starts_with("attachment; "),
            "{name}"
        );
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        let policy = header(&answer, "content-security-policy");
        assert!(
            policy.starts_with("sandbox; default-src 'none'"),
            "{policy}"
        );
        assert!(header(&answer, "cache-control").starts_with("private"));
        assert_eq!(answer.bytes().await.expect("a body"), content);
    }
}

#[tokio::test]
async fn pictures_and_plain_text_are_shown() {
    let ada = ada().await;
    let (_, url) = file(&ada, &File::png("cat.png", 30, 20)).await;
    let answer = get(&url, &[]).await;
    assert_eq!(header(&answer, "content-type"), "image/png");
    assert_eq!(
        header(&answer, "content-disposition"),
        "inline; filename=\"cat.png\"; filename*=UTF-8''cat.png"
    );
    assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    let html = File::new(
        "x.txt",
        "text/plain",
        "<!doctype html><script>alert(1)</script>",
    );
    let (_, url) = file(&ada, &html).await;
    let answer = get(&url, &[]).await;
    assert_eq!(header(&answer, "content-type"), "text/plain; charset=utf-8");
    let pdf = File::new("x.pdf", "application/pdf", "%PDF-1.7\n%\u{e9}\n1 0 obj");
    let (_, url) = file(&ada, &pdf).await;
    let answer = get(&url, &[]).await;
    assert!(header(&answer, "content-disposition").starts_with("inline; "));
    let policy = header(&answer, "content-security-policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
}

#[tokio::test]
async fn a_name_is_saved_as_it_is() {
    let ada = ada().await;
    let named = File::text("x").called("Größe; 100%.txt");
    let (_, url) = file(&ada, &named).await;
    let answer = get(&url, &[]).await;
    assert_eq!(
        header(&answer, "content-disposition"),
        "inline; filename=\"Gr__e__100_.txt\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%3B%20100%25.txt"
    );
}

#[tokio::test]
async fn a_part_of_a_file_is_sent_to_who_asks_for_it() {
    let ada = ada().await;
    // More than one piece of what is read at once.
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    let (_, url) = file(&ada, &File::new("x.txt", "text/plain", bytes.clone())).await;
    let whole = get(&url, &[]).await;
    assert_eq!(header(&whole, "accept-ranges"), "bytes");
    assert_eq!(header(&whole, "content-length"), "100000");
    let etag = header(&whole, "etag").to_owned();
    assert_eq!(whole.bytes().await.expect("a body"), bytes);
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=99990-", 99_990, 100_000),
        ("bytes=99990-200000", 99_990, 100_000),
        ("bytes=-5", 99_995, 100_000),
        ("bytes=20000-80000", 20_000, 80_001),
    ] {
        for condition in [&[][..], &[("if-range", etag.as_str())]] {
            let asked = [&[("range", range)], condition].concat();
            let answer = get(&url, &asked).await;
            assert_eq!(answer.status(), 206, "{range}");
            let expected = format!("bytes {from}-{}/100000", to - 1);
            assert_eq!(header(&answer, "content-range"), expected);
            assert_eq!(header(&answer, "content-length"), (to - from).to_string());
            assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
            assert_eq!(answer.bytes().await.expect("a body"), bytes[from..to]);
        }
    }
    for range in ["bytes=100000-", "bytes=-0"] {
        let answer = get(&url, &[("range", range)]).await;
        assert_eq!(answer.status(), 416, "{range}");
        assert_eq!(header(&answer, "content-range"), "bytes */100000");
    }
    for asked in [
        &[("range", "bytes=5-2")][..],
        &[("range", "bytes=a-")],
        &[("range", "bytes=0-1,5-6")],
        &[("range", "bytes=0-1"), ("if-range", "\"another\"")],
    ] {
        let answer = get(&url, asked).await;
        assert_eq!(answer.status(), 200, "{asked:?}");
        assert_eq!(answer.bytes().await.expect("a body"), bytes);
    }
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    let ada = ada().await;
    let http = &Server::get().await.http;
    let (_, url) = file(&ada, &File::text("notes.txt")).await;
    let head = sent(http.head(&url), &[]).await;
    assert_eq!(head.status(), 200);
    assert_eq!(header(&head, "content-length"), "19");
    assert_eq!(header(&head, "content-type"), "text/plain; charset=utf-8");
    let etag = header(&head, "etag").to_owned();
    assert_eq!(head.bytes().await.expect("no body"), "");
    let known = get(&url, &[("if-none-match", &etag)]).await;
    assert_eq!(known.status(), 304);
    assert_eq!(header(&known, "etag"), etag);
    assert_eq!(get(&url, &[("if-none-match", "\"x\"")]).await.status(), 200);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = sent(http.request(method, &url), &[]).await;
        assert_eq!(answer.status(), 405);
    }
    // The address says enough: a credential changes nothing.
    let answer = get(&url, &[("authorization", "Bearer nonsense")]).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn pages_of_listed_origins_reach_files() {
    let page = "https://app.example.com";
    let server = Server::other(&["--cors-origins", page]).await;
    let ada = ada().await.at(server);
    let (_, url) = file(&ada, &File::text("notes.txt")).await;
    let answer = get(&url, &[("origin", page)]).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), page);
    let answer = get(&url, &[("origin", "https://example.org")]).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), "");
    let begun = ada.begin_upload(&File::text("notes.txt"), json!({})).await;
    for (url, method, name) in [
        (begun.text("/uploadUrl"), "PUT", "content-type"),
        (server.url("/graphql"), "POST", "apollo-require-preflight"),
        (url, "GET", "range"),
    ] {
        let asked = [
            ("origin", page),
            ("access-control-request-method", method),
            ("access-control-request-headers", name),
        ];
        let answer = sent(server.http.request(Method::OPTIONS, url), &asked).await;
        let methods = header(&answer, "access-control-allow-methods");
        let headers = header(&answer, "access-control-allow-headers");
        assert!(methods.contains(method), "{methods}");
        assert!(headers.contains(name), "{headers}");
    }
}

#[tokio::test]
async fn what_a_killed_server_has_begun_to_write_goes_with_its_key() {
    let app = &Server::get().await.app;
    let ada = ada().await;
    let (id, _) = file(&ada, &File::text("notes.txt")).await;
    let key = id.parse::<AttachmentId>().expect("an id").uuid();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("files/files");
    let begun = |number: u8| kept.join(format!("{key}#{number}"));
    assert!(kept.join(key.to_string()).exists());
    for number in [1, 3] {
        std::fs::write(begun(number), "half of it").expect("it is written");
    }
    for _ in 0..2 {
        assert!(app.storage().remove(key).await.is_ok());
        assert!(app.storage().remove_begun(&[key]).await.is_ok());
    }
    assert!(!kept.join(key.to_string()).exists());
    assert!(!begun(1).exists() && !begun(3).exists());
}
