//! A million messages: what clients ask for is read from indexes, a page at a time. PostgreSQL
//! itself says how it executed every statement.

mod plans;

mod webhooks;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use self::plans::{Log, Plan};
use crate::support::server::Server;
use crate::support::{Actor, Answer, merge, unique};

/// Reading a table of more rows than this from end to end is not reading it from an index.
const SMALL: u64 = 1_000;

/// Most rows that a statement reads, whatever page it is for.
const MOST: u64 = 5_000;

/// What reads more, with the most that it reads, and why.
const EXCEPTIONS: [(&str, u64, &str); 8] = [
    (
        " total ",
        40_000,
        "an exact total reads every thread that it counts, or adds up its counters",
    ),
    (
        " unread totals",
        50_000,
        "the same, with a watermark of each thread that was looked at",
    ),
    (
        " threads seen ",
        30_000,
        "there may be none: every thread is looked at",
    ),
    (" threads READ ", 30_000, "the same by another name"),
    (
        " threads firstMessageAt ",
        10_000,
        "every message within the time is looked at",
    ),
    (
        " messages files ",
        10_000,
        "one message in twenty has one: in each of a member's threads that many are looked at",
    ),
    (
        "root search ",
        25_000,
        "the rule is asked of every thread, of which a backend of the whole server sees all",
    ),
    (
        " thread.messages ",
        12_000,
        "50 messages with 100 readers each, and those of both watermarks",
    ),
];

const THREADS: &str = "query(
    $filter: ThreadFilter, $order: ThreadOrder, $first: Int, $after: String, $last: Int, $before: String) {
  threads(filter: $filter, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id subject lastMessageAt } } pageInfo { hasNextPage hasPreviousPage }
  }
}";

const MESSAGES: &str = "query(
    $filter: MessageFilter, $order: MessageOrder, $first: Int, $after: String, $last: Int, $before: String) {
  messages(filter: $filter, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id body sender { name } thread { id } } } pageInfo { hasNextPage hasPreviousPage }
  }
}";

/// A time in the middle: microseconds since 1970.
const MIDDLE: i64 = 1_735_689_600_000_000;

/// A place in the middle of a list by time; `mark` is what its cursors begin with.
fn middle(mark: char) -> String {
    URL_SAFE_NO_PAD.encode(format!(
        "{mark}{MIDDLE}.00000000-0000-0000-0000-000000000000"
    ))
}

/// The pages of a list: its front, its back, and from its middle both ways.
fn pages(mark: char) -> Vec<(&'static str, Value)> {
    vec![
        ("first", json!({ "first": 20 })),
        ("last", json!({ "last": 20 })),
        ("after", json!({ "first": 20, "after": middle(mark) })),
        ("before", json!({ "last": 20, "before": middle(mark) })),
    ]
}

/// Everybody who asks.
struct Cast {
    log: Log,
    figures: Vec<(String, Duration, Vec<Plan>)>,
    faults: Vec<String>,
}

impl Cast {
    /// Asks, and looks at what the database did for it.
    async fn ask(&mut self, what: &str, actor: &Actor, query: &str, variables: Value) -> Answer {
        self.log.plans();
        let start = Instant::now();
        let answer = actor.run(query, variables).await;
        let took = start.elapsed();
        let unseen = answer.body.pointer("/errors/0/extensions/code") == Some(&json!("NOT_FOUND"));
        if answer.body.get("errors").is_some() && !unseen {
            self.faults.push(format!("{what}: {}", answer.body));
        }
        self.look(what, took);
        answer
    }

