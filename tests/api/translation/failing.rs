//! Providers that are not there, do not want to, take long or answer nonsense.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::process::Command;

use super::provider::{KEY, Provider};
use super::{Here, known, said, translate, translated};
use crate::support::server::Server;
use crate::support::socket::eventually;
use crate::support::talk::Talk;

#[tokio::test]
async fn without_a_provider_nothing_is_translated() {
    let talk = Talk::new().await;
    let message = talk.ada.say(&talk.thread, "Hello").await;
    let answer = translate(&talk.bob, &message, "de").await;
    assert_eq!(answer.code(), "TRANSLATION_FAILED");
    assert_eq!(said(&answer), "no provider is configured");
}

#[tokio::test]
async fn a_provider_that_refuses_is_quoted() {
    let here = Here::new().await;
    let message = here.say("Hello").await;
    for (status, body, reason) in [
        (
            400,
            json!({ "error": "exceeds text limit (5)" }),
            "exceeds text limit (5) (400)",
        ),
        (
            403,
            json!({ "error": format!("Invalid API key {KEY}") }),
            "Invalid API key [key] (403)",
        ),
        (404, json!("<html>"), "it answered 404"),
        (
            500,
            json!({ "error": "Cannot\ntranslate" }),
            "Cannot translate (500)",
        ),
    ] {
        here.provider.says(status, body);
        let answer = translate(&here.ada, &message, "de").await;
        assert_eq!(answer.code(), "TRANSLATION_FAILED");
        assert_eq!(said(&answer), format!("the translation provider: {reason}"));
    }
    here.provider.says_with(
        429,
        "retry-after",
        "17",
        json!({ "error": "Slowdown: 1 per hour" }),
    );
    let answer = translate(&here.ada, &message, "de").await;
    assert!(said(&answer).ends_with("Slowdown: 1 per hour (429), retry after 17 s"));
    here.provider
        .says(400, json!({ "error": "x".repeat(60_000) }));
    let answer = translate(&here.ada, &message, "de").await;
    assert!(said(&answer).len() < 500);
    assert!(known(&here.ada, &message, "de").await.is_null());
    here.provider.works();
    assert_eq!(translated(&here.ada, &message, "de").await, "[de] Hello");
}

#[tokio::test]
async fn nonsense_is_no_translation() {
    let here = Here::new().await;
    let content = json!([{ "type": "p", "children": [{ "text": "Hello " }, { "text": "you", "bold": true }] }]);
    let message = here
        .talk
        .posted(&here.ada, json!({ "content": content }))
        .await;
    for body in [
        "<html>".to_owned(),
        json!({ "translatedText": ["one"] }).to_string(),
        json!({ "translatedText": ["a", "b"], "padding": "x".repeat(1 << 20) }).to_string(),
    ] {
        here.provider.says(200, body);
        let answer = translate(&here.ada, &message, "de").await;
        assert_eq!(answer.code(), "TRANSLATION_FAILED");
    }
    assert!(known(&here.ada, &message, "de").await.is_null());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let here = Here::new().await;
    let elsewhere = Provider::knowing(&["de"]).await;
    let message = here.say("Hello").await;
    let url = format!("{}translate", elsewhere.url());
    here.provider.says_with(307, "location", &url, "");
    let answer = translate(&here.ada, &message, "de").await;
    assert_eq!(said(&answer), "the translation provider: it answered 307");
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_slow_provider_is_not_waited_for() {
    let provider = Provider::knowing(&["de"]).await;
    let here = Here::at(provider, &["--translate-timeout", "1"]).await;
    let message = here.say("Hello").await;
    here.provider.close();
    let began = Instant::now();
    let answer = translate(&here.ada, &message, "de").await;
    assert_eq!(answer.code(), "TRANSLATION_FAILED");
    assert!(said(&answer).ends_with("it did not answer within 1 s"));
    assert!(began.elapsed() < Duration::from_secs(8));
    here.provider.open();
    assert_eq!(translated(&here.ada, &message, "de").await, "[de] Hello");
}

#[tokio::test]
async fn a_provider_that_is_down_is_left_alone_and_found_again() {
    let provider = Provider::knowing(&["de", "fr"]).await;
    let here = Here::at(provider, &["--translate-rest", "2000"]).await;
    let message = here.say("Hello").await;
    translated(&here.ada, &message, "fr").await;
    here.provider.says(503, "");
    for _ in 0..5 {
        let answer = translate(&here.ada, &message, "de").await;
        assert!(said(&answer).ends_with("it answered 503"));
    }
    let answer = translate(&here.bob, &message, "de").await;
    assert_eq!(answer.code(), "TRANSLATION_FAILED");
    assert!(said(&answer).contains("has failed several times on end"));
    // Nobody has to do without what is known already.
    assert_eq!(translated(&here.bob, &message, "fr").await, "[fr] Hello");
    assert_eq!(here.provider.asked().len(), 6);
    here.provider.works();
    eventually("it is asked again", async || {
        translate(&here.bob, &message, "de")
            .await
            .body
            .get("errors")
            .is_none()
    })
    .await;
    assert_eq!(here.provider.asked().len(), 7);
    let counted = here.server.http.get(here.server.url("/metrics")).send();
    let counted = counted.await.expect("an answer").text().await;
    let counted = counted.expect("a text");
    for line in [
        "bobbin_translations_total{outcome=\"failed\"} 5",
        "bobbin_translations_total{outcome=\"made\"} 2",
        "bobbin_translations_total{outcome=\"cached\"} 1",
    ] {
        assert!(counted.lines().any(|found| found == line), "{counted}");
    }
}

#[tokio::test]
async fn a_provider_that_refuses_often_is_asked_all_the_same() {
    let here = Here::new().await;
    let message = here.say("Hello").await;
    here.provider.says(400, json!({ "error": "no" }));
    for _ in 0..8 {
        translate(&here.ada, &message, "de").await.code();
    }
    assert_eq!(here.provider.asked().len(), 8);
    here.provider.works();
    assert_eq!(translated(&here.ada, &message, "de").await, "[de] Hello");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_said_to_be_so() {
    let gone = Provider::reserved()
        .await
        .url()
        .replace("127.0.0.1", "127.0.0.2");
    let server = Server::other(&["--translate-url", &gone]).await;
    let talk = Talk::new().await;
    let message = talk.ada.say(&talk.thread, "Hello").await;
    let answer = translate(&talk.ada.at(server), &message, "de").await;
    assert_eq!(
        said(&answer),
        "the translation provider: it cannot be reached"
    );
}

#[tokio::test]
async fn a_bad_address_stops_the_start_with_one_line() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bobbin"));
    command.args(["serve", "--translate-url", "ftp://me:swordfish@example.com"]);
    let ended = command.output().await.expect("it has run");
    assert!(!ended.status.success());
    let said = String::from_utf8(ended.stderr).expect("a text");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("BOBBIN_TRANSLATE_URL must be"), "{said}");
    assert!(!said.contains("swordfish"), "{said}");
}
