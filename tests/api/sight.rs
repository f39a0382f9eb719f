//! Who sees whom and what: drafts, tenants, e-mail addresses, members, those who were removed.

use serde_json::{Value, json};

use crate::support::server::{Server, now};
use crate::support::socket::Subscription;
use crate::support::{Actor, Person, Tenant, merge, unique};

/// A thread that everybody of a tenant but an outside contact sees.
struct Room {
    tenant: Tenant,
    writer: Person,
    reader: Person,
    agent: Person,
    admin: Person,
    contact: Person,
    thread: String,
}

impl Room {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let (writer, reader) = (tenant.member("writer").await, tenant.member("reader").await);
        let (agent, admin) = (tenant.agent("agent").await, tenant.admin("admin").await);
        let contact = tenant.contact("contact").await;
        let input = json!({
            "access": "ORGANIZATION", "participantIds": [reader.id, contact.id],
            "message": { "body": "Hello" },
        });
        Self {
            thread: reader.open_thread(input).await,
            tenant,
            writer,
            reader,
            agent,
            admin,
            contact,
        }
    }

    /// Everybody but the writer.
    fn others(&self) -> [(&'static str, &Actor); 5] {
        [
            ("the reader", &*self.reader),
            ("the agent", &*self.agent),
            ("the admin", &*self.admin),
            ("the contact", &*self.contact),
            ("the key", &self.tenant.backend),
        ]
    }

    async fn draft(&self, input: Value) -> String {
        let mut full = json!({ "threadId": self.thread, "body": "Not yet", "status": "DRAFT" });
        merge(&mut full, input);
        self.writer
            .mutate("createMessage", full, "message { id }")
            .await
            .text("/message/id")
    }
}

/// What an asker reads of a thread.
const EVERYTHING: &str = "query($t: ID!, $o: ID!) {
    thread(id: $t) { ...Whole }
    threads { totalCount edges { cursor node { ...Whole } } }
    unread: threads(filter: { unread: true }) { totalCount }
    messages(filter: { organizationId: $o, includeDeleted: true }) { totalCount edges { cursor node { id body } } }
    viewer { unreadThreadCount unreadMessageCount drafts { totalCount nodes { id } } }
  }
  fragment Whole on Thread {
    id updatedAt lastMessageAt resolved
    messageCount userMessageCount actionMessageCount deletedMessageCount
    firstMessage { id } latestMessage { id } firstUnreadMessage { id } unreadCount inboxState
    participants { totalCount nodes { id } }
    messages { totalCount pageInfo { hasNextPage endCursor } edges { cursor node { id body replyTo { id } } } }
  }";

#[tokio::test]
async fn a_draft_changes_nothing_that_others_read() {
    let room = Room::new().await;
    let variables = json!({ "t": room.thread, "o": room.tenant.id });
    let mut before = Vec::new();
    for (_, actor) in room.others() {
        before.push(actor.run(EVERYTHING, variables.clone()).await.at(""));
    }
    let draft = room.draft(json!({})).await;
    let edited = json!({ "messageId": draft, "body": "Not quite", "metadata": { "a": 1 } });
    let deleted = json!({ "messageId": draft });
    for (field, input) in [
        ("", json!({})),
        ("updateMessage", edited),
        ("deleteMessage", deleted),
    ] {
        if !field.is_empty() {
            let done = room.writer.mutate(field, input, "__typename").await;
            assert!(done.at("/__typename").is_string());
        }
        for ((who, actor), before) in room.others().iter().zip(&before) {
            let after = actor.run(EVERYTHING, variables.clone()).await.at("");
            assert_eq!(before, &after, "{who}, after {field}");
        }
    }
}

