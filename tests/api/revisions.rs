//! Former texts of messages: kept when words change, shown to whoever sees the message, erased
//! with it.

use bobbin::ids::{MessageId, ThreadId};
use serde_json::{Value, json};

use crate::chatwoot::{Support, follow, read, read_thread, with, write, wrote};
use crate::support::Actor;
use crate::support::server::Server;

const REVISIONS: &str =
    "updatedAt revisions { editor { name } replacedAt body bodyHtml content plaintext }";

async fn edit(by: &Actor, message: &str, change: Value) -> Value {
    let input = with(json!({ "messageId": message }), change);
    by.mutate(
        "updateMessage",
        input,
        &format!("message {{ {REVISIONS} }}"),
    )
    .await
    .at("/message")
}

/// The bodies of a message's former texts.
async fn bodies(by: &Actor, message: &str) -> Vec<String> {
    let found = read(by, message, "revisions { body }").await;
    let found = found["revisions"].as_array().expect("revisions").iter();
    found
        .map(|one| one["body"].as_str().expect("a body").to_owned())
        .collect()
}

fn content(text: &str) -> Value {
    json!([{ "type": "p", "children": [{ "text": text }] }])
}

#[tokio::test]
async fn a_revision_tells_who_replaced_which_words_when() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let message = support.contact.say(&thread, "One").await;
    assert_eq!(bodies(&support.agent, &message).await, [""; 0]);
    let second = edit(
        &support.contact,
        &message,
        json!({ "bodyHtml": "<b>Two</b><script>x()</script>" }),
    )
    .await;
    let third = edit(
        support.backend(),
        &message,
        json!({ "content": content("Three") }),
    )
    .await;
    let last = edit(&support.contact, &message, json!({ "body": "Four" })).await;
    let contact = json!({ "name": "contact" });
    let expected = json!([
        { "editor": contact, "replacedAt": second["updatedAt"], "body": "One", "bodyHtml": null,
          "content": null, "plaintext": "One" },
        { "editor": null, "replacedAt": third["updatedAt"], "body": "", "bodyHtml": "<b>Two</b>",
          "content": null, "plaintext": "Two" },
        { "editor": contact, "replacedAt": last["updatedAt"], "body": "", "bodyHtml": "<p>Three</p>",
          "content": content("Three"), "plaintext": "Three" },
    ]);
    assert_eq!(second["revisions"], json!([expected[0]]));
    for by in [
        &*support.contact,
        &support.agent,
        &support.admin,
        &support.member,
        support.backend(),
    ] {
        assert_eq!(read(by, &message, REVISIONS).await["revisions"], expected);
    }
    // On every path that shows a message.
    let list = format!("messages {{ nodes {{ {REVISIONS} }} }} latestMessage {{ {REVISIONS} }}");
    let listed = read_thread(&support.member, &thread, &list).await;
    assert_eq!(listed["messages"]["nodes"][0]["revisions"], expected);
    assert_eq!(listed["latestMessage"]["revisions"], expected);
    let query = "query($id: ID!) { message(id: $id) { revisions { body } } }";
    let refused = support.outsider.run(query, json!({ "id": message })).await;
    assert_eq!(refused.code(), "NOT_FOUND");
}

#[tokio::test]
async fn what_changes_no_words_makes_no_revision() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let mention = json!([{ "type": "p", "children": [
        { "type": "mention", "user": { "id": support.agent.external_id }, "children": [{ "text": "@agent" }] },
    ] }]);
    for (first, same) in [
        (json!({ "body": "Same" }), json!({ "body": "Same" })),
        (
            json!({ "bodyHtml": "<b>Same</b>" }),
            json!({ "bodyHtml": "<b onclick=\"x()\">Same</b>" }),
        ),
        (json!({ "content": mention }), json!({ "content": mention })),
        (
            json!({ "body": "Same", "content": [] }),
            json!({ "content": [], "body": "Same" }),
        ),
    ] {
        let message = wrote(&support.contact, &thread, first).await;
        let again = edit(&support.contact, &message, same).await;
        assert_eq!(again, json!({ "updatedAt": null, "revisions": [] }));
    }
    let message = support.contact.say(&thread, "Words").await;
    for (by, change) in [
        (&*support.contact, json!({ "metadata": { "a": 1 } })),
        (
            &support.contact,
            json!({ "url": "https://example.com", "extraClassnames": "x" }),
        ),
        (
            &support.agent,
            json!({ "addReactions": [{ "emoji": "+1" }] }),
        ),
        (&support.agent, json!({ "deleted": true })),
        (&support.agent, json!({ "deleted": false })),
        (support.backend(), json!({ "senderId": support.member.id })),
    ] {
        let changed = edit(by, &message, change).await;
        assert_eq!(changed, json!({ "updatedAt": null, "revisions": [] }));
    }
    let refused = json!({ "messageId": message, "body": "x".repeat(150_001) });
    let refused = support
        .member
        .mutate("updateMessage", refused, "message { id }")
        .await;
    assert_eq!(refused.faults(), ["body"]);
    assert_eq!(bodies(&support.agent, &message).await, [""; 0]);
}

