//! Private notes: for agents, admins and API keys. Whoever else sees the thread never learns of
//! one, by no path.

use serde_json::{Value, json};

use crate::support::files::File;
use crate::support::server::{Server, now};
use crate::support::socket::Subscription;
use crate::support::{Actor, INTROSPECTION, Person, Tenant, unique};

/// Everything that an asker reads of a thread and of what is around it, but for the positions of
/// streams, which move with every transaction of the server.
const EVERYTHING: &str = "
  query($t: ID!, $o: ID!, $m: ID!, $since: DateTime!) {
    thread(id: $t) { ...Whole }
    message(id: $m) { ...Said thread { ...Whole } }
    node(id: $t) { ...Whole }
    threads { totalCount pageInfo { hasNextPage startCursor endCursor } edges { cursor node { ...Whole } } }
    oldest: threads(orderBy: LAST_MESSAGE_ASC) { edges { cursor node { id } } }
    unread: threads(filter: { unread: true }) { totalCount nodes { id } }
    read: threads(filter: { unread: false }) { totalCount nodes { id } }
    moved: threads(filter: { lastMessageAt: { from: $since } }) { totalCount nodes { id } }
    messages(filter: { organizationId: $o }) { totalCount pageInfo { endCursor } edges { cursor node { ...Said } } }
    newest: messages(orderBy: SENT_DESC, first: 1) { edges { cursor node { id } } }
    notes: messages(filter: { private: true, includeDeleted: true }) { totalCount nodes { id } }
    deleted: messages(filter: { threadId: $t, includeDeleted: true }) { totalCount nodes { id deletedAt } }
    viewer { unreadThreadCount unreadMessageCount drafts { totalCount nodes { id } } }
  }
  fragment Whole on Thread {
    id subject updatedAt lastMessageAt resolved
    messageCount userMessageCount actionMessageCount deletedMessageCount
    firstMessage { id } latestMessage { id } firstUnreadMessage { id }
    unreadCount inboxState subscribed typing { id }
    participants { totalCount edges { cursor node { id } subscribed lastSeenAt lastSeenMessage { id } deliveredMessage { id } } }
    messages { totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { ...Said } } }
    last: messages(last: 1) { pageInfo { hasPreviousPage } nodes { id } }
  }
  fragment Said on Message {
    id body plaintext private status cursor createdAt sentAt updatedAt deletedAt
    content contentAttributes submittedValues mentions { id } revisions { body } deliveryError
    sender { id } replyTo { id } seenBy { id } seenByCount deliveredTo { id }
    reactions { emoji user { id } } reactionGroups { emoji count }
  }";

/// A thread with a public message, and another one with a newer message. Everybody in it sees
/// both; two agents see their notes.
pub struct Desk {
    pub tenant: Tenant,
    pub agent: Person,
    pub colleague: Person,
    pub admin: Person,
    pub member: Person,
    pub contact: Person,
    pub thread: String,
    message: String,
    since: String,
}

impl Desk {
    pub async fn new() -> Self {
        let tenant = Tenant::new().await;
        let (agent, colleague) = (tenant.agent("agent").await, tenant.agent("colleague").await);
        let (admin, member) = (tenant.admin("admin").await, tenant.member("member").await);
        let contact = tenant.contact("contact").await;
        let input = json!({
            "access": "ORGANIZATION", "participantIds": [contact.id],
            "message": { "body": "How can we help?" },
        });
        let made = agent
            .mutate(
                "createThread",
                merged(input, "Older"),
                "thread { id } message { id sentAt }",
            )
            .await;
        let input = json!({
            "access": "ORGANIZATION", "participantIds": [contact.id],
            "message": { "body": "Something else" },
        });
        let newer = agent
            .mutate("createThread", merged(input, "Newer"), "message { sentAt }")
            .await;
        Self {
            thread: made.text("/thread/id"),
            message: made.text("/message/id"),
            since: newer.text("/message/sentAt"),
            tenant,
            agent,
            colleague,
            admin,
            member,
            contact,
        }
    }

