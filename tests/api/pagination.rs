//! Pages of every list, of random rows with many equal times: however a client walks, forwards and
//! backwards, it meets each row once.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::{Actor, Person, Tenant};

const ARGUMENTS: &str = "$first: Int, $after: String, $last: Int, $before: String";

const PAGE: &str = "first: $first, after: $after, last: $last, before: $before";

const ROWS: &str = "totalCount edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";

/// A list, and how to ask for its pages.
struct List {
    name: String,
    actor: Actor,
    /// What leads to it: a document with the arguments of a page, and the place in its answer.
    query: String,
    variables: Value,
    at: &'static str,
    /// The rows that it must hold, in no order.
    ids: Vec<String>,
}

/// What a page says.
#[derive(Debug, PartialEq)]
struct Page {
    ids: Vec<String>,
    previous: bool,
    next: bool,
}

/// All of a list, in its order.
struct Whole {
    ids: Vec<String>,
    cursors: Vec<String>,
}

/// A step of a walk: a page of so many, onwards or back.
#[derive(Debug, Clone, Copy)]
struct Step {
    back: bool,
    size: usize,
}

#[test]
fn every_walk_meets_each_row_once() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut runner = runner(12);
    for _ in 0..2 {
        let times = vec(0..5_i64, 36)
            .new_tree(&mut runner)
            .expect("times")
            .current();
        for list in runtime.block_on(Rows::new(&times)).lists() {
            let whole = runtime.block_on(list.whole());
            let steps = (0..=list.ids.len(), vec(step(), 1..12));
            let walked = runner.run(&steps, |(start, steps)| {
                runtime.block_on(list.walk(&whole, start, &steps));
                Ok(())
            });
            walked.unwrap_or_else(|failure| panic!("{}: {failure}", list.name));
        }
    }
}

#[test]
fn a_window_has_its_message_inside_and_misses_none() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut runner = runner(40);
    let times = vec(0..5_i64, 36)
        .new_tree(&mut runner)
        .expect("times")
        .current();
    let lists = runtime.block_on(Rows::new(&times)).lists();
    let messages = lists.iter().filter(|list| list.at == "/thread/messages");
    for list in messages {
        let whole = runtime.block_on(list.whole());
        let windows = (0..whole.ids.len(), 1..=50_usize);
        let looked = runner.run(&windows, |(middle, size)| {
            runtime.block_on(list.look_around(&whole, middle, size));
            Ok(())
        });
        looked.unwrap_or_else(|failure| panic!("{}: {failure}", list.name));
    }
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    })
}

fn step() -> impl Strategy<Value = Step> {
    (any::<bool>(), 1..=15_usize).prop_map(|(back, size)| Step { back, size })
}

impl List {
    async fn ask(&self, arguments: Value) -> (Page, Vec<String>, usize) {
        let mut variables = self.variables.clone();
        crate::support::merge(&mut variables, arguments);
        let answer = self.actor.run(&self.query, variables).await;
        let at = |pointer: &str| format!("{}{pointer}", self.at);
        let flag = |name: &str| answer.at(&at(&format!("/pageInfo/{name}"))).as_bool();
        let page = Page {
            ids: answer.texts(&at("/edges"), "/node/id"),
            previous: flag("hasPreviousPage").expect("a flag"),
            next: flag("hasNextPage").expect("a flag"),
        };
        let cursors = answer.texts(&at("/edges"), "/cursor");
        let ends =
            ["startCursor", "endCursor"].map(|end| answer.at(&at(&format!("/pageInfo/{end}"))));
        assert_eq!(ends[0].as_str(), cursors.first().map(String::as_str));
        assert_eq!(ends[1].as_str(), cursors.last().map(String::as_str));
        let total = answer.number(&at("/totalCount"));
        (page, cursors, usize::try_from(total).expect("a total"))
    }

    /// All of it at once: the rows that there must be, each once.
    async fn whole(&self) -> Whole {
        let (page, cursors, total) = self.ask(json!({ "first": 100 })).await;
        let (mut found, mut wanted) = (page.ids.clone(), self.ids.clone());
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{}", self.name);
        assert_eq!(total, wanted.len(), "{}", self.name);
        Whole {
            ids: page.ids,
            cursors,
        }
    }

