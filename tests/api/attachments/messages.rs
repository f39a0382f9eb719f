//! Which files a message may have, and how it gets and loses them.

use serde_json::json;

use super::{MESSAGE, edit, names, post};
use crate::support::Tenant;
use crate::support::files::File;
use crate::support::talk::{Talk, act};

#[tokio::test]
async fn a_message_says_something_or_has_a_file() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    assert_eq!(
        post(&talk, ada, json!({})).await.faults(),
        ["body", "bodyHtml"]
    );
    let none = json!({ "body": " ", "attachmentIds": [] });
    assert_eq!(post(&talk, ada, none).await.faults(), ["body", "bodyHtml"]);
    let file = ada.uploaded("one.txt").await;
    let sent = post(&talk, ada, json!({ "attachmentIds": [file] })).await;
    assert_eq!(sent.text("/message/body"), "");
    assert_eq!(sent.text("/message/attachments/0/id"), file);
    let message = sent.text("/message/id");
    assert_eq!(names(&talk.bob, &message).await, ["one.txt"]);
    // As long as it has words it may lose the file, and the other way round.
    let empty = json!({ "removeAttachmentIds": [file] });
    assert_eq!(
        edit(ada, &message, empty.clone()).await.faults(),
        ["removeAttachmentIds"]
    );
    assert_eq!(ada.take_off(&file).await.code(), "CONFLICT");
    edit(ada, &message, json!({ "body": "Words" }))
        .await
        .at("/message");
    edit(ada, &message, json!({ "body": "" }))
        .await
        .at("/message");
    edit(ada, &message, json!({ "body": "Words" }))
        .await
        .at("/message");
    edit(ada, &message, empty).await.at("/message");
    assert_eq!(names(ada, &message).await, Vec::<String>::new());
    assert_eq!(
        edit(ada, &message, json!({ "body": "" })).await.faults(),
        ["body", "bodyHtml"]
    );
    let both = json!({ "body": "", "addAttachmentIds": [file] });
    assert_eq!(
        edit(ada, &message, both)
            .await
            .text("/message/attachments/0/id"),
        file
    );
}

#[tokio::test]
async fn a_message_has_15_files_at_most() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let mut files = Vec::new();
    for number in 0..16 {
        files.push(ada.uploaded(&format!("{number}.txt")).await);
    }
    let all = json!({ "attachmentIds": files });
    assert_eq!(post(&talk, ada, all).await.faults(), ["attachmentIds"]);
    let fifteen = json!({ "attachmentIds": files[..15] });
    let message = post(&talk, ada, fifteen).await.text("/message/id");
    let expected: Vec<String> = (0..15).map(|number| format!("{number}.txt")).collect();
    assert_eq!(names(&talk.bob, &message).await, expected);
    let more = json!({ "addAttachmentIds": [files[15]] });
    assert_eq!(
        edit(ada, &message, more).await.faults(),
        ["addAttachmentIds"]
    );
    let at_once = json!({ "messageId": message });
    for refused in [
        ada.upload(&File::text("x"), at_once.clone()).await,
        ada.begin_upload(&File::text("x"), at_once).await,
    ] {
        assert_eq!(refused.faults(), ["messageId"]);
    }
    // One for another: the rest stays, and it stands behind them.
    let swap = json!({ "addAttachmentIds": [files[15]], "removeAttachmentIds": [files[3]] });
    edit(ada, &message, swap).await.at("/message");
    let mut expected: Vec<String> = (0..16).map(|number| format!("{number}.txt")).collect();
    expected.remove(3);
    assert_eq!(names(&talk.bob, &message).await, expected);
}

#[tokio::test]
async fn a_file_is_on_one_message_at_most() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let file = ada.uploaded("only.txt").await;
    let one = json!({ "body": "1", "attachmentIds": [file] });
    let message = post(&talk, ada, one).await.text("/message/id");
    let refused = post(&talk, ada, json!({ "body": "2", "attachmentIds": [file] })).await;
    assert_eq!(refused.code(), "CONFLICT");
    assert!(
        refused.body["errors"][0]["message"]
            .to_string()
            .contains("only.txt")
    );
    let other = ada.say(&talk.thread, "3").await;
    assert_eq!(
        edit(ada, &other, json!({ "addAttachmentIds": [file] }))
            .await
            .code(),
        "CONFLICT"
    );
    // Of many who want it at the same moment one gets it, in whichever thread.
    ada.mutate(
        "updateMessage",
        json!({ "messageId": message, "removeAttachmentIds": [file] }),
        MESSAGE,
    )
    .await
    .at("/message");
    let elsewhere = ada.open_thread(json!({})).await;
    let tries = (0..6).map(|number| {
        let thread = if number % 2 == 0 {
            &talk.thread
        } else {
            &elsewhere
        };
        let input = json!({ "threadId": thread, "body": "x", "attachmentIds": [file] });
        ada.mutate("createMessage", input, MESSAGE)
    });
    let answers = futures_util::future::join_all(tries).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|answer| answer.body.get("errors").is_none());
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|answer| answer.code() == "CONFLICT"));
    assert_eq!(
        ada.attachment(&file).await["message"]["id"],
        won[0].at("/message/id")
    );
}