    /// The people who must not learn of a note.
    fn others(&self) -> [(&'static str, &Person); 2] {
        [("the contact", &self.contact), ("the member", &self.member)]
    }

    async fn everything(&self, actor: &Actor) -> Value {
        let variables = json!({
            "t": self.thread, "o": self.tenant.id, "m": self.message, "since": self.since,
        });
        actor.run(EVERYTHING, variables).await.at("")
    }

    /// Everything that the others read.
    async fn seen_by_others(&self) -> Vec<Value> {
        let mut seen = Vec::new();
        for (_, person) in self.others() {
            seen.push(self.everything(person).await);
        }
        seen
    }

    #[track_caller]
    fn check(&self, what: &str, before: &[Value], after: &[Value]) {
        for (((who, _), before), after) in self.others().iter().zip(before).zip(after) {
            let differing = differences("", before, after);
            assert!(
                differing.is_empty(),
                "{what}, and {who} sees: {differing:#?}"
            );
        }
    }

    /// A note in the thread.
    pub async fn note(&self, by: &Actor, input: Value) -> String {
        let mut full = json!({ "threadId": self.thread, "body": "Between us", "private": true });
        crate::support::merge(&mut full, input);
        by.mutate("createMessage", full, "message { id }")
            .await
            .text("/message/id")
    }
}

#[tokio::test]
async fn a_note_changes_nothing_that_others_read() {
    let desk = Desk::new().await;
    let delivered = json!({ "threadId": desk.thread });
    let delivered = desk
        .agent
        .mutate("markThreadDelivered", delivered, "thread { id }");
    assert_eq!(delivered.await.text("/thread/id"), desk.thread);
    let seen = json!({ "threadId": desk.thread });
    let seen = desk
        .colleague
        .mutate("markThreadSeen", seen, "thread { id }");
    assert_eq!(seen.await.text("/thread/id"), desk.thread);
    let before = desk.seen_by_others().await;
    let note = desk
        .note(&desk.agent, json!({ "replyToId": desk.message }))
        .await;
    desk.check("a note was written", &before, &desk.seen_by_others().await);
    let answer = desk
        .note(&desk.colleague, json!({ "replyToId": note }))
        .await;
    desk.check("a note was answered", &before, &desk.seen_by_others().await);
    for (what, field, input) in [
        (
            "edited",
            "updateMessage",
            json!({ "messageId": note, "body": "Still between us" }),
        ),
        (
            "given metadata",
            "updateMessage",
            json!({ "messageId": note, "metadata": { "a": 1 } }),
        ),
        (
            "reacted to",
            "addReaction",
            json!({ "messageId": note, "emoji": "+1" }),
        ),
        (
            "no longer reacted to",
            "removeReaction",
            json!({ "messageId": note, "emoji": "+1" }),
        ),
        (
            "appended to",
            "appendMessage",
            json!({ "messageId": note, "text": " and more" }),
        ),
        (
            "made to mention somebody",
            "updateMessage",
            json!({ "messageId": note, "content": [{ "type": "p", "children": [
                { "type": "mention", "user": { "id": desk.colleague.id }, "children": [{ "text": "@C" }] },
            ] }] }),
        ),
        (
            "delivered",
            "markThreadDelivered",
            json!({ "threadId": desk.thread, "messageId": note }),
        ),
        ("deleted", "deleteMessage", json!({ "messageId": note })),
        ("restored", "restoreMessage", json!({ "messageId": note })),
    ] {
        let done = desk.agent.mutate(field, input, "__typename").await;
        assert!(done.at("/__typename").is_string());
        let after = desk.seen_by_others().await;
        desk.check(&format!("a note was {what}"), &before, &after);
    }
    for message in [&answer, &note] {
        let input = json!({ "messageId": message, "permanently": true });
        let done = desk
            .admin
            .mutate("deleteMessage", input, "deletedMessageId")
            .await;
        assert_eq!(done.text("/deletedMessageId"), *message);
        let after = desk.seen_by_others().await;
        desk.check("a note was deleted for good", &before, &after);
    }
}

#[tokio::test]
async fn drafting_and_sending_a_note_changes_nothing_that_others_read() {
    let desk = Desk::new().await;
    let before = desk.seen_by_others().await;
    let input =
        json!({ "threadId": desk.thread, "body": "Not yet", "private": true, "status": "DRAFT" });
    let draft = desk
        .colleague
        .mutate("createMessage", input, "message { id }")
        .await;
    let input = json!({ "messageId": draft.text("/message/id") });
    let sent = desk
        .colleague
        .mutate("sendMessage", input, "message { private }")
        .await;
    assert_eq!(sent.at("/message/private"), true);
    desk.check(
        "a note was drafted and sent",
        &before,
        &desk.seen_by_others().await,
    );
}

#[tokio::test]
async fn reading_a_note_changes_nothing_that_others_read() {
    let desk = Desk::new().await;
    let input = json!({ "threadId": desk.thread, "userIds": [desk.colleague.id] });
    let joined = desk
        .agent
        .mutate("addParticipants", input, "thread { id }")
        .await;
    assert_eq!(joined.text("/thread/id"), desk.thread);
    let seen = json!({ "threadId": desk.thread });
    desk.colleague
        .mutate("markThreadSeen", seen.clone(), "thread { id }")
        .await
        .at("/thread");
    let before = desk.seen_by_others().await;
    desk.note(&desk.agent, json!({})).await;
    desk.colleague
        .mutate("markThreadSeen", seen, "thread { id }")
        .await
        .at("/thread");
    desk.check("a note was seen", &before, &desk.seen_by_others().await);
}

#[tokio::test]
async fn a_note_that_was_seen_and_is_unseen_again_is_no_event_for_a_contact() {
    let desk = Desk::new().await;
    let seen = json!({ "threadId": desk.thread });
    let by = &desk.colleague;
    by.mutate("markThreadSeen", seen.clone(), "thread { id }")
        .await
        .at("/thread");
    let mut staff = desk.agent.follow_thread(&desk.thread, None).await;
    let mut contact = desk.contact.follow_thread(&desk.thread, None).await;
    let before = desk.seen_by_others().await;
    let note = desk.note(&desk.agent, json!({})).await;
    by.mutate("markThreadSeen", seen, "thread { id }")
        .await
        .at("/thread");
    staff
        .until(|event| event["__typename"] == "ThreadSeen")
        .await;
    for (field, input) in [
        (
            "markThreadUnseen",
            json!({ "threadId": desk.thread, "fromMessageId": note }),
        ),
        ("markThreadSeen", json!({ "threadId": desk.thread })),
        (
            "updateThreadInboxState",
            json!({ "threadIds": [desk.thread], "state": "UNREAD" }),
        ),
    ] {
        by.mutate(field, input, "__typename")
            .await
            .at("/__typename");
        staff
            .until(|event| event["__typename"] == "ThreadSeen")
            .await;
        desk.check(field, &before, &desk.seen_by_others().await);
    }
    desk.agent.say(&desk.thread, "For everybody").await;
    assert_eq!(
        heard(&mut contact, "For everybody").await,
        ["MessageCreated"]
    );
}

#[tokio::test]
async fn reading_a_note_is_no_event_for_a_contact() {
    let desk = Desk::new().await;
    let seen = json!({ "threadId": desk.thread });
    desk.colleague
        .mutate("markThreadSeen", seen.clone(), "thread { id }")
        .await
        .at("/thread");
    let mut staff = desk.agent.follow_thread(&desk.thread, None).await;
    let mut contact = desk.contact.follow_thread(&desk.thread, None).await;
    desk.note(&desk.agent, json!({})).await;
    desk.colleague
        .mutate("markThreadSeen", seen, "thread { id }")
        .await
        .at("/thread");
    // Once the staff has heard of it, a contact would have too.
    staff
        .until(|event| event["__typename"] == "ThreadSeen")
        .await;
    desk.agent.say(&desk.thread, "For everybody").await;
    let heard = heard(&mut contact, "For everybody").await;
    assert_eq!(heard, ["MessageCreated"]);
}

#[tokio::test]
async fn a_note_is_to_others_like_what_was_never_there() {
    let desk = Desk::new().await;
    let name = unique("note");
    let note = desk.note(&desk.agent, json!({ "externalId": name })).await;
    // Ids of the same shape that nothing has.
    let gone = desk.note(&desk.agent, json!({})).await;
    let input = json!({ "messageId": gone, "permanently": true });
    desk.admin
        .mutate("deleteMessage", input, "deletedMessageId")
        .await
        .at("/deletedMessageId");
    let asked = [
        "query($id: ID!, $t: ID!) { message(id: $id) { id } thread(id: $t) { id } }",
        "query($id: ID!, $t: ID!) { node(id: $id) { id } nodes(ids: [$id, $t]) { id } }",
        "mutation($id: ID!, $t: ID!) { createMessage(input: { threadId: $t, body: \"x\", status: DRAFT, replyToId: $id }) { message { id } } }",
        "mutation($id: ID!, $t: ID!) { markThreadSeen(input: { threadId: $t, messageId: $id }) { thread { id } } }",
        "mutation($id: ID!) { updateMessage(input: { messageId: $id, body: \"x\" }) { message { id } } }",
        "mutation($id: ID!) { updateMessage(input: { messageId: $id, deleted: true }) { message { id } } }",
        "mutation($id: ID!) { updateMessage(input: { messageId: $id, addReactions: [{ emoji: \"x\" }] }) { message { id } } }",
        "mutation($id: ID!, $t: ID!) { markThreadUnseen(input: { threadId: $t, fromMessageId: $id }) { thread { id } } }",
        "mutation($id: ID!, $t: ID!) { markThreadDelivered(input: { threadId: $t, messageId: $id }) { thread { id } } }",
        "query($id: ID!, $t: ID!) { thread(id: $t) { messages(around: $id) { nodes { id } } } }",
        "mutation($id: ID!) { appendMessage(input: { messageId: $id, text: \"x\" }) { message { id } } }",
        "mutation($id: ID!) { submitMessageForm(input: { messageId: $id, values: {} }) { message { id } } }",
        "mutation($id: ID!) { updateMessageStatus(input: { messageId: $id, status: SEEN }) { message { id } } }",
        "mutation($id: ID!) { updateMessage(input: { messageId: $id, addAttachmentIds: [] }) { message { id } } }",
        "mutation($id: ID!) { createUpload(input: { messageId: $id, name: \"x\", mimeType: \"text/plain\", size: 1 }) { uploadUrl } }",
        "mutation($id: ID!) { uploadAttachment(input: { messageId: $id, file: \"x\" }) { attachment { id } } }",
        "mutation($id: ID!) { retryMessage(input: { messageId: $id }) { message { id } } }",
        "mutation($id: ID!) { sendMessage(input: { messageId: $id }) { message { id } } }",
        "mutation($id: ID!) { deleteMessage(input: { messageId: $id }) { deletedMessageId } }",
        "mutation($id: ID!) { deleteMessage(input: { messageId: $id, permanently: true }) { deletedMessageId } }",
        "mutation($id: ID!) { restoreMessage(input: { messageId: $id }) { message { id } } }",
        "mutation($id: ID!) { addReaction(input: { messageId: $id, emoji: \"x\" }) { message { id } } }",
        "mutation($id: ID!) { removeReaction(input: { messageId: $id, emoji: \"x\" }) { message { id } } }",
        "mutation($id: ID!) { translateMessage(input: { messageId: $id, language: \"de\" }) { message { id } } }",
    ];
    for (who, person) in desk.others() {
        for document in asked {
            for (hidden, missing) in [(&note, &gone), (&name, &unique("note"))] {
                let ask = async |id: &str| {
                    let answer = person
                        .run(document, json!({ "id": id, "t": desk.thread }))
                        .await;
                    (answer.status, answer.body)
                };
                assert_eq!(ask(hidden).await, ask(missing).await, "{who}: {document}");
            }
        }
        let put_on = async |id: &str| {
            let file = File::text("x.txt");
            let answer = person.upload(&file, json!({ "messageId": id })).await;
            (answer.status, answer.body)
        };
        assert_eq!(put_on(&note).await, put_on(&gone).await, "{who}");
    }
    let intact = "query($id: ID!) { message(id: $id) { body deletedAt reactions { emoji } } }";
    let note = desk
        .agent
        .run(intact, json!({ "id": note }))
        .await
        .at("/message");
    assert_eq!(
        note,
        json!({ "body": "Between us", "deletedAt": null, "reactions": [] })
    );
}

#[tokio::test]
async fn every_field_for_one_message_has_been_tried_with_a_note() {
    // The list above must grow with the schema: whatever takes a message's id is in it.
    let schema = Actor::root().await.run(INTROSPECTION, json!({})).await;
    let types = schema.at("/__schema/types");
    let text = include_str!("notes.rs");
    for kind in types.as_array().expect("types") {
        let name = kind["name"].as_str().unwrap_or_default();
        let Some(mutation) = name.strip_suffix("Input") else {
            continue;
        };
        let fields = kind["inputFields"].as_array().into_iter().flatten();
        let takes_message = fields
            .filter_map(|field| field["name"].as_str())
            .any(|field| ["messageId", "fromMessageId", "replyToId"].contains(&field));
        let root = format!("{}{}(input:", mutation[..1].to_lowercase(), &mutation[1..]);
        assert!(
            !takes_message || text.contains(&root),
            "{name} is not tried"
        );
    }
}

#[tokio::test]
async fn a_public_answer_to_a_note_quotes_nothing_to_others() {
    let desk = Desk::new().await;
    let note = desk.note(&desk.agent, json!({})).await;
    let document = "subscription($id: ID!) { threadEvents(threadId: $id) {
        ... on MessageCreated { message { body replyTo { id body } } } } }";
    let variables = json!({ "id": desk.thread });
    let mut contact = desk.contact.follow(document, variables.clone()).await;
    let mut colleague = desk.colleague.follow(document, variables).await;
    let input = json!({ "threadId": desk.thread, "body": "In public", "replyToId": note });
    let sent = desk
        .agent
        .mutate("createMessage", input, "message { id replyTo { id } }")
        .await;
    assert_eq!(sent.text("/message/replyTo/id"), note);
    let id = sent.text("/message/id");
    let query = "query($id: ID!) { message(id: $id) { body replyTo { id } } }";
    for (who, person) in desk.others() {
        let read = person.run(query, json!({ "id": id })).await;
        assert_eq!(read.at("/message/replyTo"), Value::Null, "{who}");
    }
    assert_eq!(contact.event().await["message"]["replyTo"], Value::Null);
    assert_eq!(colleague.event().await["message"]["replyTo"]["id"], *note);
}

