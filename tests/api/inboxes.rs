//! Inboxes: who sets them up, who sees what of them, and the threads in them.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::chatwoot::{Support, faults, read_thread, with, wrote};
use crate::support::{Actor, Answer, Tenant, unique};

const FIELDS: &str = "id externalId name channel webhookUrl createdAt organization { id }";

async fn upsert(by: &Actor, input: Value) -> Answer {
    by.mutate("upsertInbox", input, &format!("inbox {{ {FIELDS} }}"))
        .await
}

fn values(tenant: &Tenant, name: &str) -> Value {
    json!({
        "externalId": name, "organizationId": tenant.id, "name": "Shop", "channel": "API",
        "webhookUrl": "https://example.com/hook", "webhookSecret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    })
}

async fn read_inbox(by: &Actor, id: &str) -> Answer {
    let query = format!("query($id: ID!) {{ inbox(id: $id) {{ {FIELDS} }} }}");
    by.run(&query, json!({ "id": id })).await
}

#[tokio::test]
async fn admins_and_api_keys_set_up_inboxes_and_nobody_else() {
    let support = Support::new().await;
    let root = Actor::root().await;
    for by in [&*support.admin, support.backend(), &root] {
        let name = unique("inbox");
        let made = upsert(by, values(&support.tenant, &name))
            .await
            .at("/inbox");
        let expected = json!({
            "externalId": name, "name": "Shop", "channel": "API",
            "webhookUrl": "https://example.com/hook", "organization": { "id": support.tenant.id },
        });
        for (field, value) in expected.as_object().expect("fields") {
            assert_eq!(made[field], *value, "{field}");
        }
        assert!(made["id"].as_str().is_some_and(|id| id.starts_with("inb_")));
        assert!(made["createdAt"].is_string());
    }
    let name = unique("inbox");
    for by in [&support.agent, &support.member, &support.contact] {
        let refused = upsert(by, values(&support.tenant, &name)).await;
        assert_eq!(refused.code(), "FORBIDDEN");
    }
    let other = Tenant::new().await;
    for by in [&*support.outsider, &other.backend] {
        let refused = upsert(by, values(&support.tenant, &name)).await;
        assert_eq!(refused.code(), "NOT_FOUND");
    }
    let unknown = with(
        values(&support.tenant, &name),
        json!({ "organizationId": unique("org") }),
    );
    assert_eq!(upsert(&root, unknown).await.code(), "NOT_FOUND");
    assert_eq!(
        read_inbox(support.backend(), &name).await.code(),
        "NOT_FOUND"
    );
}

#[tokio::test]
async fn every_fault_of_an_inbox_is_named_at_once() {
    let support = Support::new().await;
    let bad = json!({
        "externalId": "inb_00000000000000000000000000", "organizationId": support.tenant.id,
        "name": " ", "channel": "API", "webhookUrl": "ftp://example.com",
        "webhookSecret": "x".repeat(256),
    });
    let refused = upsert(&support.admin, bad).await;
    assert_eq!(
        faults(&refused),
        ["externalId", "name", "webhookSecret", "webhookUrl"]
    );
    for (field, value) in [
        ("externalId", json!("")),
        ("externalId", json!("x".repeat(321))),
        ("externalId", json!("a\u{7}")),
        ("name", json!("x".repeat(256))),
        ("webhookUrl", json!("https://exa mple.com")),
    ] {
        let bad = with(
            values(&support.tenant, &unique("inbox")),
            json!({ field: value }),
        );
        assert_eq!(upsert(&support.admin, bad).await.faults(), [field]);
    }
    let bad = with(
        values(&support.tenant, &unique("inbox")),
        json!({ "channel": "FAX" }),
    );
    assert_eq!(
        upsert(&support.admin, bad).await.code(),
        "GRAPHQL_VALIDATION_FAILED"
    );
}

#[tokio::test]
async fn upserting_again_changes_what_is_given_and_keeps_the_rest() {
    let support = Support::new().await;
    let name = unique("inbox");
    let first = upsert(&support.admin, values(&support.tenant, &name))
        .await
        .at("/inbox");
    let again = json!({
        "externalId": name, "organizationId": support.tenant.name, "name": "New", "channel": "WEB",
    });
    let changed = upsert(support.backend(), again.clone()).await.at("/inbox");
    let expected = with(first, json!({ "name": "New", "channel": "WEB" }));
    assert_eq!(changed, expected);
    let cleared = with(again, json!({ "webhookUrl": null }));
    let cleared = upsert(&support.admin, cleared).await.at("/inbox");
    let expected = with(expected, json!({ "webhookUrl": null }));
    assert_eq!(cleared, expected);
    assert_eq!(
        read_inbox(&support.admin, &name).await.at("/inbox"),
        expected
    );
    // In another organization the name is free, and is another inbox.
    let other = Tenant::new().await;
    let there = upsert(&other.backend, values(&other, &name)).await;
    assert_ne!(there.at("/inbox/id"), expected["id"]);
    assert_eq!(
        read_inbox(&support.admin, &name).await.at("/inbox"),
        expected
    );
    // Many at the same moment make one.
    let name = unique("inbox");
    let calls = (0..20).map(|_| upsert(support.backend(), values(&support.tenant, &name)));
    let made = join_all(calls).await;
    assert!(
        made.iter()
            .all(|one| one.at("/inbox") == made[0].at("/inbox"))
    );
}

#[tokio::test]
async fn members_see_an_inbox_on_every_path_and_its_webhook_is_for_admins_and_keys() {
    let support = Support::new().await;
    let name = unique("inbox");
    let made = upsert(support.backend(), values(&support.tenant, &name))
        .await
        .at("/inbox");
    let id = made["id"].as_str().expect("an id");
    let thread = support.thread(Some(id)).await;
    let document = format!(
        "query($id: ID!, $name: ID!, $t: ID!) {{
           a: inbox(id: $id) {{ ...I }} b: inbox(id: $name) {{ ...I }} c: node(id: $id) {{ ...I }}
           nodes(ids: [$id]) {{ ...I }} thread(id: $t) {{ inbox {{ ...I }} }}
           threads(filter: {{ inboxId: $id }}) {{ nodes {{ inbox {{ ...I }} }} }}
           message: messages(filter: {{ threadId: $t }}) {{ nodes {{ thread {{ inbox {{ ...I }} }} }} }}
         }}
         fragment I on Inbox {{ {FIELDS} }}"
    );
    support.agent.say(&thread, "Hello").await;
    let variables = json!({ "id": id, "name": name, "t": thread });
    for (by, webhook) in [
        (&*support.admin, true),
        (support.backend(), true),
        (&support.agent, false),
        (&support.member, false),
        (&support.contact, false),
    ] {
        let expected = match webhook {
            true => made.clone(),
            false => with(made.clone(), json!({ "webhookUrl": null })),
        };
        let read = by.run(&document, variables.clone()).await;
        for path in [
            "/a",
            "/b",
            "/c",
            "/nodes/0",
            "/thread/inbox",
            "/threads/nodes/0/inbox",
            "/message/nodes/0/thread/inbox",
        ] {
            assert_eq!(read.at(path), expected, "{path}");
        }
    }
    let hidden = "{ __type(name: \"Inbox\") { fields { name } } }";
    let names = support
        .admin
        .run(hidden, json!({}))
        .await
        .texts("/__type/fields", "/name");
    assert!(!names.contains(&"webhookSecret".to_owned()));
}

