//! What users of Cord know, a test for each row of their table: threads and messages in someone
//! else's product, with a server API and a client API.

mod content;

mod deletion;

mod facts;

mod files;

mod reactions;

mod stream;

mod threads;

mod writing;

use serde_json::{Value, json};

use crate::support::talk::{Talk, act, edit, plus, read};
use crate::support::{Actor, Answer, Tenant, unique};

const LIST: &str = "query($filter: MessageFilter, $order: MessageOrder, $first: Int, $after: String, $last: Int, $before: String) {
    messages(filter: $filter, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
      totalCount nodes { body deletedAt } pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } }";

async fn list(by: &Actor, filter: Value) -> Answer {
    by.run(LIST, json!({ "filter": filter, "first": 100 }))
        .await
}

async fn words(by: &Actor, filter: Value) -> Vec<String> {
    list(by, filter).await.texts("/messages/nodes", "/body")
}

/// Row list thread messages, list all messages.
#[tokio::test]
async fn list_thread_messages_list_all_messages_count_whatever_the_cursor() {
    let talk = Talk::with(json!({ "metadata": { "project": 7, "open": true } })).await;
    let (ada, bob, backend) = (&talk.ada, &talk.bob, &talk.tenant.backend);
    let with_bob =
        json!({ "participantIds": [bob.id], "metadata": { "project": 8, "open": true } });
    let other = ada.open_thread(with_bob).await;
    for n in 0..4 {
        let by = if n % 2 == 0 { ada } else { bob };
        by.say(&talk.thread, &format!("{n}")).await;
    }
    ada.say(&other, "4").await;
    let asides = talk.ada.open_thread(json!({})).await;
    ada.say(&asides, "5").await;

    let mut after = Value::Null;
    for (n, more) in [(2, true), (4, true), (6, false)] {
        let variables = json!({ "first": 2, "after": after });
        let page = ada.run(LIST, variables).await;
        assert_eq!(page.number("/messages/totalCount"), 6);
        let expected = [format!("{}", n - 2), format!("{}", n - 1)];
        assert_eq!(page.texts("/messages/nodes", "/body"), expected);
        assert_eq!(page.at("/messages/pageInfo/hasNextPage"), json!(more));
        after = page.at("/messages/pageInfo/endCursor");
    }
    for (backward, expected) in [
        (json!({ "last": 2, "before": after }), ["3", "4"]),
        (json!({ "last": 2, "order": "SENT_DESC" }), ["1", "0"]),
        (
            json!({ "first": 2, "after": after, "order": "SENT_DESC" }),
            ["4", "3"],
        ),
    ] {
        let page = ada.run(LIST, backward).await;
        assert_eq!(page.texts("/messages/nodes", "/body"), expected);
        assert_eq!(page.number("/messages/totalCount"), 6);
    }
    let query = "query($t: ID!) { thread(id: $t) { all: messages { edges { cursor } } } }";
    let all = ada.run(query, json!({ "t": talk.thread })).await;
    let cursor = all.text("/thread/all/edges/2/cursor");
    let query = "query($t: ID!, $c: String) { thread(id: $t) { messages(after: $c) { totalCount nodes { body } } } }";
    let rest = ada
        .run(query, json!({ "t": talk.thread, "c": cursor }))
        .await;
    assert_eq!(rest.number("/thread/messages/totalCount"), 4);
    assert_eq!(rest.texts("/thread/messages/nodes", "/body"), ["3"]);

    for (filter, expected) in [
        (json!({ "senderId": bob.id }), "13"),
        (json!({ "senderId": bob.external_id }), "13"),
        (json!({ "threadMetadata": { "project": 8 } }), "4"),
        (json!({ "threadMetadata": { "open": true } }), "01234"),
        (
            json!({ "threadMetadata": { "open": true, "project": 7 } }),
            "0123",
        ),
        (json!({ "threadMetadata": { "project": "7" } }), ""),
        (json!({ "organizationId": talk.tenant.id }), "012345"),
        (json!({ "organizationId": talk.tenant.name }), "012345"),
        (json!({ "threadId": other }), "4"),
        (json!({ "threadId": talk.thread, "senderId": ada.id }), "02"),
        (json!({ "type": "ACTION" }), ""),
    ] {
        for by in [ada, backend] {
            let found = list(by, filter.clone()).await;
            let words = found.texts("/messages/nodes", "/body").concat();
            assert_eq!(words, expected, "{filter}");
            let count = found.number("/messages/totalCount");
            assert_eq!(usize::try_from(count), Ok(expected.len()), "{filter}");
        }
    }
    let root = Actor::root().await;
    let of_tenant = words(&root, json!({ "organizationId": talk.tenant.name })).await;
    assert_eq!(of_tenant.concat(), "012345");
    // Only what one sees; and nothing of other tenants.
    assert_eq!(words(bob, json!({})).await.concat(), "01234");
    let agent = talk.tenant.agent("agent").await;
    assert_eq!(words(&agent, json!({})).await.concat(), "");
    assert_eq!(
        words(&agent, json!({ "senderId": bob.id })).await.concat(),
        ""
    );
    what_a_filter_names_must_be_there(&talk).await;
    deleted_ones_only_on_request(&talk).await;
}

