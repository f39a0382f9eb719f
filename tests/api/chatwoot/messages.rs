//! Rows about messages: lists of them, what they are made of, which way they go, quotes, deleting.

use serde_json::{Value, json};

use super::{Support, faults, read, read_thread, with, write, wrote};
use crate::support::{Actor, unique};

const PAGE: &str =
    "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $around: ID) {
    thread(id: $id) {
      messages(first: $first, after: $after, last: $last, before: $before, around: $around) {
        totalCount nodes { body } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }";

/// The bodies of a page.
async fn page(by: &Actor, thread: &str, arguments: Value) -> (Vec<String>, Value) {
    let variables = with(json!({ "id": thread }), arguments);
    let page = by.run(PAGE, variables).await;
    assert_eq!(page.number("/thread/messages/totalCount"), 12);
    (
        page.texts("/thread/messages/nodes", "/body"),
        page.at("/thread/messages/pageInfo"),
    )
}

/// Row: list (page, before, after).
#[tokio::test]
async fn list_page_before_after_loses_no_message_of_the_same_second() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let mut ids = Vec::new();
    for n in 0..12 {
        let input = json!({ "body": n.to_string(), "sentAt": "2020-01-01T00:00:00Z", "senderId": support.contact.id });
        ids.push(wrote(support.backend(), &thread, input).await);
    }
    let all: Vec<String> = (0..12).map(|n| n.to_string()).collect();
    for (size, side, from, cursor, more) in [
        ("first", "after", 0, "endCursor", "hasNextPage"),
        ("last", "before", 12, "startCursor", "hasPreviousPage"),
    ] {
        let (mut heard, mut at) = (Vec::new(), Value::Null);
        loop {
            let (bodies, info) = page(&support.agent, &thread, json!({ size: 5, side: at })).await;
            let place = if from == 0 { heard.len() } else { 0 };
            heard.splice(place..place, bodies);
            at = info[cursor].clone();
            if info[more] == false {
                break;
            }
        }
        assert_eq!(heard, all, "{side}");
    }
    for (middle, expected) in [(6, 4..9), (0, 0..5), (11, 7..12), (1, 0..5)] {
        let around = json!({ "first": 5, "around": ids[middle] });
        let (bodies, info) = page(&support.contact, &thread, around).await;
        assert_eq!(bodies, all[expected.clone()], "around {middle}");
        assert_eq!(info["hasPreviousPage"], expected.start > 0);
        assert_eq!(info["hasNextPage"], expected.end < 12);
        // From the window on, both ways.
        let (next, _) = page(
            &support.contact,
            &thread,
            json!({ "first": 12, "after": info["endCursor"] }),
        )
        .await;
        assert_eq!(next, all[expected.end..]);
        let (before, _) = page(
            &support.contact,
            &thread,
            json!({ "last": 12, "before": info["startCursor"] }),
        )
        .await;
        assert_eq!(before, all[..expected.start]);
    }
    let elsewhere = support.thread(None).await;
    let there = support.agent.say(&elsewhere, "There").await;
    let note = wrote(
        &support.agent,
        &thread,
        json!({ "body": "Note", "private": true }),
    )
    .await;
    for unseen in [&there, &note, &unique("nothing")] {
        let variables = json!({ "id": thread, "first": 5, "around": unseen });
        let refused = support.contact.run(PAGE, variables).await;
        assert_eq!(refused.code(), "NOT_FOUND");
    }
    for other in [json!({ "last": 3 }), json!({ "first": 3, "after": "x" })] {
        let variables = with(json!({ "id": thread, "around": ids[6] }), other);
        let refused = support.agent.run(PAGE, variables).await;
        assert_eq!(refused.code(), "BAD_USER_INPUT");
    }
}

