//! Reactions.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::talk::{Talk, act, before, edit, kinds, read};
use crate::support::{Actor, Answer, Tenant};

async fn react(by: &Actor, message: &str, emoji: &str) -> Answer {
    let input = json!({ "messageId": message, "emoji": emoji });
    by.mutate("addReaction", input, "message { reactions { createdAt } }")
        .await
}

async fn unreact(by: &Actor, message: &str, emoji: &str) -> Answer {
    let input = json!({ "messageId": message, "emoji": emoji });
    by.mutate("removeReaction", input, "message { id }").await
}

/// The reactions to a message, with who reacted.
async fn reactions(talk: &Talk, message: &str) -> Vec<String> {
    let read = read(&talk.ada, message).await;
    let list = read.at("/message/reactions");
    let list = list.as_array().expect("reactions").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    list.map(|one| text(&one["emoji"]) + &text(&one["user"]["name"]))
        .collect()
}

/// Row `addReactions`, `removeReactions`.
#[tokio::test]
async fn add_reactions_remove_reactions_are_unique_per_user_message_and_emoji() {
    let talk = Talk::with(json!({ "access": "ORGANIZATION" })).await;
    let contact = talk.tenant.contact("contact").await;
    talk.admit(&contact).await;
    let agent = talk.tenant.agent("agent").await;
    let id = talk.posted(&talk.ada, json!({ "body": "Hi" })).await;
    let mut events = talk.follow(&talk.ada).await;
    let answers = join_all((0..50).map(|_| react(&talk.bob, &id, "👍"))).await;
    let at = answers[0].text("/message/reactions/0/createdAt");
    for answer in answers {
        let times = answer.texts("/message/reactions", "/createdAt");
        assert_eq!(times, [&*at]);
    }
    // Anyone who can read may react, by either door.
    react(&contact, &id, "👍").await.at("/message");
    let only = json!({ "addReactions": [{ "emoji": "👍" }, { "emoji": "🎉" }] });
    edit(&agent, &id, only.clone()).await.at("/message");
    edit(&agent, &id, only).await.at("/message");
    let expected = ["👍bob", "👍contact", "👍agent", "🎉agent"];
    let mut found = reactions(&talk, &id).await;
    found[2..].sort_by_key(|one| !one.starts_with('👍'));
    assert_eq!(found, expected);
    let removed = json!({ "removeReactions": [{ "emoji": "🎉" }, { "emoji": "🙈" }] });
    edit(&agent, &id, removed.clone()).await.at("/message");
    edit(&agent, &id, removed).await.at("/message");
    for _ in 0..2 {
        unreact(&contact, &id, "👍").await.at("/message");
        unreact(&contact, &id, "never").await.at("/message");
    }
    assert_eq!(reactions(&talk, &id).await, ["👍bob", "👍agent"]);
    let mark = talk.mark().await;
    let heard = before(&mark, &mut events).await;
    // Bob's, the contact's, the agent's two at once; then the two removals.
    assert_eq!(kinds(&heard), ["MessageUpdated"; 5]);
    let last = &heard[4]["message"]["reactions"];
    assert_eq!(last.as_array().map(Vec::len), Some(2));
    they_have_1_to_127_characters(&talk, &id).await;
    who_cannot_read_cannot_react(&talk, &id).await;
    a_backend_names_the_reactor(&talk, &id).await;
    the_same_pair_in_both_changes_nothing(&talk).await;
    nothing_but_reactions(&talk).await;
}

