//! Requests that bring files, whole and in every other way.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{at, said};
use crate::support::server::Server;
use crate::support::{Actor, Tenant};

const UPLOAD: &str = "mutation($input: UploadAttachmentInput!) { uploadAttachment(input: $input) {
    attachment { id file { name mimeType size url } } } }";

/// A part of a request: its name, its file's name and type, and its content.
type Part<'a> = (&'a str, Option<(&'a str, &'a str)>, &'a [u8]);

const TEXT: Option<(&str, &str)> = Some(("a.txt", "text/plain"));

fn body(parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        body.extend(format!("--here\r\nContent-Disposition: form-data; name=\"{name}\"").bytes());
        if let Some((file, kind)) = file {
            body.extend(format!("; filename=\"{file}\"\r\nContent-Type: {kind}").bytes());
        }
        body.extend(b"\r\n\r\n");
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--here--\r\n");
    body
}

fn one(map: &Value, files: &[Part]) -> Vec<u8> {
    let operations = json!({ "query": UPLOAD, "variables": { "input": { "file": null } } });
    let (operations, map) = (operations.to_string(), map.to_string());
    let head = [
        ("operations", None, operations.as_bytes()),
        ("map", None, map.as_bytes()),
    ];
    body(&[&head, files].concat())
}

async fn request(by: &Actor, server: &Server, body: Vec<u8>) -> RequestBuilder {
    bare(server, body).header("authorization", by.authorization())
}

fn bare(server: &Server, body: Vec<u8>) -> RequestBuilder {
    server
        .http
        .post(server.url("/graphql"))
        .header("content-type", "multipart/form-data; boundary=here")
        .body(body)
}

async fn send(by: &Actor, body: Vec<u8>) -> (u16, Value) {
    let request = request(by, Server::get().await, body).await;
    said(request.send().await.expect("an answer")).await
}

async fn ada() -> Actor {
    Tenant::new().await.member("ada").await.actor()
}

fn code(body: &Value) -> &str {
    let code = &body["errors"][0]["extensions"]["code"];
    code.as_str().unwrap_or_else(|| panic!("no code in {body}"))
}

