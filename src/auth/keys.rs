//! What verifies tokens: a shared secret (HS256), a JWK set (RS256, ES256, EdDSA), or both.
//!
//! Never accepts `alg: none`, nor an algorithm that is not configured.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::actions::check;
use crate::config::Secret;
use crate::db::enums::Role;
use crate::error::{Error, Faults, Result};

/// How far another machine's clock may be ahead of ours for `iat` and `nbf`.
const SKEW: TimeDelta = TimeDelta::seconds(30);

/// How often an unknown key id may make us fetch the set again.
const REFETCH: TimeDelta = TimeDelta::seconds(10);

/// After how long a set is fetched again in any case, so that withdrawn keys end.
const STALE: TimeDelta = TimeDelta::minutes(10);

const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_SET_BYTES: u64 = 1_000_000;

/// What a token claims (RFC 7519 names), all of it believed once the signature holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// The user's externalId or usr_ id.
    pub sub: String,
    /// When it ends, in seconds since 1970.
    pub exp: f64,
    /// When it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<f64>,
    /// When it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<f64>,
    /// The organization that it is bound to, by externalId.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// The user's role there.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "role_claim")]
    pub role: Option<Role>,
    /// The user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The user's e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The address of the user's picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

impl Claims {
    /// When the token ends.
    pub fn expires_at(&self) -> DateTime<Utc> {
        numeric_date(self.exp)
    }

    /// When the token was issued, if it says so.
    pub fn issued_at(&self) -> Option<DateTime<Utc>> {
        self.iat.map(numeric_date)
    }

    /// What a valid signature does not vouch for: that the values can be stored.
    fn check(&self, now: DateTime<Utc>) -> Result<()> {
        let texts = [
            ("sub", Some(&self.sub)),
            ("org", self.org.as_ref()),
            ("name", self.name.as_ref()),
        ];
        for (claim, text) in texts {
            let fits = |text: &String| {
                (1..=320).contains(&text.chars().count()) && !text.chars().any(char::is_control)
            };
            if !text.is_none_or(fits) {
                return Err(refused(&format!(
                    "the token's {claim} must be 1 to 320 characters without control characters"
                )));
            }
        }
        let mut faults = Faults::default();
        check::url(&mut faults, "picture", self.picture.as_deref());
        check::email(&mut faults, "email", self.email.as_deref());
        if let Err(fault) = faults.finish() {
            return Err(refused(&format!("the token's {}", fault.message())));
        }
        let starts = [self.iat, self.nbf].into_iter().flatten();
        if starts.into_iter().any(|at| numeric_date(at) > now + SKEW) {
            return Err(refused("the token is not valid yet"));
        }
        if self.expires_at() <= now {
            return Err(refused("the token has expired"));
        }
        Ok(())
    }
}

/// What verifies tokens, and signs those of the `token` command.
pub struct Keys {
    secret: Option<(EncodingKey, DecodingKey)>,
    jwks: Option<Jwks>,
}

impl Keys {
    /// The keys of the settings. A JWK set that cannot be read now is an error now.
    pub async fn load(
        secret: Option<&Secret>,
        jwks: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Self, String> {
        let secret = secret.map(|secret| {
            let bytes = secret.reveal().as_bytes();
            (
                EncodingKey::from_secret(bytes),
                DecodingKey::from_secret(bytes),
            )
        });
        let jwks = match jwks {
            None => None,
            Some(source) => Some(Jwks::load(Source::parse(source), now).await?),
        };
        Ok(Self { secret, jwks })
    }

    /// Signs a token with the secret.
    pub fn sign(&self, claims: &Claims) -> Result<String, String> {
        let (key, _) = self
            .secret
            .as_ref()
            .ok_or("only a secret can sign tokens, and BOBBIN_JWT_SECRET is not set")?;
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, key)
            .map_err(|cause| cause.to_string())
    }

    /// The claims of a token, if its signature, its times and its values hold.
    pub async fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Claims> {
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| refused("the credential is no signed token"))?;
        let key = match (header.alg, &self.secret, &self.jwks) {
            (Algorithm::HS256, Some((_, key)), _) => key.clone(),
            (Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA, _, Some(jwks)) => {
                jwks.find(header.kid.as_deref(), header.alg, now).await?
            }
            _ => return Err(refused("the token's algorithm is not accepted here")),
        };
        let mut validation = Validation::new(header.alg);
        // The times are checked with our own clock, and differently: expiry to the second,
        // beginnings with some tolerance.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation)
            .map_err(|cause| refused(&format!("the token was refused: {cause}")))?
            .claims;
        claims.check(now)?;
        Ok(claims)
    }
}