#[tokio::test]
async fn who_wrote_only_notes_is_unknown_to_a_contact() {
    let desk = Desk::new().await;
    desk.note(&desk.colleague, json!({})).await;
    let query = "query($id: ID!) { user(id: $id) { name } }";
    for id in [&desk.colleague.id, &desk.colleague.external_id] {
        let asked = desk.contact.run(query, json!({ "id": id })).await;
        assert_eq!(asked.code(), "NOT_FOUND");
    }
    let filter = "query($id: ID!) { messages(filter: { senderId: $id }) { totalCount } }";
    let asked = desk
        .contact
        .run(filter, json!({ "id": desk.colleague.id }))
        .await;
    assert_eq!(asked.code(), "NOT_FOUND");
    let participants = "query($id: ID!) { thread(id: $id) { participants { nodes { id } } } }";
    let listed = desk
        .contact
        .run(participants, json!({ "id": desk.thread }))
        .await;
    let listed = listed.texts("/thread/participants/nodes", "/id");
    assert_eq!(listed, [&*desk.agent.id, &*desk.contact.id]);
}

#[tokio::test]
async fn agents_admins_and_keys_read_notes_and_count_them() {
    let desk = Desk::new().await;
    let note = desk.note(&desk.agent, json!({})).await;
    let query = "query($t: ID!, $m: ID!) {
        thread(id: $t) {
          messageCount userMessageCount lastMessageAt latestMessage { id sentAt }
          messages { totalCount nodes { id private } } unreadCount firstUnreadMessage { id }
        }
        message(id: $m) { private body }
        messages(filter: { threadId: $t, private: true }) { totalCount nodes { id } }
        threads { nodes { id } }
      }";
    let variables = json!({ "t": desk.thread, "m": note });
    for (who, actor) in [
        ("agent", &*desk.agent),
        ("colleague", &*desk.colleague),
        ("admin", &*desk.admin),
        ("key", &desk.tenant.backend),
    ] {
        let read = actor.run(query, variables.clone()).await;
        assert_eq!(read.number("/thread/messageCount"), 2, "{who}");
        assert_eq!(read.number("/thread/messages/totalCount"), 2, "{who}");
        assert_eq!(read.number("/messages/totalCount"), 1, "{who}");
        assert_eq!(read.text("/thread/latestMessage/id"), note, "{who}");
        let times = (
            read.text("/thread/lastMessageAt"),
            read.text("/thread/latestMessage/sentAt"),
        );
        assert_eq!(times.0, times.1, "{who}");
        assert_eq!(read.text("/message/body"), "Between us", "{who}");
        // The note moves the thread up in the lists of those who see it.
        assert_eq!(read.text("/threads/nodes/0/id"), desk.thread, "{who}");
    }
    let unread = desk.colleague.run(query, variables.clone()).await;
    assert_eq!(unread.number("/thread/unreadCount"), 2);
}

