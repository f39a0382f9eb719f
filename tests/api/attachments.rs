//! Files: how they come, what they are, on which messages, who sees them, and when they go.

mod drafts;
mod messages;
mod sight;
mod sweeping;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::files::File;
use crate::support::talk::{Talk, plus};
use crate::support::{Actor, Answer, Tenant};

/// Writes a message, whatever comes of it.
async fn post(talk: &Talk, by: &Actor, input: Value) -> Answer {
    let input = plus(json!({ "threadId": talk.thread }), input);
    by.mutate("createMessage", input, MESSAGE).await
}

/// Changes a message, whatever comes of it.
async fn edit(by: &Actor, message: &str, input: Value) -> Answer {
    let input = plus(json!({ "messageId": message }), input);
    by.mutate("updateMessage", input, MESSAGE).await
}

/// The names of a message's files, as somebody sees them.
async fn names(by: &Actor, message: &str) -> Vec<String> {
    let query = "query($id: ID!) { message(id: $id) { attachments { file { name } } } }";
    let read = by.run(query, json!({ "id": message })).await;
    read.texts("/message/attachments", "/file/name")
}

/// What these tests look at in a message.
const MESSAGE: &str = "message { id status body updatedAt deletedAt
    attachments { __typename id message { id } file { name size uploadStatus url } } }";

#[tokio::test]
async fn a_file_comes_with_the_call() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let file = File::text("notes.txt");
    let done = ada.upload(&file, json!({})).await;
    let attachment = done.at("/attachment");
    assert_eq!(attachment["__typename"], "FileAttachment");
    assert_eq!(attachment["message"], Value::Null);
    let found = &attachment["file"];
    assert_eq!(found["name"], "notes.txt");
    assert_eq!(found["mimeType"], "text/plain");
    assert_eq!(found["size"], file.bytes.len());
    assert_eq!(found["uploadStatus"], "UPLOADED");
    let expires: DateTime<Utc> = found["urlExpiresAt"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    let left = expires - bobbin::app::Clock.now();
    assert!(
        left > TimeDelta::hours(23) && left <= TimeDelta::hours(24),
        "{left}"
    );
    let url = found["url"].as_str().expect("an address");
    assert_eq!(ada.fetch(url).await, (200, file.bytes));
    let id = done.text("/attachment/id");
    assert!(id.starts_with("att_"), "{id}");
    assert_eq!(ada.attachment(&id).await["file"]["name"], "notes.txt");
}

#[tokio::test]
async fn an_image_has_a_width_and_a_height_whatever_it_is_called() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let png = File::png("cat.png", 640, 480);
    for kind in [
        json!({}),
        json!({ "kind": "FILE" }),
        json!({ "kind": "IMAGE" }),
    ] {
        let image = ada.upload(&png, kind).await.at("/attachment");
        assert_eq!(image["__typename"], "ImageAttachment");
        assert_eq!(
            (&image["width"], &image["height"]),
            (&json!(640), &json!(480))
        );
    }
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    let svg = File::new("cat.svg", "image/svg+xml", svg);
    for (kind, typename) in [("FILE", "FileAttachment"), ("IMAGE", "ImageAttachment")] {
        let drawing = ada
            .upload(&svg, json!({ "kind": kind }))
            .await
            .at("/attachment");
        assert_eq!(drawing["__typename"], typename);
        assert!(drawing["width"].is_null());
    }
    let text = ada
        .upload(&File::text("a.txt"), json!({ "kind": "IMAGE" }))
        .await;
    assert_eq!(text.code(), "UNSUPPORTED_MEDIA_TYPE");
    // What is awaited is what it will be.
    let begun = ada.begin_upload(&png, json!({})).await;
    assert_eq!(begun.text("/attachment/__typename"), "ImageAttachment");
    assert_eq!(ada.put(&begun, png.bytes.clone()).await / 100, 2);
    let image = ada.complete(&begun.text("/attachment/id"), false).await;
    assert_eq!(image.text("/attachment/__typename"), "ImageAttachment");
    assert_eq!(image.number("/attachment/width"), 640);
}

