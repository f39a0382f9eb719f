//! Who may do what: a table over every root field of the schema and every kind of asker, on a
//! thread of each access. A root field without a row fails.

use std::collections::{BTreeSet, HashMap};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::support::files::File;
use crate::support::server::Server;
use crate::support::socket::Socket;
use crate::support::{Actor, Answer, INTROSPECTION, Tenant, unique};

/// Who asks, in the order of the letters below. The first seven are people of the tenant: who
/// opened the thread and wrote its message, two who take part in it, and four who do not; then
/// API keys of the tenant and of the whole server; then an admin and an API key of another
/// tenant; then somebody without a credential.
const WHO: [&str; 12] = [
    "sender",
    "participant",
    "contact",
    "member",
    "outside contact",
    "agent",
    "admin",
    "key",
    "server key",
    "stranger",
    "foreign key",
    "nobody",
];

/// The accesses of a thread, in the order of a row's expectations.
const ACCESS: [&str; 3] = ["PARTICIPANTS", "AGENTS", "ORGANIZATION"];

// The letters: + done or given; - left out of a list, or null, without an error; F FORBIDDEN;
// N NOT_FOUND; U UNAUTHENTICATED; T TRANSLATION_FAILED.

/// Done by whoever sees the thread.
const SEES: [&str; 3] = ["+++NNNN++NNU", "+++NN++++NNU", "++++N++++NNU"];
/// Listed to whoever sees the thread.
const LISTED: [&str; 3] = ["+++----++--U", "+++--++++--U", "++++-++++--U"];
/// Listed to whoever sees the thread, in a list of a named organization.
const LISTED_THERE: [&str; 3] = ["+++----++NNU", "+++--++++NNU", "++++-++++NNU"];
/// Listed to whoever sees the thread, in a list of what a named person did.
const LISTED_OF_HIM: [&str; 3] = ["+++-N--++NNU", "+++-N++++NNU", "++++N++++NNU"];
/// Done by its creator or sender, by agents and admins who see it, by keys.
const MANAGES: [&str; 3] = ["+FFNNNN++NNU", "+FFNN++++NNU", "+FFFN++++NNU"];
/// Done by its sender and by keys.
const EDITS: [&str; 3] = ["+FFNNNN++NNU", "+FFNNFF++NNU", "+FFFNFF++NNU"];
/// Done by agents and admins who see it, and by keys.
const STAFF: [&str; 3] = ["FFFNNNN++NNU", "FFFNN++++NNU", "FFFFN++++NNU"];
/// Done by admins who see it, and by keys.
const ERASES: [&str; 3] = ["FFFNNNN++NNU", "FFFNNF+++NNU", "FFFFNF+++NNU"];
/// Done by a person who sees it, for himself.
const PERSON: [&str; 3] = ["+++NNNNFFNFU", "+++NN++FFNFU", "++++N++FFNFU"];
/// A draft, which exists for its sender and, by its id, for keys.
const DRAFT: [&str; 3] = ["+NNNNNN++NNU"; 3];

/// Done by admins of the tenant and by keys, wherever the thread is.
const RUNS: [&str; 3] = ["FFFFFF+++NNU"; 3];

/// Looks for what every message says.
const SEARCH: &str = "query($f: MessageFilter) {
    searchMessages(query: \"hello\", filter: $f, first: 100) { nodes { id } }
  }";

/// A line of the table.
struct Row {
    field: &'static str,
    expect: [&'static str; 3],
    ask: Ask,
}

type Say = fn(&Cell) -> Value;

enum Ask {
    /// A query, asked with the thread's and message's ids and, if it takes them, externalIds.
    Read {
        document: &'static str,
        variables: Say,
        external: bool,
    },
    /// A mutation.
    Write { needs: Needs, input: Say },
    /// A subscription.
    Follow {
        document: &'static str,
        variables: Say,
    },
}

/// What must be there for a mutation, besides the thread and its message.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Nothing,
    Draft,
    Tombstone,
    /// The message asks for a line.
    Question,
    /// The message has a file, and the sender is about to upload another one.
    Files,
    /// A webhook of its own, which is told of nothing.
    Webhook,
}

fn read(
    field: &'static str,
    expect: [&'static str; 3],
    document: &'static str,
    variables: Say,
) -> Row {
    let ask = Ask::Read {
        document,
        variables,
        external: true,
    };
    Row { field, expect, ask }
}

/// The same for a query that takes no externalId.
fn read_by_id(
    field: &'static str,
    expect: [&'static str; 3],
    document: &'static str,
    variables: Say,
) -> Row {
    let ask = Ask::Read {
        document,
        variables,
        external: false,
    };
    Row { field, expect, ask }
}

fn write(field: &'static str, expect: [&'static str; 3], input: Say) -> Row {
    write_with(Needs::Nothing, field, expect, input)
}

fn write_with(needs: Needs, field: &'static str, expect: [&'static str; 3], input: Say) -> Row {
    let ask = Ask::Write { needs, input };
    Row { field, expect, ask }
}

