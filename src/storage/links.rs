//! Signed addresses: to a file's bytes, and to where a client puts them. Each is good for one
//! thing, one file and some time; with one character altered it is good for nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use object_store::path::Path;
use object_store::signer::{HeaderValue, Method, SignedUrlOptions, Signer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use uuid::Uuid;

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::ids::AttachmentId;
use crate::storage::{Place, Storage, media};

/// Most characters of a name in an address.
const NAME: usize = 100;

/// What `filename*` has as it is: the attr-chars of RFC 8187.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// What an address says of a file.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Its attachment, under whose UUID a client puts it.
    pub id: AttachmentId,
    /// Its key.
    pub object: Uuid,
    /// Its name.
    pub name: &'a str,
    /// Its media type.
    pub mime_type: &'a str,
}

/// The address of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The address, for GET and HEAD.
    pub url: String,
    /// Until when it is valid.
    pub expires_at: DateTime<Utc>,
}

/// The address to which a client puts a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadLink {
    /// The address.
    pub url: String,
    /// The method of the request.
    pub method: &'static str,
    /// The headers that the request must have.
    pub headers: Vec<(&'static str, String)>,
    /// Until when it is valid.
    pub expires_at: DateTime<Utc>,
}

/// The query of an address of this server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Until when, in seconds since 1970.
    expires: String,
    /// What proves that all of the address is ours.
    signature: String,
}

/// Why an address is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsealed {
    /// It is not one that was given out.
    Altered,
    /// It was, but is no longer valid.
    Expired,
}

/// What makes the addresses of this server.
pub struct Links {
    public_url: String,
    key: hmac::Key,
    lifetime: TimeDelta,
}

impl Links {
    /// For a server that listens at an address, with a secret.
    pub fn new(settings: &Settings, address: SocketAddr, secret: &[u8]) -> Self {
        let public_url = settings.files.public_url.clone();
        Self {
            public_url: public_url.unwrap_or_else(|| here(address)),
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            lifetime: settings.files.file_url_lifetime,
        }
    }

    fn seal(&self, method: &str, path: &str, expires_at: DateTime<Utc>) -> String {
        let expires = expires_at.timestamp().to_string();
        let signature = hmac::sign(&self.key, signed(method, path, &expires).as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature);
        format!(
            "{}{path}?expires={expires}&signature={signature}",
            self.public_url
        )
    }
}

impl Storage {
    /// Where a file can be had for a while, for whoever is told; the caller has decided that he
    /// may see it.
    pub async fn url(&self, file: Shown<'_>, now: DateTime<Utc>) -> Result<Link> {
        let lifetime = self.links.lifetime;
        let expires_at = now + lifetime;
        let url = match &self.signer {
            Some(signer) => {
                let kind = media::served(file.mime_type);
                let options = SignedUrlOptions::new().with_query([
                    ("response-cache-control", "private".to_owned()),
                    (
                        "response-content-disposition",
                        disposition(file.name, file.mime_type),
                    ),
                    ("response-content-type", kind.to_owned()),
                ]);
                let path = self.path(Place::Files, file.object);
                presigned(signer.as_ref(), Method::GET, &path, lifetime, &options).await?
            }
            None => {
                let path = format!("/files/{}/{}", file.id, plain(file.name));
                self.links.seal("GET", &path, expires_at)
            }
        };
        Ok(Link { url, expires_at })
    }

    /// Where a client may put the bytes of a file for a while; `accept` makes a file of them, if
    /// there are as many as it has declared.
    pub async fn upload_url(
        &self,
        file: Shown<'_>,
        now: DateTime<Utc>,
        lifetime: TimeDelta,
    ) -> Result<UploadLink> {
        let expires_at = now + lifetime;
        let url = match &self.signer {
            Some(signer) => {
                let kind = HeaderValue::from_str(file.mime_type).map_err(Error::internal)?;
                // The library signs no length: how much came is found out afterwards.
                let options = SignedUrlOptions::new().with_signed_header(CONTENT_TYPE, kind);
                let path = self.path(Place::Uploads, file.id.uuid());
                presigned(signer.as_ref(), Method::PUT, &path, lifetime, &options).await?
            }
            None => self
                .links
                .seal("PUT", &format!("/uploads/{}", file.id), expires_at),
        };
        Ok(UploadLink {
            url,
            method: "PUT",
            headers: vec![("Content-Type", file.mime_type.to_owned())],
            expires_at,
        })
    }

