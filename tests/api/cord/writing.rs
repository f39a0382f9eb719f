//! Messages that a backend makes, and threads that they bring along.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::talk::{Talk, before, edit, kinds, look, plus, post, read};
use crate::support::{Actor, Answer, Tenant, unique};

fn ids(answers: &[Answer]) -> HashSet<String> {
    let good = answers.iter().filter(|answer| is_good(answer));
    good.map(|answer| answer.text("/message/id")).collect()
}

fn is_good(answer: &Answer) -> bool {
    answer.body.get("errors").is_none()
}

/// Row create message.
#[tokio::test]
async fn create_message_is_by_a_key_for_a_sender_and_one_per_external_id() {
    let talk = Talk::new().await;
    let backend = &talk.tenant.backend;
    for sender in [&talk.bob.id, &talk.bob.external_id] {
        let sent = talk.post(backend, json!({ "body": "Hi", "senderId": sender }));
        assert_eq!(sent.await.text("/message/sender/name"), "bob");
    }
    let before = talk.look(&talk.ada).await.at("/thread");
    let stranger = Tenant::new().await.member("stranger").await;
    let gone = talk.tenant.member("gone").await;
    let role = json!({ "organizationId": talk.tenant.id, "userId": gone.id, "role": null });
    backend
        .mutate("setMembership", role, "user { id }")
        .await
        .text("/user/id");
    for sender in [&stranger.id, &stranger.external_id, &gone.id, &unique("no")] {
        let input = json!({ "body": "Hi", "senderId": sender, "externalId": unique("m") });
        let refused = talk.post(backend, input.clone()).await;
        assert_eq!(refused.faults(), ["senderId"]);
        let name = input["externalId"].as_str().expect("a name");
        assert_eq!(read(backend, name).await.code(), "NOT_FOUND");
    }
    let known = talk.look(&talk.ada).await.text("/thread/latestMessage/id");
    for sender in [&*stranger.id, &gone.external_id, "nobody"] {
        let refused = edit(backend, &known, json!({ "senderId": sender })).await;
        assert_eq!(refused.faults(), ["senderId"]);
    }
    let other = json!({ "body": "Hi", "senderId": talk.bob.id });
    assert_eq!(talk.post(&talk.ada, other).await.code(), "FORBIDDEN");
    let own = json!({ "body": "x", "senderId": talk.ada.id, "metadata": { "a": null } });
    assert_eq!(talk.post(&talk.ada, own).await.faults(), ["metadata.a"]);
    for bad in ["", "a\nb", &"x".repeat(321), &talk.thread] {
        let input = json!({ "body": "Hi", "externalId": bad });
        assert_eq!(talk.post(backend, input).await.faults(), ["externalId"]);
    }
    assert_eq!(talk.look(&talk.ada).await.at("/thread"), before);
    an_external_id_is_one_row(&talk).await;
}

