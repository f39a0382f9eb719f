//! Drafts, and how they are sent.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::files::File;
use crate::support::talk::{Talk, act, before, edit, kinds, look, plus, read};
use crate::support::{Actor, Tenant, unique};

/// What somebody reads of a tenant with one thread.
const EVERYTHING: &str = "query($t: ID!) {
    thread(id: $t) { ...Whole }
    threads { totalCount nodes { ...Whole } }
    unread: threads(filter: { unread: true }) { totalCount }
    messages(filter: { threadId: $t, includeDeleted: true }) { totalCount nodes { id } }
    viewer { unreadThreadCount unreadMessageCount drafts { totalCount nodes { id } } }
  }
  fragment Whole on Thread {
    updatedAt lastMessageAt messageCount userMessageCount deletedMessageCount unreadCount inboxState
    firstMessage { id } latestMessage { id } firstUnreadMessage { id } participants { totalCount }
    messages { totalCount nodes { id } pageInfo { hasNextPage } }
  }";

async fn everything(talk: &Talk, by: &Actor) -> Value {
    by.run(EVERYTHING, json!({ "t": talk.thread })).await.at("")
}

/// Row `draft`.
#[tokio::test]
async fn a_draft_is_for_its_sender_alone_until_it_is_sent() {
    let talk = Talk::with(json!({ "access": "ORGANIZATION" })).await;
    let (agent, admin) = (
        talk.tenant.agent("agent").await,
        talk.tenant.admin("admin").await,
    );
    let contact = talk.tenant.contact("contact").await;
    talk.admit(&contact).await;
    talk.ada.say(&talk.thread, "Hello").await;
    let others: [&Actor; 5] = [&talk.bob, &agent, &admin, &contact, &talk.tenant.backend];
    let (mut known, mut listeners) = (Vec::new(), Vec::new());
    for other in others {
        known.push(everything(&talk, other).await);
        listeners.push(talk.follow(other).await);
    }
    let name = unique("draft");
    let input = json!({ "body": "Not yet", "externalId": name });
    let first = talk.drafted(&talk.ada, input).await;
    let second = talk.drafted(&talk.ada, json!({ "body": "Nor this" })).await;
    let third = talk.drafted(&talk.ada, json!({ "body": "Never" })).await;
    edit(
        &talk.ada,
        &first,
        json!({ "body": "Soon", "metadata": { "a": 1 } }),
    )
    .await
    .text("/message/id");
    let gone = talk
        .ada
        .mutate(
            "deleteMessage",
            json!({ "messageId": third }),
            "deletedMessageId",
        )
        .await;
    assert_eq!(gone.text("/deletedMessageId"), third);
    for (other, known) in others.into_iter().zip(&known) {
        assert_eq!(&everything(&talk, other).await, known);
    }
    for other in &others[..4] {
        for id in [&first, &name] {
            assert_eq!(read(other, id).await.code(), "NOT_FOUND");
            let quote = json!({ "body": "x", "replyToId": id });
            assert_eq!(talk.post(other, quote).await.faults(), ["replyToId"]);
        }
        let query = "query($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }";
        let nodes = other.run(query, json!({ "id": first })).await;
        assert_eq!(nodes.at(""), json!({ "node": null, "nodes": [null] }));
    }
    its_sender_finds_it(&talk, &[&first, &second]).await;

    let sent = act(&talk.ada, "sendMessage", &first).await;
    assert_eq!(sent.text("/message/body"), "Soon");
    let mark = talk.mark().await;
    for mut events in listeners {
        let heard = before(&mark, &mut events).await;
        assert_eq!(kinds(&heard), ["MessageCreated"]);
        assert_eq!(heard[0]["message"]["id"], json!(first));
    }
    a_key_writes_it_for_a_person(&talk, &second).await;
}

