//! One question to the provider, whoever waits for its answer.

use futures_util::future::join_all;
use serde_json::json;

use super::{Here, known, rows, served, translate, translated};
use crate::support::socket::eventually;
use crate::support::talk::edit;

#[tokio::test]
async fn twenty_who_ask_at_once_are_one_question() {
    let here = Here::new().await;
    let message = here.say("Hello").await;
    here.provider.close();
    let ask = |number: usize| {
        let by = if number.is_multiple_of(2) {
            &here.ada
        } else {
            &here.bob
        };
        translated(by, &message, "de")
    };
    let all = join_all((0..20).map(ask));
    let open = async {
        here.provider.was_asked(1).await;
        here.provider.open();
    };
    let (all, ()) = tokio::join!(all, open);
    assert_eq!(all, vec!["[de] Hello"; 20]);
    assert_eq!(
        (here.provider.asked().len(), here.provider.listed()),
        (1, 1)
    );
}

#[tokio::test]
async fn two_servers_ask_once() {
    let here = Here::new().await;
    let other = here.ada.at(served(&here.provider, &[]).await);
    let message = here.say("Hello").await;
    here.provider.close();
    let all = join_all([
        translated(&here.ada, &message, "de"),
        translated(&here.bob, &message, "de"),
        translated(&other, &message, "de"),
        // The provider knows no difference.
        translated(&other, &message, "de-AT"),
    ]);
    let open = async {
        here.provider.was_asked(1).await;
        // By then each server has come to the provider's door.
        eventually("both servers know its languages", async || {
            here.provider.listed() >= 2
        })
        .await;
        here.provider.open();
    };
    let (all, ()) = tokio::join!(all, open);
    assert_eq!(all, vec!["[de] Hello"; 4]);
    assert_eq!(here.provider.asked().len(), 1);
    assert_eq!(rows(&here, &message).await, 2);
    assert_eq!(claims(&here, &message).await, 0);
}

#[tokio::test]
async fn a_server_that_dies_leaves_its_work_to_another_one() {
    let here = Here::new().await;
    let message = here.say("Hello").await;
    let id: bobbin::ids::MessageId = message.parse().expect("an id");
    // As a server leaves it that was killed while it asked.
    translated(&here.ada, &message, "fr").await;
    let client = here.server.sql().await;
    let claim = "INSERT INTO translation_claims SELECT organization_id, message_id, 'de', source_hash,
        gen_random_uuid(), now() + interval '1 second' FROM translations WHERE message_id::text = $1";
    let made = client.execute(claim, &[&id.uuid().to_string()]).await;
    assert_eq!(made.expect("a claim"), 1);
    assert_eq!(translated(&here.bob, &message, "de").await, "[de] Hello");
    assert_eq!(claims(&here, &message).await, 0);
}

#[tokio::test]
async fn who_hangs_up_takes_the_answer_from_nobody() {
    let here = Here::new().await;
    let message = here.say("Hello").await;
    here.provider.close();
    let first = tokio::spawn({
        let (ada, message) = (here.ada.clone(), message.clone());
        async move { translate(&ada, &message, "de").await }
    });
    here.provider.was_asked(1).await;
    first.abort();
    assert!(first.await.is_err());
    let open = async { here.provider.open() };
    let (second, ()) = tokio::join!(translated(&here.bob, &message, "de"), open);
    assert_eq!(second, "[de] Hello");
    assert_eq!(here.provider.asked().len(), 1);
}

#[tokio::test]
async fn an_edit_meanwhile_is_a_conflict() {
    let here = Here::new().await;
    let message = here.say("Hello").await;
    here.provider.close();
    let change = async {
        here.provider.was_asked(1).await;
        let words = json!({ "body": "Goodbye" });
        edit(&here.ada, &message, words).await.text("/message/id");
        here.provider.open();
    };
    let (answer, ()) = tokio::join!(translate(&here.bob, &message, "de"), change);
    assert_eq!(answer.code(), "CONFLICT");
    assert!(known(&here.bob, &message, "de").await.is_null());
    assert_eq!(translated(&here.bob, &message, "de").await, "[de] Goodbye");
}

#[tokio::test]
async fn who_loses_sight_of_a_message_meanwhile_is_not_told() {
    let here = Here::new().await;
    let message = here.say("Hello").await;
    here.provider.close();
    let leave = async {
        here.provider.was_asked(1).await;
        let input = json!({ "threadId": here.talk.thread });
        let left = here.bob.mutate("leaveThread", input, "__typename").await;
        left.text("/__typename");
        here.provider.open();
    };
    let (answer, ()) = tokio::join!(translate(&here.bob, &message, "de"), leave);
    assert_eq!(answer.code(), "NOT_FOUND");
}

async fn claims(here: &Here, message: &str) -> i64 {
    let id: bobbin::ids::MessageId = message.parse().expect("an id");
    let client = here.server.sql().await;
    let count = "SELECT count(*) FROM translation_claims WHERE message_id::text = $1";
    let row = client.query_one(count, &[&id.uuid().to_string()]).await;
    row.expect("a number").get(0)
}
