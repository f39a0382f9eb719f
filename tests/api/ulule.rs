//! What users of Ulule Discussions know, a test for each row of their table: mail-like threads
//! with recipients.

mod drafts;

mod mailbox;

use serde_json::{Value, json};

use crate::support::talk::{Talk, act, before, edit, kinds, look, plus, read};
use crate::support::{Actor, Tenant};

/// Row `POST /threads/:id/messages`.
#[tokio::test]
async fn post_threads_messages_needs_body_html_structure_or_an_attachment() {
    let talk = Talk::new().await;
    let contact = talk.tenant.contact("contact").await;
    talk.admit(&contact).await;
    let words = json!({ "body": "Hello" });
    let writers: [&Actor; 3] = [&talk.bob, &contact, &talk.tenant.backend];
    for writer in writers {
        let sent = talk.post(writer, words.clone()).await;
        assert_eq!(sent.text("/message/status"), "SENT");
        assert!(sent.at("/message/sentAt").is_string());
    }
    // To all others the thread is not there.
    let (other, tenant) = (Tenant::new().await, &talk.tenant);
    let outsiders = [
        tenant.member("member").await,
        tenant.agent("agent").await,
        tenant.admin("admin").await,
        tenant.contact("stranger").await,
        other.admin("elsewhere").await,
    ];
    for outsider in &outsiders {
        assert_eq!(talk.post(outsider, words.clone()).await.code(), "NOT_FOUND");
    }
    let refused = talk.post(&other.backend, words.clone()).await;
    assert_eq!(refused.code(), "NOT_FOUND");
    let nobody = Actor::nobody().await;
    let refused = talk.post(&nobody, words).await;
    assert_eq!(refused.code(), "UNAUTHENTICATED");

    for empty in [
        json!({}),
        json!({ "body": "" }),
        json!({ "body": " \n\t" }),
        json!({ "bodyHtml": "  " }),
        json!({ "body": null, "bodyHtml": null, "content": null }),
        json!({ "status": "DRAFT" }),
        json!({ "metadata": { "a": 1 }, "contentAttributes": {} }),
    ] {
        let refused = talk.post(&talk.ada, empty.clone()).await;
        assert_eq!(refused.faults(), ["body", "bodyHtml"], "{empty}");
    }
    let structure = json!([{ "type": "p", "children": [{ "text": "Hi" }] }]);
    for (given, plaintext) in [
        (json!({ "body": "Hi" }), "Hi"),
        (json!({ "bodyHtml": "<i>Hi</i>" }), "Hi"),
        (json!({ "content": structure }), "Hi"),
        (json!({ "content": [] }), ""),
    ] {
        let sent = talk.post(&talk.ada, given).await;
        assert_eq!(sent.text("/message/plaintext"), plaintext);
    }
    let file = json!({ "attachmentIds": [talk.ada.uploaded("a.txt").await] });
    let sent = talk.post(&talk.ada, file).await;
    assert_eq!(sent.text("/message/body"), "");
    status_is_draft_or_sent(&talk).await;
}

/// A part of the row above.
async fn status_is_draft_or_sent(talk: &Talk) {
    let given = json!({ "body": "Later", "status": "DRAFT" });
    let draft = talk.post(&talk.ada, given).await;
    assert_eq!(draft.text("/message/status"), "DRAFT");
    assert!(draft.at("/message/sentAt").is_null());
    let sent = act(&talk.ada, "sendMessage", &draft.text("/message/id")).await;
    assert_eq!(sent.text("/message/status"), "SENT");
    assert!(sent.text("/message/sentAt") > draft.text("/message/createdAt"));
    let explicit = json!({ "body": "Now", "status": "SENT" });
    let explicit = talk.post(&talk.ada, explicit).await;
    assert_eq!(explicit.text("/message/status"), "SENT");
    for status in ["SENDING", "SEEN", "FAILED", "draft"] {
        let input = json!({ "body": "Never", "status": status });
        let refused = talk.post(&talk.tenant.backend, input).await;
        assert_eq!(refused.code(), "GRAPHQL_VALIDATION_FAILED", "{status}");
    }
    let last = talk.words(&talk.bob).await.pop();
    assert_eq!(last.as_deref(), Some("Now"));
}

