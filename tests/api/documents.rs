//! Documents that are known by their hash, and those that alone are trusted.

use aws_lc_rs::digest::{SHA256, digest};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::server::{SECRET, Server};
use crate::support::socket::{PATIENCE, Socket};
use crate::support::{Actor, Tenant, unique};

fn hash(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn persisted(hash: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
}

/// A document that no other test sends.
fn document() -> String {
    format!("query {} {{ __typename }}", unique("Q").replace('-', "_"))
}

/// Sends a request as it is.
async fn post(server: &Server, params: Value) -> Answer {
    let sent = server.http.post(server.url("/graphql")).json(&params);
    let response = sent.send().await.expect("the server answers");
    let status = response.status().as_u16();
    Answer::new(status, response.json().await.expect("JSON"))
}

async fn get(server: &Server, params: &[(&str, &str)]) -> Answer {
    let mut url = reqwest::Url::parse(&server.url("/graphql")).expect("a URL");
    url.query_pairs_mut().extend_pairs(params);
    let sent = server.http.request(Method::GET, url);
    let response = sent.send().await.expect("the server answers");
    let status = response.status().as_u16();
    Answer::new(status, response.json().await.expect("JSON"))
}

#[tokio::test]
async fn a_document_is_known_by_its_hash_once_it_was_sent_with_it() {
    let server = Server::get().await;
    let text = document();
    let hash = hash(&text);
    let by_hash = json!({ "extensions": persisted(&hash) });
    let unknown = post(server, by_hash.clone()).await;
    assert_eq!(unknown.code(), "PERSISTED_QUERY_NOT_FOUND");
    // What Apollo's clients look for.
    assert_eq!(
        unknown.body["errors"][0]["message"],
        "PersistedQueryNotFound"
    );
    let both = json!({ "query": text, "extensions": persisted(&hash) });
    post(server, both).await.at("/__typename");
    post(server, by_hash).await.at("/__typename");
    let extensions = persisted(&hash).to_string();
    get(server, &[("extensions", &extensions)])
        .await
        .at("/__typename");
    let id = format!("sha256:{hash}");
    post(server, json!({ "documentId": id }))
        .await
        .at("/__typename");
    get(server, &[("documentId", &id)]).await.at("/__typename");
}

#[tokio::test]
async fn a_hash_is_enough_over_a_socket_too() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let server = Server::get().await;
    let mut socket = Socket::greeted(server, ada.authorization()).await;
    let name = unique("S").replace('-', "_");
    let subscription = format!(
        "subscription {name}($id: ID!) {{ threadEvents(threadId: $id) {{
           __typename ... on MessageCreated {{ message {{ body }} }} }} }}"
    );
    for (text, variables) in [
        (document(), json!({})),
        (subscription, json!({ "id": thread })),
    ] {
        let hash = hash(&text);
        let ask = |id: &str, query: Option<&str>| {
            let extensions = persisted(&hash);
            let payload =
                json!({ "query": query, "variables": variables, "extensions": extensions });
            json!({ "type": "subscribe", "id": id, "payload": payload })
        };
        socket.say(ask("unknown", None)).await;
        let refused = socket.hear().await;
        assert_eq!(
            (&refused["type"], &refused["id"]),
            (&json!("error"), &json!("unknown"))
        );
        let error = &refused["payload"][0];
        assert_eq!(error["message"], "PersistedQueryNotFound");
        assert_eq!(error["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND");
        let ways = [("whole", Some(&*text)), ("by hash", None)];
        for (id, query) in ways {
            socket.say(ask(id, query)).await;
            if text.starts_with("query") {
                let answer = socket.hear().await;
                assert_eq!(answer["payload"]["data"]["__typename"], "Query", "{id}");
                let end = socket.hear().await;
                assert_eq!((&end["type"], &end["id"]), (&json!("complete"), &json!(id)));
            } else {
                assert!(socket.heard_by_now().await.is_empty());
            }
        }
        if text.starts_with("subscription") {
            ada.say(&thread, "to both").await;
            let mut told = [socket.hear().await, socket.hear().await];
            told.sort_by_key(|message| message["id"] == "by hash");
            for (message, (id, _)) in told.iter().zip(ways) {
                assert_eq!(message["id"], id);
                let event = &message["payload"]["data"]["threadEvents"];
                assert_eq!(event["message"]["body"], "to both", "{message}");
            }
        }
    }
    // Another text under that hash is refused, and the socket stays.
    let forged = json!({ "query": document(), "extensions": persisted(&hash(&document())) });
    socket
        .say(json!({ "type": "subscribe", "id": "f", "payload": forged }))
        .await;
    assert_eq!(
        socket.hear().await["payload"][0]["extensions"]["code"],
        "BAD_REQUEST"
    );
    assert!(socket.heard_by_now().await.is_empty());
}

