//! How much a document asks for, counted before it is executed: a few hundred bytes of fragments
//! within fragments, or of pages within pages, can ask for more than a server has.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
    TypeKind, TypeSystemDefinition,
};
use async_graphql_value::{ConstValue, Value as Written};

use crate::config::Settings;
use crate::db::page::DEFAULT_PAGE;
use crate::db::revision::MAX_REVISIONS;

/// Fragments are followed so deep, counted over fields and spreads.
const MAX_NESTING: usize = 200;

/// Most fields and spreads of an operation with every fragment written out: what validating it
/// costs.
const MAX_WRITTEN: u64 = 10_000;

/// What `MAX_WRITTEN` counts, in words for who exceeds it.
const WRITTEN: &str = "fields and spreads, every fragment written out";

/// What the cost counts.
const COST: &str = "fields, those of a page counted once an item";

/// The limits, and what must be known of the schema to count.
pub struct Limits {
    /// Fields that answer pages, by name.
    connections: HashSet<String>,
    max_page: i32,
    max_cost: u64,
    max_aliases: u64,
    max_directives: u64,
}

/// Why a document is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Excess {
    /// It has too much of something; the limit, and of what.
    TooMuch(u64, &'static str),
    /// It is not valid; why.
    Invalid(&'static str),
}

/// The values of a request's variables.
pub type Variables = serde_json::Map<String, serde_json::Value>;

impl Limits {
    /// For a schema, written as text.
    pub fn new(sdl: &str, settings: &Settings) -> Self {
        let document = parse_schema(sdl).expect("the schema prints as it parses");
        let mut connections = HashSet::new();
        for definition in document.definitions {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            if let TypeKind::Object(object) = definition.node.kind {
                let pages = object.fields.into_iter().filter(|field| {
                    let kind = field.node.ty.node.to_string();
                    kind.trim_end_matches('!').ends_with("Connection")
                });
                connections.extend(pages.map(|field| field.node.name.node.to_string()));
            }
        }
        Self {
            connections,
            max_page: settings.max_page_size.into(),
            max_cost: settings.max_complexity.into(),
            max_aliases: settings.max_aliases.into(),
            max_directives: settings.max_directives.into(),
        }
    }

    /// Counts what an operation asks for: each field once, those of a page once an item.
    pub fn check(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> Result<(), Excess> {
        let mut count = Count {
            limits: self,
            document,
            operation,
            variables,
            fragments: HashMap::new(),
        };
        let mut asked = count.set(&operation.selection_set.node, 0)?;
        asked.directives = asked.directives.saturating_add(of_operation(operation));
        for (found, most, what) in [
            (asked.nodes, MAX_WRITTEN, WRITTEN),
            (asked.cost, self.max_cost, COST),
            (asked.aliases, self.max_aliases, "aliases"),
            (asked.directives, self.max_directives, "directives"),
        ] {
            if found > most {
                return Err(Excess::TooMuch(most, what));
            }
        }
        // GraphQL specification, section 5.2.4.1: a subscription has a single root field.
        if operation.ty == OperationType::Subscription && asked.width != 1 {
            return Err(Excess::Invalid("a subscription has exactly one root field"));
        }
        Ok(())
    }
}

/// What a set of selections asks for.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    /// Fields and spreads as they are written, every fragment written out.
    nodes: u64,
    /// Fields, those of a page once an item.
    cost: u64,
    /// Fields at the set's own level.
    width: u64,
    /// Aliases as they are written, every fragment written out.
    aliases: u64,
    /// Directives, likewise.
    directives: u64,
}

impl Asked {
    fn plus(self, other: Self) -> Self {
        Self {
            nodes: self.nodes.saturating_add(other.nodes),
            cost: self.cost.saturating_add(other.cost),
            width: self.width.saturating_add(other.width),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
        }
    }
}

struct Count<'a> {
    limits: &'a Limits,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    /// What each fragment asks for, counted once; none while it is being counted.
    fragments: HashMap<&'a str, Option<Asked>>,
}

impl<'a> Count<'a> {
    fn set(&mut self, set: &'a SelectionSet, nesting: usize) -> Result<Asked, Excess> {
        if nesting > MAX_NESTING {
            return Err(Excess::TooMuch(MAX_WRITTEN, WRITTEN));
        }
        let mut sum = Asked::default();
        for selection in &set.items {
            let (asked, directives) = match &selection.node {
                Selection::Field(field) => {
                    (self.field(&field.node, nesting)?, &field.node.directives)
                }
                Selection::InlineFragment(fragment) => {
                    let fragment = &fragment.node;
                    let asked = self.set(&fragment.selection_set.node, nesting + 1)?;
                    (asked, &fragment.directives)
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    (self.fragment(name, nesting)?, &spread.node.directives)
                }
            };
            sum = sum.plus(asked);
            sum.nodes = sum.nodes.saturating_add(1);
            sum.directives = sum.directives.saturating_add(len(directives));
        }
        Ok(sum)
    }

    fn field(&mut self, field: &'a Field, nesting: usize) -> Result<Asked, Excess> {
        let inner = self.set(&field.selection_set.node, nesting + 1)?;
        let times = self.items(field);
        Ok(Asked {
            cost: inner.cost.saturating_mul(times).saturating_add(1),
            width: 1,
            aliases: inner.aliases.saturating_add(field.alias.is_some().into()),
            ..inner
        })
    }

