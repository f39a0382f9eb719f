//! Lists and totals read what a viewer sees by the ways by which he comes to see it. Together
//! they hold what he sees one by one, whatever he is in however many organizations.

use std::collections::BTreeSet;

use bobbin::auth;
use bobbin::db::access::facts::Facts;
use bobbin::db::access::find;
use bobbin::ids::ThreadId;
use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::{Actor, Tenant, unique};

const ROLES: [Option<&str>; 5] = [
    None,
    Some("CONTACT"),
    Some("MEMBER"),
    Some("AGENT"),
    Some("ADMIN"),
];

#[tokio::test]
async fn lists_and_totals_hold_what_is_seen_one_by_one() {
    let world = World::new().await;
    for (person, actor) in &world.people {
        world.check(person, actor).await;
    }
    for tenant in &world.tenants {
        world.check("a backend", &tenant.backend).await;
    }
}

#[tokio::test]
async fn who_is_judged_without_the_database_sees_what_it_says() {
    let world = World::new().await;
    let app = &Server::get().await.app;
    let backends = world.tenants.iter().map(|tenant| &tenant.backend);
    let people = world.people.iter().map(|(_, actor)| actor);
    let ids: Vec<ThreadId> = world
        .threads
        .iter()
        .map(|id| id.parse().expect("an id"))
        .collect();
    let (mut seen, mut unseen) = (0, 0);
    for actor in people.chain(backends) {
        let verified = auth::verify(app, actor.authorization()).await;
        let (_, viewer) = verified.expect("a viewer");
        let mut conn = app.conn().await.expect("a connection");
        let by_rule = find::threads_by_ids(&mut conn, &viewer, &ids).await;
        let by_rule = by_rule.expect("threads");
        let known: Vec<_> = viewer.user_id().into_iter().collect();
        let facts = Facts::load(&mut conn, &ids, &[], &known).await;
        let facts = facts.expect("facts");
        for id in &ids {
            let judged = facts.access(&viewer, *id);
            assert_eq!(
                judged.is_some(),
                by_rule.contains_key(id),
                "{viewer:?} {id}"
            );
            if let Some(judged) = judged {
                seen += 1;
                assert_eq!(judged.is_staff(), by_rule[id].is_staff(), "{viewer:?} {id}");
            } else {
                unseen += 1;
            }
        }
    }
    assert!(seen > 100 && unseen > 100, "{seen} {unseen}");
}

/// Two organizations with threads of every access, and a person for each pair of roles in them.
struct World {
    tenants: [Tenant; 2],
    people: Vec<(String, Actor)>,
    threads: Vec<String>,
    /// Four of each thread, one thread after the other.
    messages: Vec<String>,
    /// Who has seen the first two messages of which thread.
    seen: BTreeSet<(String, String)>,
}

impl World {
    async fn new() -> Self {
        let tenants = [Tenant::new().await, Tenant::new().await];
        let server = Server::get().await;
        let mut world = Self {
            tenants,
            people: Vec::new(),
            threads: Vec::new(),
            messages: Vec::new(),
            seen: BTreeSet::new(),
        };
        let mut ids = Vec::new();
        for (pair, roles) in pairs().enumerate() {
            let name = unique("person");
            let token = server.token(json!({ "sub": name }));
            let actor = Actor::with(server, format!("Bearer {token}"));
            let user = actor.run("{ viewer { user { id } } }", json!({})).await;
            let user = user.text("/viewer/user/id");
            for (tenant, role) in world.tenants.iter().zip(roles) {
                if role.is_some() {
                    Actor::root()
                        .await
                        .mutate(
                            "setMembership",
                            json!({ "organizationId": tenant.id, "userId": user, "role": role }),
                            "role",
                        )
                        .await
                        .at("/role");
                }
            }
            ids.push((user, roles));
            world.people.push((format!("{roles:?} ({pair})"), actor));
        }
        for number in 0..18 {
            world.open(number, &ids).await;
        }
        world
    }

    /// Opens a thread in which somebody takes part, with messages and a note.
    async fn open(&mut self, number: usize, people: &[(String, [Option<&str>; 2])]) {
        let (side, access) = (
            number % 2,
            ["PARTICIPANTS", "AGENTS", "ORGANIZATION"][number / 2 % 3],
        );
        let backend = &self.tenants[side].backend;
        let inside = people.iter().filter(|(_, roles)| roles[side].is_some());
        let part = inside
            .enumerate()
            .filter(|(index, _)| (index + number / 6).is_multiple_of(3));
        let part: Vec<&str> = part.map(|(_, (id, _))| id.as_str()).collect();
        let thread = backend
            .open_thread(json!({ "access": access, "participantIds": part }))
            .await;
        for index in 0..4 {
            let mut input = json!({
                "threadId": thread, "body": "x", "private": index == 2, "subscribeSender": false,
            });
            // A note is the backend's own: not everybody may write one.
            if index != 2 {
                input["senderId"] = json!(part[(number + index) % part.len()]);
            }
            let said = backend
                .mutate("createMessage", input, "message { id }")
                .await;
            let said = said.text("/message/id");
            if (number + index) % 5 == 1 {
                let input = json!({ "messageId": said });
                backend
                    .mutate("deleteMessage", input, "deletedMessageId")
                    .await
                    .at("");
            }
            if index == 1 {
                for user in part.iter().step_by(2) {
                    let input = json!({ "threadId": thread, "userId": user });
                    self.seen.insert((thread.clone(), (*user).to_owned()));
                    backend
                        .mutate("markThreadSeen", input, "thread { id }")
                        .await
                        .at("");
                }
            }
            self.messages.push(said);
        }
        self.threads.push(thread);
    }