#[tokio::test]
async fn a_draft_is_to_others_like_what_was_never_there() {
    let room = Room::new().await;
    let name = unique("draft");
    let draft = room.draft(json!({ "externalId": name })).await;
    let gone = room.draft(json!({})).await;
    let input = json!({ "messageId": gone });
    room.writer
        .mutate("deleteMessage", input, "__typename")
        .await
        .at("/__typename");
    let asked = [
        "query($id: ID!) { message(id: $id) { id } }",
        "query($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }",
        "mutation($id: ID!, $t: ID!) { createMessage(input: { threadId: $t, body: \"x\", replyToId: $id }) { message { id } } }",
        "mutation($id: ID!, $t: ID!) { markThreadSeen(input: { threadId: $t, messageId: $id }) { thread { id } } }",
        "mutation($id: ID!) { updateMessage(input: { messageId: $id, body: \"x\" }) { message { id } } }",
        "mutation($id: ID!) { sendMessage(input: { messageId: $id }) { message { id } } }",
        "mutation($id: ID!) { deleteMessage(input: { messageId: $id, permanently: true }) { deletedMessageId } }",
        "mutation($id: ID!) { restoreMessage(input: { messageId: $id }) { message { id } } }",
        "mutation($id: ID!) { addReaction(input: { messageId: $id, emoji: \"x\" }) { message { id } } }",
        "mutation($id: ID!) { removeReaction(input: { messageId: $id, emoji: \"x\" }) { message { id } } }",
    ];
    for (who, actor) in &room.others()[..4] {
        for document in asked {
            for (hidden, missing) in [(&draft, &gone), (&name, &unique("draft"))] {
                let ask = async |id: &str| {
                    let answer = actor
                        .run(document, json!({ "id": id, "t": room.thread }))
                        .await;
                    (answer.status, answer.body)
                };
                assert_eq!(ask(hidden).await, ask(missing).await, "{who}: {document}");
            }
        }
    }
    let kept = room.writer.run(
        "query($id: ID!) { message(id: $id) { body status } }",
        json!({ "id": draft }),
    );
    assert_eq!(
        kept.await.at("/message"),
        json!({ "body": "Not yet", "status": "DRAFT" })
    );
}

#[tokio::test]
async fn a_sender_finds_his_draft_in_the_thread_and_among_his_drafts() {
    let room = Room::new().await;
    let draft = room.draft(json!({})).await;
    let query = "query($t: ID!) {
        thread(id: $t) { messageCount latestMessage { body } messages { totalCount nodes { id } } }
        viewer { drafts { totalCount nodes { id } } }
        messages(filter: { threadId: $t }) { totalCount nodes { body } }
      }";
    let read = room.writer.run(query, json!({ "t": room.thread })).await;
    assert_eq!(read.texts("/viewer/drafts/nodes", "/id"), [&*draft]);
    assert_eq!(read.number("/viewer/drafts/totalCount"), 1);
    assert_eq!(read.texts("/thread/messages/nodes", "/id")[1..], [&*draft]);
    assert_eq!(read.number("/thread/messages/totalCount"), 2);
    // It counts nowhere where messages count.
    assert_eq!(read.number("/thread/messageCount"), 1);
    assert_eq!(read.text("/thread/latestMessage/body"), "Hello");
    assert_eq!(read.texts("/messages/nodes", "/body"), ["Hello"]);
    assert_eq!(read.number("/messages/totalCount"), 1);
}

#[tokio::test]
async fn a_key_reaches_a_draft_by_its_id_and_finds_none() {
    let room = Room::new().await;
    let name = unique("draft");
    let draft = room.draft(json!({ "externalId": name })).await;
    let backend = &room.tenant.backend;
    for id in [&draft, &name] {
        let read = backend.run(
            "query($id: ID!) { message(id: $id) { status } }",
            json!({ "id": id }),
        );
        assert_eq!(read.await.text("/message/status"), "DRAFT");
    }
    let query = "query($t: ID!, $id: ID!) {
        thread(id: $t) { messages { totalCount nodes { body } } }
        messages(filter: { threadId: $t }) { totalCount nodes { body } }
        viewer { drafts { totalCount nodes { id } } }
        node(id: $id) { ... on Message { body } }
      }";
    let read = backend
        .run(query, json!({ "t": room.thread, "id": draft }))
        .await;
    for list in ["/thread/messages", "/messages"] {
        assert_eq!(read.number(&format!("{list}/totalCount")), 1, "{list}");
        assert_eq!(
            read.texts(&format!("{list}/nodes"), "/body"),
            ["Hello"],
            "{list}"
        );
    }
    assert_eq!(read.number("/viewer/drafts/totalCount"), 0);
    assert_eq!(read.text("/node/body"), "Not yet");
    let input = json!({ "messageId": draft, "body": "Written by a program" });
    backend
        .mutate("updateMessage", input, "__typename")
        .await
        .at("/__typename");
    let sent = backend
        .mutate(
            "sendMessage",
            json!({ "messageId": draft }),
            "message { body sender { id } }",
        )
        .await;
    assert_eq!(sent.text("/message/body"), "Written by a program");
    assert_eq!(sent.text("/message/sender/id"), room.writer.id);
    // A key of another tenant does not.
    let other = Tenant::new().await;
    let draft = room.draft(json!({})).await;
    let read = other.backend.run(
        "query($id: ID!) { message(id: $id) { id } }",
        json!({ "id": draft }),
    );
    assert_eq!(read.await.code(), "NOT_FOUND");
}

