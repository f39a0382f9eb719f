//! What the provider answers: translations, languages, or why there are none.

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::config::Secret;
use crate::content::language::Language;

/// Most bytes of an answer that says what is wrong.
pub const MAX_ERROR: usize = 64 * 1024;

/// Most characters of the provider's reason that anybody is told.
const MAX_REASON: usize = 300;

/// Most languages that a provider may know.
const MAX_CODES: usize = 1_000;

/// Most characters of a code for a language.
const MAX_CODE: usize = 35;

/// Texts in another language.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// The texts, in the order in which they were asked for.
    pub texts: Vec<String>,
    /// The language that they were in, as BCP 47 names it; none: the provider does not say.
    pub source_language: Option<String>,
}

/// Why there is no answer, in words that go on after "the translation provider: ".
#[derive(Debug, Clone)]
pub enum Failure {
    /// The provider is not there, or says nothing that makes sense.
    Broken(String),
    /// The provider does not want to do this.
    Refused(String),
    /// The provider is left alone for a while.
    Resting(String),
}

#[derive(Deserialize)]
struct Reply {
    #[serde(rename = "translatedText")]
    translated: Option<OneOrMany<String>>,
    #[serde(rename = "detectedLanguage", default)]
    detected: Value,
    #[serde(default)]
    error: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[derive(Deserialize)]
struct Detected {
    language: String,
    confidence: Option<f64>,
}

#[derive(Deserialize)]
struct Offered {
    code: String,
    #[serde(default)]
    targets: Vec<String>,
}

impl Answer {
    /// Reads the answer to a question for these texts.
    pub fn read(text: &str, asked: &[String]) -> Result<Self, Failure> {
        let broken = |reason: &str| Failure::Broken(reason.to_owned());
        let reply: Reply = serde_json::from_str(text)
            .map_err(|_| broken("its answer is not as the protocol says"))?;
        if let Some(reason) = reply.error.as_str() {
            return Err(Failure::Broken(shown(reason)));
        }
        let Some(texts) = reply.translated.map(OneOrMany::into_vec) else {
            return Err(broken("its answer holds no translation"));
        };
        if texts.len() != asked.len() {
            return Err(broken("its answer has another number of texts"));
        }
        Ok(Self {
            texts,
            source_language: spoken(reply.detected, asked),
        })
    }
}

impl Failure {
    /// What an answer that is no success says.
    pub fn of_status(status: StatusCode, text: &str, retry_after: Option<u64>) -> Self {
        let said: Option<Value> = serde_json::from_str(text).ok();
        let said = said.as_ref().and_then(|said| said.get("error")?.as_str());
        let code = status.as_u16();
        let mut reason = match said.map(shown).filter(|said| !said.is_empty()) {
            Some(said) => format!("{said} ({code})"),
            None => format!("it answered {code}"),
        };
        if let Some(seconds) = retry_after {
            reason.push_str(&format!(", retry after {seconds} s"));
        }
        if status.is_client_error() {
            Self::Refused(reason)
        } else {
            Self::Broken(reason)
        }
    }

    /// The same without the key, should the provider have repeated it.
    pub fn without(self, key: Option<&Secret>) -> Self {
        let Some(key) = key else { return self };
        let hidden = |reason: String| reason.replace(key.reveal(), "[key]");
        match self {
            Self::Broken(reason) => Self::Broken(hidden(reason)),
            Self::Refused(reason) => Self::Refused(hidden(reason)),
            Self::Resting(reason) => Self::Resting(reason),
        }
    }

