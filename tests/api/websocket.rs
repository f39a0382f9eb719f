//! GraphQL over WebSocket: the messages and close codes of `graphql-transport-ws`.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::support::server::{Server, now};
use crate::support::socket::{PATIENCE, Socket, eventually};
use crate::support::{Person, THREAD_EVENTS, Tenant};

/// A tenant with a member who has greeted.
async fn greeted() -> (Tenant, Person, Socket) {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let socket = Socket::greeted(Server::get().await, ada.authorization()).await;
    (tenant, ada, socket)
}

/// The code that a client is turned away with for its first message's payload.
async fn refusal_of(payload: Value) -> u16 {
    let mut socket = Socket::connect(Server::get().await).await;
    socket.greet(payload).await;
    socket.close_code().await
}

#[tokio::test]
async fn who_does_not_greet_in_time_is_closed_with_4408() {
    let server = Server::other(&["--init-timeout", "50"]).await;
    assert_eq!(Socket::connect(server).await.close_code().await, 4408);
    // A ping is no greeting.
    let mut socket = Socket::connect(server).await;
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.close_code().await, 4408);
}

#[tokio::test]
async fn who_greets_in_time_is_not_closed_when_it_is_over() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let server = Server::other(&["--init-timeout", "500", "--ping-interval", "600"]).await;
    let mut socket = Socket::greeted(server, ada.authorization()).await;
    // The second ping comes when the time for a greeting is long over.
    for _ in 0..2 {
        loop {
            let next = futures_util::StreamExt::next(&mut socket.stream);
            let message = tokio::time::timeout(PATIENCE, next)
                .await
                .expect("a ping in time");
            if matches!(message.expect("open").expect("whole"), Message::Ping(_)) {
                break;
            }
        }
    }
    assert!(socket.heard_by_now().await.is_empty());
}

#[tokio::test]
async fn a_second_greeting_is_closed_with_4429() {
    let (_tenant, ada, mut socket) = greeted().await;
    socket
        .greet(json!({ "Authorization": ada.authorization() }))
        .await;
    assert_eq!(socket.close_code().await, 4429);
}

#[tokio::test]
async fn an_operation_before_the_greeting_is_closed_with_4401() {
    let mut socket = Socket::connect(Server::get().await).await;
    socket.subscribe("1", "{ __typename }", json!({})).await;
    assert_eq!(socket.close_code().await, 4401);
}

#[tokio::test]
async fn what_is_no_message_of_the_protocol_is_closed_with_4400() {
    for bad in [
        "no JSON",
        "",
        "null",
        "[]",
        "{}",
        r#"{"type":null}"#,
        r#"{"type":"unknown"}"#,
        r#"{"type":"start","id":"1","payload":{"query":"{ __typename }"}}"#,
        r#"{"type":"stop","id":"1"}"#,
        r#"{"type":"connection_terminate"}"#,
        r#"{"type":"connection_ack"}"#,
        r#"{"type":"connection_init","payload":"text"}"#,
        r#"{"type":"ping","payload":"text"}"#,
        r#"{"type":"subscribe"}"#,
        r#"{"type":"subscribe","id":"1"}"#,
        r#"{"type":"subscribe","payload":{"query":"{ __typename }"}}"#,
        r#"{"type":"subscribe","id":"","payload":{"query":"{ __typename }"}}"#,
        r#"{"type":"subscribe","id":1,"payload":{"query":"{ __typename }"}}"#,
        r#"{"type":"subscribe","id":"1","payload":{}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{ __typename }","variables":"text"}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{ __typename }","operationName":1}}"#,
        r#"{"type":"complete"}"#,
    ] {
        let (_tenant, _ada, mut socket) = greeted().await;
        socket.say_text(bad).await;
        assert_eq!(socket.close_code().await, 4400, "{bad}");
    }
}