#[tokio::test]
async fn another_tenant_s_inbox_does_not_exist() {
    let support = Support::new().await;
    let other = Tenant::new().await;
    let name = unique("inbox");
    let made = upsert(support.backend(), values(&support.tenant, &name)).await;
    let id = made.text("/inbox/id");
    let gone = support.tenant.admin("gone").await;
    let removal = json!({ "organizationId": support.tenant.id, "userId": gone.id, "role": null });
    support
        .backend()
        .mutate("setMembership", removal, "role")
        .await
        .at("");
    let filter = "query($id: ID!) { threads(filter: { inboxId: $id }) { totalCount } }";
    let node = "query($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }";
    for by in [&*support.outsider, &other.backend, &gone] {
        for name in [&id, &name, &unique("inbox")] {
            let refused = read_inbox(by, name).await;
            assert_eq!(refused.code(), "NOT_FOUND");
            assert_eq!(refused.body["errors"][0]["message"], "inbox not found");
            assert_eq!(refused.body["data"]["inbox"], Value::Null);
            let refused = by.run(filter, json!({ "id": name })).await;
            assert_eq!(refused.code(), "NOT_FOUND");
        }
        let found = by.run(node, json!({ "id": id })).await;
        assert_eq!(found.at(""), json!({ "node": null, "nodes": [null] }));
    }
    for name in [&id, &name, &unique("inbox")] {
        let input = json!({ "subject": "x", "inboxId": name });
        let refused = support
            .outsider
            .mutate("createThread", input.clone(), "thread { id }")
            .await;
        assert_eq!(refused.faults(), ["inboxId"]);
        let refused = other
            .backend
            .mutate("createThread", input, "thread { id }")
            .await;
        assert_eq!(refused.faults(), ["inboxId"]);
    }
    let refused = Actor::nobody().await.run(node, json!({ "id": id })).await;
    assert_eq!(refused.code(), "UNAUTHENTICATED");
}