/// A part of the row above.
async fn they_have_1_to_127_characters(talk: &Talk, id: &str) {
    let known = reactions(talk, id).await;
    let long = "é".repeat(128);
    for bad in ["", &long, "a\nb", "\0"] {
        assert_eq!(react(&talk.bob, id, bad).await.faults(), ["emoji"]);
        assert_eq!(unreact(&talk.bob, id, bad).await.faults(), ["emoji"]);
        let (good, wrong) = (json!({ "emoji": "x" }), json!({ "emoji": bad }));
        let input = json!({ "addReactions": [good, wrong], "removeReactions": [wrong] });
        let refused = edit(&talk.bob, id, input).await;
        let faults = refused.faults();
        assert!(
            faults.contains(&"addReactions.1.emoji".to_owned()),
            "{faults:?}"
        );
        assert!(
            faults.contains(&"removeReactions.0.emoji".to_owned()),
            "{faults:?}"
        );
        let import = json!({ "body": "x", "reactions": [{ "emoji": bad, "userId": talk.bob.id }] });
        let refused = talk.post(&talk.tenant.backend, import).await;
        assert_eq!(refused.faults(), ["reactions.0.emoji"]);
    }
    assert_eq!(reactions(talk, id).await, known);
    let longest = "é".repeat(127);
    react(&talk.bob, id, &longest).await.at("/message");
    unreact(&talk.bob, id, &longest).await.at("/message");
    assert_eq!(reactions(talk, id).await, known);
}

/// A part of the row above.
async fn who_cannot_read_cannot_react(talk: &Talk, id: &str) {
    let stranger = talk.tenant.contact("stranger").await;
    let elsewhere = Tenant::new().await.admin("elsewhere").await;
    let only = json!({ "addReactions": [{ "emoji": "👍" }] });
    for outsider in [&stranger, &elsewhere] {
        assert_eq!(react(outsider, id, "👍").await.code(), "NOT_FOUND");
        assert_eq!(unreact(outsider, id, "👍").await.code(), "NOT_FOUND");
        assert_eq!(edit(outsider, id, only.clone()).await.code(), "NOT_FOUND");
    }
    let nobody = Actor::nobody().await;
    assert_eq!(react(&nobody, id, "👍").await.code(), "UNAUTHENTICATED");
    let unknown = react(&talk.bob, "no-such-message", "👍").await;
    assert_eq!(unknown.code(), "NOT_FOUND");
    let draft = talk.drafted(&talk.ada, json!({ "body": "x" })).await;
    assert_eq!(react(&talk.bob, &draft, "👍").await.code(), "NOT_FOUND");
    assert_eq!(react(&talk.ada, &draft, "👍").await.code(), "CONFLICT");
    let gone = talk.ada.say(&talk.thread, "Gone").await;
    act(&talk.ada, "deleteMessage", &gone).await.at("/message");
    assert_eq!(react(&talk.bob, &gone, "👍").await.code(), "CONFLICT");
}

/// A part of the row above.
async fn a_backend_names_the_reactor(talk: &Talk, id: &str) {
    let backend = &talk.tenant.backend;
    let at = |time: &str| json!({ "addReactions": [{ "emoji": "🚀", "userId": talk.bob.external_id, "timestamp": time }] });
    let timed = async |input: Value| {
        let done = edit(backend, id, input).await;
        let rocket = done.at("/message/reactions");
        let list = rocket.as_array().expect("reactions").clone();
        let rockets = list.iter().filter(|one| one["emoji"] == "🚀");
        let times: Vec<Value> = rockets.map(|one| one["createdAt"].clone()).collect();
        assert_eq!(times.len(), 1, "{list:?}");
        times[0].as_str().expect("a time").to_owned()
    };
    let without = json!({ "addReactions": [{ "emoji": "🚀", "userId": talk.bob.id }] });
    let sent_at = read(&talk.ada, id).await.text("/message/sentAt");
    assert!(timed(without.clone()).await > sent_at);
    for year in ["2021", "2020"] {
        let found = timed(at(&format!("{year}-01-01T00:00:00Z"))).await;
        assert_eq!(found, format!("{year}-01-01T00:00:00.000000Z"));
    }
    // The same again is no change, and none that anybody hears of.
    let mut events = talk.follow(&talk.ada).await;
    assert!(timed(at("2020-01-01T00:00:00Z")).await.starts_with("2020"));
    let mark = talk.mark().await;
    assert_eq!(kinds(&before(&mark, &mut events).await), [""; 0]);
    // Again without a time keeps the time.
    assert!(timed(without).await.starts_with("2020"));
    let known = reactions(talk, id).await;
    assert_eq!(known[0], "🚀bob");

    let gone = talk.tenant.member("gone").await;
    let role = json!({ "organizationId": talk.tenant.id, "userId": gone.id, "role": null });
    backend
        .mutate("setMembership", role, "user { id }")
        .await
        .text("/user/id");
    let stranger = Tenant::new().await.member("stranger").await;
    let given = |user: &str| json!({ "emoji": "👎", "userId": user });
    let add = json!([
        given(&talk.ada.id),
        given(&gone.id),
        given(&stranger.id),
        given("nobody")
    ]);
    let refused = edit(backend, id, json!({ "addReactions": add })).await;
    let paths = [1, 2, 3].map(|n| format!("addReactions.{n}.userId"));
    assert_eq!(refused.faults(), paths);
    let remove = json!([given(&gone.id), given(&stranger.id), given("nobody")]);
    edit(backend, id, json!({ "removeReactions": remove }))
        .await
        .at("/message");
    for lists in ["addReactions", "removeReactions"] {
        let nobodys = edit(backend, id, json!({ lists: [{ "emoji": "👎" }] })).await;
        assert_eq!(nobodys.faults(), [format!("{lists}.0.userId")]);
    }
    assert_eq!(react(backend, id, "👎").await.code(), "FORBIDDEN");
    // People react for themselves alone, and now.
    let now = json!([{ "emoji": "👎", "timestamp": "2020-01-01T00:00:00Z" }]);
    for add in [json!([given(&talk.ada.id)]), now] {
        let refused = edit(&talk.bob, id, json!({ "addReactions": add })).await;
        assert_eq!(refused.code(), "FORBIDDEN");
    }
    assert_eq!(reactions(talk, id).await, known);
}

