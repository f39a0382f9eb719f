//! Threads: opening, changing, resolving, taking part, lists.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::socket::eventually;
use crate::support::{Tenant, unique};

#[tokio::test]
async fn a_thread_is_opened_with_its_first_message() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let input = json!({
        "subject": "Plans", "participantIds": [bob.id], "url": "https://example.com/p",
        "metadata": { "project": 7 }, "message": { "body": "Hello" },
    });
    let selection =
        "message { body url } thread { number subject metadata access resolved creator { name }
        participants { edges { node { name } subscribed } } messageCount canPost subscribed }";
    let opened = ada.mutate("createThread", input, selection).await;
    assert_eq!(opened.text("/message/body"), "Hello");
    assert_eq!(opened.text("/message/url"), "https://example.com/p");
    assert_eq!(opened.at("/thread/metadata"), json!({ "project": 7 }));
    assert_eq!(opened.text("/thread/access"), "PARTICIPANTS");
    assert_eq!(opened.text("/thread/creator/name"), "ada");
    assert_eq!(
        opened.texts("/thread/participants/edges", "/node/name"),
        ["ada", "bob"]
    );
    assert_eq!(opened.number("/thread/messageCount"), 1);
}

#[tokio::test]
async fn an_invalid_first_message_opens_no_thread() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let input = json!({ "subject": "", "message": { "body": "" }, "participantIds": [] });
    let refused = ada.mutate("createThread", input, "thread { id }").await;
    assert_eq!(
        refused.faults(),
        ["subject", "message.body", "message.bodyHtml"]
    );
    let list = ada.run("{ threads { totalCount } }", json!({})).await;
    assert_eq!(list.number("/threads/totalCount"), 0);
}

#[tokio::test]
async fn the_same_external_id_is_the_same_thread() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let input =
        json!({ "externalId": unique("thread"), "subject": "Once", "message": { "body": "One" } });
    let calls = (0..20).map(|_| ada.mutate("createThread", input.clone(), "thread { id number }"));
    let answers = join_all(calls).await;
    let first = answers[0].at("/thread");
    assert!(answers.iter().all(|answer| answer.at("/thread") == first));
    let list = ada
        .run(
            "{ threads { totalCount nodes { messageCount } } }",
            json!({}),
        )
        .await;
    assert_eq!(list.number("/threads/totalCount"), 1);
    assert_eq!(list.number("/threads/nodes/0/messageCount"), 1);
    let mut other = input;
    other["subject"] = json!("Twice");
    let refused = ada.mutate("createThread", other, "thread { id }").await;
    assert_eq!(refused.code(), "CONFLICT");
}

#[tokio::test]
async fn display_numbers_have_no_gaps() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let good = json!({ "subject": "Good" });
    let bad = json!({ "subject": "Bad", "participantIds": ["nobody-at-all"] });
    let calls = (0..30).map(|n| {
        let input = if n % 3 == 0 {
            bad.clone()
        } else {
            good.clone()
        };
        ada.mutate("createThread", input, "thread { number }")
    });
    let mut numbers: Vec<i64> = join_all(calls)
        .await
        .iter()
        .filter(|answer| answer.body.get("errors").is_none())
        .map(|answer| answer.number("/thread/number"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<i64>>());
    let query =
        "query($o: ID!, $n: Int!) { threadByNumber(organizationId: $o, number: $n) { number } }";
    let found = ada.run(query, json!({ "o": tenant.name, "n": 20 })).await;
    assert_eq!(found.number("/threadByNumber/number"), 20);
    let missing = ada.run(query, json!({ "o": tenant.id, "n": 21 })).await;
    assert_eq!(missing.code(), "NOT_FOUND");
}