#[tokio::test]
async fn drafts_and_appends_make_no_revision() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let draft = json!({ "body": "First thought", "status": "DRAFT" });
    let draft = wrote(&support.contact, &thread, draft).await;
    for body in ["Second thought", "Third thought"] {
        let changed = edit(&support.contact, &draft, json!({ "body": body })).await;
        assert_eq!(changed["revisions"], json!([]));
    }
    let send = json!({ "messageId": draft });
    support
        .contact
        .mutate("sendMessage", send, "message { id }")
        .await
        .at("");
    assert_eq!(bodies(&support.agent, &draft).await, [""; 0]);

    let message = support.agent.say(&thread, "It").await;
    for text in [" grows", " on"] {
        let input = json!({ "messageId": message, "text": text });
        let grown = support
            .agent
            .mutate("appendMessage", input, "message { updatedAt }")
            .await;
        assert_eq!(grown.at("/message/updatedAt"), Value::Null);
    }
    assert_eq!(bodies(&support.contact, &message).await, [""; 0]);
    // What an edit replaces is all that had grown.
    edit(&support.agent, &message, json!({ "body": "Done" })).await;
    assert_eq!(bodies(&support.contact, &message).await, ["It grows on"]);
}

#[tokio::test]
async fn a_tombstone_shows_no_revision_and_a_restored_message_does() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let message = support.contact.say(&thread, "Secret").await;
    edit(&support.contact, &message, json!({ "body": "Harmless" })).await;
    let mut events = support
        .member
        .follow(
            "subscription($id: ID!) { threadEvents(threadId: $id) { ... on MessageUpdated { message { deletedAt revisions { body } } } } }",
            json!({ "id": thread }),
        )
        .await;
    let id = json!({ "messageId": message });
    let deleted = support
        .contact
        .mutate(
            "deleteMessage",
            id.clone(),
            "message { revisions { body } }",
        )
        .await;
    assert_eq!(deleted.at("/message/revisions"), json!([]));
    for by in [
        &*support.contact,
        &support.agent,
        &support.admin,
        support.backend(),
    ] {
        assert_eq!(bodies(by, &message).await, [""; 0]);
    }
    let list = "query($t: ID!) { messages(filter: { threadId: $t, includeDeleted: true }) { nodes { revisions { body } } } }";
    for (by, shown) in [
        (&*support.admin, json!([])),
        (support.backend(), json!([{ "body": "Secret" }])),
    ] {
        let listed = by.run(list, json!({ "t": thread })).await;
        assert_eq!(listed.at("/messages/nodes/0/revisions"), shown);
    }
    let event = events.event().await;
    assert!(event["message"]["deletedAt"].is_string());
    assert_eq!(event["message"]["revisions"], json!([]));
    support
        .contact
        .mutate("restoreMessage", id, "message { id }")
        .await
        .at("");
    assert_eq!(bodies(&support.member, &message).await, ["Secret"]);
}

#[tokio::test]
async fn revisions_of_a_note_are_for_those_who_read_notes() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let note = wrote(
        &support.agent,
        &thread,
        json!({ "body": "Rude", "private": true }),
    )
    .await;
    edit(&support.agent, &note, json!({ "body": "Kind" })).await;
    for by in [&*support.agent, &support.admin, support.backend()] {
        assert_eq!(bodies(by, &note).await, ["Rude"]);
    }
    let query = "query($id: ID!) { message(id: $id) { revisions { body } } }";
    for by in [&support.contact, &support.member] {
        assert_eq!(
            by.run(query, json!({ "id": note })).await.code(),
            "NOT_FOUND"
        );
    }
}