#[tokio::test]
async fn a_file_is_uploaded_by_itself() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let file = File::text("notes.txt");
    let begun = ada.begin_upload(&file, json!({})).await;
    let id = begun.text("/attachment/id");
    assert_eq!(begun.text("/attachment/file/uploadStatus"), "UPLOADING");
    assert!(begun.at("/attachment/file/url").is_null());
    assert!(begun.at("/attachment/file/urlExpiresAt").is_null());
    // Before anything has come there is nothing to complete, and it can come yet.
    assert_eq!(ada.complete(&id, false).await.code(), "CONFLICT");
    assert_eq!(ada.put(&begun, file.bytes.clone()).await / 100, 2);
    assert_eq!(
        ada.attachment(&id).await["file"]["uploadStatus"],
        "UPLOADING"
    );
    for _ in 0..2 {
        let done = ada.complete(&id, false).await;
        assert_eq!(done.text("/attachment/file/uploadStatus"), "UPLOADED");
        let url = done.text("/attachment/file/url");
        assert_eq!(ada.fetch(&url).await, (200, file.bytes.clone()));
    }
    assert_eq!(ada.complete(&id, true).await.code(), "CONFLICT");
    // Nothing comes after that.
    assert_ne!(
        ada.put(&begun, b"Other words here\n".to_vec()).await / 100,
        2
    );
}

#[tokio::test]
async fn what_is_not_what_was_declared_is_not_taken() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let program = [&b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0"[..], &[0; 200]].concat();
    let disguised = File::new("cat.png", "image/png", program.clone());
    let refused = ada.upload(&disguised, json!({})).await;
    assert_eq!(refused.code(), "UNSUPPORTED_MEDIA_TYPE");
    let said = refused.body["errors"][0]["message"]
        .as_str()
        .expect("words")
        .to_owned();
    assert!(said.contains("image/png"), "{said}");
    let empty = ada
        .upload(&File::new("empty.txt", "text/plain", ""), json!({}))
        .await;
    assert_eq!(empty.code(), "BAD_USER_INPUT");
    for bytes in [program, b"too short".to_vec()] {
        let png = File::png("cat.png", 10, 10);
        let declared = File {
            bytes: vec![0; bytes.len().max(20)],
            ..png
        };
        let begun = ada.begin_upload(&declared, json!({})).await;
        let id = begun.text("/attachment/id");
        // It is refused when it comes, or when it is looked at.
        if ada.put(&begun, bytes).await / 100 == 2 {
            assert_ne!(ada.complete(&id, false).await.code(), "CONFLICT");
            assert_eq!(ada.attachment(&id).await["file"]["uploadStatus"], "FAILED");
        }
        assert_eq!(ada.complete(&id, false).await.code(), "CONFLICT");
        assert!(!ada.keeps(&id).await);
        assert!(ada.attachment(&id).await["file"]["url"].is_null());
    }
}

#[tokio::test]
async fn a_name_is_a_name_and_never_a_path() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let long = format!("{}.txt", "é".repeat(251));
    for (given, kept) in [
        ("../../x", "x"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("naïve 🐈 file.txt", "naïve 🐈 file.txt"),
        (&long, &long),
    ] {
        let begun = ada
            .begin_upload(&File::text("a").called(given), json!({}))
            .await;
        assert_eq!(begun.text("/attachment/file/name"), kept);
        let done = ada.upload(&File::text("a").called(given), json!({})).await;
        assert_eq!(done.text("/attachment/file/name"), kept);
        let url = done.text("/attachment/file/url");
        assert_eq!(ada.fetch(&url).await.0, 200, "{url}");
    }
    let long = format!("{long}x");
    for bad in [
        "",
        " ",
        "..",
        "a/",
        "a\u{7}b",
        "photo\u{202e}gpj.exe",
        &long,
    ] {
        let begun = ada
            .begin_upload(&File::text("a").called(bad), json!({}))
            .await;
        assert_eq!(begun.faults(), ["name"], "{bad:?}");
    }
    let bad = File::text("a").called("photo\u{202e}gpj.exe");
    assert_eq!(ada.upload(&bad, json!({})).await.faults(), ["file"]);
}

