//! Structured content: which nodes there are, what each may hold, and whom they name.
//!
//! A message's content is an array of nodes. Never looks up a user, and never turns content into
//! another form.

use serde_json::Value;

use crate::content::object::{self, Fields, Keys, Report};
use crate::content::rules;
use crate::error::Faults;

/// How deep nodes may be nested. What is deeper is not read at all, so that no content, whatever
/// its depth, takes more of the stack than this.
pub const MAX_DEPTH: usize = 8;

/// Most nodes of a content, leaves included.
pub const MAX_NODES: usize = 5_000;

/// How far a list's entry may be indented.
const MAX_INDENT: u64 = 4;

const MAX_CLASS: usize = 255;
const MAX_ID: usize = 320;

/// What stands for a leaf among the kinds of nodes.
const TEXT: &str = "text";

const LEAF: Keys = Keys {
    required: &["text"],
    optional: &["bold", "italic", "underline", "code", "class"],
};

const USER: Keys = Keys {
    required: &["id"],
    optional: &[],
};

/// What the content itself holds: text needs a node around it.
const TOP: &[&str] = &[
    "p",
    "bullet",
    "number_bullet",
    "quote",
    "todo",
    "code",
    "markdown",
    "link",
    "mention",
    "assignee",
];

/// A kind of node.
struct Kind {
    name: &'static str,
    keys: Keys,
    /// The kinds of its children.
    holds: &'static [&'static str],
    least: usize,
    most: usize,
}

impl Kind {
    const fn new(name: &'static str, keys: Keys, holds: &'static [&'static str]) -> Self {
        Self {
            name,
            keys,
            holds,
            least: 1,
            most: MAX_NODES,
        }
    }
}

const fn keys(required: &'static [&'static str]) -> Keys {
    Keys {
        required,
        optional: &["class"],
    }
}

const KINDS: [Kind; 10] = [
    Kind::new(
        "p",
        keys(&["type", "children"]),
        &[TEXT, "link", "mention", "assignee"],
    ),
    Kind::new("bullet", LIST_ENTRY, &[TEXT, "link", "p"]),
    Kind::new("number_bullet", NUMBERED_ENTRY, &[TEXT, "link", "p"]),
    Kind::new(
        "quote",
        keys(&["type", "children"]),
        &[
            TEXT,
            "p",
            "bullet",
            "number_bullet",
            "link",
            "mention",
            "assignee",
        ],
    ),
    Kind::new("todo", TODO, &[TEXT, "p", "link", "mention", "assignee"]),
    Kind::new("code", keys(&["type", "children"]), &[TEXT]),
    Kind::new("markdown", keys(&["type", "children"]), &[TEXT]),
    Kind {
        least: 0,
        ..Kind::new(
            "link",
            keys(&["type", "children", "url"]),
            &[TEXT, "mention"],
        )
    },
    Kind {
        most: 1,
        ..Kind::new("mention", keys(&["type", "children", "user"]), &[TEXT])
    },
    Kind {
        most: 1,
        ..Kind::new("assignee", keys(&["type", "children", "user"]), &[TEXT])
    },
];

const LIST_ENTRY: Keys = Keys {
    required: &["type", "children"],
    optional: &["class", "indent"],
};

const TODO: Keys = Keys {
    required: &["type", "children"],
    optional: &["class", "todoID", "done"],
};

const NUMBERED_ENTRY: Keys = Keys {
    required: &["type", "children"],
    optional: &["class", "indent", "bulletNumber"],
};

/// A place where content names a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Where the id is, as `content.0.children.1.user.id`.
    pub path: String,
    /// The id as it was written: ours, or the backend's.
    pub id: String,
}

/// The faults of a structured content; `path` is where it is in the input.
pub fn check(faults: &mut Faults, path: &str, content: &Value) {
    let mut walk = Walk {
        report: Report::new(faults),
        nodes: 0,
    };
    match content {
        Value::Array(nodes) => walk.all(path, nodes, TOP, 1),
        _ => walk.report.add(path, "must be an array of nodes"),
    }
    if walk.nodes > MAX_NODES {
        let message = format!("must be at most {MAX_NODES} nodes");
        walk.report.add(path, message);
    }
    walk.report.finish(path);
}

/// Every place where the content names a user, mentions and assignees alike, in order. A user who
/// is named twice is there twice: each place can be at fault.
pub fn mentions(path: &str, content: &Value) -> Vec<Mention> {
    let mut found = Vec::new();
    if let Value::Array(nodes) = content {
        find_mentions(&mut found, path, nodes, 1);
    }
    found
}

/// The text of a content that is one markdown node with one leaf, to which more can be appended.
pub fn markdown(content: &Value) -> Option<&str> {
    let [node] = content.as_array()?.as_slice() else {
        return None;
    };
    match children(node) {
        [leaf] if kind(node) == Some("markdown") => leaf.get("text")?.as_str(),
        _ => None,
    }
}

/// What a node is: the name of its kind; `None` for a leaf and for what is no node.
pub fn kind(node: &Value) -> Option<&str> {
    node.get("type")?.as_str()
}

