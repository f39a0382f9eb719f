//! Threads with their recipients, and each recipient's own side of them.

use serde_json::{Value, json};

use crate::support::talk::{Talk, before, kinds, look, plus};
use crate::support::{Actor, Tenant};

/// Row thread `subject`, `metadata`, recipients.
#[tokio::test]
async fn thread_subject_metadata_recipients_are_seen_by_those_who_take_part() {
    let talk = Talk::with(json!({ "subject": "é".repeat(255), "metadata": { "n": 1 } })).await;
    for (input, fault) in [
        (json!({ "subject": "" }), "subject"),
        (json!({ "subject": "  " }), "subject"),
        (json!({ "subject": "x".repeat(256) }), "subject"),
        (json!({ "metadata": { "a": [1] } }), "metadata.a"),
        (json!({ "metadata": { "a": null } }), "metadata.a"),
        (json!({ "participantIds": ["nobody"] }), "participantIds.0"),
    ] {
        let input = plus(json!({ "subject": "Fine" }), input);
        let refused = talk
            .ada
            .mutate("createThread", input.clone(), "thread { id }");
        assert_eq!(refused.await.faults(), [fault]);
        if fault != "participantIds.0" {
            assert_eq!(talk.change(&talk.ada, input).await.faults(), [fault]);
        }
    }
    let contact = talk.tenant.contact("contact").await;
    talk.admit(&contact).await;
    let seeing: [&Actor; 4] = [&talk.ada, &talk.bob, &contact, &talk.tenant.backend];
    for actor in seeing {
        let seen = look(actor, &talk.thread).await;
        assert_eq!(seen.text("/thread/subject"), "é".repeat(255));
        assert_eq!(seen.at("/thread/metadata"), json!({ "n": 1 }));
        let names = seen.texts("/thread/participants/edges", "/node/name");
        assert_eq!(names, ["ada", "bob", "contact"]);
        assert_eq!(listed(actor).await, 1);
    }
    let outsiders = [
        talk.tenant.member("member").await,
        talk.tenant.agent("agent").await,
        talk.tenant.admin("admin").await,
        talk.tenant.contact("stranger").await,
        Tenant::new().await.admin("elsewhere").await,
    ];
    for outsider in &outsiders {
        assert_eq!(look(outsider, &talk.thread).await.code(), "NOT_FOUND");
        let refused = talk.change(outsider, json!({ "subject": "Mine" })).await;
        assert_eq!(refused.code(), "NOT_FOUND");
        let refused = talk.change(outsider, json!({ "resolved": true })).await;
        assert_eq!(refused.code(), "NOT_FOUND");
        assert_eq!(listed(outsider).await, 0);
    }
    who_edits_it_and_removes_others().await;
    who_posts_into_an_open_thread_takes_part().await;
}

async fn listed(by: &Actor) -> i64 {
    let list = by.run("{ threads { totalCount } }", json!({})).await;
    list.number("/threads/totalCount")
}

/// A part of the row above.
async fn who_edits_it_and_removes_others() {
    let talk = Talk::with(json!({ "access": "AGENTS" })).await;
    let (agent, admin) = (
        talk.tenant.agent("agent").await,
        talk.tenant.admin("admin").await,
    );
    let contact = talk.tenant.contact("contact").await;
    talk.admit(&contact).await;
    let remove = |user: &str| json!({ "threadId": talk.thread, "userId": user });
    let managers: [&Actor; 4] = [&talk.ada, &agent, &admin, &talk.tenant.backend];
    for (n, manager) in managers.into_iter().enumerate() {
        let input = json!({ "subject": format!("{n}"), "metadata": { "n": n } });
        let changed = talk.change(manager, input).await;
        assert_eq!(changed.text("/thread/subject"), format!("{n}"));
        let guest = talk.tenant.member("guest").await;
        talk.admit(&guest).await;
        let mut events = talk.follow(&guest).await;
        manager
            .mutate("removeParticipant", remove(&guest.id), "thread { id }")
            .await
            .text("/thread/id");
        assert_eq!(look(&guest, &talk.thread).await.code(), "NOT_FOUND");
        let refused = talk.post(&guest, json!({ "body": "Still here" })).await;
        assert_eq!(refused.code(), "NOT_FOUND");
        assert_eq!(events.error().await, "NOT_FOUND");
    }
    for other in [&talk.bob, &contact] {
        let refused = talk.change(other, json!({ "subject": "Mine" })).await;
        assert_eq!(refused.code(), "FORBIDDEN");
        let refused = talk.change(other, json!({ "metadata": {} })).await;
        assert_eq!(refused.code(), "FORBIDDEN");
        let refused = other
            .mutate("removeParticipant", remove(&talk.ada.id), "thread { id }")
            .await;
        assert_eq!(refused.code(), "FORBIDDEN");
        // Resolving is for anyone who may post.
        for resolved in [true, false] {
            let done = talk.change(other, json!({ "resolved": resolved })).await;
            assert_eq!(done.at("/thread/resolved"), json!(resolved));
        }
    }
    let missing = talk
        .ada
        .mutate("removeParticipant", remove("nobody"), "thread { id }")
        .await;
    assert_eq!(missing.code(), "NOT_FOUND");
}

