//! Files of messages, as Cord has them.

use bobbin::ids::AttachmentId;
use bobbin::sweeper;
use serde_json::{Value, json};

use crate::support::files::File;
use crate::support::server::Server;
use crate::support::talk::{Talk, before, kinds};
use crate::support::{Actor, Answer, Tenant, merge};

const MESSAGE: &str = "message { id updatedAt attachments { id file { name } } }";

async fn post(talk: &Talk, by: &Actor, input: Value) -> Answer {
    let mut full = json!({ "threadId": talk.thread });
    merge(&mut full, input);
    by.mutate("createMessage", full, MESSAGE).await
}

async fn edit(by: &Actor, message: &str, input: Value) -> Answer {
    let mut full = json!({ "messageId": message });
    merge(&mut full, input);
    by.mutate("updateMessage", full, MESSAGE).await
}

async fn names(by: &Actor, message: &str) -> Vec<String> {
    let query = "query($id: ID!) { message(id: $id) { attachments { file { name } } } }";
    let read = by.run(query, json!({ "id": message })).await;
    read.texts("/message/attachments", "/file/name")
}

/// Row `addAttachments, removeAttachments`.
#[tokio::test]
async fn add_attachments_remove_attachments_are_the_senders_own_and_drop_no_other() {
    let talk = Talk::new().await;
    let (ada, bob) = (&talk.ada, &talk.bob);
    let (one, two, his) = (
        ada.uploaded("1").await,
        ada.uploaded("2").await,
        bob.uploaded("3").await,
    );
    let message = post(
        &talk,
        ada,
        json!({ "body": "Files", "attachmentIds": [one] }),
    )
    .await;
    let message = message.text("/message/id");
    let mut events = talk.follow(bob).await;
    // The sender's own files only.
    assert_eq!(
        edit(ada, &message, json!({ "addAttachmentIds": [his] }))
            .await
            .code(),
        "FORBIDDEN"
    );
    assert_eq!(
        edit(bob, &message, json!({ "addAttachmentIds": [his] }))
            .await
            .code(),
        "FORBIDDEN"
    );
    assert_eq!(
        edit(bob, &message, json!({ "removeAttachmentIds": [one] }))
            .await
            .code(),
        "FORBIDDEN"
    );
    assert_eq!(bob.take_off(&one).await.code(), "FORBIDDEN");
    // The same file in add and remove is an error.
    let both = json!({ "addAttachmentIds": [two], "removeAttachmentIds": [one, two] });
    assert_eq!(
        edit(ada, &message, both).await.faults(),
        ["removeAttachmentIds.1"]
    );
    assert_eq!(names(bob, &message).await, ["1"]);
    // One attachment never drops another, and nobody is told of what is no change.
    let add = json!({ "addAttachmentIds": [two, one] });
    for _ in 0..2 {
        let edited = edit(ada, &message, add.clone()).await;
        assert!(edited.at("/message/updatedAt").is_null());
    }
    assert_eq!(names(bob, &message).await, ["1", "2"]);
    // The id that was read is the id that removes.
    let read = edit(ada, &message, json!({}))
        .await
        .text("/message/attachments/0/id");
    for _ in 0..2 {
        let edited = edit(ada, &message, json!({ "removeAttachmentIds": [read] })).await;
        assert!(edited.at("/message/updatedAt").is_null());
    }
    assert_eq!(names(bob, &message).await, ["2"]);
    // Removing detaches, the file stays usable: its owner's alone until then.
    assert!(bob.attachment(&read).await.is_null());
    let other = post(&talk, ada, json!({ "attachmentIds": [read] })).await;
    assert_eq!(other.text("/message/attachments/0/file/name"), "1");
    let mark = talk.mark().await;
    let heard = before(&mark, &mut events).await;
    assert_eq!(
        kinds(&heard),
        ["MessageUpdated", "MessageUpdated", "MessageCreated"]
    );
}