#[tokio::test]
async fn only_agents_admins_and_keys_write_notes() {
    let desk = Desk::new().await;
    for (who, person) in desk.others() {
        for status in ["DRAFT", "SENT"] {
            let input =
                json!({ "threadId": desk.thread, "body": "x", "private": true, "status": status });
            let done = person
                .mutate("createMessage", input, "message { id }")
                .await;
            assert_eq!(done.code(), "FORBIDDEN", "{who}");
        }
        let input = json!({ "threadId": desk.thread, "body": "x", "status": "DRAFT" });
        let draft = person
            .mutate("createMessage", input, "message { id }")
            .await;
        let input = json!({ "messageId": draft.text("/message/id"), "private": true });
        let done = person
            .mutate("updateMessage", input, "message { id }")
            .await;
        assert_eq!(done.code(), "FORBIDDEN", "{who}");
    }
    // What was sent stays what it was, either way.
    let note = desk.note(&desk.agent, json!({})).await;
    for (message, private) in [(&note, false), (&desk.message, true)] {
        let input = json!({ "messageId": message, "private": private });
        let done = desk
            .agent
            .mutate("updateMessage", input, "message { id }")
            .await;
        assert_eq!(done.faults(), ["private"]);
    }
}

#[tokio::test]
async fn what_happens_to_notes_is_told_to_the_staff_alone() {
    let desk = Desk::new().await;
    let position = "query($id: ID!) { thread(id: $id) { cursor } }";
    let variables = json!({ "id": desk.thread });
    let cursor = desk
        .contact
        .run(position, variables.clone())
        .await
        .text("/thread/cursor");
    let mut live = desk.contact.follow_thread(&desk.thread, None).await;
    let mut member = desk.member.follow_thread(&desk.thread, None).await;
    let mut staff = desk.colleague.follow_thread(&desk.thread, None).await;

    let note = desk
        .note(&desk.agent, json!({ "replyToId": desk.message }))
        .await;
    for (field, input) in [
        (
            "updateMessage",
            json!({ "messageId": note, "body": "Still between us" }),
        ),
        ("addReaction", json!({ "messageId": note, "emoji": "+1" })),
        (
            "removeReaction",
            json!({ "messageId": note, "emoji": "+1" }),
        ),
        ("deleteMessage", json!({ "messageId": note })),
        ("restoreMessage", json!({ "messageId": note })),
    ] {
        desk.agent
            .mutate(field, input, "__typename")
            .await
            .at("/__typename");
    }
    let input = json!({ "messageId": note, "permanently": true });
    desk.admin
        .mutate("deleteMessage", input, "__typename")
        .await
        .at("/__typename");
    desk.agent.say(&desk.thread, "For everybody").await;

    let told = heard(&mut staff, "For everybody").await;
    let updates = ["MessageUpdated"; 5];
    assert_eq!(told[0], "MessageCreated");
    assert_eq!(told[1..6], updates);
    assert_eq!(told[6..], ["MessageRemoved", "MessageCreated"]);
    assert_eq!(heard(&mut live, "For everybody").await, ["MessageCreated"]);
    assert_eq!(
        heard(&mut member, "For everybody").await,
        ["MessageCreated"]
    );
    // The same for who was away.
    let mut resumed = desk
        .contact
        .follow_thread(&desk.thread, Some(&cursor))
        .await;
    assert_eq!(
        heard(&mut resumed, "For everybody").await,
        ["MessageCreated"]
    );
}

