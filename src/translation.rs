//! The provider that translates: an HTTP service that speaks the LibreTranslate protocol.
//!
//! Never knows what a message is, who asks, or what has been translated before.

pub mod answer;

pub mod circuit;

pub mod flights;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::Serialize;

use crate::config::Secret;
use crate::config::translate::Translate;
use crate::content::language::Language;
use crate::translation::answer::{Answer, Failure, MAX_ERROR};
use crate::translation::circuit::{Circuit, Permit};
use crate::translation::flights::Flights;

/// What the provider is called where a translation says who made it.
pub const NAME: &str = "LibreTranslate";

/// How long it is believed which languages the provider knows.
const LANGUAGES_LIFE: Duration = Duration::from_secs(600);

/// How soon it is asked again for one that it did not know: somebody may have installed it.
const LANGUAGES_REST: Duration = Duration::from_secs(60);

/// An answer that is as large as this is always read.
const MIN_ANSWER: usize = 1 << 20;

/// A longer one may have so many times the bytes of what was asked: words grow, and JSON may write
/// each character as several.
const ANSWER_FACTOR: usize = 16;

/// The provider as this server knows it.
pub struct Translator {
    client: Client,
    url: Url,
    key: Option<Secret>,
    timeout: Duration,
    circuit: Circuit,
    languages: Mutex<Option<Languages>>,
    asked: Flights<(), Result<Languages, Failure>>,
}

/// Which languages the provider knew at some time.
#[derive(Clone)]
struct Languages {
    /// None: it does not say.
    codes: Option<Arc<[String]>>,
    at: Instant,
}

/// What is to be translated.
pub struct Asked<'a> {
    /// The texts.
    pub texts: &'a [String],
    /// Whether they are sent as a list, whatever their number.
    pub listed: bool,
    /// Whether they are HTML.
    pub html: bool,
    /// The language to translate into, as the provider calls it.
    pub target: &'a str,
}

