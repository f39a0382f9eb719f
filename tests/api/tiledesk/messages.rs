//! Rows about what messages are made of.

use serde_json::{Value, json};

use crate::chatwoot::{Support, faults, follow, read, read_thread, with, write, wrote};
use crate::support::socket::Subscription;
use crate::support::unique;

/// Row: sender, senderFullname, recipient.
#[tokio::test]
async fn sender_sender_fullname_recipient_are_the_sender_his_name_and_the_thread() {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.web)).await;
    let fields = "sender { id name } thread { id subject }";
    let expected = |id: &str, name: &str| json!({ "sender": { "id": id, "name": name }, "thread": { "id": thread, "subject": "A subject" } });
    let mut events = support
        .contact
        .follow(
            &format!("subscription($id: ID!) {{ threadEvents(threadId: $id) {{ ... on MessageCreated {{ message {{ {fields} }} }} }} }}"),
            json!({ "id": thread }),
        )
        .await;
    for (by, name) in [
        (&support.contact, "contact"),
        (&support.agent, "agent"),
        (&support.member, "member"),
    ] {
        let made = write(
            by,
            &thread,
            json!({ "body": "x", "senderId": by.id }),
            fields,
        )
        .await;
        assert_eq!(made.at("/message"), expected(&by.id, name));
        assert_eq!(events.event().await["message"], expected(&by.id, name));
        let named = json!({ "body": "x", "senderId": by.external_id });
        let made = write(support.backend(), &thread, named, &format!("id {fields}")).await;
        assert_eq!(made.at("/message/sender"), expected(&by.id, name)["sender"]);
        let seen = read(&support.contact, &made.text("/message/id"), fields).await;
        assert_eq!(seen, expected(&by.id, name));
        events.event().await;
    }
    let made = write(support.backend(), &thread, json!({ "body": "x" }), fields).await;
    assert_eq!(made.at("/message/sender"), Value::Null);
    // Nobody but a backend writes for others, and it for members alone.
    let pretend = json!({ "body": "x", "senderId": support.contact.id });
    assert_eq!(
        write(&support.agent, &thread, pretend.clone(), "id")
            .await
            .code(),
        "FORBIDDEN"
    );
    assert_eq!(
        write(&support.admin, &thread, pretend, "id").await.code(),
        "FORBIDDEN"
    );
    for wrong in [&support.outsider.id, &unique("nobody")] {
        let refused = json!({ "body": "x", "senderId": wrong });
        let refused = write(support.backend(), &thread, refused, "id").await;
        assert_eq!(refused.faults(), ["senderId"]);
    }
    assert_eq!(
        read_thread(&support.agent, &thread, "messageCount").await["messageCount"],
        7
    );
}

/// The next status that a subscriber is told.
async fn status(events: &mut Subscription) -> Value {
    let event = events.event().await;
    assert_eq!(event["__typename"], "MessageUpdated", "{event}");
    event["message"]["status"].clone()
}

/// Row: status -100, 0, 100, 150, 200, 250, 300.
#[tokio::test]
async fn status_minus_100_0_100_150_200_250_300_moves_upward_only_and_live() {
    const UPWARD: [&str; 6] = [
        "SENDING",
        "SENT",
        "DELIVERED",
        "RECEIVED",
        "RETURN_RECEIPT",
        "SEEN",
    ];
    let support = Support::new().await;
    let thread = support.thread(Some(&support.api)).await;
    let message = support.agent.say(&thread, "Hello").await;
    let report = async |status: &str| {
        let input = json!({ "messageId": message, "status": status });
        let done = support
            .backend()
            .mutate("updateMessageStatus", input, "message { status }")
            .await;
        done.text("/message/status")
    };
    let mut everyone = Vec::new();
    for by in [
        &*support.agent,
        &support.admin,
        &support.member,
        &support.contact,
        support.backend(),
    ] {
        everyone.push(follow(by, &thread, None).await);
    }
    // FAILED is below all of them: only a retry leads out of it, and up from the bottom.
    assert_eq!(report("FAILED").await, "FAILED");
    let retried = json!({ "messageId": message });
    support
        .agent
        .mutate("retryMessage", retried, "message { id }")
        .await
        .at("");
    for (index, step) in UPWARD.iter().enumerate() {
        assert_eq!(report(step).await, *step);
        for lower in &UPWARD[..index] {
            assert_eq!(report(lower).await, *step);
        }
    }
    assert_eq!(report("FAILED").await, "SEEN");
    for events in &mut everyone {
        assert_eq!(status(events).await, "FAILED");
        for step in UPWARD {
            assert_eq!(status(events).await, step);
        }
        assert_eq!(events.heard_by_now().await, [] as [Value; 0]);
    }
    // Steps may be left out, not gone back.
    let quick = support.contact.say(&thread, "Quick").await;
    let input = json!({ "messageId": quick, "status": "RETURN_RECEIPT" });
    support
        .agent
        .mutate("updateMessageStatus", input, "message { id }")
        .await
        .at("");
    assert_eq!(
        read(&support.contact, &quick, "status").await["status"],
        "RETURN_RECEIPT"
    );
}