#[tokio::test]
async fn threads_are_filtered_by_inbox_among_those_that_the_viewer_sees() {
    let support = Support::new().await;
    let web = [
        support.thread(Some(&support.web)).await,
        support.thread(Some(&support.web)).await,
    ];
    let api = support.thread(Some(&support.api)).await;
    let plain = support.thread(None).await;
    let unseen = support
        .admin
        .open_thread(json!({ "inboxId": support.web }))
        .await;
    let listed = async |by: &Actor, filter: Value| {
        let query = "query($f: ThreadFilter) { threads(filter: $f, orderBy: CREATED_ASC) { totalCount nodes { id } } }";
        let list = by.run(query, json!({ "f": filter })).await;
        let ids = list.texts("/threads/nodes", "/id");
        assert_eq!(
            list.number("/threads/totalCount"),
            i64::try_from(ids.len()).expect("few")
        );
        ids
    };
    let in_web = json!({ "inboxId": support.web });
    for by in [&support.agent, &support.member, &support.contact] {
        assert_eq!(listed(by, in_web.clone()).await, web);
        assert_eq!(listed(by, json!({ "inboxId": support.api })).await, [&*api]);
        assert_eq!(
            listed(by, json!({})).await,
            [&*web[0], &web[1], &api, &plain]
        );
    }
    assert_eq!(
        listed(&support.admin, in_web.clone()).await,
        [&*web[0], &web[1], &unseen]
    );
    assert_eq!(
        listed(support.backend(), in_web.clone()).await,
        [&*web[0], &web[1], &unseen]
    );
    assert_eq!(
        read_thread(&support.contact, &plain, "inbox { id }").await["inbox"],
        Value::Null
    );
    // With other conditions, all of which must hold.
    let resolve = json!({ "threadId": web[0], "resolved": true });
    support
        .agent
        .mutate("updateThread", resolve, "thread { id }")
        .await
        .at("");
    let open = with(in_web.clone(), json!({ "resolved": false }));
    assert_eq!(listed(&support.contact, open).await, [&*web[1]]);
    wrote(&support.agent, &web[1], json!({ "body": "Hello" })).await;
    let unread = with(in_web, json!({ "unread": true, "resolved": false }));
    assert_eq!(listed(&support.contact, unread).await, [&*web[1]]);
}

#[tokio::test]
async fn a_channel_that_changes_decides_from_then_on() {
    let support = Support::new().await;
    let name = unique("inbox");
    let web = with(values(&support.tenant, &name), json!({ "channel": "WEB" }));
    let id = upsert(&support.admin, web).await.text("/inbox/id");
    let thread = support.thread(Some(&id)).await;
    let incoming = json!({ "threadId": thread, "body": "x", "direction": "INCOMING" });
    let refused = support
        .agent
        .mutate("createMessage", incoming.clone(), "message { id }")
        .await;
    assert_eq!(refused.code(), "INVALID_MESSAGE_TYPE");
    upsert(&support.admin, values(&support.tenant, &name))
        .await
        .at("");
    let taken = support
        .agent
        .mutate(
            "createMessage",
            incoming,
            "message { direction sender { name } }",
        )
        .await;
    assert_eq!(
        taken.at("/message"),
        json!({ "direction": "INCOMING", "sender": { "name": "contact" } })
    );
}
