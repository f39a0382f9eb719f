//! Structured content, and the words alone.

use serde_json::{Value, json};

use crate::support::talk::{Talk, act, before, edit, kinds, look, read};
use crate::support::{Actor, Tenant};

fn p(children: Value) -> Value {
    json!({ "type": "p", "children": children })
}

fn text(text: &str) -> Value {
    json!({ "text": text })
}

fn naming(kind: &str, user: &str, label: &str) -> Value {
    json!({ "type": kind, "user": { "id": user }, "children": [{ "text": label }] })
}

/// Row `content` MessageContent.
#[tokio::test]
async fn content_message_content_is_nodes_that_read_back_as_they_were_written() {
    let talk = Talk::new().await;
    let mut all = vec![
        p(
            json!([{ "text": "a", "bold": true, "italic": true, "underline": true, "code": true }, text("")]),
        ),
        json!({ "type": "number_bullet", "indent": 2, "children": [p(json!([text("b")]))] }),
        json!({ "type": "quote", "children": [text("c"), p(json!([text("d")]))] }),
        json!({ "type": "code", "children": [text("if x {\n}")] }),
        json!({ "type": "link", "url": "https://example.com", "children": [text("e")] }),
        naming("mention", &talk.bob.id, "@Bob"),
        p(json!([
            naming("mention", &talk.bob.external_id, "@Bobby"),
            naming("assignee", &talk.ada.id, "+Ada")
        ])),
        json!({ "type": "todo", "todoID": "t", "done": true, "children": [p(json!([text("f")]))] }),
        json!({ "type": "markdown", "children": [text("# g")] }),
    ];
    for indent in 0..=4 {
        all.push(
            json!({ "type": "bullet", "indent": indent, "children": [p(json!([text("h")]))] }),
        );
    }
    let all = Value::Array(all);
    for content in [all, json!([])] {
        let writers: [&Actor; 2] = [&talk.ada, &talk.tenant.backend];
        for writer in writers {
            let sent = talk.post(writer, json!({ "content": content })).await;
            assert_eq!(sent.at("/message/content"), content);
            let seen = read(&talk.bob, &sent.text("/message/id")).await;
            assert_eq!(seen.at("/message/content"), content);
            assert_eq!(seen.text("/message/body"), "");
        }
        let plain = talk.posted(&talk.ada, json!({ "body": "x" })).await;
        let edited = edit(&talk.ada, &plain, json!({ "content": content })).await;
        assert_eq!(edited.at("/message/content"), content);
        assert_eq!(edited.text("/message/body"), "");
        let opened = json!({ "subject": "New", "message": { "content": content } });
        let opened = talk
            .ada
            .mutate("createThread", opened, "message { content }");
        assert_eq!(opened.await.at("/message/content"), content);
    }
    what_is_not_content_is_refused_with_every_path(&talk).await;
    content_is_limited(&talk).await;
    mentions_name_members(&talk).await;
    who_is_mentioned_becomes_a_subscriber(&talk).await;
}