/// A part of the row above.
async fn an_external_id_is_one_row(talk: &Talk) {
    let backend = &talk.tenant.backend;
    let mut events = talk.follow(&talk.bob).await;
    let input = json!({
        "externalId": unique("once"), "senderId": talk.ada.id, "body": "Once",
        "metadata": { "n": 1 }, "sentAt": "2020-01-01T00:00:00Z",
        "reactions": [{ "emoji": "👍", "userId": talk.bob.id }],
    });
    let answers = join_all((0..50).map(|_| talk.post(backend, input.clone()))).await;
    assert_eq!(ids(&answers).len(), 1);
    assert!(answers.iter().all(is_good));
    for change in [
        json!({ "body": "Twice" }),
        json!({ "senderId": talk.bob.id }),
        json!({ "metadata": { "n": 2 } }),
        json!({ "sentAt": "2021-01-01T00:00:00Z" }),
        json!({ "status": "DRAFT", "sentAt": null, "reactions": null }),
    ] {
        let other = plus(input.clone(), change.clone());
        let refused = talk.post(backend, other).await;
        assert_eq!(refused.code(), "CONFLICT", "{change}");
    }
    let elsewhere = talk.ada.open_thread(json!({})).await;
    let elsewhere = plus(input.clone(), json!({ "threadId": elsewhere }));
    assert_eq!(post(backend, elsewhere).await.code(), "CONFLICT");

    // Of two that race for one name, one wins, each time.
    let name = unique("race");
    let racer = |n: usize| json!({ "externalId": name, "body": format!("{}", n % 2) });
    let answers = join_all((0..50).map(|n| talk.post(&talk.ada, racer(n)))).await;
    assert_eq!(ids(&answers).len(), 1);
    assert_eq!(answers.iter().filter(|answer| is_good(answer)).count(), 25);
    let lost = answers.iter().filter(|answer| !is_good(answer));
    assert!(lost.into_iter().all(|answer| answer.code() == "CONFLICT"));
    let by_bob = talk.post(&talk.bob, racer(0)).await;
    assert_eq!(by_bob.code(), "CONFLICT");

    let free = talk.posted(&talk.ada, json!({ "body": "Free" })).await;
    let taken = edit(&talk.ada, &free, json!({ "externalId": name })).await;
    assert_eq!(taken.code(), "CONFLICT");
    let mark = talk.mark().await;
    let heard = before(&mark, &mut events).await;
    assert_eq!(kinds(&heard), ["MessageCreated"; 3]);
    assert_eq!(talk.look(&talk.bob).await.number("/thread/messageCount"), 6);
    // The same again is the same also in another form of the time and the sender.
    let same = json!({ "senderId": talk.ada.external_id, "sentAt": "2020-01-01T01:00:00+01:00" });
    let again = talk.post(backend, plus(input, same)).await;
    assert_eq!(again.text("/message/body"), "Once");
}

/// Row `createThread`.
#[tokio::test]
async fn create_thread_makes_both_or_neither_and_is_ignored_if_it_exists() {
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let backend = &tenant.backend;
    let first = |name: &str, more: Value| {
        let thread =
            json!({ "subject": "Help", "participantIds": [bob.id], "metadata": { "n": 1 } });
        let input = json!({ "threadId": name, "body": "Hello", "senderId": ada.id, "createThread": thread });
        plus(input, more)
    };
    let count = async || {
        let list = backend.run(
            "{ threads { totalCount } messages { totalCount } }",
            json!({}),
        );
        let list = list.await;
        let threads = list.number("/threads/totalCount");
        (threads, list.number("/messages/totalCount"))
    };
    // Neither, if one of them is at fault.
    for (more, faults) in [
        (json!({ "body": "" }), vec!["body", "bodyHtml"]),
        (json!({ "senderId": "nobody" }), vec!["senderId"]),
        (
            json!({ "createThread": { "subject": "" } }),
            vec!["createThread.subject"],
        ),
        (
            json!({ "createThread": { "subject": "", "url": "x", "metadata": { "a": {} } }, "body": null }),
            vec![
                "body",
                "bodyHtml",
                "createThread.subject",
                "createThread.url",
                "createThread.metadata.a",
            ],
        ),
        (
            json!({ "createThread": { "subject": "x", "externalId": "another" } }),
            vec!["createThread.externalId"],
        ),
        (
            json!({ "createThread": { "subject": "x", "message": { "body": "Hi" } } }),
            vec!["createThread.message"],
        ),
    ] {
        let refused = post(backend, first(&unique("none"), more.clone())).await;
        assert_eq!(refused.faults(), faults, "{more}");
    }
    let content =
        json!([{ "type": "mention", "user": { "id": "nobody" }, "children": [{ "text": "@N" }] }]);
    let refused = post(
        backend,
        first(&unique("none"), json!({ "content": content })),
    )
    .await;
    assert_eq!(refused.faults(), ["content.0.user.id"]);
    let participants =
        json!({ "createThread": { "subject": "x", "participantIds": [ada.id, "nobody"] } });
    let refused = post(backend, first(&unique("none"), participants)).await;
    assert_eq!(refused.code(), "BAD_USER_INPUT");
    let missing = json!({ "threadId": unique("none"), "body": "Hello", "senderId": ada.id });
    assert_eq!(post(backend, missing).await.code(), "NOT_FOUND");
    let our_id = first("thr_01h455vb4pex5vsknk084sn02q", json!({}));
    assert_eq!(post(backend, our_id).await.code(), "NOT_FOUND");
    assert_eq!(count().await, (0, 0));

    let name = unique("request");
    let made = post(backend, first(&name, json!({}))).await;
    let thread = made.text("/message/thread/id");
    for id in [&name, &thread] {
        let seen = look(&ada, id).await;
        assert_eq!(seen.text("/thread/subject"), "Help");
        assert_eq!(seen.at("/thread/metadata"), json!({ "n": 1 }));
        assert_eq!(seen.number("/thread/messageCount"), 1);
        assert_eq!(seen.number("/thread/participants/totalCount"), 2);
    }
    it_is_checked_and_ignored_if_the_thread_exists(&tenant, &name, &first(&name, json!({}))).await;
    assert_eq!(count().await, (1, 4));
    two_at_the_same_moment_make_one(&tenant, &first("", json!({}))).await;
}