/// A part of the row above.
async fn what_a_filter_names_must_be_there(talk: &Talk) {
    let other = Tenant::new().await;
    let stranger = other.member("stranger").await;
    let by: [&Actor; 2] = [&talk.ada, &talk.tenant.backend];
    for actor in by {
        for missing in [
            json!({ "senderId": "no-such-user" }),
            json!({ "senderId": stranger.id }),
            json!({ "senderId": stranger.external_id, "threadId": talk.thread }),
            json!({ "organizationId": other.id }),
            json!({ "organizationId": "no-such-organization" }),
            json!({ "threadId": "no-such-thread" }),
        ] {
            let refused = list(actor, missing.clone()).await;
            assert_eq!(refused.code(), "NOT_FOUND", "{missing}");
        }
        let bad = json!({ "threadMetadata": { "a": null }, "metadata": { "b": [] } });
        let refused = list(actor, bad).await;
        let expected = ["filter.metadata.b", "filter.threadMetadata.a"];
        assert_eq!(refused.faults(), expected);
    }
    let silent = talk.tenant.member("silent").await;
    let none = list(&talk.ada, json!({ "senderId": silent.id })).await;
    assert_eq!(none.number("/messages/totalCount"), 0);
}

/// A part of the row above.
async fn deleted_ones_only_on_request(talk: &Talk) {
    let gone = talk.ada.say(&talk.thread, "gone").await;
    act(&talk.ada, "deleteMessage", &gone)
        .await
        .text("/message/id");
    let here = json!({ "threadId": talk.thread });
    let with_deleted = plus(here.clone(), json!({ "includeDeleted": true }));
    let by: [(&Actor, &str); 2] = [(&talk.bob, ""), (&talk.tenant.backend, "gone")];
    for (actor, said) in by {
        let unasked = list(actor, here.clone()).await;
        assert_eq!(unasked.number("/messages/totalCount"), 4);
        assert_eq!(unasked.texts("/messages/nodes", "/body").concat(), "0123");
        let asked = list(actor, with_deleted.clone()).await;
        assert_eq!(asked.number("/messages/totalCount"), 5);
        assert_eq!(asked.text("/messages/nodes/4/body"), said);
        assert!(asked.at("/messages/nodes/4/deletedAt").is_string());
    }
}

/// Row get message.
#[tokio::test]
async fn get_message_goes_by_our_id_or_theirs() {
    let talk = Talk::new().await;
    let name = unique("order");
    let input = json!({ "body": "Ours", "externalId": name });
    let id = talk.posted(&talk.ada, input).await;
    let contact = talk.tenant.contact("contact").await;
    talk.admit(&contact).await;
    let seeing: [&Actor; 4] = [&talk.ada, &talk.bob, &contact, &talk.tenant.backend];
    for actor in seeing {
        let by_id = read(actor, &id).await;
        assert_eq!(by_id.text("/message/body"), "Ours");
        assert_eq!(by_id.text("/message/externalId"), name);
        let by_name = read(actor, &name).await;
        assert_eq!(by_name.at("/message"), by_id.at("/message"));
        let query = "query($id: ID!) { node(id: $id) { id ... on Message { body } } }";
        let node = actor.run(query, json!({ "id": id })).await;
        assert_eq!(node.at("/node"), json!({ "id": id, "body": "Ours" }));
    }
    // The same name in another tenant is another message.
    let other = Talk::new().await;
    let input = json!({ "body": "Theirs", "externalId": name });
    let theirs = other.posted(&other.ada, input).await;
    assert_eq!(read(&other.bob, &name).await.text("/message/id"), theirs);
    assert_eq!(read(&talk.bob, &name).await.text("/message/id"), id);
    let root = Actor::root().await;
    assert_eq!(read(&root, &name).await.faults(), ["id"]);
    assert_eq!(read(&root, &id).await.text("/message/body"), "Ours");

    let (agent, member) = (
        talk.tenant.agent("agent").await,
        talk.tenant.member("member").await,
    );
    let unseeing: [&Actor; 4] = [&agent, &member, &other.ada, &other.tenant.backend];
    for actor in unseeing {
        let refused = read(actor, &id).await;
        assert_eq!(refused.code(), "NOT_FOUND");
        assert_eq!(refused.body["data"], json!({ "message": null }));
        assert_eq!(
            refused.body["errors"][0]["message"],
            json!("message not found")
        );
    }
    let unknown = [
        "no-such-message",
        "msg_01h455vb4pex5vsknk084sn02q",
        &talk.thread,
        "",
    ];
    for name in unknown {
        assert_eq!(read(&talk.ada, name).await.code(), "NOT_FOUND", "{name}");
    }
    let nobody = Actor::nobody().await;
    assert_eq!(read(&nobody, &id).await.code(), "UNAUTHENTICATED");
    let renamed = edit(&talk.ada, &id, json!({ "externalId": null })).await;
    assert!(renamed.at("/message/externalId").is_null());
    assert_eq!(read(&talk.ada, &name).await.code(), "NOT_FOUND");
}