/// A part of the row above.
#[expect(clippy::too_many_lines, reason = "a table of what is refused")]
async fn what_is_not_content_is_refused_with_every_path(talk: &Talk) {
    let before = talk.words(&talk.bob).await;
    let message = talk.posted(&talk.ada, json!({ "body": "Fine" })).await;
    for (content, faults) in [
        (json!({}), vec!["content"]),
        (json!("text"), vec!["content"]),
        (json!([text("bare")]), vec!["content.0"]),
        (
            json!([p(json!([p(json!([text("x")]))]))]),
            vec!["content.0.children.0"],
        ),
        (
            json!([{ "type": "table", "children": [] }]),
            vec!["content.0.type"],
        ),
        (json!([{ "type": "p" }]), vec!["content.0.children"]),
        (
            json!([{ "type": "p", "children": "x" }]),
            vec!["content.0.children"],
        ),
        (
            json!([p(json!([{ "text": 1 }]))]),
            vec!["content.0.children.0.text"],
        ),
        (
            json!([p(json!([{ "text": "x", "bold": 1 }]))]),
            vec!["content.0.children.0.bold"],
        ),
        (
            json!([{ "type": "bullet", "indent": 5, "children": [p(json!([text("x")]))] }]),
            vec!["content.0.indent"],
        ),
        (
            json!([{ "type": "bullet", "indent": -1, "children": [p(json!([text("x")]))] }]),
            vec!["content.0.indent"],
        ),
        (
            json!([naming("mention", &talk.bob.id, "Bob")]),
            vec!["content.0.children.0.text"],
        ),
        (
            json!([{ "type": "mention", "user": { "id": talk.bob.id }, "children": [text("@B"), text("ob")] }]),
            vec!["content.0.children"],
        ),
        (
            json!([{ "type": "mention", "children": [text("@Bob")] }]),
            vec!["content.0.user"],
        ),
        (
            json!([{ "type": "link", "url": "javascript:x()", "children": [text("x")] }]),
            vec!["content.0.url"],
        ),
        (
            json!([text("a"), p(json!([text("ok"), { "text": null }])), { "type": "nope" }, 7]),
            vec![
                "content.0",
                "content.1.children.1.text",
                "content.2.type",
                "content.3",
            ],
        ),
    ] {
        let refused = talk.post(&talk.ada, json!({ "content": content })).await;
        assert_eq!(refused.faults(), faults, "{content}");
        let refused = edit(&talk.ada, &message, json!({ "content": content })).await;
        assert_eq!(refused.faults(), faults, "{content}");
        let thread = json!({ "subject": "New", "message": { "content": content } });
        let refused = talk
            .ada
            .mutate("createThread", thread, "thread { id }")
            .await;
        let nested: Vec<String> = faults
            .iter()
            .map(|path| format!("message.{path}"))
            .collect();
        assert_eq!(refused.faults(), nested, "{content}");
    }
    assert_eq!(
        read(&talk.bob, &message).await.text("/message/body"),
        "Fine"
    );
    assert_eq!(talk.words(&talk.bob).await.len(), before.len() + 1);
}

/// A part of the row above.
async fn content_is_limited(talk: &Talk) {
    let long = json!([p(json!([text(&"é".repeat(150_000))]))]);
    let sent = talk.post(&talk.ada, json!({ "content": long })).await;
    assert!(sent.at("/message/id").is_string());
    let too_long = json!([p(json!([text(&"é".repeat(150_000)), text("x")]))]);
    let too_many = Value::Array(vec![p(json!([text("x")])); 2_501]);
    for content in [too_long, too_many] {
        let refused = talk.post(&talk.ada, json!({ "content": content })).await;
        assert_eq!(refused.faults(), ["content"]);
    }
    let mut deep = text("x");
    for _ in 0..60 {
        deep = json!({ "type": "quote", "children": [deep] });
    }
    let refused = talk.post(&talk.ada, json!({ "content": [deep] })).await;
    let faults = refused.faults();
    assert!(faults.contains(&format!("content.0{}", ".children.0".repeat(8))));
    // What is deeper is not even looked at.
    assert!(faults.len() < 10, "{faults:?}");
}

/// A part of the row above.
async fn mentions_name_members(talk: &Talk) {
    let stranger = Tenant::new().await.member("stranger").await;
    let content = json!([
        p(json!([
            naming("mention", "nobody", "@N"),
            naming("mention", &talk.bob.id, "@B")
        ])),
        naming("assignee", &stranger.id, "+S"),
        naming("mention", &stranger.external_id, "@S"),
    ]);
    let expected = [
        "content.0.children.0.user.id",
        "content.1.user.id",
        "content.2.user.id",
    ];
    let writers: [&Actor; 2] = [&talk.ada, &talk.tenant.backend];
    for writer in writers {
        for status in ["SENT", "DRAFT"] {
            let input = json!({ "content": content, "status": status, "senderId": talk.ada.id });
            let refused = talk.post(writer, input).await;
            assert_eq!(refused.faults(), expected);
        }
    }
    let own = talk.posted(&talk.ada, json!({ "body": "x" })).await;
    let refused = edit(&talk.ada, &own, json!({ "content": content })).await;
    assert_eq!(refused.faults(), expected);
    let twice = json!([
        naming("mention", &talk.bob.id, "@B"),
        naming("mention", &talk.bob.external_id, "@B"),
        naming("assignee", &talk.ada.id, "@A")
    ]);
    let sent = talk.post(&talk.ada, json!({ "content": twice })).await;
    assert_eq!(sent.texts("/message/mentions", "/name"), ["bob", "ada"]);
}