#[tokio::test]
async fn an_agent_who_is_made_a_member_hears_no_note_from_then_on() {
    let desk = Desk::new().await;
    // A token from before, which claims no role.
    let colleague = older_token(&desk, &desk.colleague).await;
    let mut events = colleague.follow_thread(&desk.thread, None).await;
    desk.note(&desk.agent, json!({})).await;
    assert_eq!(events.event().await["message"]["private"], true);
    let input =
        json!({ "organizationId": desk.tenant.id, "userId": desk.colleague.id, "role": "MEMBER" });
    let done = desk.admin.mutate("setMembership", input, "role").await;
    assert_eq!(done.text("/role"), "MEMBER");
    desk.note(&desk.agent, json!({})).await;
    desk.agent.say(&desk.thread, "For everybody").await;
    assert_eq!(events.event().await["message"]["body"], "For everybody");
}

#[tokio::test]
async fn an_agent_whose_new_token_says_member_hears_no_note_from_then_on() {
    let desk = Desk::new().await;
    let colleague = older_token(&desk, &desk.colleague).await;
    let mut events = colleague.follow_thread(&desk.thread, None).await;
    desk.note(&desk.agent, json!({})).await;
    assert_eq!(events.event().await["message"]["private"], true);
    let server = Server::get().await;
    let token = server.token(json!({
        "sub": desk.colleague.external_id, "org": desk.tenant.name, "role": "MEMBER",
        "iat": now() + 1.0,
    }));
    let now_member = Actor::with(server, format!("Bearer {token}"));
    let role = now_member
        .run("{ viewer { memberships { role } } }", json!({}))
        .await;
    assert_eq!(role.text("/viewer/memberships/0/role"), "MEMBER");
    desk.note(&desk.agent, json!({})).await;
    desk.agent.say(&desk.thread, "For everybody").await;
    assert_eq!(events.event().await["message"]["body"], "For everybody");
}

