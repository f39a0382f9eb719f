//! Reads JSON objects strictly: no unknown key, no missing one, every value of its kind.
//!
//! Never says what a key means.

use serde_json::{Map, Value};

use crate::content::rules;
use crate::error::Faults;

/// Most characters of one text.
pub const MAX_TEXT: usize = 10_000;

/// Most characters of all texts of a message's content, or of its attributes.
pub const MAX_CHARACTERS: usize = 150_000;

/// A client mends a few faults at a time; more would only make the answer large.
const MOST_FAULTS: usize = 100;

/// The faults of one value, no more than a client can read, and the size of its texts.
pub struct Report<'f> {
    faults: &'f mut Faults,
    left: usize,
    characters: usize,
}

impl<'f> Report<'f> {
    /// An empty report that writes to these faults.
    pub fn new(faults: &'f mut Faults) -> Self {
        Self {
            faults,
            left: MOST_FAULTS,
            characters: 0,
        }
    }

    /// Notes a fault, unless there are many already.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        if self.left > 0 {
            self.left -= 1;
            self.faults.add(path, message);
        }
    }

    /// Notes the fault that a rule found, if it did.
    pub fn add_found(&mut self, path: impl Into<String>, fault: Option<String>) {
        if let Some(fault) = fault {
            self.add(path, fault);
        }
    }

    /// Whether there is no use in looking further: the faults are many, or the texts too large.
    pub fn is_full(&self) -> bool {
        self.left == 0 || self.characters > MAX_CHARACTERS
    }

    /// Counts a text towards the size of the whole.
    pub fn count(&mut self, text: &str) {
        self.characters += text.chars().count();
    }

    /// Ends the report on a value that is too large as a whole.
    pub fn finish(mut self, path: &str) {
        if self.characters > MAX_CHARACTERS {
            let message = format!("must be at most {MAX_CHARACTERS} characters of text");
            self.add(path, message);
        }
    }
}

/// The keys that an object may have.
#[derive(Clone, Copy)]
pub struct Keys {
    /// Those that must be there.
    pub required: &'static [&'static str],
    /// Those that may be there.
    pub optional: &'static [&'static str],
}

impl Keys {
    /// Whether an object may have this key.
    pub fn allow(&self, key: &str) -> bool {
        self.required.contains(&key) || self.optional.contains(&key)
    }
}

/// An object with the keys that it may have, and where it is.
pub struct Fields<'v> {
    path: String,
    object: &'v Map<String, Value>,
}

/// Reads an object: `None`, and a fault, if it is none; a fault for each key that is missing or
/// unknown.
pub fn read<'v>(
    report: &mut Report<'_>,
    path: &str,
    value: &'v Value,
    keys: Keys,
) -> Option<Fields<'v>> {
    let Value::Object(object) = value else {
        report.add(path, "must be an object");
        return None;
    };
    for key in keys.required {
        if !object.contains_key(*key) {
            report.add(format!("{path}.{key}"), "is required");
        }
    }
    for key in object.keys().filter(|key| !keys.allow(key)) {
        report.add(format!("{path}.{key}"), "is not a key of this object");
    }
    let path = path.to_owned();
    Some(Fields { path, object })
}

impl<'v> Fields<'v> {
    /// Where the value of a key is.
    pub fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// The value of a key, if it is there.
    pub fn value(&self, key: &str) -> Option<&'v Value> {
        self.object.get(key)
    }

    /// A string of any kind, if it is there.
    pub fn string(&self, report: &mut Report<'_>, key: &str) -> Option<&'v str> {
        let value = self.value(key)?;
        if !value.is_string() {
            report.add(self.at(key), "must be a string");
        }
        value.as_str()
    }

    /// A text that says something, if it is there.
    pub fn text(&self, report: &mut Report<'_>, key: &str, most: usize) -> Option<&'v str> {
        let text = self.string(report, key)?;
        report.count(text);
        if text.trim().is_empty() {
            report.add(self.at(key), "must not be empty");
        } else {
            report.add_found(self.at(key), rules::text(text, most));
        }
        Some(text)
    }

    /// An address on the web, if it is there.
    pub fn url(&self, report: &mut Report<'_>, key: &str) {
        if let Some(text) = self.string(report, key) {
            report.count(text);
            report.add_found(self.at(key), rules::url(text));
        }
    }

    /// A boolean, if it is there.
    pub fn boolean(&self, report: &mut Report<'_>, key: &str) {
        if self.value(key).is_some_and(|value| !value.is_boolean()) {
            report.add(self.at(key), "must be true or false");
        }
    }

    /// An array of something; empty if it is not there, or has a fault that leaves nothing to see.
    pub fn list(&self, report: &mut Report<'_>, key: &str, most: usize) -> &'v [Value] {
        match self.value(key) {
            None => &[],
            Some(Value::Array(entries)) if (1..=most).contains(&entries.len()) => entries,
            Some(_) => {
                report.add(self.at(key), format!("must be an array of 1 to {most}"));
                &[]
            }
        }
    }
}
