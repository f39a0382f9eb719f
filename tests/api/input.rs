//! Bad input: every fault at once, each at its path, before anything is done.

use serde_json::{Value, json};

use crate::support::{Actor, Tenant, unique};

#[tokio::test]
async fn what_a_message_names_wrongly_is_told_with_all_else_that_is_wrong() {
    let tenant = Tenant::new().await;
    let (ann, bob) = (tenant.member("ann").await, tenant.member("bob").await);
    let thread = ann.open_thread(json!({ "participantIds": [bob.id] })).await;
    let mention = json!([{ "type": "p", "children": [
        { "type": "mention", "user": { "id": "zz" }, "children": [{ "text": "@zz" }] },
    ] }]);
    let input = json!({
        "threadId": thread, "url": "nowhere", "content": mention, "senderId": "nobody",
        "replyToId": "nope", "reactions": [{ "emoji": "a" }, { "emoji": "b", "userId": "zz" }],
    });
    let refused = tenant
        .backend
        .mutate("createMessage", input, "message { id }");
    let mut faults = refused.await.faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "content.0.children.0.user.id",
            "reactions.0.userId",
            "reactions.1.userId",
            "replyToId",
            "senderId",
            "url",
        ]
    );
    let message = ann.say(&thread, "Hello").await;
    let input = json!({
        "messageId": message, "url": "nowhere", "content": mention, "senderId": "nobody",
        "addReactions": [{ "emoji": "b", "userId": "zz" }],
    });
    let refused = tenant
        .backend
        .mutate("updateMessage", input, "message { id }");
    let mut faults = refused.await.faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "addReactions.0.userId",
            "content.0.children.0.user.id",
            "senderId",
            "url"
        ]
    );
}

#[tokio::test]
async fn what_a_thread_names_wrongly_is_told_with_all_else_that_is_wrong() {
    let tenant = Tenant::new().await;
    let open = json!({
        "subject": "", "participantIds": ["nobody"], "subscriberIds": ["nope"], "inboxId": "zz",
        "message": { "body": "", "senderId": "nobody" },
    });
    let wanted = [
        "inboxId",
        "message.body",
        "message.bodyHtml",
        "message.senderId",
        "participantIds.0",
        "subject",
        "subscriberIds.0",
    ];
    let backend = &tenant.backend;
    let refused = backend.mutate("createThread", open.clone(), "thread { id }");
    let mut faults = refused.await.faults();
    faults.sort();
    assert_eq!(faults, wanted);
    let mut open = open;
    open.as_object_mut().expect("an object").remove("message");
    let name = unique("thread");
    let input = json!({ "threadId": name, "createThread": open, "body": "" });
    let refused = backend.mutate("createMessage", input, "message { id }");
    let mut faults = refused.await.faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "body",
            "bodyHtml",
            "createThread.inboxId",
            "createThread.participantIds.0",
            "createThread.subject",
            "createThread.subscriberIds.0",
        ]
    );
    let found = backend.run(
        "query($id: ID!) { thread(id: $id) { id } }",
        json!({ "id": name }),
    );
    assert_eq!(found.await.code(), "NOT_FOUND");
}

#[tokio::test]
async fn a_number_that_would_not_come_back_is_refused() {
    let tenant = Tenant::new().await;
    let ann = tenant.member("ann").await;
    let thread = ann.open_thread(json!({})).await;
    let send =
        |number: f64| json!({ "threadId": thread, "body": "x", "metadata": { "a": number } });
    for bad in [f64::MAX, -f64::MAX, 1.1e300] {
        let refused = ann
            .mutate("createMessage", send(bad), "message { id }")
            .await;
        assert_eq!(refused.faults(), ["metadata.a"], "{bad}");
    }
    for good in [
        1e300,
        -1e300,
        1.797_693_134_862_315e250,
        0.1,
        1e-300,
        123_456_789.123_456_79,
    ] {
        let sent = ann.mutate("createMessage", send(good), "message { metadata }");
        assert_eq!(sent.await.at("/message/metadata/a"), json!(good));
    }
}

#[tokio::test]
async fn people_react_in_their_own_name_alone_with_a_new_message_too() {
    let tenant = Tenant::new().await;
    let (ann, bob) = (tenant.member("ann").await, tenant.admin("bob").await);
    let thread = ann.open_thread(json!({})).await;
    let send =
        |reaction: Value| json!({ "threadId": thread, "body": "x", "reactions": [reaction] });
    for forged in [
        json!({ "emoji": "+1", "userId": bob.id }),
        json!({ "emoji": "+1", "timestamp": "2001-01-01T00:00:00Z" }),
    ] {
        let refused = ann
            .mutate("createMessage", send(forged), "message { id }")
            .await;
        assert_eq!(refused.code(), "FORBIDDEN");
    }
    let sent = ann
        .mutate(
            "createMessage",
            send(json!({ "emoji": "+1" })),
            "message { reactions { user { name } } }",
        )
        .await;
    assert_eq!(sent.texts("/message/reactions", "/user/name"), ["ann"]);
}

