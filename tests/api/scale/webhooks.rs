//! What a server asks several times a second while somebody writes: which webhooks are behind.

use std::time::Instant;

use bobbin::db::webhook_log;
use serde_json::json;

use super::Cast;
use crate::support::Actor;
use crate::support::server::Server;

/// Asks it of one that has nothing behind it.
pub async fn look(cast: &mut Cast, server: &Server, root: &Actor) {
    let input = json!({
        "externalId": "hook", "organizationId": "large", "url": "https://example.com/hook",
    });
    let made = root.mutate("upsertWebhook", input, "webhook { id }").await;
    assert!(made.text("/webhook/id").starts_with("whk_"));
    cast.log.plans();
    let start = Instant::now();
    let mut conn = server.app.conn().await.expect("a connection");
    let behind = webhook_log::behind(&mut conn, None).await;
    let took = start.elapsed();
    assert!(behind.expect("an answer").is_empty());
    cast.look("webhooks behind", took);
}
