//! How much a document asks for, counted before anything else looks at it: a few hundred bytes of
//! fragments within fragments, or of pages within pages, can ask for more than a server has.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
    TypeKind, TypeSystemDefinition,
};
use async_graphql_value::{ConstValue, Value as Written};

use crate::db::page::{DEFAULT_PAGE, MAX_PAGE};

/// Fragments are followed so deep, counted over fields and spreads.
const MAX_NESTING: usize = 200;

/// Most fields and spreads of an operation with every fragment written out: what validating it
/// costs.
const MAX_WRITTEN: u64 = 10_000;

/// The limits, and what must be known of the schema to count.
pub struct Limits {
    /// Fields that answer pages, by name.
    connections: HashSet<String>,
    max_cost: u64,
}

/// Why a document is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Excess {
    /// It asks for too much; the limit.
    TooMuch(u64),
    /// It is not valid; why.
    Invalid(&'static str),
}

/// The values of a request's variables.
pub type Variables = serde_json::Map<String, serde_json::Value>;

impl Limits {
    /// For a schema, written as text.
    pub fn new(sdl: &str, max_cost: u32) -> Self {
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
            max_cost: max_cost.into(),
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
        let asked = count.set(&operation.selection_set.node, 0)?;
        if asked.nodes > MAX_WRITTEN {
            return Err(Excess::TooMuch(MAX_WRITTEN));
        }
        if asked.cost > self.max_cost {
            return Err(Excess::TooMuch(self.max_cost));
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
}

impl Asked {
    fn plus(self, other: Self) -> Self {
        Self {
            nodes: self.nodes.saturating_add(other.nodes),
            cost: self.cost.saturating_add(other.cost),
            width: self.width.saturating_add(other.width),
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
            return Err(Excess::TooMuch(self.limits.max_cost));
        }
        let mut sum = Asked::default();
        for selection in &set.items {
            let asked = match &selection.node {
                Selection::Field(field) => self.field(&field.node, nesting)?,
                Selection::InlineFragment(fragment) => {
                    self.set(&fragment.node.selection_set.node, nesting + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(spread.node.fragment_name.node.as_str(), nesting)?
                }
            };
            sum = sum.plus(asked);
            sum.nodes = sum.nodes.saturating_add(1);
        }
        Ok(sum)
    }

    fn field(&mut self, field: &'a Field, nesting: usize) -> Result<Asked, Excess> {
        let inner = self.set(&field.selection_set.node, nesting + 1)?;
        let times = self.items(field);
        Ok(Asked {
            nodes: inner.nodes,
            cost: inner.cost.saturating_mul(times).saturating_add(1),
            width: 1,
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
        let asked = self.set(&fragment.node.selection_set.node, nesting + 1)?;
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
                return u64::try_from(number.clamp(1, MAX_PAGE.into())).unwrap_or(1);
            }
        }
        let ids = field
            .get_argument("ids")
            .and_then(|value| self.value(&value.node));
        if let Some(serde_json::Value::Array(ids)) = ids {
            return u64::try_from(ids.len()).unwrap_or(u64::MAX);
        }
        if field.name.node.as_str() == "revisions" {
            return u64::try_from(MAX_PAGE).unwrap_or(1);
        }
        if self.limits.connections.contains(field.name.node.as_str()) {
            return u64::try_from(DEFAULT_PAGE).unwrap_or(1);
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

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use async_graphql::parser::types::DocumentOperations;
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
        Limits::new(SDL, 20_000).check(&document, &operation.node, &variables)
    }

    #[test]
    fn the_fields_of_a_page_count_once_an_item() {
        let pages = "query($n: Int) { threads(first: $n) { nodes { messages(first: 100) { nodes { id } } } } }";
        assert_eq!(check(pages, json!({ "n": 50 })), Ok(()));
        assert_eq!(
            check(pages, json!({ "n": 100 })),
            Err(Excess::TooMuch(20_000))
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
        assert_eq!(check(&bomb, json!({})), Err(Excess::TooMuch(MAX_WRITTEN)));
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