    /// Whether an address of this server is one that was given out, and still valid.
    pub fn check(
        &self,
        method: &str,
        path: &str,
        seal: &Seal,
        now: DateTime<Utc>,
    ) -> Result<(), Unsealed> {
        let signature = URL_SAFE_NO_PAD
            .decode(&seal.signature)
            .map_err(|_| Unsealed::Altered)?;
        let text = signed(method, path, &seal.expires);
        // Compares in constant time.
        hmac::verify(&self.links.key, text.as_bytes(), &signature)
            .map_err(|_| Unsealed::Altered)?;
        match seal.expires.parse::<i64>() {
            Ok(expires) if now.timestamp() < expires => Ok(()),
            _ => Err(Unsealed::Expired),
        }
    }
}

/// The value of a Content-Disposition after RFC 6266: shown only where that is safe, and saved
/// under the file's name.
pub fn disposition(name: &str, mime_type: &str) -> String {
    let shown = if media::is_shown(mime_type) {
        "inline"
    } else {
        "attachment"
    };
    let plain = plain(name);
    let encoded = utf8_percent_encode(name, KEPT);
    format!("{shown}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

/// A name that needs no encoding anywhere. What is left of its last part says what it is.
fn plain(name: &str) -> String {
    let kept = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => c,
        _ => '_',
    };
    let plain: String = name.chars().map(kept).collect();
    let from = plain.len().saturating_sub(NAME);
    match plain[from..].trim_start_matches('.') {
        "" => "file".to_owned(),
        plain => plain.to_owned(),
    }
}

/// What is signed. No part can hold a line's end, so none can run into another.
fn signed(method: &str, path: &str, expires: &str) -> String {
    format!("{method}\n{path}\n{expires}")
}

async fn presigned(
    signer: &dyn Signer,
    method: Method,
    path: &Path,
    lifetime: TimeDelta,
    options: &SignedUrlOptions,
) -> Result<String> {
    let lifetime = lifetime.to_std().unwrap_or(Duration::from_secs(1));
    let url = signer
        .signed_url_opts(method, path, lifetime, options)
        .await;
    url.map(String::from).map_err(Error::internal)
}

/// How a client on the same machine or network reaches a server that listens there.
fn here(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_in_a_header_and_in_an_address() {
        for (name, expected) in [
            ("cat.png", "cat.png"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..", "file"),
            ("a b\"c\r\nx: y", "a_b_c__x__y"),
            ("Größe.txt", "Gr__e.txt"),
            ("日本", "__"),
        ] {
            assert_eq!(plain(name), expected);
        }
        let long = format!("{}.png", "x".repeat(300));
        assert!(plain(&long).len() <= NAME && plain(&long).ends_with("x.png"));
    }

    #[test]
    fn a_disposition_has_the_name_in_both_ways() {
        assert_eq!(
            disposition("Größe \"1\".png", "image/png"),
            "inline; filename=\"Gr__e__1_.png\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%221%22.png"
        );
        assert_eq!(
            disposition("x.html", "text/html"),
            "attachment; filename=\"x.html\"; filename*=UTF-8''x.html"
        );
    }

    #[test]
    fn a_server_that_listens_everywhere_is_here() {
        for (address, expected) in [
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:8080", "http://[::1]:8080"),
            ("192.0.2.1:80", "http://192.0.2.1:80"),
        ] {
            assert_eq!(here(address.parse().expect("an address")), expected);
        }
    }
}
