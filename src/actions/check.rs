//! The rules for single values, each with the fault that it finds. They only look.

use serde_json::Value;

use crate::config::Settings;
use crate::content::rules;
use crate::error::Faults;
use crate::ids;
use crate::webhook::secret::WebhookSecret;

/// Most characters of a message's body or HTML.
pub const MAX_BODY: usize = 150_000;

/// Most entries of a list that one call may give.
pub const MAX_LISTED: usize = 100;

const MAX_EXTERNAL_ID: usize = 320;
const MAX_LINE: usize = 255;
const MAX_METADATA_PAIRS: usize = 100;
const MAX_METADATA_KEY: usize = 255;
/// What a JSON reader takes back out of the database as it was.
const MAX_NUMBER: f64 = 1e300;
const MAX_METADATA_VALUE: usize = 10_000;

/// A backend's id for something.
pub fn external_id(faults: &mut Faults, path: &str, text: Option<&str>) {
    let Some(text) = text else { return };
    if !(1..=MAX_EXTERNAL_ID).contains(&text.chars().count()) {
        faults.add(path, format!("must be 1 to {MAX_EXTERNAL_ID} characters"));
    } else if text.chars().any(char::is_control) {
        faults.add(path, "must not contain control characters");
    } else if ids::looks_like_ours(text) {
        faults.add(path, "must not look like one of this server's own ids");
    }
}

/// A name or a subject: one line that says something.
pub fn line(faults: &mut Faults, path: &str, text: Option<&str>) {
    let Some(text) = text else { return };
    if text.trim().is_empty() || text.chars().count() > MAX_LINE {
        faults.add(path, format!("must be 1 to {MAX_LINE} characters"));
    } else if text.chars().any(char::is_control) {
        faults.add(path, "must be one line without control characters");
    }
}

/// A text of some length that may be empty.
pub fn text(faults: &mut Faults, path: &str, text: Option<&str>, most: usize) {
    add(faults, path, text.and_then(|text| rules::text(text, most)));
}

/// A short fact that may be empty, such as a department or a list of classes.
pub fn short(faults: &mut Faults, path: &str, value: Option<&str>) {
    text(faults, path, value, MAX_LINE);
}

/// An address that a reader's browser may open.
pub fn url(faults: &mut Faults, path: &str, text: Option<&str>) {
    add(faults, path, text.and_then(rules::url));
}

/// An address that this server is to call.
pub fn webhook_url(faults: &mut Faults, path: &str, text: &str, settings: &Settings) {
    let judged = || settings.delivery.networks.new_url(text).err();
    add(faults, path, rules::url(text).or_else(judged));
}

/// A secret that a backend chose for what is sent to it; none: none was given, or no such one.
pub fn webhook_secret(
    faults: &mut Faults,
    path: &str,
    text: Option<&str>,
) -> Option<WebhookSecret> {
    match WebhookSecret::parse(text?) {
        Ok(secret) => Some(secret),
        Err(fault) => {
            faults.add(path, fault);
            None
        }
    }
}

/// An e-mail address, as far as its shape tells.
pub fn email(faults: &mut Faults, path: &str, text: Option<&str>) {
    add(faults, path, text.and_then(rules::email));
}

/// A backend's own facts: a flat object.
pub fn metadata(faults: &mut Faults, path: &str, value: Option<&Value>) {
    let Some(value) = value else { return };
    let Value::Object(pairs) = value else {
        faults.add(path, "must be an object");
        return;
    };
    if pairs.len() > MAX_METADATA_PAIRS {
        faults.add(
            path,
            format!("must have at most {MAX_METADATA_PAIRS} pairs"),
        );
    }
    for (key, value) in pairs {
        let path = format!("{path}.{key}");
        if key.chars().count() > MAX_METADATA_KEY || key.contains('\0') {
            faults.add(
                &path,
                format!("a key is at most {MAX_METADATA_KEY} characters"),
            );
        }
        match value {
            Value::Number(number) if number.as_f64().is_none_or(|n| n.abs() > MAX_NUMBER) => {
                faults.add(path, "must be between -1e300 and 1e300");
            }
            Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => add(faults, &path, rules::text(text, MAX_METADATA_VALUE)),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                faults.add(path, "must be a string, a number or a boolean");
            }
        }
    }
}

/// A list, of which each entry is work.
pub fn few(faults: &mut Faults, path: &str, number: usize) {
    if number > MAX_LISTED {
        faults.add(path, format!("at most {MAX_LISTED} at once"));
    }
}

/// A reaction.
pub fn emoji(faults: &mut Faults, path: &str, text: &str) {
    if !(1..=127).contains(&text.chars().count()) || text.chars().any(char::is_control) {
        faults.add(
            path,
            "must be 1 to 127 characters without control characters",
        );
    }
}

fn add(faults: &mut Faults, path: &str, fault: Option<String>) {
    if let Some(fault) = fault {
        faults.add(path, fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(check: impl FnOnce(&mut Faults)) -> bool {
        let mut found = Faults::default();
        check(&mut found);
        found.finish().is_err()
    }

    #[test]
    fn an_external_id_must_not_look_like_ours() {
        let ours = ids::ThreadId::generate().to_string();
        assert!(faults(|f| external_id(f, "id", Some(&ours))));
        assert!(faults(|f| external_id(f, "id", Some(""))));
        assert!(faults(|f| external_id(f, "id", Some("a\nb"))));
        assert!(faults(|f| external_id(f, "id", Some(&"é".repeat(321)))));
        assert!(!faults(|f| external_id(f, "id", Some(&"é".repeat(320)))));
    }

    #[test]
    fn metadata_is_flat() {
        for bad in [
            json!({"a": null}),
            json!({"a": []}),
            json!({"a": {}}),
            json!([]),
            json!("x"),
        ] {
            assert!(faults(|f| metadata(f, "metadata", Some(&bad))), "{bad}");
        }
        let good = json!({"a": "x", "b": 1.5, "c": true});
        assert!(!faults(|f| metadata(f, "metadata", Some(&good))));
    }
}