#[tokio::test]
async fn a_draft_is_no_event_until_it_is_sent() {
    let room = Room::new().await;
    let position = "query($id: ID!) { thread(id: $id) { cursor } }";
    let cursor = room
        .reader
        .run(position, json!({ "id": room.thread }))
        .await;
    let cursor = cursor.text("/thread/cursor");
    let mut listeners = Vec::new();
    for actor in [
        &*room.reader,
        &*room.agent,
        &*room.contact,
        &room.tenant.backend,
        &*room.writer,
    ] {
        listeners.push(actor.follow_thread(&room.thread, None).await);
    }
    let draft = room.draft(json!({})).await;
    let input = json!({ "messageId": draft, "body": "Now" });
    room.writer
        .mutate("updateMessage", input, "__typename")
        .await
        .at("/__typename");
    let other = room.draft(json!({})).await;
    room.writer
        .mutate("deleteMessage", json!({ "messageId": other }), "__typename")
        .await
        .at("/__typename");
    room.writer
        .mutate("sendMessage", json!({ "messageId": draft }), "__typename")
        .await
        .at("/__typename");
    let resumed = room.reader.follow_thread(&room.thread, Some(&cursor)).await;
    listeners.push(resumed);
    for mut events in listeners {
        // Sending makes the writer a participant first.
        assert_eq!(events.event().await["__typename"], "ParticipantAdded");
        let event = events.event().await;
        assert_eq!(event["__typename"], "MessageCreated");
        assert_eq!(event["message"]["body"], "Now");
    }
}

#[tokio::test]
async fn an_email_address_is_for_oneself_agents_admins_and_keys() {
    let room = Room::new().await;
    let (other, stranger) = (Tenant::new().await, "elsewhere");
    let stranger = other.admin(stranger).await;
    let address = format!("{}@example.com", room.reader.external_id);
    let paths = [
        ("query($u: ID!) { user(id: $u) { email } }", "/user/email"),
        (
            "query($u: ID!) { node(id: $u) { ... on User { email } } }",
            "/node/email",
        ),
        (
            "query($t: ID!) { thread(id: $t) { creator { email } } }",
            "/thread/creator/email",
        ),
        (
            "query($t: ID!) { thread(id: $t) { participants(first: 1) { nodes { email } } } }",
            "/thread/participants/nodes/0/email",
        ),
        (
            "query($t: ID!) { thread(id: $t) { messages { nodes { sender { email } } } } }",
            "/thread/messages/nodes/0/sender/email",
        ),
        (
            "query($t: ID!) { thread(id: $t) { messages { nodes { seenBy { email } } } } }",
            "/thread/messages/nodes/0/seenBy/0/email",
        ),
    ];
    let variables = json!({ "u": room.reader.id, "t": room.thread });
    for (who, actor, sees) in [
        ("oneself", &*room.reader, true),
        ("the agent", &*room.agent, true),
        ("the admin", &*room.admin, true),
        ("the key", &room.tenant.backend, true),
        ("the server's key", &Actor::root().await, true),
        ("a member", &*room.writer, false),
        ("the contact", &*room.contact, false),
    ] {
        for (query, path) in paths {
            let read = actor.run(query, variables.clone()).await.at(path);
            let expected = if sees { json!(address) } else { Value::Null };
            assert_eq!(read, expected, "{who}: {query}");
        }
    }
    let read = stranger
        .run("query($u: ID!) { node(id: $u) { id } }", variables.clone())
        .await;
    assert_eq!(read.at("/node"), Value::Null);
    // An agent elsewhere who is a mere member here is no agent here.
    let server = Server::get().await;
    for (org, role) in [(&other.name, "ADMIN"), (&room.tenant.name, "MEMBER")] {
        let token = server
            .token(json!({ "sub": "both-".to_owned() + &other.name, "org": org, "role": role }));
        let both = Actor::with(server, format!("Bearer {token}"));
        both.run("{ viewer { user { id } } }", json!({}))
            .await
            .text("/viewer/user/id");
    }
    let token = server.token(json!({ "sub": "both-".to_owned() + &other.name }));
    let both = Actor::with(server, format!("Bearer {token}"));
    let read = both
        .run("query($u: ID!) { user(id: $u) { name email } }", variables)
        .await;
    assert_eq!(read.at("/user/email"), Value::Null);
    assert_eq!(read.text("/user/name"), "reader");
}

