//! Who sees a file: who sees its message. On no message it is its owner's, and the backends'.

use serde_json::{Value, json};

use super::{MESSAGE, edit, names, post};
use crate::support::files::File;
use crate::support::talk::{Talk, plus};
use crate::support::{Actor, Tenant};

async fn sees(who: &Actor, file: &str) -> bool {
    !who.attachment(file).await.is_null()
}

#[tokio::test]
async fn a_file_on_no_message_is_its_owners_and_the_backends() {
    let (talk, other) = (Talk::new().await, Tenant::new().await);
    let (admin, root) = (talk.tenant.admin("ann").await, Actor::root().await);
    let file = talk.ada.uploaded("1.txt").await;
    for who in [&*talk.ada, &talk.tenant.backend, &root] {
        assert!(sees(who, &file).await);
    }
    let stranger = other.admin("eve").await;
    for who in [&*talk.bob, &*admin, &*stranger, &other.backend] {
        assert!(!sees(who, &file).await);
        assert_eq!(who.take_off(&file).await.code(), "NOT_FOUND");
        assert_eq!(who.complete(&file, true).await.code(), "NOT_FOUND");
    }
    let left = talk.ada.take_off(&file).await;
    assert!(left.at("/message").is_null(), "it is on none, and stays");
    assert!(sees(&talk.ada, &file).await);
    // Who is no member any more sees nothing there.
    let out = json!({ "organizationId": talk.tenant.id, "userId": talk.ada.id, "role": null });
    admin.mutate("setMembership", out, "role").await.at("");
    let bound = talk.ada.run("{ viewer { user { id } } }", json!({})).await;
    assert!(bound.body.get("errors").is_some() || !sees(&talk.ada, &file).await);
}

#[tokio::test]
async fn who_sees_the_message_sees_its_files_and_nobody_else() {
    let (talk, other) = (Talk::new().await, Tenant::new().await);
    let outsider = talk.tenant.member("out").await;
    let file = talk.ada.uploaded("1.txt").await;
    let message = post(&talk, &talk.ada, json!({ "attachmentIds": [file] })).await;
    let message = message.text("/message/id");
    for who in [&*talk.ada, &*talk.bob, &talk.tenant.backend] {
        assert_eq!(who.attachment(&file).await["message"]["id"], json!(message));
    }
    let stranger = other.admin("eve").await;
    for who in [&*outsider, &*stranger, &other.backend] {
        assert!(!sees(who, &file).await);
        assert_eq!(who.take_off(&file).await.code(), "NOT_FOUND");
    }
    let removal = json!({ "threadId": talk.thread, "userId": talk.bob.id });
    talk.ada
        .mutate("removeParticipant", removal, "thread { id }")
        .await
        .at("/thread");
    assert!(!sees(&talk.bob, &file).await);
}

#[tokio::test]
async fn a_contact_gets_no_file_of_a_private_note_and_no_address() {
    let tenant = Tenant::new().await;
    let (art, cyd) = (tenant.agent("art").await, tenant.contact("cyd").await);
    let open = json!({ "access": "AGENTS", "participantIds": [cyd.id] });
    let thread = art.open_thread(open).await;
    let query = "subscription($id: ID!) { threadEvents(threadId: $id) { __typename
        ... on MessageCreated { message { body attachments { file { name } } } }
        ... on MessageUpdated { message { body attachments { file { name } } } } } }";
    let mut events = cyd.follow(query, json!({ "id": thread })).await;
    let file = art.uploaded("secret.txt").await;
    let note = json!({ "threadId": thread, "private": true, "attachmentIds": [file] });
    let note = art
        .mutate("createMessage", note, MESSAGE)
        .await
        .text("/message/id");
    let begun = art
        .begin_upload(&File::text("more.txt"), json!({ "messageId": note }))
        .await;
    let more = begun.text("/attachment/id");
    assert_eq!(art.put(&begun, File::text("more.txt").bytes).await / 100, 2);
    art.complete(&more, false).await.at("/attachment");
    edit(&art, &note, json!({ "removeAttachmentIds": [file] }))
        .await
        .at("/message");
    for file in [&file, &more] {
        assert!(!sees(&cyd, file).await);
        assert_eq!(cyd.take_off(file).await.code(), "NOT_FOUND");
    }
    let put_on = json!({ "messageId": note });
    assert_eq!(
        cyd.upload(&File::text("x"), put_on).await.code(),
        "NOT_FOUND"
    );
    let query = "{ messages(filter: { hasAttachments: true }) { totalCount nodes { id } } }";
    assert_eq!(
        cyd.run(query, json!({}))
            .await
            .number("/messages/totalCount"),
        0
    );
    art.say(&thread, "Hello").await;
    let heard = events.event().await;
    assert_eq!(
        heard["message"]["body"], "Hello",
        "he hears of nothing before"
    );
}