#[tokio::test]
async fn what_an_event_leads_to_is_for_the_role_of_that_moment() {
    let desk = Desk::new().await;
    let colleague = older_token(&desk, &desk.colleague).await;
    let document = "subscription($id: ID!) { threadEvents(threadId: $id) {
        ... on MessageCreated { message { body sender { email } } }
        thread { messageCount unreadCount latestMessage { body } messages { totalCount } }
      } }";
    let mut events = colleague
        .follow(document, json!({ "id": desk.thread }))
        .await;
    desk.note(&desk.agent, json!({})).await;
    let event = events.event().await;
    assert_eq!(event["thread"]["messageCount"], 2);
    assert_eq!(event["thread"]["unreadCount"], 2);
    assert!(event["message"]["sender"]["email"].is_string());
    let input =
        json!({ "organizationId": desk.tenant.id, "userId": desk.colleague.id, "role": "MEMBER" });
    desk.admin
        .mutate("setMembership", input, "role")
        .await
        .at("/role");
    desk.agent.say(&desk.thread, "For everybody").await;
    let event = events.event().await;
    let expected = json!({
        "message": { "body": "For everybody", "sender": { "email": null } },
        "thread": {
            "messageCount": 2, "unreadCount": 2, "latestMessage": { "body": "For everybody" },
            "messages": { "totalCount": 2 },
        },
    });
    assert_eq!(event, expected);
}