#[tokio::test]
async fn nobody_gives_a_hash_to_another_document() {
    let server = Server::get().await;
    let (text, other) = (document(), document());
    let forged = json!({ "query": other, "extensions": persisted(&hash(&text)) });
    let refused = post(server, forged).await;
    assert_eq!(refused.code(), "BAD_REQUEST");
    let by_hash = json!({ "extensions": persisted(&hash(&text)) });
    assert_eq!(
        post(server, by_hash).await.code(),
        "PERSISTED_QUERY_NOT_FOUND"
    );
}

#[tokio::test]
async fn a_hash_that_is_none_is_refused() {
    let server = Server::get().await;
    for extensions in [
        json!({ "persistedQuery": { "version": 2, "sha256Hash": "a".repeat(64) } }),
        json!({ "persistedQuery": { "version": 1, "sha256Hash": "abc" } }),
        json!({ "persistedQuery": { "version": 1 } }),
        json!({ "persistedQuery": "abc" }),
    ] {
        let refused = post(server, json!({ "extensions": extensions })).await;
        assert_eq!(refused.code(), "BAD_REQUEST", "{extensions}");
    }
    let named_twice = json!({
        "documentId": format!("sha256:{}", "b".repeat(64)),
        "extensions": persisted(&"a".repeat(64)),
    });
    assert_eq!(post(server, named_twice).await.code(), "BAD_REQUEST");
}

#[tokio::test]
async fn a_mutation_is_not_executed_by_get_though_its_hash_is_known() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let server = Server::get().await;
    let subject = unique("subject");
    let text = format!(
        "mutation {{ createThread(input: {{ subject: \"{subject}\" }}) {{ thread {{ id }} }} }}"
    );
    let both = json!({ "query": text, "extensions": persisted(&hash(&text)) });
    // Nobody may open a thread, but the document is known from now on.
    assert_eq!(post(server, both).await.code(), "UNAUTHENTICATED");
    let extensions = persisted(&hash(&text)).to_string();
    let refused = get(server, &[("extensions", &extensions)]).await;
    assert_eq!(
        (refused.status, &*refused.code()),
        (405, "METHOD_NOT_ALLOWED")
    );
    let threads = ada.run("{ threads { totalCount } }", json!({})).await;
    assert_eq!(threads.number("/threads/totalCount"), 0);
}

#[tokio::test]
async fn a_flood_of_documents_leaves_the_one_that_is_asked_for_often() {
    // Each document counts as more than two kilobytes, so this server keeps fewer than 500.
    let server = Server::other(&["--document-cache-bytes", "1000000"]).await;
    let known = async |text: &str| {
        let by_hash = json!({ "extensions": persisted(&hash(text)) });
        let answer = post(server, by_hash).await;
        answer.body.get("errors").is_none() || {
            assert_eq!(answer.code(), "PERSISTED_QUERY_NOT_FOUND");
            false
        }
    };
    let often = document();
    post(server, json!({ "query": often }))
        .await
        .at("/__typename");
    let mut others = Vec::new();
    for _ in 0..20 {
        for _ in 0..40 {
            let other = document();
            post(server, json!({ "query": other }))
                .await
                .at("/__typename");
            others.push(other);
        }
        assert!(known(&often).await, "after {}", others.len());
    }
    let mut kept = 0;
    for other in &others {
        kept += usize::from(known(other).await);
    }
    assert!((1..500).contains(&kept), "{kept} of {}", others.len());
}

/// A server that trusts a few documents, named in a manifest that lies in a file of its own.
async fn trusting(manifest: &Value) -> &'static Server {
    let path = std::env::temp_dir().join(unique("manifest"));
    std::fs::write(&path, manifest.to_string()).expect("a file");
    let server = Server::other(&["--trusted-documents", &path.to_string_lossy()]).await;
    std::fs::remove_file(&path).expect("it was there");
    server
}