#[tokio::test]
async fn a_form_of_a_page_cannot_send_files() {
    let ada = ada().await;
    let server = Server::get().await;
    let whole = one(
        &json!({ "0": ["variables.input.file"] }),
        &[("0", TEXT, b"hello")],
    );
    let token = ada.authorization().trim_start_matches("Bearer ").to_owned();
    let cookie = format!("bobbin_token={token}");
    let with_cookie = || bare(server, whole.clone()).header("cookie", &cookie);
    let (status, body) = said(with_cookie().send().await.expect("an answer")).await;
    assert_eq!(
        (status, code(&body)),
        (415, "UNSUPPORTED_MEDIA_TYPE"),
        "{body}"
    );
    for name in [
        "apollo-require-preflight",
        "x-apollo-operation-name",
        "graphql-require-preflight",
    ] {
        let empty = with_cookie().header(name, "");
        assert_eq!(said(empty.send().await.expect("an answer")).await.0, 415);
        let asked = with_cookie().header(name, "true");
        let (status, body) = said(asked.send().await.expect("an answer")).await;
        assert_eq!(status, 200, "{body}");
        assert!(body["data"]["uploadAttachment"]["attachment"]["id"].is_string());
        // Nobody stores anything whom nobody knows.
        let nobody = bare(server, whole.clone()).header(name, "true");
        let (status, body) = said(nobody.send().await.expect("an answer")).await;
        assert_eq!((status, code(&body)), (401, "UNAUTHENTICATED"));
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of what is refused")]
async fn a_request_that_is_not_whole_says_what_is_wrong() {
    let ada = ada().await;
    let file = ("0", TEXT, &b"hello"[..]);
    let map = json!({ "0": ["variables.input.file"] });
    let operations = json!({ "query": UPLOAD, "variables": { "input": { "file": null } } });
    let operations = operations.to_string();
    let operations = ("operations", None, operations.as_bytes());
    let text = map.to_string();
    let mapped = ("map", None, text.as_bytes());
    let huge = "x".repeat(2_000_001);
    let many: serde_json::Map<_, _> = (0..16)
        .map(|n| (n.to_string(), json!([format!("variables.files.{n}")])))
        .collect();
    let whole = one(&map, &[file]);
    let half = String::from_utf8_lossy(&whole)
        .rfind("input.file")
        .expect("the map");
    for (what, body, at) in [
        ("nothing", body(&[]), "operations"),
        (
            "the map first",
            body(&[mapped, operations, file]),
            "operations",
        ),
        (
            "the file first",
            body(&[file, operations, mapped]),
            "operations",
        ),
        (
            "the file before the map",
            body(&[operations, file, mapped]),
            "map",
        ),
        ("no map", body(&[operations]), "map"),
        (
            "no JSON",
            body(&[("operations", None, b"{"), mapped, file]),
            "operations",
        ),
        (
            "a map that is no JSON",
            body(&[operations, ("map", None, b"?"), file]),
            "map",
        ),
        ("a map that is a list", one(&json!([]), &[file]), "map"),
        (
            "a path that is no list",
            one(&json!({ "0": "variables.input.file" }), &[file]),
            "map.0",
        ),
        ("no path", one(&json!({ "0": [] }), &[file]), "map.0"),
        (
            "two paths",
            one(
                &json!({ "0": ["variables.input.file", "variables.input.kind"] }),
                &[file],
            ),
            "map.0",
        ),
        (
            "a path to nothing",
            one(&json!({ "0": ["variables.input.nothing"] }), &[file]),
            "map.0",
        ),
        (
            "a path to no null",
            one(&json!({ "0": ["variables.input"] }), &[file]),
            "map.0",
        ),
        (
            "a path that is none",
            one(&json!({ "0": ["query"] }), &[file]),
            "map.0",
        ),
        (
            "two files at one place",
            one(
                &json!({ "0": ["variables.input.file"], "1": ["variables.input.file"] }),
                &[file],
            ),
            "map.1",
        ),
        ("sixteen files", one(&Value::Object(many), &[file]), "map"),
        (
            "a part that the map does not name",
            one(&map, &[file, ("1", TEXT, b"x")]),
            "1",
        ),
        ("a part that comes twice", one(&map, &[file, file]), "0"),
        (
            "a part that does not come",
            one(&map, &[]),
            "variables.input.file",
        ),
        (
            "an empty file",
            one(&map, &[("0", TEXT, b"")]),
            "variables.input.file",
        ),
        (
            "huge operations",
            body(&[("operations", None, huge.as_bytes()), mapped, file]),
            "operations",
        ),
        (
            "a huge head",
            body(&[operations, mapped, ("0", Some((&huge, "text/plain")), b"x")]),
            "body",
        ),
        (
            "half a file",
            whole[..whole.len() - 12].to_vec(),
            "variables.input.file",
        ),
        ("half a map", whole[..half].to_vec(), "map"),
    ] {
        let (status, body) = send(&ada, body).await;
        assert_eq!(
            (status, code(&body)),
            (400, "BAD_USER_INPUT"),
            "{what}: {body}"
        );
        let fault = &body["errors"][0]["extensions"]["fields"][0];
        assert_eq!(fault["path"], at, "{what}: {body}");
        assert!(body.get("data").is_none(), "{what}: {body}");
    }
}

#[tokio::test]
async fn a_file_that_fails_names_its_place() {
    let ada = at(&["--max-file-size", "1000"]).await;
    let server = Server::other(&["--max-file-size", "1000"]).await;
    let map = json!({ "0": ["variables.input.file"] });
    let fits = one(&map, &[("0", TEXT, &[b'x'; 1000])]);
    let fits = request(&ada, server, fits).await.send().await;
    assert_eq!(said(fits.expect("an answer")).await.0, 200);
    // A little more, and so much more that the answer comes before its end.
    for size in [1_001, 3_000_000] {
        let large = one(&map, &[("0", TEXT, &vec![b'x'; size])]);
        let answer = request(&ada, server, large).await.send().await;
        let (status, body) = said(answer.expect("an answer")).await;
        assert_eq!((status, code(&body)), (413, "PAYLOAD_TOO_LARGE"), "{body}");
        let field = &body["errors"][0]["extensions"]["fields"][0];
        assert_eq!(field["path"], "variables.input.file");
    }
    let program = [&b"MZ\x90\0\x03\0\0\0"[..], &[0; 100]].concat();
    let disguised = one(&map, &[("0", Some(("a.png", "image/png")), &program)]);
    let answer = request(&ada, server, disguised).await.send().await;
    let (status, body) = said(answer.expect("an answer")).await;
    assert_eq!((status, code(&body)), (415, "UNSUPPORTED_MEDIA_TYPE"));
    assert_eq!(
        body["errors"][0]["extensions"]["fields"][0]["path"],
        "variables.input.file"
    );
}

#[tokio::test]
async fn several_files_come_with_one_request_or_none_does() {
    let ada = ada().await;
    let query = "mutation($a: UploadAttachmentInput!, $b: UploadAttachmentInput!) {
        a: uploadAttachment(input: $a) { attachment { file { name size } } }
        b: uploadAttachment(input: $b) { attachment { file { name size } } } }";
    let variables = json!({ "a": { "file": null }, "b": { "file": null } });
    let operations = json!({ "query": query, "variables": variables }).to_string();
    let map = json!({ "x": ["variables.a.file"], "y": ["variables.b.file"] }).to_string();
    let head = [
        ("operations", None, operations.as_bytes()),
        ("map", None, map.as_bytes()),
    ];
    let good = ("x", Some(("one.txt", "text/plain")), &b"one"[..]);
    let bad = ("y", Some(("two.png", "image/png")), &b"two!"[..]);
    let fine = ("y", Some(("two.txt", "text/plain")), &b"two!"[..]);
    let (status, both) = send(&ada, body(&[&head[..], &[good, fine]].concat())).await;
    assert_eq!(status, 200, "{both}");
    assert_eq!(
        both["data"]["a"]["attachment"]["file"],
        json!({ "name": "one.txt", "size": 3 })
    );
    assert_eq!(
        both["data"]["b"]["attachment"]["file"],
        json!({ "name": "two.txt", "size": 4 })
    );
    let (status, none) = send(&ada, body(&[&head[..], &[good, bad]].concat())).await;
    assert_eq!((status, code(&none)), (415, "UNSUPPORTED_MEDIA_TYPE"));
    assert!(none.get("data").is_none());
}

#[tokio::test]
async fn a_batch_brings_files_too() {
    let ada = ada().await;
    let operation = json!({ "query": UPLOAD, "variables": { "input": { "file": null } } });
    let operations = json!([operation, operation]).to_string();
    let map = json!({ "0": ["0.variables.input.file"], "1": ["1.variables.input.file"] });
    let map = map.to_string();
    let parts = [
        ("operations", None, operations.as_bytes()),
        ("map", None, map.as_bytes()),
        ("0", Some(("one.txt", "text/plain")), &b"one"[..]),
        ("1", Some(("two.txt", "text/plain")), &b"two"[..]),
    ];
    let (status, both) = send(&ada, body(&parts)).await;
    assert_eq!(status, 200, "{both}");
    for (at, name) in ["one.txt", "two.txt"].iter().enumerate() {
        let file = &both[at]["data"]["uploadAttachment"]["attachment"]["file"];
        assert_eq!(file["name"], *name, "{both}");
    }
}

#[tokio::test]
async fn a_text_is_no_file() {
    let ada = ada().await;
    for ticket in ["x", "", "01890a5d-ac96-774b-bcce-b302099a8057"] {
        let answer = ada
            .run(UPLOAD, json!({ "input": { "file": ticket } }))
            .await;
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{ticket}");
    }
}