/// Row: type text or image, metadata {src, width, height}.
#[tokio::test]
async fn type_text_or_image_metadata_src_width_height_are_checked() {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.web)).await;
    let image =
        |attributes: Value| json!({ "contentType": "IMAGE", "contentAttributes": attributes });
    let fields = "contentType contentAttributes body";
    for good in [
        json!({ "src": "https://example.com/a.png", "width": 640, "height": 480 }),
        json!({ "src": "http://example.com/a.png" }),
        json!({ "src": "https://example.com/a.png", "width": 0.5 }),
    ] {
        let made = write(&support.contact, &thread, image(good.clone()), fields).await;
        let expected = json!({ "contentType": "IMAGE", "contentAttributes": good, "body": "" });
        assert_eq!(made.at("/message"), expected);
    }
    let src = "https://example.com/a.png";
    for (bad, paths) in [
        (json!({}), &["src"][..]),
        (json!({ "src": "" }), &["src"]),
        (json!({ "src": "javascript:alert(1)" }), &["src"]),
        (json!({ "src": "data:image/png;base64,AAAA" }), &["src"]),
        (json!({ "src": "//example.com/a.png" }), &["src"]),
        (json!({ "src": 5 }), &["src"]),
        (json!({ "src": src, "width": 0 }), &["width"]),
        (
            json!({ "src": src, "width": -1, "height": 0 }),
            &["height", "width"],
        ),
        (
            json!({ "src": src, "width": "640", "height": null }),
            &["height", "width"],
        ),
        (
            json!({ "src": "x", "width": -1, "height": [], "alt": "" }),
            &["alt", "height", "src", "width"],
        ),
    ] {
        let refused = write(&support.contact, &thread, image(bad.clone()), "id").await;
        let expected: Vec<String> = paths
            .iter()
            .map(|path| format!("contentAttributes.{path}"))
            .collect();
        assert_eq!(faults(&refused), expected, "{bad}");
    }
    let text = write(&support.contact, &thread, json!({ "body": "x" }), fields).await;
    assert_eq!(
        text.at("/message"),
        json!({ "contentType": "TEXT", "contentAttributes": {}, "body": "x" })
    );
    let refused = json!({ "body": "x", "contentAttributes": { "src": src } });
    let refused = write(&support.contact, &thread, refused, "id").await;
    assert_eq!(refused.faults(), ["contentAttributes.src"]);
    assert_eq!(
        read_thread(&support.agent, &thread, "messageCount").await["messageCount"],
        4
    );
}

/// Row: text required.
#[tokio::test]
async fn text_required_for_every_text_message_not_only_the_first() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let empty = [
        json!({}),
        json!({ "body": "" }),
        json!({ "body": " \n\t" }),
        json!({ "bodyHtml": " " }),
        json!({ "body": null, "bodyHtml": null, "content": null }),
        json!({ "contentType": "TEXT" }),
    ];
    for round in ["first", "second"] {
        for input in &empty {
            for by in [&*support.contact, &support.agent, support.backend()] {
                let refused = write(by, &thread, input.clone(), "id").await;
                assert_eq!(refused.faults(), ["body", "bodyHtml"], "{round}: {input}");
            }
            let first = json!({ "subject": "x", "message": input });
            let refused = support
                .agent
                .mutate("createThread", first, "thread { id }")
                .await;
            assert_eq!(refused.faults(), ["message.body", "message.bodyHtml"]);
        }
        support.contact.say(&thread, round).await;
    }
    // Not by an edit either, nor by becoming a TEXT.
    let message = support.contact.say(&thread, "Words").await;
    let image = json!({ "contentType": "IMAGE", "contentAttributes": { "src": "https://example.com/i.png" } });
    let image = wrote(&support.contact, &thread, image).await;
    for (id, change) in [
        (&message, json!({ "body": "" })),
        (&message, json!({ "body": null, "bodyHtml": " " })),
        (
            &image,
            json!({ "contentType": "TEXT", "contentAttributes": {} }),
        ),
    ] {
        let change = with(json!({ "messageId": id }), change);
        let refused = support
            .contact
            .mutate("updateMessage", change, "message { id }")
            .await;
        assert_eq!(refused.faults(), ["body", "bodyHtml"]);
    }
    let draft = json!({ "status": "DRAFT" });
    let refused = write(&support.contact, &thread, draft, "id").await;
    assert_eq!(refused.faults(), ["body", "bodyHtml"]);
    assert_eq!(
        read(&support.agent, &message, "body").await["body"],
        "Words"
    );
    let count = read_thread(&support.agent, &thread, "messageCount").await;
    assert_eq!(count["messageCount"], 4);
}

