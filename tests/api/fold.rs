//! State plus events is state: what a client keeps by following a thread is what it would fetch.
//! Every action that changes a thread is here, with the number of events that it tells.

use serde_json::{Value, json};

use crate::support::files::File;
use crate::support::socket::Subscription;
use crate::support::{Actor, Tenant};

const THREAD: &str =
    "id externalId subject url metadata access resolved resolvedAt updatedAt lastMessageAt
  inbox { id } messageCount userMessageCount actionMessageCount deletedMessageCount
  firstMessage { id } latestMessage { id } typing { name }";

// Without `url`, which falls back to the thread's, of which a client hears by itself.
const MESSAGE: &str = "id externalId type body bodyHtml content contentType contentAttributes
  submittedValues plaintext status direction deliveryError private metadata
  sentAt updatedAt deletedAt sender { name } replyTo { id } reactions { emoji user { name } }
  mentions { name } revisions { body plaintext editor { name } }
  attachments { __typename id message { id } file { name size uploadStatus } ... on ImageAttachment { width } }";

const PEOPLE: &str = "edges { node { name } subscribed
  lastSeenMessage { id sentAt } deliveredMessage { id sentAt } }";

/// What a client shows of a thread.
async fn fetch(who: &Actor, thread: &str) -> Value {
    let query = format!(
        "query($id: ID!) {{ thread(id: $id) {{ {THREAD}
           participants(first: 100) {{ {PEOPLE} }}
           messages(first: 100) {{ nodes {{ {MESSAGE} cursor }} }} }} }}"
    );
    who.run(&query, json!({ "id": thread })).await.at("/thread")
}

async fn follow(who: &Actor, thread: &str, after: &str) -> Subscription {
    let query = format!(
        "subscription($id: ID!, $after: String!) {{ threadEvents(threadId: $id, after: $after) {{
           __typename cursor thread {{ {THREAD} }}
           ... on MessageCreated {{ message {{ {MESSAGE} cursor }} }}
           ... on MessageUpdated {{ message {{ {MESSAGE} cursor }} }}
           ... on MessageAppended {{ messageId text offset }}
           ... on MessageRemoved {{ messageId }}
           ... on ThreadUpdated {{ thread {{ participants(first: 100) {{ {PEOPLE} }} }} }}
           ... on ThreadDeleted {{ threadId }}
           ... on ThreadSeen {{ user {{ name }} upTo {{ id sentAt }} }}
           ... on ThreadDelivered {{ user {{ name }} upTo {{ id sentAt }} }}
           ... on ParticipantAdded {{ user {{ name }} }}
           ... on ParticipantRemoved {{ user {{ name }} }}
           ... on TypingChanged {{ typing {{ name }} }} }} }}"
    );
    who.follow(&query, json!({ "id": thread, "after": after }))
        .await
}

