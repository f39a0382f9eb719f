//! The schema: that it is the one on file, and that every part of it is described and shaped as
//! clients expect.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{Actor, INTROSPECTION};

/// Types that GraphQL itself brings.
const BUILT_IN: [&str; 5] = ["Boolean", "Float", "ID", "Int", "String"];

#[test]
fn the_schema_on_file_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
    let on_file = std::fs::read_to_string(path).expect("schema.graphql can be read");
    let served = bobbin::graphql::sdl();
    let differing = on_file
        .lines()
        .zip(served.lines())
        .position(|(file, served)| file != served)
        .unwrap_or_else(|| on_file.lines().count().min(served.lines().count()));
    assert!(
        on_file.trim_end() == served.trim_end(),
        "schema.graphql differs from line {} on; write it anew: cargo run -- schema > schema.graphql",
        differing + 1
    );
}

#[tokio::test]
async fn everything_is_described() {
    let mut bare = Vec::new();
    let mut look = |what: String, part: &Value| {
        if part["description"]
            .as_str()
            .is_none_or(|text| text.trim().is_empty())
        {
            bare.push(what);
        }
    };
    for kind in types().await {
        let name = text(&kind["name"]);
        look(name.clone(), &kind);
        for field in list(&kind["fields"]) {
            let field_name = format!("{name}.{}", text(&field["name"]));
            look(field_name.clone(), field);
            for argument in list(&field["args"]) {
                look(
                    format!("{field_name}({}:)", text(&argument["name"])),
                    argument,
                );
            }
        }
        for value in list(&kind["enumValues"]) {
            look(format!("{name}.{}", text(&value["name"])), value);
        }
        for field in list(&kind["inputFields"]) {
            look(format!("{name}.{}", text(&field["name"])), field);
        }
    }
    assert!(bare.is_empty(), "without a description: {bare:#?}");
}

#[tokio::test]
async fn every_mutation_takes_one_input_and_answers_a_nullable_payload() {
    let types = types().await;
    for field in list(&named(&types, "Mutation")["fields"]) {
        let name = text(&field["name"]);
        let pascal = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        let arguments = list(&field["args"]);
        assert_eq!(arguments.len(), 1, "{name}");
        assert_eq!(text(&arguments[0]["name"]), "input", "{name}");
        assert_eq!(written(&arguments[0]["type"]), format!("{pascal}Input!"));
        assert_eq!(written(&field["type"]), format!("{pascal}Payload"));
    }
}

#[tokio::test]
async fn a_look_up_is_nullable_so_that_it_can_fail_alone() {
    let types = types().await;
    for field in list(&named(&types, "Query")["fields"]) {
        let name = text(&field["name"]);
        let by_id = list(&field["args"]).iter().any(|argument| {
            let name = argument["name"].as_str();
            name == Some("id") || name == Some("number")
        });
        let answer = written(&field["type"]);
        assert_eq!(!answer.ends_with('!'), by_id, "{name}: {answer}");
    }
}

#[tokio::test]
async fn whatever_has_an_id_is_a_node() {
    let types = types().await;
    let mut nodes = 0;
    for kind in types.iter().filter(|kind| kind["kind"] == "OBJECT") {
        let name = text(&kind["name"]);
        let id = list(&kind["fields"])
            .iter()
            .find(|field| field["name"] == "id");
        let is_node = list(&kind["interfaces"])
            .iter()
            .any(|interface| interface["name"] == "Node");
        assert_eq!(id.is_some(), is_node, "{name}");
        if let Some(id) = id {
            assert_eq!(written(&id["type"]), "ID!", "{name}.id");
            nodes += 1;
        }
    }
    assert!(nodes >= 4, "{nodes}");
}