#[tokio::test]
async fn who_manages_a_thread_changes_it_and_others_do_not() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada
        .open_thread(json!({ "participantIds": [bob.id], "url": "https://example.com" }))
        .await;
    let input =
        json!({ "threadId": thread, "subject": "New", "url": null, "metadata": { "a": true } });
    let refused = bob
        .mutate("updateThread", input.clone(), "thread { id }")
        .await;
    assert_eq!(refused.code(), "FORBIDDEN");
    let changed = ada
        .mutate("updateThread", input, "thread { subject url metadata }")
        .await;
    assert_eq!(changed.text("/thread/subject"), "New");
    assert!(changed.at("/thread/url").is_null());
    assert_eq!(changed.at("/thread/metadata"), json!({ "a": true }));
    let bad = json!({ "threadId": thread, "subject": "x".repeat(256), "metadata": { "n": null } });
    let refused = ada.mutate("updateThread", bad, "thread { id }").await;
    assert_eq!(refused.faults(), ["subject", "metadata.n"]);
}

#[tokio::test]
async fn resolving_leaves_one_action_and_a_new_message_reopens() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    ada.say(&thread, "Done?").await;
    let resolve = json!({ "threadId": thread, "resolved": true });
    for _ in 0..2 {
        let done = bob
            .mutate(
                "updateThread",
                resolve.clone(),
                "thread { resolved actionMessageCount }",
            )
            .await;
        assert_eq!(done.at("/thread/resolved"), json!(true));
        assert_eq!(done.number("/thread/actionMessageCount"), 1);
    }
    ada.say(&thread, "Not yet").await;
    let query = "query($id: ID!) { thread(id: $id) { resolved resolvedAt messages { nodes { type plaintext sender { name } } } } }";
    let read = bob.run(query, json!({ "id": thread })).await;
    assert_eq!(read.at("/thread/resolved"), json!(false));
    assert_eq!(
        read.texts("/thread/messages/nodes", "/plaintext"),
        [
            "Done?",
            "bob resolved this thread",
            "ada reopened this thread",
            "Not yet"
        ]
    );
    assert_eq!(
        read.texts("/thread/messages/nodes", "/type"),
        ["USER", "ACTION", "ACTION", "USER"]
    );
}

#[tokio::test]
async fn participants_join_leave_and_are_removed() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let (cyd, dee) = (tenant.contact("cyd").await, tenant.member("dee").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let stranger = Tenant::new().await.member("eve").await;
    let bad = json!({ "threadId": thread, "userIds": [cyd.id, stranger.id, "nobody"] });
    let refused = ada.mutate("addParticipants", bad, "thread { id }").await;
    assert_eq!(refused.faults(), ["userIds.1", "userIds.2"]);
    let good = json!({ "threadId": thread, "userIds": [cyd.external_id, dee.id, bob.id, dee.id] });
    let added = bob
        .mutate(
            "addParticipants",
            good,
            "thread { participants { totalCount nodes { name } } }",
        )
        .await;
    assert_eq!(added.number("/thread/participants/totalCount"), 4);

    let remove = |user: &str| json!({ "threadId": thread, "userId": user });
    let refused = bob
        .mutate("removeParticipant", remove(&cyd.id), "thread { id }")
        .await;
    assert_eq!(refused.code(), "FORBIDDEN");
    ada.mutate("removeParticipant", remove(&cyd.id), "thread { id }")
        .await
        .text("/thread/id");
    let gone = cyd
        .run(
            "query($id: ID!) { thread(id: $id) { id } }",
            json!({ "id": thread }),
        )
        .await;
    assert_eq!(gone.code(), "NOT_FOUND");

    let leave = json!({ "threadId": thread });
    let left = dee.mutate("leaveThread", leave.clone(), "threadId").await;
    assert_eq!(left.text("/threadId"), thread);
    let again = dee.mutate("leaveThread", leave.clone(), "threadId").await;
    assert_eq!(again.code(), "NOT_FOUND");
    let refused = ada.mutate("leaveThread", leave, "threadId").await;
    assert_eq!(refused.code(), "FORBIDDEN");
}