    fn fragment(&mut self, name: &'a str, nesting: usize) -> Result<Asked, Excess> {
        match self.fragments.get(name) {
            Some(Some(asked)) => return Ok(*asked),
            Some(None) => return Err(Excess::Invalid("a fragment contains itself")),
            None => {}
        }
        // An unknown fragment asks for nothing; the validation names it.
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Ok(Asked::default());
        };
        self.fragments.insert(name.as_str(), None);
        let mut asked = self.set(&fragment.node.selection_set.node, nesting + 1)?;
        asked.directives = asked
            .directives
            .saturating_add(len(&fragment.node.directives));
        self.fragments.insert(name.as_str(), Some(asked));
        Ok(asked)
    }

    /// How many items a field answers at most.
    fn items(&self, field: &Field) -> u64 {
        for name in ["first", "last"] {
            if let Some(value) = field
                .get_argument(name)
                .and_then(|value| self.value(&value.node))
                && let Some(number) = value.as_i64()
            {
                return u64::try_from(number.clamp(1, self.limits.max_page.into())).unwrap_or(1);
            }
        }
        let ids = field
            .get_argument("ids")
            .and_then(|value| self.value(&value.node));
        if let Some(serde_json::Value::Array(ids)) = ids {
            return u64::try_from(ids.len()).unwrap_or(u64::MAX);
        }
        if field.name.node.as_str() == "revisions" {
            return u64::try_from(MAX_REVISIONS).unwrap_or(1);
        }
        if self.limits.connections.contains(field.name.node.as_str()) {
            return u64::try_from(DEFAULT_PAGE.min(self.limits.max_page)).unwrap_or(1);
        }
        1
    }

    /// An argument's value, looked up if it is a variable.
    fn value(&self, value: &Written) -> Option<serde_json::Value> {
        if let Written::Variable(name) = value {
            return match self.variables.get(name.as_str()) {
                Some(given) => Some(given.clone()),
                None => self.default_of(name)?.into_json().ok(),
            };
        }
        value.clone().into_json().ok()
    }

    fn default_of(&self, name: &str) -> Option<ConstValue> {
        let definitions = self.operation.variable_definitions.iter();
        definitions
            .map(|definition| &definition.node)
            .find(|definition| definition.name.node.as_str() == name)
            .and_then(|definition| definition.default_value.as_ref())
            .map(|value| value.node.clone())
    }
}

/// The directives of an operation's head: its own, and those of its variables.
fn of_operation(operation: &OperationDefinition) -> u64 {
    let variables = operation.variable_definitions.iter();
    variables
        .map(|definition| len(&definition.node.directives))
        .fold(len(&operation.directives), u64::saturating_add)
}

fn len<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use async_graphql::parser::types::DocumentOperations;
    use clap::Parser;
    use serde_json::json;

    use super::*;

    const SDL: &str = "type Query { threads(first: Int): ThreadConnection! }
        type ThreadConnection { nodes: [Thread!]! }
        type Thread { id: ID! messages(first: Int): MessageConnection! }
        type MessageConnection { nodes: [Message!]! } type Message { id: ID! }";

    fn check(query: &str, variables: serde_json::Value) -> Result<(), Excess> {
        let document = parse_query(query).expect("it parses");
        let DocumentOperations::Single(operation) = &document.operations else {
            panic!("one operation");
        };
        let variables = variables.as_object().cloned().unwrap_or_default();
        let settings = Settings::parse_from(["bobbin", "--max-complexity", "20000"]);
        Limits::new(SDL, &settings).check(&document, &operation.node, &variables)
    }

    #[test]
    fn the_fields_of_a_page_count_once_an_item() {
        let pages = "query($n: Int) { threads(first: $n) { nodes { messages(first: 100) { nodes { id } } } } }";
        assert_eq!(check(pages, json!({ "n": 50 })), Ok(()));
        assert_eq!(
            check(pages, json!({ "n": 100 })),
            Err(Excess::TooMuch(20_000, COST))
        );
        let unsaid = "{ threads { nodes { messages { nodes { id } } } } }";
        assert_eq!(check(unsaid, json!({})), Ok(()));
    }

    #[test]
    fn fragments_within_fragments_are_counted_in_no_time() {
        let mut bomb = "{ threads { ...f0 } }".to_owned();
        for n in 0..60 {
            bomb += &format!(" fragment f{n} on T {{ ...f{m} ...f{m} }}", m = n + 1);
        }
        bomb += " fragment f60 on T { id }";
        assert_eq!(
            check(&bomb, json!({})),
            Err(Excess::TooMuch(MAX_WRITTEN, WRITTEN))
        );
    }

    #[test]
    fn aliases_and_directives_count_wherever_they_stand() {
        let of = |count: usize, one: &str| format!("{{ threads {{ {} }} }}", one.repeat(count));
        for (one, what) in [
            ("a: id ", "aliases"),
            ("id @skip(if: false) ", "directives"),
            ("... @skip(if: false) { id } ", "directives"),
        ] {
            assert_eq!(check(&of(100, one), json!({})), Ok(()));
            assert_eq!(
                check(&of(101, one), json!({})),
                Err(Excess::TooMuch(100, what))
            );
        }
        let fragment = " fragment f on ThreadConnection @x { a: id ...@y { b: id } }";
        let twice = format!(
            "query($n: Int @z) {{ threads {{ ...f ...f {} }} }}{fragment}",
            "a: id ".repeat(97)
        );
        assert_eq!(
            check(&twice, json!({})),
            Err(Excess::TooMuch(100, "aliases"))
        );
    }

    #[test]
    fn a_fragment_does_not_contain_itself() {
        let cycle = "{ threads { ...a } } fragment a on T { ...b } fragment b on T { ...a }";
        assert!(matches!(check(cycle, json!({})), Err(Excess::Invalid(_))));
    }

    #[test]
    fn a_subscription_has_one_root_field() {
        assert_eq!(check("subscription { a }", json!({})), Ok(()));
        let two = "subscription { ...f } fragment f on S { a b: a }";
        assert!(matches!(check(two, json!({})), Err(Excess::Invalid(_))));
    }
}