#[tokio::test]
async fn every_fault_of_a_file_is_told_at_once() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let bad = json!({ "name": "..", "mimeType": "image/*", "size": 0, "textContent": "x" });
    let refused = ada.mutate("createUpload", bad, "uploadUrl").await;
    assert_eq!(
        refused.faults(),
        ["name", "mimeType", "size", "textContent"]
    );
    for size in [-1, 0] {
        let refused = ada
            .begin_upload(&File::text("a"), json!({ "size": size }))
            .await;
        assert_eq!(refused.faults(), ["size"]);
    }
    for size in [40_000_001, i32::MAX] {
        let refused = ada
            .begin_upload(&File::text("a"), json!({ "size": size }))
            .await;
        assert_eq!(refused.code(), "PAYLOAD_TOO_LARGE");
    }
    let most = ada
        .begin_upload(&File::text("a"), json!({ "size": 40_000_000 }))
        .await;
    assert_eq!(most.number("/attachment/file/size"), 40_000_000);
}

#[tokio::test]
async fn what_was_given_up_stays_so() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let id = ada.awaited("late.txt", json!({})).await;
    for _ in 0..2 {
        let done = ada.complete(&id, true).await;
        assert_eq!(done.text("/attachment/file/uploadStatus"), "CANCELLED");
    }
    assert_eq!(ada.complete(&id, false).await.code(), "CONFLICT");
    let refused = post(&talk, ada, json!({ "body": "x", "attachmentIds": [id] })).await;
    assert_eq!(refused.code(), "CONFLICT");
    let draft = json!({ "body": "x", "status": "DRAFT", "attachmentIds": [id] });
    assert_eq!(post(&talk, ada, draft).await.code(), "CONFLICT");
}

#[tokio::test]
async fn a_backend_uploads_for_people_and_people_for_themselves() {
    let (talk, other) = (Talk::new().await, Tenant::new().await);
    let (ada, bob, backend) = (&talk.ada, &talk.bob, &talk.tenant.backend);
    let stranger = other.member("eve").await;
    let file = File::text("a.txt");
    let own = ada
        .upload(&file, json!({ "uploaderId": ada.external_id }))
        .await;
    assert!(own.text("/attachment/id").starts_with("att_"));
    for upload in [
        ada.upload(&file, json!({ "uploaderId": bob.id })).await,
        ada.begin_upload(&file, json!({ "uploaderId": bob.id }))
            .await,
    ] {
        assert_eq!(upload.code(), "FORBIDDEN");
    }
    let his = backend.upload(&file, json!({ "uploaderId": bob.id })).await;
    let his = his.text("/attachment/id");
    assert_eq!(bob.attachment(&his).await["id"], json!(his));
    assert!(ada.attachment(&his).await.is_null());
    for unknown in [stranger.id.as_str(), "nobody"] {
        let refused = backend
            .upload(&file, json!({ "uploaderId": unknown }))
            .await;
        assert_eq!(refused.faults(), ["uploaderId"]);
    }
    let elsewhere = json!({ "organizationId": other.id });
    assert_eq!(ada.upload(&file, elsewhere).await.code(), "NOT_FOUND");
    let root = Actor::root().await;
    assert_eq!(
        root.upload(&file, json!({})).await.faults(),
        ["organizationId"]
    );
    let there = root
        .upload(&file, json!({ "organizationId": other.id }))
        .await;
    assert!(there.text("/attachment/id").starts_with("att_"));
}