/// A part of the row above.
async fn it_is_checked_and_ignored_if_the_thread_exists(
    tenant: &Tenant,
    name: &str,
    input: &Value,
) {
    let backend = &tenant.backend;
    let other = Tenant::new().await;
    let before = look(backend, name).await.at("/thread/subject");
    let thread = look(backend, name).await.text("/thread/id");
    for create in [
        json!({ "subject": "Other", "metadata": { "n": 2 }, "access": "AGENTS" }),
        json!({ "subject": "Other", "organizationId": other.id }),
    ] {
        let again = post(
            backend,
            plus(input.clone(), json!({ "createThread": create })),
        )
        .await;
        assert_eq!(again.text("/message/thread/id"), thread);
    }
    // The server's own key could open one there, and does not.
    let elsewhere = json!({ "createThread": { "subject": "Other", "organizationId": other.id } });
    let root = Actor::root().await;
    let again = post(&root, plus(input.clone(), elsewhere)).await;
    assert_eq!(again.text("/message/thread/id"), thread);
    assert_eq!(again.text("/message/organization/id"), tenant.id);
    assert_eq!(look(&other.backend, name).await.code(), "NOT_FOUND");
    let bad = json!({ "createThread": { "subject": "", "metadata": [] } });
    let refused = post(backend, plus(input.clone(), bad)).await;
    assert_eq!(
        refused.faults(),
        ["createThread.subject", "createThread.metadata"]
    );
    let seen = look(backend, name).await;
    assert_eq!(seen.at("/thread/subject"), before);
    assert_eq!(seen.text("/thread/access"), "PARTICIPANTS");
}

/// A part of the row above.
async fn two_at_the_same_moment_make_one(tenant: &Tenant, input: &Value) {
    let names = json!({ "threadId": unique("once"), "externalId": unique("once") });
    let same = plus(input.clone(), names);
    let answers = join_all((0..50).map(|_| post(&tenant.backend, same.clone()))).await;
    assert!(answers.iter().all(is_good));
    assert_eq!(ids(&answers).len(), 1);
    let seen = look(&tenant.backend, &answers[0].text("/message/thread/id")).await;
    assert_eq!(seen.number("/thread/messageCount"), 1);
    for round in 0..5 {
        let name = unique("race");
        let input = |n: usize| {
            let create = json!({ "subject": format!("Help {n}"), "access": "AGENTS" });
            plus(
                input.clone(),
                json!({ "threadId": name, "body": format!("{n}"), "createThread": create }),
            )
        };
        let number = if round == 0 { 20 } else { 2 };
        let calls = (0..number).map(|n| post(&tenant.backend, input(n)));
        let answers = join_all(calls).await;
        let threads: HashSet<String> = answers
            .iter()
            .map(|answer| answer.text("/message/thread/id"))
            .collect();
        assert_eq!(threads.len(), 1);
        let seen = look(&tenant.backend, &name).await;
        let count = seen.number("/thread/messageCount");
        assert_eq!(usize::try_from(count), Ok(number));
        let numbers = seen.texts("/thread/messages/nodes", "/body");
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), number);
    }
}
