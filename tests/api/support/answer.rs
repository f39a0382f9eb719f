//! What came back, and how tests look at it.

use serde_json::Value;

/// An answer to a document.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    under: String,
}

impl Answer {
    pub fn new(status: u16, body: Value) -> Self {
        Self {
            status,
            body,
            under: String::new(),
        }
    }

    /// The same, with paths that begin under a field.
    pub fn under(self, field: &str) -> Self {
        Self {
            under: format!("/{field}"),
            ..self
        }
    }

    /// What is at a JSON pointer of the data; the answer must have no errors.
    #[track_caller]
    pub fn at(&self, pointer: &str) -> Value {
        assert!(self.body.get("errors").is_none(), "{:#}", self.body);
        let full = format!("/data{}{pointer}", self.under);
        let found = self.body.pointer(&full);
        found
            .unwrap_or_else(|| panic!("nothing at {full} in {:#}", self.body))
            .clone()
    }

    #[track_caller]
    pub fn text(&self, pointer: &str) -> String {
        let found = self.at(pointer);
        match found.as_str() {
            Some(text) => text.to_owned(),
            None => panic!("{found} at {pointer} is no text"),
        }
    }

    #[track_caller]
    pub fn number(&self, pointer: &str) -> i64 {
        self.at(pointer).as_i64().expect("a number")
    }

    /// The texts at a pointer within each item of a list.
    #[track_caller]
    pub fn texts(&self, list: &str, pointer: &str) -> Vec<String> {
        let list = self.at(list);
        let items = list.as_array().expect("a list").iter();
        items
            .map(|item| {
                item.pointer(pointer)
                    .and_then(Value::as_str)
                    .expect("a text")
                    .to_owned()
            })
            .collect()
    }

    /// The code of the only error.
    #[track_caller]
    pub fn code(&self) -> String {
        let errors = self.body["errors"].as_array();
        let errors = errors.unwrap_or_else(|| panic!("no error in {:#}", self.body));
        assert_eq!(errors.len(), 1, "{:#}", self.body);
        errors[0]["extensions"]["code"]
            .as_str()
            .expect("a code")
            .to_owned()
    }

    /// The paths of the fields at fault.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        assert_eq!(self.code(), "BAD_USER_INPUT", "{:#}", self.body);
        let fields = self.body["errors"][0]["extensions"]["fields"].as_array();
        let fields = fields.expect("fields").iter();
        fields
            .map(|field| field["path"].as_str().expect("a path").to_owned())
            .collect()
    }
}