/// A JWK set and where it comes from.
struct Jwks {
    source: Source,
    client: reqwest::Client,
    state: Mutex<Fetched>,
}

struct Fetched {
    set: JwkSet,
    at: DateTime<Utc>,
}

enum Source {
    File(PathBuf),
    Url(String),
}

impl Source {
    fn parse(text: &str) -> Self {
        if text.starts_with("https://") || text.starts_with("http://") {
            Self::Url(text.to_owned())
        } else {
            Self::File(text.trim_start_matches("file://").into())
        }
    }
}

impl Jwks {
    async fn load(source: Source, now: DateTime<Utc>) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            .build()
            .map_err(|cause| cause.to_string())?;
        let set = fetch(&source, &client).await?;
        let state = Mutex::new(Fetched { set, at: now });
        Ok(Self {
            source,
            client,
            state,
        })
    }

    async fn find(
        &self,
        kid: Option<&str>,
        alg: Algorithm,
        now: DateTime<Utc>,
    ) -> Result<DecodingKey> {
        // One fetch at a time: whoever comes meanwhile waits for it and uses its result.
        let mut state = self.state.lock().await;
        let age = now - state.at;
        let found = pick(&state.set, kid, alg);
        if age > STALE || (found.is_none() && age > REFETCH) {
            match fetch(&self.source, &self.client).await {
                Ok(set) => *state = Fetched { set, at: now },
                Err(cause) => {
                    // The keys at hand stay good while their source is away.
                    tracing::warn!(cause, "the JWK set could not be read again");
                    state.at = now;
                }
            }
        }
        pick(&state.set, kid, alg)
            .and_then(|key| DecodingKey::from_jwk(key).ok())
            .ok_or_else(|| refused("the token is signed with an unknown key"))
    }
}

async fn fetch(source: &Source, client: &reqwest::Client) -> Result<JwkSet, String> {
    let bytes = match source {
        Source::File(path) => tokio::fs::read(path)
            .await
            .map_err(|cause| format!("{}: {cause}", path.display()))?,
        Source::Url(url) => {
            let response = client
                .get(url)
                .send()
                .await
                .and_then(reqwest::Response::error_for_status)
                .map_err(|cause| cause.to_string())?;
            if response
                .content_length()
                .is_some_and(|length| length > MAX_SET_BYTES)
            {
                return Err(format!("{url}: larger than {MAX_SET_BYTES} bytes"));
            }
            response
                .bytes()
                .await
                .map_err(|cause| cause.to_string())?
                .to_vec()
        }
    };
    serde_json::from_slice(&bytes).map_err(|cause| format!("the JWK set cannot be read: {cause}"))
}

/// The key with the token's key id; without one, the only key that fits the algorithm.
fn pick<'a>(set: &'a JwkSet, kid: Option<&str>, alg: Algorithm) -> Option<&'a Jwk> {
    let mut fitting = set.keys.iter().filter(|key| fits(key, alg));
    match kid {
        Some(kid) => fitting.find(|key| key.common.key_id.as_deref() == Some(kid)),
        None => fitting.next().filter(|_| fitting.next().is_none()),
    }
}

fn fits(key: &Jwk, alg: Algorithm) -> bool {
    let family = match key.algorithm {
        AlgorithmParameters::RSA(_) => alg == Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(_) => alg == Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(_) => alg == Algorithm::EdDSA,
        _ => false,
    };
    let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    let named = key
        .common
        .key_algorithm
        .is_none_or(|named| named.to_string() == format!("{alg:?}"));
    family && signs && named
}

fn refused(message: &str) -> Error {
    Error::Unauthenticated(message.to_owned())
}

/// RFC 7519's NumericDate; a value beyond what a date can be is the end of time.
fn numeric_date(seconds: f64) -> DateTime<Utc> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, which is what is meant"
    )]
    let micros = (seconds * 1e6) as i64;
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

mod role_claim {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::db::enums::Role;

    #[expect(clippy::ref_option, reason = "serde asks for this shape")]
    pub fn serialize<S: Serializer>(role: &Option<Role>, to: S) -> Result<S::Ok, S::Error> {
        match role {
            Some(role) => to.serialize_str(role.as_str()),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Role>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        Role::parse(&text.to_ascii_uppercase())
            .map(Some)
            .ok_or_else(|| serde::de::Error::custom("role must be ADMIN, AGENT, MEMBER or CONTACT"))
    }
}
