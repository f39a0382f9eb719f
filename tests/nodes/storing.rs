//! Where files are kept: in S3, in a directory, and nowhere while they pass through memory.

use std::path::Path;
use std::pin::pin;

use bobbin::ids::AttachmentId;
use futures_util::{Stream, StreamExt, stream};
use reqwest::{Body, Client, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::cluster::Node;
use crate::s3::S3;
use crate::support::files::File;
use crate::support::server::Server;
use crate::support::socket::eventually;
use crate::support::{Actor, Tenant};

/// The bytes of a large file.
const LARGE: usize = 1_000_000_000;

/// A piece of it.
const PIECE: usize = 250_000;

/// So much more memory a server may hold while such a file passes through it.
const MOST_HELD: usize = 100_000_000;

async fn ada(node: &Node) -> Actor {
    let ada = Tenant::new().await.member("ada").await;
    ada.at(node.server)
}

/// The request that uploads a file of these bytes, as they come.
async fn send<S>(by: &Actor, server: &Server, bytes: S) -> reqwest::Result<Response>
where
    S: Stream<Item = Result<Vec<u8>, std::io::Error>> + Send + 'static,
{
    let query = "mutation($input: UploadAttachmentInput!) { uploadAttachment(input: $input) {
        attachment { id file { size url } } } }";
    let operations = json!({ "query": query, "variables": { "input": { "file": null } } });
    let map = json!({ "0": ["variables.input.file"] });
    let head = format!(
        "--here\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{operations}\r\n\
         --here\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{map}\r\n\
         --here\r\nContent-Disposition: form-data; name=\"0\"; filename=\"large\"\r\n\
         Content-Type: application/x-large\r\n\r\n"
    );
    let around = |text: String| stream::iter([Ok(text.into_bytes())]);
    let body = around(head)
        .chain(bytes)
        .chain(around("\r\n--here--\r\n".to_owned()));
    Client::new()
        .post(server.url("/graphql"))
        .header("authorization", by.authorization())
        .header("content-type", "multipart/form-data; boundary=here")
        .body(Body::wrap_stream(body))
        .send()
        .await
}

