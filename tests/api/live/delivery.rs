//! What happens arrives: in order, once, whoever wrote it and however slow the reader is.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{created, cursor, log, message_uuid, say_many, write_behind};
use crate::support::server::Server;
use crate::support::socket::{Socket, Subscription, eventually};
use crate::support::{Actor, Tenant};

#[tokio::test]
async fn messages_of_concurrent_writers_arrive_in_the_log_s_order_each_once() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let mut events = ada.follow_thread(&thread, None).await;
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let (backend, thread) = (tenant.backend.clone(), thread.clone());
        writers.spawn(async move {
            for number in 0..10 {
                backend.say(&thread, &number.to_string()).await;
            }
        });
    }
    let mut heard = Vec::new();
    while heard.len() < 80 {
        heard.extend(created(&events.event().await));
    }
    writers.join_all().await;
    assert_eq!(heard, log(&Server::get().await.sql().await, &thread).await);
    assert!(events.heard_by_now().await.is_empty());
}

/// Drops and resumes its subscription at moments that look random, until it has heard enough.
async fn restless(
    actor: Actor,
    thread: String,
    after: String,
    enough: usize,
    mut seed: u64,
) -> Vec<String> {
    let mut random = |below: u64| {
        // Xorshift: the same moments in each run, as far as time allows.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut position = after;
    let mut heard = Vec::new();
    while heard.len() < enough {
        let mut events = actor.follow_thread(&thread, Some(&position)).await;
        let most = 1 + random(25);
        let patience = Duration::from_millis(20 + random(400));
        for _ in 0..most {
            // Whatever is on its way when the time is over is lost with the socket.
            let Ok(event) = timeout(patience, events.event()).await else {
                break;
            };
            assert_ne!(event["__typename"], "ResyncRequired", "{event}");
            position = event["cursor"].as_str().expect("a cursor").to_owned();
            heard.extend(created(&event));
        }
    }
    heard
}

#[tokio::test]
async fn subscribers_that_come_and_go_under_load_lose_nothing_and_hear_nothing_twice() {
    const WRITERS: usize = 16;
    const EACH: usize = 20;
    const THREADS: usize = 4;

    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        threads.push(ada.open_thread(json!({ "access": "ORGANIZATION" })).await);
    }
    let mut readers = JoinSet::new();
    for (index, thread) in threads.iter().enumerate() {
        let start = cursor(&ada, thread).await;
        for number in 0..5 {
            let actor = if number == 0 {
                tenant.backend.clone()
            } else {
                Actor::clone(&ada)
            };
            let (thread, start) = (thread.clone(), start.clone());
            let seed = 0x9e37_79b9_7f4a_7c15 ^ (index as u64 * 5 + number + 1);
            readers.spawn(async move {
                let enough = WRITERS / THREADS * EACH;
                let heard = restless(actor, thread.clone(), start, enough, seed).await;
                (thread, heard)
            });
        }
    }
    let mut writers = JoinSet::new();
    let threads = Arc::new(threads);
    for writer in 0..WRITERS {
        let (backend, threads) = (tenant.backend.clone(), Arc::clone(&threads));
        writers.spawn(async move {
            for number in 0..EACH {
                let thread = &threads[(writer + number) % THREADS];
                backend.say(thread, &format!("{writer}.{number}")).await;
            }
        });
    }
    writers.join_all().await;
    let sql = Server::get().await.sql().await;
    for (thread, heard) in readers.join_all().await {
        assert_eq!(heard, log(&sql, &thread).await);
    }
}

#[tokio::test]
async fn a_query_and_a_subscription_after_its_cursor_leave_no_hole_while_others_write() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let (backend, thread) = (tenant.backend.clone(), thread.clone());
        writers.spawn(async move {
            for number in 0..20 {
                backend.say(&thread, &number.to_string()).await;
            }
        });
    }
    let mut readers = JoinSet::new();
    for _ in 0..6 {
        let (actor, thread) = (Actor::clone(&ada), thread.clone());
        readers.spawn(async move {
            let query = "query($id: ID!) { thread(id: $id) { cursor messages(first: 100) { nodes { id } } } }";
            let read = actor.run(query, json!({ "id": thread })).await;
            let after = read.text("/thread/cursor");
            let mut known: Vec<String> = read
                .texts("/thread/messages/nodes", "/id")
                .iter()
                .map(|id| message_uuid(id))
                .collect();
            let mut events = actor.follow_thread(&thread, Some(&after)).await;
            while known.len() < 80 {
                // What was written while the state was read is in both.
                let id = created(&events.event().await).expect("only messages are sent");
                if !known.contains(&id) {
                    known.push(id);
                }
            }
            known
        });
    }
    writers.join_all().await;
    let expected = log(&Server::get().await.sql().await, &thread).await;
    for known in readers.join_all().await {
        assert_eq!(known, expected);
    }
}

