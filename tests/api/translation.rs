//! Messages in other languages: translated once for all who ask, kept until the message changes.

mod failing;

pub mod provider;

mod sharing;

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::talk::{Talk, act, before, edit};
use crate::support::{Actor, Answer, Tenant};
use provider::{KEY, Provider};

/// What is looked at in a translation.
const TRANSLATION: &str = "language body bodyHtml content sourceLanguage provider createdAt";

/// A talk at a server with a provider.
struct Here {
    provider: Provider,
    server: &'static Server,
    talk: Talk,
    ada: Actor,
    bob: Actor,
}

impl Here {
    async fn new() -> Self {
        Self::at(
            Provider::knowing(&["en", "de", "fr", "pt", "zh-Hant"]).await,
            &[],
        )
        .await
    }

    async fn at(provider: Provider, settings: &[&str]) -> Self {
        let server = served(&provider, settings).await;
        let talk = Talk::new().await;
        Self {
            provider,
            server,
            ada: talk.ada.at(server),
            bob: talk.bob.at(server),
            talk,
        }
    }

    async fn say(&self, body: &str) -> String {
        self.ada.say(&self.talk.thread, body).await
    }
}

/// A server with that provider.
async fn served(provider: &Provider, settings: &[&str]) -> &'static Server {
    let url = provider.url();
    let fixed = ["--translate-url", &url, "--translate-key", KEY];
    Server::other(&[&fixed, settings].concat()).await
}

/// Has a message translated, whatever comes of it.
async fn translate(by: &Actor, message: &str, language: &str) -> Answer {
    let input = json!({ "messageId": message, "language": language });
    let selection = format!("translation {{ {TRANSLATION} }} message {{ id body }}");
    by.mutate("translateMessage", input, &selection).await
}

/// The body of a translation that is made.
async fn translated(by: &Actor, message: &str, language: &str) -> String {
    let answer = translate(by, message, language).await;
    answer.text("/translation/body")
}

/// What a message says in a language, by what is known.
async fn known(by: &Actor, message: &str, language: &str) -> Value {
    let query = "query($id: ID!, $l: String!) { message(id: $id) { translation(language: $l) { body language } } }";
    let read = by.run(query, json!({ "id": message, "l": language })).await;
    read.at("/message/translation")
}

#[tokio::test]
async fn a_message_is_translated_once_for_all_who_ask() {
    let here = Here::new().await;
    let message = here.say("Hello there").await;
    let mut events = here.talk.follow(&here.talk.bob).await;
    assert_eq!(known(&here.bob, &message, "de").await, Value::Null);
    let first = translate(&here.ada, &message, "de").await;
    assert_eq!(first.text("/translation/body"), "[de] Hello there");
    assert_eq!(first.text("/translation/language"), "de");
    assert_eq!(first.text("/translation/sourceLanguage"), "en");
    assert_eq!(first.text("/translation/provider"), "LibreTranslate");
    assert_eq!(first.at("/translation/bodyHtml"), Value::Null);
    assert_eq!(first.at("/translation/content"), Value::Null);
    assert_eq!(first.text("/message/id"), message);
    assert_eq!(first.text("/message/body"), "Hello there");
    let second = translate(&here.bob, &message, "DE").await;
    assert_eq!(second.at(""), first.at(""));
    for by in [&here.bob, &here.talk.tenant.backend] {
        let known = known(by, &message, "de").await;
        assert_eq!(known["body"], "[de] Hello there");
    }
    let question = json!({
        "q": "Hello there", "source": "auto", "target": "de", "format": "text", "api_key": KEY,
    });
    assert_eq!(here.provider.asked(), [question]);
    // Nobody is told of it.
    let mark = here.talk.mark().await;
    assert!(before(&mark, &mut events).await.is_empty());
}

#[tokio::test]
async fn an_edit_ends_its_translations() {
    let here = Here::new().await;
    let message = here.say("Hello").await;
    for language in ["de", "fr"] {
        translated(&here.bob, &message, language).await;
    }
    let other = json!({ "metadata": { "a": 1 } });
    edit(&here.ada, &message, other).await.text("/message/id");
    assert_eq!(known(&here.bob, &message, "de").await["body"], "[de] Hello");
    let words = json!({ "body": "Goodbye" });
    edit(&here.ada, &message, words).await.text("/message/id");
    assert_eq!(known(&here.bob, &message, "de").await, Value::Null);
    assert_eq!(translated(&here.bob, &message, "de").await, "[de] Goodbye");
    assert_eq!(known(&here.bob, &message, "fr").await, Value::Null);
    assert_eq!(here.provider.asked().len(), 3);
    // What the message no longer says is not kept either.
    assert_eq!(rows(&here, &message).await, 1);
}

