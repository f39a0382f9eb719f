//! What a reader answers to a message that asks: to a form, a select or an input.
//!
//! Never judges the form itself, nor who may answer it.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::content::attributes::items_of;
use crate::content::object::{MAX_TEXT, Report};
use crate::content::rules;
use crate::db::enums::ContentType;
use crate::error::Faults;

/// Most characters of an answer that must match a pattern.
const MAX_MATCHED: usize = 1_000;

/// The one answer to a message that asks for one.
const VALUE: &str = "value";

/// A question: the name of its answer, and what the answer must be.
struct Question<'v> {
    name: &'v str,
    kind: Kind<'v>,
    required: bool,
    pattern: Option<&'v str>,
    /// What to tell a reader whose answer does not match the pattern.
    pattern_error: &'v str,
}

enum Kind<'v> {
    Text,
    Email,
    Choice(HashSet<&'v str>),
}

/// The faults of what a reader submits, `{name: value}`; `path` is where it is in the input. The
/// attributes are those of the message that asks.
pub fn check_values(
    faults: &mut Faults,
    path: &str,
    content_type: ContentType,
    attributes: &Value,
    values: &Value,
) {
    let mut report = Report::new(faults);
    let Some(questions) = questions(content_type, attributes) else {
        report.add(path, "this message asks for nothing");
        return;
    };
    let Value::Object(values) = values else {
        report.add(path, "must be an object");
        return;
    };
    let names: HashSet<&str> = questions.iter().map(|question| question.name).collect();
    for name in values.keys().filter(|name| !names.contains(name.as_str())) {
        report.add(format!("{path}.{name}"), "is not asked for");
    }
    for question in &questions {
        answer(&mut report, path, question, values);
    }
    report.finish(path);
}

/// What a message asks; `None` if it only tells.
fn questions(content_type: ContentType, attributes: &Value) -> Option<Vec<Question<'_>>> {
    let only = |kind| {
        Some(vec![Question {
            name: VALUE,
            kind,
            required: true,
            pattern: None,
            pattern_error: "",
        }])
    };
    match content_type {
        ContentType::Form => {
            let fields = items_of(attributes).iter().filter_map(question);
            Some(fields.collect())
        }
        ContentType::InputSelect => only(Kind::Choice(choices(items_of(attributes)))),
        ContentType::InputEmail => only(Kind::Email),
        ContentType::InputText | ContentType::InputTextarea => only(Kind::Text),
        ContentType::Text | ContentType::Image | ContentType::Cards | ContentType::Article => None,
    }
}

fn question(field: &Value) -> Option<Question<'_>> {
    let text = |key: &str| field.get(key).and_then(Value::as_str);
    let options = field.get("options").and_then(Value::as_array);
    Some(Question {
        name: text("name")?,
        kind: match text("type")? {
            "email" => Kind::Email,
            "select" => Kind::Choice(choices(options.map_or(&[], Vec::as_slice))),
            _ => Kind::Text,
        },
        required: field.get("required") == Some(&Value::Bool(true)),
        pattern: text("pattern"),
        pattern_error: text("pattern_error").unwrap_or("must match the pattern"),
    })
}

fn choices(items: &[Value]) -> HashSet<&str> {
    items
        .iter()
        .filter_map(|item| item.get("value")?.as_str())
        .collect()
}