#[tokio::test]
async fn a_reader_that_falls_behind_the_bus_gets_everything_in_order() {
    // Far more than the bus (1,024), a socket's queue (32) and the system's buffers hold.
    const MESSAGES: usize = 1500;

    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({ "access": "ORGANIZATION" })).await;
    let mut socket = Socket::connect_narrow(Server::get().await).await;
    socket
        .greet(json!({ "Authorization": ada.authorization() }))
        .await;
    assert_eq!(socket.hear().await["type"], "connection_ack");
    let padding = "x".repeat(700);
    let wide: Vec<String> = (0..15).map(|index| format!("b{index}: metadata")).collect();
    let query = format!(
        "subscription($id: ID!) {{ threadEvents(threadId: $id) {{
           __typename ... on MessageCreated {{ message {{ id body {} }} }} }} }}",
        wide.join(" ")
    );
    let mut events = Subscription::on(socket, &query, json!({ "id": thread })).await;
    let mut writers = JoinSet::new();
    for _ in 0..5 {
        let (backend, thread, padding) = (tenant.backend.clone(), thread.clone(), padding.clone());
        writers.spawn(async move {
            for _ in 0..5 {
                let fields: Vec<String> = (0..MESSAGES / 25)
                    .map(|number| {
                        format!("m{number}: createMessage(input: $input) {{ message {{ id }} }}")
                    })
                    .collect();
                let query = format!(
                    "mutation($input: CreateMessageInput!) {{ {} }}",
                    fields.join(" ")
                );
                let input =
                    json!({ "threadId": thread, "body": "wide", "metadata": { "x": padding } });
                backend.run(&query, json!({ "input": input })).await.at("");
            }
        });
    }
    writers.join_all().await;
    let mut heard = Vec::new();
    while heard.len() < MESSAGES {
        heard.extend(created(&events.event().await));
    }
    assert_eq!(heard, log(&Server::get().await.sql().await, &thread).await);
    assert!(events.heard_by_now().await.is_empty());
}

#[tokio::test]
async fn what_another_process_writes_into_the_log_arrives() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let mut events = ada.follow_thread(&thread, None).await;
    let sql = Server::get().await.sql().await;
    let mut written = Vec::new();
    for number in 0..3 {
        written.push(write_behind(&sql, &thread, &number.to_string()).await);
    }
    for id in &written {
        assert_eq!(created(&events.event().await).as_ref(), Some(id));
    }
    assert!(events.heard_by_now().await.is_empty());
}

#[tokio::test]
async fn what_one_server_writes_arrives_at_the_subscribers_of_another_one() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let there = ada.at(Server::other(&[]).await);
    let mut here_events = ada.follow_thread(&thread, None).await;
    let mut there_events = there.follow_thread(&thread, None).await;
    let mut sent = Vec::new();
    for number in 0..6 {
        let writer = if number % 2 == 0 { &ada } else { &there };
        sent.push(message_uuid(
            &writer.say(&thread, &number.to_string()).await,
        ));
    }
    for id in &sent {
        assert_eq!(created(&here_events.event().await).as_ref(), Some(id));
        assert_eq!(created(&there_events.event().await).as_ref(), Some(id));
    }
}

#[tokio::test]
async fn an_event_whose_publish_was_lost_is_told_before_the_next_one() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let mut events = ada.follow_thread(&thread, None).await;
    let sql = Server::get().await.sql().await;
    for number in 0..5 {
        // Nobody is told of the first one; the second one comes by the bus, and too early.
        let lost = write_behind(&sql, &thread, &format!("lost {number}")).await;
        let next = message_uuid(&ada.say(&thread, &format!("told {number}")).await);
        assert_eq!(created(&events.event().await), Some(lost));
        assert_eq!(created(&events.event().await), Some(next));
    }
    assert!(events.heard_by_now().await.is_empty());
}

