//! Who sets webhooks up, and what may be said of them.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{FIELDS, Hook, root, support, tenant, upsert};
use crate::chatwoot::{faults, with};
use crate::support::{Actor, Answer, Tenant, unique};

fn values(tenant: &Tenant, name: &str) -> Value {
    json!({ "externalId": name, "organizationId": tenant.id, "url": "https://example.com/hook" })
}

async fn read(by: &Actor, id: &str) -> Answer {
    let query = format!("query($id: ID!) {{ webhook(id: $id) {{ {FIELDS} }} }}");
    by.run(&query, json!({ "id": id })).await
}

async fn list(by: &Actor, organization: &str) -> Answer {
    let query =
        "query($o: ID!) { webhooks(organizationId: $o) { totalCount nodes { externalId } } }";
    by.run(query, json!({ "o": organization })).await
}

async fn delete(by: &Actor, id: &str) -> Answer {
    by.mutate(
        "deleteWebhook",
        json!({ "webhookId": id }),
        "deletedWebhookId",
    )
    .await
}

#[tokio::test]
async fn admins_and_api_keys_set_up_webhooks_and_nobody_else() {
    let support = support().await;
    let root = root().await;
    let mut names = Vec::new();
    for by in [&*support.admin, support.backend(), &root] {
        let name = unique("hook");
        let made = upsert(by, values(&support.tenant, &name))
            .await
            .at("/webhook");
        let expected = json!({
            "externalId": name, "url": "https://example.com/hook", "events": [], "enabled": true,
            "missedAt": null, "organization": { "id": support.tenant.id },
        });
        for (field, value) in expected.as_object().expect("fields") {
            assert_eq!(made[field], *value, "{field}");
        }
        let id = made["id"].as_str().expect("an id");
        assert!(id.starts_with("whk_"));
        for known_as in [id, &name] {
            assert_eq!(read(by, known_as).await.at("/webhook"), made);
        }
        names.push(name);
    }
    let listed = list(&support.admin, &support.tenant.name).await;
    assert_eq!(listed.texts("/webhooks/nodes", "/externalId"), names);
    assert_eq!(listed.number("/webhooks/totalCount"), 3);

    let name = unique("hook");
    for by in [&support.agent, &support.member, &support.contact] {
        let refused = upsert(by, values(&support.tenant, &name)).await;
        assert_eq!(refused.code(), "FORBIDDEN");
        assert_eq!(read(by, &names[0]).await.code(), "FORBIDDEN");
        assert_eq!(delete(by, &names[0]).await.code(), "FORBIDDEN");
        assert_eq!(list(by, &support.tenant.id).await.code(), "FORBIDDEN");
    }
    let other = tenant().await;
    for by in [&*support.outsider, &other.backend] {
        let refused = upsert(by, values(&support.tenant, &name)).await;
        assert_eq!(refused.code(), "NOT_FOUND");
        assert_eq!(read(by, &names[0]).await.code(), "NOT_FOUND");
        assert_eq!(delete(by, &names[0]).await.code(), "NOT_FOUND");
        assert_eq!(list(by, &support.tenant.id).await.code(), "NOT_FOUND");
    }
    assert_eq!(
        list(&root, &support.tenant.id)
            .await
            .number("/webhooks/totalCount"),
        3
    );
}