    async fn check(&self, who: &str, actor: &Actor) {
        let threads = seen(actor, &self.threads).await;
        let messages = seen(actor, &self.messages).await;
        for order in [
            "LAST_MESSAGE_DESC",
            "LAST_MESSAGE_ASC",
            "CREATED_DESC",
            "CREATED_ASC",
        ] {
            let listed = list(actor, "threads", &format!("orderBy: {order}")).await;
            assert_eq!(listed, ids(&threads), "{who}");
        }
        let is_alive = |node: &&Value| node["deletedAt"].is_null();
        let alive: Vec<Value> = messages.iter().filter(is_alive).cloned().collect();
        for (arguments, wanted) in [
            ("orderBy: SENT_ASC", &alive),
            ("orderBy: SENT_DESC", &alive),
            ("filter: {includeDeleted: true}", &messages),
        ] {
            let listed = list(actor, "messages", arguments).await;
            assert_eq!(listed, ids(wanted), "{who} {arguments}");
        }
        self.check_unread(who, actor, &threads).await;
        self.check_filters(who, actor).await;
    }

    /// What is unread in each thread is what came after what the person has seen.
    async fn check_unread(&self, who: &str, actor: &Actor, threads: &[Value]) {
        let query = "{ viewer { unreadThreadCount unreadMessageCount user { id } } }";
        let viewer = actor.run(query, json!({})).await.at("/viewer");
        let unread = |node: &Value| node["unreadCount"].as_i64().expect("a number");
        let with_unread = threads.iter().filter(|node| unread(node) > 0).count();
        assert_eq!(viewer["unreadThreadCount"], with_unread, "{who}");
        let sum: i64 = threads.iter().map(unread).sum();
        assert_eq!(viewer["unreadMessageCount"], sum, "{who}");
        let Some(user) = viewer["user"]["id"].as_str() else {
            return;
        };
        for thread in threads {
            let looked = (id(thread), user.to_owned());
            let from = if self.seen.contains(&looked) { 2 } else { 0 };
            let place = |said: &Value| self.messages.iter().position(|known| *known == id(said));
            let said = thread["messages"]["nodes"].as_array().expect("messages");
            let new = said
                .iter()
                .filter(|said| said["sender"]["id"] != user && said["deletedAt"].is_null())
                .filter(|said| place(said).is_some_and(|place| place % 4 >= from));
            assert_eq!(unread(thread), new.count() as i64, "{who}: {thread}");
        }
    }

    /// Counters, where they serve, count what reading the rows counts.
    async fn check_filters(&self, who: &str, actor: &Actor) {
        for filter in [
            "type: USER",
            "type: ACTION",
            "private: true",
            "private: false",
            "private: true, includeDeleted: true",
            "sentAt: {from: \"2000-01-01T00:00:00Z\"}",
            "type: USER, private: false",
        ] {
            let query = format!(
                "{{ messages(filter: {{ {filter} }}, first: 100) {{ totalCount nodes {{ id }} }} }}"
            );
            let listed = actor.run(&query, json!({})).await;
            let found = listed.texts("/messages/nodes", "/id").len() as i64;
            assert_eq!(
                found,
                listed.number("/messages/totalCount"),
                "{who}: {filter}"
            );
        }
        for thread in &self.threads {
            let query = "query($id: ID!) { messages(filter: {threadId: $id}, first: 100) { totalCount nodes { id } } }";
            let listed = actor.run(query, json!({ "id": thread })).await;
            if listed.body.get("errors").is_some() {
                assert_eq!(listed.code(), "NOT_FOUND", "{who}");
                continue;
            }
            let found = listed.texts("/messages/nodes", "/id").len() as i64;
            assert_eq!(found, listed.number("/messages/totalCount"), "{who}");
        }
    }
}

/// Those of the objects that somebody sees, asked for by their ids.
async fn seen(actor: &Actor, ids: &[String]) -> Vec<Value> {
    let query = "query($ids: [ID!]!) { nodes(ids: $ids) { id
      ... on Thread { unreadCount messages(first: 100) { nodes { id deletedAt sender { id } } } }
      ... on Message { deletedAt } } }";
    let nodes = actor.run(query, json!({ "ids": ids })).await.at("/nodes");
    let nodes = nodes.as_array().expect("nodes").clone();
    nodes.into_iter().filter(|node| !node.is_null()).collect()
}

/// The ids of all that is in a list, which counts them right.
async fn list(actor: &Actor, field: &str, arguments: &str) -> BTreeSet<String> {
    let query = format!("{{ {field}({arguments}, first: 100) {{ totalCount nodes {{ id }} }} }}");
    let listed = actor.run(&query, json!({})).await;
    let found = listed.texts(&format!("/{field}/nodes"), "/id");
    let total = listed.number(&format!("/{field}/totalCount"));
    assert_eq!(found.len() as i64, total, "{arguments}");
    found.into_iter().collect()
}

fn id(node: &Value) -> String {
    node["id"].as_str().expect("an id").to_owned()
}

fn ids(nodes: &[Value]) -> BTreeSet<String> {
    nodes.iter().map(id).collect()
}

/// Every pair of roles in two organizations.
fn pairs() -> impl Iterator<Item = [Option<&'static str>; 2]> {
    ROLES
        .into_iter()
        .flat_map(|here| ROLES.into_iter().map(move |there| [here, there]))
}