#[tokio::test]
async fn an_agent_of_one_tenant_is_no_agent_where_he_is_a_contact() {
    let desk = Desk::new().await;
    let other = Tenant::new().await;
    let server = Server::get().await;
    let token = server.token(json!({
        "sub": desk.contact.external_id, "org": other.name, "role": "AGENT",
    }));
    let elsewhere = Actor::with(server, format!("Bearer {token}"));
    let own = elsewhere
        .open_thread(json!({ "message": { "body": "There" } }))
        .await;
    let token = server.token(json!({ "sub": desk.contact.external_id }));
    let both = Actor::with(server, format!("Bearer {token}"));
    let before = desk.everything(&both).await;
    desk.note(&desk.agent, json!({})).await;
    let after = desk.everything(&both).await;
    assert_eq!(differences("", &before, &after), Vec::<String>::new());
    // Where he is an agent, he sees notes, and they move his lists.
    let colleague = other.agent("colleague").await;
    let input = json!({ "threadId": own, "userIds": [colleague.id] });
    elsewhere
        .mutate("addParticipants", input, "__typename")
        .await
        .at("/__typename");
    let input = json!({ "threadId": own, "body": "Between us", "private": true });
    colleague
        .mutate("createMessage", input, "__typename")
        .await
        .at("/__typename");
    let listed = both
        .run("{ threads { nodes { id unreadCount } } }", json!({}))
        .await;
    assert_eq!(
        listed.at("/threads/nodes/0"),
        json!({ "id": own, "unreadCount": 1 })
    );
}