/// Row `annotation attachment`.
#[tokio::test]
async fn annotation_attachment_is_a_screenshot_a_selected_text_and_a_location() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let place = json!({ "page": 3, "at": [10.5, 20], "note": null });
    let shot = File::png("screenshot.png", 800, 600);
    let about = json!({ "kind": "ANNOTATION", "textContent": "Total: 12 €", "location": place });
    let made = ada.upload(&shot, about.clone()).await.at("/attachment");
    assert_eq!(made["__typename"], "AnnotationAttachment");
    assert_eq!(made["textContent"], "Total: 12 €");
    assert_eq!(made["location"], place);
    assert_eq!(made["file"]["name"], "screenshot.png");
    let begun = ada.begin_upload(&shot, about).await;
    assert_eq!(begun.at("/attachment/location"), place);
    // Its file is a screenshot.
    let text = File::text("a.txt");
    let wrong = ada.upload(&text, json!({ "kind": "ANNOTATION" })).await;
    assert_eq!(wrong.code(), "UNSUPPORTED_MEDIA_TYPE");
    let wrong = ada
        .begin_upload(&text, json!({ "kind": "ANNOTATION" }))
        .await;
    assert_eq!(wrong.faults(), ["mimeType"]);
    // Nothing else has any of it, and neither is endless.
    let about = json!({ "textContent": "x", "location": 1 });
    assert_eq!(
        ada.upload(&text, about).await.faults(),
        ["textContent", "location"]
    );
    let long = json!({
        "kind": "ANNOTATION", "textContent": "x".repeat(10_001), "location": "x".repeat(5_000),
    });
    assert_eq!(
        ada.upload(&shot, long).await.faults(),
        ["textContent", "location"]
    );
}

/// Row `signed file URL 24 h, uploadStatus`.
#[tokio::test]
async fn signed_file_url_upload_status_is_signed_when_resolved_and_told_live() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let message = ada.say(&talk.thread, "Soon").await;
    let query = "subscription($id: ID!) { threadEvents(threadId: $id) { __typename
        ... on MessageUpdated { message { updatedAt
          attachments { file { name uploadStatus url urlExpiresAt } } } } } }";
    let mut events = talk.bob.follow(query, json!({ "id": talk.thread })).await;
    // How far the files of the next event have come.
    let mut told = async || {
        let event = events.event().await;
        assert_eq!(event["__typename"], "MessageUpdated");
        assert!(event["message"]["updatedAt"].is_null());
        let files = event["message"]["attachments"].as_array().expect("files");
        let status = |file: &Value| {
            let file = &file["file"];
            // Whoever may see it gets an address, once there is a file.
            assert_eq!(file["url"].is_string(), file["uploadStatus"] == "UPLOADED");
            assert_eq!(file["url"].is_string(), file["urlExpiresAt"].is_string());
            file["uploadStatus"].as_str().expect("a status").to_owned()
        };
        files.iter().map(status).collect::<Vec<_>>()
    };
    let file = File::text("soon.txt");
    let on_it = json!({ "messageId": message });
    let begun = ada.begin_upload(&file, on_it.clone()).await;
    assert_eq!(told().await, ["UPLOADING"]);
    let late = ada.awaited("late.txt", on_it).await;
    assert_eq!(told().await, ["UPLOADING", "UPLOADING"]);
    assert_eq!(ada.put(&begun, file.bytes.clone()).await / 100, 2);
    let id = begun.text("/attachment/id");
    ada.complete(&id, false).await.at("/attachment");
    assert_eq!(told().await, ["UPLOADED", "UPLOADING"]);
    // Still UPLOADING after an hour is CANCELLED.
    let uuid: AttachmentId = late.parse().expect("an id");
    let sql = "UPDATE attachments SET created_at = created_at - interval '61 minutes' WHERE id = $1::text::uuid";
    let server = Server::get().await;
    let client = server.sql().await;
    let aged = client.execute(sql, &[&uuid.uuid().to_string()]).await;
    assert_eq!(aged.expect("PostgreSQL does it"), 1);
    assert!(sweeper::sweep(&server.app).await.is_ok());
    assert_eq!(told().await, ["UPLOADED", "CANCELLED"]);
    // It is signed when it is resolved: an address is good for that file alone.
    let url = |file: Value| file["file"]["url"].as_str().expect("an address").to_owned();
    let one = url(talk.bob.attachment(&id).await);
    assert_eq!(talk.bob.fetch(&one).await, (200, file.bytes));
    let other = ada.uploaded("other.txt").await;
    let elsewhere = one.replace(&id, &other);
    assert_ne!(elsewhere, one);
    assert_eq!(talk.bob.fetch(&elsewhere).await.0, 403);
}