/// A part of the row above.
async fn who_posts_into_an_open_thread_takes_part() {
    let talk = Talk::with(json!({ "access": "ORGANIZATION" })).await;
    let member = talk.tenant.member("member").await;
    let contact = talk.tenant.contact("contact").await;
    let mut events = talk.follow(&talk.bob).await;
    assert_eq!(
        talk.look(&member).await.at("/thread/subscribed"),
        json!(false)
    );
    talk.posted(&member, json!({ "body": "Me too" })).await;
    let seen = talk.look(&member).await;
    assert_eq!(seen.number("/thread/participants/totalCount"), 3);
    assert_eq!(seen.at("/thread/subscribed"), json!(true));
    let refused = talk.post(&contact, json!({ "body": "And me" })).await;
    assert_eq!(refused.code(), "NOT_FOUND");
    let mark = talk.mark().await;
    let heard = before(&mark, &mut events).await;
    assert_eq!(kinds(&heard), ["ParticipantAdded", "MessageCreated"]);
}

/// The state of a thread for somebody, and how much is unread there and anywhere.
async fn state(by: &Actor, thread: &str) -> (String, i64, i64) {
    let query = "query($t: ID!) { thread(id: $t) { inboxState unreadCount } viewer { unreadMessageCount unreadThreadCount } }";
    let read = by.run(query, json!({ "t": thread })).await;
    let anywhere = read.number("/viewer/unreadMessageCount");
    let threads = read.number("/viewer/unreadThreadCount");
    assert_eq!(threads > 0, anywhere > 0);
    (
        read.text("/thread/inboxState"),
        read.number("/thread/unreadCount"),
        anywhere,
    )
}

fn is(name: &str, unread: i64, anywhere: i64) -> (String, i64, i64) {
    (name.to_owned(), unread, anywhere)
}

async fn set(by: &Actor, threads: &[&str], state: &str) -> crate::support::Answer {
    let input = json!({ "threadIds": threads, "state": state });
    by.mutate("updateThreadInboxState", input, "threads { id inboxState }")
        .await
}