#[tokio::test]
async fn a_message_names_files_of_its_organization() {
    let (talk, other) = (Talk::new().await, Tenant::new().await);
    let ada = &talk.ada;
    let foreign = other.member("eve").await.uploaded("theirs.txt").await;
    let own = ada.uploaded("own.txt").await;
    let unknown = bobbin::ids::AttachmentId::generate().to_string();
    let bad =
        json!({ "body": "x", "attachmentIds": [own, foreign, unknown, "x", own, talk.ada.id] });
    let refused = post(&talk, ada, bad.clone()).await;
    let faults: Vec<String> = [3, 4, 5, 1, 2].map(|n| format!("attachmentIds.{n}")).into();
    assert_eq!(refused.faults(), faults);
    let message = ada.say(&talk.thread, "Here").await;
    let add = json!({ "addAttachmentIds": [foreign, "x"], "removeAttachmentIds": ["y"] });
    let faults = [
        "addAttachmentIds.1",
        "removeAttachmentIds.0",
        "addAttachmentIds.0",
    ];
    assert_eq!(edit(ada, &message, add).await.faults(), faults);
    let first =
        json!({ "subject": "x", "message": { "body": "x", "attachmentIds": [own, foreign] } });
    let refused = ada.mutate("createThread", first, "thread { id }").await;
    assert_eq!(refused.faults(), ["message.attachmentIds.1"]);
}

#[tokio::test]
async fn a_thread_is_opened_with_files() {
    let talk = Talk::new().await;
    let (ada, bob) = (&talk.ada, &talk.bob);
    let (file, his) = (
        ada.uploaded("first.txt").await,
        bob.uploaded("his.txt").await,
    );
    let open = |file: &str| {
        json!({
            "subject": "x", "externalId": format!("with-{file}"), "message": { "attachmentIds": [file] },
        })
    };
    let selection = format!("thread {{ id }} {MESSAGE}");
    assert_eq!(
        ada.mutate("createThread", open(&his), &selection)
            .await
            .code(),
        "FORBIDDEN"
    );
    for _ in 0..2 {
        let opened = ada.mutate("createThread", open(&file), &selection).await;
        assert_eq!(opened.text("/message/attachments/0/file/name"), "first.txt");
    }
    let mut again = open(&file);
    again["message"]["attachmentIds"] = json!([ada.uploaded("other.txt").await]);
    assert_eq!(
        ada.mutate("createThread", again, &selection).await.code(),
        "CONFLICT"
    );
}

#[tokio::test]
async fn the_same_call_with_files_is_the_same_message() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let (one, two) = (ada.uploaded("1").await, ada.uploaded("2").await);
    let name = crate::support::unique("message");
    let call =
        |files: &[&String]| json!({ "externalId": name, "body": "x", "attachmentIds": files });
    let first = post(&talk, ada, call(&[&one, &two]))
        .await
        .text("/message/id");
    assert_eq!(
        post(&talk, ada, call(&[&one, &two]))
            .await
            .text("/message/id"),
        first
    );
    for other in [&[&two, &one][..], &[&one], &[]] {
        assert_eq!(post(&talk, ada, call(other)).await.code(), "CONFLICT");
    }
    assert_eq!(names(ada, &first).await, ["1", "2"]);
}

#[tokio::test]
async fn a_backend_attaches_its_own_files_and_the_senders() {
    let talk = Talk::new().await;
    let (ada, backend) = (&talk.ada, &talk.tenant.backend);
    let (own, adas) = (
        backend.uploaded("own.txt").await,
        ada.uploaded("adas.txt").await,
    );
    let bobs = talk.bob.uploaded("bobs.txt").await;
    let by_ada = |files: &[&String]| json!({ "senderId": ada.id, "attachmentIds": files });
    assert_eq!(
        post(&talk, backend, by_ada(&[&own, &bobs])).await.code(),
        "FORBIDDEN"
    );
    let sent = post(&talk, backend, by_ada(&[&own, &adas])).await;
    assert_eq!(
        names(&talk.bob, &sent.text("/message/id")).await,
        ["own.txt", "adas.txt"]
    );
    // A person does not attach what is the backend's.
    let another = backend.uploaded("another.txt").await;
    let refused = post(&talk, ada, json!({ "attachmentIds": [another] })).await;
    assert_eq!(refused.code(), "FORBIDDEN");
}