#[tokio::test]
async fn a_binary_message_is_closed_with_4400() {
    let (_tenant, _ada, mut socket) = greeted().await;
    let message = Message::binary(r#"{"type":"ping"}"#);
    futures_util::SinkExt::send(&mut socket.stream, message)
        .await
        .expect("the socket is open");
    assert_eq!(socket.close_code().await, 4400);
}

#[tokio::test]
async fn a_missing_or_bad_credential_is_closed_with_4403() {
    let server = Server::get().await;
    let expired = server.token(json!({ "sub": "ada", "exp": now() - 60.0 }));
    for payload in [
        json!(null),
        json!({}),
        json!({ "Authorization": "" }),
        json!({ "Authorization": "Bearer" }),
        json!({ "Authorization": "Bearer nonsense" }),
        json!({ "Authorization": "Bearer key_unknown:secret" }),
        json!({ "Authorization": "Digest abc" }),
        json!({ "token": "nonsense" }),
        json!({ "token": expired }),
    ] {
        assert_eq!(refusal_of(payload.clone()).await, 4403, "{payload}");
    }
}

#[tokio::test]
async fn a_token_that_expires_while_connected_is_closed_with_4403() {
    let tenant = Tenant::new().await;
    let server = Server::get().await;
    let token = server.token(json!({ "sub": "short", "org": tenant.name, "exp": now() + 1.5 }));
    let mut socket = Socket::greeted(server, &format!("Bearer {token}")).await;
    assert_eq!(socket.close_code().await, 4403);
}

#[tokio::test]
async fn an_id_that_is_in_use_is_closed_with_4409_and_a_short_reason() {
    let (_tenant, ada, mut socket) = greeted().await;
    let thread = ada.open_thread(json!({})).await;
    let id = "\u{1F98A}".repeat(60);
    for _ in 0..2 {
        socket
            .subscribe(&id, THREAD_EVENTS, json!({ "id": thread }))
            .await;
    }
    let frame = loop {
        let next = futures_util::StreamExt::next(&mut socket.stream);
        let message = tokio::time::timeout(PATIENCE, next)
            .await
            .expect("a close in time");
        if let Message::Close(frame) = message.expect("open").expect("whole") {
            break frame.expect("a close frame");
        }
    };
    assert_eq!(u16::from(frame.code), 4409);
    assert!(frame.reason.len() <= 123 && !frame.reason.is_empty());
}

#[tokio::test]
async fn another_subprotocol_or_none_is_closed_with_4406() {
    let server = Server::get().await;
    for offer in [None, Some("graphql-ws"), Some("chat, soap")] {
        let mut socket = Socket::connect_blindly(server, offer).await;
        assert_eq!(socket.close_code().await, 4406, "{offer:?}");
    }
}

#[tokio::test]
async fn ours_is_chosen_among_several_subprotocols() {
    let server = Server::get().await;
    let mut socket =
        Socket::connect_blindly(server, Some("graphql-ws, graphql-transport-ws")).await;
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await["type"], "pong");
}

#[tokio::test]
async fn a_server_that_ends_closes_its_sockets_with_1001() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let server = Server::other(&[]).await;
    let thread = ada.open_thread(json!({})).await;
    let mut idle = Socket::connect(server).await;
    let mut busy = Socket::greeted(server, ada.authorization()).await;
    busy.subscribe("1", THREAD_EVENTS, json!({ "id": thread }))
        .await;
    assert!(busy.heard_by_now().await.is_empty());
    assert!(idle.heard_by_now().await.is_empty());
    server.app.shutdown.cancel();
    assert_eq!(idle.close_code().await, 1001);
    assert_eq!(busy.close_code().await, 1001);
}

