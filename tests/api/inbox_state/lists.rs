//! Unread, read and hidden: the states of threads in lists, counts and filters.

use serde_json::{Value, json};

use super::{listed, mark, pair, put, set, state, unread};
use crate::chatwoot::{Support, follow, read_thread, wrote};
use crate::support::unique;

#[tokio::test]
async fn many_threads_change_all_or_none() {
    let support = Support::new().await;
    let name = unique("thread");
    let open = |name: &str| json!({ "externalId": name, "participantIds": [support.contact.id] });
    let first = support.agent.open_thread(open(&name)).await;
    let second = support.agent.open_thread(open(&unique("thread"))).await;
    let unseen = support.agent.open_thread(json!({})).await;
    let foreign = support.outsider.open_thread(json!({})).await;
    for thread in [&first, &second] {
        support.agent.say(thread, "Hello").await;
    }
    let states = async || {
        (
            state(&support.contact, &first).await,
            state(&support.contact, &second).await,
        )
    };
    for bad in [&unseen, &foreign, &unique("nothing")] {
        for wanted in ["HIDDEN", "READ", "UNREAD"] {
            let refused = set(&support.contact, &[&first, bad, &second], wanted).await;
            assert_eq!(refused.code(), "NOT_FOUND");
            assert_eq!(states().await, (json!("UNREAD"), json!("UNREAD")));
        }
    }
    let many: Vec<&str> = (0..101).map(|_| first.as_str()).collect();
    for threads in [&many[..], &[]] {
        assert_eq!(
            set(&support.contact, threads, "HIDDEN").await.faults(),
            ["threadIds"]
        );
    }
    let refused = set(&support.contact, &[&first], "GONE").await;
    assert_eq!(refused.code(), "GRAPHQL_VALIDATION_FAILED");
    assert_eq!(
        set(support.backend(), &[&first], "HIDDEN").await.code(),
        "FORBIDDEN"
    );
    assert_eq!(states().await, (json!("UNREAD"), json!("UNREAD")));
    // Each once, as they were named, by id or externalId.
    for wanted in ["READ", "HIDDEN", "UNREAD", "HIDDEN", "READ"] {
        let done = set(&support.contact, &[&second, &name, &first, &second], wanted).await;
        assert_eq!(done.texts("/threads", "/id"), [&*second, &first]);
        assert_eq!(done.texts("/threads", "/inboxState"), [wanted, wanted]);
        assert_eq!(states().await, (json!(wanted), json!(wanted)));
    }
    // It is the viewer's own.
    assert_eq!(state(&support.agent, &first).await, "READ");
}

#[tokio::test]
async fn hidden_stays_hidden_and_silent_until_it_is_taken_back() {
    let (tenant, ada, bob, thread) = pair().await;
    let other = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    ada.say(&thread, "One").await;
    ada.say(&other, "One").await;
    assert_eq!(unread(&bob).await, (2, 2));
    let mut events = follow(&ada, &thread, None).await;
    put(&bob, &thread, "HIDDEN").await;
    put(&bob, &thread, "HIDDEN").await;
    let expect_hidden = async || {
        assert_eq!(state(&bob, &thread).await, "HIDDEN");
        assert_eq!(listed(&bob, Value::Null).await, [&*other]);
        assert_eq!(listed(&bob, json!({ "unread": true })).await, [&*other]);
        assert_eq!(
            listed(&bob, json!({ "participantId": bob.id })).await,
            [&*other]
        );
        assert_eq!(
            listed(&bob, json!({ "inboxState": ["HIDDEN"] })).await,
            [&*thread]
        );
        assert_eq!(unread(&bob).await, (1, 1));
    };
    expect_hidden().await;
    // Nobody else learns of it.
    assert_eq!(events.heard_by_now().await, [] as [Value; 0]);
    assert_eq!(listed(&ada, Value::Null).await, [&*thread, &other]);
    // Whatever happens in it.
    let newest = ada.say(&thread, "Two").await;
    expect_hidden().await;
    let note = json!({ "body": "By the system" });
    wrote(&tenant.backend, &thread, note).await;
    mark(
        &bob,
        "markThreadSeen",
        json!({ "threadId": thread, "messageId": newest }),
    )
    .await
    .at("");
    bob.say(&thread, "Mine").await;
    let resolve = json!({ "threadId": thread, "resolved": true });
    ada.mutate("updateThread", resolve, "thread { id }")
        .await
        .at("");
    ada.say(&thread, "Three").await;
    expect_hidden().await;
    // It is still his to read, by name.
    assert_eq!(
        read_thread(&bob, &thread, "latestMessage { body }").await["latestMessage"]["body"],
        "Three"
    );

    put(&bob, &thread, "READ").await;
    assert_eq!(listed(&bob, Value::Null).await, [&*thread, &other]);
    assert_eq!(unread(&bob).await, (1, 1));
    ada.say(&thread, "Four").await;
    assert_eq!(state(&bob, &thread).await, "UNREAD");
    assert_eq!(unread(&bob).await, (2, 2));
    put(&bob, &thread, "HIDDEN").await;
    mark(&bob, "markThreadSeen", json!({ "threadId": thread }))
        .await
        .at("");
    expect_hidden().await;
    put(&bob, &thread, "UNREAD").await;
    assert_eq!(unread(&bob).await, (2, 2));
    assert_eq!(listed(&bob, Value::Null).await, [&*thread, &other]);
}