/// Row `PATCH /messages/:id`.
#[tokio::test]
async fn patch_messages_is_for_the_sender_and_takes_body_and_body_html() {
    let talk = Talk::with(json!({ "access": "ORGANIZATION" })).await;
    let (agent, admin) = (
        talk.tenant.agent("agent").await,
        talk.tenant.admin("admin").await,
    );
    let id = talk.posted(&talk.bob, json!({ "body": "Frist" })).await;
    let mut events = talk.follow(&talk.ada).await;
    let body = json!({ "body": "First" });
    // They see it, and may not change it.
    let others: [&Actor; 3] = [&talk.ada, &agent, &admin];
    for other in others {
        let refused = edit(other, &id, body.clone()).await;
        assert_eq!(refused.code(), "FORBIDDEN");
    }
    let stranger = talk.tenant.contact("stranger").await;
    let elsewhere = Tenant::new().await.admin("elsewhere").await;
    for outsider in [&stranger, &elsewhere] {
        let refused = edit(outsider, &id, body.clone()).await;
        assert_eq!(refused.code(), "NOT_FOUND");
    }
    let edited = edit(&talk.bob, &id, body).await;
    assert_eq!(edited.text("/message/body"), "First");
    assert!(edited.at("/message/updatedAt").is_string());
    assert_eq!(read(&talk.ada, &id).await.text("/message/body"), "First");
    let edited = edit(&talk.bob, &id, json!({ "bodyHtml": "<b>One</b>" })).await;
    assert_eq!(edited.text("/message/bodyHtml"), "<b>One</b>");
    assert_eq!(edited.text("/message/plaintext"), "One");
    let both = json!({ "body": "1", "bodyHtml": "<i>1</i><script>x()</script>" });
    let edited = edit(&talk.bob, &id, both).await;
    assert_eq!(edited.text("/message/body"), "1");
    assert_eq!(edited.text("/message/bodyHtml"), "<i>1</i>");
    for empty in [
        json!({ "body": "" }),
        json!({ "body": null, "bodyHtml": null }),
        json!({ "body": " ", "bodyHtml": "\n" }),
        json!({ "bodyHtml": "<script>x()</script>" }),
    ] {
        let refused = edit(&talk.bob, &id, empty.clone()).await;
        assert_eq!(refused.faults(), ["body", "bodyHtml"], "{empty}");
    }
    // Clearing one form leaves the other.
    let cleared = edit(&talk.bob, &id, json!({ "body": null })).await;
    assert_eq!(cleared.text("/message/body"), "");
    assert_eq!(cleared.text("/message/bodyHtml"), "<i>1</i>");
    let long = json!({ "body": "x".repeat(150_001), "bodyHtml": "x".repeat(150_001) });
    let refused = edit(&talk.bob, &id, long).await;
    assert_eq!(refused.faults(), ["body", "bodyHtml"]);
    let refused = edit(&talk.bob, "no-such-message", json!({ "body": "x" })).await;
    assert_eq!(refused.code(), "NOT_FOUND");

    let mark = talk.mark().await;
    let heard = before(&mark, &mut events).await;
    assert_eq!(kinds(&heard), ["MessageUpdated"; 4]);
    assert_eq!(heard[2]["message"]["body"], "1");
    assert_eq!(heard[3]["message"]["body"], "");
    assert_eq!(heard[3]["actor"]["name"], "bob");
}

const PAGE: &str = "query($t: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    thread(id: $t) { messages(first: $first, after: $after, last: $last, before: $before) {
      totalCount edges { cursor } nodes { body sentAt }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }";