/// Row: create message.
#[tokio::test]
async fn create_message_takes_text_html_and_structure_of_150000_characters() {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.web)).await;
    let content = json!([{ "type": "p", "children": [{ "text": "Fish & chips", "bold": true }] }]);
    let fields = "body bodyHtml content plaintext contentType status sender { name }";
    for (given, expected) in [
        (
            json!({ "body": " Fish & chips " }),
            json!({ "body": " Fish & chips ", "bodyHtml": null, "content": null }),
        ),
        (
            json!({ "bodyHtml": "<p>Fish &amp; chips<script>x()</script></p>" }),
            json!({ "body": "", "bodyHtml": "<p>Fish &amp; chips</p>", "content": null }),
        ),
        (
            json!({ "content": content }),
            json!({ "body": "", "bodyHtml": "<p><b>Fish &amp; chips</b></p>", "content": content }),
        ),
    ] {
        let made = write(&support.contact, &thread, given, fields).await;
        let rest = json!({
            "plaintext": "Fish & chips", "contentType": "TEXT", "status": "SENT",
            "sender": { "name": "contact" },
        });
        assert_eq!(made.at("/message"), with(expected, rest));
    }
    // Characters, not bytes.
    let leaf = |text: String| json!([{ "type": "p", "children": [{ "text": text }] }]);
    for (field, most, more) in [
        (
            "body",
            json!("é".repeat(150_000)),
            json!("é".repeat(150_001)),
        ),
        (
            "bodyHtml",
            json!("é".repeat(150_000)),
            json!("é".repeat(150_001)),
        ),
    ] {
        wrote(&support.agent, &thread, json!({ field: most })).await;
        let refused = write(&support.agent, &thread, json!({ field: more }), "id").await;
        assert_eq!(refused.faults(), [field]);
    }
    let long: Vec<Value> = (0..15)
        .map(|_| json!({ "text": "x".repeat(10_000) }))
        .collect();
    let mut most = json!([{ "type": "p", "children": long }]);
    wrote(&support.agent, &thread, json!({ "content": most })).await;
    most.as_array_mut()
        .expect("nodes")
        .push(leaf("x".to_owned())[0].clone());
    let refused = write(&support.agent, &thread, json!({ "content": most }), "id").await;
    assert_eq!(refused.faults(), ["content"]);
    // All faults at once, and nothing is left of it.
    let before = read_thread(&support.agent, &thread, "messageCount updatedAt cursor").await;
    let bad = json!({
        "body": "x".repeat(150_001), "content": [{ "text": "bare" }], "contentType": "IMAGE",
        "url": "javascript:x()", "metadata": { "list": [] },
    });
    let refused = write(&support.agent, &thread, bad, "id").await;
    let expected = [
        "body",
        "content.0",
        "contentAttributes.src",
        "metadata.list",
        "url",
    ];
    assert_eq!(faults(&refused), expected);
    let refused = write(&support.outsider, &thread, json!({ "body": "x" }), "id").await;
    assert_eq!(refused.code(), "NOT_FOUND");
    let after = read_thread(&support.agent, &thread, "messageCount updatedAt cursor").await;
    assert_eq!(
        (&before["messageCount"], &before["updatedAt"]),
        (&after["messageCount"], &after["updatedAt"])
    );
}

fn hello(more: Value) -> Value {
    with(json!({ "body": "Hello" }), more)
}

/// Which way a message goes, and whose it is.
async fn way(by: &Actor, thread: &str, more: Value) -> (Value, Value) {
    let made = write(by, thread, hello(more), "direction type sender { name }").await;
    let made = made.at("/message");
    assert_eq!(made["type"], "USER");
    (made["direction"].clone(), made["sender"]["name"].clone())
}

/// Row: message_type incoming / outgoing / activity.
#[tokio::test]
async fn message_type_incoming_outgoing_activity_is_direction_and_type() {
    let support = Support::new().await;
    let (web, api) = (
        support.thread(Some(&support.web)).await,
        support.thread(Some(&support.api)).await,
    );
    let none = support.thread(None).await;
    let key = support.backend();
    for thread in [&web, &api] {
        for (by, name) in [
            (&support.agent, "agent"),
            (&support.admin, "admin"),
            (&support.member, "member"),
        ] {
            for more in [json!({}), json!({ "direction": "OUTGOING" })] {
                assert_eq!(
                    way(by, thread, more).await,
                    (json!("OUTGOING"), json!(name))
                );
            }
        }
        for more in [json!({}), json!({ "direction": "INCOMING" })] {
            let expected = (json!("INCOMING"), json!("contact"));
            assert_eq!(way(&support.contact, thread, more).await, expected);
        }
        let named = json!({ "senderId": support.contact.external_id });
        assert_eq!(
            way(key, thread, named).await,
            (json!("INCOMING"), json!("contact"))
        );
        let named = json!({ "senderId": support.agent.external_id });
        assert_eq!(
            way(key, thread, named).await,
            (json!("OUTGOING"), json!("agent"))
        );
        assert_eq!(
            way(key, thread, json!({})).await,
            (json!("OUTGOING"), Value::Null)
        );
        let refused = write(
            &support.contact,
            thread,
            hello(json!({ "direction": "OUTGOING" })),
            "id",
        )
        .await;
        assert_eq!(refused.code(), "INVALID_MESSAGE_TYPE");
    }
    incoming_by_others(&support, &api, &[&web, &none]).await;
    // Without an inbox no message has a direction.
    for by in [&*support.agent, &support.contact, key] {
        assert_eq!(way(by, &none, json!({})).await.0, Value::Null);
    }
    let refused = write(
        &support.agent,
        &none,
        hello(json!({ "direction": "OUTGOING" })),
        "id",
    )
    .await;
    assert_eq!(refused.faults(), ["direction"]);
    let refused = write(
        &support.contact,
        &none,
        hello(json!({ "direction": "INCOMING" })),
        "id",
    )
    .await;
    assert_eq!(refused.faults(), ["direction"]);
    activities(&support, &api, &web).await;
}