fn answer(
    report: &mut Report<'_>,
    path: &str,
    question: &Question<'_>,
    values: &Map<String, Value>,
) {
    let path = format!("{path}.{}", question.name);
    let text = match values.get(question.name) {
        Some(Value::String(text)) => text.as_str(),
        Some(_) => {
            report.add(path, "must be a string");
            return;
        }
        None => "",
    };
    report.count(text);
    if report.is_full() {
        return; // Matching takes time: none for what is refused anyway.
    }
    // A browser sends an empty field as an empty text: it was not answered.
    if text.is_empty() || (question.required && text.trim().is_empty()) {
        if question.required {
            report.add(path, "is required");
        }
        return;
    }
    // What a pattern is tried on is short, so that the slowest one does not take long.
    let most = question.pattern.map_or(MAX_TEXT, |_| MAX_MATCHED);
    if let Some(fault) = rules::text(text, most) {
        report.add(path, fault);
        return;
    }
    match &question.kind {
        Kind::Text => {}
        Kind::Email => report.add_found(&path, rules::email(text)),
        Kind::Choice(choices) if choices.contains(text) => {}
        Kind::Choice(_) => report.add(&path, "must be one of the values to choose from"),
    }
    let pattern = question.pattern.and_then(rules::pattern);
    if pattern.is_some_and(|pattern| !pattern.is_match(text)) {
        report.add(path, question.pattern_error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use serde_json::json;

    fn faults(content_type: ContentType, attributes: &Value, values: &Value) -> Vec<String> {
        let mut faults = Faults::default();
        check_values(&mut faults, "values", content_type, attributes, values);
        match faults.finish() {
            Ok(()) => Vec::new(),
            Err(Error::BadUserInput(fields)) => {
                let shown =
                    |field: crate::error::FieldError| format!("{}: {}", field.path, field.message);
                fields.into_iter().map(shown).collect()
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn form() -> Value {
        json!({"items": [
            {"name": "email", "type": "email", "required": true},
            {"name": "code", "type": "text", "pattern": "\\d{4}", "pattern_error": "four digits"},
            {"name": "more", "type": "text_area", "required": false},
            {"name": "food", "type": "select", "options": [{"label": "Pasta", "value": "pasta"}]},
        ]})
    }

    #[test]
    fn a_form_takes_answers_that_fit() {
        for good in [
            json!({"email": "a@b.example"}),
            json!({"email": "a@b.example", "code": "1234", "more": "a\nb", "food": "pasta"}),
            json!({"email": "a@b.example", "code": "", "more": "", "food": ""}),
        ] {
            assert_eq!(faults(ContentType::Form, &form(), &good), [""; 0], "{good}");
        }
    }

    #[test]
    fn a_form_tells_every_fault() {
        let values = json!({"code": "12345", "more": 5, "food": "pizza", "other": "x"});
        assert_eq!(
            faults(ContentType::Form, &form(), &values),
            [
                "values.other: is not asked for",
                "values.email: is required",
                "values.code: four digits",
                "values.more: must be a string",
                "values.food: must be one of the values to choose from",
            ]
        );
        let values = json!({"email": "nobody", "more": "a".repeat(10_001), "code": "\u{0}"});
        assert_eq!(
            faults(ContentType::Form, &form(), &values),
            [
                "values.email: must be an e-mail address",
                "values.code: must not contain the character U+0000",
                "values.more: must be at most 10000 characters",
            ]
        );
        for blank in [json!({"email": ""}), json!({"email": "  "}), json!({})] {
            let found = faults(ContentType::Form, &form(), &blank);
            assert_eq!(found, ["values.email: is required"], "{blank}");
        }
        let found = faults(ContentType::Form, &form(), &json!([]));
        assert_eq!(found, ["values: must be an object"]);
    }

    #[test]
    fn an_input_takes_one_value() {
        let select = json!({"items": [{"title": "One", "value": "1"}]});
        let none = json!({});
        for (content_type, attributes, good, bad) in [
            (ContentType::InputText, &none, "hi", " "),
            (ContentType::InputTextarea, &none, "hi\nyou", ""),
            (ContentType::InputEmail, &none, "a@b.example", "a"),
            (ContentType::InputSelect, &select, "1", "One"),
        ] {
            let found = |values: Value| faults(content_type, attributes, &values).len();
            assert_eq!(found(json!({"value": good})), 0, "{content_type:?}");
            assert_eq!(found(json!({"value": bad})), 1, "{content_type:?}");
            assert_eq!(
                found(json!({"value": good, "more": 1})),
                1,
                "{content_type:?}"
            );
            assert_eq!(found(json!({})), 1, "{content_type:?}");
        }
    }

    #[test]
    fn what_only_tells_takes_no_answer() {
        for content_type in [
            ContentType::Text,
            ContentType::Image,
            ContentType::Cards,
            ContentType::Article,
        ] {
            let found = faults(content_type, &json!({"items": []}), &json!({}));
            assert_eq!(found, ["values: this message asks for nothing"]);
        }
    }
}
