//! Messages: writing, drafts, idempotency, editing, deleting.

use serde_json::json;

use crate::support::Tenant;

#[tokio::test]
async fn a_message_is_sent_and_read_back() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada
        .open_thread(json!({ "participantIds": [bob.external_id] }))
        .await;
    let sent = ada.say(&thread, "Hello").await;
    let mut events = bob.follow_thread(&thread, None).await;
    let read = bob
        .run(
            "query($id: ID!) { message(id: $id) { id body plaintext status sentAt updatedAt sender { name } } }",
            json!({ "id": sent }),
        )
        .await;
    assert_eq!(read.text("/message/body"), "Hello");
    assert_eq!(read.text("/message/status"), "SENT");
    assert_eq!(read.text("/message/sender/name"), "ada");
    assert!(read.at("/message/updatedAt").is_null());
    ada.say(&thread, "Live").await;
    assert_eq!(events.event().await["message"]["body"], "Live");
}
