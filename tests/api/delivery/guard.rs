//! A server that calls nothing but the Internet, and backends that are on this machine.

use serde_json::{Value, json};

use super::{Shop, upsert};
use crate::chatwoot::read;
use crate::support::receiver::Receiver;
use crate::support::server::Server;
use crate::support::socket::eventually;
use crate::support::{Tenant, unique};

#[tokio::test]
async fn an_address_of_this_machine_or_network_is_no_webhook() {
    let server = Server::guarded().await;
    let tenant = Tenant::at(server).await;
    for url in [
        "http://127.0.0.1:9/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://2130706433/",
        "http://127.1/",
        "http://0/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.0.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://224.0.0.1/",
        "http://192.0.2.1/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fd00::1]/",
        "http://[fe80::1]/",
    ] {
        let refused = upsert(&tenant, &unique("inbox"), json!({ "webhookUrl": url })).await;
        assert_eq!(refused.faults(), ["webhookUrl"], "{url}");
        let fields = &refused.body["errors"][0]["extensions"]["fields"];
        let why = fields[0]["message"].as_str().expect("a message");
        assert!(why.contains("BOBBIN_DELIVERY_NETWORKS"), "{url}: {why}");
    }
}

#[tokio::test]
async fn a_name_of_this_machine_is_not_called() {
    let receiver = Receiver::taking().await;
    let url = format!("http://localhost:{}/hook", receiver.address.port());
    let server = Server::guarded().await;
    let shop = Shop::at(server, "https://example.com/hook").await;
    for refused in [&*url, "http://a.localhost/"] {
        let refused = shop.change(json!({ "webhookUrl": refused })).await;
        assert_eq!(refused.faults(), ["webhookUrl"]);
    }
    // Other names are known by where they lead when they are called.
    let set = "UPDATE inboxes SET webhook_url = $2 WHERE external_id = $1";
    let sql = server.sql().await;
    sql.execute(set, &[&shop.inbox, &url])
        .await
        .expect("it is set");
    let message = shop.say("Hello").await;
    let reason = shop.until(&message, "FAILED").await;
    let reason = reason.as_str().expect("a reason");
    assert!(
        reason.starts_with("localhost leads to a private address"),
        "{reason}"
    );
    assert!(reason.contains("BOBBIN_DELIVERY_NETWORKS"), "{reason}");
    assert!(!reason.contains("127."), "{reason}");
    assert_eq!(receiver.calls().len(), 0);
    // The same name is called by a server that may.
    let shop = Shop::new(&url).await;
    let message = shop.say("Hello").await;
    shop.until(&message, "SENT").await;
    assert_eq!(receiver.words(), ["Hello"]);
}

#[tokio::test]
async fn an_address_that_was_set_when_it_was_allowed_is_not_called_any_more() {
    let receiver = Receiver::taking().await;
    let server = Server::guarded().await;
    let shop = Shop::at(server, "https://example.com/hook").await;
    let set = "UPDATE inboxes SET webhook_url = $2 WHERE external_id = $1";
    let sql = server.sql().await;
    sql.execute(set, &[&shop.inbox, &receiver.url()])
        .await
        .expect("it is set");
    let message = shop.say("Hello").await;
    let reason = shop.until(&message, "FAILED").await;
    let reason = reason.as_str().expect("a reason");
    assert!(
        reason.starts_with("127.0.0.1 is a loopback address"),
        "{reason}"
    );
    assert_eq!(receiver.calls().len(), 0);
    let sent = read(&shop.agent, &message, "sentAt").await;
    assert_ne!(sent["sentAt"], Value::Null);
    // What became of it is kept for two seconds here.
    eventually("nothing is kept of it", async || {
        let query = "SELECT count(*) FROM deliveries d JOIN inboxes i ON i.id = d.inbox_id
                     WHERE i.external_id = $1";
        let row = sql.query_one(query, &[&shop.inbox]).await;
        row.expect("a count").get::<_, i64>(0) == 0
    })
    .await;
    // And is delivered anew after that, if it is asked for.
    let retried = shop.retry(&message).await;
    assert_eq!(retried.text("/message/status"), "SENDING");
    shop.until(&message, "FAILED").await;
}