#[tokio::test]
async fn every_fault_of_a_webhook_is_named_at_once() {
    let tenant = tenant().await;
    let bad = json!({
        "externalId": "whk_00000000000000000000000000", "organizationId": tenant.id,
        "url": "ftp://example.com", "secret": "swordfish",
    });
    let refused = upsert(&tenant.backend, bad).await;
    assert_eq!(faults(&refused), ["externalId", "secret", "url"]);
    for url in [
        "http://10.0.0.1/hook",
        "http://[fd00::1]/hook",
        "http://[::ffff:10.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://0xa000001/",
        "https://ada:secret@example.com/hook",
        "example.com/hook",
        "",
    ] {
        let bad = with(values(&tenant, &unique("hook")), json!({ "url": url }));
        let refused = upsert(&tenant.backend, bad).await;
        assert_eq!(faults(&refused), ["url"], "{url}");
    }
    for secret in [
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_no base64 at all, but long enough",
    ] {
        let bad = with(
            values(&tenant, &unique("hook")),
            json!({ "secret": secret }),
        );
        let refused = upsert(&tenant.backend, bad).await;
        assert_eq!(faults(&refused), ["secret"], "{secret}");
    }
    for name in ["", &"x".repeat(321), "a\nb"] {
        let refused = upsert(&tenant.backend, values(&tenant, name)).await;
        assert_eq!(faults(&refused), ["externalId"], "{name:?}");
    }
    let unknown = with(
        values(&tenant, "hook"),
        json!({ "events": ["MESSAGE_READ"] }),
    );
    let refused = upsert(&tenant.backend, unknown).await;
    assert!(refused.body["errors"].is_array(), "{}", refused.body);
    let mut nowhere = values(&tenant, &unique("hook"));
    nowhere["url"] = Value::Null;
    let refused = upsert(&tenant.backend, nowhere).await;
    assert_eq!(faults(&refused), ["url"]);
    assert_eq!(
        list(&tenant.backend, &tenant.id)
            .await
            .number("/webhooks/totalCount"),
        0
    );
}

#[tokio::test]
async fn a_secret_is_told_when_it_is_made_or_changed_and_never_again() {
    let tenant = tenant().await;
    let hook = Hook::new(&tenant).await;
    assert!(hook.secret.starts_with("whsec_"), "{}", hook.secret);
    assert_eq!(hook.change(json!({})).await.at("/secret"), Value::Null);
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let told = hook.change(json!({ "secret": own })).await;
    assert_eq!(told.text("/secret"), own);
    let told = hook.change(json!({ "secret": own })).await;
    assert_eq!(told.at("/secret"), Value::Null);
    let made = hook.change(json!({ "secret": null })).await.text("/secret");
    assert!(made.starts_with("whsec_") && made != own && made != hook.secret);
}

#[tokio::test]
async fn what_is_absent_of_a_webhook_stays_as_it_is() {
    let tenant = tenant().await;
    let wanted =
        json!({ "events": ["THREAD_SEEN", "MESSAGE_CREATED", "THREAD_SEEN"], "enabled": false });
    let hook = Hook::with(&tenant, wanted).await;
    let stored = hook.change(json!({})).await.at("/webhook");
    assert_eq!(stored["id"], *hook.id);
    assert_eq!(stored["url"], *hook.backend.receiver.url());
    assert_eq!(stored["events"], json!(["MESSAGE_CREATED", "THREAD_SEEN"]));
    assert_eq!(stored["enabled"], false);
    let changed = json!({ "events": [], "enabled": true, "url": "https://example.com/there" });
    let stored = hook.change(changed).await.at("/webhook");
    assert_eq!(stored["events"], json!([]));
    assert_eq!(stored["enabled"], true);
    assert_eq!(stored["url"], "https://example.com/there");
    assert!(stored["updatedAt"].as_str() > stored["createdAt"].as_str());
}

#[tokio::test]
async fn an_organization_has_so_many_webhooks_and_no_more() {
    let tenant = tenant().await;
    let make = async || upsert(&tenant.backend, values(&tenant, &unique("hook"))).await;
    // Some at a time, and all of the rest at once.
    for _ in 0..15 {
        assert!(make().await.text("/webhook/id").starts_with("whk_"));
    }
    let many = join_all((0..10).map(|_| make())).await;
    let (made, refused): (Vec<_>, Vec<_>) = many
        .iter()
        .partition(|one| one.body.pointer("/errors").is_none());
    assert_eq!((made.len(), refused.len()), (5, 5));
    for refused in refused {
        assert_eq!(refused.code(), "CONFLICT");
    }
}

