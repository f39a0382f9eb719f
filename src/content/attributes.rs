//! What a message's `contentAttributes` may be, for each content type: the choices of a select, the
//! cards, the fields of a form, the articles, the picture.
//!
//! Never judges what a reader answers.

use std::collections::HashSet;

use serde_json::Value;

use crate::content::object::{self, Fields, Keys, MAX_TEXT, Report};
use crate::content::rules;
use crate::db::enums::ContentType;
use crate::error::Faults;

/// Most items of a message.
const MAX_ITEMS: usize = 100;

/// Most choices of one field of a form.
const MAX_OPTIONS: usize = 100;

/// Most buttons of a card.
const MAX_ACTIONS: usize = 10;

/// A name under which an answer is stored.
const MAX_NAME: usize = 255;

/// Most pixels of a picture's side.
const MAX_SIDE: f64 = 100_000.0;

const NOTHING: Keys = Keys {
    required: &[],
    optional: &[],
};

const ITEMS: Keys = Keys {
    required: &["items"],
    optional: &[],
};

const IMAGE: Keys = Keys {
    required: &["src"],
    optional: &["width", "height"],
};

const CHOICE: Keys = Keys {
    required: &["title", "value"],
    optional: &[],
};

const CARD: Keys = Keys {
    required: &["title", "actions"],
    optional: &["description", "media_url"],
};

const LINK: Keys = Keys {
    required: &["type", "text", "uri"],
    optional: &[],
};

const POSTBACK: Keys = Keys {
    required: &["type", "text", "payload"],
    optional: &[],
};

const FIELD: Keys = Keys {
    required: &["name", "type"],
    optional: &[
        "label",
        "placeholder",
        "default",
        "required",
        "pattern",
        "title",
        "pattern_error",
    ],
};

const SELECT_FIELD: Keys = Keys {
    required: &["name", "type", "options"],
    optional: FIELD.optional,
};

const OPTION: Keys = Keys {
    required: &["label", "value"],
    optional: &[],
};

const ARTICLE: Keys = Keys {
    required: &["title", "link"],
    optional: &["description"],
};

/// The faults of a message's attributes; `path` is where they are in the input.
pub fn check(faults: &mut Faults, path: &str, content_type: ContentType, attributes: &Value) {
    let mut report = Report::new(faults);
    match content_type {
        ContentType::Text
        | ContentType::InputText
        | ContentType::InputTextarea
        | ContentType::InputEmail => {
            object::read(&mut report, path, attributes, NOTHING);
        }
        ContentType::Image => image(&mut report, path, attributes),
        ContentType::InputSelect => items(&mut report, path, attributes, choice),
        ContentType::Cards => items(&mut report, path, attributes, card),
        ContentType::Form => {
            items(&mut report, path, attributes, field);
            names_are_unique(&mut report, path, attributes);
        }
        ContentType::Article => items(&mut report, path, attributes, article),
    }
    report.finish(path);
}

/// The items of the attributes; none if there are none that could be read.
pub fn items_of(attributes: &Value) -> &[Value] {
    attributes
        .get("items")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn image(report: &mut Report<'_>, path: &str, attributes: &Value) {
    let Some(image) = object::read(report, path, attributes, IMAGE) else {
        return;
    };
    image.url(report, "src");
    for side in ["width", "height"] {
        let fits = |value: &Value| value.as_f64().is_some_and(|n| n > 0.0 && n <= MAX_SIDE);
        if image.value(side).is_some_and(|value| !fits(value)) {
            let message = format!("must be a number of pixels, more than 0 and at most {MAX_SIDE}");
            report.add(image.at(side), message);
        }
    }
}

fn items(
    report: &mut Report<'_>,
    path: &str,
    attributes: &Value,
    check: fn(&mut Report<'_>, &str, &Value),
) {
    if let Some(fields) = object::read(report, path, attributes, ITEMS) {
        each(report, &fields, "items", MAX_ITEMS, check);
    }
}

fn each(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    key: &str,
    most: usize,
    check: fn(&mut Report<'_>, &str, &Value),
) {
    let at = fields.at(key);
    for (index, entry) in fields.list(report, key, most).iter().enumerate() {
        check(report, &format!("{at}.{index}"), entry);
    }
}

fn choice(report: &mut Report<'_>, path: &str, item: &Value) {
    if let Some(choice) = object::read(report, path, item, CHOICE) {
        choice.text(report, "title", MAX_TEXT);
        choice.text(report, "value", MAX_TEXT);
    }
}

fn card(report: &mut Report<'_>, path: &str, item: &Value) {
    let Some(card) = object::read(report, path, item, CARD) else {
        return;
    };
    card.text(report, "title", MAX_TEXT);
    card.text(report, "description", MAX_TEXT);
    card.url(report, "media_url");
    each(report, &card, "actions", MAX_ACTIONS, action);
}

fn action(report: &mut Report<'_>, path: &str, item: &Value) {
    let keys = match item.get("type").and_then(Value::as_str) {
        Some("link") => LINK,
        Some("postback") => POSTBACK,
        // Which keys belong there is not to be known.
        _ if item.is_object() => {
            report.add(format!("{path}.type"), "must be link or postback");
            return;
        }
        _ => NOTHING,
    };
    if let Some(action) = object::read(report, path, item, keys) {
        action.text(report, "text", MAX_TEXT);
        action.text(report, "payload", MAX_TEXT);
        action.url(report, "uri");
    }
}

fn field(report: &mut Report<'_>, path: &str, item: &Value) {
    let kind = item.get("type").and_then(Value::as_str);
    let keys = match kind {
        Some("select") => SELECT_FIELD,
        _ => FIELD,
    };
    let Some(field) = object::read(report, path, item, keys) else {
        return;
    };
    field.text(report, "name", MAX_NAME);
    for key in ["label", "placeholder", "default", "title", "pattern_error"] {
        field.text(report, key, MAX_TEXT);
    }
    field.boolean(report, "required");
    let known = matches!(kind, Some("text" | "text_area" | "email" | "select"));
    if field.value("type").is_some() && !known {
        let message = "must be text, text_area, email or select";
        report.add(field.at("type"), message);
    }
    if kind == Some("select") {
        each(report, &field, "options", MAX_OPTIONS, option);
    }
    if let Some(text) = field.text(report, "pattern", MAX_TEXT)
        && rules::pattern(text).is_none()
    {
        let message =
            "must be a regular expression, not too large, without look-around and backreferences";
        report.add(field.at("pattern"), message);
    }
}

fn option(report: &mut Report<'_>, path: &str, item: &Value) {
    if let Some(option) = object::read(report, path, item, OPTION) {
        option.text(report, "label", MAX_TEXT);
        option.text(report, "value", MAX_TEXT);
    }
}

fn article(report: &mut Report<'_>, path: &str, item: &Value) {
    if let Some(article) = object::read(report, path, item, ARTICLE) {
        article.text(report, "title", MAX_TEXT);
        article.text(report, "description", MAX_TEXT);
        article.url(report, "link");
    }
}

/// Answers are stored by name: two fields of one name would be one.
fn names_are_unique(report: &mut Report<'_>, path: &str, attributes: &Value) {
    let mut names = HashSet::new();
    for (index, item) in items_of(attributes).iter().take(MAX_ITEMS).enumerate() {
        let name = item.get("name").and_then(Value::as_str);
        if name.is_some_and(|name| !names.insert(name)) {
            let path = format!("{path}.items.{index}.name");
            report.add(path, "is the name of another field");
        }
    }
}

#[cfg(test)]
mod tests;