#[tokio::test]
async fn members_are_never_listed_to_a_contact() {
    let room = Room::new().await;
    let paths = [
        "query($o: ID!, $t: ID!) { organization(id: $o) { members { nodes { id } } } thread(id: $t) { id } }",
        "query($o: ID!, $t: ID!) { organization(id: $o) { members { totalCount } } thread(id: $t) { id } }",
        "query($o: ID!, $t: ID!) { node(id: $o) { ... on Organization { members(role: CONTACT) { edges { role } } } } thread(id: $t) { id } }",
        "query($o: ID!, $t: ID!) { thread(id: $t) { organization { members { nodes { id } } } } organization(id: $o) { id } }",
        "query($o: ID!, $t: ID!) { thread(id: $t) { latestMessage { organization { members { nodes { id } } } } } organization(id: $o) { id } }",
        "query($o: ID!, $t: ID!) { viewer { organization { members { nodes { id } } } } thread(id: $t) { id } organization(id: $o) { id } }",
        "query($o: ID!, $t: ID!) { viewer { memberships { organization { members { nodes { id } } } } } thread(id: $t) { id } organization(id: $o) { id } }",
    ];
    let variables = json!({ "o": room.tenant.id, "t": room.thread });
    for query in paths {
        let refused = room.contact.run(query, variables.clone()).await;
        assert_eq!(refused.code(), "FORBIDDEN", "{query}");
        let given = room.writer.run(query, variables.clone()).await;
        assert!(
            given.body.get("errors").is_none(),
            "{query}: {:#}",
            given.body
        );
    }
}

#[tokio::test]
async fn a_removed_member_loses_sight_at_once() {
    let room = Room::new().await;
    let member = older_token(&room.tenant, &room.reader, json!({ "role": "MEMBER" })).await;
    let mut events = member.follow_thread(&room.thread, None).await;
    let message = member.say(&room.thread, "Still here").await;
    assert_eq!(events.event().await["message"]["body"], "Still here");
    remove(&room, &room.reader).await;

    assert_eq!(error_of(&mut events).await, "NOT_FOUND");
    let variables =
        json!({ "t": room.thread, "m": message, "o": room.tenant.id, "u": room.agent.id });
    for query in [
        "query($t: ID!) { thread(id: $t) { id } }",
        "query($m: ID!) { message(id: $m) { id } }",
        "query($o: ID!) { organization(id: $o) { id } }",
        "query($u: ID!) { user(id: $u) { id } }",
        "query($o: ID!) { threads(filter: { organizationId: $o }) { totalCount } }",
        "query($t: ID!) { messages(filter: { threadId: $t }) { totalCount } }",
        "mutation($t: ID!) { createMessage(input: { threadId: $t, body: \"x\" }) { message { id } } }",
        "mutation($m: ID!) { updateMessage(input: { messageId: $m, body: \"x\" }) { message { id } } }",
        "mutation($m: ID!) { deleteMessage(input: { messageId: $m }) { deletedMessageId } }",
        "mutation($t: ID!) { leaveThread(input: { threadId: $t }) { threadId } }",
        "mutation { createThread(input: { subject: \"x\" }) { thread { id } } }",
    ] {
        let answer = member.run(query, variables.clone()).await;
        assert_eq!(answer.code(), "NOT_FOUND", "{query}");
    }
    let left = member
        .run(
            "query($t: ID!, $m: ID!, $o: ID!, $u: ID!) {
                nodes(ids: [$t, $m, $o, $u]) { id }
                threads { totalCount nodes { id } } messages { totalCount nodes { id } }
                viewer { organization { id } memberships { role } unreadThreadCount unreadMessageCount
                  drafts { totalCount } user { email } }
              }",
            variables,
        )
        .await;
    assert_eq!(left.at("/nodes"), json!([null, null, null, null]));
    for list in ["/threads", "/messages"] {
        assert_eq!(left.at(list), json!({ "totalCount": 0, "nodes": [] }));
    }
    let viewer = left.at("/viewer");
    assert_eq!(viewer["organization"], Value::Null);
    assert_eq!(viewer["memberships"], json!([]));
    assert_eq!(viewer["unreadThreadCount"], 0);
    assert_eq!(viewer["unreadMessageCount"], 0);
    assert_eq!(viewer["drafts"]["totalCount"], 0);
    let refused = member.follow_thread(&room.thread, None).await.error().await;
    assert_eq!(refused, "NOT_FOUND");
    // What he wrote is still his.
    let query = "query($m: ID!) { message(id: $m) { sender { id } } }";
    let read = room.agent.run(query, json!({ "m": message })).await;
    assert_eq!(read.text("/message/sender/id"), room.reader.id);
}

