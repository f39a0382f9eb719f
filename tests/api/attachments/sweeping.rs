//! What nobody uses goes: late uploads, files on no message, bytes that belong to nothing.

use bobbin::ids::AttachmentId;
use bobbin::sweeper;
use serde_json::json;

use super::{names, post};
use crate::support::files::File;
use crate::support::server::Server;
use crate::support::socket::eventually;
use crate::support::talk::{Talk, plus};
use crate::support::unique;

/// Makes time pass for a row.
async fn age(attachment: &str, what: &str) {
    let id: AttachmentId = attachment.parse().expect("an id");
    let sql = Server::get().await.sql().await;
    let statement = format!("UPDATE {what} WHERE id = $1::text::uuid");
    let aged = sql.execute(&statement, &[&id.uuid().to_string()]).await;
    assert_eq!(aged.expect("PostgreSQL does it"), 1);
}

async fn sweep() {
    let app = &Server::get().await.app;
    assert!(sweeper::sweep(app).await.is_ok());
}

const HOUR: &str = "attachments SET created_at = created_at - interval '61 minutes'";
const DAY: &str = "attachments SET unattached_since = unattached_since - interval '25 hours'";

#[tokio::test]
async fn a_file_that_has_not_come_within_an_hour_is_cancelled() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let message = ada.say(&talk.thread, "Files").await;
    let draft = talk.drafted(ada, json!({ "body": "Draft" })).await;
    let on_it = ada
        .awaited("late.txt", json!({ "messageId": message }))
        .await;
    let in_draft = ada
        .awaited("draft.txt", json!({ "messageId": draft }))
        .await;
    let alone = ada.awaited("alone.txt", json!({})).await;
    let fresh = ada.awaited("fresh.txt", json!({})).await;
    let query = "subscription($id: ID!) { threadEvents(threadId: $id) { actor { id }
        ... on MessageUpdated { message { attachments { file { name uploadStatus } } } } } }";
    let mut events = talk.bob.follow(query, json!({ "id": talk.thread })).await;
    for late in [&on_it, &in_draft, &alone] {
        age(late, HOUR).await;
    }
    // Several servers at once tell it once.
    tokio::join!(sweep(), sweep(), sweep());
    for late in [&on_it, &in_draft, &alone] {
        assert_eq!(
            ada.attachment(late).await["file"]["uploadStatus"],
            "CANCELLED"
        );
        assert_eq!(ada.complete(late, false).await.code(), "CONFLICT");
    }
    assert_eq!(
        ada.attachment(&fresh).await["file"]["uploadStatus"],
        "UPLOADING"
    );
    let told = events.event().await;
    assert!(told["actor"].is_null());
    let file = json!([{ "file": { "name": "late.txt", "uploadStatus": "CANCELLED" } }]);
    assert_eq!(told["message"]["attachments"], file);
    assert_eq!(events.heard_by_now().await, Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn a_file_that_is_on_no_message_for_a_day_goes() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let (never, taken_off) = (
        ada.uploaded("never.txt").await,
        ada.uploaded("off.txt").await,
    );
    let (kept, fresh) = (
        ada.uploaded("kept.txt").await,
        ada.uploaded("fresh.txt").await,
    );
    let files = json!({ "body": "Files", "attachmentIds": [taken_off, kept] });
    let message = post(&talk, ada, files).await.text("/message/id");
    ada.take_off(&taken_off).await.at("/message");
    for unused in [&never, &taken_off] {
        age(unused, DAY).await;
    }
    sweep().await;
    for unused in [&never, &taken_off] {
        assert!(ada.attachment(unused).await.is_null());
        eventually("its bytes are gone", async || !ada.keeps(unused).await).await;
    }
    assert_eq!(names(ada, &message).await, ["kept.txt"]);
    for used in [&kept, &fresh] {
        assert!(ada.keeps(used).await);
        assert_eq!(
            ada.attachment(used).await["file"]["uploadStatus"],
            "UPLOADED"
        );
    }
}

#[tokio::test]
async fn what_is_deleted_for_good_takes_its_files_along() {
    let talk = Talk::new().await;
    let (ada, backend) = (&talk.ada, &talk.tenant.backend);
    let (one, two) = (ada.uploaded("1.txt").await, ada.uploaded("2.txt").await);
    let sent = post(&talk, ada, json!({ "attachmentIds": [one] })).await;
    let url = sent.text("/message/attachments/0/file/url");
    post(&talk, ada, json!({ "attachmentIds": [two] }))
        .await
        .at("/message");
    let for_good = json!({ "messageId": sent.text("/message/id"), "permanently": true });
    backend
        .mutate("deleteMessage", for_good, "deletedMessageId")
        .await
        .at("");
    assert_eq!(ada.fetch(&url).await.0, 404);
    assert!(ada.attachment(&one).await.is_null());
    sweep().await;
    assert!(!ada.keeps(&one).await);
    assert!(ada.keeps(&two).await);
    // The same with all of the thread.
    backend
        .mutate(
            "deleteThread",
            json!({ "threadId": talk.thread }),
            "deletedThreadId",
        )
        .await
        .at("");
    sweep().await;
    assert!(!ada.keeps(&two).await);
}