/// Messages that agents and backends bring from the contact: into an API inbox alone.
async fn incoming_by_others(support: &Support, api: &str, elsewhere: &[&str]) {
    for by in [&*support.agent, &support.admin, support.backend()] {
        assert_eq!(
            way(by, api, json!({ "direction": "INCOMING" })).await,
            (json!("INCOMING"), json!("contact"))
        );
        for thread in elsewhere {
            let refused = write(by, thread, hello(json!({ "direction": "INCOMING" })), "id").await;
            assert_eq!(refused.code(), "INVALID_MESSAGE_TYPE");
        }
    }
    for thread in elsewhere.iter().chain(&[api]) {
        let refused = write(
            &support.member,
            thread,
            hello(json!({ "direction": "INCOMING" })),
            "id",
        )
        .await;
        assert_eq!(refused.code(), "INVALID_MESSAGE_TYPE");
    }
    // The same call again is the same message.
    let again = json!({ "direction": "INCOMING", "externalId": unique("message") });
    let first = wrote(&support.agent, api, hello(again.clone())).await;
    assert_eq!(wrote(&support.agent, api, hello(again)).await, first);
    // Whoever a backend says wrote it decides.
    for (sender, expected) in [(&support.agent, "OUTGOING"), (&support.contact, "INCOMING")] {
        let input = json!({ "messageId": first, "senderId": sender.id });
        let changed = support
            .backend()
            .mutate(
                "updateMessage",
                input,
                "message { direction sender { id } }",
            )
            .await;
        let expected = json!({ "direction": expected, "sender": { "id": sender.id } });
        assert_eq!(changed.at("/message"), expected);
    }
}

/// What happened is of a type of its own, without a direction; nobody drafts for a contact.
async fn activities(support: &Support, api: &str, web: &str) {
    for thread in [api, web] {
        let action = json!({ "body": "Moved", "type": "ACTION" });
        for by in [
            &support.agent,
            &support.admin,
            &support.member,
            &support.contact,
        ] {
            let refused = write(by, thread, action.clone(), "id").await;
            assert_eq!(refused.code(), "INVALID_MESSAGE_TYPE");
        }
        let made = write(
            support.backend(),
            thread,
            action.clone(),
            "type direction sender { id }",
        )
        .await;
        let expected = json!({ "type": "ACTION", "direction": null, "sender": null });
        assert_eq!(made.at("/message"), expected);
        let refused = with(action, json!({ "direction": "OUTGOING" }));
        let refused = write(support.backend(), thread, refused, "id").await;
        assert_eq!(refused.faults(), ["direction"]);
    }
    let counts = read_thread(&support.contact, api, "messageCount").await;
    let incoming = json!({ "body": "x", "direction": "INCOMING" });
    let note = with(incoming.clone(), json!({ "private": true }));
    let refused = write(&support.agent, api, note, "id").await;
    assert_eq!(refused.faults(), ["direction"]);
    // A draft is its writer's own.
    let draft = with(incoming.clone(), json!({ "status": "DRAFT" }));
    let refused = write(&support.agent, api, draft, "id").await;
    assert_eq!(refused.faults(), ["direction"]);
    let drafts = "{ viewer { drafts { totalCount } } }";
    for by in [&support.agent, &support.contact] {
        let drafts = by.run(drafts, json!({})).await;
        assert_eq!(drafts.number("/viewer/drafts/totalCount"), 0);
    }
    assert_eq!(
        read_thread(&support.contact, api, "messageCount").await,
        counts
    );
    // A thread without a contact has nobody to bring a message from.
    let alone = json!({ "inboxId": support.api });
    let alone = support.agent.open_thread(alone).await;
    let refused = write(&support.agent, &alone, incoming, "id").await;
    assert_eq!(refused.faults(), ["direction"]);
}