#[tokio::test]
async fn structure_is_kept() {
    let here = Here::new().await;
    let mention = json!({ "type": "mention", "user": { "id": here.talk.bob.id }, "children": [{ "text": "@bob" }] });
    let content = json!([
        { "type": "p", "children": [{ "text": "Hello " }, mention, { "text": ", see " },
          { "type": "link", "url": "https://example.com/hello", "children": [{ "text": "this", "bold": true }] }] },
        { "type": "code", "children": [{ "text": "print(hello)" }] },
    ]);
    let message = here
        .talk
        .posted(&here.ada, json!({ "content": content }))
        .await;
    let answer = translate(&here.bob, &message, "de").await;
    assert_eq!(
        answer.at("/translation/content"),
        json!([
            { "type": "p", "children": [{ "text": "[de] Hello " }, mention, { "text": "[de] , see " },
              { "type": "link", "url": "https://example.com/hello", "children": [{ "text": "[de] this", "bold": true }] }] },
            { "type": "code", "children": [{ "text": "print(hello)" }] },
        ])
    );
    let body = answer.text("/translation/body");
    assert_eq!(body, "[de] Hello @bob[de] , see [de] this\nprint(hello)");
    let html = answer.text("/translation/bodyHtml");
    assert!(html.contains("<b>[de] this</b></a>"), "{html}");
    let asked = here.provider.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["q"], json!(["Hello", ", see", "this"]));
    assert_eq!(asked[0]["format"], "text");
}

#[tokio::test]
async fn html_stays_html_and_is_sanitized() {
    let here = Here::new().await;
    let html = "<p>Hello <b>you</b></p>";
    let message = here
        .talk
        .posted(&here.ada, json!({ "bodyHtml": html }))
        .await;
    let reply = "<p onclick=\"x()\">Hallo <b>du</b><script>alert(1)</script></p>";
    here.provider.says(200, json!({ "translatedText": reply }));
    let answer = translate(&here.bob, &message, "de").await;
    assert_eq!(
        answer.text("/translation/bodyHtml"),
        "<p>Hallo <b>du</b></p>"
    );
    assert_eq!(answer.text("/translation/body"), "Hallo du");
    assert_eq!(answer.at("/translation/sourceLanguage"), Value::Null);
    let asked = here.provider.asked();
    assert_eq!(
        (&asked[0]["q"], &asked[0]["format"]),
        (&json!(html), &json!("html"))
    );
}

#[tokio::test]
async fn a_language_is_a_bcp_47_tag_in_its_canonical_form() {
    let here = Here::new().await;
    let message = here.say("Hello").await;
    for bad in ["", "german", "de_DE", "xx", "und", "de; drop", "x-mine"] {
        let answer = translate(&here.ada, &message, bad).await;
        assert_eq!(answer.faults(), ["language"], "{bad}");
        let query = "query($id: ID!, $l: String!) { message(id: $id) { translation(language: $l) { body } } }";
        let read = here
            .ada
            .run(query, json!({ "id": message, "l": bad }))
            .await;
        assert_eq!(read.faults(), ["language"], "{bad}");
    }
    assert!(here.provider.asked().is_empty());
    // It knows Portuguese, wherever it is spoken, and is asked for it once.
    for (given, canonical) in [("PT-br", "pt-BR"), ("pt-PT", "pt-PT"), ("pt", "pt")] {
        let answer = translate(&here.ada, &message, given).await;
        assert_eq!(answer.text("/translation/language"), canonical);
        assert_eq!(answer.text("/translation/body"), "[pt] Hello");
        let known = known(&here.bob, &message, canonical).await;
        assert_eq!(known["language"], canonical);
    }
    assert_eq!(here.provider.asked().len(), 1);
    let chinese = translated(&here.ada, &message, "zh-TW").await;
    assert_eq!(chinese, "[zh-Hant] Hello");
    let unknown = translate(&here.ada, &message, "is").await;
    assert_eq!(unknown.code(), "TRANSLATION_FAILED");
    assert!(said(&unknown).contains("does not translate into is"));
    assert_eq!(here.provider.asked().len(), 2);
}

#[tokio::test]
async fn a_provider_that_does_not_tell_its_languages_is_asked_all_the_same() {
    let here = Here::at(Provider::reserved().await, &[]).await;
    let message = here.say("Hello").await;
    assert_eq!(translated(&here.ada, &message, "de-AT").await, "[de] Hello");
    assert_eq!(translated(&here.ada, &message, "is").await, "[is] Hello");
    assert_eq!(here.provider.listed(), 1);
}

#[tokio::test]
async fn what_has_no_words_is_the_same_in_every_language() {
    let here = Here::new().await;
    let message = here.say("\u{1f44d} 42").await;
    assert_eq!(translated(&here.bob, &message, "de").await, "\u{1f44d} 42");
    assert_eq!(
        known(&here.bob, &message, "de").await["body"],
        "\u{1f44d} 42"
    );
    assert!(here.provider.asked().is_empty());
}