#[tokio::test]
async fn a_draft_is_no_event_until_it_is_sent() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let mut events = ada.follow_thread(&thread, None).await;
    let input = json!({ "threadId": thread, "body": "Perhaps", "status": "DRAFT" });
    let drafted = ada.mutate("createMessage", input, "message { id }").await;
    let draft = drafted.text("/message/id");
    let input = json!({ "messageId": draft, "body": "Surely" });
    ada.mutate("updateMessage", input, "message { id }")
        .await
        .at("/message/id");
    ada.mutate(
        "sendMessage",
        json!({ "messageId": draft }),
        "message { id }",
    )
    .await
    .at("/message/id");
    ada.say(&thread, "after").await;
    let sent = events.event().await;
    assert_eq!(sent["__typename"], "MessageCreated");
    assert_eq!(sent["message"]["id"], draft.as_str());
    assert_eq!(sent["message"]["body"], "Surely");
    assert_eq!(events.event().await["message"]["body"], "after");
}

#[tokio::test]
async fn a_client_that_hangs_up_in_mid_mutation_does_not_undo_it() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let mut events = ada.follow_thread(&thread, None).await;
    let server = Server::get().await;
    let mut sql = server.sql().await;
    let watcher = server.sql().await;
    let pid: i32 = sql
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .expect("a pid")
        .get(0);
    // Whoever writes into the thread waits for this lock.
    let lock = sql.transaction().await.expect("a transaction");
    let statement = "SELECT FROM threads WHERE id = $1::text::uuid FOR UPDATE";
    lock.execute(statement, &[&super::thread_uuid(&thread)])
        .await
        .expect("a lock");

    let mutation = format!(
        "mutation {{ createMessage(input: {{threadId: \"{thread}\", body: \"by HTTP\"}}) {{ message {{ id }} }} }}"
    );
    let body = json!({ "query": mutation }).to_string();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: bobbin\r\nContent-Type: application/json\r\n\
         Authorization: {}\r\nContent-Length: {}\r\n\r\n{body}",
        ada.authorization(),
        body.len()
    );
    let mut tcp = TcpStream::connect(server.address)
        .await
        .expect("the server listens");
    tcp.write_all(request.as_bytes())
        .await
        .expect("the server reads");
    let mut socket = Socket::greeted(server, ada.authorization()).await;
    socket
        .subscribe("1", &mutation.replace("by HTTP", "by WebSocket"), json!({}))
        .await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))
                   OR EXISTS (SELECT FROM pg_stat_activity b WHERE $1 = ANY (pg_blocking_pids(b.pid))
                     AND b.pid = ANY (pg_blocking_pids(pg_stat_activity.pid)))";
    eventually("both writes wait for the lock", async || {
        let row = watcher.query_one(waiting, &[&pid]).await.expect("a count");
        row.get::<_, i64>(0) >= 2
    })
    .await;
    drop((tcp, socket));
    lock.rollback().await.expect("the lock is released");
    let mut heard =
        [events.event().await, events.event().await].map(|event| event["message"]["body"].clone());
    heard.sort_by_key(ToString::to_string);
    assert_eq!(heard, ["by HTTP", "by WebSocket"]);
}

#[tokio::test]
async fn a_message_that_was_deleted_for_good_is_removed_live_and_leaves_a_resume_whole() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let start = cursor(&ada, &thread).await;
    let mut events = ada.follow_thread(&thread, None).await;
    say_many(&ada, &thread, 0..2).await;
    let doomed = ada.say(&thread, "doomed").await;
    let reaction = json!({ "messageId": doomed, "addReactions": [{ "emoji": "x" }] });
    ada.mutate("updateMessage", reaction, "message { id }")
        .await
        .at("");
    let input = json!({ "messageId": doomed, "permanently": true });
    tenant
        .backend
        .mutate("deleteMessage", input, "deletedMessageId")
        .await
        .at("");
    ada.say(&thread, "after").await;

    let live = events
        .until(|event| event["message"]["body"] == "after")
        .await;
    let kinds: Vec<_> = live
        .iter()
        .map(|event| event["__typename"].as_str().expect("a name"))
        .collect();
    let expected = [
        "MessageCreated",
        "MessageCreated",
        "MessageCreated",
        "MessageUpdated",
        "MessageRemoved",
        "MessageCreated",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(live[4]["messageId"], doomed.as_str());

    let mut resumed = ada.follow_thread(&thread, Some(&start)).await;
    let replay = resumed
        .until(|event| event["message"]["body"] == "after")
        .await;
    let told: Vec<_> = replay
        .iter()
        .map(|event| {
            (
                event["__typename"].clone(),
                event["message"]["body"].clone(),
            )
        })
        .collect();
    let expected = [
        (json!("MessageCreated"), json!("0")),
        (json!("MessageCreated"), json!("1")),
        (json!("MessageRemoved"), json!(null)),
        (json!("MessageCreated"), json!("after")),
    ];
    assert_eq!(told, expected);
    assert_eq!(replay[2]["messageId"], doomed.as_str());
}