#[tokio::test]
async fn webhooks_are_read_in_pages_and_as_nodes() {
    let (tenant, other) = (tenant().await, tenant().await);
    let mut ids = Vec::new();
    for _ in 0..5 {
        let made = upsert(&tenant.backend, values(&tenant, &unique("hook"))).await;
        ids.push(made.text("/webhook/id"));
    }
    let query = "query($first: Int, $after: String, $last: Int, $before: String) {
        webhooks(first: $first, after: $after, last: $last, before: $before) {
          pageInfo { hasNextPage hasPreviousPage } edges { cursor node { id } } } }";
    let page = async |arguments: Value| tenant.backend.run(query, arguments).await;
    let first = page(json!({ "first": 2 })).await;
    assert_eq!(first.texts("/webhooks/edges", "/node/id"), ids[..2]);
    assert_eq!(first.at("/webhooks/pageInfo/hasNextPage"), true);
    let cursor = first.texts("/webhooks/edges", "/cursor").pop();
    let next = page(json!({ "first": 9, "after": cursor })).await;
    assert_eq!(next.texts("/webhooks/edges", "/node/id"), ids[2..]);
    assert_eq!(next.at("/webhooks/pageInfo/hasNextPage"), false);
    let cursor = next.texts("/webhooks/edges", "/cursor").pop();
    let last = page(json!({ "last": 3, "before": cursor })).await;
    assert_eq!(last.texts("/webhooks/edges", "/node/id"), ids[1..4]);
    assert_eq!(
        page(json!({ "after": "nonsense" })).await.code(),
        "BAD_USER_INPUT"
    );

    let query = "query($ids: [ID!]!) { nodes(ids: $ids) { id __typename } }";
    let nodes = tenant.backend.run(query, json!({ "ids": ids })).await;
    assert_eq!(nodes.texts("/nodes", "/id"), ids);
    assert_eq!(nodes.text("/nodes/0/__typename"), "Webhook");
    for by in [&other.backend, &*tenant.agent("agent").await] {
        let nodes = by.run(query, json!({ "ids": ids[..1] })).await;
        assert_eq!(nodes.at("/nodes"), json!([null]));
    }
}

#[tokio::test]
async fn an_external_id_of_two_tenants_names_the_one_that_is_seen() {
    let (one, two) = (tenant().await, tenant().await);
    let name = unique("hook");
    let mut ids = Vec::new();
    for tenant in [&one, &two] {
        let made = upsert(&tenant.backend, values(tenant, &name)).await;
        ids.push(made.text("/webhook/id"));
    }
    assert_eq!(read(&one.backend, &name).await.text("/webhook/id"), ids[0]);
    assert_eq!(read(&two.backend, &name).await.text("/webhook/id"), ids[1]);
    let root = root().await;
    assert_eq!(read(&root, &name).await.code(), "BAD_USER_INPUT");
    assert_eq!(
        delete(&two.backend, &name).await.text("/deletedWebhookId"),
        ids[1]
    );
    assert_eq!(read(&two.backend, &name).await.code(), "NOT_FOUND");
    assert_eq!(delete(&two.backend, &name).await.code(), "NOT_FOUND");
    assert_eq!(read(&root, &name).await.text("/webhook/id"), ids[0]);
}

#[tokio::test]
async fn two_who_make_the_same_webhook_at_once_make_one() {
    let tenant = tenant().await;
    let name = unique("hook");
    let calls = (0..8).map(|_| upsert(&tenant.backend, values(&tenant, &name)));
    let made = futures_util::future::join_all(calls).await;
    let ids: Vec<String> = made.iter().map(|made| made.text("/webhook/id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let told = made.iter().filter(|made| made.at("/secret").is_string());
    assert_eq!(told.count(), 1);
}