/// Row `GET /threads/:id/messages`.
#[tokio::test]
async fn get_threads_messages_pages_both_ways_by_the_time_of_sending() {
    let talk = Talk::new().await;
    // Four moments in the wrong order, six messages at each.
    for n in 0..24 {
        let at = format!("2020-01-01T00:00:0{}Z", 3 - n / 6);
        let import = json!({ "senderId": talk.bob.id, "body": format!("{n:02}"), "sentAt": at });
        talk.posted(&talk.tenant.backend, import).await;
    }
    let in_order = [18..24, 12..18, 6..12, 0..6].into_iter().flatten();
    let expected: Vec<String> = in_order.map(|n| format!("{n:02}")).collect();
    let readers: [&Actor; 3] = [&talk.ada, &talk.bob, &talk.tenant.backend];
    for (reader, size) in readers.into_iter().zip([5, 1, 24]) {
        assert_eq!(walk(&talk, reader, size, true).await, expected);
        assert_eq!(walk(&talk, reader, size, false).await, expected);
    }
    let page = |arguments: Value| {
        let variables = plus(json!({ "t": talk.thread }), arguments);
        let reader = talk.ada.actor();
        async move { reader.run(PAGE, variables).await }
    };
    let default = page(json!({})).await;
    assert_eq!(default.texts("/thread/messages/nodes", "/body").len(), 20);
    assert_eq!(default.number("/thread/messages/totalCount"), 24);
    // What is sent meanwhile neither moves nor repeats anything of the next page.
    let cursor = default.text("/thread/messages/edges/9/cursor");
    talk.ada.say(&talk.thread, "Newest").await;
    let import = json!({ "body": "Oldest", "sentAt": "2019-01-01T00:00:00Z" });
    talk.posted(&talk.tenant.backend, import).await;
    let next = page(json!({ "first": 5, "after": cursor })).await;
    assert_eq!(
        next.texts("/thread/messages/nodes", "/body"),
        expected[10..15]
    );
    let newest = page(json!({ "last": 1 })).await;
    assert_eq!(newest.text("/thread/messages/nodes/0/body"), "Newest");
    for (arguments, fault) in [
        (json!({ "first": 0 }), "first"),
        (json!({ "first": 101 }), "first"),
        (json!({ "last": 0 }), "last"),
        (json!({ "first": 1, "last": 1 }), "last"),
        (json!({ "after": "x" }), "after"),
        (json!({ "last": 2, "before": "x" }), "before"),
    ] {
        assert_eq!(page(arguments).await.faults(), [fault]);
    }
    let stranger = talk.tenant.agent("stranger").await;
    let refused = stranger.run(PAGE, json!({ "t": talk.thread })).await;
    assert_eq!(refused.code(), "NOT_FOUND");
}

/// All that a reader finds page by page.
async fn walk(talk: &Talk, by: &Actor, size: i32, forward: bool) -> Vec<String> {
    let (mut found, mut from) = (Vec::new(), Value::Null);
    let (count, key, end, more) = if forward {
        ("first", "after", "endCursor", "hasNextPage")
    } else {
        ("last", "before", "startCursor", "hasPreviousPage")
    };
    loop {
        let variables = json!({ "t": talk.thread, count: size, key: from });
        let page = by.run(PAGE, variables).await;
        let part = page.texts("/thread/messages/nodes", "/body");
        let place = if forward { found.len() } else { 0 };
        found.splice(place..place, part);
        from = page.at(&format!("/thread/messages/pageInfo/{end}"));
        if page.at(&format!("/thread/messages/pageInfo/{more}")) == json!(false) {
            return found;
        }
    }
}