#[tokio::test]
async fn a_note_that_an_agent_drafted_is_not_counted_once_he_is_a_member() {
    let desk = Desk::new().await;
    let colleague = older_token(&desk, &desk.colleague).await;
    let input = json!({ "threadId": desk.thread, "body": "x", "private": true, "status": "DRAFT" });
    colleague
        .mutate("createMessage", input, "message { id }")
        .await
        .at("/message");
    let input =
        json!({ "organizationId": desk.tenant.id, "userId": desk.colleague.id, "role": "MEMBER" });
    desk.admin
        .mutate("setMembership", input, "role")
        .await
        .at("/role");
    let query = "query($t: ID!) {
        thread(id: $t) { messages { totalCount nodes { id } } }
        viewer { drafts { totalCount nodes { id } } }
      }";
    let read = colleague.run(query, json!({ "t": desk.thread })).await;
    for list in ["/thread/messages", "/viewer/drafts"] {
        let listed = read.at(&format!("{list}/nodes"));
        let listed = listed.as_array().map(Vec::len);
        let total = usize::try_from(read.number(&format!("{list}/totalCount"))).ok();
        assert_eq!(listed, total, "{list}");
    }
}

/// The same person with a token from a minute ago that claims no role, so that what is decided
/// now holds for it.
async fn older_token(desk: &Desk, person: &Person) -> Actor {
    let server = Server::get().await;
    let token = server.token(json!({
        "sub": person.external_id, "org": desk.tenant.name, "iat": now() - 60.0,
    }));
    Actor::with(server, format!("Bearer {token}"))
}

/// The types of the events up to a message with this body.
pub async fn heard(events: &mut Subscription, last: &str) -> Vec<String> {
    let events = events
        .until(|event| event["message"]["body"] == *last)
        .await;
    let kind = |event: &Value| event["__typename"].as_str().expect("a type").to_owned();
    events.iter().map(kind).collect()
}

fn merged(mut input: Value, subject: &str) -> Value {
    input["subject"] = json!(subject);
    input
}

/// Where two values differ, and how.
fn differences(path: &str, before: &Value, after: &Value) -> Vec<String> {
    match (before, after) {
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => a
            .iter()
            .flat_map(|(key, a)| differences(&format!("{path}/{key}"), a, &b[key]))
            .collect(),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .flat_map(|(at, (a, b))| differences(&format!("{path}/{at}"), a, b))
            .collect(),
        (a, b) if a == b => Vec::new(),
        (a, b) => vec![format!("{path}: {a} -> {b}")],
    }
}