#[expect(clippy::too_many_lines, reason = "a table has as many lines as rows")]
fn queries() -> Vec<Row> {
    vec![
        read(
            "viewer",
            ["+++++++++++U"; 3],
            "{ viewer { user { id } organization { id } memberships { role } cursor } }",
            |_| json!({}),
        ),
        read_by_id(
            "node",
            LISTED,
            "query($id: ID!) { node(id: $id) { id } }",
            |c| json!({ "id": c.thread }),
        ),
        read_by_id(
            "node",
            LISTED,
            "query($id: ID!) { node(id: $id) { id } }",
            |c| json!({ "id": c.message }),
        ),
        read_by_id(
            "node",
            ["++++-++++--U"; 3],
            "query($id: ID!) { node(id: $id) { id } }",
            |c| json!({ "id": c.world.id("sender") }),
        ),
        read_by_id(
            "node",
            ["+++++++++--U"; 3],
            "query($id: ID!) { node(id: $id) { id } }",
            |c| json!({ "id": c.world.tenant.id }),
        ),
        read_by_id(
            "node",
            LISTED,
            "query($id: ID!) { node(id: $id) { id ... on Attachment { file { url } } } }",
            |c| json!({ "id": c.file }),
        ),
        // On no message it is the sender's, and the backends'.
        read_by_id(
            "node",
            ["+------++--U"; 3],
            "query($id: ID!) { node(id: $id) { id ... on Attachment { file { url } } } }",
            |c| json!({ "id": c.awaited }),
        ),
        read_by_id(
            "nodes",
            LISTED,
            "query($ids: [ID!]!) { nodes(ids: $ids) { id } }",
            |c| json!({ "ids": [c.thread, c.message] }),
        ),
        read(
            "organization",
            ["+++++++++NNU"; 3],
            "query($id: ID!) { organization(id: $id) { id name } }",
            |c| json!({ "id": c.world.tenant.id }),
        ),
        read(
            "organization",
            ["+++++++++NNU"; 3],
            "query($id: ID!) { organization(id: $id) { id name } }",
            |c| json!({ "id": c.world.tenant.name }),
        ),
        read(
            "user",
            ["++++N++++NNU"; 3],
            "query($id: ID!) { user(id: $id) { id name } }",
            |c| json!({ "id": c.world.id("sender") }),
        ),
        read(
            "user",
            ["++++N++++NNU"; 3],
            "query($id: ID!) { user(id: $id) { id name } }",
            |c| json!({ "id": c.world.name("sender") }),
        ),
        // Whom nobody has met is known to insiders only; everybody knows himself.
        read(
            "user",
            ["++N++++++NNU"; 3],
            "query($id: ID!) { user(id: $id) { id name } }",
            |c| json!({ "id": c.world.id("outside contact") }),
        ),
        read(
            "thread",
            SEES,
            "query($id: ID!) { thread(id: $id) { id subject } }",
            |c| json!({ "id": c.thread }),
        ),
        read(
            "threadByNumber",
            SEES,
            "query($o: ID!, $n: Int!) { threadByNumber(organizationId: $o, number: $n) { id } }",
            |c| json!({ "o": c.world.tenant.name, "n": c.number }),
        ),
        read(
            "threads",
            LISTED,
            "query($f: ThreadFilter) { threads(filter: $f, first: 100) { nodes { id } } }",
            |c| json!({ "f": c.within_reach() }),
        ),
        read(
            "threads",
            LISTED_THERE,
            "query($f: ThreadFilter) { threads(filter: $f, first: 100) { nodes { id } } }",
            |c| json!({ "f": { "organizationId": c.world.tenant.name } }),
        ),
        read(
            "threads",
            LISTED_THERE,
            "query($f: ThreadFilter) { threads(filter: $f, first: 100) { nodes { id } } }",
            |c| json!({ "f": { "inboxId": c.world.inbox } }),
        ),
        read(
            "inbox",
            ["+++++++++NNU"; 3],
            "query($id: ID!) { inbox(id: $id) { id name channel } }",
            |c| json!({ "id": c.world.inbox }),
        ),
        read(
            "webhook",
            RUNS,
            "query($id: ID!) { webhook(id: $id) { id url deliveries { totalCount } } }",
            |c| json!({ "id": c.world.webhook }),
        ),
        read(
            "webhooks",
            RUNS,
            "query($id: ID!) { webhooks(organizationId: $id) { totalCount } }",
            |c| json!({ "id": c.world.tenant.name }),
        ),
        read_by_id(
            "node",
            ["------+++--U"; 3],
            "query($id: ID!) { node(id: $id) { id } }",
            |c| json!({ "id": c.world.delivery }),
        ),
        read(
            "threads",
            LISTED_OF_HIM,
            "query($f: ThreadFilter) { threads(filter: $f, first: 100) { nodes { id } } }",
            |c| json!({ "f": { "participantId": c.world.name("sender") } }),
        ),
        read(
            "message",
            SEES,
            "query($id: ID!) { message(id: $id) { id body thread { id } } }",
            |c| json!({ "id": c.message }),
        ),
        read(
            "messages",
            LISTED,
            "query($f: MessageFilter) { messages(filter: $f, first: 100) { nodes { id } } }",
            |c| json!({ "f": c.within_reach() }),
        ),
        read(
            "messages",
            LISTED_THERE,
            "query($f: MessageFilter) { messages(filter: $f, first: 100) { nodes { id } } }",
            |c| json!({ "f": { "organizationId": c.world.tenant.id } }),
        ),
        read(
            "messages",
            SEES,
            "query($f: MessageFilter) { messages(filter: $f, first: 100) { nodes { id } } }",
            |c| json!({ "f": { "threadId": c.thread } }),
        ),
        read(
            "messages",
            LISTED_OF_HIM,
            "query($f: MessageFilter) { messages(filter: $f, first: 100) { nodes { id } } }",
            |c| json!({ "f": { "senderId": c.world.id("sender") } }),
        ),
        read(
            "searchMessages",
            LISTED,
            SEARCH,
            |c| json!({ "f": c.within_reach() }),
        ),
        read(
            "searchMessages",
            LISTED_THERE,
            SEARCH,
            |c| json!({ "f": { "organizationId": c.world.tenant.id } }),
        ),
        read(
            "searchMessages",
            SEES,
            SEARCH,
            |c| json!({ "f": { "threadId": c.thread } }),
        ),
        read(
            "searchMessages",
            LISTED_OF_HIM,
            SEARCH,
            |c| json!({ "f": { "senderId": c.world.id("sender") } }),
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table has as many lines as rows")]
fn mutations() -> Vec<Row> {
    vec![
        write(
            "createThread",
            ["+++++++++NNU"; 3],
            |c| json!({ "organizationId": c.world.tenant.id, "subject": "Another one" }),
        ),
        write(
            "updateThread",
            MANAGES,
            |c| json!({ "threadId": c.thread, "subject": "Changed", "access": "AGENTS" }),
        ),
        write(
            "updateThread",
            SEES,
            |c| json!({ "threadId": c.thread, "resolved": true }),
        ),
        // Only a backend moves a thread to an organization, be it the same one.
        write(
            "updateThread",
            ["FFFFFFF++FNU"; 3],
            |c| json!({ "threadId": c.thread, "organizationId": c.world.tenant.id }),
        ),
        write("deleteThread", ERASES, |c| json!({ "threadId": c.thread })),
        write("setThreadSubscription", SEES, |c| {
            c.with_user(
                "userId",
                json!({ "threadId": c.thread, "subscribed": true }),
            )
        }),
        write("markThreadUnseen", SEES, |c| {
            c.with_user("userId", json!({ "threadId": c.thread }))
        }),
        write("markThreadDelivered", SEES, |c| {
            c.with_user("userId", json!({ "threadId": c.thread }))
        }),
        write(
            "updateThreadInboxState",
            PERSON,
            |c| json!({ "threadIds": [c.thread], "state": "HIDDEN" }),
        ),
        // The contact has met the agent by then: the sender has added him to a thread of theirs.
        write(
            "addParticipants",
            SEES,
            |c| json!({ "threadId": c.thread, "userIds": [c.world.id("agent")] }),
        ),
        write(
            "removeParticipant",
            ["++FNNNN++NNU", "++FNN++++NNU", "++FFN++++NNU"],
            |c| json!({ "threadId": c.thread, "userId": c.world.id("participant") }),
        ),
        // Its creator stays; who takes no part has nothing to leave.
        write(
            "leaveThread",
            ["F++NNNNFFNFU"; 3],
            |c| json!({ "threadId": c.thread }),
        ),
        write(
            "setTyping",
            PERSON,
            |c| json!({ "threadId": c.thread, "typing": true }),
        ),
        // As only the staff writes private notes.
        write(
            "setTyping",
            ["FFFNNNNFFNFU", "FFFNN++FFNFU", "FFFFN++FFNFU"],
            |c| json!({ "threadId": c.thread, "typing": true, "private": true }),
        ),
        write(
            "setPresence",
            ["+++++++FF+FU"; 3],
            |_| json!({ "online": true }),
        ),
        write("markThreadSeen", SEES, |c| {
            c.with_user(
                "userId",
                json!({ "threadId": c.thread, "messageId": c.message }),
            )
        }),
        // Nobody but a backend does it for others.
        write(
            "markThreadSeen",
            ["F+FNNNN++NNU", "F+FNNFF++NNU", "F+FFNFF++NNU"],
            |c| json!({ "threadId": c.thread, "userId": c.world.id("participant") }),
        ),
        write(
            "createMessage",
            SEES,
            |c| json!({ "threadId": c.thread, "body": "Another one" }),
        ),
        write("createMessage", SEES, |c| {
            c.with_user(
                "senderId",
                json!({ "threadId": c.thread, "body": "Another one", "status": "DRAFT" }),
            )
        }),
        write(
            "createMessage",
            STAFF,
            |c| json!({ "threadId": c.thread, "body": "A note", "private": true }),
        ),
        write(
            "createMessage",
            ["F+FNNNN++NNU", "F+FNNFF++NNU", "F+FFNFF++NNU"],
            |c| json!({ "threadId": c.thread, "body": "x", "senderId": c.world.id("participant") }),
        ),
        write(
            "updateMessage",
            EDITS,
            |c| json!({ "messageId": c.message, "body": "Changed" }),
        ),
        write(
            "updateMessage",
            MANAGES,
            |c| json!({ "messageId": c.message, "deleted": true }),
        ),
        write("updateMessage", SEES, |c| {
            let reaction = c.with_user("userId", json!({ "emoji": "+1" }));
            json!({ "messageId": c.message, "addReactions": [reaction] })
        }),
        write_with(
            Needs::Draft,
            "updateMessage",
            DRAFT,
            |c| json!({ "messageId": c.draft, "body": "Changed" }),
        ),
        write_with(
            Needs::Draft,
            "sendMessage",
            DRAFT,
            |c| json!({ "messageId": c.draft }),
        ),
        write(
            "deleteMessage",
            MANAGES,
            |c| json!({ "messageId": c.message }),
        ),
        write(
            "deleteMessage",
            ERASES,
            |c| json!({ "messageId": c.message, "permanently": true }),
        ),
        write_with(
            Needs::Draft,
            "deleteMessage",
            DRAFT,
            |c| json!({ "messageId": c.draft }),
        ),
        write_with(
            Needs::Tombstone,
            "restoreMessage",
            MANAGES,
            |c| json!({ "messageId": c.message }),
        ),
        write(
            "appendMessage",
            EDITS,
            |c| json!({ "messageId": c.message, "text": " and more" }),
        ),
        // By who takes part and did not ask.
        write_with(
            Needs::Question,
            "submitMessageForm",
            ["F++NNNNFFNNU", "F++NNFFFFNNU", "F++FNFFFFNNU"],
            |c| json!({ "messageId": c.message, "values": { "value": "42" } }),
        ),
        write(
            "updateMessageStatus",
            STAFF,
            |c| json!({ "messageId": c.message, "status": "DELIVERED" }),
        ),
        // Who sees it, and then there is no provider.
        write(
            "translateMessage",
            ["TTTNNNNTTNNU", "TTTNNTTTTNNU", "TTTTNTTTTNNU"],
            |c| json!({ "messageId": c.message, "language": "de" }),
        ),
        write(
            "createUpload",
            ["+++++++++NNU"; 3],
            |c| json!({ "name": "x", "mimeType": "text/plain", "size": 1, "organizationId": c.world.tenant.id }),
        ),
        write(
            "createUpload",
            EDITS,
            |c| json!({ "name": "x", "mimeType": "text/plain", "size": 1, "messageId": c.message }),
        ),
        write(
            "uploadAttachment",
            ["+++++++++NNU"; 3],
            |c| json!({ "organizationId": c.world.tenant.id }),
        ),
        write(
            "uploadAttachment",
            EDITS,
            |c| json!({ "messageId": c.message }),
        ),
        write_with(
            Needs::Files,
            "completeUpload",
            ["+NNNNNN++NNU"; 3],
            |c| json!({ "attachmentId": c.awaited, "cancelled": true }),
        ),
        write_with(
            Needs::Files,
            "removeAttachment",
            EDITS,
            |c| json!({ "attachmentId": c.file }),
        ),
        write_with(
            Needs::Files,
            "updateMessage",
            EDITS,
            |c| json!({ "messageId": c.message, "removeAttachmentIds": [c.file] }),
        ),
        write("retryMessage", STAFF, |c| json!({ "messageId": c.message })),
        write(
            "upsertInbox",
            ["FFFFFF+++NNU"; 3],
            |c| json!({ "externalId": c.world.inbox, "organizationId": c.world.tenant.id, "name": "Desk", "channel": "API" }),
        ),
        write(
            "upsertWebhook",
            RUNS,
            |c| json!({ "externalId": c.world.webhook, "organizationId": c.world.tenant.id }),
        ),
        write_with(
            Needs::Webhook,
            "deleteWebhook",
            RUNS,
            |c| json!({ "webhookId": c.webhook }),
        ),
        write(
            "retryDelivery",
            RUNS,
            |c| json!({ "deliveryId": c.world.delivery }),
        ),
        write(
            "addReaction",
            PERSON,
            |c| json!({ "messageId": c.message, "emoji": "+1" }),
        ),
        write(
            "removeReaction",
            PERSON,
            |c| json!({ "messageId": c.message, "emoji": "+1" }),
        ),
        write(
            "upsertOrganization",
            ["FFFFFFF++FFU"; 3],
            |c| json!({ "externalId": c.world.tenant.name, "name": "Renamed" }),
        ),
        write(
            "setMembership",
            ["FFFFFF+++NNU"; 3],
            |c| json!({ "organizationId": c.world.tenant.id, "userId": c.world.id("member"), "role": "MEMBER" }),
        ),
        write(
            "upsertUser",
            ["FFFFFFF++FFU"; 3],
            |c| json!({ "externalId": c.world.name("member"), "name": "Renamed" }),
        ),
    ]
}

fn subscriptions() -> Vec<Row> {
    vec![
        Row {
            field: "threadEvents",
            expect: SEES,
            ask: Ask::Follow {
                document: "subscription($id: ID!) { threadEvents(threadId: $id) { cursor } }",
                variables: |c| json!({ "id": c.thread }),
            },
        },
        Row {
            field: "viewerEvents",
            expect: LISTED,
            ask: Ask::Follow {
                document: "subscription { viewerEvents { thread { id } } }",
                variables: |_| json!({}),
            },
        },
    ]
}

#[tokio::test]
async fn every_root_field_has_a_row() {
    let schema = Actor::root().await.run(INTROSPECTION, json!({})).await;
    let types = schema.at("/__schema/types");
    for (root, rows) in [
        ("queryType", queries()),
        ("mutationType", mutations()),
        ("subscriptionType", subscriptions()),
    ] {
        let name = schema.text(&format!("/__schema/{root}/name"));
        let kind = types.as_array().expect("types").iter();
        let kind = kind.clone().find(|kind| kind["name"] == *name);
        let fields = kind.expect("a root type")["fields"].clone();
        let served: BTreeSet<&str> = fields
            .as_array()
            .expect("fields")
            .iter()
            .filter_map(|field| field["name"].as_str())
            .collect();
        let listed: BTreeSet<&str> = rows.iter().map(|row| row.field).collect();
        let missing: Vec<_> = served.difference(&listed).collect();
        assert!(missing.is_empty(), "{name} has no row for {missing:?}");
        let stale: Vec<_> = listed.difference(&served).collect();
        assert!(stale.is_empty(), "{name} has no field {stale:?}");
        for row in rows {
            for expect in row.expect {
                assert_eq!(expect.len(), WHO.len(), "{}: {expect}", row.field);
            }
        }
    }
}

#[tokio::test]
async fn queries_answer_as_the_table_says() {
    check(queries()).await;
}

#[tokio::test]
async fn mutations_do_as_the_table_says() {
    check(mutations()).await;
}

#[tokio::test]
async fn subscriptions_begin_as_the_table_says() {
    check(subscriptions()).await;
}

/// Asks everything of the rows, and says all that is not as expected.
async fn check(rows: Vec<Row>) {
    let world = &World::new().await;
    let mut threads = Vec::new();
    for access in ACCESS {
        threads.push(world.thread(access, Needs::Files).await);
    }
    let threads = &threads;
    let checks = rows.into_iter().map(|row| async move {
        let mut wrong = Vec::new();
        for ((access, expect), thread) in ACCESS.iter().zip(row.expect).zip(threads) {
            let found = match &row.ask {
                Ask::Write { needs, input } => {
                    written(world, row.field, access, expect, *needs, *input).await
                }
                _ => asked(world, &row, thread).await,
            };
            for ((who, expected), found) in WHO.iter().zip(expect.chars()).zip(found) {
                let field = row.field;
                // What was found by several names is joined.
                if found.chars().any(|letter| letter != expected) {
                    wrong.push(format!(
                        "{field} ({}) in {access} by {who}: {found} is not {expected}",
                        world.describe(&row)
                    ));
                }
            }
        }
        wrong
    });
    let wrong: Vec<Vec<String>> = stream::iter(checks).buffer_unordered(4).collect().await;
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What each asker gets of a query or a subscription, on one thread.
async fn asked(world: &World, row: &Row, thread: &Thread) -> Vec<String> {
    let mut found = Vec::new();
    for who in WHO {
        let mut letters = String::new();
        match &row.ask {
            Ask::Read {
                document,
                variables,
                external,
            } => {
                for by_name in [false, true] {
                    if by_name && !external {
                        continue;
                    }
                    let cell = thread.cell(world, who, by_name);
                    let answer = world.actor(who).run(document, variables(&cell)).await;
                    letters.push(letter(&answer, row.field, thread));
                }
            }
            Ask::Follow {
                document,
                variables,
            } => {
                for by_name in [false, true] {
                    let cell = thread.cell(world, who, by_name);
                    letters.push(followed(&cell, document, variables(&cell), thread).await);
                }
            }
            Ask::Write { .. } => unreachable!("mutations are asked elsewhere"),
        }
        found.push(letters);
    }
    found
}

/// What each asker gets of a mutation. Who is to be refused asks of one thread, which must be as
/// before afterwards; everybody else has one to himself.
async fn written(
    world: &World,
    field: &str,
    access: &str,
    expect: &str,
    needs: Needs,
    input: Say,
) -> Vec<String> {
    let refused = world.thread(access, needs).await;
    let before = refused.state(world).await;
    let mut found = Vec::new();
    for (who, expected) in WHO.iter().zip(expect.chars()) {
        let mut letters = String::new();
        if expected == '+' {
            let thread = world.thread(access, needs).await;
            let cell = thread.cell(world, who, false);
            let answer = mutate(world.actor(who), field, input(&cell)).await;
            letters.push(letter(&answer, field, &thread));
        } else {
            for by_name in [false, true] {
                let cell = refused.cell(world, who, by_name);
                let answer = mutate(world.actor(who), field, input(&cell)).await;
                letters.push(letter(&answer, field, &refused));
            }
        }
        found.push(letters);
    }
    let after = refused.state(world).await;
    assert_eq!(before, after, "{field} was refused, and yet did something");
    found
}

async fn mutate(actor: &Actor, field: &str, input: Value) -> Answer {
    if field == "uploadAttachment" {
        return actor.upload(&File::text("x.txt"), input).await;
    }
    let kind = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
    let query = format!("mutation($input: {kind}!) {{ {field}(input: $input) {{ __typename }} }}");
    actor.run(&query, json!({ "input": input })).await
}

async fn followed(cell: &Cell<'_>, document: &str, variables: Value, thread: &Thread) -> char {
    if cell.who == "nobody" {
        // Without a credential there is no connection to begin with.
        let mut socket = Socket::connect(Server::get().await).await;
        socket.say(json!({ "type": "connection_init" })).await;
        return if socket.close_code().await == 4403 {
            'U'
        } else {
            '?'
        };
    }
    let mut events = cell.world.actor(cell.who).follow(document, variables).await;
    cell.world.tenant.backend.say(&thread.id, "Live").await;
    if document.contains("viewerEvents") {
        // Whoever is told nothing is told so by what comes next: a thread of his own.
        let own = cell.world.mark(cell.who).await;
        let is = |event: &Value, id: &str| event["thread"]["id"] == *id;
        let told = events.until(|event| is(event, &own)).await;
        let heard = told.iter().any(|event| is(event, &thread.id));
        return if heard { '+' } else { '-' };
    }
    let first = events.message().await;
    match first["type"].as_str() {
        Some("next") => '+',
        Some("error") => code_letter(&first["payload"][0]["extensions"]["code"]),
        _ => '?',
    }
}

fn letter(answer: &Answer, field: &str, thread: &Thread) -> char {
    let data = &answer.body["data"][field];
    if let Some(errors) = answer.body["errors"].as_array() {
        let letter = match errors.as_slice() {
            [error] if data.is_null() => code_letter(&error["extensions"]["code"]),
            _ => '?',
        };
        // Only who is nobody is told so by the transport.
        return if (letter == 'U') == (answer.status == 401) {
            letter
        } else {
            '?'
        };
    }
    let items = match &data["nodes"] {
        Value::Null => data,
        nodes => nodes,
    };
    match items {
        Value::Null => '-',
        Value::Array(items) => {
            let known = |item: &Value| item["id"] == *thread.id || item["id"] == *thread.message;
            if items.iter().any(known) { '+' } else { '-' }
        }
        _ => '+',
    }
}

fn code_letter(code: &Value) -> char {
    match code.as_str() {
        Some("FORBIDDEN") => 'F',
        Some("NOT_FOUND") => 'N',
        Some("TRANSLATION_FAILED") => 'T',
        Some("UNAUTHENTICATED") => 'U',
        _ => '?',
    }
}

/// Something that is to be delivered, and is not by this server; answers its id.
async fn delivery(tenant: &Tenant) -> String {
    let inbox = json!({
        "externalId": unique("inbox"), "organizationId": tenant.id, "name": "Desk",
        "channel": "API", "webhookUrl": "https://example.com/hook",
    });
    let made = tenant.backend.mutate("upsertInbox", inbox, "inbox { id }");
    let inbox = made.await.text("/inbox/id");
    let agent = tenant.agent("clerk").await;
    let thread = agent.open_thread(json!({ "inboxId": inbox })).await;
    agent.say(&thread, "Hello").await;
    let query = "query($id: ID!) { inbox(id: $id) { deliveries { nodes { id } } } }";
    let read = tenant.backend.run(query, json!({ "id": inbox })).await;
    read.text("/inbox/deliveries/nodes/0/id")
}

/// Two tenants, with everybody who asks.
struct World {
    tenant: Tenant,
    /// The externalId of the inbox that every thread has.
    inbox: String,
    /// The externalId of a webhook.
    webhook: String,
    /// The id of something that is to be delivered.
    delivery: String,
    actors: HashMap<&'static str, Actor>,
    /// Ids and externalIds.
    people: HashMap<&'static str, (String, String)>,
}

impl World {
    async fn new() -> Self {
        let (tenant, other) = (Tenant::new().await, Tenant::new().await);
        let mut actors = HashMap::new();
        let mut people = HashMap::new();
        for who in WHO {
            let actor = match who {
                "key" => tenant.backend.clone(),
                "server key" => Actor::root().await,
                "foreign key" => other.backend.clone(),
                "nobody" => Actor::nobody().await,
                person => {
                    let (home, role) = match person {
                        "contact" | "outside contact" => (&tenant, "CONTACT"),
                        "agent" => (&tenant, "AGENT"),
                        "admin" => (&tenant, "ADMIN"),
                        "stranger" => (&other, "ADMIN"),
                        _ => (&tenant, "MEMBER"),
                    };
                    let found = home.person(&person.replace(' ', "-"), role).await;
                    people.insert(who, (found.id.clone(), found.external_id.clone()));
                    found.actor()
                }
            };
            actors.insert(who, actor);
        }
        let inbox = unique("inbox");
        let input = json!({
            "externalId": inbox, "organizationId": tenant.id, "name": "Desk", "channel": "API",
        });
        let made = tenant.backend.mutate("upsertInbox", input, "inbox { id }");
        assert!(made.await.text("/inbox/id").starts_with("inb_"));
        let webhook = unique("webhook");
        let input = json!({
            "externalId": webhook, "organizationId": tenant.id, "url": "https://example.com/hook",
        });
        let made = tenant
            .backend
            .mutate("upsertWebhook", input, "webhook { id }");
        assert!(made.await.text("/webhook/id").starts_with("whk_"));
        let delivery = delivery(&tenant).await;
        Self {
            tenant,
            inbox,
            webhook,
            delivery,
            actors,
            people,
        }
    }

    fn actor(&self, who: &str) -> &Actor {
        &self.actors[who]
    }

    /// A new thread of somebody's own.
    async fn mark(&self, who: &str) -> String {
        let input = match who {
            "server key" => json!({ "organizationId": self.tenant.id }),
            _ => json!({}),
        };
        self.actor(who).open_thread(input).await
    }

    fn id(&self, who: &str) -> &str {
        &self.people[who].0
    }

    fn name(&self, who: &str) -> &str {
        &self.people[who].1
    }

    /// A thread by the sender with a message in it.
    async fn thread(&self, access: &str, needs: Needs) -> Thread {
        let (name, message_name) = (unique("thread"), unique("message"));
        let sender = self.actor("sender");
        let made = sender
            .mutate(
                "createThread",
                json!({
                    "subject": "A subject", "externalId": name, "access": access,
                    "inboxId": self.inbox,
                    "participantIds": [self.id("participant"), self.id("contact")],
                    "message": { "body": "Hello", "externalId": message_name },
                }),
                "thread { id number } message { id }",
            )
            .await;
        let mut thread = Thread {
            id: made.text("/thread/id"),
            name,
            number: made.number("/thread/number"),
            message: made.text("/message/id"),
            message_name,
            draft: String::new(),
            draft_name: String::new(),
            file: String::new(),
            awaited: String::new(),
            webhook: String::new(),
        };
        match needs {
            Needs::Nothing => {}
            Needs::Files => {
                let on_it = json!({ "messageId": thread.message });
                let file = sender.upload(&File::text("x.txt"), on_it).await;
                thread.file = file.text("/attachment/id");
                thread.awaited = sender.awaited("y.txt", json!({})).await;
            }
            Needs::Webhook => {
                let webhook = json!({
                    "externalId": thread.name, "organizationId": self.tenant.id,
                    "url": "https://example.com/", "enabled": false,
                });
                let backend = &self.tenant.backend;
                let made = backend.mutate("upsertWebhook", webhook, "webhook { id }");
                thread.webhook = made.await.text("/webhook/id");
            }
            Needs::Question => {
                let input = json!({ "messageId": thread.message, "contentType": "INPUT_TEXT" });
                let asked = sender.mutate("updateMessage", input, "message { id }");
                assert_eq!(asked.await.text("/message/id"), thread.message);
            }
            Needs::Draft => {
                thread.draft_name = unique("draft");
                let draft = json!({
                    "threadId": thread.id, "body": "Not yet", "status": "DRAFT",
                    "externalId": thread.draft_name,
                });
                let made = sender
                    .mutate("createMessage", draft, "message { id }")
                    .await;
                thread.draft = made.text("/message/id");
            }
            Needs::Tombstone => {
                let input = json!({ "messageId": thread.message });
                let done = sender
                    .mutate("deleteMessage", input, "deletedMessageId")
                    .await;
                assert_eq!(done.text("/deletedMessageId"), thread.message);
            }
        }
        thread
    }

    /// What a row asks, for a failure's text.
    fn describe(&self, row: &Row) -> String {
        let thread = Thread {
            id: "THREAD".to_owned(),
            name: String::new(),
            number: 0,
            message: "MESSAGE".to_owned(),
            message_name: String::new(),
            draft: "DRAFT".to_owned(),
            draft_name: String::new(),
            file: "FILE".to_owned(),
            awaited: "AWAITED".to_owned(),
            webhook: "WEBHOOK".to_owned(),
        };
        let cell = thread.cell(self, "member", false);
        match &row.ask {
            Ask::Read { variables, .. } | Ask::Follow { variables, .. } => variables(&cell),
            Ask::Write { input, .. } => input(&cell),
        }
        .to_string()
    }
}

struct Thread {
    id: String,
    name: String,
    number: i64,
    message: String,
    message_name: String,
    draft: String,
    draft_name: String,
    file: String,
    awaited: String,
    /// The id of a webhook that has the thread's externalId.
    webhook: String,
}

impl Thread {
    fn cell<'a>(&self, world: &'a World, who: &'static str, by_name: bool) -> Cell<'a> {
        let pick = |id: &str, name: &str| (if by_name { name } else { id }).to_owned();
        Cell {
            world,
            who,
            thread: pick(&self.id, &self.name),
            message: pick(&self.message, &self.message_name),
            draft: pick(&self.draft, &self.draft_name),
            file: self.file.clone(),
            awaited: self.awaited.clone(),
            webhook: pick(&self.webhook, &self.name),
            number: self.number,
        }
    }

    /// Everything about it that a refused mutation could have changed.
    async fn state(&self, world: &World) -> Value {
        let query = "query($t: ID!, $o: ID!, $d: [ID!]!) {
            thread(id: $t) {
              subject access resolved updatedAt messageCount deletedMessageCount
              organization { id } inbox { name }
              participants { edges { node { id name } subscribed lastSeenMessage { id } deliveredMessage { id } } }
              messages { nodes { id body status submittedValues deletedAt reactions { emoji } attachments { id } } }
            }
            nodes(ids: $d) { id ... on Message { body status } ... on Attachment { message { id } file { uploadStatus } } }
            organization(id: $o) { members { edges { role node { id } } } }
          }";
        let mut others = vec![&self.draft, &self.file, &self.awaited];
        others.retain(|id| !id.is_empty());
        let variables = json!({ "t": self.id, "o": world.tenant.id, "d": others });
        world.tenant.backend.run(query, variables).await.at("")
    }
}

/// One asker and one thread.
struct Cell<'a> {
    world: &'a World,
    who: &'static str,
    thread: String,
    message: String,
    draft: String,
    /// It and the other one have no externalIds.
    file: String,
    awaited: String,
    webhook: String,
    number: i64,
}

impl Cell<'_> {
    /// A filter that leaves a tenant's people everything that they see; a key of the whole
    /// server, which sees more than a page, looks at the tenant.
    fn within_reach(&self) -> Value {
        match self.who {
            "server key" => json!({ "organizationId": self.world.tenant.id }),
            _ => json!({}),
        }
    }

    /// An input with the person for whom a key does it.
    fn with_user(&self, field: &str, mut input: Value) -> Value {
        if self.who.ends_with("key") {
            input[field] = json!(self.world.id("participant"));
        }
        input
    }
}