#[tokio::test]
async fn a_membership_comes_back_only_with_a_token_from_after_the_removal() {
    let room = Room::new().await;
    let sight = "query($t: ID!) { thread(id: $t) { id } }";
    let variables = json!({ "t": room.thread });
    remove(&room, &room.reader).await;
    let moment = now();
    for old in [
        older_token(&room.tenant, &room.reader, json!({ "role": "ADMIN" })).await,
        older_token(&room.tenant, &room.reader, json!({})).await,
        older_token(&room.tenant, &room.reader, json!({ "iat": null })).await,
        // The token that he had all along, from a moment before.
        room.reader.actor(),
    ] {
        let answer = old.run(sight, variables.clone()).await;
        assert_eq!(answer.code(), "NOT_FOUND");
    }
    let newer = older_token(&room.tenant, &room.reader, json!({ "iat": moment + 0.001 })).await;
    assert_eq!(
        newer.run(sight, variables.clone()).await.text("/thread/id"),
        room.thread
    );
    // Now that he is one again, whatever token he has will do.
    let answer = room.reader.run(sight, variables).await;
    assert_eq!(answer.text("/thread/id"), room.thread);
}

#[tokio::test]
async fn a_token_for_no_organization_brings_no_membership_back() {
    let room = Room::new().await;
    remove(&room, &room.reader).await;
    let server = Server::get().await;
    let token = server.token(json!({ "sub": room.reader.external_id, "iat": now() + 1.0 }));
    let actor = Actor::with(server, format!("Bearer {token}"));
    let read = actor
        .run(
            "{ viewer { memberships { role } } threads { totalCount } }",
            json!({}),
        )
        .await;
    assert_eq!(read.at("/viewer/memberships"), json!([]));
    assert_eq!(read.number("/threads/totalCount"), 0);
}

#[tokio::test]
async fn the_same_external_ids_live_side_by_side_in_two_tenants() {
    let (here, there) = (Tenant::new().await, Tenant::new().await);
    let (thread, message) = (unique("thread"), unique("message"));
    let mut opened = Vec::new();
    for tenant in [&here, &there] {
        let ada = tenant.member("ada").await;
        let input = json!({
            "externalId": thread, "message": { "body": tenant.name, "externalId": message },
        });
        opened.push((ada.open_thread(input).await, ada, tenant));
    }
    let query = "query($t: ID!, $m: ID!) {
        thread(id: $t) { id } message(id: $m) { body }
        messages(filter: { threadId: $t }) { totalCount }
      }";
    for (id, ada, tenant) in &opened {
        for actor in [&**ada, &tenant.backend] {
            let read = actor.run(query, json!({ "t": thread, "m": message })).await;
            assert_eq!(read.text("/thread/id"), *id);
            assert_eq!(read.text("/message/body"), tenant.name);
            assert_eq!(read.number("/messages/totalCount"), 1);
        }
    }
    // Who sees both must say which one.
    let root = Actor::root().await;
    let read = root
        .run(
            "query($t: ID!) { thread(id: $t) { id } }",
            json!({ "t": thread }),
        )
        .await;
    assert_eq!(read.faults(), ["id"]);
}