#[tokio::test]
async fn a_bad_time_stops_a_document_before_it_begins() {
    let tenant = Tenant::new().await;
    let ann = tenant.member("ann").await;
    let thread = ann.open_thread(json!({ "participantIds": [] })).await;
    let say = "createMessage(input: { threadId: $t, body: \"x\" }) { message { id } }";
    let bad = "createMessage(input: { threadId: $t, body: \"x\", sentAt: \"yesterday\" }) { message { id } }";
    let document = format!("mutation($t: ID!) {{ a: {say} b: {bad} c: {say} }}");
    let answer = tenant.backend.run(&document, json!({ "t": thread })).await;
    assert!(answer.body.get("data").is_none(), "{:#}", answer.body);
    let document = "mutation($input: CreateMessageInput!, $t: ID!) {
        a: createMessage(input: { threadId: $t, body: \"x\" }) { message { id } }
        b: createMessage(input: $input) { message { id } } }";
    let input = json!({ "threadId": thread, "body": "x", "sentAt": 5 });
    let variables = json!({ "input": input, "t": thread });
    let answer = tenant.backend.run(document, variables).await;
    assert!(answer.body.get("data").is_none(), "{:#}", answer.body);
    let count = "query($t: ID!) { thread(id: $t) { messageCount } }";
    let found = ann.run(count, json!({ "t": thread })).await;
    assert_eq!(found.number("/thread/messageCount"), 0);
}

#[tokio::test]
async fn a_message_says_something_that_can_be_seen() {
    let tenant = Tenant::new().await;
    let ann = tenant.member("ann").await;
    let thread = ann.open_thread(json!({})).await;
    for silent in [
        json!({ "bodyHtml": "<script>alert(1)</script>" }),
        json!({ "bodyHtml": "<!-- c -->" }),
        json!({ "bodyHtml": "<p><br></p>" }),
        json!({ "body": "\u{200b}\u{feff}" }),
    ] {
        let mut input = json!({ "threadId": thread });
        crate::support::merge(&mut input, silent.clone());
        let refused = ann.mutate("createMessage", input, "message { id }").await;
        assert_eq!(refused.faults(), ["body", "bodyHtml"], "{silent}");
    }
    let image =
        json!({ "threadId": thread, "bodyHtml": "<img src=\"https://example.com/a.png\">" });
    let sent = ann.mutate("createMessage", image, "message { id }").await;
    assert!(sent.at("/message/id").is_string());
}

#[tokio::test]
async fn history_that_is_imported_leaves_a_resolved_thread_resolved() {
    let tenant = Tenant::new().await;
    let (ann, art) = (tenant.member("ann").await, tenant.agent("art").await);
    let backend = &tenant.backend;
    let thread = ann.open_thread(json!({ "participantIds": [art.id] })).await;
    let resolve = json!({ "threadId": thread, "resolved": true });
    ann.mutate("updateThread", resolve, "thread { id }")
        .await
        .at("/thread");
    let import = |more: Value| {
        let mut input = json!({ "threadId": thread, "body": "Then", "senderId": art.id });
        crate::support::merge(&mut input, more);
        backend.mutate("createMessage", input, "message { thread { resolved } }")
    };
    let old = import(json!({ "sentAt": "2020-01-01T00:00:00Z" })).await;
    assert_eq!(old.at("/message/thread/resolved"), true);
    let later = "2199-01-01T00:00:00Z";
    let gone = import(json!({ "sentAt": later, "deletedAt": later })).await;
    assert_eq!(gone.at("/message/thread/resolved"), true);
    let new = import(json!({ "sentAt": "2198-01-01T00:00:00Z" })).await;
    assert_eq!(new.at("/message/thread/resolved"), false);
    let list = "query($t: ID!) { thread(id: $t) { messages(last: 3) {
        nodes { body type sender { name } } } } }";
    let found = ann.run(list, json!({ "t": thread })).await;
    // Just before the message that reopens it, by whom that is.
    assert_eq!(
        found.at("/thread/messages/nodes/0"),
        json!({ "body": "art reopened this thread", "type": "ACTION", "sender": { "name": "art" } })
    );
    assert_eq!(found.at("/thread/messages/nodes/1/body"), "Then");
}

#[tokio::test]
async fn a_private_note_is_by_somebody_who_may_read_it() {
    let tenant = Tenant::new().await;
    let (ann, art) = (tenant.contact("ann").await, tenant.agent("art").await);
    let thread = art.open_thread(json!({ "participantIds": [ann.id] })).await;
    let note =
        |by: &str| json!({ "threadId": thread, "body": "x", "private": true, "senderId": by });
    let refused = tenant
        .backend
        .mutate("createMessage", note(&ann.id), "message { id }");
    assert_eq!(refused.await.faults(), ["senderId"]);
    let sent = tenant
        .backend
        .mutate("createMessage", note(&art.id), "message { private }");
    assert_eq!(sent.await.at("/message/private"), true);
}