    /// Looks at what the database has done since it was looked at last.
    fn look(&mut self, what: &str, took: Duration) {
        let named = |(part, ..): &&(&str, u64, &str)| what.contains(part);
        let exception = EXCEPTIONS.iter().find(named);
        let most = exception.map_or(MOST, |(_, most, _)| *most);
        let plans = self.log.plans();
        if plans.is_empty() {
            self.faults.push(format!("{what}: no plan in the log"));
        }
        for plan in &plans {
            for (table, rows) in &plan.scanned {
                if *rows > SMALL && !what.contains(" total ") {
                    self.faults
                        .push(format!("{what}: all {rows} rows of {table}: {}", plan.text));
                }
            }
            if plan.read > most {
                self.faults
                    .push(format!("{what}: read {} rows: {}", plan.read, plan.text));
            }
        }
        self.figures.push((what.to_owned(), took, plans));
    }
}

#[tokio::test]
async fn every_hot_statement_reads_an_index_at_a_million_messages() {
    let name = unique("scale").replace('-', "_");
    let first = Server::get().await;
    let sql = first.sql().await;
    sql.batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .expect("a database of its own");
    let start = Instant::now();
    let server = Server::beside(&name).await;
    load(server, &name).await;
    println!("loaded in {:?}", start.elapsed());
    let log: String = sql
        .query_one("SHOW data_directory", &[])
        .await
        .expect("a setting")
        .get(0);
    let log = PathBuf::from(log)
        .parent()
        .expect("a parent")
        .join("postgres.log");
    let mut cast = Cast {
        log: Log::open(log),
        figures: Vec::new(),
        faults: Vec::new(),
    };
    let start = Instant::now();
    let person = |user: &str, organization: Option<&str>, role: &str| {
        let mut claims = json!({ "sub": user, "role": role });
        if let Some(organization) = organization {
            merge(&mut claims, json!({ "org": organization }));
        }
        Actor::with(server, format!("Bearer {}", server.token(claims)))
    };
    let actors = [
        (
            "root",
            Actor::with(server, format!("Bearer {}", server.key(None).await)),
        ),
        (
            "key",
            Actor::with(
                server,
                format!("Bearer {}", server.key(Some("large")).await),
            ),
        ),
        ("agent", person("user-1", Some("large"), "AGENT")),
        ("newcomer", person("user-5", Some("large"), "AGENT")),
        ("member", person("user-2", Some("large"), "MEMBER")),
        ("contact", person("user-3", Some("large"), "CONTACT")),
        ("mixed", person("user-4", None, "AGENT")),
    ];
    for (name, actor) in &actors {
        thread_lists(&mut cast, name, actor).await;
        message_lists(&mut cast, name, actor).await;
        searches(&mut cast, name, actor).await;
        let message = thread_messages(&mut cast, name, actor).await;
        look_ups(&mut cast, name, actor, message).await;
        writes(&mut cast, name, actor).await;
        if !actor.authorization().contains(':') {
            resume(&mut cast, name, actor).await;
        }
    }
    webhooks::look(&mut cast, server, &actors[0].1).await;
    println!("asked in {:?}", start.elapsed());
    report(&cast);
    server.app.shutdown.cancel();
    sql.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .expect("it is gone");
    assert!(
        cast.faults.is_empty(),
        "{} faults:\n{}",
        cast.faults.len(),
        cast.faults.join("\n")
    );
}

async fn load(server: &Server, name: &str) {
    let sql = server.sql().await;
    if let Err(error) = sql.batch_execute(include_str!("scale/load.sql")).await {
        panic!("{error:?}");
    }
    // Connections that are opened from now on tell what they do.
    sql.batch_execute(&format!(
        "ALTER DATABASE {name} SET session_preload_libraries = 'auto_explain';
         ALTER DATABASE {name} SET auto_explain.log_min_duration = 0;
         ALTER DATABASE {name} SET auto_explain.log_analyze = on;
         ALTER DATABASE {name} SET auto_explain.log_timing = off;
         ALTER DATABASE {name} SET auto_explain.log_format = json"
    ))
    .await
    .expect("settings");
    server.app.pool.retain(|_, _| false);
}

