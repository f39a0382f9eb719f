//! The search for messages: what is found, by whom, in which order, and how it is shown.

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::{Actor, Answer, Tenant, merge, unique};

const SEARCH: &str = "query($q: String!, $f: MessageFilter, $n: Int, $a: String) {
    searchMessages(query: $q, filter: $f, first: $n, after: $a) {
      totalCount
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      nodes { id }
      edges { cursor score highlight node { id body plaintext deletedAt thread { id } } }
    }
  }";

async fn search(actor: &Actor, query: &str, more: Value) -> Answer {
    let mut variables = json!({ "q": query });
    merge(&mut variables, more);
    actor.run(SEARCH, variables).await.under("searchMessages")
}

/// The plain words of what is found, the best first.
async fn found(actor: &Actor, query: &str) -> Vec<String> {
    let answer = search(actor, query, json!({ "n": 100 })).await;
    let found = answer.texts("/edges", "/node/plaintext");
    assert_eq!(
        answer.number("/totalCount"),
        i64::try_from(found.len()).expect("few")
    );
    found
}

#[track_caller]
fn same(mut found: Vec<String>, expected: &[&str], what: &str) {
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{what}");
}

/// A tenant with a thread of that language in which a member has said something.
async fn told(language: Option<&str>, texts: &[&str]) -> (Tenant, Actor, String) {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await.actor();
    let thread = ada.open_thread(json!({ "language": language })).await;
    for text in texts {
        ada.say(&thread, text).await;
    }
    (tenant, ada, thread)
}

#[tokio::test]
async fn words_are_found_in_every_form_of_the_threads_language() {
    let english = ["She was running late", "A runner fell", "Ponies and horses"];
    let (_, ada, _) = told(Some("en-GB"), &english).await;
    same(found(&ada, "run ").await, &english[..1], "run");
    same(found(&ada, "runs").await, &english[..1], "runs");
    same(found(&ada, "HORSE pony").await, &english[2..], "horse pony");
    let thread = ada.open_thread(json!({ "language": "fr" })).await;
    let french = "Nous mangerons des pommes avec les chevaux";
    ada.say(&thread, french).await;
    for query in ["manger pomme", "mangera ", "\"manger des pommes\""] {
        same(found(&ada, query).await, &[french], query);
    }
    // An English stemmer does not know the forms of French words.
    let english_too = ada.open_thread(json!({ "language": "en" })).await;
    ada.say(&english_too, "Nous mangerons demain").await;
    same(found(&ada, "mangera ").await, &[french], "by stem");
}

#[tokio::test]
async fn a_language_without_a_stemmer_is_searched_as_it_is_written() {
    let (_, ada, _) = told(Some("tlh-Latn"), &["He was running", "run"]).await;
    same(found(&ada, "run ").await, &["run"], "no stem");
    same(
        found(&ada, "was ").await,
        &["He was running"],
        "no stop words",
    );
}

