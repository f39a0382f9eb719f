//! Rows about requests, and about who asks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::chatwoot::{Support, faults, follow, read_thread, with, write, wrote};
use crate::support::server::Server;
use crate::support::{Actor, Tenant, unique};

/// Row: get messages of a request, get one.
#[tokio::test]
async fn get_messages_of_a_request_get_one_only_through_a_thread_that_is_seen() {
    let support = Support::new().await;
    let (thread, message) = (unique("request"), unique("message"));
    let open =
        json!({ "externalId": thread, "access": "AGENTS", "participantIds": [support.contact.id] });
    let thread_id = support.agent.open_thread(open).await;
    let input = json!({ "body": "Hello", "externalId": message });
    let message_id = wrote(&support.contact, &thread, input).await;
    support.agent.say(&thread, "How can we help?").await;
    let list = "query($t: ID!) { thread(id: $t) { messages { totalCount nodes { body } } } }";
    let one = "query($m: ID!) { message(id: $m) { id body thread { id } } }";
    for by in [
        &*support.agent,
        &support.admin,
        &support.contact,
        support.backend(),
    ] {
        for (t, m) in [(&thread, &message), (&thread_id, &message_id)] {
            let listed = by.run(list, json!({ "t": t })).await;
            assert_eq!(
                listed.texts("/thread/messages/nodes", "/body"),
                ["Hello", "How can we help?"]
            );
            assert_eq!(listed.number("/thread/messages/totalCount"), 2);
            let found = by.run(one, json!({ "m": m })).await;
            assert_eq!(
                found.at("/message"),
                json!({ "id": message_id, "body": "Hello", "thread": { "id": thread_id } })
            );
        }
    }
    let stranger = support.tenant.contact("stranger").await;
    let other = Tenant::new().await;
    for by in [
        &*support.member,
        &stranger,
        &support.outsider,
        &other.backend,
    ] {
        for (t, m) in [
            (&thread, &message),
            (&thread_id, &message_id),
            (&unique("no"), &unique("no")),
        ] {
            for (document, variables, what) in [
                (list, json!({ "t": t }), "thread not found"),
                (one, json!({ "m": m }), "message not found"),
            ] {
                let refused = by.run(document, variables).await;
                assert_eq!(refused.code(), "NOT_FOUND");
                assert_eq!(refused.body["errors"][0]["message"], what);
            }
        }
        let nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { id } messages { totalCount } }";
        let nodes = by
            .run(nodes, json!({ "ids": [thread_id, message_id] }))
            .await;
        assert_eq!(
            nodes.at(""),
            json!({ "nodes": [null, null], "messages": { "totalCount": 0 } })
        );
    }
    let refused = Actor::nobody()
        .await
        .run(one, json!({ "m": message_id }))
        .await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (401, "UNAUTHENTICATED")
    );
}

const FACTS: &str = "number subject department sourcePage language userAgent inbox { id } \
    creator { name } messageCount participants { nodes { name } }";