async fn thread_lists(cast: &mut Cast, who: &str, actor: &Actor) {
    for order in [
        "LAST_MESSAGE_DESC",
        "LAST_MESSAGE_ASC",
        "CREATED_DESC",
        "CREATED_ASC",
    ] {
        let mark = if order.starts_with("CREATED") {
            'c'
        } else {
            'a'
        };
        for (which, page) in pages(mark) {
            let mut variables = json!({ "order": order });
            merge(&mut variables, page);
            let what = format!("{who} threads {order} {which}");
            cast.ask(&what, actor, THREADS, variables).await;
        }
    }
    let range = json!({ "from": "2025-01-01T00:00:00Z", "to": "2025-01-02T00:00:00Z" });
    let mut filters = vec![
        ("organization", json!({ "organizationId": "large" })),
        (
            "participant",
            json!({ "participantId": if who == "contact" { "user-3" } else { "user-10" } }),
        ),
        ("resolved", json!({ "resolved": true })),
        ("open", json!({ "resolved": false })),
        ("metadata", json!({ "metadata": { "room": 5 } })),
        ("subscribed", json!({ "subscribed": true })),
        ("unsubscribed", json!({ "subscribed": false })),
        ("unread", json!({ "unread": true })),
        ("seen", json!({ "unread": false })),
        ("UNREAD", json!({ "inboxState": ["UNREAD"] })),
        ("READ", json!({ "inboxState": ["READ"] })),
        ("HIDDEN", json!({ "inboxState": ["HIDDEN"] })),
        ("createdAt", json!({ "createdAt": range })),
        ("lastMessageAt", json!({ "lastMessageAt": range })),
        (
            "firstMessageAt from",
            json!({ "firstMessageAt": { "from": "2024-01-01T00:00:00Z" } }),
        ),
        ("firstMessageAt", json!({ "firstMessageAt": range })),
    ];
    if who != "mixed" && who != "root" {
        filters.push(("inbox", json!({ "inboxId": "inbox" })));
    }
    for (filter, value) in filters {
        for (which, page) in [pages('a').remove(0), pages('a').remove(3)] {
            let mut variables = json!({ "filter": value });
            merge(&mut variables, page);
            let what = format!("{who} threads {filter} {which}");
            cast.ask(&what, actor, THREADS, variables).await;
        }
    }
    let total =
        "query($filter: ThreadFilter) { threads(filter: $filter, first: 1) { totalCount } }";
    for (filter, value) in [("all", json!({})), ("open", json!({ "resolved": false }))] {
        let what = format!("{who} threads total {filter}");
        cast.ask(&what, actor, total, json!({ "filter": value }))
            .await;
    }
}

/// Looks for words that few messages have.
async fn searches(cast: &mut Cast, who: &str, actor: &Actor) {
    let search = "query($query: String!) { searchMessages(query: $query) {
        edges { cursor score highlight node { id thread { id } } } pageInfo { hasNextPage } } }";
    for (which, words) in [
        ("one word", "500005"),
        ("two words", "message 500005"),
        ("none", "nowhere"),
    ] {
        let what = format!("{who} search {which}");
        cast.ask(&what, actor, search, json!({ "query": words }))
            .await;
    }
}

async fn message_lists(cast: &mut Cast, who: &str, actor: &Actor) {
    let range = json!({ "from": "2025-01-01T00:00:00Z", "to": "2025-01-02T00:00:00Z" });
    let own = thread_of(who);
    let mut filters = vec![
        ("all", json!({})),
        ("organization", json!({ "organizationId": "large" })),
        ("thread", json!({ "threadId": own })),
        ("ACTION", json!({ "type": "ACTION" })),
        ("USER", json!({ "type": "USER" })),
        ("private", json!({ "private": true })),
        ("public", json!({ "private": false })),
        ("metadata", json!({ "metadata": { "kind": "rare" } })),
        ("threadMetadata", json!({ "threadMetadata": { "room": 5 } })),
        ("sentAt", json!({ "sentAt": range })),
        ("deleted", json!({ "includeDeleted": true })),
        ("files", json!({ "hasAttachments": true })),
        ("no files", json!({ "hasAttachments": false })),
    ];
    if who != "contact" {
        filters.push(("sender", json!({ "senderId": "user-10" })));
    }
    for (filter, value) in filters {
        for order in ["SENT_ASC", "SENT_DESC"] {
            for (which, page) in pages('s') {
                let mut variables = json!({ "filter": value, "order": order });
                merge(&mut variables, page);
                let what = format!("{who} messages {filter} {order} {which}");
                cast.ask(&what, actor, MESSAGES, variables).await;
            }
        }
    }
    let total =
        "query($filter: MessageFilter) { messages(filter: $filter, first: 1) { totalCount } }";
    for (filter, value) in [
        ("all", json!({})),
        ("ACTION", json!({ "type": "ACTION" })),
        ("thread", json!({ "threadId": own })),
    ] {
        let what = format!("{who} messages total {filter}");
        cast.ask(&what, actor, total, json!({ "filter": value }))
            .await;
    }
}