/// Row: in_reply_to.
#[tokio::test]
async fn in_reply_to_is_a_message_of_the_same_thread() {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.web)).await;
    let elsewhere = support.thread(Some(&support.web)).await;
    let named = unique("quoted");
    let quoted = json!({ "body": "Original", "externalId": named });
    let quoted = wrote(&support.contact, &thread, quoted).await;
    let reply = |to: &str| json!({ "body": "Reply", "replyToId": to });
    for (by, name) in [
        (&*support.agent, &quoted),
        (&support.contact, &named),
        (support.backend(), &named),
    ] {
        let made = write(by, &thread, reply(name), "replyTo { id body }").await;
        let expected = json!({ "replyTo": { "id": quoted, "body": "Original" } });
        assert_eq!(made.at("/message"), expected);
    }
    let there = support.agent.say(&elsewhere, "There").await;
    let draft = wrote(
        &support.agent,
        &thread,
        json!({ "body": "x", "status": "DRAFT" }),
    )
    .await;
    let foreign = support.outsider.open_thread(json!({})).await;
    let foreign = support.outsider.say(&foreign, "Foreign").await;
    let note = wrote(
        &support.agent,
        &thread,
        json!({ "body": "x", "private": true }),
    )
    .await;
    let gone = wrote(&support.agent, &thread, json!({ "body": "x" })).await;
    let input = json!({ "messageId": gone, "permanently": true });
    support
        .backend()
        .mutate("deleteMessage", input, "deletedMessageId")
        .await
        .at("");
    for wrong in [&there, &draft, &foreign, &note, &gone, &unique("nothing")] {
        let refused = write(&support.contact, &thread, reply(wrong), "id").await;
        assert_eq!(refused.faults(), ["replyToId"]);
    }
    for wrong in [&there, &draft, &foreign, &gone] {
        let refused = write(&support.agent, &thread, reply(wrong), "id").await;
        assert_eq!(refused.faults(), ["replyToId"]);
    }
    // What a contact may not see is not quoted to him; what was deleted is quoted as such.
    let answer = wrote(&support.agent, &thread, reply(&note)).await;
    assert_eq!(
        read(&support.contact, &answer, "replyTo { id }").await["replyTo"],
        Value::Null
    );
    assert_eq!(
        read(&support.admin, &answer, "replyTo { id }").await["replyTo"]["id"],
        *note
    );
    let answer = wrote(&support.agent, &thread, reply(&quoted)).await;
    let input = json!({ "messageId": quoted });
    support
        .contact
        .mutate("deleteMessage", input, "deletedMessageId")
        .await
        .at("");
    let left = read(&support.agent, &answer, "replyTo { id body }").await;
    assert_eq!(left["replyTo"], json!({ "id": quoted, "body": "" }));
}

/// Row: delete.
#[tokio::test]
async fn delete_is_for_agents_in_their_threads_and_for_members_of_their_own() {
    let support = Support::new().await;
    let thread = support.thread(Some(&support.web)).await;
    let stranger = support.tenant.agent("stranger").await;
    let narrow = json!({ "participantIds": [support.member.id, support.contact.id] });
    let narrow = support.agent.open_thread(narrow).await;
    let delete = async |by: &Actor, message: &str| {
        let input = json!({ "messageId": message });
        by.mutate(
            "deleteMessage",
            input,
            "deletedMessageId message { body deletedAt }",
        )
        .await
    };
    let gone = async |by: &Actor, message: &str| {
        let done = delete(by, message).await;
        assert_eq!(done.text("/deletedMessageId"), message);
        assert_eq!(done.text("/message/body"), "");
        let read = read(
            &support.contact,
            message,
            "body plaintext deletedAt canDelete",
        )
        .await;
        assert!(read["deletedAt"].is_string());
        assert_eq!(
            (&read["body"], &read["plaintext"], &read["canDelete"]),
            (&json!(""), &json!(""), &json!(false))
        );
    };
    let everyone = [
        &support.agent,
        &support.admin,
        &support.member,
        &support.contact,
    ];
    for writer in everyone {
        let message = writer.say(&thread, "Said").await;
        for other in everyone.into_iter().filter(|other| other.id != writer.id) {
            let staff = other.id == support.agent.id || other.id == support.admin.id;
            let able = read(other, &message, "canDelete").await;
            assert_eq!(able["canDelete"], staff);
            if !staff {
                assert_eq!(delete(other, &message).await.code(), "FORBIDDEN");
            }
        }
        assert_eq!(
            delete(&support.outsider, &message).await.code(),
            "NOT_FOUND"
        );
        gone(writer, &message).await;
        let message = writer.say(&thread, "Said").await;
        // An agent who takes no part in it sees it all the same.
        gone(&stranger, &message).await;
        let message = writer.say(&thread, "Said").await;
        gone(support.backend(), &message).await;
    }
    // Agents have no right in threads that they do not see.
    let message = support.member.say(&narrow, "Said").await;
    for by in [&*stranger, &support.admin] {
        assert_eq!(delete(by, &message).await.code(), "NOT_FOUND");
    }
    gone(&support.agent, &message).await;
    let counts = read_thread(
        &support.contact,
        &thread,
        "messageCount deletedMessageCount",
    )
    .await;
    assert_eq!(
        counts,
        json!({ "messageCount": 0, "deletedMessageCount": 12 })
    );
}