    /// The reason.
    pub fn reason(&self) -> &str {
        match self {
            Self::Broken(reason) | Self::Refused(reason) | Self::Resting(reason) => reason,
        }
    }
}

/// The codes of the languages that can be translated into; none: the answer does not tell.
pub fn codes(text: &str) -> Option<Vec<String>> {
    let offered: Vec<Offered> = serde_json::from_str(text).ok()?;
    let all = offered
        .into_iter()
        .flat_map(|one| [vec![one.code], one.targets].concat());
    let mut codes: Vec<String> = Vec::new();
    for code in all.filter(|code| code.len() <= MAX_CODE) {
        if codes.len() < MAX_CODES && !codes.contains(&code) {
            codes.push(code);
        }
    }
    Some(codes).filter(|codes| !codes.is_empty())
}

/// How many seconds the provider wants to be left alone.
pub fn retry_after(response: &Response) -> Option<u64> {
    let value = response.headers().get(RETRY_AFTER)?;
    value.to_str().ok()?.trim().parse().ok()
}

/// The language of most of what was asked, if the provider is sure of any.
fn spoken(detected: Value, asked: &[String]) -> Option<String> {
    let detected: OneOrMany<Detected> = serde_json::from_value(detected).ok()?;
    let mut lengths: Vec<(String, usize)> = Vec::new();
    for (found, text) in detected.into_vec().into_iter().zip(asked) {
        if found.confidence.is_some_and(|confidence| confidence <= 0.0) {
            continue;
        }
        let Some(language) = Language::of_code(&found.language) else {
            continue;
        };
        let language = language.to_string();
        match lengths.iter_mut().find(|(known, _)| *known == language) {
            Some((_, length)) => *length += text.len(),
            None => lengths.push((language, text.len())),
        }
    }
    let most = lengths.into_iter().max_by_key(|(_, length)| *length);
    most.map(|(language, _)| language)
}

/// A reason as one line that is not too long.
fn shown(reason: &str) -> String {
    let line: Vec<&str> = reason
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = line.join(" ");
    match line.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}\u{2026}", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn one_text_or_several_are_read() {
        let one = r#"{"translatedText": "Hallo", "detectedLanguage": {"confidence": 90, "language": "zt"}}"#;
        let read = Answer::read(one, &texts(&["Hello"])).expect("an answer");
        assert_eq!(read.texts, ["Hallo"]);
        assert_eq!(read.source_language.as_deref(), Some("zh-Hant"));
        let many = r#"{"translatedText": ["a", "b", "c"], "detectedLanguage": [
            {"confidence": 0.0, "language": "en"}, {"confidence": 50, "language": "fr"}, {"language": "it"}]}"#;
        let read = Answer::read(many, &texts(&["long enough", "bonjour", "b"]));
        let read = read.expect("an answer");
        assert_eq!(read.source_language.as_deref(), Some("fr"));
    }

    #[test]
    fn a_language_that_is_none_is_left_out() {
        for detected in ["7", "null", "[]", r#"{"language": "klingonese"}"#, "[1]"] {
            let text = format!(r#"{{"translatedText": "a", "detectedLanguage": {detected}}}"#);
            let read = Answer::read(&text, &texts(&["b"])).expect("an answer");
            assert_eq!(read.source_language, None, "{detected}");
        }
    }

    #[test]
    fn what_is_not_as_the_protocol_says_is_broken() {
        for text in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"translatedText": 7}"#,
            r#"{"translatedText": ["a", "b"]}"#,
            r#"{"error": "no", "translatedText": "a"}"#,
        ] {
            let read = Answer::read(text, &texts(&["b"]));
            assert!(matches!(read, Err(Failure::Broken(_))), "{text}");
        }
    }

    #[test]
    fn a_reason_is_one_short_line_without_the_key() {
        let key: Secret = "swordfish".parse().expect("not empty");
        let said = format!(r#"{{"error": "no\n\tswordfish {}"}}"#, "x".repeat(1000));
        let failure = Failure::of_status(StatusCode::FORBIDDEN, &said, None);
        assert!(matches!(failure, Failure::Refused(_)));
        let failure = failure.without(Some(&key));
        assert!(failure.reason().starts_with("no [key] xxx"));
        assert!(failure.reason().ends_with("\u{2026} (403)"));
        assert!(failure.reason().chars().count() < 320);
        let busy = Failure::of_status(StatusCode::TOO_MANY_REQUESTS, "{}", Some(7));
        assert_eq!(busy.reason(), "it answered 429, retry after 7 s");
        let down = Failure::of_status(StatusCode::BAD_GATEWAY, "<html>", None);
        assert!(matches!(down, Failure::Broken(_)));
    }

    #[test]
    fn languages_are_those_that_can_be_translated_into() {
        let text =
            r#"[{"code": "en", "name": "English", "targets": ["de", "en"]}, {"code": "fr"}]"#;
        assert_eq!(codes(text), Some(texts(&["en", "de", "fr"])));
        for none in ["", "[]", "{}", "[1]"] {
            assert_eq!(codes(none), None, "{none}");
        }
    }
}