#[tokio::test]
async fn an_invalid_operation_is_an_error_and_the_socket_stays() {
    let (_tenant, _ada, mut socket) = greeted().await;
    for (query, variables, code) in [
        ("{ nonsense }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
        ("{ nonsense", json!({}), "GRAPHQL_PARSE_FAILED"),
        (
            "subscription { nonsense }",
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "query($id: ID!) { thread(id: $id) { id } }",
            json!({}),
            "BAD_USER_INPUT",
        ),
        (
            "query a { __typename } query b { __typename }",
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (THREAD_EVENTS, json!({}), "BAD_USER_INPUT"),
        (THREAD_EVENTS, json!({ "id": "unknown" }), "NOT_FOUND"),
    ] {
        socket.subscribe("1", query, variables).await;
        let message = socket.hear().await;
        assert_eq!(message["type"], "error", "{query}: {message}");
        assert_eq!(message["id"], "1");
        let errors = message["payload"].as_array().expect("a list of errors");
        assert!(errors[0]["message"].is_string());
        assert_eq!(errors[0]["extensions"]["code"], code, "{query}");
    }
    socket.subscribe("1", "{ __typename }", json!({})).await;
    assert_eq!(
        socket.hear().await["payload"]["data"]["__typename"],
        "Query"
    );
}

#[tokio::test]
async fn queries_and_mutations_answer_once_and_complete() {
    let (_tenant, ada, mut socket) = greeted().await;
    let thread = ada.open_thread(json!({})).await;
    let mutation = "mutation($id: ID!) { createMessage(input: {threadId: $id, body: \"x\"}) { message { body } } }";
    socket
        .subscribe("m", mutation, json!({ "id": thread }))
        .await;
    let next = socket.hear().await;
    assert_eq!((&next["type"], &next["id"]), (&json!("next"), &json!("m")));
    assert_eq!(
        next["payload"]["data"]["createMessage"]["message"]["body"],
        "x"
    );
    assert_eq!(
        socket.hear().await,
        json!({ "type": "complete", "id": "m" })
    );

    let query = "query($id: ID!) { thread(id: $id) { messageCount } }";
    socket.subscribe("q", query, json!({ "id": thread })).await;
    assert_eq!(
        socket.hear().await["payload"]["data"]["thread"]["messageCount"],
        1
    );
    assert_eq!(
        socket.hear().await,
        json!({ "type": "complete", "id": "q" })
    );

    // A field's error comes with the data of the others.
    socket
        .subscribe("e", query, json!({ "id": "unknown" }))
        .await;
    let next = socket.hear().await;
    assert_eq!(next["type"], "next");
    assert_eq!(next["payload"]["data"], json!({ "thread": null }));
    assert_eq!(
        next["payload"]["errors"][0]["extensions"]["code"],
        "NOT_FOUND"
    );
    assert_eq!(socket.hear().await["type"], "complete");
}

#[tokio::test]
async fn a_completed_operation_says_no_more_and_its_id_may_be_used_again() {
    let (tenant, ada, mut socket) = greeted().await;
    let thread = ada.open_thread(json!({})).await;
    let other = ada.open_thread(json!({})).await;
    socket
        .subscribe("1", THREAD_EVENTS, json!({ "id": thread }))
        .await;
    assert!(socket.heard_by_now().await.is_empty());
    for number in 0..3 {
        tenant.backend.say(&thread, &number.to_string()).await;
        let body = &socket.hear().await["payload"]["data"]["threadEvents"]["message"]["body"];
        assert_eq!(body, &json!(number.to_string()));
    }
    socket.say(json!({ "type": "complete", "id": "1" })).await;
    assert!(socket.heard_by_now().await.is_empty());
    tenant.backend.say(&thread, "unheard").await;
    socket
        .subscribe("1", THREAD_EVENTS, json!({ "id": other }))
        .await;
    assert!(socket.heard_by_now().await.is_empty());
    tenant.backend.say(&thread, "unheard").await;
    tenant.backend.say(&other, "heard").await;
    let body = &socket.hear().await["payload"]["data"]["threadEvents"]["message"]["body"];
    assert_eq!(body, "heard");
    // To complete what is not there is no fault.
    socket
        .say(json!({ "type": "complete", "id": "unknown" }))
        .await;
    assert!(socket.heard_by_now().await.is_empty());
}

#[tokio::test]
async fn several_subscriptions_of_a_socket_each_hear_their_own() {
    let (_tenant, ada, mut socket) = greeted().await;
    let mut threads = Vec::new();
    for index in 0..5 {
        let thread = ada.open_thread(json!({})).await;
        socket
            .subscribe(&index.to_string(), THREAD_EVENTS, json!({ "id": thread }))
            .await;
        threads.push(thread);
    }
    assert!(socket.heard_by_now().await.is_empty());
    for (index, thread) in threads.iter().enumerate().rev() {
        ada.say(thread, "x").await;
        let message = socket.hear().await;
        assert_eq!(message["id"], index.to_string());
    }
}

#[tokio::test]
async fn a_token_counts_as_authorization_as_token_and_as_header() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let server = Server::get().await;
    let whole = format!("Bearer {}", ada.token);
    for payload in [
        json!({ "Authorization": whole }),
        json!({ "authorization": whole }),
        json!({ "token": ada.token }),
    ] {
        let mut socket = Socket::connect(server).await;
        socket.greet(payload).await;
        assert_eq!(is_viewer(&mut socket).await, ada.id);
    }
    let mut socket = Socket::connect_with(server, &[("authorization", &whole)]).await;
    socket.say(json!({ "type": "connection_init" })).await;
    assert_eq!(is_viewer(&mut socket).await, ada.id);
}

/// Who asks on a socket that is about to be acknowledged.
async fn is_viewer(socket: &mut Socket) -> String {
    assert_eq!(socket.hear().await["type"], "connection_ack");
    socket
        .subscribe("1", "{ viewer { user { id } } }", json!({}))
        .await;
    let id = socket.hear().await["payload"]["data"]["viewer"]["user"]["id"].clone();
    id.as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn an_api_key_opens_a_socket() {
    let tenant = Tenant::new().await;
    let key = tenant
        .backend
        .authorization()
        .trim_start_matches("Bearer ")
        .to_owned();
    for payload in [
        json!({ "Authorization": tenant.backend.authorization() }),
        json!({ "token": key }),
    ] {
        let mut socket = Socket::connect(Server::get().await).await;
        socket.greet(payload).await;
        assert_eq!(socket.hear().await["type"], "connection_ack");
        socket
            .subscribe("1", "{ viewer { organization { id } } }", json!({}))
            .await;
        let id = &socket.hear().await["payload"]["data"]["viewer"]["organization"]["id"];
        assert_eq!(id, tenant.id.as_str());
    }
}

#[tokio::test]
async fn a_ping_is_answered_with_its_payload_even_before_the_greeting() {
    let mut socket = Socket::connect(Server::get().await).await;
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await, json!({ "type": "pong" }));
    let payload = json!({ "of": ["\u{1F98A}", 1, null] });
    socket
        .say(json!({ "type": "ping", "payload": payload }))
        .await;
    assert_eq!(
        socket.hear().await,
        json!({ "type": "pong", "payload": payload })
    );
    // A pong that nobody asked for is fine.
    socket.say(json!({ "type": "pong" })).await;
    assert!(socket.heard_by_now().await.is_empty());
}

#[tokio::test]
async fn who_answers_no_ping_is_cut_off() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let server = Server::other(&["--ping-interval", "50"]).await;
    let _silent = Socket::greeted(server, ada.authorization()).await;
    // Its client reads nothing, and so answers no ping.
    eventually("the socket ends", async || server.app.sockets.is_empty()).await;
}