#[tokio::test]
async fn only_the_newest_hundred_are_shown() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let message = support.agent.say(&thread, "0").await;
    let fields: Vec<String> = (1..=105)
        .map(|n| format!("m{n}: updateMessage(input: {{messageId: $id, body: \"{n}\"}}) {{ message {{ id }} }}"))
        .collect();
    for part in fields.chunks(35) {
        let document = format!("mutation($id: ID!) {{ {} }}", part.join(" "));
        support
            .agent
            .run(&document, json!({ "id": message }))
            .await
            .at("");
    }
    let expected: Vec<String> = (5..105).map(|n| n.to_string()).collect();
    assert_eq!(bodies(&support.contact, &message).await, expected);
}

/// Everything that the database holds of a thread, as one text.
async fn stored(thread: &str, message: &str) -> String {
    let thread: ThreadId = thread.parse().expect("a thread's id");
    let message: MessageId = message.parse().expect("a message's id");
    let (thread, message) = (thread.uuid().to_string(), message.uuid().to_string());
    let sql = Server::get().await.sql().await;
    let tables = "SELECT DISTINCT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND column_name IN ('thread_id', 'message_id')";
    let mut found = String::new();
    for row in sql.query(tables, &[]).await.expect("the catalog") {
        let (table, column): (String, String) = (row.get(0), row.get(1));
        let id = if column == "thread_id" {
            &thread
        } else {
            &message
        };
        let rows = format!("SELECT t::text FROM {table} t WHERE {column} = $1::text::uuid");
        for row in sql.query(&rows, &[id]).await.expect("its rows") {
            found += &row.get::<_, String>(0);
        }
    }
    found
}

/// A message that grew and was edited, with a reaction; what it said is `SECRET` each time.
async fn secret(support: &Support, thread: &str) -> String {
    let message = write(&support.agent, thread, json!({ "body": "SECRET 1" }), "id")
        .await
        .text("/message/id");
    let append = json!({ "messageId": message, "text": " SECRET 2" });
    support
        .agent
        .mutate("appendMessage", append, "message { id }")
        .await
        .at("");
    edit(
        &support.agent,
        &message,
        json!({ "bodyHtml": "<p>SECRET 3</p>" }),
    )
    .await;
    edit(
        &support.agent,
        &message,
        json!({ "content": content("SECRET 4") }),
    )
    .await;
    edit(&support.agent, &message, json!({ "body": "Nothing" })).await;
    message
}

#[tokio::test]
async fn deleting_a_message_for_good_erases_what_it_ever_said() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let start = read_thread(&support.contact, &thread, "cursor").await;
    let message = secret(&support, &thread).await;
    let before = stored(&thread, &message).await;
    for number in ["SECRET 1", "SECRET 2", "SECRET 3", "SECRET 4"] {
        assert!(before.contains(number), "{before}");
    }
    let input = json!({ "messageId": message, "permanently": true });
    support
        .admin
        .mutate("deleteMessage", input, "deletedMessageId")
        .await
        .at("");
    assert!(!stored(&thread, &message).await.contains("SECRET"));
    // A resume over it tells that there was something, and not what.
    let mut events = follow(&support.contact, &thread, start["cursor"].as_str()).await;
    let told = events
        .until(|event| event["__typename"] == "MessageRemoved")
        .await;
    assert!(!json!(told).to_string().contains("SECRET"), "{told:?}");
    assert_eq!(told.last().expect("one")["messageId"], *message);
}

#[tokio::test]
async fn deleting_a_thread_for_good_erases_what_was_said_in_it() {
    let support = Support::new().await;
    let thread = support.thread(None).await;
    let message = secret(&support, &thread).await;
    let input = json!({ "threadId": thread });
    support
        .backend()
        .mutate("deleteThread", input, "deletedThreadId")
        .await
        .at("");
    assert!(!stored(&thread, &message).await.contains("SECRET"));
}
