//! The row about translations.

use serde_json::{Value, json};

use super::{Support, read, with};
use crate::support::Actor;
use crate::support::server::Server;
use crate::translation::provider::{KEY, Provider};

async fn translate(by: &Actor, message: &str, language: &str) -> String {
    let input = json!({ "messageId": message, "language": language });
    let done = by.mutate("translateMessage", input, "translation { body }");
    done.await.text("/translation/body")
}

/// Row: translate, cached.
#[tokio::test]
async fn translate_once_for_all_who_ask_until_it_is_edited() {
    let provider = Provider::knowing(&["en", "de"]).await;
    let url = provider.url();
    let server = Server::other(&["--translate-url", &url, "--translate-key", KEY]).await;
    let support = Support::new().await;
    let (agent, contact) = (support.agent.at(server), support.contact.at(server));
    let thread = support.thread(Some(&support.web)).await;
    let message = agent.say(&thread, "Hello").await;
    let known = async || {
        let read = read(&contact, &message, "translation(language: \"de\") { body }");
        read.await["translation"].clone()
    };
    assert_eq!(known().await, Value::Null);
    let (one, other) = tokio::join!(
        translate(&agent, &message, "de"),
        translate(&contact, &message, "de")
    );
    assert_eq!([one, other], ["[de] Hello", "[de] Hello"]);
    assert_eq!(known().await, json!({ "body": "[de] Hello" }));
    assert_eq!(provider.asked().len(), 1);
    let input = with(json!({ "messageId": message }), json!({ "body": "Bye" }));
    let edited = agent.mutate("updateMessage", input, "message { id }");
    edited.await.text("/message/id");
    assert_eq!(known().await, Value::Null);
    assert_eq!(translate(&contact, &message, "de").await, "[de] Bye");
    let input = json!({ "messageId": message, "language": "not a language" });
    let refused = agent.mutate("translateMessage", input, "message { id }");
    assert_eq!(refused.await.code(), "BAD_USER_INPUT");
}
