//! A draft, its files, and what the others learn of them: everything at once, when it is sent.

use serde_json::{Value, json};

use super::{MESSAGE, edit, names, post};
use crate::support::Actor;
use crate::support::files::File;
use crate::support::socket::Subscription;
use crate::support::talk::{Talk, kinds};

const EVENTS: &str = "subscription($id: ID!) { threadEvents(threadId: $id) { __typename
    ... on MessageCreated { message { id body attachments { id file { name uploadStatus url } } } }
    ... on MessageUpdated { message { id updatedAt attachments { id file { name uploadStatus url } } } } } }";

async fn follow(talk: &Talk, by: &Actor) -> Subscription {
    by.follow(EVENTS, json!({ "id": talk.thread })).await
}

async fn send(by: &Actor, message: &str) -> crate::support::Answer {
    by.mutate("sendMessage", json!({ "messageId": message }), MESSAGE)
        .await
}

/// The names of the files that an event shows, with how far they have come.
fn shown(event: &Value) -> Vec<(String, String)> {
    let files = event["message"]["attachments"].as_array().expect("files");
    let of = |file: &Value, field: &str| file["file"][field].as_str().expect("a text").to_owned();
    let both = |file: &Value| (of(file, "name"), of(file, "uploadStatus"));
    files.iter().map(both).collect()
}

fn uploaded(names: &[&str]) -> Vec<(String, String)> {
    let both = |name: &&str| ((*name).to_owned(), "UPLOADED".to_owned());
    names.iter().map(both).collect()
}

#[tokio::test]
async fn recipients_get_a_message_and_its_files_in_one_event() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let mut events = follow(&talk, &talk.bob).await;
    let draft = json!({ "body": "See below", "status": "DRAFT" });
    let draft = post(&talk, ada, draft).await.text("/message/id");
    // One comes with the call, one by itself, one was there before.
    let with_it = ada
        .upload(&File::text("one.txt"), json!({ "messageId": draft }))
        .await;
    assert_eq!(with_it.text("/attachment/message/id"), draft);
    let two = File::text("two.txt");
    let begun = ada.begin_upload(&two, json!({ "messageId": draft })).await;
    let before = ada.uploaded("three.txt").await;
    edit(ada, &draft, json!({ "addAttachmentIds": [before] }))
        .await
        .at("/message/id");
    assert!(talk.bob.attachment(&before).await.is_null());
    // It waits for all of them, and says for which.
    let refused = send(ada, &draft).await;
    assert_eq!(refused.code(), "CONFLICT");
    let said = refused.body["errors"][0]["message"]
        .as_str()
        .expect("words")
        .to_owned();
    assert!(said.contains("two.txt"), "{said}");
    assert_eq!(ada.put(&begun, two.bytes).await / 100, 2);
    let awaited = begun.text("/attachment/id");
    ada.complete(&awaited, false).await.at("/attachment/id");
    let sent = send(ada, &draft).await;
    assert_eq!(sent.text("/message/status"), "SENT");
    let event = events.event().await;
    assert_eq!(event["__typename"], "MessageCreated");
    assert_eq!(event["message"]["body"], "See below");
    assert_eq!(
        shown(&event),
        uploaded(&["one.txt", "two.txt", "three.txt"])
    );
    // Who is told of the message may fetch its files.
    for file in event["message"]["attachments"].as_array().expect("files") {
        let url = file["file"]["url"].as_str().expect("an address");
        assert_eq!(talk.bob.fetch(url).await.0, 200);
    }
    let mark = talk.mark().await;
    let heard = events
        .until(|event| event["message"]["body"] == *mark)
        .await;
    assert_eq!(kinds(&heard), ["MessageCreated"], "nothing else was told");
}

#[tokio::test]
async fn nothing_is_sent_with_files_that_are_not_there() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let awaited = ada.awaited("late.txt", json!({})).await;
    let with = |status: &str| json!({ "body": "x", "status": status, "attachmentIds": [awaited] });
    let refused = post(&talk, ada, with("SENT")).await;
    assert_eq!(refused.code(), "CONFLICT");
    assert!(
        refused.body["errors"][0]["message"]
            .to_string()
            .contains("late.txt")
    );
    assert_eq!(
        names(
            ada,
            &post(&talk, ada, with("DRAFT")).await.text("/message/id")
        )
        .await,
        ["late.txt"]
    );
    // Given up, it is in the way until it is taken off.
    let draft = ada.attachment(&awaited).await["message"]["id"].clone();
    let draft = draft.as_str().expect("a draft");
    ada.complete(&awaited, true).await.at("/attachment/id");
    assert_eq!(send(ada, draft).await.code(), "CONFLICT");
    ada.take_off(&awaited).await.at("/message/id");
    assert_eq!(send(ada, draft).await.text("/message/status"), "SENT");
}

#[tokio::test]
async fn a_draft_may_lose_all_files_but_says_something_when_it_is_sent() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let file = ada.uploaded("only.txt").await;
    let draft = json!({ "status": "DRAFT", "attachmentIds": [file] });
    let draft = post(&talk, ada, draft).await.text("/message/id");
    let left = ada.take_off(&file).await;
    assert_eq!(left.text("/removedAttachmentId"), file);
    assert_eq!(left.at("/message/attachments"), json!([]));
    assert_eq!(send(ada, &draft).await.code(), "CONFLICT");
    edit(ada, &draft, json!({ "addAttachmentIds": [file] }))
        .await
        .at("/message/id");
    assert_eq!(send(ada, &draft).await.text("/message/status"), "SENT");
}

#[tokio::test]
async fn a_file_that_comes_later_is_told_of_live() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let message = ada.say(&talk.thread, "Soon").await;
    let mut events = follow(&talk, &talk.bob).await;
    let file = File::text("late.txt");
    let begun = ada
        .begin_upload(&file, json!({ "messageId": message }))
        .await;
    let event = events.event().await;
    assert_eq!(event["__typename"], "MessageUpdated");
    assert_eq!(
        shown(&event),
        [("late.txt".to_owned(), "UPLOADING".to_owned())]
    );
    assert!(event["message"]["attachments"][0]["file"]["url"].is_null());
    assert_eq!(ada.put(&begun, file.bytes.clone()).await / 100, 2);
    let id = begun.text("/attachment/id");
    ada.complete(&id, false).await.at("/attachment/id");
    ada.complete(&id, false).await.at("/attachment/id");
    let event = events.event().await;
    assert_eq!(shown(&event), uploaded(&["late.txt"]));
    assert!(
        event["message"]["updatedAt"].is_null(),
        "its words are the same"
    );
    let url = event["message"]["attachments"][0]["file"]["url"]
        .as_str()
        .expect("an address");
    assert_eq!(talk.bob.fetch(url).await, (200, file.bytes));
    let given_up = ada
        .awaited("never.txt", json!({ "messageId": message }))
        .await;
    events.event().await;
    ada.complete(&given_up, true).await.at("/attachment/id");
    let event = events.event().await;
    assert_eq!(
        shown(&event)[1],
        ("never.txt".to_owned(), "CANCELLED".to_owned())
    );
    // Said again, it is no news; taken off, it is.
    ada.complete(&given_up, true).await.at("/attachment/id");
    ada.take_off(&given_up).await.at("/message/id");
    assert_eq!(shown(&events.event().await), uploaded(&["late.txt"]));
    ada.take_off(&given_up).await.at("/removedAttachmentId");
    let mark = talk.mark().await;
    let heard = events
        .until(|event| event["message"]["body"] == *mark)
        .await;
    assert_eq!(heard.len(), 1, "{heard:?}");
}