/// A part of the row above.
async fn its_sender_finds_it(talk: &Talk, drafts: &[&String]) {
    let mine = everything(talk, &talk.ada).await;
    let ids = |list: &str| -> Vec<String> {
        let nodes = mine.pointer(list).and_then(Value::as_array).expect("nodes");
        let id = |node: &Value| node["id"].as_str().expect("an id").to_owned();
        nodes.iter().map(id).collect()
    };
    assert_eq!(
        ids("/viewer/drafts/nodes").iter().collect::<Vec<_>>(),
        drafts
    );
    assert_eq!(mine["viewer"]["drafts"]["totalCount"], drafts.len());
    let in_thread = ids("/thread/messages/nodes");
    assert!(drafts.iter().all(|draft| in_thread.contains(draft)));
    assert_eq!(mine["thread"]["messageCount"], 1);
    for draft in drafts {
        let read = read(&talk.ada, draft).await;
        assert_eq!(read.text("/message/status"), "DRAFT");
    }
}

/// A part of the row above.
async fn a_key_writes_it_for_a_person(talk: &Talk, draft: &str) {
    let backend = &talk.tenant.backend;
    assert_eq!(read(backend, draft).await.text("/message/status"), "DRAFT");
    let edited = edit(backend, draft, json!({ "body": "By a program" })).await;
    assert_eq!(edited.text("/message/status"), "DRAFT");
    let other = Tenant::new().await;
    assert_eq!(read(&other.backend, draft).await.code(), "NOT_FOUND");
    let input = json!({ "body": "Hers", "senderId": talk.ada.external_id });
    let hers = talk.drafted(backend, input).await;
    let drafts = talk
        .ada
        .run("{ viewer { drafts { nodes { id } } } }", json!({}))
        .await;
    let drafts = drafts.texts("/viewer/drafts/nodes", "/id");
    assert_eq!(drafts, [draft, &*hers]);
    let sent = act(backend, "sendMessage", draft).await;
    assert_eq!(sent.text("/message/sender/name"), "ada");
    assert_eq!(sent.text("/message/body"), "By a program");
    let nobodys = json!({ "body": "Whose?", "status": "DRAFT" });
    let refused = talk.post(backend, nobodys).await;
    assert_eq!(refused.faults(), ["senderId"]);
}

/// Row `draft -> attachments -> send`.
#[tokio::test]
async fn draft_attachments_send_is_one_event_at_the_time_of_sending() {
    let talk = Talk::new().await;
    let question = talk.bob.say(&talk.thread, "Well?").await;
    let quoted = json!({ "body": "Hm", "replyToId": question });
    let draft = talk.drafted(&talk.ada, quoted).await;
    let mut events = talk.follow(&talk.bob).await;
    let body = json!({ "bodyHtml": "<b>Yes</b>", "metadata": { "n": 1 } });
    edit(&talk.ada, &draft, body).await.text("/message/id");
    let (one, two) = (File::text("one.txt"), File::text("two.txt"));
    let on_it = json!({ "messageId": draft });
    talk.ada
        .upload(&one, on_it.clone())
        .await
        .text("/attachment/id");
    let begun = talk.ada.begin_upload(&two, on_it).await;
    let refused = act(&talk.ada, "sendMessage", &draft).await;
    assert_eq!(refused.code(), "CONFLICT");
    assert!(
        refused.body["errors"][0]["message"]
            .to_string()
            .contains("two.txt")
    );
    assert_eq!(talk.ada.put(&begun, two.bytes).await / 100, 2);
    let awaited = begun.text("/attachment/id");
    talk.ada
        .complete(&awaited, false)
        .await
        .text("/attachment/id");
    let meanwhile = talk.post(&talk.bob, json!({ "body": "Meanwhile" })).await;
    let begun = read(&talk.ada, &draft).await;
    let sent = act(&talk.ada, "sendMessage", &draft).await;
    assert_eq!(
        sent.text("/message/createdAt"),
        begun.text("/message/createdAt")
    );
    assert!(begun.text("/message/createdAt") < meanwhile.text("/message/sentAt"));
    assert!(sent.text("/message/sentAt") >= meanwhile.text("/message/sentAt"));
    assert!(sent.at("/message/updatedAt").is_null());
    assert_eq!(sent.text("/message/replyTo/body"), "Well?");
    for reader in [&talk.ada, &talk.bob] {
        assert_eq!(talk.words(reader).await, ["Well?", "Meanwhile", "Yes"]);
        let thread = look(reader, &talk.thread).await;
        assert_eq!(thread.text("/thread/latestMessage/id"), draft);
        assert_eq!(
            thread.text("/thread/lastMessageAt"),
            sent.text("/message/sentAt")
        );
    }
    let mark = talk.mark().await;
    let heard = before(&mark, &mut events).await;
    assert_eq!(kinds(&heard), ["MessageCreated"; 2]);
    assert_eq!(heard[1]["message"]["id"], json!(draft));
    assert_eq!(heard[1]["message"]["status"], "SENT");
    let files = &heard[1]["message"]["attachments"];
    assert_eq!(
        files[0]["file"],
        json!({ "name": "one.txt", "uploadStatus": "UPLOADED" })
    );
    assert_eq!(
        files[1]["file"],
        json!({ "name": "two.txt", "uploadStatus": "UPLOADED" })
    );
}