/// The nodes in a node.
pub fn children(node: &Value) -> &[Value] {
    node.get("children")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn find_mentions(found: &mut Vec<Mention>, path: &str, nodes: &[Value], depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    for (index, node) in nodes.iter().enumerate() {
        let at = format!("{path}.{index}");
        let id = node.pointer("/user/id").and_then(Value::as_str);
        if let (Some("mention" | "assignee"), Some(id)) = (kind(node), id) {
            found.push(Mention {
                path: format!("{at}.user.id"),
                id: id.to_owned(),
            });
        }
        find_mentions(found, &format!("{at}.children"), children(node), depth + 1);
    }
}

/// The check of one content under way.
struct Walk<'f> {
    report: Report<'f>,
    nodes: usize,
}

impl Walk<'_> {
    fn all(&mut self, path: &str, nodes: &[Value], holds: &[&str], depth: usize) {
        for (index, node) in nodes.iter().enumerate() {
            self.nodes += 1;
            if self.nodes > MAX_NODES || self.report.is_full() {
                return;
            }
            self.node(&format!("{path}.{index}"), node, holds, depth);
        }
    }

    fn node(&mut self, path: &str, node: &Value, holds: &[&str], depth: usize) {
        if depth > MAX_DEPTH {
            let message = format!("must not be nested deeper than {MAX_DEPTH}");
            self.report.add(path, message);
            return;
        }
        let Value::Object(object) = node else {
            self.report.add(path, "must be an object");
            return;
        };
        let name = match object.get("type") {
            None if object.contains_key("text") => TEXT,
            None => {
                self.report.add(path, "must have a type, or be a text");
                return;
            }
            Some(name) => name.as_str().unwrap_or_default(),
        };
        let kind = KINDS.iter().find(|kind| kind.name == name);
        if kind.is_none() && object.contains_key("type") {
            let known = TOP.join(", ");
            let message = format!("must be one of {known}");
            self.report.add(format!("{path}.type"), message);
            return;
        }
        if !holds.contains(&name) {
            let message = format!("{name} cannot stand here, only {}", holds.join(", "));
            self.report.add(path, message);
        }
        match kind {
            None => self.leaf(path, node),
            Some(kind) => self.typed(path, node, kind, depth),
        }
    }

    fn leaf(&mut self, path: &str, node: &Value) {
        let report = &mut self.report;
        let Some(leaf) = object::read(report, path, node, LEAF) else {
            return;
        };
        if let Some(text) = leaf.string(report, "text") {
            report.count(text);
            // The sum of all texts is limited, so no text by itself.
            report.add_found(leaf.at("text"), rules::text(text, usize::MAX));
        }
        for mark in ["bold", "italic", "underline", "code"] {
            leaf.boolean(report, mark);
        }
        class(report, &leaf);
    }

    fn typed(&mut self, path: &str, node: &Value, kind: &Kind, depth: usize) {
        let report = &mut self.report;
        let Some(fields) = object::read(report, path, node, kind.keys) else {
            return;
        };
        class(report, &fields);
        for key in ["indent", "bulletNumber", "url", "user", "todoID", "done"] {
            if kind.keys.allow(key) {
                own(report, &fields, key);
            }
        }
        let at = fields.at("children");
        match fields.value("children") {
            None => {}
            Some(Value::Array(nodes)) => {
                if nodes.len() < kind.least {
                    report.add(&at, "must not be empty");
                } else if nodes.len() > kind.most {
                    report.add(&at, format!("must be at most {}", kind.most));
                } else {
                    label(report, &at, kind, nodes);
                }
                self.all(&at, nodes, kind.holds, depth + 1);
            }
            Some(_) => report.add(at, "must be an array of nodes"),
        }
    }
}

fn class(report: &mut Report<'_>, fields: &Fields<'_>) {
    if let Some(text) = fields.string(report, "class") {
        report.add_found(fields.at("class"), rules::text(text, MAX_CLASS));
    }
}

/// The value of a key that only some kinds of nodes have.
fn own(report: &mut Report<'_>, fields: &Fields<'_>, key: &str) {
    let Some(value) = fields.value(key) else {
        return;
    };
    let at = fields.at(key);
    match key {
        "indent" if value.as_u64().is_none_or(|indent| indent > MAX_INDENT) => {
            report.add(at, format!("must be an integer from 0 to {MAX_INDENT}"));
        }
        "bulletNumber" if value.as_i64().is_none_or(|n| i32::try_from(n).is_err()) => {
            report.add(at, "must be an integer of 32 bits");
        }
        "url" => fields.url(report, key),
        "todoID" => {
            fields.text(report, key, MAX_ID);
        }
        "done" => fields.boolean(report, key),
        "user" => {
            if let Some(user) = object::read(report, &at, value, USER) {
                user.text(report, "id", MAX_ID);
            }
        }
        _ => {}
    }
}

/// A mention shows a name after a sign.
fn label(report: &mut Report<'_>, path: &str, kind: &Kind, nodes: &[Value]) {
    let signs: &[char] = match kind.name {
        "mention" => &['@'],
        "assignee" => &['+', '@'],
        _ => return,
    };
    let text = nodes.first().and_then(|node| node.get("text")?.as_str());
    let named = |text: &str| {
        text.strip_prefix(signs)
            .is_some_and(|name| !name.is_empty())
    };
    if text.is_some_and(|text| !named(text)) {
        let message = format!("must be {} and a name", signs[0]);
        report.add(format!("{path}.0.text"), message);
    }
}

#[cfg(test)]
mod tests;