#[tokio::test]
async fn a_thread_without_a_language_has_that_of_the_setting() {
    let (tenant, ada, _) = told(None, &["He was running"]).await;
    same(found(&ada, "runs ").await, &["He was running"], "English");
    for (setting, query) in [("de", "Haus "), ("simple", "Häusern ")] {
        let server = Server::other(&["--search-language", setting]).await;
        let other = tenant.member("bob").await.at(server);
        let thread = other.open_thread(json!({})).await;
        other.say(&thread, "In den Häusern").await;
        same(found(&other, query).await, &["In den Häusern"], setting);
        assert_eq!(found(&other, "hau ").await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_last_word_is_found_by_its_beginning() {
    let texts = ["Fish and chips", "Running shoes", "The theory of it"];
    let (_, ada, _) = told(Some("en"), &texts).await;
    for (query, expected) in [
        ("f", &texts[..1]),
        ("fish chi", &texts[..1]),
        ("fish an", &texts[..1]),
        ("runnin", &texts[1..2]),
        ("shoes runnin", &texts[1..2]),
        ("the", &texts[2..]),
        ("pie or theo", &texts[2..]),
        ("fish -sho", &texts[..1]),
        ("fi chips", &[]),
        ("runnin ", &[]),
        ("\"chi\"", &[]),
    ] {
        same(found(&ada, query).await, expected, query);
    }
}

#[tokio::test]
async fn quotes_or_and_minus_are_understood() {
    let texts = [
        "The quick brown fox",
        "A brown and quick fox",
        "A lazy dog",
        "Well-known facts",
    ];
    let (_, ada, _) = told(Some("en"), &texts).await;
    for (query, expected) in [
        ("quick brown", &texts[..2]),
        ("\"quick brown\"", &texts[..1]),
        ("\"quick brown", &texts[..1]),
        ("\"quick brown\" or dog", &[texts[0], texts[2]]),
        ("fox -\"quick brown\"", &texts[1..2]),
        ("dog OR lazy fox", &texts[2..3]),
        ("well-known", &texts[3..]),
        ("known", &texts[3..]),
        // What says nothing, or only what is to be left out, finds nothing.
        ("-fox", &[]),
        ("dog or -fox", &[]),
        ("", &[]),
        (" \t ", &[]),
        ("!!! ((&|))", &[]),
    ] {
        same(found(&ada, query).await, expected, query);
    }
}

#[tokio::test]
async fn a_query_of_nothing_but_small_words_is_taken_as_it_is() {
    let texts = ["To be or not to be", "Something else"];
    let (_, ada, _) = told(Some("en"), &texts).await;
    same(found(&ada, "to be ").await, &texts[..1], "to be");
    same(found(&ada, "\"not to be\"").await, &texts[..1], "phrase");
    // Among others they say nothing.
    same(found(&ada, "the something ").await, &texts[1..], "the");
}

#[tokio::test]
async fn a_highlight_marks_hits_and_escapes_the_rest() {
    let texts = [
        "<script>alert('x')</script> & running \"fish\"",
        "\u{2}Odd\u{3} <mark> \u{4}signs",
        "The boat",
        "Ask ada@example.com, our well-known cook",
    ];
    let (_, ada, _) = told(Some("en"), &texts).await;
    for (query, expected) in [
        (
            "fish runs",
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; <mark>running</mark> &quot;<mark>fish</mark>&quot;",
        ),
        // What looks like a tag is made of words as well.
        (
            "alert script ",
            "&lt;<mark>script</mark>&gt;<mark>alert</mark>(&#39;x&#39;)&lt;/script&gt; &amp; running &quot;fish&quot;",
        ),
        (
            "fish runn",
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; <mark>running</mark> &quot;<mark>fish</mark>&quot;",
        ),
        ("sign ", "Odd &lt;mark&gt; <mark>signs</mark>"),
        ("the", "<mark>The</mark> boat"),
        (
            "ada@example.com well-know",
            "Ask <mark>ada@example.com</mark>, our <mark>well</mark>-<mark>known</mark> cook",
        ),
    ] {
        let answer = search(&ada, query, json!({})).await;
        let shown = answer.texts("/edges", "/highlight");
        assert_eq!(shown, [expected], "{query}");
    }
}

#[tokio::test]
async fn more_hits_come_first_then_the_newest() {
    let texts = ["Fish one two", "Fish fish fish", "Fish three four"];
    let (_, ada, _) = told(Some("en"), &texts).await;
    assert_eq!(found(&ada, "fish").await, [texts[1], texts[2], texts[0]]);
    let answer = search(&ada, "fish", json!({})).await;
    let scores: Vec<f64> = (0..3)
        .map(|index| answer.at(&format!("/edges/{index}/score")))
        .map(|score| score.as_f64().expect("a number"))
        .collect();
    assert!(scores[0] > scores[1] && scores[1] > 0.0, "{scores:?}");
}

#[tokio::test]
async fn pages_give_each_message_once_though_all_fit_the_same() {
    let tenant = Tenant::new().await;
    let thread = tenant.backend.open_thread(json!({})).await;
    for index in 0..7 {
        // Three of them at the same time.
        let at = format!("2026-01-0{}T00:00:00Z", 1 + index / 3);
        let input = json!({ "threadId": thread, "body": format!("Fish {index}"), "sentAt": at });
        tenant
            .backend
            .mutate("createMessage", input, "message { id }")
            .await
            .text("/message/id");
    }
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    for page in 0..4 {
        let more = json!({ "n": 2, "a": after });
        let answer = search(&tenant.backend, "fish", more).await;
        assert_eq!(answer.number("/totalCount"), 7);
        assert_eq!(answer.at("/pageInfo/hasPreviousPage"), json!(page > 0));
        assert_eq!(answer.at("/pageInfo/hasNextPage"), json!(page < 3));
        seen.extend(answer.texts("/nodes", "/id"));
        after = answer.at("/pageInfo/endCursor");
    }
    let all = search(&tenant.backend, "fish", json!({ "n": 100 })).await;
    assert_eq!(seen, all.texts("/nodes", "/id"));
    let end = search(&tenant.backend, "fish", json!({ "a": after })).await;
    assert_eq!(end.at("/nodes"), json!([]));
}

#[tokio::test]
async fn an_edit_a_deletion_and_a_restore_count_at_once() {
    let (_, ada, thread) = told(Some("en"), &["Something else"]).await;
    let id = ada.say(&thread, "Fish and chips").await;
    let input = json!({ "messageId": id, "body": "Peas" });
    ada.mutate("updateMessage", input, "message { id }").await;
    same(found(&ada, "fish").await, &[], "the old words");
    same(found(&ada, "pea").await, &["Peas"], "the new words");
    let input = json!({ "messageId": id });
    ada.mutate("deleteMessage", input.clone(), "deletedMessageId")
        .await;
    same(found(&ada, "pea").await, &[], "deleted");
    ada.mutate("restoreMessage", input, "message { id }").await;
    same(found(&ada, "pea").await, &["Peas"], "restored");
}

#[tokio::test]
async fn deleted_ones_are_found_by_a_key_that_asks_for_them() {
    let (tenant, ada, thread) = told(Some("en"), &[]).await;
    let admin = tenant.admin("admin").await;
    let id = ada.say(&thread, "A secret fish").await;
    let input = json!({ "messageId": id });
    ada.mutate("deleteMessage", input, "deletedMessageId").await;
    let deleted = json!({ "f": { "includeDeleted": true, "organizationId": tenant.id } });
    for person in [&ada, &admin.actor()] {
        let answer = search(person, "fish", deleted.clone()).await;
        assert_eq!(answer.at("/nodes"), json!([]));
        assert_eq!(answer.number("/totalCount"), 0);
    }
    same(found(&tenant.backend, "fish").await, &[], "unasked");
    let answer = search(&tenant.backend, "fish", deleted).await;
    assert_eq!(answer.text("/edges/0/node/body"), "A secret fish");
    assert_eq!(
        answer.text("/edges/0/highlight"),
        "A secret <mark>fish</mark>"
    );
}

#[tokio::test]
async fn what_a_viewer_does_not_see_is_not_found() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent("agent").await;
    let (member, outsider) = (tenant.member("member").await, tenant.member("out").await);
    let (contact, other) = (
        tenant.contact("contact").await,
        tenant.contact("other").await,
    );
    let stranger = Tenant::new().await;
    let far = stranger.admin("far").await;
    let input = json!({ "access": "AGENTS", "participantIds": [contact.id, member.id] });
    let thread = agent.open_thread(input).await;
    agent.say(&thread, "Public fish").await;
    let note = json!({ "threadId": thread, "body": "Private fish", "private": true });
    agent.mutate("createMessage", note, "message { id }").await;
    let draft = json!({ "threadId": thread, "body": "Draft fish", "status": "DRAFT" });
    contact
        .mutate("createMessage", draft, "message { id }")
        .await
        .text("/message/id");
    let all = &["Public fish", "Private fish"][..];
    let public = &all[..1];
    for (who, actor, expected) in [
        ("agent", agent.actor(), all),
        ("key", tenant.backend.clone(), all),
        ("contact", contact.actor(), public),
        ("member", member.actor(), public),
        ("outsider", outsider.actor(), &[]),
        ("other contact", other.actor(), &[]),
        ("another tenant", far.actor(), &[]),
        ("another tenant's key", stranger.backend.clone(), &[]),
    ] {
        same(found(&actor, "fish").await, expected, who);
    }
    for person in [&contact, &member] {
        let input = json!({ "threadId": thread });
        let left = person.mutate("leaveThread", input, "threadId").await;
        assert_eq!(left.text("/threadId"), thread);
        same(found(person, "fish").await, &[], "left");
    }
}

#[tokio::test]
async fn a_filter_narrows_the_search() {
    let (tenant, ada, thread) = told(Some("en"), &["Fish by Ada"]).await;
    let bob = tenant.member("bob").await;
    let elsewhere = bob.open_thread(json!({ "metadata": { "a": 1 } })).await;
    bob.say(&elsewhere, "Fish by Bob").await;
    let backend = &tenant.backend;
    let ada_id = ada
        .run("{ viewer { user { id } } }", json!({}))
        .await
        .text("/viewer/user/id");
    let (ada_said, bob_said) = (["Fish by Ada"], ["Fish by Bob"]);
    for (filter, expected) in [
        (json!({ "threadId": thread }), &ada_said[..]),
        (json!({ "senderId": ada_id }), &ada_said),
        (json!({ "senderId": bob.external_id }), &bob_said),
        (json!({ "threadMetadata": { "a": 1 } }), &bob_said),
        (
            json!({ "organizationId": tenant.name }),
            &[ada_said[0], bob_said[0]],
        ),
        (json!({ "type": "ACTION" }), &[]),
        (json!({ "private": true }), &[]),
    ] {
        let answer = search(backend, "fish", json!({ "f": filter })).await;
        let texts = answer.texts("/edges", "/node/plaintext");
        same(texts, expected, &filter.to_string());
    }
    let nobody = json!({ "f": { "senderId": unique("nobody") } });
    assert_eq!(search(backend, "fish", nobody).await.code(), "NOT_FOUND");
}

#[tokio::test]
async fn html_and_long_messages_are_found() {
    let (_, ada, thread) = told(Some("en"), &[]).await;
    let html = json!({ "threadId": thread, "bodyHtml": "<p>Grilled <b>fish</b></p><p>Chips</p>" });
    ada.mutate("createMessage", html, "message { id }").await;
    let answer = search(&ada, "grill chips", json!({})).await;
    assert_eq!(answer.texts("/nodes", "/id").len(), 1);
    let mut long = "filling words ".repeat(10_700);
    long.push_str("needle");
    assert!(long.len() > 149_000);
    ada.say(&thread, &long).await;
    let answer = search(&ada, "needle", json!({})).await;
    assert_eq!(answer.texts("/nodes", "/id").len(), 1);
    let shown = answer.text("/edges/0/highlight");
    assert!(shown.starts_with("filling words"), "{shown}");
    assert!(shown.len() < 1000, "{}", shown.len());
}

#[tokio::test]
async fn a_text_with_more_words_than_the_index_takes_is_found_by_its_first_ones() {
    // Hyphens make three words of two, and the letters take four bytes each.
    let letter = |n: u32| char::from_u32(0x20000 + n % 40_000).expect("an ideograph");
    let word = |n: u32| -> String { (0..12).map(|i| letter(n * 97 + i * 1009)).collect() };
    let mut text = "needle ".to_owned();
    let mut n = 0;
    while text.chars().count() < 149_900 {
        text.push_str(&format!("{}-{} ", word(n), word(n + 1)));
        n += 2;
    }
    let (_, ada, thread) = told(Some("en"), &[]).await;
    ada.say(&thread, &text.chars().take(150_000).collect::<String>())
        .await;
    let answer = search(&ada, "needle", json!({})).await;
    assert_eq!(answer.texts("/nodes", "/id").len(), 1);
}

#[tokio::test]
async fn strange_queries_break_nothing() {
    let (_, ada, _) = told(Some("en"), &["Fish and chips"]).await;
    for query in [
        "'",
        "\\",
        "\\'",
        "''",
        "a'b",
        "fish\\",
        "fish:*",
        "fish & ",
        "!!",
        "<->",
        "fish <2> chips",
        "\"\"",
        "\"",
        "- -",
        "--fish",
        "or",
        "or or or",
        "fish or",
        "http://a.b/c\\d'e",
        "a@b.c",
        "\u{1}\u{2}\u{3}\u{4}",
        "🐟",
        "ﬁsh",
        "-5",
        "5",
        "%_",
        "$1",
        "<b>",
        "&amp;",
        "and",
        "x\ny",
    ] {
        let answer = search(&ada, query, json!({})).await;
        assert!(
            answer.body["errors"].is_null(),
            "{query:?}: {:#}",
            answer.body
        );
    }
    let long = search(&ada, &"fish ".repeat(200), json!({})).await;
    assert_eq!(long.texts("/nodes", "/id").len(), 1);
    for query in ["-", "- ", "-(", "a or ", "\"", "a -b "] {
        let answer = search(&ada, &query.repeat(160), json!({})).await;
        assert!(answer.body["errors"].is_null(), "many {query:?}");
    }
}

#[tokio::test]
async fn bad_input_is_named() {
    let (_, ada, thread) = told(None, &["Fish"]).await;
    let of_another_list = ada
        .run(
            "query($t: ID!) { thread(id: $t) { messages { edges { cursor } } } }",
            json!({ "t": thread }),
        )
        .await
        .text("/thread/messages/edges/0/cursor");
    for (query, more, fault) in [
        ("x".repeat(1001), json!({}), "query"),
        ("a\0b".to_owned(), json!({}), "query"),
        ("fish".to_owned(), json!({ "n": 0 }), "first"),
        ("fish".to_owned(), json!({ "n": 101 }), "first"),
        ("fish".to_owned(), json!({ "a": "" }), "after"),
        ("fish".to_owned(), json!({ "a": "nonsense" }), "after"),
        ("fish".to_owned(), json!({ "a": of_another_list }), "after"),
        // f1.2143289344.<id> in base64: no number at all is no score.
        (
            "fish".to_owned(),
            json!({ "a": "ZjEuMjE0MzI4OTM0NC4wMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDA" }),
            "after",
        ),
    ] {
        let answer = search(&ada, &query, more.clone()).await;
        assert_eq!(answer.faults(), [fault], "{more}");
    }
    let zero = "ZjEuMC4wMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDA";
    let good = search(&ada, "fish", json!({ "a": zero })).await;
    assert_eq!(good.at("/nodes"), json!([]));
}

#[tokio::test]
async fn every_language_is_one_that_postgresql_brings() {
    let rows = Server::get()
        .await
        .sql()
        .await
        .query("SELECT cfgname::text FROM pg_ts_config", &[])
        .await
        .expect("the catalog");
    let known: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    for tag in [
        "ar", "ca", "da", "de", "el", "en", "es", "eu", "fi", "fr", "ga", "hi", "hu", "hy", "id",
        "it", "lt", "nb", "ne", "nl", "nn", "no", "pt", "ro", "ru", "sr", "sv", "ta", "tr", "yi",
    ] {
        let language = bobbin::db::search_language::SearchLanguage::of(tag).as_str();
        assert!(known.iter().any(|name| name == language), "{tag}");
        assert_ne!(language, "simple", "{tag}");
    }
}
