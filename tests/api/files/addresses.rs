//! Addresses: good for one thing, one file and some time.

use serde_json::json;

use super::{at, file, said};
use crate::support::Tenant;
use crate::support::files::File;
use crate::support::server::Server;
use crate::support::socket::eventually;

#[tokio::test]
async fn an_address_with_one_character_altered_is_refused() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let (_, url) = file(&ada, &File::text("notes.txt")).await;
    assert_eq!(ada.fetch(&url).await.0, 200);
    let from = url.find("/files/").expect("a path") + "/files/".len();
    let route = url[from..].find('/').expect("a name") + from;
    for at in (from..url.len()).filter(|at| *at != route) {
        for other in ["A", "b", "0"] {
            let mut altered = url.clone();
            altered.replace_range(at..=at, other);
            if altered != url {
                assert_eq!(ada.fetch(&altered).await.0, 403, "{altered}");
            }
        }
    }
    for altered in [
        url[..url.len() - 1].to_owned(),
        format!("{url}A"),
        format!("{url}&x=y"),
        format!("{url}&expires=99999999999"),
        url.split('?').next().expect("a path").to_owned(),
    ] {
        assert_eq!(ada.fetch(&altered).await.0, 403, "{altered}");
    }
}

#[tokio::test]
async fn an_address_is_of_one_file() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let (one, its) = file(&ada, &File::text("notes.txt")).await;
    let (other, _) = file(&ada, &File::text("notes.txt")).await;
    let of_other = its.replace(&one, &other);
    assert_ne!(of_other, its);
    assert_eq!(ada.fetch(&of_other).await.0, 403);
}

#[tokio::test]
async fn an_address_is_for_one_thing() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let http = &Server::get().await.http;
    let (_, url) = file(&ada, &File::text("notes.txt")).await;
    let put = |url: String| async move { http.put(url).body("x").send().await.expect("an answer") };
    assert_eq!(put(url.clone()).await.status(), 405);
    assert_eq!(put(url.replace("/files/", "/uploads/")).await.status(), 404);
    let begun = ada.begin_upload(&File::text("notes.txt"), json!({})).await;
    let to = begun.text("/uploadUrl");
    assert_eq!(ada.fetch(&to).await.0, 405);
    let from = to
        .replace("/uploads/", "/files/")
        .replace('?', "/notes.txt?");
    assert_eq!(ada.fetch(&from).await.0, 403);
    for at in ["/uploads/", "expires=", "signature="] {
        let at = to.find(at).expect("it is there") + at.len();
        let mut altered = to.clone();
        let other = if &to[at..=at] == "9" { "8" } else { "9" };
        altered.replace_range(at..=at, other);
        assert_eq!(put(altered).await.status(), 403);
    }
}

#[tokio::test]
async fn an_address_ends_with_its_time() {
    let ada = at(&["--file-url-lifetime", "1s"]).await;
    let (id, url) = file(&ada, &File::text("notes.txt")).await;
    let http = &Server::get().await.http;
    eventually("the address has ended", async || {
        ada.fetch(&url).await.0 != 200
    })
    .await;
    let (status, body) = said(http.get(&url).send().await.expect("an answer")).await;
    assert_eq!(status, 403);
    assert_eq!(body["errors"][0]["extensions"]["code"], "FORBIDDEN");
    let why = body["errors"][0]["message"].as_str().expect("words");
    assert!(why.contains("expired"), "{why}");
    // It cannot be made to last, and is given anew to who asks.
    let at = url.find("expires=").expect("a time") + "expires=".len();
    let mut longer = url.clone();
    longer.insert(at, '9');
    assert_eq!(ada.fetch(&longer).await.0, 403);
    let anew = ada.attachment(&id).await;
    let anew = anew["file"]["url"].as_str().expect("an address");
    assert_ne!(anew, url);
}

#[tokio::test]
async fn an_address_begins_as_the_operator_says() {
    let ada = at(&["--public-url", "https://chat.example.com/a/"]).await;
    let (_, url) = file(&ada, &File::text("notes.txt")).await;
    assert!(
        url.starts_with("https://chat.example.com/a/files/att_"),
        "{url}"
    );
    // Its servers share the key: what one of them signs, another one knows.
    let first = Server::get().await;
    let here = url.replace("https://chat.example.com/a", &first.url(""));
    assert_eq!(ada.fetch(&here).await.0, 200);
}

#[tokio::test]
async fn what_is_put_is_as_long_as_it_was_declared() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let http = &Server::get().await.http;
    let text = File::text("notes.txt");
    let begun = ada.begin_upload(&text, json!({})).await;
    let id = begun.text("/attachment/id");
    let to = begun.text("/uploadUrl");
    let long = [&text.bytes[..], b"x"].concat();
    for wrong in [&text.bytes[1..], &long, b""] {
        // With its length, and without.
        let said_so = http.put(&to).body(wrong.to_vec());
        let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>(wrong.to_vec())]);
        let unsaid = http.put(&to).body(reqwest::Body::wrap_stream(pieces));
        for request in [said_so, unsaid] {
            let (status, body) = said(request.send().await.expect("an answer")).await;
            assert_eq!(status, 400, "{body}");
            assert_eq!(body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
        }
    }
    // Nothing is there yet.
    assert_eq!(ada.complete(&id, false).await.code(), "CONFLICT");
    assert_eq!(ada.put(&begun, text.bytes).await, 204);
    // What comes later is another one's problem: what was looked at stays.
    let other = b"This is other.txt.\n".to_vec();
    assert_eq!(ada.put(&begun, other).await, 204, "it is still awaited");
    let done = ada.complete(&id, false).await;
    let url = done.text("/attachment/file/url");
    assert_eq!(
        ada.fetch(&url).await,
        (200, b"This is other.txt.\n".to_vec())
    );
    assert_eq!(ada.put(&begun, b"This is third.txt.\n".to_vec()).await, 409);
    assert_eq!(
        ada.fetch(&url).await,
        (200, b"This is other.txt.\n".to_vec())
    );
}
