//! Which credential a request carries: its Authorization header, or else the cookie.
//!
//! Never verifies it: that is `auth`. A browser sends a cookie whoever's page asks, so a cookie
//! counts only for pages of this origin and of those that the operator has listed.

use axum::http::{HeaderMap, Uri, header};

use crate::app::App;
use crate::config::Mode;
use crate::error::{Error, Result};
use crate::http::is_loopback_host;

/// The cookie that holds a token.
const COOKIE: &str = "bobbin_token";

/// The value of the Authorization header, or what it would be with the cookie's token.
///
/// A cookie from a page of a foreign origin is refused (FORBIDDEN), not left out: who asks with
/// it is to learn why it does not count.
pub fn authorization(app: &App, headers: &HeaderMap) -> Result<Option<String>> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        // A header that is not text is no credential, and no credential is an error if it is
        // there.
        return Ok(Some(value.to_str().unwrap_or_default().to_owned()));
    }
    let Some(token) = cookie(headers) else {
        return Ok(None);
    };
    if !is_trusted(app, headers) {
        return Err(Error::Forbidden(
            "a cookie does not count for pages of this origin: BOBBIN_CORS_ORIGINS lists others"
                .to_owned(),
        ));
    }
    if token.contains(':') {
        // A backend's key has no business in a browser.
        return Err(Error::Unauthenticated(
            "the cookie holds no token".to_owned(),
        ));
    }
    Ok(Some(format!("Bearer {token}")))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| name.trim() == COOKIE)
        .map(|(_, value)| value.trim().trim_matches('"'))
}

/// Whether the page that asks, if it is one, may use the cookie.
fn is_trusted(app: &App, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        // No page, or one of this origin that only reads. A page of another origin that gets
        // something without telling its origin cannot read the answer, and nothing but queries
        // goes by GET.
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let listed = app.settings.cors_origins.as_deref().unwrap_or_default();
    if listed.split(',').any(|one| one.trim() == origin) {
        return true;
    }
    let Some(page) = authority(origin) else {
        return false; // `null`, of a page in a sandbox.
    };
    let host = headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| host.eq_ignore_ascii_case(&page)) {
        return true;
    }
    // A frontend that is being developed has a port of its own on this machine.
    app.mode == Mode::Development && is_loopback_host(&page) && host.is_some_and(is_loopback_host)
}

/// The host and port of an origin, as a Host header has them.
fn authority(origin: &str) -> Option<String> {
    let uri: Uri = origin.parse().ok()?;
    uri.scheme()?;
    Some(uri.authority()?.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        let with = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_static(text));
            cookie(&headers).map(str::to_owned)
        };
        assert_eq!(with("a=b; bobbin_token=x.y=; c=d"), Some("x.y=".to_owned()));
        assert_eq!(with("bobbin_token=\"x\""), Some("x".to_owned()));
        assert_eq!(with("my_bobbin_token=x; bobbin_tokens=y"), None);
    }

    #[test]
    fn an_origin_is_compared_by_host_and_port() {
        assert_eq!(
            authority("https://app.example.com:8443").as_deref(),
            Some("app.example.com:8443")
        );
        assert_eq!(authority("null"), None);
        assert_eq!(authority(""), None);
    }
}