/// Row: attributes.
#[tokio::test]
async fn attributes_are_metadata_or_content_attributes() {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.web)).await;
    let metadata =
        json!({ "userEmail": "a@example.com", "score": 0.5, "vip": true, "": "empty key" });
    let items = json!({ "items": [{ "title": "Yes", "value": "y" }] });
    let input = json!({
        "body": "Sure?", "metadata": metadata, "contentType": "INPUT_SELECT", "contentAttributes": items,
    });
    let message = wrote(&support.agent, &thread, input).await;
    for by in [&*support.contact, &support.agent, support.backend()] {
        let seen = read(by, &message, "metadata contentAttributes").await;
        assert_eq!(
            seen,
            json!({ "metadata": metadata, "contentAttributes": items })
        );
    }
    let found = "query($m: Metadata) { messages(filter: { metadata: $m }) { nodes { id } } }";
    let found = support
        .contact
        .run(found, json!({ "m": { "vip": true, "score": 0.5 } }))
        .await;
    assert_eq!(found.texts("/messages/nodes", "/id"), [&*message]);
    let bad = json!({ "body": "x", "metadata": { "a": null, "b": [1], "c": {}, "d": 1 } });
    let refused = write(&support.agent, &thread, bad, "id").await;
    assert_eq!(faults(&refused), ["metadata.a", "metadata.b", "metadata.c"]);
    for bad in [json!([]), json!("x"), json!(1)] {
        let refused = write(
            &support.agent,
            &thread,
            json!({ "body": "x", "metadata": bad }),
            "id",
        )
        .await;
        assert!(refused.body.get("errors").is_some(), "{bad}");
    }
    // Replaced whole, and no change of the words.
    let change = json!({ "messageId": message, "metadata": { "vip": false } });
    let changed = support
        .agent
        .mutate("updateMessage", change, "message { metadata updatedAt }")
        .await;
    assert_eq!(
        changed.at("/message"),
        json!({ "metadata": { "vip": false }, "updatedAt": null })
    );
}

/// Row: createdAt, updatedAt, createdBy, id_project.
#[tokio::test]
async fn created_at_updated_at_created_by_id_project_are_times_sender_and_organization() {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.web)).await;
    let fields = "createdAt sentAt updatedAt sender { id } organization { id externalId } thread { createdAt organization { id } }";
    let message = support.contact.say(&thread, "Hello").await;
    let seen = read(&support.agent, &message, fields).await;
    assert_eq!(seen["sender"]["id"], support.contact.id.as_str());
    let project = json!({ "id": support.tenant.id, "externalId": support.tenant.name });
    assert_eq!(
        (&seen["organization"], &seen["thread"]["organization"]["id"]),
        (&project, &project["id"])
    );
    let time = |value: &Value| {
        let text = value.as_str().expect("a time").to_owned();
        assert!(
            text.ends_with('Z') && text.len() == "2020-01-01T00:00:00.000000Z".len(),
            "{text}"
        );
        text
    };
    assert!(time(&seen["thread"]["createdAt"]) <= time(&seen["createdAt"]));
    assert!(time(&seen["createdAt"]) <= time(&seen["sentAt"]));
    assert_eq!(seen["updatedAt"], Value::Null);
    let edit = json!({ "messageId": message, "body": "Hello!" });
    support
        .contact
        .mutate("updateMessage", edit, "message { id }")
        .await
        .at("");
    let edited = read(&support.agent, &message, fields).await;
    assert!(time(&edited["updatedAt"]) > time(&edited["sentAt"]));
    assert_eq!(
        (&edited["createdAt"], &edited["sentAt"]),
        (&seen["createdAt"], &seen["sentAt"])
    );
    // A backend that imports says when it was; nobody else does.
    let import = json!({
        "body": "Then", "senderId": support.contact.id, "sentAt": "2019-05-06T07:08:09.5+02:00",
        "updatedAt": "2020-01-01T00:00:00Z",
    });
    for by in [&support.agent, &support.admin, &support.contact] {
        let own = with(import.clone(), json!({ "senderId": by.id }));
        assert_eq!(write(by, &thread, own, "id").await.code(), "FORBIDDEN");
    }
    let made = write(
        support.backend(),
        &thread,
        import,
        "createdAt sentAt updatedAt",
    )
    .await;
    let then = "2019-05-06T05:08:09.500000Z";
    assert_eq!(
        made.at("/message"),
        json!({ "createdAt": then, "sentAt": then, "updatedAt": "2020-01-01T00:00:00.000000Z" })
    );
}