/// A part of the row above.
async fn the_same_pair_in_both_changes_nothing(talk: &Talk) {
    let id = talk.posted(&talk.ada, json!({ "body": "Hi" })).await;
    react(&talk.bob, &id, "b").await.at("/message");
    let known = reactions(talk, &id).await;
    let own = json!({ "addReactions": [{ "emoji": "a" }, { "emoji": "b" }], "removeReactions": [{ "emoji": "c" }, { "emoji": "b" }] });
    let refused = edit(&talk.bob, &id, own).await;
    assert_eq!(refused.faults(), ["removeReactions.1"]);
    let of = |user: &str| json!([{ "emoji": "b", "userId": user }]);
    let (by_id, by_name) = (of(&talk.bob.id), of(&talk.bob.external_id));
    // The same person is the same by either name.
    for (add, remove) in [
        (&by_id, &by_id),
        (&by_name, &by_name),
        (&by_id, &by_name),
        (&by_name, &by_id),
    ] {
        let both =
            json!({ "addReactions": add, "removeReactions": remove, "metadata": { "a": 1 } });
        let refused = edit(&talk.tenant.backend, &id, both).await;
        assert_eq!(refused.faults(), ["removeReactions.0"]);
    }
    assert_eq!(reactions(talk, &id).await, known);
    let message = read(&talk.ada, &id).await;
    assert_eq!(message.at("/message/metadata"), json!({}));
    // Of two people it is two pairs.
    let two = json!({ "addReactions": of(&talk.ada.id), "removeReactions": by_id });
    edit(&talk.tenant.backend, &id, two).await.at("/message");
    assert_eq!(reactions(talk, &id).await, ["bada"]);
}

/// A part of the row above.
async fn nothing_but_reactions(talk: &Talk) {
    let id = talk.posted(&talk.ada, json!({ "body": "Hi" })).await;
    for more in [
        json!({ "body": "Mine" }),
        json!({ "metadata": {} }),
        json!({ "url": null }),
        json!({ "deleted": true }),
        json!({ "externalId": null }),
    ] {
        let mut input = more.clone();
        input["addReactions"] = json!([{ "emoji": "👍" }]);
        let refused = edit(&talk.bob, &id, input).await;
        assert_eq!(refused.code(), "FORBIDDEN", "{more}");
    }
    assert_eq!(reactions(talk, &id).await, [""; 0]);
    let own = json!({ "body": "Changed", "addReactions": [{ "emoji": "👍" }] });
    let done = edit(&talk.ada, &id, own).await;
    assert_eq!(done.text("/message/body"), "Changed");
    assert_eq!(reactions(talk, &id).await, ["👍ada"]);
}