    /// Walks from a place between two rows; what each page must hold is known.
    async fn walk(&self, whole: &Whole, start: usize, steps: &[Step]) {
        let many = whole.ids.len();
        let mut at = start;
        for step in steps {
            let (arguments, from, to) = if step.back {
                let before = whole.cursors.get(at);
                let arguments = json!({ "last": step.size, "before": before });
                (arguments, at.saturating_sub(step.size), at)
            } else {
                let after = at.checked_sub(1).map(|row| &whole.cursors[row]);
                let arguments = json!({ "first": step.size, "after": after });
                (arguments, at, (at + step.size).min(many))
            };
            let (page, _, total) = self.ask(arguments.clone()).await;
            let wanted = Page {
                ids: whole.ids[from..to].to_vec(),
                previous: from > 0,
                next: to < many,
            };
            assert_eq!(page, wanted, "{} at {at} of {many}: {arguments}", self.name);
            assert_eq!(total, many, "{}", self.name);
            at = if step.back { from } else { to };
        }
        // Between two rows, from both ends.
        let (low, high) = (start.min(at), start.max(at));
        if low > 0 && high < many {
            let (after, before) = (&whole.cursors[low - 1], &whole.cursors[high]);
            for end in ["first", "last"] {
                let arguments = json!({ end: 100, "after": after, "before": before });
                let (page, ..) = self.ask(arguments).await;
                assert_eq!(page.ids, whole.ids[low..high], "{}", self.name);
            }
        }
    }

    async fn look_around(&self, whole: &Whole, middle: usize, size: usize) {
        let many = whole.ids.len();
        let arguments = json!({ "first": size, "around": whole.ids[middle] });
        let (page, _, total) = self.ask(arguments).await;
        assert_eq!(page.ids.len(), size.min(many), "as many as were asked for");
        let from = whole
            .ids
            .iter()
            .position(|id| *id == page.ids[0])
            .expect("a message of the list");
        let to = from + page.ids.len();
        assert_eq!(page.ids, whole.ids[from..to], "one after the other");
        assert!((from..to).contains(&middle), "{middle} in {from}..{to}");
        assert_eq!((page.previous, page.next), (from > 0, to < many));
        assert_eq!(total, many);
        // In its middle, unless an end of the list is near.
        let leading = middle - from;
        assert!(
            from == 0 || to == many || leading == size / 2,
            "{leading} of {size}"
        );
    }
}

/// A tenant whose rows have few different times.
struct Rows {
    tenant: Tenant,
    agent: Person,
    member: Person,
    /// Those who take part in the thread, and are all members there are.
    people: Vec<String>,
    thread: String,
    /// Its messages, and whether they are private and deleted.
    said: Vec<(String, bool, bool)>,
    /// The member's drafts in it.
    begun: Vec<String>,
    /// Other threads, with the messages in them and the member's drafts.
    others: Vec<String>,
    said_elsewhere: Vec<String>,
    begun_elsewhere: Vec<String>,
}

impl Rows {
    async fn new(times: &[i64]) -> Self {
        let tenant = Tenant::new().await;
        let (agent, member) = (tenant.agent("ada").await, tenant.member("bob").await);
        let mut people = vec![agent.id.clone(), member.id.clone()];
        for number in 0..12 {
            people.push(tenant.contact(&format!("c{number}")).await.id.clone());
        }
        let input = json!({ "participantIds": people, "access": "AGENTS" });
        let thread = tenant.backend.open_thread(input).await;
        let mut rows = Self {
            tenant,
            agent,
            member,
            people,
            thread,
            said: Vec::new(),
            begun: Vec::new(),
            others: Vec::new(),
            said_elsewhere: Vec::new(),
            begun_elsewhere: Vec::new(),
        };
        for (number, time) in times.iter().enumerate() {
            rows.say(number, *time).await;
        }
        for number in 0..20 {
            rows.open(number).await;
        }
        for _ in 0..3 {
            let begun = rows.begin(&rows.thread).await;
            rows.begun.push(begun);
        }
        level(&rows.tenant).await;
        rows
    }

    async fn say(&mut self, number: usize, time: i64) {
        let at = |time: i64| format!("2024-03-0{}T00:00:00.000001Z", time + 1);
        let (private, deleted) = (number % 7 == 3, number % 11 == 5);
        let input = json!({
            "threadId": self.thread, "body": "x", "sentAt": at(time), "private": private,
            "senderId": self.agent.id, "deletedAt": deleted.then(|| at(8)),
        });
        let backend = &self.tenant.backend;
        let said = backend
            .mutate("createMessage", input, "message { id }")
            .await;
        let id = said.text("/message/id");
        self.said.push((id, private, deleted));
    }

    async fn open(&mut self, number: usize) {
        let message = (!number.is_multiple_of(4)).then(|| json!({ "body": "x" }));
        let input = json!({ "subject": "A subject", "access": "ORGANIZATION", "message": message });
        let opened = self
            .agent
            .mutate("createThread", input, "thread { id } message { id }")
            .await;
        let said = opened.at("/message");
        let said = said.pointer("/id").and_then(Value::as_str);
        self.said_elsewhere.extend(said.map(str::to_owned));
        let thread = opened.text("/thread/id");
        self.begun_elsewhere.push(self.begin(&thread).await);
        self.others.push(thread);
    }