/// Bytes that are of no known format, and differ from place to place.
fn piece(number: usize) -> Vec<u8> {
    let mut piece = vec![u8::try_from(number % 251).expect("small"); PIECE];
    piece[..8].copy_from_slice(&number.to_be_bytes());
    piece
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_in_s3_and_fetched_from_there() {
    let s3 = S3::start().await;
    let node = Node::with(&Server::get().await.database_url, |command| {
        s3.settings(command)
    })
    .await;
    let ada = ada(&node).await;
    let html = File::new("x.html", "text/html", "<!doctype html><p>hello");
    let done = ada.upload(&html, json!({})).await;
    let url = done.text("/attachment/file/url");
    assert!(url.starts_with(&s3.endpoint), "{url}");
    assert_eq!(ada.fetch(&url).await, (200, html.bytes));
    // How it is handed out is signed as well.
    for signed in [
        "response-content-disposition=attachment",
        "response-content-type=application%2Foctet-stream",
    ] {
        assert!(url.contains(signed), "{url}");
    }
    let key = url.find("/a/prefix/files/").expect("a key") + "/a/prefix/files/".len();
    let mut places = vec![key, key + 35];
    for name in [
        "X-Amz-Signature=",
        "X-Amz-Expires=",
        "response-content-disposition=",
        "response-content-type=",
    ] {
        places.push(url.find(name).expect("it is there") + name.len());
    }
    for at in places {
        let mut altered = url.clone();
        let other = if &url[at..=at] == "1" { "2" } else { "1" };
        altered.replace_range(at..=at, other);
        assert_eq!(ada.fetch(&altered).await.0, 403, "{altered}");
    }
    let bare = url.split('?').next().expect("an address");
    assert_eq!(ada.fetch(bare).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_put_files_into_s3_themselves() {
    let s3 = S3::start().await;
    let node = Node::with(&Server::get().await.database_url, |command| {
        s3.settings(command)
    })
    .await;
    let ada = ada(&node).await;
    let text = File::text("notes.txt");
    let begun = ada.begin_upload(&text, json!({})).await;
    let to = begun.text("/uploadUrl");
    assert!(to.starts_with(&s3.endpoint), "{to}");
    let put = async |kind: &str, bytes: &[u8]| {
        let request = Client::new().put(&to).header("content-type", kind);
        let answer = request.body(bytes.to_vec()).send().await;
        answer.expect("an answer").status().as_u16()
    };
    // Its type is signed.
    assert_eq!(put("text/html", &text.bytes).await, 403);
    assert_eq!(put("text/plain", &text.bytes).await, 200);
    let id = begun.text("/attachment/id");
    let object = id
        .parse::<AttachmentId>()
        .expect("an id")
        .uuid()
        .to_string();
    assert_eq!(s3.objects("uploads"), [object.as_str()]);
    let done = ada.complete(&id, false).await;
    assert_eq!(done.text("/attachment/file/uploadStatus"), "UPLOADED");
    let url = done.text("/attachment/file/url");
    assert_eq!(ada.fetch(&url).await, (200, text.bytes.clone()));
    assert!(s3.objects("uploads").is_empty());
    let kept = s3.objects("files");
    assert_eq!(kept.len(), 1);
    assert_ne!(kept, [object], "it is a copy that nobody else can write");
    // The address is valid yet, but leads to no file.
    let other = vec![b'x'; text.bytes.len()];
    assert_eq!(put("text/plain", &other).await, 200);
    assert_eq!(ada.fetch(&url).await, (200, text.bytes));
    // What is not as it was declared is found out when it is to become a file.
    let png = File::new("cat.png", "image/png", "no picture at all");
    let long = [&png.bytes[..], b", and more"].concat();
    for (declared, bytes, code) in [
        (png.clone(), png.bytes.clone(), "UNSUPPORTED_MEDIA_TYPE"),
        (File::text("long.txt"), long, "BAD_USER_INPUT"),
    ] {
        let begun = ada.begin_upload(&declared, json!({})).await;
        let id = begun.text("/attachment/id");
        assert_eq!(ada.put(&begun, bytes).await, 200);
        assert_eq!(ada.complete(&id, false).await.code(), code);
        assert_eq!(ada.attachment(&id).await["file"]["uploadStatus"], "FAILED");
    }
    assert_eq!(s3.objects("files"), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_several_parts_is_whole_in_s3() {
    let s3 = S3::start().await;
    let node = Node::with(&Server::get().await.database_url, |command| {
        s3.settings(command)
    })
    .await;
    let ada = ada(&node).await;
    let count = 13_000_000 / PIECE;
    let sent = send(
        &ada,
        node.server,
        stream::iter((0..count).map(|n| Ok(piece(n)))),
    )
    .await;
    let done: Value = sent.expect("an answer").json().await.expect("JSON");
    let file = &done["data"]["uploadAttachment"]["attachment"]["file"];
    assert_eq!(file["size"], count * PIECE, "{done}");
    let url = file["url"].as_str().expect("an address");
    let whole: Vec<u8> = (0..count).flat_map(piece).collect();
    assert!(ada.fetch(url).await == (200, whole));
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn a_large_file_passes_through_little_memory() {
    let node = Node::with(&Server::get().await.database_url, |command| {
        command.env("BOBBIN_MAX_FILE_SIZE", LARGE.to_string());
    })
    .await;
    let ada = ada(&node).await;
    ada.uploaded("a first one").await;
    let before = node.resident();
    let mut most = before;
    let count = LARGE / PIECE;
    let (looked, mut looks) = mpsc::channel(1);
    let bytes = stream::iter(0..count).then(move |number| {
        let looked = looked.clone();
        async move {
            if number % 40 == 0 {
                let _ = looked.send(()).await;
            }
            Ok(piece(number))
        }
    });
    let mut sent = pin!(send(&ada, node.server, bytes));
    let sent = loop {
        tokio::select! {
            sent = &mut sent => break sent,
            Some(()) = looks.recv() => most = most.max(node.resident()),
        }
    };
    let done: Value = sent.expect("an answer").json().await.expect("JSON");
    let file = &done["data"]["uploadAttachment"]["attachment"]["file"];
    assert_eq!(file["size"], LARGE, "{done}");

    let url = file["url"].as_str().expect("an address");
    let mut answer = Client::new().get(url).send().await.expect("an answer");
    let (mut came, mut looked) = (0, 0);
    let mut expected = (0, piece(0));
    while let Some(mut bytes) = answer.chunk().await.expect("it goes on") {
        while !bytes.is_empty() {
            let (number, at) = (came / PIECE, came % PIECE);
            let next = bytes.split_to(bytes.len().min(PIECE - at));
            if expected.0 != number {
                expected = (number, piece(number));
            }
            assert!(expected.1[at..at + next.len()] == next, "at {came}");
            came += next.len();
        }
        if came > looked + 10_000_000 {
            looked = came;
            most = most.max(node.resident());
        }
    }
    assert_eq!(came, LARGE);
    let held = most - before;
    assert!(held < MOST_HELD, "{held} bytes more than {before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_of_a_file_whose_client_hangs_up() {
    let node = Node::alone().await;
    let ada = ada(&node).await;
    let kept = node.directory().join("files/files");
    let names = |directory: &Path| {
        let entries = std::fs::read_dir(directory).into_iter().flatten();
        entries.count()
    };
    let (give, take) = mpsc::channel(1);
    let bytes = stream::unfold(take, async |mut take: mpsc::Receiver<_>| {
        Some((Ok(take.recv().await?), take))
    });
    let (server, by) = (node.server, ada.clone());
    let sending = tokio::spawn(async move { send(&by, server, bytes).await.map(drop) });
    for number in 0..40 {
        give.send(piece(number)).await.expect("it is taken");
    }
    eventually("a part is written", async || names(&kept) == 1).await;
    sending.abort();
    eventually("nothing is left", async || names(&kept) == 0).await;
    drop(give);
}

#[tokio::test]
async fn a_server_says_what_is_wrong_with_its_storage() {
    for (url, expected) in [
        ("nonsense", "BOBBIN_STORAGE_URL"),
        ("ftp://example.com/files", "BOBBIN_STORAGE_URL"),
        ("s3://", "BOBBIN_STORAGE_URL"),
        ("s3://id:swordfish@bucket/files", "BOBBIN_STORAGE_URL"),
        ("file:///dev/null/files", "/dev/null/files"),
    ] {
        let said = Node::refused(|command| {
            command.env("BOBBIN_STORAGE_URL", url);
        })
        .await;
        assert!(said.contains(expected), "{url}: {said}");
        assert!(!said.contains("swordfish"), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
}