#[tokio::test]
async fn what_an_upload_leaves_behind_that_was_refused_goes() {
    let talk = Talk::new().await;
    let sql = Server::get().await.sql().await;
    let app = &Server::get().await.app;
    // The bytes have come by then, and nobody may put them there.
    let message = talk.bob.say(&talk.thread, "His").await;
    let words = unique("words");
    let file = File::new("x.txt", "text/plain", words.clone());
    let refused = talk.ada.upload(&file, json!({ "messageId": message }));
    assert_eq!(refused.await.code(), "FORBIDDEN");
    // Others upload at the same time: this one is known by its words.
    let kept = |id: &str| std::fs::read(app.settings.data_dir.join(format!("files/files/{id}")));
    let rows = sql.query("SELECT id::text FROM unused_files", &[]).await;
    let ids = rows.expect("rows").into_iter().map(|row| row.get(0));
    let left = ids.filter(|id: &String| kept(id).is_ok_and(|bytes| bytes == words.as_bytes()));
    let left: Vec<String> = left.collect();
    let [id] = left.as_slice() else {
        panic!("it is left behind, and known to be");
    };
    let due = "UPDATE unused_files SET remove_at = now() WHERE id = $1::text::uuid";
    sql.execute(due, &[id]).await.expect("it is due");
    sweep().await;
    assert!(kept(id).is_err());
}

#[tokio::test]
async fn what_the_storage_does_not_let_go_is_tried_again() {
    let server = Server::get().await;
    let sql = server.sql().await;
    let id = uuid::Uuid::now_v7();
    // A directory is no file that could be removed.
    let stuck = server
        .app
        .settings
        .data_dir
        .join(format!("files/files/{id}/x"));
    std::fs::create_dir_all(&stuck).expect("a directory");
    let text = id.to_string();
    let note = "INSERT INTO unused_files (id, remove_at) VALUES ($1::text::uuid, now() - interval '1 day')";
    sql.execute(note, &[&text]).await.expect("it is noted");
    sweep().await;
    let later = "SELECT remove_at > now() FROM unused_files WHERE id = $1::text::uuid";
    let row = sql
        .query_one(later, &[&text])
        .await
        .expect("it is kept in mind");
    assert!(row.get::<_, bool>(0), "and is not in the way of others");
    std::fs::remove_dir(&stuck).expect("it is empty");
    std::fs::remove_dir(stuck.parent().expect("its directory")).expect("it is empty");
    let due = "UPDATE unused_files SET remove_at = now() WHERE id = $1::text::uuid";
    sql.execute(due, &[&text]).await.expect("it is due");
    sweep().await;
    let rows = sql.query(later, &[&text]).await.expect("rows");
    assert!(rows.is_empty(), "nothing there is as good as removed");
}

#[tokio::test]
async fn what_a_server_was_writing_when_it_died_goes() {
    let server = Server::get().await;
    let id = uuid::Uuid::now_v7();
    let files = server.app.settings.data_dir.join("files/files");
    std::fs::create_dir_all(&files).expect("a directory");
    // Others with lesser numbers have ended.
    let begun = files.join(format!("{id}#3"));
    std::fs::write(&begun, "half of a fi").expect("it is written");
    let note = "INSERT INTO unused_files (id, remove_at) VALUES ($1::text::uuid, now())";
    let sql = server.sql().await;
    let noted = sql.execute(note, &[&id.to_string()]).await;
    assert_eq!(noted.expect("a row"), 1);
    sweep().await;
    eventually("it is gone", async || !begun.exists()).await;
}

#[tokio::test]
async fn a_call_is_known_again_when_its_file_has_gone() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let (one, two) = (ada.uploaded("1.txt").await, ada.uploaded("2.txt").await);
    let message = json!({ "externalId": unique("m"), "body": "x", "attachmentIds": [one] });
    let thread = json!({
        "externalId": unique("t"), "subject": "x", "message": { "body": "x", "attachmentIds": [two] },
    });
    let open = async |input| ada.mutate("createThread", input, "thread { id }").await;
    let sent = post(&talk, ada, message.clone()).await.text("/message/id");
    let opened = open(thread.clone()).await.text("/thread/id");
    for file in [&one, &two] {
        ada.take_off(file).await.at("/message");
        age(file, DAY).await;
    }
    sweep().await;
    eventually("the files are gone", async || {
        ada.attachment(&one).await.is_null() && ada.attachment(&two).await.is_null()
    })
    .await;
    let again = post(&talk, ada, message.clone()).await;
    assert_eq!(again.text("/message/id"), sent);
    assert_eq!(open(thread.clone()).await.text("/thread/id"), opened);
    // Another call is not made with a file that is gone.
    let other = plus(message, json!({ "externalId": unique("m") }));
    let refused = post(&talk, ada, other).await;
    assert_eq!(refused.faults(), ["attachmentIds.0"]);
    let refused = open(plus(thread, json!({ "externalId": unique("t") }))).await;
    assert_eq!(refused.faults(), ["message.attachmentIds.0"]);
}
