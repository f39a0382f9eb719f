//! Transactions that take long, and that end in another order than they began.

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{follow, here, names, until};
use crate::live::{created, log, thread_uuid, write_behind};
use crate::support::Tenant;
use crate::support::server::Server;

/// A connection with a transaction that has its number, and has written nothing yet.
async fn begun() -> Client {
    let sql = Server::get().await.sql().await;
    sql.batch_execute("BEGIN; SELECT pg_current_xact_id()")
        .await
        .expect("a transaction");
    sql
}

async fn commit(sql: &Client) {
    sql.batch_execute("COMMIT").await.expect("it is committed");
}

#[tokio::test]
async fn a_long_transaction_holds_nobody_up_and_repeats_nothing() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let long = begun().await;
    let mut events = follow(&ada, None).await;
    for number in 0..20 {
        ada.say(&thread, &number.to_string()).await;
    }
    ada.say(&thread, "end").await;
    let told = until(&mut events, "end").await;
    assert_eq!(told.len(), 20);
    for index in [0, 7, 19] {
        let mut resumed = follow(&ada, told[index]["cursor"].as_str()).await;
        let again = until(&mut resumed, "end").await;
        assert_eq!(names(&again), names(&told[index + 1..]));
    }
    commit(&long).await;
    ada.say(&thread, "after").await;
    assert_eq!(until(&mut events, "after").await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_commits_late_with_a_small_number_is_missed_by_no_position_before() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let (here_thread, there) = (
        ada.open_thread(json!({})).await,
        ada.open_thread(json!({})).await,
    );
    let late = begun().await;
    let mut events = follow(&ada, None).await;
    let mut cursors = vec![here(&ada).await];
    for number in 0..3 {
        ada.say(&there, &number.to_string()).await;
        let event = events.event().await;
        cursors.push(event["cursor"].as_str().expect("a cursor").to_owned());
    }
    cursors.push(here(&ada).await);
    let id = write_behind(&late, &here_thread, "late").await;
    commit(&late).await;
    let event = events.event().await;
    assert_eq!(created(&event).as_ref(), Some(&id));
    for after in &cursors {
        let mut resumed = follow(&ada, Some(after)).await;
        ada.say(&there, "end").await;
        let told = until(&mut resumed, "end").await;
        let found = told
            .iter()
            .filter(|event| created(event).as_ref() == Some(&id));
        assert_eq!(found.count(), 1, "{:?}", names(&told));
    }
    // Behind it, it is not told once more.
    let mut resumed = follow(&ada, event["cursor"].as_str()).await;
    ada.say(&there, "the end").await;
    let told = until(&mut resumed, "the end").await;
    assert!(told.iter().all(|event| event["message"]["body"] == "end"));
}

#[tokio::test]
async fn a_thread_keeps_its_order_whichever_transaction_got_its_number_first() {
    // More than is read from the log at once.
    const BETWEEN: usize = 600;

    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let (thread, other) = (
        ada.open_thread(json!({})).await,
        ada.open_thread(json!({})).await,
    );
    let start = here(&ada).await;
    let mut live = follow(&ada, None).await;
    let first = begun().await;
    let sql = Server::get().await.sql().await;
    // As one transaction, whose number is between the two.
    let many = "
        WITH t AS (
          UPDATE threads SET seq = seq + $2::bigint, public_seq = seq + $2::bigint
          WHERE id = $1::text::uuid RETURNING organization_id, id, seq
        )
        INSERT INTO events (thread_id, seq, organization_id, kind, occurred_at)
        SELECT id, seq - n, organization_id, 'THREAD_UPDATED', now()
        FROM t, generate_series(0, $2::bigint - 1) n";
    let between = i64::try_from(BETWEEN).expect("a number");
    sql.execute(many, &[&thread_uuid(&other), &between])
        .await
        .expect("many events");
    let second = begun().await;
    write_behind(&second, &thread, "one").await;
    commit(&second).await;
    write_behind(&first, &thread, "two").await;
    commit(&first).await;
    let third = begun().await;
    write_behind(&sql, &thread, "three").await;
    write_behind(&third, &thread, "four").await;
    commit(&third).await;
    ada.say(&thread, "end").await;
    let mut resumed = follow(&ada, Some(&start)).await;
    for events in [&mut live, &mut resumed] {
        let told = until(events, "end").await;
        let heard: Vec<String> = told.iter().filter_map(created).collect();
        let mut logged = log(&sql, &thread).await;
        logged.pop();
        assert_eq!(heard, logged);
        assert_eq!(told.len(), BETWEEN + 4);
    }
    // From every position on the way the rest is told, in order.
    let mut whole = follow(&ada, Some(&start)).await;
    let told = until(&mut whole, "end").await;
    let places = told.iter().enumerate();
    let places = places.filter(|(index, event)| created(event).is_some() || index % 250 == 0);
    for (index, event) in places {
        let mut again = follow(&ada, event["cursor"].as_str()).await;
        let rest = until(&mut again, "end").await;
        let heard: Vec<String> = rest.iter().filter_map(created).collect();
        let missed: Vec<String> = told[index + 1..].iter().filter_map(created).collect();
        let before: Vec<String> = told[..=index].iter().filter_map(created).collect();
        let new: Vec<String> = heard
            .into_iter()
            .filter(|id| !before.contains(id))
            .collect();
        assert_eq!(new, missed);
    }
}