#[tokio::test]
async fn who_answers_pings_stays() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let server = Server::other(&["--ping-interval", "400"]).await;
    let mut socket = Socket::greeted(server, ada.authorization()).await;
    for _ in 0..3 {
        let next = futures_util::StreamExt::next(&mut socket.stream);
        let message = tokio::time::timeout(PATIENCE, next)
            .await
            .expect("a ping in time");
        assert!(matches!(
            message.expect("open").expect("whole"),
            Message::Ping(_)
        ));
    }
    assert_eq!(server.app.sockets.len(), 1);
}

#[tokio::test]
async fn a_socket_has_a_limit_of_operations() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let server = Server::other(&["--max-socket-operations", "2"]).await;
    let thread = ada.open_thread(json!({})).await;
    let mut socket = Socket::greeted(server, ada.authorization()).await;
    for id in ["1", "2"] {
        socket
            .subscribe(id, THREAD_EVENTS, json!({ "id": thread }))
            .await;
    }
    assert!(socket.heard_by_now().await.is_empty());
    socket
        .subscribe("3", THREAD_EVENTS, json!({ "id": thread }))
        .await;
    let refused = socket.hear().await;
    assert_eq!(
        (&refused["type"], &refused["id"]),
        (&json!("error"), &json!("3"))
    );
    assert_eq!(refused["payload"][0]["extensions"]["code"], "CONFLICT");
    // The others hear nothing of it.
    ada.say(&thread, "still here").await;
    let mut told = [socket.hear().await, socket.hear().await].map(|next| next["id"].to_string());
    told.sort();
    assert_eq!(told, ["\"1\"", "\"2\""]);
}

