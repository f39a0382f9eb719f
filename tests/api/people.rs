//! Organizations, users, memberships, reactions.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Actor, Tenant, unique};

#[tokio::test]
async fn a_backend_makes_and_changes_organizations_and_users() {
    let root = Actor::root().await;
    let name = unique("org");
    let input = json!({ "externalId": name, "name": "Before", "metadata": { "a": 1 } });
    let made = root
        .mutate(
            "upsertOrganization",
            input,
            "organization { id name metadata }",
        )
        .await;
    let input = json!({ "externalId": name, "name": "After" });
    let again = root
        .mutate(
            "upsertOrganization",
            input,
            "organization { id name metadata }",
        )
        .await;
    assert_eq!(
        again.text("/organization/id"),
        made.text("/organization/id")
    );
    assert_eq!(again.text("/organization/name"), "After");
    assert_eq!(again.at("/organization/metadata"), json!({ "a": 1 }));

    let user = unique("user");
    let input =
        json!({ "externalId": user, "name": "Ada", "email": "ada@example.com", "kind": "BOT" });
    let made = root
        .mutate("upsertUser", input, "user { id name email kind }")
        .await;
    assert_eq!(made.text("/user/kind"), "BOT");
    let input = json!({ "externalId": user, "email": null });
    let again = root
        .mutate("upsertUser", input, "user { id name email }")
        .await;
    assert_eq!(again.text("/user/name"), "Ada");
    assert!(again.at("/user/email").is_null());

    let input = json!({ "organizationId": name, "userId": user, "role": "AGENT" });
    let joined = root
        .mutate(
            "setMembership",
            input,
            "role organization { members { totalCount edges { role node { name } } } }",
        )
        .await;
    assert_eq!(joined.text("/role"), "AGENT");
    assert_eq!(
        joined.texts("/organization/members/edges", "/role"),
        ["AGENT"]
    );
    let input = json!({ "organizationId": name, "userId": user });
    let left = root
        .mutate(
            "setMembership",
            input,
            "role organization { members { totalCount } }",
        )
        .await;
    assert!(left.at("/role").is_null());
    assert_eq!(left.number("/organization/members/totalCount"), 0);
}

#[tokio::test]
async fn bad_values_of_people_are_all_named() {
    let root = Actor::root().await;
    let input = json!({ "externalId": "", "name": " ", "email": "nowhere", "avatarUrl": "ftp://x", "metadata": { "x": {} } });
    let refused = root.mutate("upsertUser", input, "user { id }").await;
    assert_eq!(
        refused.faults(),
        ["externalId", "name", "email", "avatarUrl", "metadata.x"]
    );
    let ours = Tenant::new().await.id;
    let input = json!({ "externalId": ours, "name": "x" });
    let refused = root
        .mutate("upsertOrganization", input, "organization { id }")
        .await;
    assert_eq!(refused.faults(), ["externalId"]);
}

#[tokio::test]
async fn only_backends_describe_people_and_only_admins_admit_them() {
    let tenant = Tenant::new().await;
    let (admin, agent) = (tenant.admin("ann").await, tenant.agent("art").await);
    let bob = tenant.member("bob").await;
    let input = json!({ "externalId": unique("u"), "name": "x" });
    assert_eq!(
        admin
            .mutate("upsertUser", input, "user { id }")
            .await
            .code(),
        "FORBIDDEN"
    );
    let input = json!({ "externalId": unique("o"), "name": "x" });
    assert_eq!(
        admin
            .mutate("upsertOrganization", input.clone(), "organization { id }")
            .await
            .code(),
        "FORBIDDEN"
    );
    assert_eq!(
        tenant
            .backend
            .mutate("upsertOrganization", input, "organization { id }")
            .await
            .code(),
        "FORBIDDEN"
    );
    let input = json!({ "organizationId": tenant.id, "userId": bob.id, "role": "AGENT" });
    assert_eq!(
        agent
            .mutate("setMembership", input.clone(), "role")
            .await
            .code(),
        "FORBIDDEN"
    );
    assert_eq!(
        admin
            .mutate("setMembership", input, "role")
            .await
            .text("/role"),
        "AGENT"
    );
    // People of other organizations do not exist.
    let other = Tenant::new().await.member("eve").await;
    let input = json!({ "organizationId": tenant.id, "userId": other.id, "role": "MEMBER" });
    assert_eq!(
        admin
            .mutate("setMembership", input.clone(), "role")
            .await
            .code(),
        "NOT_FOUND"
    );
    assert_eq!(
        tenant
            .backend
            .mutate("setMembership", input, "role")
            .await
            .code(),
        "NOT_FOUND"
    );
    let input = json!({ "externalId": other.external_id, "name": "Mine" });
    assert_eq!(
        tenant
            .backend
            .mutate("upsertUser", input, "user { id }")
            .await
            .code(),
        "FORBIDDEN"
    );
}