#[tokio::test]
async fn who_does_not_see_a_message_does_not_get_it_translated() {
    let here = Here::new().await;
    let tenant = &here.talk.tenant;
    let (agent, contact) = (tenant.agent("agent").await, tenant.contact("contact").await);
    let stranger = Tenant::new().await.admin("stranger").await;
    here.talk.admit(&agent).await;
    here.talk.admit(&contact).await;
    let note = json!({ "body": "A note", "private": true });
    let note = here.talk.posted(&agent, note).await;
    let draft = here
        .talk
        .drafted(&here.ada, json!({ "body": "Not yet" }))
        .await;
    let open = here.say("Hello").await;
    for (by, message) in [
        (&stranger.actor(), &open),
        (&stranger.actor(), &note),
        (&contact.actor(), &note),
        (&here.ada, &note),
        (&here.bob, &draft),
        (&agent.actor(), &draft),
        (&here.ada, &"msg_unknown".to_owned()),
    ] {
        let answer = translate(&by.at(here.server), message, "de").await;
        assert_eq!(answer.code(), "NOT_FOUND");
    }
    assert!(here.provider.asked().is_empty());
    for (by, message, body) in [
        (&contact.actor(), &open, "[de] Hello"),
        (&agent.actor(), &note, "[de] A note"),
        (&here.ada, &draft, "[de] Not yet"),
    ] {
        let by = by.at(here.server);
        assert_eq!(translated(&by, message, "de").await, body);
        assert_eq!(known(&by, message, "de").await["body"], body);
    }
}

#[tokio::test]
async fn a_deleted_message_has_no_translations() {
    let here = Here::new().await;
    let message = here.say("Hello").await;
    translated(&here.bob, &message, "de").await;
    act(&here.ada, "deleteMessage", &message)
        .await
        .text("/message/id");
    assert_eq!(known(&here.bob, &message, "de").await, Value::Null);
    for by in [&here.ada, &here.talk.tenant.backend.at(here.server)] {
        let answer = translate(by, &message, "de").await;
        assert_eq!(answer.code(), "CONFLICT");
    }
    // A backend that asks for what it said is told.
    let query =
        "query($t: ID!) { messages(filter: { threadId: $t, includeDeleted: true }) { nodes {
        body translation(language: \"de\") { body } } } }";
    let backend = &here.talk.tenant.backend;
    let read = backend.run(query, json!({ "t": here.talk.thread })).await;
    assert_eq!(
        read.text("/messages/nodes/0/translation/body"),
        "[de] Hello"
    );
    act(&here.ada, "restoreMessage", &message)
        .await
        .text("/message/id");
    assert_eq!(known(&here.bob, &message, "de").await["body"], "[de] Hello");
    assert_eq!(rows(&here, &message).await, 1);
    let input = json!({ "messageId": message, "permanently": true });
    let gone = backend.mutate("deleteMessage", input, "deletedMessageId");
    assert_eq!(gone.await.text("/deletedMessageId"), message);
    assert_eq!(rows(&here, &message).await, 0);
}

#[tokio::test]
async fn translations_move_with_their_thread() {
    let here = Here::new().await;
    let message = here.say("Hello").await;
    translated(&here.bob, &message, "de").await;
    let (root, other) = (Actor::root().await, Tenant::new().await);
    let input = json!({ "threadId": here.talk.thread, "organizationId": other.id });
    let moved = root.mutate("updateThread", input, "thread { organization { id } }");
    assert_eq!(moved.await.text("/thread/organization/id"), other.id);
    assert_eq!(known(&root, &message, "de").await["body"], "[de] Hello");
    assert_eq!(
        translated(&root.at(here.server), &message, "fr").await,
        "[fr] Hello"
    );
}

#[tokio::test]
async fn who_follows_a_thread_is_told_what_is_known() {
    let here = Here::new().await;
    let query = "subscription($id: ID!) { threadEvents(threadId: $id) {
        ... on MessageUpdated { message { metadata translation(language: \"de\") { body } } } } }";
    let message = here.say("Hello").await;
    translated(&here.bob, &message, "de").await;
    let variables = json!({ "id": here.talk.thread });
    let mut events = here.talk.bob.follow(query, variables).await;
    let change = json!({ "metadata": { "a": 1 } });
    edit(&here.ada, &message, change).await.text("/message/id");
    let told = events.event().await;
    assert_eq!(told["message"]["translation"]["body"], "[de] Hello");
}

/// How many translations are kept of a message.
async fn rows(here: &Here, message: &str) -> i64 {
    let id: bobbin::ids::MessageId = message.parse().expect("an id");
    let client = here.server.sql().await;
    let count = "SELECT count(*) FROM translations WHERE message_id::text = $1";
    let row = client.query_one(count, &[&id.uuid().to_string()]).await;
    row.expect("a number").get(0)
}

/// The message of the only error.
#[track_caller]
fn said(answer: &Answer) -> String {
    answer.code();
    let message = &answer.body["errors"][0]["message"];
    message.as_str().expect("a message").to_owned()
}