/// Row read / unread / unwatch / leave, bulk of them.
#[tokio::test]
async fn read_unread_unwatch_leave_bulk_of_them_are_each_viewers_own() {
    let talk = Talk::new().await;
    let cyd = talk.tenant.contact("cyd").await;
    talk.admit(&cyd).await;
    let thread = &*talk.thread;
    let first = talk.ada.say(thread, "One").await;
    let second = talk.ada.say(thread, "Two").await;
    assert_eq!(state(&talk.ada, thread).await, is("READ", 0, 0));
    for reader in [&talk.bob, &cyd] {
        assert_eq!(state(reader, thread).await, is("UNREAD", 2, 2));
    }
    let mark = async |field: &str, input: Value| {
        let input = plus(json!({ "threadId": thread }), input);
        let done = talk.bob.mutate(field, input, "thread { inboxState }").await;
        done.text("/thread/inboxState")
    };
    assert_eq!(mark("markThreadSeen", json!({})).await, "READ");
    assert_eq!(state(&talk.bob, thread).await, is("READ", 0, 0));
    assert_eq!(state(&cyd, thread).await, is("UNREAD", 2, 2));
    assert_eq!(mark("markThreadUnseen", json!({})).await, "UNREAD");
    assert_eq!(state(&talk.bob, thread).await, is("UNREAD", 1, 1));
    let from = json!({ "fromMessageId": first });
    assert_eq!(mark("markThreadUnseen", from).await, "UNREAD");
    assert_eq!(state(&talk.bob, thread).await, is("UNREAD", 2, 2));
    let up_to = json!({ "messageId": second });
    assert_eq!(mark("markThreadSeen", up_to).await, "READ");
    talk.bob.say(thread, "Mine").await;
    assert_eq!(state(&talk.bob, thread).await, is("READ", 0, 0));
    assert_eq!(state(&talk.ada, thread).await, is("UNREAD", 1, 1));
    talk.ada.say(thread, "Three").await;
    assert_eq!(state(&talk.bob, thread).await, is("UNREAD", 1, 1));
    hidden_stays_hidden(&talk).await;
    leaving(&talk).await;
    bulk_is_all_or_none().await;
}

/// A part of the row above.
async fn hidden_stays_hidden(talk: &Talk) {
    let (bob, thread) = (&talk.bob, &*talk.thread);
    let hidden = set(bob, &[thread], "HIDDEN").await;
    assert_eq!(hidden.text("/threads/0/inboxState"), "HIDDEN");
    assert_eq!(listed(bob).await, 0);
    for _ in 0..2 {
        talk.ada.say(thread, "Anybody there?").await;
        let (name, _, anywhere) = state(bob, thread).await;
        assert_eq!((&*name, anywhere), ("HIDDEN", 0));
        assert_eq!(listed(bob).await, 0);
        // Neither his own words nor his reading bring it back.
        bob.say(thread, "Not me").await;
        let seen = json!({ "threadId": thread });
        bob.mutate("markThreadSeen", seen, "thread { id }")
            .await
            .text("/thread/id");
    }
    assert_eq!(state(bob, thread).await.0, "HIDDEN");
    assert_eq!(listed(&talk.ada).await, 1);
    let back = set(bob, &[thread], "READ").await;
    assert_eq!(back.text("/threads/0/inboxState"), "READ");
    assert_eq!(listed(bob).await, 1);
    set(bob, &[thread], "HIDDEN").await.at("/threads");
    let back = set(bob, &[thread], "UNREAD").await;
    assert_eq!(back.text("/threads/0/inboxState"), "UNREAD");
    talk.ada.say(thread, "Hello again").await;
    assert_eq!(state(bob, thread).await, is("UNREAD", 2, 2));
}

/// A part of the row above.
async fn leaving(talk: &Talk) {
    let input = json!({ "threadId": talk.thread });
    let mut events = talk.follow(&talk.ada).await;
    let creator = talk
        .ada
        .mutate("leaveThread", input.clone(), "threadId")
        .await;
    assert_eq!(creator.code(), "FORBIDDEN");
    let key = &talk.tenant.backend;
    let key = key.mutate("leaveThread", input.clone(), "threadId").await;
    assert_eq!(key.code(), "FORBIDDEN");
    let left = talk
        .bob
        .mutate("leaveThread", input.clone(), "threadId")
        .await;
    assert_eq!(left.text("/threadId"), talk.thread);
    assert_eq!(look(&talk.bob, &talk.thread).await.code(), "NOT_FOUND");
    let again = talk.bob.mutate("leaveThread", input, "threadId").await;
    assert_eq!(again.code(), "NOT_FOUND");
    let names = look(&talk.ada, &talk.thread).await;
    let names = names.texts("/thread/participants/edges", "/node/name");
    assert_eq!(names, ["ada", "cyd"]);
    let mark = talk.mark().await;
    let heard = before(&mark, &mut events).await;
    assert_eq!(kinds(&heard), ["ParticipantRemoved"]);
    assert_eq!(heard[0]["user"]["name"], "bob");
}

