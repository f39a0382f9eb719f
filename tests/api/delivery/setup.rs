//! The URL and the secret of an inbox.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Shop, upsert};
use crate::support::receiver::Receiver;
use crate::support::server::Server;
use crate::support::{Tenant, unique};

fn secret(bytes: usize) -> String {
    format!("whsec_{}", STANDARD.encode(vec![7; bytes]))
}

#[tokio::test]
async fn a_bad_url_or_secret_is_refused_by_its_name() {
    let tenant = Tenant::at(Server::delivering().await).await;
    for url in [
        "ftp://example.com/hook",
        "example.com",
        "http://",
        "https://ada@example.com/hook",
        "https://ada:secret@example.com/hook",
        "http://10.0.0.1/hook",
        "",
    ] {
        let refused = upsert(&tenant, &unique("inbox"), json!({ "webhookUrl": url })).await;
        assert_eq!(refused.faults(), ["webhookUrl"], "{url}");
    }
    for bad in [
        "",
        "swordfish",
        "whsec_",
        "whsec_!",
        &secret(23),
        &secret(65),
        &secret(32)["whsec_".len()..],
    ] {
        let refused = upsert(&tenant, &unique("inbox"), json!({ "webhookSecret": bad })).await;
        assert_eq!(refused.faults(), ["webhookSecret"], "{bad}");
    }
    for size in [24, 64] {
        let input = json!({ "webhookSecret": secret(size) });
        upsert(&tenant, &unique("inbox"), input).await.at("");
    }
}

#[tokio::test]
async fn a_secret_that_is_made_is_told_once() {
    let tenant = Tenant::at(Server::delivering().await).await;
    let name = unique("inbox");
    let told = async |input: Value| upsert(&tenant, &name, input).await.at("/webhookSecret");
    // Not before there is a URL.
    assert_eq!(told(json!({})).await, Value::Null);
    let url = json!({ "webhookUrl": "https://example.com/hook" });
    let made = told(url.clone()).await;
    assert!(made.as_str().is_some_and(|text| text.starts_with("whsec_")));
    for input in [
        url.clone(),
        json!({}),
        json!({ "webhookSecret": secret(32) }),
    ] {
        assert_eq!(told(input).await, Value::Null);
    }
    let another = told(json!({ "webhookSecret": null })).await;
    assert!(another.is_string());
    assert_ne!(another, made);
    // Of many who set it up at once one is told.
    let name = unique("inbox");
    let calls = (0..20).map(|_| upsert(&tenant, &name, url.clone()));
    let told = join_all(calls).await;
    let told = told.iter().map(|one| one.at("/webhookSecret"));
    assert_eq!(told.filter(Value::is_string).count(), 1);
}

#[tokio::test]
async fn the_secret_of_the_moment_signs() {
    let receiver = Receiver::taking().await;
    let shop = Shop::new(&receiver.url()).await;
    let message = shop.say("one").await;
    shop.until(&message, "SENT").await;
    let changed = shop.change(json!({ "webhookSecret": null })).await;
    let second = changed.text("/webhookSecret");
    let message = shop.say("two").await;
    shop.until(&message, "SENT").await;
    let third = secret(64);
    shop.change(json!({ "webhookSecret": third })).await.at("");
    let message = shop.say("three").await;
    shop.until(&message, "SENT").await;
    let secrets = [&shop.secret, &second, &third];
    for (index, call) in receiver.calls().iter().enumerate() {
        for (number, secret) in secrets.iter().enumerate() {
            assert_eq!(call.is_signed_with(secret), index == number);
        }
    }
}

#[tokio::test]
async fn a_secret_of_an_earlier_version_that_cannot_sign_is_said_to_be_so() {
    let receiver = Receiver::taking().await;
    let shop = Shop::new(&receiver.url()).await;
    let sql = Server::delivering().await.sql().await;
    let set = "UPDATE inboxes SET webhook_secret = 'swordfish' WHERE external_id = $1";
    sql.execute(set, &[&shop.inbox]).await.expect("it is set");
    let message = shop.say("Hello").await;
    let reason = shop.until(&message, "FAILED").await;
    let reason = reason.as_str().expect("a reason");
    assert!(reason.contains("webhookSecret"), "{reason}");
    shop.change(json!({ "webhookSecret": null })).await.at("");
    shop.retry(&message).await.at("");
    shop.until(&message, "SENT").await;
}
