//! What a file says of itself: its name, its media type; and where an annotation is. A name is
//! never a path.

use mediatype::MediaType;
use serde_json::Value;

const MAX_NAME: usize = 255;
const MAX_MIME_TYPE: usize = 255;

/// Most bytes of an annotation's location, written as JSON.
const MAX_LOCATION: usize = 4_096;

/// What a JSON reader takes back out of the database as it was.
const MAX_NUMBER: f64 = 1e300;

/// The name of a file alone: what stands before it was the path on somebody's machine, or is meant
/// to be one on ours. Or else what is wrong with it.
pub fn name(given: &str) -> Result<String, String> {
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    if name.chars().any(|c| c.is_control() || turns(c)) {
        return Err("must not contain control characters".to_owned());
    }
    if name.chars().count() > MAX_NAME {
        return Err(format!("must be at most {MAX_NAME} characters"));
    }
    if name.chars().all(|c| c == '.' || c.is_whitespace()) {
        return Err("must be the name of a file".to_owned());
    }
    Ok(name.to_owned())
}

/// A media type alone, in small letters and without its parameters; or else what is wrong.
pub fn mime_type(given: &str) -> Result<String, String> {
    let wrong = || "must be a media type, such as image/png".to_owned();
    let parsed = MediaType::parse(given.trim()).map_err(|_| wrong())?;
    let essence = parsed.essence().to_string().to_ascii_lowercase();
    if essence.contains('*') || essence.len() > MAX_MIME_TYPE {
        return Err(wrong());
    }
    Ok(essence)
}

/// Whether a media type is a picture's.
pub fn is_image(mime_type: &str) -> bool {
    mime_type.starts_with("image/")
}

/// Whether a media type is that of a picture made of pixels, which has a width and a height.
pub fn is_raster(mime_type: &str) -> bool {
    is_image(mime_type) && !mime_type.ends_with("xml")
}

/// What is wrong with the place of an annotation: any JSON that is not too long.
pub fn location_fault(location: &Value) -> Option<String> {
    if location.to_string().len() > MAX_LOCATION {
        Some(format!("must be at most {MAX_LOCATION} bytes of JSON"))
    } else if !storable(location) {
        Some("must not contain the character U+0000, nor numbers beyond 1e300".to_owned())
    } else {
        None
    }
}

/// Whether PostgreSQL keeps a value as it is.
fn storable(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::Number(number) => number.as_f64().is_some_and(|n| n.abs() <= MAX_NUMBER),
        Value::String(text) => !text.contains('\0'),
        Value::Array(items) => items.iter().all(storable),
        Value::Object(pairs) => pairs
            .iter()
            .all(|(key, value)| !key.contains('\0') && storable(value)),
    }
}

/// Whether a character has what follows it shown the other way round: `gpj.exe` looks like
/// `exe.jpg` behind one.
fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_is_never_a_path() {
        for (given, kept) in [
            ("report.pdf", "report.pdf"),
            ("../../x", "x"),
            ("/etc/passwd", "passwd"),
            ("D:\\pictures\\cat.png", "cat.png"),
            (" ünïcode 🐈.txt ", "ünïcode 🐈.txt"),
            (".htaccess", ".htaccess"),
        ] {
            assert_eq!(name(given).as_deref(), Ok(kept), "{given}");
        }
        let long = "é".repeat(256);
        for bad in [
            "",
            " ",
            ".",
            "..",
            "a/..",
            "a/",
            "a\nb",
            "a\0",
            "photo\u{202e}gpj.exe",
            &long,
        ] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
        assert!(name(&long[2..]).is_ok());
    }

    #[test]
    fn a_media_type_is_one() {
        for (given, kept) in [
            ("image/PNG", "image/png"),
            ("text/plain; charset=utf-8", "text/plain"),
            ("image/svg+xml", "image/svg+xml"),
            (
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ),
        ] {
            assert_eq!(mime_type(given).as_deref(), Ok(kept), "{given}");
        }
        for bad in [
            "",
            "png",
            "image/",
            "/png",
            "image/*",
            "*/*",
            "a b/c",
            "text/plain\r\nX: y",
        ] {
            assert!(mime_type(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_location_is_any_json_that_is_not_too_long() {
        assert_eq!(
            location_fault(&json!({ "page": 3, "box": [1.5, 2, null] })),
            None
        );
        assert_eq!(location_fault(&json!("anywhere")), None);
        for bad in [
            json!("x".repeat(5_000)),
            json!({ "a\0": 1 }),
            json!([1e301]),
        ] {
            assert!(location_fault(&bad).is_some(), "{bad}");
        }
    }
}
