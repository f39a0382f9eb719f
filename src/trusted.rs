//! The documents that alone are executed, if the operator says so: a manifest that the clients'
//! build writes.
//!
//! Never parses a document: a text that is no GraphQL fails when it is asked for.

use std::collections::HashMap;
use std::path::Path;

use aws_lc_rs::digest;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The SHA-256 hash of a document's text.
pub type Hash = [u8; 32];

/// The documents of a manifest.
#[derive(Debug, Default)]
pub struct Trusted {
    texts: HashMap<Hash, String>,
    ids: HashMap<String, Hash>,
}

/// The hash of a text.
pub fn hash(text: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    hash
}

impl Trusted {
    /// Reads a manifest; why it cannot be read, as one line.
    pub async fn load(path: &Path) -> Result<Self, String> {
        let said = |why: String| format!("the trusted documents in {}: {why}", path.display());
        let text = tokio::fs::read_to_string(path)
            .await
            .map_err(|error| said(error.to_string()))?;
        Self::read(&text).map_err(said)
    }

    /// Reads what a manifest says: `{ID: DOCUMENT}`, as Relay and graphql-codegen write it, or
    /// Apollo's `{"format": "apollo-persisted-query-manifest", "operations": [{"id", "body"}]}`.
    pub fn read(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Listed {
            id: String,
            body: String,
        }
        let manifest: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| format!("no JSON object: {error}"))?;
        let mut trusted = Self::default();
        match manifest.get("format") {
            Some(format) if format == "apollo-persisted-query-manifest" => {
                let operations = manifest.get("operations").cloned().unwrap_or_default();
                let operations: Vec<Listed> =
                    serde_json::from_value(operations).map_err(|error| {
                        format!("operations must be a list of {{id, body}}: {error}")
                    })?;
                for Listed { id, body } in operations {
                    trusted.add(id, body);
                }
            }
            _ => {
                for (id, document) in manifest {
                    let Value::String(document) = document else {
                        return Err(format!("what {id:?} names is no text"));
                    };
                    trusted.add(id, document);
                }
            }
        }
        if trusted.texts.is_empty() {
            return Err("there are none".to_owned());
        }
        Ok(trusted)
    }

    /// The hash of the document with this id.
    pub fn by_id(&self, id: &str) -> Option<Hash> {
        self.ids.get(id).copied()
    }

    /// The document with this hash.
    pub fn by_hash(&self, hash: &Hash) -> Option<&str> {
        self.texts.get(hash).map(String::as_str)
    }

    /// How many documents there are.
    pub fn count(&self) -> usize {
        self.texts.len()
    }

    fn add(&mut self, id: String, text: String) {
        let hash = hash(&text);
        self.ids.insert(id, hash);
        self.texts.insert(hash, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_of_three_clients_are_read() {
        let plain = r#"{"a1b2": "{ viewer { user { id } } }"}"#;
        let apollo = r#"{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [
            {"id": "a1b2", "name": "A", "type": "query", "body": "{ viewer { user { id } } }"}]}"#;
        for manifest in [plain, apollo] {
            let trusted = Trusted::read(manifest).expect("it is one");
            let hash = trusted.by_id("a1b2").expect("it is named");
            assert_eq!(trusted.by_hash(&hash), Some("{ viewer { user { id } } }"));
            assert_eq!(hash, super::hash("{ viewer { user { id } } }"));
            assert_eq!(trusted.by_id("other"), None);
        }
    }

    #[test]
    fn what_is_no_manifest_is_told_in_one_line() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"a": 1}"#,
            r#"{"format": "apollo-persisted-query-manifest", "operations": [{"id": "x"}]}"#,
            r#"{"format": "apollo-persisted-query-manifest"}"#,
        ] {
            let why = Trusted::read(text).expect_err(text);
            assert!(!why.contains('\n'), "{why}");
        }
    }
}