/// The thread that somebody looks at: the large one, if he sees it.
fn thread_of(who: &str) -> &'static str {
    if who == "contact" {
        "thread-5002"
    } else {
        "thread-1"
    }
}

/// Looks through a thread; answers the id of a message in it.
async fn thread_messages(cast: &mut Cast, who: &str, actor: &Actor) -> Value {
    let messages = "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $around: ID) {
      thread(id: $id) { messages(first: $first, after: $after, last: $last, before: $before, around: $around) {
        totalCount edges { cursor node { id body sender { name } reactionGroups { emoji count users { name } }
          seenBy { name } seenByCount deliveredTo { name } mentions { name }
          revisions { editor { name } } replyTo { id } canEdit } }
        pageInfo { hasNextPage hasPreviousPage } } } }";
    let place = URL_SAFE_NO_PAD.encode(format!("m{MIDDLE}.500000"));
    let mut found = Value::Null;
    for (which, page) in [
        ("last", json!({ "last": 50 })),
        ("before", json!({ "last": 50, "before": place })),
        ("after", json!({ "first": 50, "after": place })),
        ("first", json!({ "first": 50 })),
        ("around", json!({ "first": 50 })),
    ] {
        let mut variables = json!({ "id": thread_of(who) });
        merge(&mut variables, page);
        if which == "around" {
            merge(&mut variables, json!({ "around": found }));
        }
        let what = format!("{who} thread.messages {which}");
        let answer = cast.ask(&what, actor, messages, variables).await;
        let first = answer.body.pointer("/data/thread/messages/edges/0/node/id");
        found = first.cloned().unwrap_or(found);
    }
    found
}

async fn look_ups(cast: &mut Cast, who: &str, actor: &Actor, message: Value) {
    for (what, query) in [
        ("thread.participants", "query($id: ID!) { thread(id: $id) { participants(first: 50) { totalCount
            edges { subscribed lastSeenAt node { name } lastSeenMessage { id } deliveredMessage { id } } } } }"),
        ("thread picks", "query($id: ID!) { thread(id: $id) { firstMessage { id } latestMessage { id } firstUnreadMessage { id }
            unreadCount inboxState subscribed cursor } }"),
        ("thread by externalId", "query($id: ID!) { thread(id: $id) { id subject } }"),
        ("message by externalId", "{ message(id: \"message-5001\") { id } }"),
        ("message by id", "query($m: ID!) { message(id: $m) { id thread { subject } } }"),
        ("node", "query($m: ID!) { node(id: $m) { id } }"),
        ("nodes", "query($m: ID!) { nodes(ids: [$m, $m]) { id } }"),
        ("user", "{ user(id: \"user-10\") { name email } }"),
        ("viewer", "{ viewer { user { name } memberships { organization { name } } cursor } }"),
        ("drafts", "{ viewer { drafts(first: 50) { totalCount nodes { id thread { subject } } } } }"),
        ("unread totals", "{ viewer { unreadThreadCount unreadMessageCount } }"),
        ("chat page", "{ threads(first: 50) { edges { node { id subject unreadCount inboxState subscribed cursor inbox { name }
            latestMessage { body sender { name } } firstUnreadMessage { id }
            participants(first: 5) { totalCount edges { node { name } lastSeenMessage { id } deliveredMessage { id } } }
            messages(last: 5) { totalCount nodes { id body sender { name } } } } } } }"),
    ] {
        let variables = json!({ "id": thread_of(who), "m": message });
        cast.ask(&format!("{who} {what}"), actor, query, variables).await;
    }
}