#[tokio::test]
async fn a_token_bound_to_one_tenant_shows_nothing_of_the_other() {
    let (here, there) = (Tenant::new().await, Tenant::new().await);
    let server = Server::get().await;
    let sub = unique("both");
    let mut threads = Vec::new();
    let mut actors = Vec::new();
    for tenant in [&here, &there] {
        let token = server.token(json!({ "sub": sub, "org": tenant.name, "role": "ADMIN" }));
        let actor = Actor::with(server, format!("Bearer {token}"));
        threads.push(actor.open_thread(json!({})).await);
        actors.push(actor);
    }
    let query = "query($id: ID!) { thread(id: $id) { id } }";
    for (own, other) in [(0, 1), (1, 0)] {
        let read = actors[own]
            .run(query, json!({ "id": threads[other] }))
            .await;
        assert_eq!(read.code(), "NOT_FOUND");
        let listed = actors[own]
            .run(
                "{ threads { nodes { id } } viewer { memberships { role } } }",
                json!({}),
            )
            .await;
        assert_eq!(listed.texts("/threads/nodes", "/id"), [&*threads[own]]);
        assert_eq!(listed.texts("/viewer/memberships", "/role"), ["ADMIN"]);
        let refused = actors[own]
            .follow_thread(&threads[other], None)
            .await
            .error()
            .await;
        assert_eq!(refused, "NOT_FOUND");
    }
    let token = server.token(json!({ "sub": sub }));
    let unbound = Actor::with(server, format!("Bearer {token}"));
    let listed = unbound.run("{ threads { totalCount } }", json!({})).await;
    assert_eq!(listed.number("/threads/totalCount"), 2);
}

#[tokio::test]
async fn a_thread_that_is_closed_to_somebody_ends_his_subscription() {
    let room = Room::new().await;
    let mut writer = room.writer.follow_thread(&room.thread, None).await;
    let mut contact = room.contact.follow_thread(&room.thread, None).await;
    let input = json!({ "threadId": room.thread, "access": "PARTICIPANTS" });
    room.reader
        .mutate("updateThread", input, "__typename")
        .await
        .at("/__typename");
    assert_eq!(error_of(&mut writer).await, "NOT_FOUND");
    let input = json!({ "threadId": room.thread, "userId": room.contact.id });
    room.reader
        .mutate("removeParticipant", input, "__typename")
        .await
        .at("/__typename");
    assert_eq!(error_of(&mut contact).await, "NOT_FOUND");
}

#[tokio::test]
async fn a_revoked_key_is_nobody() {
    let tenant = Tenant::new().await;
    let server = Server::get().await;
    let key = server.key(Some(&tenant.name)).await;
    let actor = Actor::with(server, format!("Bearer {key}"));
    assert_eq!(
        actor.run("{ viewer { cursor } }", json!({})).await.status,
        200
    );
    let (id, _) = key.split_once(':').expect("KEYID:SECRET");
    bobbin::actions::api_key::revoke(&server.app, id)
        .await
        .expect("it is known");
    let refused = actor.run("{ viewer { cursor } }", json!({})).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (401, "UNAUTHENTICATED")
    );
}

/// Takes a person's membership away.
async fn remove(room: &Room, person: &Person) {
    let input = json!({ "organizationId": room.tenant.id, "userId": person.id, "role": null });
    let done = room.admin.mutate("setMembership", input, "role").await;
    assert_eq!(done.at("/role"), Value::Null);
}

/// The same person with a token from a minute ago, unless the claims say otherwise.
async fn older_token(tenant: &Tenant, person: &Person, claims: Value) -> Actor {
    let server = Server::get().await;
    let mut full = json!({ "sub": person.external_id, "org": tenant.name, "iat": now() - 60.0 });
    merge(&mut full, claims);
    Actor::with(server, format!("Bearer {}", server.token(full)))
}

/// The code of the error that ends a subscription, whatever it tells before.
async fn error_of(events: &mut Subscription) -> String {
    loop {
        let message = events.message().await;
        if message["type"] == "error" {
            let code = &message["payload"][0]["extensions"]["code"];
            return code.as_str().expect("a code").to_owned();
        }
        assert_eq!(message["type"], "next", "{message}");
    }
}