#[tokio::test]
async fn a_backend_of_the_whole_server_says_which_of_several_it_means() {
    let (here, there) = (Tenant::new().await, Tenant::new().await);
    let root = Actor::root().await;
    let name = unique("thread");
    for tenant in [&here, &there] {
        let input =
            json!({ "organizationId": tenant.id, "externalId": name, "subject": tenant.name });
        root.mutate("createThread", input, "thread { id }")
            .await
            .at("/thread");
        let inbox = json!({
            "organizationId": tenant.id, "externalId": name, "name": "Desk", "channel": "WEB",
        });
        root.mutate("upsertInbox", inbox, "inbox { id }")
            .await
            .at("/inbox");
    }
    let send = |more: Value| {
        let mut input = json!({ "threadId": name, "body": "x" });
        crate::support::merge(&mut input, more);
        root.mutate("createMessage", input, "message { thread { subject } }")
    };
    assert_eq!(send(json!({})).await.faults(), ["threadId"]);
    let open = json!({ "organizationId": there.id, "subject": "Left aside" });
    let sent = send(json!({ "createThread": open })).await;
    assert_eq!(sent.text("/message/thread/subject"), there.name);
    let by_id = root.run(
        "query($id: ID!) { thread(id: $id) { id } }",
        json!({ "id": name }),
    );
    assert_eq!(by_id.await.faults(), ["id"]);
    let list = "query($f: ThreadFilter!) { threads(filter: $f) { totalCount } }";
    let filter = json!({ "organizationId": there.id, "inboxId": name });
    let found = root.run(list, json!({ "f": filter })).await;
    assert_eq!(found.number("/threads/totalCount"), 0);
    let refused = root.run(list, json!({ "f": { "inboxId": name } })).await;
    assert_eq!(refused.faults(), ["filter.inboxId"]);
}

#[tokio::test]
async fn who_was_mentioned_and_has_left_does_not_stop_a_correction() {
    let tenant = Tenant::new().await;
    let (ann, bob) = (tenant.member("ann").await, tenant.member("bob").await);
    let thread = ann.open_thread(json!({})).await;
    let content = |text: &str| {
        json!([{ "type": "p", "children": [
            { "type": "mention", "user": { "id": bob.external_id }, "children": [{ "text": "@bob" }] },
            { "text": text },
        ] }])
    };
    let input = json!({ "threadId": thread, "content": content(" helo") });
    let sent = ann.mutate("createMessage", input, "message { id }").await;
    let out = json!({ "organizationId": tenant.id, "userId": bob.id, "role": null });
    tenant
        .backend
        .mutate("setMembership", out, "user { id }")
        .await
        .at("/user");
    let edit = json!({ "messageId": sent.text("/message/id"), "content": content(" hello") });
    let edited = ann
        .mutate("updateMessage", edit, "message { plaintext }")
        .await;
    assert_eq!(edited.text("/message/plaintext"), "@bob hello");
    let input = json!({ "threadId": thread, "content": content(" again") });
    let refused = ann.mutate("createMessage", input, "message { id }").await;
    assert_eq!(refused.faults(), ["content.0.children.0.user.id"]);
}

#[tokio::test]
async fn a_stretch_of_time_that_ends_before_it_begins_is_refused() {
    let tenant = Tenant::new().await;
    let range = json!({ "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z" });
    let list = "query($f: MessageFilter!) { messages(filter: $f) { totalCount } }";
    let refused = tenant
        .backend
        .run(list, json!({ "f": { "sentAt": range } }))
        .await;
    assert_eq!(refused.faults(), ["filter.sentAt"]);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let tenant = Tenant::new().await;
    let ann = tenant.member("ann").await;
    let thread = ann.open_thread(json!({})).await;
    ann.say(&thread, "Hello").await;
    let cursors = "query($t: ID!) {
        active: threads { edges { cursor } }
        created: threads(orderBy: CREATED_ASC) { edges { cursor } }
        messages { edges { cursor } }
        thread(id: $t) { messages { edges { cursor } } participants { edges { cursor } } } }";
    let found = ann.run(cursors, json!({ "t": thread })).await;
    let of = |list: &str| found.text(&format!("{list}/edges/0/cursor"));
    let lists = [
        ("/active", "threads(after: $c) { totalCount }"),
        (
            "/created",
            "threads(orderBy: CREATED_DESC, after: $c) { totalCount }",
        ),
        ("/messages", "messages(after: $c) { totalCount }"),
    ];
    for (own, list) in lists {
        let document = format!("query($c: String) {{ {list} }}");
        for (cursor, good) in [
            ("/active", own == "/active"),
            ("/created", own == "/created"),
            ("/messages", own == "/messages"),
            ("/thread/messages", false),
            ("/thread/participants", false),
        ] {
            let answer = ann.run(&document, json!({ "c": of(cursor) })).await;
            if good {
                assert!(answer.body.get("errors").is_none(), "{list} after {cursor}");
            } else {
                assert_eq!(answer.faults(), ["after"], "{list} after {cursor}");
            }
        }
    }
}