/// Row `body_html`.
#[tokio::test]
async fn body_html_is_sanitized_on_the_way_in_and_gives_the_plaintext() {
    let talk = Talk::new().await;
    let dirty = r#"<p onclick="x()" style="color:red">Fish &amp; <b>chips</b></p><script>x()</script>
        <iframe src="https://example.com"></iframe><a href="javascript:x()">here</a>
        <img src=x onerror=x()><a href="https://example.com">there</a>"#;
    let sent = talk.post(&talk.ada, json!({ "bodyHtml": dirty })).await;
    let draft = json!({ "bodyHtml": dirty, "status": "DRAFT" });
    let draft = talk.post(&talk.ada, draft).await;
    let plain = talk.posted(&talk.ada, json!({ "body": "Plain" })).await;
    let edited = edit(&talk.ada, &plain, json!({ "bodyHtml": dirty })).await;
    let opened = json!({ "subject": "New", "message": { "bodyHtml": dirty } });
    let opened = talk
        .ada
        .mutate(
            "createThread",
            opened,
            "message { body bodyHtml plaintext }",
        )
        .await;
    let stored = read(&talk.bob, &sent.text("/message/id")).await;
    for answer in [sent, draft, edited, opened, stored] {
        let html = answer.text("/message/bodyHtml");
        assert!(html.contains("<p>Fish &amp; <b>chips</b></p>"), "{html}");
        assert!(html.contains(r#"<a href="https://example.com""#), "{html}");
        for bad in ["script", "onclick", "onerror", "style", "iframe", "x()"] {
            assert!(!html.contains(bad), "{html}");
        }
        assert_eq!(answer.text("/message/body"), "");
        let plaintext = answer.text("/message/plaintext");
        assert!(plaintext.starts_with("Fish & chips"), "{plaintext}");
        assert!(!plaintext.contains(['<', '>']), "{plaintext}");
    }
    // A reader that knows HTML alone falls back to the body.
    let body = talk.post(&talk.ada, json!({ "body": "1 < 2 <b>" })).await;
    assert!(body.at("/message/bodyHtml").is_null());
    assert_eq!(body.text("/message/body"), "1 < 2 <b>");
    assert_eq!(body.text("/message/plaintext"), "1 < 2 <b>");
    let both = json!({ "body": "Words", "bodyHtml": "<b>Other words</b>" });
    let both = talk.post(&talk.ada, both).await;
    assert_eq!(both.text("/message/plaintext"), "Words");
    let long = json!({ "bodyHtml": "x".repeat(150_001) });
    let refused = talk.post(&talk.ada, long).await;
    assert_eq!(refused.faults(), ["bodyHtml"]);
}

/// Row `sender_deleted_at`.
#[tokio::test]
async fn sender_deleted_at_is_a_tombstone_made_by_the_sender_or_an_admin() {
    let talk = Talk::with(json!({ "access": "AGENTS" })).await;
    let admin = talk.tenant.admin("admin").await;
    let structure = json!([{ "type": "p", "children": [{ "text": "Secret" }] }]);
    let words = json!({ "body": "Secret", "bodyHtml": "<b>Secret</b>", "content": structure });
    let (by_sender, by_admin) = (
        talk.posted(&talk.bob, words.clone()).await,
        talk.posted(&talk.bob, words).await,
    );
    let last = talk.ada.say(&talk.thread, "Last").await;
    let thumb = json!({ "messageId": by_sender, "emoji": "👍" });
    talk.ada
        .mutate("addReaction", thumb, "message { id }")
        .await
        .text("/message/id");
    let mut events = talk.follow(&talk.ada).await;

    for (who, code) in [
        (&talk.ada, "FORBIDDEN"),
        (&talk.tenant.contact("stranger").await, "NOT_FOUND"),
        (&Tenant::new().await.admin("elsewhere").await, "NOT_FOUND"),
    ] {
        let refused = act(who, "deleteMessage", &by_sender).await;
        assert_eq!(refused.code(), code);
    }
    // An admin deletes where he sees.
    let hidden = Talk::new().await;
    let unseen = hidden.ada.say(&hidden.thread, "Unseen").await;
    let outside = hidden.tenant.admin("outside").await;
    let refused = act(&outside, "deleteMessage", &unseen).await;
    assert_eq!(refused.code(), "NOT_FOUND");

    let first = act(&talk.bob, "deleteMessage", &by_sender).await;
    act(&admin, "deleteMessage", &by_admin)
        .await
        .at("/message/deletedAt");
    // Again changes nothing, not even the time.
    let again = act(&talk.bob, "deleteMessage", &by_sender).await;
    assert_eq!(again.at("/message"), first.at("/message"));
    let readers: [&Actor; 4] = [&talk.ada, &talk.bob, &admin, &talk.tenant.backend];
    for reader in readers {
        let read = read(reader, &by_sender).await;
        assert!(read.at("/message/deletedAt").is_string());
        for empty in ["body", "plaintext"] {
            assert_eq!(read.text(&format!("/message/{empty}")), "");
        }
        assert!(read.at("/message/bodyHtml").is_null());
        assert!(read.at("/message/content").is_null());
        assert_eq!(read.at("/message/reactions"), json!([]));
        assert_eq!(read.at("/message/canEdit"), json!(false));
        // It keeps its place.
        let list = look(reader, &talk.thread).await;
        let ids = list.texts("/thread/messages/nodes", "/id");
        assert_eq!(ids, [&*by_sender, &*by_admin, &*last]);
    }
    let refused = edit(&talk.bob, &by_sender, json!({ "body": "Back" })).await;
    assert_eq!(refused.code(), "CONFLICT");
    let mark = talk.mark().await;
    let heard = before(&mark, &mut events).await;
    assert_eq!(kinds(&heard), ["MessageUpdated"; 2]);
    assert_eq!(heard[0]["message"]["id"], json!(by_sender));
    assert!(heard[0]["message"]["deletedAt"].is_string());
    assert_eq!(heard[0]["message"]["body"], "");
    assert_eq!(heard[1]["actor"]["name"], "admin");

    let restored = act(&talk.bob, "restoreMessage", &by_sender).await;
    assert_eq!(restored.text("/message/body"), "Secret");
}
