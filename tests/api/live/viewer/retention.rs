//! The log is kept for a while: who was away for longer reads everything anew.

use bobbin::db::retention::drop_before;
use serde_json::json;

use super::{follow, here, resyncs_once, until};
use crate::live::{cursor, say_many, thread_uuid};
use crate::support::server::Server;
use crate::support::{Actor, unique};

#[tokio::test]
async fn old_events_are_dropped_and_positions_before_them_are_told_so() {
    let name = unique("retention").replace('-', "_");
    let first = Server::get().await.sql().await;
    first
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .expect("a database of its own");
    let server = Server::beside(&name).await;
    let claims = json!({ "sub": "ada", "org": "acme", "role": "ADMIN" });
    let ada = Actor::with(server, format!("Bearer {}", server.token(claims)));
    let (thread, deleted) = (
        ada.open_thread(json!({})).await,
        ada.open_thread(json!({})).await,
    );
    let (old, old_here) = (here(&ada).await, cursor(&ada, &thread).await);
    say_many(&ada, &thread, 0..30).await;
    ada.mutate(
        "deleteThread",
        json!({ "threadId": deleted }),
        "deletedThreadId",
    )
    .await
    .at("");
    let sql = server.sql().await;
    sql.batch_execute("UPDATE events SET occurred_at = occurred_at - interval '31 days'")
        .await
        .expect("old events");
    say_many(&ada, &thread, 30..40).await;
    let (young, young_here) = (here(&ada).await, cursor(&ada, &thread).await);
    say_many(&ada, &thread, 40..50).await;

    let time = server.app.clock.now() - chrono::TimeDelta::days(30);
    let mut conn = server.app.conn().await.expect("a connection");
    let mut rounds = 0;
    loop {
        let dropped = drop_before(&mut conn, time, 10).await.expect("it drops");
        if dropped == 0 {
            break;
        }
        rounds += 1;
        // At every moment a thread keeps the end of its log, without a hole.
        let whole = "SELECT count(*) = max(seq) - min(seq) + 1 AND max(seq) = 51 FROM events
                     WHERE thread_id = $1::text::uuid";
        let row = sql.query_one(whole, &[&thread_uuid(&thread)]).await;
        assert!(row.expect("a row").get::<_, bool>(0));
    }
    assert!(rounds > 2, "{rounds}");
    let kept: i64 = sql
        .query_one("SELECT count(*) FROM events", &[])
        .await
        .expect("a count")
        .get(0);
    assert_eq!(kept, 20);
    let kept: i64 = sql
        .query_one("SELECT count(*) FROM deleted_threads", &[])
        .await
        .expect("a count")
        .get(0);
    assert_eq!(kept, 0);

    let mut resumed = follow(&ada, Some(&young)).await;
    assert_eq!(until(&mut resumed, "49").await.len(), 9);
    let mut resumed = ada.follow_thread(&thread, Some(&young_here)).await;
    let told = resumed
        .until(|event| event["message"]["body"] == "49")
        .await;
    assert_eq!(told.len(), 10);
    resyncs_once(&ada, &thread, &old).await;
    let mut resumed = ada.follow_thread(&thread, Some(&old_here)).await;
    assert_eq!(resumed.event().await["__typename"], "ResyncRequired");

    // A hole in the middle of a log is noticed, too.
    let hole = "DELETE FROM events WHERE thread_id = $1::text::uuid AND seq = 45";
    sql.execute(hole, &[&thread_uuid(&thread)])
        .await
        .expect("a hole");
    // With another document, since others with the same one may have what was read before.
    let query = "subscription($id: ID!, $after: String) {
        threadEvents(threadId: $id, after: $after) { __typename } }";
    let variables = json!({ "id": thread, "after": young_here });
    let mut resumed = ada.follow(query, variables).await;
    let told = resumed
        .until(|event| event["__typename"] == "ResyncRequired")
        .await;
    assert_eq!(told.len(), 4);
    server.app.shutdown.cancel();
}