#[tokio::test]
async fn messages_are_listed_by_whether_they_have_files() {
    let talk = Talk::new().await;
    let (ada, backend) = (&talk.ada, &talk.tenant.backend);
    let with = async |name: &str| {
        let file = ada.uploaded(name).await;
        let input = json!({ "body": "with words", "attachmentIds": [file] });
        post(&talk, ada, input).await.text("/message/id")
    };
    let (one, gone) = (with("1").await, with("2").await);
    let plain = ada.say(&talk.thread, "without words").await;
    act(ada, "deleteMessage", &gone).await.at("/message/id");
    let list = async |by: &crate::support::Actor, filter: serde_json::Value| {
        let query = "query($f: MessageFilter) { messages(filter: $f) { totalCount nodes { id } }
            searchMessages(query: \"words\", filter: $f) { nodes { id } } }";
        let listed = by.run(query, json!({ "f": filter })).await;
        let ids = listed.texts("/messages/nodes", "/id");
        assert_eq!(
            listed.number("/messages/totalCount"),
            i64::try_from(ids.len()).expect("few")
        );
        let mut found = listed.texts("/searchMessages/nodes", "/id");
        found.sort_by_key(|id| ids.iter().position(|other| other == id));
        (ids, found)
    };
    let both = |ids: &[&String]| {
        let ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
        (ids.clone(), ids)
    };
    for by in [ada, &talk.bob, &talk.tenant.backend] {
        assert_eq!(
            list(by, json!({ "hasAttachments": true })).await,
            both(&[&one])
        );
        assert_eq!(
            list(by, json!({ "hasAttachments": false })).await,
            both(&[&plain])
        );
    }
    // A tombstone shows its files to nobody but a backend that asks for what it said.
    let deleted = |has: bool| json!({ "hasAttachments": has, "includeDeleted": true });
    assert_eq!(list(backend, deleted(true)).await, both(&[&one, &gone]));
    assert_eq!(list(ada, deleted(true)).await.0, [one]);
    assert_eq!(list(ada, deleted(false)).await.0, [gone, plain]);
}

#[tokio::test]
async fn a_tombstone_shows_no_files_and_they_come_back_with_it() {
    let talk = Talk::new().await;
    let (ada, backend) = (&talk.ada, &talk.tenant.backend);
    let file = ada.uploaded("1.txt").await;
    let sent = post(&talk, ada, json!({ "attachmentIds": [file] })).await;
    let (message, url) = (
        sent.text("/message/id"),
        sent.text("/message/attachments/0/file/url"),
    );
    act(ada, "deleteMessage", &message).await.at("/message/id");
    assert_eq!(names(&talk.bob, &message).await, Vec::<String>::new());
    for who in [ada, &talk.bob, backend] {
        assert!(who.attachment(&file).await.is_null());
    }
    assert_eq!(ada.fetch(&url).await.0, 404, "an address given out before");
    let add = json!({ "addAttachmentIds": [ada.uploaded("2.txt").await] });
    assert_eq!(edit(ada, &message, add).await.code(), "CONFLICT");
    assert_eq!(ada.take_off(&file).await.code(), "NOT_FOUND");
    let query = "{ messages(filter: { includeDeleted: true }) { nodes { attachments { file { name url } } } } }";
    let read = backend.run(query, json!({})).await;
    let revealed = json!([{ "file": { "name": "1.txt", "url": null } }]);
    assert_eq!(read.at("/messages/nodes/0/attachments"), revealed);
    assert_eq!(
        ada.run(query, json!({}))
            .await
            .at("/messages/nodes/0/attachments"),
        json!([])
    );
    act(ada, "restoreMessage", &message).await.at("/message/id");
    assert_eq!(names(&talk.bob, &message).await, ["1.txt"]);
    assert_eq!(ada.fetch(&url).await.0, 200);
}

#[tokio::test]
async fn messages_that_exchange_files_do_not_wait_for_each_other() {
    let talk = Talk::new().await;
    let ada = &talk.ada;
    let thread = ada.open_thread(json!({})).await;
    for _ in 0..10 {
        let (one, two) = (ada.uploaded("1.txt").await, ada.uploaded("2.txt").await);
        let first = post(&talk, ada, json!({ "body": "x", "attachmentIds": [one] })).await;
        let second = json!({ "threadId": thread, "body": "x", "attachmentIds": [two] });
        let second = ada.mutate("createMessage", second, "message { id }").await;
        let (first, second) = (first.text("/message/id"), second.text("/message/id"));
        let swap = |add: &str, remove: &str| json!({ "addAttachmentIds": [add], "removeAttachmentIds": [remove] });
        let (gave, took) = tokio::join!(
            edit(ada, &first, swap(&two, &one)),
            edit(ada, &second, swap(&one, &two)),
        );
        for done in [gave, took] {
            if done.body.get("errors").is_some() {
                assert_eq!(done.code(), "CONFLICT");
            }
        }
    }
}
