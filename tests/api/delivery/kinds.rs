//! Which messages go out of an inbox, and by which calls.

use serde_json::json;

use super::{Shop, upsert};
use crate::chatwoot::{read, with, wrote};
use crate::support::receiver::Receiver;
use crate::support::unique;

#[tokio::test]
async fn nothing_but_what_is_said_to_the_contact_goes_out() {
    let receiver = Receiver::taking().await;
    let shop = Shop::new(&receiver.url()).await;
    let backend = &shop.tenant.backend;
    let note = json!({ "body": "A note", "private": true });
    let note = wrote(&shop.agent, &shop.thread, note).await;
    let action = json!({ "body": "Something happened", "type": "ACTION" });
    let action = wrote(backend, &shop.thread, action).await;
    let draft = json!({ "body": "A draft", "status": "DRAFT" });
    let draft = wrote(&shop.agent, &shop.thread, draft).await;
    let incoming = shop.contact.say(&shop.thread, "By the contact").await;
    let brought = json!({ "body": "Brought in", "direction": "INCOMING" });
    let brought = wrote(&shop.agent, &shop.thread, brought).await;
    let import = json!({
        "body": "An import", "senderId": shop.agent.id, "sentAt": "2020-01-01T00:00:00Z",
    });
    let import = wrote(backend, &shop.thread, import).await;
    let resolve = json!({ "threadId": shop.thread, "resolved": true });
    shop.agent
        .mutate("updateThread", resolve, "thread { id }")
        .await
        .at("");
    let plain = shop.agent.open_thread(json!({})).await;
    let plain = shop.agent.say(&plain, "In no inbox").await;
    for (message, status) in [
        (&note, "SENT"),
        (&action, "SENT"),
        (&draft, "DRAFT"),
        (&incoming, "SENT"),
        (&brought, "SENT"),
        (&import, "SENT"),
        (&plain, "SENT"),
    ] {
        let state = read(&shop.agent, message, "status").await;
        assert_eq!(state["status"], status, "{message}");
    }
    let last = shop.say("To the contact").await;
    shop.until(&last, "SENT").await;
    assert_eq!(receiver.words(), ["To the contact"]);
    // A draft goes out when it is sent.
    let sent = shop
        .agent
        .mutate(
            "sendMessage",
            json!({ "messageId": draft }),
            "message { status }",
        )
        .await;
    assert_eq!(sent.text("/message/status"), "SENDING");
    shop.until(&draft, "SENT").await;
    assert_eq!(receiver.words(), ["To the contact", "A draft"]);
}

#[tokio::test]
async fn a_web_inbox_calls_nobody() {
    let receiver = Receiver::taking().await;
    let shop = Shop::new(&receiver.url()).await;
    let web = unique("web");
    let input = json!({ "channel": "WEB", "webhookUrl": receiver.url() });
    upsert(&shop.tenant, &web, input).await.at("");
    let input = json!({ "inboxId": web, "participantIds": [shop.contact.id] });
    let thread = shop.agent.open_thread(input).await;
    let said = wrote(&shop.agent, &thread, json!({ "body": "Hello" })).await;
    assert_eq!(read(&shop.agent, &said, "status").await["status"], "SENT");
    let last = shop.say("By the other one").await;
    shop.until(&last, "SENT").await;
    assert_eq!(receiver.words(), ["By the other one"]);
}

#[tokio::test]
async fn every_way_to_send_leads_out() {
    let receiver = Receiver::taking().await;
    let shop = Shop::new(&receiver.url()).await;
    let backend = &shop.tenant.backend;
    let opening = json!({ "inboxId": shop.inbox, "participantIds": [shop.contact.id] });
    let first = json!({
        "organizationId": shop.tenant.id, "subject": "One",
        "message": { "body": "first", "senderId": shop.agent.id },
    });
    let opened = backend
        .mutate(
            "createThread",
            with(opening.clone(), first),
            "message { id status }",
        )
        .await;
    assert_eq!(opened.text("/message/status"), "SENDING");
    shop.until(&opened.text("/message/id"), "SENT").await;
    let create = with(opening, json!({ "subject": "Two", "access": "AGENTS" }));
    let said = json!({ "body": "second", "createThread": create });
    let said = wrote(&shop.agent, &unique("thread"), said).await;
    shop.until(&said, "SENT").await;
    // By nobody in particular.
    let said = wrote(backend, &shop.thread, json!({ "body": "third" })).await;
    shop.until(&said, "SENT").await;
    let html = json!({ "bodyHtml": "<b>fourth</b>" });
    let said = wrote(&shop.agent, &shop.thread, html).await;
    shop.until(&said, "SENT").await;
    assert_eq!(receiver.words(), ["first", "second", "third", "fourth"]);
    let calls = receiver.calls();
    assert_eq!(*calls[2].at("/message/sender"), json!(null));
    assert_eq!(*calls[2].at("/actor"), json!(null));
    assert_eq!(*calls[3].at("/message/bodyHtml"), json!("<b>fourth</b>"));
}