/// Applies an event, as a client would.
fn fold(state: &mut Value, event: &Value) {
    let kind = event["__typename"].as_str().expect("a type");
    if kind == "ThreadDeleted" {
        assert!(event["thread"].is_null());
        assert_eq!(event["threadId"], state["id"]);
        *state = Value::Null;
        return;
    }
    for (field, value) in event["thread"].as_object().expect("a thread") {
        state[field] = value.clone();
    }
    let has_inbox = !state["inbox"].is_null();
    let messages = state["messages"]["nodes"].as_array_mut().expect("messages");
    for message in messages.iter_mut().filter(|_| !has_inbox) {
        // Without an inbox no message has one.
        message["direction"] = Value::Null;
    }
    match kind {
        "MessageCreated" | "MessageUpdated" => {
            let message = &event["message"];
            messages.retain(|known| known["id"] != message["id"]);
            let later = |known: &Value| known["sentAt"].as_str() > message["sentAt"].as_str();
            let place = messages.iter().position(later).unwrap_or(messages.len());
            messages.insert(place, message.clone());
        }
        "MessageAppended" => {
            let known = messages.iter_mut();
            let message = known
                .into_iter()
                .find(|known| known["id"] == event["messageId"]);
            append(message.expect("a message"), event);
        }
        "TypingChanged" => state["typing"] = event["typing"].clone(),
        "MessageRemoved" => messages.retain(|known| known["id"] != event["messageId"]),
        _ => {}
    }
    let people = state["participants"]["edges"]
        .as_array_mut()
        .expect("people");
    let of_user = |edge: &Value| edge["node"]["name"] == event["user"]["name"];
    match kind {
        // What an earlier event showed of the thread may have had them already.
        "ParticipantAdded" if !people.iter().any(of_user) => people.push(json!({
            "node": event["user"], "subscribed": true,
            "lastSeenMessage": null, "deliveredMessage": null,
        })),
        "ParticipantRemoved" => people.retain(|edge| !of_user(edge)),
        "ThreadSeen" | "ThreadDelivered" => {
            let Some(edge) = people.iter_mut().find(|edge| of_user(edge)) else {
                return;
            };
            let up_to = &event["upTo"];
            if kind == "ThreadSeen" {
                edge["lastSeenMessage"] = up_to.clone();
            }
            // What was seen has come.
            if up_to["sentAt"].as_str() > edge["deliveredMessage"]["sentAt"].as_str() {
                edge["deliveredMessage"] = up_to.clone();
            }
        }
        _ => {}
    }
}

/// Puts an appended text where it belongs.
fn append(message: &mut Value, event: &Value) {
    let offset = event["offset"].as_u64().expect("a number");
    let offset = usize::try_from(offset).expect("a small number");
    let body = message["body"].as_str().expect("a text");
    let kept: String = body.chars().take(offset).collect();
    let grown = kept + event["text"].as_str().expect("a text");
    message["plaintext"] = json!(grown.trim());
    message["body"] = json!(grown);
}

/// A client that follows a thread, and is compared with a fresh fetch after each action.
struct Client<'a> {
    who: &'a Actor,
    thread: String,
    state: Value,
    events: Subscription,
}

impl<'a> Client<'a> {
    async fn new(who: &'a Actor, thread: &str) -> Self {
        let cursor = who
            .run(
                "query($id: ID!) { thread(id: $id) { cursor } }",
                json!({ "id": thread }),
            )
            .await
            .text("/thread/cursor");
        Self {
            who,
            thread: thread.to_owned(),
            state: fetch(who, thread).await,
            events: follow(who, thread, &cursor).await,
        }
    }

