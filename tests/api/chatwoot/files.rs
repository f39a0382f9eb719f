//! Files of messages, as Chatwoot has them.

use serde_json::json;

use crate::support::files::File;
use crate::support::talk::Talk;

/// Row `attachments by multipart`.
#[tokio::test]
async fn attachments_by_multipart_are_what_they_declare_and_never_run() {
    let talk = Talk::new().await;
    let contact = talk.tenant.contact("cyd").await;
    talk.admit(&contact).await;
    let pdf = [b"%PDF-1.7\n".as_slice(), &[b'x'; 100]].concat();
    let mp3 = [b"ID3\x03\0\0\0\0\0\0".as_slice(), &[0; 100]].concat();
    let mp4 = [b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".as_slice(), &[0; 100]].concat();
    let files = [
        File::png("cat.png", 3, 2),
        File::new("bill.pdf", "application/pdf", pdf),
        File::new("song.mp3", "audio/mpeg", mp3),
        File::new("film.mp4", "video/mp4", mp4),
        File::text("notes.txt"),
    ];
    let mut ids = Vec::new();
    for file in &files {
        let done = contact.upload(file, json!({})).await;
        assert_eq!(done.text("/attachment/file/mimeType"), file.mime_type);
        ids.push(done.text("/attachment/id"));
    }
    let input = json!({ "threadId": talk.thread, "attachmentIds": ids });
    let selection = "message { attachments { file { name size url } } }";
    let sent = contact.mutate("createMessage", input, selection).await;
    for (place, file) in files.iter().enumerate() {
        let at = |field: &str| format!("/message/attachments/{place}/file/{field}");
        assert_eq!(sent.text(&at("name")), file.name);
        assert_eq!(
            sent.number(&at("size")),
            i64::try_from(file.bytes.len()).expect("few")
        );
        let got = talk.ada.fetch(&sent.text(&at("url"))).await;
        assert_eq!(got, (200, file.bytes.clone()));
    }
    // What is not what it says is refused, and what a browser might run is saved by it, not shown.
    let program = [&b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0"[..], &[0; 200]].concat();
    let disguised = File::new("cat.png", "image/png", program);
    let refused = contact.upload(&disguised, json!({})).await;
    assert_eq!(refused.code(), "UNSUPPORTED_MEDIA_TYPE");
    let page = File::new(
        "page.html",
        "text/html",
        "<!DOCTYPE html><script>alert(1)</script>",
    );
    let page = contact
        .upload(&page, json!({}))
        .await
        .text("/attachment/file/url");
    let server = crate::support::server::Server::get().await;
    let answer = server.http.get(page).send().await.expect("an answer");
    let header = |name: &str| answer.headers()[name].to_str().expect("a text").to_owned();
    assert!(header("content-disposition").starts_with("attachment"));
    assert_eq!(header("x-content-type-options"), "nosniff");
    // 40 MB at most, unless the server is set otherwise.
    let large = json!({ "size": 40_000_001 });
    let refused = contact.begin_upload(&File::text("large.txt"), large).await;
    assert_eq!(refused.code(), "PAYLOAD_TOO_LARGE");
}