/// A part of the row above.
async fn bulk_is_all_or_none() {
    let talk = Talk::new().await;
    let with_bob = json!({ "participantIds": [talk.bob.id], "message": { "body": "Hi" } });
    let mut threads = Vec::new();
    for _ in 0..3 {
        threads.push(talk.ada.open_thread(with_bob.clone()).await);
    }
    let all: Vec<&str> = threads.iter().map(String::as_str).collect();
    let foreign = talk.ada.open_thread(json!({})).await;
    let bob = &talk.bob;
    for state in ["READ", "HIDDEN"] {
        let refused = set(bob, &[all[0], all[1], &foreign], state).await;
        assert_eq!(refused.code(), "NOT_FOUND");
        let refused = set(bob, &[all[0], "no-such-thread", all[1]], state).await;
        assert_eq!(refused.code(), "NOT_FOUND");
    }
    for thread in &all {
        assert_eq!(state(bob, thread).await, is("UNREAD", 1, 3));
    }
    for (name, unread) in [("READ", 0), ("HIDDEN", 0), ("UNREAD", 3)] {
        let done = set(bob, &all, name).await;
        assert_eq!(done.texts("/threads", "/id"), all);
        assert_eq!(done.texts("/threads", "/inboxState"), [name; 3]);
        assert_eq!(state(bob, all[0]).await.2, unread);
    }
    assert_eq!(set(bob, &[], "READ").await.faults(), ["threadIds"]);
    let many = vec![all[0]; 101];
    assert_eq!(set(bob, &many, "READ").await.faults(), ["threadIds"]);
    let key = set(&talk.tenant.backend, &all, "READ").await;
    assert_eq!(key.code(), "FORBIDDEN");
}

/// Row status filter on list.
#[tokio::test]
async fn status_filter_on_list_is_unread_and_read_by_default() {
    let talk = Talk::new().await;
    let (ada, bob) = (&talk.ada, &talk.bob);
    let mut threads = vec![talk.thread.clone()];
    for subject in ["unread", "hidden"] {
        let input =
            json!({ "subject": subject, "participantIds": [bob.id], "message": { "body": "Hi" } });
        threads.push(ada.open_thread(input).await);
    }
    set(bob, &[&threads[2]], "HIDDEN").await.at("/threads");
    for (filter, expected) in [
        (json!(null), vec!["A subject", "unread"]),
        (json!({}), vec!["A subject", "unread"]),
        (json!({ "inboxState": null }), vec!["A subject", "unread"]),
        (json!({ "inboxState": ["UNREAD"] }), vec!["unread"]),
        (json!({ "inboxState": ["READ"] }), vec!["A subject"]),
        (json!({ "inboxState": ["HIDDEN"] }), vec!["hidden"]),
        (
            json!({ "inboxState": ["READ", "HIDDEN"] }),
            vec!["A subject", "hidden"],
        ),
        (
            json!({ "inboxState": ["UNREAD", "READ", "HIDDEN"] }),
            vec!["A subject", "unread", "hidden"],
        ),
        (
            json!({ "inboxState": ["HIDDEN"], "resolved": true }),
            vec![],
        ),
    ] {
        let query = "query($f: ThreadFilter) { threads(filter: $f, orderBy: CREATED_ASC) { totalCount nodes { subject } } }";
        let list = bob.run(query, json!({ "f": filter })).await;
        assert_eq!(
            list.texts("/threads/nodes", "/subject"),
            expected,
            "{filter}"
        );
        let count = list.number("/threads/totalCount");
        assert_eq!(usize::try_from(count), Ok(expected.len()), "{filter}");
    }
    // For others nothing is hidden, and for a backend all is read.
    assert_eq!(listed(ada).await, 3);
    let query = "{ threads { nodes { inboxState unreadCount } } none: threads(filter: { inboxState: [HIDDEN, UNREAD] }) { totalCount } }";
    let list = talk.tenant.backend.run(query, json!({})).await;
    assert_eq!(list.texts("/threads/nodes", "/inboxState"), ["READ"; 3]);
    assert_eq!(list.number("/none/totalCount"), 0);
    let bad = bob.run(
        "{ threads(filter: { inboxState: [SEEN] }) { totalCount } }",
        json!({}),
    );
    assert!(bad.await.body.get("errors").is_some());
}