#[tokio::test]
async fn who_posts_into_an_open_thread_takes_part_from_then_on() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let part = "query($id: ID!) { thread(id: $id) { subscribed participants { nodes { name } } } }";
    let before = bob.run(part, json!({ "id": thread })).await;
    assert_eq!(before.at("/thread/subscribed"), json!(false));
    bob.say(&thread, "Me too").await;
    let after = bob.run(part, json!({ "id": thread })).await;
    assert_eq!(after.at("/thread/subscribed"), json!(true));
    assert_eq!(
        after.texts("/thread/participants/nodes", "/name"),
        ["ada", "bob"]
    );
}

#[tokio::test]
async fn lists_are_filtered_ordered_and_paged() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let mut threads = Vec::new();
    for n in 0..7 {
        let input = json!({ "subject": format!("{n}"), "participantIds": if n % 2 == 0 { json!([bob.id]) } else { json!([]) }, "metadata": { "even": n % 2 == 0, "n": n } });
        threads.push(ada.open_thread(input).await);
    }
    ada.say(&threads[2], "Newest").await;
    let resolve = json!({ "threadId": threads[4], "resolved": true });
    ada.mutate("updateThread", resolve, "thread { id }")
        .await
        .text("/thread/id");
    let subjects = async |who: &crate::support::Person, arguments: &str| {
        let query = format!("{{ threads({arguments}) {{ nodes {{ subject }} }} }}");
        who.run(&query, json!({}))
            .await
            .texts("/threads/nodes", "/subject")
            .join("")
    };
    assert_eq!(subjects(&ada, "orderBy: CREATED_ASC").await, "0123456");
    assert_eq!(subjects(&ada, "orderBy: CREATED_DESC").await, "6543210");
    assert_eq!(subjects(&ada, "first: 20").await, "4265310");
    assert_eq!(subjects(&ada, "orderBy: LAST_MESSAGE_ASC").await, "0135624");
    assert_eq!(subjects(&bob, "orderBy: CREATED_ASC").await, "0246");
    assert_eq!(subjects(&bob, "filter: {resolved: true}").await, "4");
    assert_eq!(
        subjects(&bob, "filter: {unread: true}, orderBy: CREATED_ASC").await,
        "24"
    );
    assert_eq!(
        subjects(
            &ada,
            "filter: {metadata: {even: false}}, orderBy: CREATED_ASC"
        )
        .await,
        "135"
    );
    let with_bob = format!(
        "filter: {{participantId: \"{}\"}}, orderBy: CREATED_ASC",
        bob.external_id
    );
    assert_eq!(subjects(&ada, &with_bob).await, "0246");

    let page = "query($after: String) { threads(first: 3, after: $after) { totalCount nodes { subject } pageInfo { endCursor hasNextPage } } }";
    let (mut all, mut after) = (String::new(), Value::Null);
    loop {
        let part = ada.run(page, json!({ "after": after })).await;
        assert_eq!(part.number("/threads/totalCount"), 7);
        all += &part.texts("/threads/nodes", "/subject").join("");
        after = part.at("/threads/pageInfo/endCursor");
        if part.at("/threads/pageInfo/hasNextPage") == json!(false) {
            break;
        }
    }
    assert_eq!(all, "4265310");
}