#[tokio::test]
async fn the_filter_takes_every_combination_of_states() {
    let (tenant, ada, bob, read) = pair().await;
    let new = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let hidden = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    // Hidden while something in it is unread, and while nothing is.
    let silent = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    for thread in [&read, &new, &hidden] {
        ada.say(thread, "Hello").await;
    }
    put(&bob, &read, "READ").await;
    put(&bob, &hidden, "HIDDEN").await;
    put(&bob, &silent, "HIDDEN").await;
    let all = [&*read, &new, &hidden, &silent];
    for subset in 0..8 {
        let among = |bit: u8| subset & bit != 0;
        let names = [("UNREAD", 1), ("READ", 2), ("HIDDEN", 4)];
        let states: Vec<&str> = names
            .iter()
            .filter(|(_, bit)| among(*bit))
            .map(|(name, _)| *name)
            .collect();
        let expected: Vec<&str> = [(all[0], 2), (all[1], 1), (all[2], 4), (all[3], 4)]
            .into_iter()
            .filter(|(_, bit)| among(*bit))
            .map(|(thread, _)| thread)
            .collect();
        assert_eq!(
            listed(&bob, json!({ "inboxState": states })).await,
            expected,
            "{states:?}"
        );
        let twice = states.repeat(2);
        let twice = json!({ "inboxState": twice });
        assert_eq!(listed(&bob, twice).await, expected);
        // For a backend every thread is read.
        let for_key = if among(2) { 4 } else { 0 };
        assert_eq!(
            listed(&tenant.backend, json!({ "inboxState": states }))
                .await
                .len(),
            for_key
        );
    }
    assert_eq!(listed(&bob, Value::Null).await, [&*read, &new]);
    assert_eq!(
        listed(&bob, json!({ "inboxState": null })).await,
        [&*read, &new]
    );
    assert_eq!(listed(&tenant.backend, Value::Null).await.len(), 4);
    // Together with others.
    for (filter, expected) in [
        (
            json!({ "inboxState": ["HIDDEN", "READ"], "unread": true }),
            vec![&*hidden],
        ),
        (
            json!({ "inboxState": ["HIDDEN", "READ"], "unread": false }),
            vec![&*read, &silent],
        ),
        (json!({ "inboxState": ["UNREAD"], "unread": false }), vec![]),
        (
            json!({ "inboxState": ["HIDDEN"], "resolved": true }),
            vec![],
        ),
    ] {
        assert_eq!(listed(&bob, filter).await, expected);
    }
    // Pages of it hold each thread once.
    let page = "query($a: String) { threads(filter: { inboxState: [HIDDEN, READ, UNREAD] }, first: 1, after: $a) {
        totalCount nodes { id inboxState } pageInfo { endCursor hasNextPage } } }";
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let part = bob.run(page, json!({ "a": after })).await;
        assert_eq!(part.number("/threads/totalCount"), 4);
        seen.extend(part.texts("/threads/nodes", "/inboxState"));
        after = part.at("/threads/pageInfo/endCursor");
        if part.at("/threads/pageInfo/hasNextPage") == false {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, ["HIDDEN", "HIDDEN", "READ", "UNREAD"]);
}