#[tokio::test]
async fn a_reaction_is_there_once_whoever_adds_it_however_often() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let message = ada.say(&thread, "Hi").await;
    let add = |emoji: &str| json!({ "messageId": message, "emoji": emoji });
    let groups = "message { reactionGroups { emoji count viewerHasReacted users { name } } }";
    join_all((0..20).map(|_| bob.mutate("addReaction", add("👍"), "message { id }"))).await;
    ada.mutate("addReaction", add("👍"), groups).await;
    let read = bob.mutate("addReaction", add("🎉"), groups).await;
    assert_eq!(
        read.texts("/message/reactionGroups", "/emoji"),
        ["👍", "🎉"]
    );
    assert_eq!(read.number("/message/reactionGroups/0/count"), 2);
    assert_eq!(
        read.texts("/message/reactionGroups/0/users", "/name"),
        ["bob", "ada"]
    );
    for _ in 0..2 {
        let read = bob.mutate("removeReaction", add("👍"), groups).await;
        assert_eq!(read.number("/message/reactionGroups/0/count"), 1);
        assert_eq!(
            read.at("/message/reactionGroups/0/viewerHasReacted"),
            json!(false)
        );
    }
    let long = "x".repeat(128);
    for bad in ["", long.as_str(), "a\nb"] {
        assert_eq!(
            bob.mutate("addReaction", add(bad), "message { id }")
                .await
                .faults(),
            ["emoji"]
        );
    }
}

#[tokio::test]
async fn a_backend_reacts_in_the_name_of_members() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let message = ada.say(&thread, "Hi").await;
    let react = |add: serde_json::Value, remove: serde_json::Value| json!({ "messageId": message, "addReactions": add, "removeReactions": remove });
    let selection = "message { updatedAt reactions { emoji createdAt } }";
    let timed = |at: &str| json!([{ "emoji": "👍", "userId": ada.external_id, "timestamp": at }]);
    tenant
        .backend
        .mutate(
            "updateMessage",
            react(timed("2020-01-01T00:00:00Z"), json!([])),
            selection,
        )
        .await;
    let moved = tenant
        .backend
        .mutate(
            "updateMessage",
            react(timed("2021-01-01T00:00:00Z"), json!([])),
            selection,
        )
        .await;
    assert_eq!(
        moved.texts("/message/reactions", "/createdAt"),
        ["2021-01-01T00:00:00.000000Z"]
    );
    assert!(moved.at("/message/updatedAt").is_null());
    let both = json!([{ "emoji": "👍", "userId": ada.external_id }]);
    let refused = tenant
        .backend
        .mutate("updateMessage", react(both.clone(), both), selection)
        .await;
    assert_eq!(refused.faults(), ["removeReactions.0"]);
    let eve = Tenant::new().await.member("eve").await;
    let stranger = json!([{ "emoji": "👍", "userId": eve.id }]);
    let refused = tenant
        .backend
        .mutate("updateMessage", react(stranger, json!([])), selection)
        .await;
    assert_eq!(refused.faults(), ["addReactions.0.userId"]);
    let absent = json!([{ "emoji": "🙈", "userId": ada.id }]);
    let fine = tenant
        .backend
        .mutate("updateMessage", react(json!([]), absent), selection)
        .await;
    assert_eq!(fine.texts("/message/reactions", "/emoji"), ["👍"]);
}