async fn writes(cast: &mut Cast, who: &str, actor: &Actor) {
    let thread = thread_of(who);
    let backend = matches!(who, "root" | "key");
    let seen = if backend {
        json!({ "threadId": thread, "userId": "user-10" })
    } else {
        json!({ "threadId": thread })
    };
    let state = |state: &str| json!({ "threadIds": [thread], "state": state });
    let mut writes = vec![
        (
            "createMessage",
            json!({ "threadId": thread, "body": "Hello" }),
            "message { id thread { latestMessage { body } } }",
        ),
        ("markThreadSeen", seen, "thread { unreadCount }"),
    ];
    if !backend {
        let field = "updateThreadInboxState";
        writes.extend(["READ", "UNREAD"].map(|to| (field, state(to), "threads { inboxState }")));
    }
    for (field, input, selection) in writes {
        let kind = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
        let query =
            format!("mutation($input: {kind}!) {{ {field}(input: $input) {{ {selection} }} }}");
        let input = json!({ "input": input });
        cast.ask(&format!("{who} {field}"), actor, &query, input)
            .await;
    }
}

/// What a client that was away asks for: the log after its cursor, then what is new.
async fn resume(cast: &mut Cast, who: &str, actor: &Actor) {
    let thread = thread_of(who);
    let cursor = "query($id: ID!) { thread(id: $id) { id cursor } }";
    let asked = cast
        .ask(
            &format!("{who} thread.cursor"),
            actor,
            cursor,
            json!({ "id": thread }),
        )
        .await;
    let (id, cursor) = (asked.text("/thread/id"), asked.text("/thread/cursor"));
    actor.say(&id, "Meanwhile").await;
    cast.log.plans();
    let start = Instant::now();
    let mut events = actor.follow_thread(&id, Some(&cursor)).await;
    events
        .until(|event| event["__typename"] == "MessageCreated")
        .await;
    cast.look(&format!("{who} threadEvents after"), start.elapsed());
    let everything = "subscription($after: String) { viewerEvents(after: $after) { __typename } }";
    // From the present, and from the very beginning of a log of very many events.
    let now = actor.run("{ viewer { cursor } }", json!({})).await;
    for (which, after) in [
        ("the present", now.text("/viewer/cursor")),
        (
            "the beginning",
            URL_SAFE_NO_PAD.encode([3, 0, 0, 0, 0, 0, 0, 0, 3]),
        ),
    ] {
        cast.log.plans();
        let start = Instant::now();
        let mut events = actor.follow(everything, json!({ "after": after })).await;
        if which == "the present" {
            actor.say(&id, "Meanwhile").await;
        }
        events.event().await;
        cast.look(
            &format!("{who} viewerEvents after {which}"),
            start.elapsed(),
        );
    }
}

fn report(cast: &Cast) {
    for (what, took, plans) in &cast.figures {
        let read: u64 = plans.iter().map(|plan| plan.read).sum();
        let most = plans.iter().map(|plan| plan.read).max().unwrap_or(0);
        let database: f64 = plans.iter().map(|plan| plan.took).sum();
        println!(
            "{what:60} {:4} ms  {:7.1} ms in {:2} statements, {read} rows, {most} most",
            took.as_millis(),
            database,
            plans.len()
        );
        if let Ok(wanted) = std::env::var("EXPLAIN")
            && what.contains(&wanted)
        {
            for plan in plans {
                println!("{}\n{:#}", plan.text, plan.whole["Plan"]);
            }
        }
    }
}