/// Row `POST /messages/:id/send`.
#[tokio::test]
async fn post_messages_send_is_for_the_sender_of_a_draft_and_delivers_once() {
    let talk = Talk::with(json!({ "access": "ORGANIZATION" })).await;
    let (agent, admin) = (
        talk.tenant.agent("agent").await,
        talk.tenant.admin("admin").await,
    );
    let draft = talk.drafted(&talk.ada, json!({ "body": "Once" })).await;
    let mut events = talk.follow(&talk.bob).await;
    for other in [&talk.bob, &agent, &admin] {
        let refused = act(other, "sendMessage", &draft).await;
        assert_eq!(refused.code(), "NOT_FOUND");
    }
    let calls = (0..10).map(|_| act(&talk.ada, "sendMessage", &draft));
    let answers = join_all(calls).await;
    let (sent, refused): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|answer| answer.body.get("errors").is_none());
    assert_eq!(sent.len(), 1);
    assert!(refused.iter().all(|answer| answer.code() == "CONFLICT"));
    let sent_at = sent[0].text("/message/sentAt");
    let again: [(&Actor, &str); 3] = [
        (&talk.ada, "CONFLICT"),
        (&talk.tenant.backend, "CONFLICT"),
        (&talk.bob, "FORBIDDEN"),
    ];
    for (who, code) in again {
        assert_eq!(act(who, "sendMessage", &draft).await.code(), code);
    }
    let plain = talk.bob.say(&talk.thread, "Never a draft").await;
    assert_eq!(
        act(&talk.bob, "sendMessage", &plain).await.code(),
        "CONFLICT"
    );
    assert_eq!(
        read(&talk.bob, &draft).await.text("/message/sentAt"),
        sent_at
    );
    let unknown = act(&talk.ada, "sendMessage", "no-such-message").await;
    assert_eq!(unknown.code(), "NOT_FOUND");
    let mark = talk.mark().await;
    let heard = before(&mark, &mut events).await;
    assert_eq!(kinds(&heard), ["MessageCreated"; 2]);

    // Who has lost the thread has lost his drafts with it.
    let lost = talk.drafted(&agent, json!({ "body": "Lost" })).await;
    let role = json!({ "organizationId": talk.tenant.id, "userId": agent.id });
    let role = plus(role, json!({ "role": null }));
    talk.tenant
        .backend
        .mutate("setMembership", role, "user { id }")
        .await
        .text("/user/id");
    let refused = act(&agent, "sendMessage", &lost).await;
    assert_eq!(refused.code(), "NOT_FOUND");
}