#[tokio::test]
async fn a_message_that_is_too_long_or_cannot_be_read_is_closed_with_a_code_of_its_own() {
    let (_tenant, _ada, mut socket) = greeted().await;
    let query = format!("# {}\n{{ __typename }}", "x".repeat(2_500_000));
    let payload = json!({ "query": query });
    let message = json!({ "type": "subscribe", "id": "1", "payload": payload }).to_string();
    // The server may close before it has all.
    let _ = futures_util::SinkExt::send(&mut socket.stream, Message::text(message)).await;
    assert_eq!(socket.close_code().await, 1009);
    let (_tenant, _ada, mut socket) = greeted().await;
    let reserved = Frame::message(vec![b'{'], OpCode::Data(Data::Reserved(3)), true);
    let _ = futures_util::SinkExt::send(&mut socket.stream, Message::Frame(reserved)).await;
    assert_eq!(socket.close_code().await, 1002);
}

#[tokio::test]
async fn a_document_without_a_word_is_an_error_of_its_operation() {
    let (_tenant, _ada, mut socket) = greeted().await;
    for (id, empty) in [("1", ""), ("2", "  "), ("3", "# nothing")] {
        socket.subscribe(id, empty, json!({})).await;
        let answer = socket.hear().await;
        assert_eq!(
            (&answer["type"], &answer["id"]),
            (&json!("error"), &json!(id))
        );
    }
}

#[tokio::test]
async fn a_membership_that_is_gone_counts_from_the_next_operation_on() {
    let (tenant, ada, mut socket) = greeted().await;
    let thread = ada.open_thread(json!({})).await;
    let input = json!({ "organizationId": tenant.id, "userId": ada.id, "role": null });
    tenant
        .backend
        .mutate("setMembership", input, "role")
        .await
        .at("/role");
    socket
        .subscribe(
            "1",
            "query($id: ID!) { thread(id: $id) { id } }",
            json!({ "id": thread }),
        )
        .await;
    let next = socket.hear().await;
    assert_eq!(
        next["payload"]["errors"][0]["extensions"]["code"], "NOT_FOUND",
        "{next}"
    );
}

#[tokio::test]
async fn one_viewer_s_sockets_are_bounded_and_1013_says_to_come_later() {
    let server = Server::other(&["--max-sockets-per-viewer", "2"]).await;
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let first = Socket::greeted(server, ada.authorization()).await;
    let _second = Socket::greeted(server, ada.authorization()).await;
    let mut third = Socket::connect(server).await;
    let greeting = json!({ "Authorization": ada.authorization() });
    third.greet(greeting.clone()).await;
    assert_eq!(third.close_code().await, 1013);
    let _another = Socket::greeted(server, bob.authorization()).await;
    drop(first);
    eventually("there is room again", async || {
        let mut socket = Socket::connect(server).await;
        socket.greet(greeting.clone()).await;
        socket.hear_or_close().await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn more_sockets_than_the_server_takes_are_told_1013() {
    let server = Server::other(&["--max-sockets", "1"]).await;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let _first = Socket::greeted(server, ada.authorization()).await;
    assert_eq!(Socket::connect(server).await.close_code().await, 1013);
}

#[tokio::test]
async fn a_close_is_answered() {
    let (_tenant, _ada, mut socket) = greeted().await;
    let goodbye = tokio_tungstenite::tungstenite::protocol::CloseFrame {
        code: 1000.into(),
        reason: "bye".into(),
    };
    futures_util::SinkExt::send(&mut socket.stream, Message::Close(Some(goodbye)))
        .await
        .expect("the socket is open");
    assert_eq!(socket.close_code().await, 1000);
}