#[tokio::test]
async fn every_list_in_pages_has_the_same_shape() {
    let types = types().await;
    let fields = |name: &str| -> BTreeMap<String, String> {
        list(&named(&types, name)["fields"])
            .iter()
            .map(|field| (text(&field["name"]), written(&field["type"])))
            .collect()
    };
    let mut pages = 0;
    for kind in &types {
        let name = text(&kind["name"]);
        let Some(item) = name.strip_suffix("Connection") else {
            continue;
        };
        pages += 1;
        let connection = fields(&name);
        assert_eq!(connection["edges"], format!("[{item}Edge!]!"), "{name}");
        assert_eq!(connection["pageInfo"], "PageInfo!", "{name}");
        assert_eq!(connection["totalCount"], "Int!", "{name}");
        let edge = fields(&format!("{item}Edge"));
        assert_eq!(edge["cursor"], "String!", "{item}Edge");
        assert_eq!(
            connection["nodes"],
            format!("[{}]!", edge["node"]),
            "{name} and {item}Edge"
        );
    }
    assert!(pages >= 4, "{pages}");
    for kind in &types {
        for field in list(&kind["fields"]) {
            if !written(&field["type"]).ends_with("Connection!") {
                continue;
            }
            let arguments: BTreeMap<String, String> = list(&field["args"])
                .iter()
                .map(|argument| (text(&argument["name"]), written(&argument["type"])))
                .collect();
            let place = format!("{}.{}", text(&kind["name"]), text(&field["name"]));
            // A search ranks its results: it is read forwards only.
            let wanted: &[(&str, &str)] = if place == "Query.searchMessages" {
                &[("first", "Int"), ("after", "String")]
            } else {
                &[
                    ("first", "Int"),
                    ("after", "String"),
                    ("last", "Int"),
                    ("before", "String"),
                ]
            };
            for (name, kind) in wanted {
                assert_eq!(
                    arguments.get(*name).map(String::as_str),
                    Some(*kind),
                    "{place}({name}:)"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_field_name_of_events_has_one_type_over_all_of_them() {
    let types = types().await;
    let mut known: BTreeMap<String, (String, String)> = BTreeMap::new();
    let events = list(&named(&types, "ThreadEvent")["possibleTypes"]);
    assert!(!events.is_empty());
    for event in events {
        let event = text(&event["name"]);
        for field in list(&named(&types, &event)["fields"]) {
            let (name, kind) = (text(&field["name"]), written(&field["type"]));
            let (first, of) = known
                .entry(name.clone())
                .or_insert_with(|| (kind.clone(), event.clone()));
            assert_eq!(*first, kind, "{name} of {of} and of {event}");
        }
    }
}

#[tokio::test]
async fn names_are_written_as_graphql_has_them() {
    let pascal = |name: &str| name.starts_with(char::is_uppercase) && !name.contains('_');
    let camel = |name: &str| name.starts_with(char::is_lowercase) && !name.contains('_');
    let screaming = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    for kind in types().await {
        let name = text(&kind["name"]);
        assert!(pascal(&name), "{name}");
        for part in list(&kind["fields"])
            .iter()
            .chain(list(&kind["inputFields"]))
        {
            assert!(camel(&text(&part["name"])), "{name}.{}", part["name"]);
            for argument in list(&part["args"]) {
                assert!(camel(&text(&argument["name"])), "{name} {argument}");
            }
        }
        for value in list(&kind["enumValues"]) {
            assert!(screaming(&text(&value["name"])), "{name}.{value}");
        }
        if kind["kind"] == "INPUT_OBJECT" && !name.ends_with("Input") {
            let filter = name.ends_with("Filter") || name.ends_with("Range");
            assert!(filter, "{name} is an input, and should say so");
        }
    }
}

#[tokio::test]
async fn dates_say_which_specification_they_follow() {
    let types = types().await;
    let address = &named(&types, "DateTime")["specifiedByURL"];
    assert!(address.is_string(), "DateTime has no @specifiedBy");
}

#[tokio::test]
async fn nobody_may_read_the_schema_and_nothing_else() {
    let nobody = Actor::nobody().await;
    let schema = nobody.run(INTROSPECTION, json!({})).await;
    assert_eq!(schema.status, 200);
    assert!(schema.at("/__schema/types").is_array());
    let viewer = nobody.run("{ viewer { user { id } } }", json!({})).await;
    assert_eq!(
        (viewer.status, viewer.code().as_str()),
        (401, "UNAUTHENTICATED")
    );
}

/// The types of the running server, without those that GraphQL brings.
async fn types() -> Vec<Value> {
    let answer = Actor::root().await.run(INTROSPECTION, json!({})).await;
    let types = answer.at("/__schema/types");
    let built_in: BTreeSet<&str> = BUILT_IN.into();
    let ours = |kind: &&Value| {
        let name = kind["name"].as_str().expect("a name");
        !name.starts_with("__") && !built_in.contains(name)
    };
    list(&types).iter().filter(ours).cloned().collect()
}

#[track_caller]
fn named<'a>(types: &'a [Value], name: &str) -> &'a Value {
    let found = types.iter().find(|kind| kind["name"] == name);
    found.unwrap_or_else(|| panic!("there is no type {name}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// A type as the schema definition language writes it.
fn written(kind: &Value) -> String {
    match kind["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", written(&kind["ofType"])),
        Some("LIST") => format!("[{}]", written(&kind["ofType"])),
        _ => text(&kind["name"]),
    }
}