    async fn begin(&self, thread: &str) -> String {
        let draft = json!({ "threadId": thread, "body": "x", "status": "DRAFT" });
        self.member
            .mutate("createMessage", draft, "message { id }")
            .await
            .text("/message/id")
    }

    /// Every list of what there is.
    fn lists(&self) -> Vec<List> {
        let drafts = format!("query({ARGUMENTS}) {{ viewer {{ drafts({PAGE}) {{ {ROWS} }} }} }}");
        let mut lists = vec![List {
            name: "drafts".to_owned(),
            actor: self.member.actor(),
            query: drafts,
            variables: json!({}),
            at: "/viewer/drafts",
            ids: [self.begun.clone(), self.begun_elsewhere.clone()].concat(),
        }];
        lists.extend(self.lists_of("key", &self.tenant.backend, true, &[]));
        lists.extend(self.lists_of("agent", &self.agent.actor(), true, &[]));
        lists.extend(self.lists_of("member", &self.member.actor(), false, &self.begun));
        lists
    }

    fn lists_of(&self, who: &str, actor: &Actor, notes: bool, begun: &[String]) -> Vec<List> {
        let said = |deleted: bool| -> Vec<String> {
            let said = self.said.iter();
            let seen = said.filter(|row| (notes || !row.1) && (deleted || !row.2));
            seen.map(|(id, ..)| id.clone()).collect()
        };
        let in_thread = |rows: &str| {
            format!("query($id: ID!, {ARGUMENTS}) {{ thread(id: $id) {{ {rows} {{ {ROWS} }} }} }}")
        };
        let list = |name: &str, query: String, variables: Value, at, ids: Vec<String>| List {
            name: format!("{who}: {name}"),
            actor: actor.clone(),
            query,
            variables,
            at,
            ids,
        };
        let (thread, members) = (
            json!({ "id": self.thread }),
            json!({ "id": self.tenant.id }),
        );
        let messages = in_thread(&format!("messages({PAGE}, around: $around)"))
            .replace(ARGUMENTS, &format!("{ARGUMENTS}, $around: ID"));
        let participants = in_thread(&format!("participants({PAGE})"));
        let all = in_thread(&format!("members({PAGE})")).replace("thread(", "organization(");
        let mut lists = vec![
            list(
                "messages",
                messages,
                thread.clone(),
                "/thread/messages",
                [said(true), begun.to_vec()].concat(),
            ),
            list(
                "participants",
                participants,
                thread,
                "/thread/participants",
                self.people.clone(),
            ),
            list(
                "members",
                all,
                members,
                "/organization/members",
                self.people.clone(),
            ),
        ];
        let ordered = |field: &str, order: &str| {
            format!("query({ARGUMENTS}) {{ {field}(orderBy: {order}, {PAGE}) {{ {ROWS} }} }}")
        };
        for order in ["SENT_ASC", "SENT_DESC"] {
            let ids = [said(false), self.said_elsewhere.clone()].concat();
            let query = ordered("messages", order);
            lists.push(list(order, query, json!({}), "/messages", ids));
        }
        for order in [
            "LAST_MESSAGE_DESC",
            "LAST_MESSAGE_ASC",
            "CREATED_DESC",
            "CREATED_ASC",
        ] {
            let ids = [vec![self.thread.clone()], self.others.clone()].concat();
            let query = ordered("threads", order);
            lists.push(list(order, query, json!({}), "/threads", ids));
        }
        lists
    }
}

/// Gives rows whose times the API does not let anybody set one of few.
async fn level(tenant: &Tenant) {
    let few = "timestamptz '2024-03-01' + (hashtext(%::text) & 3) * interval '1 day'";
    let tenant = format!(
        "(SELECT id FROM organizations WHERE external_id = '{}')",
        tenant.name
    );
    let set = |table: &str, column: &str, by: &str, which: &str| {
        let few = few.replace('%', by);
        format!("UPDATE {table} SET {column} = {few} WHERE organization_id = {tenant} {which};")
    };
    let statements = [
        set("memberships", "created_at", "user_id", ""),
        set("participants", "joined_at", "user_id", ""),
        set("threads", "created_at", "id", ""),
        set(
            "threads",
            "last_message_at",
            "number",
            "AND last_message_at IS NOT NULL",
        ),
        set(
            "threads",
            "staff_message_at",
            "number",
            "AND staff_message_at IS NOT NULL",
        ),
        set("messages", "created_at", "id", ""),
    ];
    let sql = Server::get().await.sql().await;
    sql.batch_execute(&statements.concat())
        .await
        .expect("times");
}
