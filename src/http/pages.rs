//! The explorer page at `/graphiql` and the files it loads, all compiled into the binary.
//!
//! Never decides who gets a token, and never sends a browser to another host.

use std::fmt::Write as _;

use axum::{
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

/// A file that build.rs bundled; its name changes with its content.
struct Asset {
    name: &'static str,
    mime: &'static str,
    plain: Body,
    gzip: Body,
}

struct Body {
    etag: &'static str,
    bytes: &'static [u8],
}

/// Empty when the binary was built without Node.js.
static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/web_assets.rs"));

/// Styles are inline because the explorer's dialogs add style elements; scripts never are.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const NOT_FOUND: &str = r#"{"errors":[{"message":"not found","extensions":{"code":"NOT_FOUND"}}]}"#;

const UNBUILT: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Bobbin</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark }
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1rem }
</style>
<h1>Bobbin</h1>
<p>This server was built without the GraphiQL explorer. To get it, install Node.js 20 or later (with npm)
and run <code>cargo build</code> again.</p>
<p>The API itself is complete: any GraphQL client can use <code>/graphql</code>.</p>
</html>
"#;

/// The explorer; a token given here is filled into its headers editor.
pub fn graphiql(token: Option<&str>) -> Response {
    let headers = [
        // The page may hold a credential.
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    let html = explorer(token).unwrap_or_else(|| UNBUILT.to_owned());
    (headers, Html(html)).into_response()
}

/// A file of the bundle, for `/assets/{*path}`.
pub fn asset(path: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == path) else {
        return not_found();
    };
    let gzip = accepts_gzip(headers);
    let body = if gzip { &asset.gzip } else { &asset.plain };
    let shared = [
        (header::ETAG, body.etag),
        // Another content has another name.
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "Accept-Encoding"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if is_known(body.etag, headers) {
        return (StatusCode::NOT_MODIFIED, shared).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, asset.mime)];
    let encoding = gzip.then_some([(header::CONTENT_ENCODING, "gzip")]);
    (shared, content_type, encoding, body.bytes).into_response()
}

/// None when there is nothing to load.
fn explorer(token: Option<&str>) -> Option<String> {
    let script = named("graphiql-", ".js")?;
    let style = named("graphiql-", ".css")?;
    let icon = named("icon-", ".svg")?;
    let token = token.map_or_else(|| "null".to_owned(), json_string);
    Some(format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Bobbin</title>
<link rel="icon" type="image/svg+xml" href="/assets/{icon}">
<link rel="stylesheet" href="/assets/{style}">
<script id="settings" type="application/json">{{"token":{token}}}</script>
<script src="/assets/{script}" defer></script>
</head>
<body>
<div id="graphiql"></div>
<noscript>The explorer needs JavaScript.</noscript>
</body>
</html>
"#
    ))
}

fn named(start: &str, end: &str) -> Option<&'static str> {
    let mut names = ASSETS.iter().map(|asset| asset.name);
    names.find(|name| name.starts_with(start) && name.ends_with(end))
}

/// The text as a JSON string that is also safe inside a script element: everything but the
/// characters of a usual token is escaped, so no `<` can end the element.
fn json_string(text: &str) -> String {
    let mut json = String::from("\"");
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte) => {
                json.push(char::from(byte));
            }
            _ => write!(json, "\\u{unit:04x}").expect("a String takes every write"),
        }
    }
    json.push('"');
    json
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    list(headers, header::ACCEPT_ENCODING).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let refused = quality
            .trim()
            .strip_prefix("q=")
            .is_some_and(|q| q.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// Whether the client has what this tag is of.
pub fn is_known(etag: &str, headers: &HeaderMap) -> bool {
    list(headers, header::IF_NONE_MATCH)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

/// The parts of a header that is a list, over all of its lines.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

fn not_found() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (StatusCode::NOT_FOUND, headers, NOT_FOUND).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, header::HeaderValue::from_static(value))])
    }

    #[test]
    fn a_token_cannot_leave_its_script_element() {
        assert_eq!(json_string("aA0-._~+/="), r#""aA0-._~+/=""#);
        assert_eq!(
            json_string("</script>\"\\\n"),
            r#""\u003c/script\u003e\u0022\u005c\u000a""#
        );
        assert_eq!(json_string("é😀"), r#""\u00e9\ud83d\ude00""#);
    }

    #[test]
    fn gzip_is_sent_only_where_it_is_accepted() {
        for (value, accepted) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("br, deflate", false),
        ] {
            assert_eq!(
                accepts_gzip(&with(header::ACCEPT_ENCODING, value)),
                accepted,
                "{value}"
            );
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn every_asset_is_served_once_and_then_known() {
        for file in ASSETS {
            let served = asset(file.name, &HeaderMap::new());
            assert_eq!(served.status(), StatusCode::OK);
            assert_eq!(served.headers()[header::CONTENT_TYPE], file.mime);
            let again = asset(file.name, &with(header::IF_NONE_MATCH, file.plain.etag));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        }
    }

    #[test]
    fn an_unknown_asset_is_a_graphql_error() {
        let missing = asset("../Cargo.toml", &HeaderMap::new());
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
        assert_eq!(missing.headers()[header::CONTENT_TYPE], "application/json");
    }

    #[test]
    fn the_page_is_never_stored() {
        let page = graphiql(Some("secret"));
        assert_eq!(page.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(page.headers()[header::X_FRAME_OPTIONS], "DENY");
    }
}