#[tokio::test]
async fn only_trusted_documents_are_executed_if_there_are_any() {
    const LISTED: &str = "query One { __typename }";
    let server = trusting(&json!({ "5eed": LISTED })).await;
    for trusted in [
        json!({ "documentId": "5eed" }),
        json!({ "documentId": format!("sha256:{}", hash(LISTED)) }),
        json!({ "extensions": persisted(&hash(LISTED)) }),
        json!({ "query": LISTED }),
        json!({ "query": LISTED, "documentId": "5eed" }),
    ] {
        let answer = post(server, trusted.clone()).await;
        assert_eq!(answer.text("/__typename"), "Query", "{trusted}");
    }
    let other = "query Two { __typename }";
    for untrusted in [
        json!({ "documentId": "other" }),
        json!({ "query": other }),
        json!({ "query": other, "extensions": persisted(&hash(other)) }),
        json!({ "extensions": persisted(&hash(other)) }),
        json!({ "query": "not even GraphQL" }),
    ] {
        let answer = post(server, untrusted.clone()).await;
        assert_eq!(answer.code(), "DOCUMENT_NOT_TRUSTED", "{untrusted}");
    }
    let page = server.http.get(server.url("/graphiql")).send().await;
    assert_eq!(page.expect("an answer").status(), 200);
}

#[tokio::test]
async fn trusted_documents_are_all_there_is_over_a_socket_too() {
    const LISTED: &str = "query One { viewer { user { name } } }";
    let manifest = json!({
        "format": "apollo-persisted-query-manifest", "version": 1,
        "operations": [{ "id": hash(LISTED), "name": "One", "type": "query", "body": LISTED }],
    });
    let server = trusting(&manifest).await;
    let tenant = Tenant::new().await;
    let ada: Actor = tenant.member("ada").await.at(server);
    let mut answer = ada.follow(LISTED, json!({})).await;
    let message = answer.message().await;
    assert_eq!(
        message["payload"]["data"]["viewer"]["user"]["name"], "ada",
        "{message}"
    );
    let other = "subscription { viewerEvents { __typename } }";
    for untrusted in [
        json!({ "query": "{ __typename }" }),
        json!({ "query": other }),
        json!({ "query": other, "extensions": persisted(&hash(other)) }),
        json!({ "extensions": persisted(&hash(other)) }),
        json!({ "documentId": "other" }),
    ] {
        let asked = json!({ "type": "subscribe", "id": "2", "payload": untrusted });
        answer.socket.say(asked).await;
        let refused = loop {
            let message = answer.socket.hear().await;
            // The first operation's end may come before.
            if message["id"] == "2" {
                break message;
            }
        };
        assert_eq!(refused["type"], "error", "{refused}");
        let code = &refused["payload"][0]["extensions"]["code"];
        assert_eq!(code, "DOCUMENT_NOT_TRUSTED", "{untrusted}");
    }
    for trusted in [
        json!({ "extensions": persisted(&hash(LISTED)) }),
        json!({ "documentId": hash(LISTED) }),
    ] {
        let asked = json!({ "type": "subscribe", "id": "3", "payload": trusted });
        answer.socket.say(asked).await;
        let message = answer.socket.hear().await;
        assert_eq!(message["payload"]["data"]["viewer"]["user"]["name"], "ada");
        assert_eq!(answer.socket.hear().await["type"], "complete");
    }
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_stops_the_start_with_one_line() {
    let directory = std::env::temp_dir().join(unique("bobbin-test-manifest"));
    std::fs::create_dir_all(&directory).expect("a directory");
    let manifest = directory.join("manifest.json");
    for content in [None, Some("[]"), Some("{}")] {
        if let Some(content) = content {
            std::fs::write(&manifest, content).expect("a file");
        }
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_bobbin"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--jwt-secret", SECRET])
            .arg("--data-dir")
            .arg(&directory)
            .arg("--trusted-documents")
            .arg(&manifest)
            .kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await;
        let ended = ended.expect("it ends").expect("it runs");
        let said = String::from_utf8(ended.stderr).expect("a text");
        assert!(!ended.status.success(), "{content:?}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("manifest.json"), "{said}");
    }
    std::fs::remove_dir_all(&directory).expect("it is removed");
}