#[tokio::test]
async fn unread_follows_what_was_seen() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let first = ada.say(&thread, "One").await;
    let second = ada.say(&thread, "Two").await;
    let query = "query($id: ID!) { viewer { unreadThreadCount unreadMessageCount }
        thread(id: $id) { inboxState unreadCount firstUnreadMessage { id } messages { nodes { seenBy { name } seenByCount } } } }";
    let read = bob.run(query, json!({ "id": thread })).await;
    assert_eq!(read.text("/thread/inboxState"), "UNREAD");
    assert_eq!(read.number("/thread/unreadCount"), 2);
    assert_eq!(read.number("/viewer/unreadMessageCount"), 2);
    assert_eq!(read.text("/thread/firstUnreadMessage/id"), first);
    let mine = ada.run(query, json!({ "id": thread })).await;
    assert_eq!(mine.text("/thread/inboxState"), "READ");

    let seen = json!({ "threadId": thread, "messageId": first });
    bob.mutate("markThreadSeen", seen, "thread { id }")
        .await
        .text("/thread/id");
    let read = bob.run(query, json!({ "id": thread })).await;
    assert_eq!(read.number("/thread/unreadCount"), 1);
    assert_eq!(read.text("/thread/firstUnreadMessage/id"), second);
    assert_eq!(
        read.texts("/thread/messages/nodes/0/seenBy", "/name"),
        ["ada", "bob"]
    );
    assert_eq!(read.number("/thread/messages/nodes/1/seenByCount"), 1);

    let all = json!({ "threadId": thread });
    bob.mutate("markThreadSeen", all, "thread { inboxState }")
        .await;
    // It never moves back.
    let back = json!({ "threadId": thread, "messageId": first });
    let still = bob
        .mutate("markThreadSeen", back, "thread { inboxState unreadCount }")
        .await;
    assert_eq!(still.text("/thread/inboxState"), "READ");
    assert_eq!(still.number("/thread/unreadCount"), 0);
    let elsewhere = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let wrong = json!({ "threadId": elsewhere, "messageId": first });
    assert_eq!(
        bob.mutate("markThreadSeen", wrong, "thread { id }")
            .await
            .faults(),
        ["messageId"]
    );
}

#[tokio::test]
async fn who_is_removed_while_he_posts_does_not_come_back_by_it() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let server = Server::get().await;
    let (mut holder, watcher) = (server.sql().await, server.sql().await);
    let query = "query($id: ID!) { thread(id: $id) { number participants { totalCount } } }";
    let before = ada.run(query, json!({ "id": thread })).await;
    let number = i32::try_from(before.number("/thread/number")).expect("small");
    let row = holder.query_one("SELECT pg_backend_pid()", &[]).await;
    let pid: i32 = row.expect("a pid").get(0);
    // What a removal does, held open at its lock.
    let removal = holder.transaction().await.expect("a transaction");
    let of_tenant = "(SELECT t.id FROM threads t JOIN organizations o ON o.id = t.organization_id
        WHERE o.external_id = $1 AND t.number = $2)";
    let lock = format!("SELECT FROM threads WHERE id = {of_tenant} FOR NO KEY UPDATE");
    let held = removal.execute(&lock, &[&tenant.name, &number]).await;
    assert_eq!(held.expect("it locks"), 1);
    let input = json!({ "threadId": thread, "body": "Still here" });
    let (writer, waits) = (
        bob.actor(),
        "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))",
    );
    let post = tokio::spawn(async move {
        writer
            .mutate("createMessage", input, "message { id }")
            .await
    });
    eventually("the post waits for the lock", async || {
        let row = watcher.query_one(waits, &[&pid]).await.expect("a count");
        row.get::<_, i64>(0) >= 1
    })
    .await;
    let remove = format!(
        "DELETE FROM participants WHERE thread_id = {of_tenant}
         AND user_id = (SELECT id FROM users WHERE external_id = $3)"
    );
    let removed = removal
        .execute(&remove, &[&tenant.name, &number, &bob.external_id])
        .await;
    assert_eq!(removed.expect("it removes"), 1);
    removal.commit().await.expect("it commits");
    assert_eq!(post.await.expect("an answer").code(), "NOT_FOUND");
    let after = ada.run(query, json!({ "id": thread })).await;
    assert_eq!(after.number("/thread/participants/totalCount"), 1);
}

#[tokio::test]
async fn a_thread_is_the_same_only_with_the_same_first_message() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let named = unique("thread");
    let input =
        |body: &str| json!({ "externalId": named, "subject": "Once", "message": { "body": body } });
    let first = ada
        .mutate("createThread", input("One"), "message { id }")
        .await;
    let again = ada
        .mutate("createThread", input("One"), "message { id }")
        .await;
    assert_eq!(again.text("/message/id"), first.text("/message/id"));
    let other = ada
        .mutate("createThread", input("Two"), "message { id }")
        .await;
    assert_eq!(other.code(), "CONFLICT");
}