    /// Takes as many events, and is as if it had fetched.
    async fn takes(&mut self, number: usize, action: &str) {
        let mut kinds = Vec::new();
        while kinds.len() < number {
            let event = self.events.event().await;
            fold(&mut self.state, &event);
            kinds.push(event["__typename"].as_str().expect("a type").to_owned());
        }
        let fresh = fetch(self.who, &self.thread).await;
        assert_eq!(self.state, fresh, "after {action}, by {kinds:?}");
    }
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "one action after the other, on one state"
)]
async fn what_a_client_keeps_is_what_it_would_fetch() {
    let tenant = Tenant::new().await;
    let (ann, art) = (tenant.admin("ann").await, tenant.agent("art").await);
    let (cyd, dee) = (tenant.contact("cyd").await, tenant.contact("dee").await);
    let thread = art
        .open_thread(json!({ "access": "AGENTS", "participantIds": [cyd.id] }))
        .await;
    let mut staff = Client::new(&ann, &thread).await;
    let mut contact = Client::new(&cyd, &thread).await;

    let backend = &tenant.backend;
    let say = |body: &str| json!({ "threadId": thread, "body": body });
    let of = |id: &str| json!({ "messageId": id });
    let with = |mut base: Value, more: Value| {
        crate::support::merge(&mut base, more);
        base
    };
    let id = "message { id }";
    // Each action: who, what, with which input, and how many events staff and a contact get.
    let first = art
        .mutate("createMessage", say("One"), id)
        .await
        .text("/message/id");
    staff.takes(1, "createMessage").await;
    contact.takes(1, "createMessage").await;

    let note = with(say("Note"), json!({ "private": true }));
    let note = ann
        .mutate("createMessage", note, id)
        .await
        .text("/message/id");
    staff.takes(1, "a private note").await;
    contact.takes(0, "a private note").await;

    let draft = with(
        say("Draft"),
        json!({ "status": "DRAFT", "replyToId": first }),
    );
    let draft = cyd
        .mutate("createMessage", draft, id)
        .await
        .text("/message/id");
    staff.takes(0, "a draft").await;
    cyd.mutate("sendMessage", of(&draft), id)
        .await
        .text("/message/id");
    staff.takes(1, "sendMessage").await;
    contact.takes(1, "sendMessage").await;

    let edit = with(
        of(&first),
        json!({ "bodyHtml": "<b>Uno</b>", "metadata": { "n": 1 }, "externalId": thread.replace("thr_", "x-") }),
    );
    art.mutate("updateMessage", edit, id)
        .await
        .text("/message/id");
    art.mutate(
        "updateMessage",
        with(of(&note), json!({ "body": "Nope" })),
        id,
    )
    .await
    .code();
    ann.mutate(
        "updateMessage",
        with(of(&note), json!({ "body": "Noted" })),
        id,
    )
    .await
    .text("/message/id");
    staff.takes(2, "updateMessage").await;
    contact.takes(1, "updateMessage").await;

    cyd.mutate(
        "addReaction",
        with(of(&first), json!({ "emoji": "👍" })),
        id,
    )
    .await
    .text("/message/id");
    cyd.mutate(
        "addReaction",
        with(of(&first), json!({ "emoji": "👍" })),
        id,
    )
    .await
    .text("/message/id");
    staff.takes(1, "addReaction").await;
    contact.takes(1, "addReaction").await;
    cyd.mutate(
        "removeReaction",
        with(of(&first), json!({ "emoji": "👍" })),
        id,
    )
    .await
    .text("/message/id");
    staff.takes(1, "removeReaction").await;
    contact.takes(1, "removeReaction").await;

    art.mutate("deleteMessage", of(&draft), id)
        .await
        .text("/message/id");
    staff.takes(1, "deleteMessage").await;
    contact.takes(1, "deleteMessage").await;
    cyd.mutate("restoreMessage", of(&draft), id)
        .await
        .text("/message/id");
    staff.takes(1, "restoreMessage").await;
    contact.takes(1, "restoreMessage").await;
    let for_good = |id: &str| json!({ "messageId": id, "permanently": true });
    ann.mutate("deleteMessage", for_good(&note), "deletedMessageId")
        .await
        .text("/deletedMessageId");
    ann.mutate("deleteMessage", for_good(&draft), "deletedMessageId")
        .await
        .text("/deletedMessageId");
    staff.takes(2, "deleteMessage permanently").await;
    contact.takes(1, "deleteMessage permanently").await;

    // Files: with the call, awaited, come, put on and taken off.
    let file = art.uploaded("a.txt").await;
    staff.takes(0, "uploadAttachment").await;
    let with_file = with(say(""), json!({ "attachmentIds": [file] }));
    let filed = art
        .mutate("createMessage", with_file, id)
        .await
        .text("/message/id");
    staff.takes(1, "createMessage with a file").await;
    contact.takes(1, "createMessage with a file").await;
    let png = File::png("b.png", 3, 2);
    let begun = art.begin_upload(&png, of(&filed)).await;
    staff.takes(1, "createUpload").await;
    contact.takes(1, "createUpload").await;
    assert_eq!(art.put(&begun, png.bytes.clone()).await / 100, 2);
    let awaited = begun.text("/attachment/id");
    art.complete(&awaited, false).await.text("/attachment/id");
    staff.takes(1, "completeUpload").await;
    contact.takes(1, "completeUpload").await;
    art.upload(&png, of(&filed)).await.text("/attachment/id");
    staff.takes(1, "uploadAttachment onto a message").await;
    contact.takes(1, "uploadAttachment onto a message").await;
    art.take_off(&file).await.text("/message/id");
    staff.takes(1, "removeAttachment").await;
    contact.takes(1, "removeAttachment").await;
    let swap = json!({ "addAttachmentIds": [file], "removeAttachmentIds": [awaited] });
    art.mutate("updateMessage", with(of(&filed), swap), id)
        .await
        .text("/message/id");
    staff.takes(1, "updateMessage of files").await;
    contact.takes(1, "updateMessage of files").await;
    art.mutate("deleteMessage", of(&filed), id)
        .await
        .text("/message/id");
    staff.takes(1, "deleteMessage with files").await;
    contact.takes(1, "deleteMessage with files").await;

    let import = with(
        say("Then"),
        json!({ "senderId": cyd.id, "sentAt": "2020-01-01T00:00:00Z", "reactions": [{ "emoji": "🎉", "userId": ann.id }] }),
    );
    backend
        .mutate("createMessage", import, id)
        .await
        .text("/message/id");
    staff.takes(1, "an import").await;
    contact.takes(1, "an import").await;

    let in_thread = |more: Value| with(json!({ "threadId": thread }), more);
    art.mutate(
        "updateThread",
        in_thread(json!({ "subject": "New", "url": "https://example.com" })),
        "thread { id }",
    )
    .await
    .text("/thread/id");
    staff.takes(1, "updateThread").await;
    contact.takes(1, "updateThread").await;
    cyd.mutate(
        "updateThread",
        in_thread(json!({ "resolved": true })),
        "thread { id }",
    )
    .await
    .text("/thread/id");
    staff.takes(2, "resolving").await;
    contact.takes(2, "resolving").await;
    ann.say(&thread, "Again").await;
    staff
        .takes(4, "a message that reopens, by who takes part from now on")
        .await;
    contact
        .takes(4, "a message that reopens, by who takes part from now on")
        .await;

    art.mutate(
        "addParticipants",
        in_thread(json!({ "userIds": [dee.id, cyd.id] })),
        "thread { id }",
    )
    .await
    .text("/thread/id");
    staff.takes(1, "addParticipants").await;
    contact.takes(1, "addParticipants").await;
    art.mutate(
        "removeParticipant",
        in_thread(json!({ "userId": dee.id })),
        "thread { id }",
    )
    .await
    .text("/thread/id");
    staff.takes(1, "removeParticipant").await;
    contact.takes(1, "removeParticipant").await;
    ann.mutate("leaveThread", in_thread(json!({})), "threadId")
        .await
        .text("/threadId");
    staff.takes(1, "leaveThread").await;
    contact.takes(1, "leaveThread").await;
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "one action after the other, on one state"
)]
async fn what_a_client_keeps_of_forms_receipts_and_moves_is_what_it_would_fetch() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (ann, art) = (tenant.admin("ann").await, tenant.agent("art").await);
    let (cyd, eve) = (tenant.contact("cyd").await, tenant.agent("eve").await);
    let backend = &tenant.backend;
    let inbox = crate::support::unique("inbox");
    let desk = json!({
        "externalId": inbox, "organizationId": tenant.id, "name": "Desk", "channel": "API",
    });
    let made = backend.mutate("upsertInbox", desk, "inbox { id }").await;
    assert!(made.at("/inbox/id").is_string());
    let thread = art
        .open_thread(json!({ "access": "AGENTS", "participantIds": [cyd.id], "inboxId": inbox }))
        .await;
    let first = art.say(&thread, "One").await;
    let mut staff = Client::new(&ann, &thread).await;
    let mut contact = Client::new(&cyd, &thread).await;
    let of = |more: Value| {
        let mut input = json!({ "messageId": first });
        crate::support::merge(&mut input, more);
        input
    };
    let in_thread = |more: Value| {
        let mut input = json!({ "threadId": thread });
        crate::support::merge(&mut input, more);
        input
    };
    let mention = json!([{ "type": "p", "children": [
        { "type": "mention", "user": { "id": eve.external_id }, "children": [{ "text": "@eve" }] },
    ] }]);
    // Who, what, with which input, what is selected, and how many events staff and contact get.
    let steps: Vec<(&Actor, &str, Value, usize)> = vec![
        (&*art, "appendMessage", of(json!({ "text": " and two" })), 1),
        (
            &*art,
            "appendMessage",
            of(json!({ "text": " é", "offset": 11 })),
            1,
        ),
        (
            &*art,
            "updateMessage",
            of(
                json!({ "contentType": "FORM", "contentAttributes": { "items": [
                { "name": "email", "label": "Email", "type": "email", "required": true },
            ] } }),
            ),
            1,
        ),
        (
            &*cyd,
            "submitMessageForm",
            of(json!({ "values": { "email": "cyd@example.com" } })),
            1,
        ),
        (
            &*art,
            "updateMessageStatus",
            of(json!({ "status": "FAILED", "error": "no such number" })),
            1,
        ),
        (&*art, "retryMessage", of(json!({})), 1),
        (&*art, "retryMessage", of(json!({})), 0),
        (
            backend,
            "updateMessageStatus",
            of(json!({ "status": "DELIVERED" })),
            1,
        ),
        (
            backend,
            "updateMessageStatus",
            of(json!({ "status": "SENT" })),
            0,
        ),
        // Somebody who is mentioned takes part from then on.
        (&*art, "updateMessage", of(json!({ "content": mention })), 2),
        (&*cyd, "markThreadDelivered", in_thread(json!({})), 1),
        (&*cyd, "markThreadDelivered", in_thread(json!({})), 0),
        (&*cyd, "markThreadSeen", in_thread(json!({})), 1),
        // What was seen stays delivered: told of the seen alone.
        (&*cyd, "markThreadUnseen", in_thread(json!({})), 1),
        (
            &*cyd,
            "setThreadSubscription",
            in_thread(json!({ "subscribed": false })),
            1,
        ),
        (
            &*cyd,
            "setThreadSubscription",
            in_thread(json!({ "subscribed": false })),
            0,
        ),
        (&*cyd, "setTyping", in_thread(json!({ "typing": true })), 1),
        (&*cyd, "setTyping", in_thread(json!({ "typing": true })), 0),
        // Who writes is notified again, and types no more.
        (
            &*cyd,
            "createMessage",
            in_thread(json!({ "body": "Three" })),
            3,
        ),
        (&*cyd, "setTyping", in_thread(json!({ "typing": false })), 0),
        (
            &*cyd,
            "updateThreadInboxState",
            json!({ "threadIds": [thread], "state": "HIDDEN" }),
            0,
        ),
        (
            &*cyd,
            "updateThreadInboxState",
            json!({ "threadIds": [thread], "state": "READ" }),
            1,
        ),
        (
            backend,
            "updateMessage",
            of(json!({ "type": "ACTION", "iconUrl": "https://example.com/i" })),
            1,
        ),
    ];
    for (who, field, input, events) in steps {
        let done = who.mutate(field, input, "__typename").await;
        assert!(done.at("/__typename").is_string(), "{field}");
        staff.takes(events, field).await;
        contact.takes(events, field).await;
    }
    // A backend that reaches both organizations moves it, and the people here lose it.
    let root = Actor::root().await;
    let mut mover = Client::new(&root, &thread).await;
    let to = in_thread(json!({ "organizationId": other.id }));
    let moved = root.mutate("updateThread", to, "thread { number }").await;
    assert_eq!(moved.number("/thread/number"), 1);
    // Three participants leave, and the thread has changed.
    mover.takes(4, "moving").await;
    for client in [&mut staff, &mut contact] {
        assert_eq!(client.events.error().await, "NOT_FOUND");
    }
    let gone = root.mutate("deleteThread", in_thread(json!({})), "deletedThreadId");
    assert_eq!(gone.await.text("/deletedThreadId"), thread);
    let event = mover.events.event().await;
    fold(&mut mover.state, &event);
    assert!(mover.state.is_null());
    assert_eq!(mover.events.message().await["type"], "complete");
}
