//! Much of everything: a viewer of very many threads, and what it costs to be away.

use std::sync::Arc;

use bobbin::auth::{self, Present};
use bobbin::db::snapshot::Snapshot;
use bobbin::live::viewer::replay::Replay;
use serde_json::json;

use super::{follow, here, names, until};
use crate::live::say_many;
use crate::support::server::Server;
use crate::support::statements::{note, taken};
use crate::support::{Actor, Tenant};

#[tokio::test]
async fn a_viewer_of_ten_thousand_threads_hears_of_all_of_them() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.contact("ada").await, tenant.contact("bob").await);
    let sql = Server::get().await.sql().await;
    let start = here(&ada).await;
    let statement = "
        WITH o AS (SELECT id FROM organizations WHERE external_id = $1),
        t AS (
          INSERT INTO threads (id, organization_id, number, subject, access, seq, public_seq, clock_at,
            created_at, updated_at)
          SELECT gen_random_uuid(), o.id, n, 'Thread ' || n, 'PARTICIPANTS', 1, 1, now(), now(), now()
          FROM o, generate_series(1, 10000) n RETURNING id, organization_id, number
        ), p AS (
          INSERT INTO participants (thread_id, user_id, organization_id, joined_at)
          SELECT t.id, u.id, t.organization_id, now() FROM t
          JOIN users u ON u.external_id = CASE WHEN t.number % 2 = 0 THEN $2 ELSE $3 END
        )
        INSERT INTO events (thread_id, seq, organization_id, kind, occurred_at)
        SELECT id, 1, organization_id, 'THREAD_CREATED', now() FROM t WHERE number > 9000";
    let people: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&tenant.name, &ada.external_id, &bob.external_id];
    sql.execute(statement, &people).await.expect("threads");
    let numbers = "UPDATE organizations SET last_thread_number = 10000 WHERE external_id = $1";
    sql.execute(numbers, &[&tenant.name])
        .await
        .expect("a number");
    let mut resumed = follow(&ada, Some(&start)).await;
    let mut live = follow(&ada, None).await;
    ada.open_thread(json!({ "message": { "body": "end" } }))
        .await;
    // Every second one is hers.
    assert_eq!(until(&mut resumed, "end").await.len(), 501);
    assert_eq!(names(&until(&mut live, "end").await), ["ThreadCreated"]);
}

#[tokio::test]
async fn a_stretch_takes_as_many_statements_for_many_events_as_for_few() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.agent("ada").await, tenant.member("bob").await);
    note();
    let app = Arc::clone(&Server::other(&[]).await.app);
    let verified = auth::verify(&app, ada.authorization()).await;
    let (credential, _) = verified.expect("a credential");
    let mut counts = Vec::new();
    for many in [2, 20, 100] {
        let mut conn = app.conn().await.expect("a connection");
        let start = Snapshot::now(&mut conn).await.expect("a position");
        drop(conn);
        for _ in 0..2 {
            let people = json!({ "participantIds": [bob.id], "access": "AGENTS" });
            let thread = tenant.backend.open_thread(people).await;
            say_many(&tenant.backend, &thread, 0..many).await;
            seen(&bob, &thread).await;
        }
        let viewer = auth::viewer(&app, &credential).await.expect("a viewer");
        let viewer = Present::new(viewer);
        let mut replay = Replay::new(Arc::clone(&app), credential.clone(), viewer, start);
        taken();
        let missed = replay.next().await.expect("a stretch");
        let statements = taken();
        assert!(missed.ended);
        assert_eq!(missed.occurrences.len(), 2 * (many + 2), "{many}");
        counts.push(statements.len());
        assert!((5..=12).contains(&statements.len()), "{statements:#?}");
    }
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

async fn seen(actor: &Actor, thread: &str) {
    let seen = actor.mutate(
        "markThreadSeen",
        json!({ "threadId": thread }),
        "thread { id }",
    );
    seen.await.at("");
}
