//! The README's map from other systems: every name in it is one of the schema.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{Actor, INTROSPECTION};

/// The systems that the map is from, one table each.
const SYSTEMS: [&str; 4] = ["Ulule Discussions", "Cord", "Chatwoot", "Tiledesk"];

#[tokio::test]
async fn the_map_from_other_systems_names_nothing_that_is_not_there() {
    let names = Names::load().await;
    let readme = include_str!("../../README.md");
    let map = readme.split("## Coming from another system").nth(1);
    let map = map.expect("the map is the last section");
    let mut unknown = Vec::new();
    for system in SYSTEMS {
        let section = map.split(&format!("### {system}\n")).nth(1);
        let section = section.unwrap_or_else(|| panic!("{system} has no table"));
        let table = section.split("###").next().unwrap_or_default();
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.len() > 10, "{system}: {rows:?}");
        // Behind the head of the table and the line under it.
        for row in &rows[2..] {
            let ours = row
                .trim_matches('|')
                .rsplit(" | ")
                .next()
                .unwrap_or_default();
            let quoted = ours.split('`').skip(1).step_by(2);
            let mut named = 0;
            for name in quoted {
                named += 1;
                if !names.has(name) {
                    unknown.push(format!("{system}: {name}"));
                }
            }
            assert!(named > 0 || ours.trim() == "not yet", "{row}");
        }
    }
    assert!(unknown.is_empty(), "the schema has no {unknown:#?}");
}

#[tokio::test]
async fn the_check_of_the_map_finds_a_stale_name() {
    let names = Names::load().await;
    for good in [
        "createMessage",
        "createMessage(externalId:)",
        "Thread.messages",
        "Thread.messages(around:)",
        "MessageType.ACTION",
        "ThreadFilter.inboxId",
        "MessageContent",
    ] {
        assert!(names.has(good), "{good}");
    }
    for stale in [
        "createMessages",
        "createMessage(body_html:)",
        "Thread.message",
        "Thread.messages(near:)",
        "MessageType.NOTE",
        "Conversation",
    ] {
        assert!(!names.has(stale), "{stale}");
    }
}

/// Every name of the schema: its types, and the parts of each with the arguments they take.
struct Names(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Names {
    async fn load() -> Self {
        let schema = Actor::root().await.run(INTROSPECTION, json!({})).await;
        let types = schema.at("/__schema/types");
        let types = types.as_array().expect("types").iter();
        Self(types.map(|kind| (text(kind), parts(kind))).collect())
    }

    fn has(&self, name: &str) -> bool {
        let (name, argument) = match name.trim_end_matches(":)").split_once('(') {
            Some((name, argument)) => (name, Some(argument)),
            None => (name, None),
        };
        let found = match name.split_once('.') {
            Some((kind, part)) => self.part(kind, part),
            None if name.starts_with(char::is_uppercase) => {
                return argument.is_none() && self.0.contains_key(name);
            }
            None => ["Query", "Mutation", "Subscription"]
                .iter()
                .find_map(|root| self.part(root, name)),
        };
        let Some(arguments) = found else {
            return false;
        };
        // A mutation takes what it is given within its one input.
        let within = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
        argument.is_none_or(|argument| {
            arguments.contains(argument) || self.part(&within, argument).is_some()
        })
    }

    fn part(&self, kind: &str, part: &str) -> Option<&BTreeSet<String>> {
        self.0.get(kind)?.get(part)
    }
}

fn parts(kind: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let lists = ["fields", "inputFields", "enumValues"];
    let all = lists.iter().flat_map(|list| items(&kind[*list]));
    all.map(|part| (text(part), items(&part["args"]).iter().map(text).collect()))
        .collect()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(named: &Value) -> String {
    named["name"].as_str().expect("a name").to_owned()
}