/// A part of the row above.
async fn who_is_mentioned_becomes_a_subscriber(talk: &Talk) {
    let (cyd, dee) = (
        talk.tenant.member("cyd").await,
        talk.tenant.contact("dee").await,
    );
    let silence = json!({ "threadId": talk.thread, "subscribed": false });
    talk.bob
        .mutate("setThreadSubscription", silence, "thread { id }")
        .await
        .text("/thread/id");
    let mut events = talk.follow(&talk.ada).await;
    let content = json!([p(json!([
        naming("mention", &cyd.external_id, "@Cyd"),
        naming("mention", &talk.bob.id, "@Bob")
    ]))]);
    let sent = talk.posted(&talk.ada, json!({ "content": content })).await;
    assert_eq!(
        talk.look(&talk.bob).await.at("/thread/subscribed"),
        json!(true)
    );
    assert_eq!(read(&cyd, &sent).await.text("/message/id"), sent);
    assert_eq!(talk.look(&cyd).await.at("/thread/subscribed"), json!(true));
    // By a draft once it is sent; by an edit at once.
    let content = json!([naming("mention", &dee.id, "@Dee")]);
    let draft = talk.drafted(&talk.ada, json!({ "content": content })).await;
    assert_eq!(talk.look(&dee).await.code(), "NOT_FOUND");
    act(&talk.ada, "sendMessage", &draft)
        .await
        .text("/message/id");
    assert_eq!(talk.look(&dee).await.at("/thread/subscribed"), json!(true));
    let eve = talk.tenant.member("eve").await;
    let content = json!([naming("assignee", &eve.id, "+Eve")]);
    edit(&talk.ada, &sent, json!({ "content": content }))
        .await
        .text("/message/id");
    assert_eq!(talk.look(&eve).await.at("/thread/subscribed"), json!(true));
    let mark = talk.mark().await;
    let heard = before(&mark, &mut events).await;
    let mut heard = kinds(&heard);
    heard.retain(|kind| *kind == "ParticipantAdded");
    assert_eq!(heard.len(), 3);
}

/// Row `plaintext`.
#[tokio::test]
async fn plaintext_is_joined_leaves_and_never_accepted() {
    let talk = Talk::new().await;
    for (given, expected) in [
        (
            json!({ "content": [
                p(json!([text("  one "), { "text": "two", "bold": true }, naming("mention", &talk.bob.id, "@Bob")])),
                p(json!([text("")])),
                { "type": "bullet", "children": [p(json!([text("three")])), p(json!([text("four")]))] },
                { "type": "link", "url": "https://example.com", "children": [text("five  ")] },
            ] }),
            "one two@Bob\n\nthreefour\nfive",
        ),
        (json!({ "content": [] }), ""),
        (json!({ "body": "  raw\ntext \n" }), "raw\ntext"),
        (json!({ "bodyHtml": "<b>bold</b> &lt;3" }), "bold <3"),
        (
            json!({ "content": [p(json!([text("structure")]))], "body": "raw", "bodyHtml": "<p>html</p>" }),
            "structure",
        ),
    ] {
        let sent = talk.post(&talk.ada, given.clone()).await;
        assert_eq!(sent.text("/message/plaintext"), expected, "{given}");
        let plain = talk.posted(&talk.ada, json!({ "body": "before" })).await;
        let edited = edit(&talk.ada, &plain, given.clone()).await;
        assert_eq!(edited.text("/message/plaintext"), expected, "{given}");
    }
    let count = look(&talk.bob, &talk.thread).await;
    let count = count.number("/thread/messageCount");
    let own = json!({ "body": "x", "plaintext": "y" });
    let writers: [&Actor; 2] = [&talk.ada, &talk.tenant.backend];
    for writer in writers {
        let refused = talk.post(writer, own.clone()).await;
        assert_eq!(refused.code(), "GRAPHQL_VALIDATION_FAILED");
    }
    let after = look(&talk.bob, &talk.thread).await;
    assert_eq!(after.number("/thread/messageCount"), count);
    let query = "{ __schema { types { name inputFields { name } } } }";
    let schema = talk.ada.run(query, json!({})).await.at("/__schema/types");
    let types = schema.as_array().expect("types");
    let fields = types
        .iter()
        .filter_map(|kind| kind["inputFields"].as_array())
        .flatten();
    assert!(fields.clone().count() > 100);
    assert!(fields.into_iter().all(|field| field["name"] != "plaintext"));
}