/// The request of the protocol.
#[derive(Serialize)]
struct Request<'a> {
    q: Texts<'a>,
    source: &'static str,
    target: &'a str,
    format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Texts<'a> {
    One(&'a str),
    Several(&'a [String]),
}

impl Translator {
    /// The provider that the settings name, if they name one; why it cannot be asked, as one line.
    pub fn open(settings: &Translate) -> Result<Option<Self>, String> {
        let Some(url) = &settings.translate_url else {
            return Ok(None);
        };
        let url = address(url.reveal()).ok_or(
            "BOBBIN_TRANSLATE_URL must be an http or https address, such as http://127.0.0.1:5000",
        )?;
        let timeout = Duration::from_secs(settings.translate_timeout.into());
        let client = Client::builder()
            .timeout(timeout)
            .redirect(Policy::none())
            .build()
            .map_err(|cause| format!("no translation provider can be asked: {cause}"))?;
        Ok(Some(Self {
            client,
            url,
            key: settings.translate_key.clone(),
            timeout,
            circuit: Circuit::new(Duration::from_millis(settings.translate_rest.into())),
            languages: Mutex::default(),
            asked: Flights::default(),
        }))
    }

    /// The longest that one question takes.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What the provider calls a language.
    pub async fn code(self: &Arc<Self>, language: &Language) -> Result<String, Failure> {
        let mut known = self.languages(LANGUAGES_LIFE).await?;
        if known.among(language).is_none() {
            known = self.languages(LANGUAGES_REST).await?;
        }
        known
            .among(language)
            .ok_or_else(|| Failure::Refused(format!("it does not translate into {language}")))
    }

    /// Has texts translated: one question, whatever their number.
    pub async fn translate(&self, asked: &Asked<'_>) -> Result<Answer, Failure> {
        let permit = self.permit()?;
        let request = Request {
            q: match asked.texts {
                [text] if !asked.listed => Texts::One(text),
                texts => Texts::Several(texts),
            },
            source: "auto",
            target: asked.target,
            format: if asked.html { "html" } else { "text" },
            api_key: self.key.as_ref().map(Secret::reveal),
        };
        let bytes = asked.texts.iter().map(String::len).sum::<usize>();
        let most = MIN_ANSWER.max(ANSWER_FACTOR * bytes);
        let question = self.client.post(self.path("translate")).json(&request);
        let answered = self.ask(question, most).await;
        let answered = answered.and_then(|text| Answer::read(&text, asked.texts));
        match &answered {
            Err(Failure::Broken(_)) => permit.failed(),
            // Who refuses is there.
            _ => permit.worked(),
        }
        answered.map_err(|failure| failure.without(self.key.as_ref()))
    }

    /// The languages that the provider knows, as of so long ago at most.
    async fn languages(self: &Arc<Self>, life: Duration) -> Result<Languages, Failure> {
        let known = self.known();
        if let Some(known) = known.clone().filter(|known| known.at.elapsed() < life) {
            return Ok(known);
        }
        let this = Arc::clone(self);
        let fetch = async move { this.fetch_languages().await }.boxed();
        match (self.asked.join((), || fetch).await, known) {
            // What it knew it will know again; whether it is there, the question itself tells.
            (Err(_), Some(known)) => Ok(known),
            (fetched, _) => fetched,
        }
    }

    async fn fetch_languages(&self) -> Result<Languages, Failure> {
        let permit = self.permit()?;
        let answered = self.ask(self.client.get(self.path("languages")), MIN_ANSWER);
        let codes = match answered.await {
            Ok(text) => answer::codes(&text),
            Err(Failure::Broken(reason)) => {
                permit.failed();
                return Err(Failure::Broken(reason));
            }
            Err(_) => None,
        };
        let languages = Languages {
            codes: codes.map(Into::into),
            at: Instant::now(),
        };
        let mut known = self.languages.lock().expect("no holder of it panics");
        *known = Some(languages.clone());
        Ok(languages)
    }

    fn known(&self) -> Option<Languages> {
        let known = self.languages.lock().expect("no holder of it panics");
        known.clone()
    }

    fn permit(&self) -> Result<Permit<'_>, Failure> {
        self.circuit.permit().map_err(|rest| {
            let seconds = rest.as_millis().div_ceil(1000).max(1);
            Failure::Resting(format!(
                "it has failed several times on end, and is asked again in {seconds} s"
            ))
        })
    }

    /// Asks, and takes the answer as a text of so many bytes at most.
    async fn ask(&self, question: RequestBuilder, most: usize) -> Result<String, Failure> {
        let broken = |cause: reqwest::Error| {
            // The address is the operator's business, and may tell of what is inside his network.
            let cause = cause.without_url();
            tracing::warn!(?cause, "the translation provider did not answer");
            Failure::Broken(if cause.is_timeout() {
                format!("it did not answer within {} s", self.timeout.as_secs())
            } else if cause.is_connect() {
                "it cannot be reached".to_owned()
            } else {
                "its answer broke off".to_owned()
            })
        };
        let response = question.send().await.map_err(broken)?;
        let (status, retry_after) = (response.status(), answer::retry_after(&response));
        let most = if status.is_success() { most } else { MAX_ERROR };
        let text = match read(response, most).await {
            Ok(text) => text,
            Err(cause) if status.is_success() => {
                return Err(cause.map_or_else(
                    || Failure::Broken("its answer is too large".to_owned()),
                    broken,
                ));
            }
            // The status alone says enough.
            Err(_) => String::new(),
        };
        if status.is_success() {
            return Ok(text);
        }
        let failure = Failure::of_status(status, &text, retry_after);
        Err(failure.without(self.key.as_ref()))
    }

    /// An address below that of the provider, which may itself be below others.
    fn path(&self, name: &str) -> Url {
        let mut url = self.url.clone();
        let path = format!("{}/{name}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }
}

impl Languages {
    /// What to call a language, if it is known.
    fn among(&self, language: &Language) -> Option<String> {
        match &self.codes {
            Some(codes) => language.among(codes).map(str::to_owned),
            None => Some(language.code().to_owned()),
        }
    }
}

/// The address of a service, which may have other services above it.
fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    (web && url.query().is_none() && url.fragment().is_none()).then_some(url)
}

/// The body of an answer; no error: it is larger than that, or no text.
async fn read(mut response: Response, most: usize) -> Result<String, Option<reqwest::Error>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > most {
            return Err(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_and_nothing_else() {
        for good in [
            "http://localhost:5000",
            "https://me:secret@t.example.com/api/",
        ] {
            assert!(address(good).is_some(), "{good}");
        }
        for bad in [
            "t.example.com",
            "localhost:5000",
            "ftp://example.com",
            "http://",
            "https://example.com/?api_key=x",
        ] {
            assert!(address(bad).is_none(), "{bad}");
        }
    }
}