#[tokio::test]
async fn a_drafts_files_are_its_senders() {
    let talk = Talk::new().await;
    let file = talk.ada.uploaded("1.txt").await;
    let draft = json!({ "status": "DRAFT", "attachmentIds": [file] });
    let draft = post(&talk, &talk.ada, draft).await.text("/message/id");
    assert!(sees(&talk.ada, &file).await);
    assert!(sees(&talk.tenant.backend, &file).await);
    assert!(!sees(&talk.bob, &file).await);
    let query = "{ viewer { drafts { nodes { attachments { file { name } } } } } }";
    let drafts = talk.ada.run(query, json!({})).await;
    let name = drafts.at("/viewer/drafts/nodes/0/attachments/0/file/name");
    assert_eq!(name, "1.txt");
    // A backend that writes for a person puts files on it.
    let input = json!({ "messageId": draft, "uploaderId": talk.ada.id });
    talk.tenant
        .backend
        .upload(&File::text("2.txt"), input)
        .await
        .at("/attachment");
    assert_eq!(names(&talk.ada, &draft).await, ["1.txt", "2.txt"]);
    let others = json!({ "messageId": draft, "uploaderId": talk.bob.id });
    let refused = talk
        .tenant
        .backend
        .upload(&File::text("3.txt"), others)
        .await;
    assert_eq!(refused.code(), "FORBIDDEN");
}

#[tokio::test]
async fn only_its_sender_and_backends_put_files_on_a_message() {
    let talk = Talk::new().await;
    let (agent, backend) = (talk.tenant.admin("ann").await, &talk.tenant.backend);
    talk.admit(&agent).await;
    let message = talk.ada.say(&talk.thread, "Hers").await;
    let on_it = |more: Value| plus(json!({ "messageId": message }), more);
    let file = File::text("x.txt");
    for who in [&*talk.bob, &*agent] {
        for refused in [
            who.upload(&file, on_it(json!({}))).await,
            who.begin_upload(&file, on_it(json!({}))).await,
        ] {
            assert_eq!(refused.code(), "FORBIDDEN");
        }
    }
    let other = Tenant::new().await;
    let elsewhere = on_it(json!({ "organizationId": other.id }));
    let refused = Actor::root().await.upload(&file, elsewhere).await;
    assert_eq!(refused.faults(), ["organizationId"]);
    let here = on_it(json!({ "organizationId": talk.tenant.id }));
    backend.upload(&file, here).await.at("/attachment");
    assert_eq!(names(&talk.bob, &message).await, ["x.txt"]);
}

#[tokio::test]
async fn a_thread_takes_its_files_along_to_another_organization() {
    let (talk, there) = (Talk::new().await, Tenant::new().await);
    let file = talk.ada.uploaded("1.txt").await;
    post(&talk, &talk.ada, json!({ "attachmentIds": [file] }))
        .await
        .at("/message");
    let root = Actor::root().await;
    let input = json!({ "threadId": talk.thread, "organizationId": there.id });
    root.mutate("updateThread", input, "thread { id }")
        .await
        .at("/thread");
    assert!(!sees(&talk.ada, &file).await);
    assert!(!sees(&talk.tenant.backend, &file).await);
    let moved = there.backend.attachment(&file).await;
    let url = moved["file"]["url"].as_str().expect("an address");
    assert_eq!(root.fetch(url).await, (200, File::text("1.txt").bytes));
}