/// Row: send; first message makes the request, with departmentid, sourcePage, language, userAgent.
#[tokio::test]
async fn send_first_message_makes_the_request_with_departmentid_source_page_language_user_agent() {
    let support = Support::new().await;
    let name = unique("request");
    let facts = json!({
        "subject": "Help", "access": "AGENTS", "inboxId": support.web, "department": "sales",
        "sourcePage": "https://example.com/prices?a=b", "language": "fr-CA",
        "userAgent": "Mozilla/5.0 (X11)",
    });
    let send = async |by: &Actor, body: &str, open: Value| {
        let input = json!({ "body": body, "createThread": open });
        write(by, &name, input, "direction thread { id externalId }").await
    };
    // Both or neither: what is wrong with the message leaves no request.
    let refused = send(&support.contact, " ", facts.clone()).await;
    assert_eq!(refused.faults(), ["body", "bodyHtml"]);
    let too_long = json!({
        "subject": "", "department": "x".repeat(256), "sourcePage": "x".repeat(2049),
        "language": "x".repeat(256), "userAgent": "x".repeat(1025),
    });
    let refused = send(&support.contact, "Hello", too_long).await;
    let paths = [
        "department",
        "language",
        "sourcePage",
        "subject",
        "userAgent",
    ];
    assert_eq!(
        faults(&refused),
        paths.map(|path| format!("createThread.{path}"))
    );
    let foreign = with(facts.clone(), json!({ "inboxId": unique("inbox") }));
    let refused = send(&support.contact, "Hello", foreign).await;
    assert_eq!(refused.faults(), ["createThread.inboxId"]);
    let stranger = with(
        facts.clone(),
        json!({ "participantIds": [support.agent.id, support.outsider.id] }),
    );
    let refused = send(&support.agent, "Hello", stranger).await;
    assert_eq!(refused.faults(), ["createThread.participantIds.1"]);
    let absent = "query($id: ID!) { thread(id: $id) { id } }";
    let absent = support.backend().run(absent, json!({ "id": name })).await;
    assert_eq!(absent.code(), "NOT_FOUND");

    let made = send(&support.contact, "Hello", facts).await;
    assert_eq!(made.text("/message/thread/externalId"), name);
    assert_eq!(made.text("/message/direction"), "INCOMING");
    let expected = json!({
        "number": 1, "subject": "Help", "department": "sales", "language": "fr-CA",
        "sourcePage": "https://example.com/prices?a=b", "userAgent": "Mozilla/5.0 (X11)",
        "inbox": { "id": support.web }, "creator": { "name": "contact" }, "messageCount": 1,
        "participants": { "nodes": [{ "name": "contact" }] },
    });
    assert_eq!(read_thread(&support.agent, &name, FACTS).await, expected);
    // Later it is left aside.
    let other = json!({
        "subject": "Other", "department": "support", "sourcePage": "https://example.com/",
        "language": "en", "userAgent": "curl", "inboxId": support.api, "access": "ORGANIZATION",
    });
    send(&support.contact, "Again", other.clone()).await.at("");
    send(&support.agent, "Yes?", other).await.at("");
    let people = json!([{ "name": "contact" }, { "name": "agent" }]);
    let later = json!({ "messageCount": 3, "participants": { "nodes": people } });
    assert_eq!(
        read_thread(&support.agent, &name, FACTS).await,
        with(expected, later)
    );
    let unseen = support
        .member
        .run(
            "query($id: ID!) { thread(id: $id) { id } }",
            json!({ "id": name }),
        )
        .await;
    assert_eq!(unseen.code(), "NOT_FOUND");
}

/// Row: auth: Basic or JWT.
#[tokio::test]
async fn auth_basic_or_jwt_is_both_basic_for_servers_and_bearer_for_people() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let server = Server::get().await;
    let key = server.key(Some(&support.tenant.name)).await;
    let token = &support.contact.token;
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let who = "query($t: ID!) { viewer { user { name } } thread(id: $t) { id } }";
    for (header, name) in [
        (basic(&key), Value::Null),
        (format!("Bearer {key}"), Value::Null),
        (format!("Bearer {token}"), json!("contact")),
    ] {
        let actor = Actor::with(server, header);
        let read = actor.run(who, json!({ "t": thread })).await;
        assert_eq!(
            (
                read.at("/thread/id"),
                read.at("/viewer")
                    .pointer("/user/name")
                    .cloned()
                    .unwrap_or_default()
            ),
            (json!(thread), name.clone())
        );
        // The same for what is live.
        let mut events = follow(&actor, &thread, None).await;
        let sent = write(&actor, &thread, json!({ "body": "x" }), "sender { name }").await;
        assert_eq!(
            sent.at("/message")
                .pointer("/sender/name")
                .cloned()
                .unwrap_or_default(),
            name
        );
        assert_eq!(events.event().await["message"]["body"], "x");
    }
    let (id, secret) = key.split_once(':').expect("an id and a secret");
    for bad in [
        basic(token),
        basic(&format!("{token}:")),
        basic(&format!("{}:{token}", support.contact.id)),
        basic(&format!("{secret}:{id}")),
        basic(&format!("{id}:")),
        basic(id),
        format!("Basic {key}"),
        format!("Basic {token}"),
        format!("JWT {token}"),
        format!("Bearer {token}x"),
        "Bearer".to_owned(),
    ] {
        let refused = Actor::with(server, bad.clone())
            .run(who, json!({ "t": thread }))
            .await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (401, "UNAUTHENTICATED"),
            "{bad}"
        );
    }
    let refused = Actor::nobody().await.run(who, json!({ "t": thread })).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (401, "UNAUTHENTICATED")
    );
}
