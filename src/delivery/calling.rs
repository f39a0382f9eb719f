//! One request to a URL, and what its answer means. Calls no address that the settings do not
//! allow, follows no redirect, reads no more of an answer than there is use for.

use std::error::Error as StdError;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, redirect, retry};
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::config::delivery::DeliverySettings;
use crate::error::{Error, Result};
use crate::ids::DeliveryId;
use crate::webhook::address::{Networks, SETTING};
use crate::webhook::secret::WebhookSecret;

/// How many bytes of an answer are read: what it says is looked at when it is no success, and a
/// connection whose answer was read can be used again.
const MOST_READ: usize = 64 * 1024;

/// How many characters of an answer are kept.
const MOST_KEPT: usize = 500;

/// How long the rest of an answer is waited for that is a success already.
const REST: Duration = Duration::from_secs(1);

/// Who calls.
const AGENT: &str = concat!("Bobbin/", env!("CARGO_PKG_VERSION"));

/// Calls URLs.
pub struct Caller {
    http: Client,
    networks: Arc<Networks>,
    limit: Duration,
}

/// What to send.
#[derive(Debug)]
pub struct Call<'a> {
    /// Where.
    pub url: &'a str,
    /// What signs it.
    pub secret: &'a WebhookSecret,
    /// Which delivery it is.
    pub id: DeliveryId,
    /// The time of the attempt.
    pub at: DateTime<Utc>,
    /// The body, JSON.
    pub body: String,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Taken {
        /// By an answer of this status.
        status: u16,
    },
    /// It was not.
    Failed {
        /// HTTP status of the answer, if there was one.
        status: Option<u16>,
        /// Why.
        reason: String,
        /// For how long the other side wants to be left alone.
        wait: Option<Duration>,
    },
    /// It was not tried, since there was too little time left for it; it is tried again at once.
    Late,
    /// The name in the URL leads nowhere that may be called, at this moment.
    Misled {
        /// Why.
        reason: String,
    },
    /// It was not even tried, and will not be.
    Refused {
        /// Why.
        reason: String,
    },
    /// There was nothing to send any more, and nobody misses it.
    Gone {
        /// Why.
        reason: String,
    },
}

impl Caller {
    /// With the server's settings.
    pub fn new(settings: &DeliverySettings) -> Result<Self> {
        let networks = Arc::new(settings.networks.clone());
        let http = Client::builder()
            .user_agent(AGENT)
            .timeout(settings.timeout())
            .dns_resolver(Guard(Arc::clone(&networks)))
            .redirect(redirect::Policy::none())
            // A proxy would resolve names by itself, and reach what it likes.
            .no_proxy()
            .retry(retry::never())
            .build()
            .map_err(Error::internal)?;
        Ok(Self {
            http,
            networks,
            limit: settings.timeout(),
        })
    }

    /// Sends it once.
    pub async fn call(&self, call: Call<'_>) -> Outcome {
        // Addresses that stand in a URL itself are connected to without being looked up.
        let url = match self.networks.url(call.url) {
            Ok(url) => url,
            Err(reason) => return Outcome::Refused { reason },
        };
        let (id, at) = (call.id.to_string(), call.at.timestamp());
        let signature = call.secret.sign(&id, at, call.body.as_bytes());
        let sent = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", signature)
            .body(call.body)
            .send()
            .await;
        match sent {
            Ok(answer) => judge(answer, call.at).await,
            Err(error) => self.unanswered(&error),
        }
    }

    /// Why there was no answer, without the URL, which may have a secret in it.
    fn unanswered(&self, error: &reqwest::Error) -> Outcome {
        let mut innermost: &(dyn StdError + 'static) = error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        if let Some(misled) = innermost.downcast_ref::<Misled>() {
            return Outcome::Misled {
                reason: misled.to_string(),
            };
        }
        let reason = if error.is_timeout() {
            format!("there was no answer within {:?}", self.limit)
        } else if error.is_connect() {
            shown(&format!("no connection: {innermost}"))
        } else {
            shown(&format!("no answer: {innermost}"))
        };
        Outcome::Failed {
            status: None,
            reason,
            wait: None,
        }
    }
}

async fn judge(mut answer: Response, at: DateTime<Utc>) -> Outcome {
    let status = answer.status();
    if status.is_success() {
        // What it says besides makes no difference.
        let _ = timeout(REST, read(&mut answer)).await;
        return Outcome::Taken {
            status: status.as_u16(),
        };
    }
    let wait = retry_after(answer.headers(), at);
    let reason = if status.is_redirection() {
        format!("the answer was {status}: redirects are not followed")
    } else {
        let said = read(&mut answer).await;
        let said = shown(String::from_utf8_lossy(&said).trim());
        match said.as_str() {
            "" => format!("the answer was {status}"),
            said => format!("the answer was {status}: {said}"),
        }
    };
    Outcome::Failed {
        status: Some(status.as_u16()),
        reason,
        wait,
    }
}

/// The beginning of an answer, as far as it came.
async fn read(answer: &mut Response) -> Vec<u8> {
    let mut said = Vec::new();
    while said.len() < MOST_READ
        && let Ok(Some(more)) = answer.chunk().await
    {
        said.extend_from_slice(&more);
    }
    said
}

/// For how long the other side wants to be left alone: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    (at.with_timezone(&Utc) - now).to_std().ok()
}

/// A text of somebody else's as it may be stored and shown.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MOST_KEPT).map(plain).collect()
}

/// Resolves names to those of their addresses that may be called.
struct Guard(Arc<Networks>);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = Arc::clone(&self.0);
        Box::pin(async move {
            let mut called: Vec<SocketAddr> = lookup_host((name.as_str(), 0)).await?.collect();
            let any = !called.is_empty();
            called.retain(|address| networks.refusal(address.ip()).is_none());
            if any && called.is_empty() {
                return Err(Misled(shown(name.as_str())).into());
            }
            Ok(Box::new(called.into_iter()) as Addrs)
        })
    }
}

/// All addresses of a name are refused. Which those are is nobody's business: whoever may set a URL
/// must not learn from it what the names of the server's own network stand for.
#[derive(Debug)]
struct Misled(String);

impl fmt::Display for Misled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.0;
        write!(
            f,
            "{name} leads to a private address, which this server does not call ({SETTING} allows it)"
        )
    }
}

impl StdError for Misled {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_side_says_when_to_come_again_in_seconds_or_by_a_date() {
        let now = "2026-01-31T12:00:00Z".parse().expect("a time");
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().expect("a header's value"));
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sat, 31 Jan 2026 12:01:00 GMT"), Some(60));
        assert_eq!(wait("Sat, 31 Jan 2026 11:00:00 GMT"), None);
        assert_eq!(wait("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn what_is_kept_of_an_answer_is_short_and_plain() {
        assert_eq!(shown("a\0b\nc"), "a b c");
        assert_eq!(shown(&"é".repeat(600)).chars().count(), 500);
    }
}
