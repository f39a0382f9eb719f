//! Documents: parsed once and kept, found by their text, by its hash, or by a trusted name.
//!
//! Never decides what a document may ask for, beyond how long it is: that is `limits`.

use std::sync::Arc;

use apollo_parser::{Lexer, TokenKind};
use async_graphql::parser::types::ExecutableDocument;
use async_graphql::parser::{self, parse_query};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use serde_json::{Map, Value};

use crate::app::App;
use crate::http::operation::Params;
use crate::trusted::{Hash, hash};

/// A document, ready to be executed as often as it is asked for.
#[derive(Debug)]
pub struct Document {
    parsed: ExecutableDocument,
    normalized: Box<str>,
    tokens: usize,
}

/// Why there is no document.
#[derive(Debug)]
pub enum Absence {
    /// Nothing says which one.
    Unnamed,
    /// It has more tokens than this.
    TooLong(usize),
    /// It is no GraphQL.
    Syntax(parser::Error),
    /// Only its hash was given, and it is not known, or no longer. The client sends the text.
    Unknown,
    /// Only trusted documents are executed, and it is none.
    Untrusted,
    /// How it is named is not valid; why.
    Invalid(&'static str),
}

/// The documents that are known.
///
/// The key is the hash of the text itself, so nobody can put another document in its place; and
/// a flood of documents that are asked for once does not push out those that are asked for often.
pub struct Documents {
    kept: Cache<Hash, Arc<Document>, Weight>,
    app: Arc<App>,
}

impl Document {
    /// The document as the executor takes it.
    pub fn parsed(&self) -> &ExecutableDocument {
        &self.parsed
    }

    /// The tokens without what means nothing between them: two documents with the same normal
    /// form ask for the same.
    pub fn normalized(&self) -> &str {
        &self.normalized
    }

    /// How often a variable is named in it, its definition included; rather too often than not
    /// often enough.
    pub fn names_variable(&self, name: &str) -> usize {
        let named = self.normalized.match_indices('$').filter(|(at, _)| {
            let rest = &self.normalized[at + 1..];
            let more = |rest: &str| rest.starts_with(|c: char| c == '_' || c.is_alphanumeric());
            rest.strip_prefix(name).is_some_and(|rest| !more(rest))
        });
        named.count()
    }

    fn read(text: &str, max_tokens: usize) -> Result<Self, Absence> {
        let (normalized, tokens) = normal_form(text, max_tokens)?;
        let parsed = parse_query(text).map_err(Absence::Syntax)?;
        Ok(Self {
            parsed,
            normalized: normalized.into_boxed_str(),
            tokens,
        })
    }
}

impl Documents {
    /// None are known yet but the trusted ones.
    pub fn new(app: Arc<App>) -> Self {
        let capacity = u64::from(app.settings.document_cache_bytes);
        let options = OptionsBuilder::new()
            // A shard holds a share of the bytes, and must hold the longest document.
            .shards(4)
            .estimated_items_capacity(usize::try_from(capacity / TYPICAL).unwrap_or(usize::MAX))
            .weight_capacity(capacity)
            .build()
            .expect("every option that has no default is given");
        let kept = Cache::with_options(
            options,
            Weight,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        );
        Self { kept, app }
    }

    /// The document that is meant.
    pub fn find(&self, params: &Params) -> Result<Arc<Document>, Absence> {
        let text = params.query.as_deref().filter(|text| !text.is_empty());
        let named = self.named(params)?;
        let trusted = self.app.trusted.as_ref();
        match (text, named) {
            (None, None) => Err(Absence::Unnamed),
            (Some(text), named) => {
                let hash = hash(text);
                if named.is_some_and(|named| named != hash) {
                    return Err(Absence::Invalid("the hash is not the document's"));
                }
                if trusted.is_some_and(|trusted| trusted.by_hash(&hash).is_none()) {
                    return Err(Absence::Untrusted);
                }
                self.get_or_read(hash, text)
            }
            (None, Some(hash)) => match trusted {
                Some(trusted) => {
                    let text = trusted.by_hash(&hash).ok_or(Absence::Untrusted)?;
                    self.get_or_read(hash, text)
                }
                None => self.kept.get(&hash).ok_or(Absence::Unknown),
            },
        }
    }

    /// The hash by which the document is named, if it is.
    fn named(&self, params: &Params) -> Result<Option<Hash>, Absence> {
        let extension = params.extensions.as_ref();
        let persisted = match extension.and_then(|all| all.get("persistedQuery")) {
            None | Some(Value::Null) => None,
            Some(Value::Object(persisted)) => Some(of_extension(persisted)?),
            Some(_) => return Err(Absence::Invalid("persistedQuery must be an object")),
        };
        let id = match params.document_id.as_deref() {
            None => None,
            Some(id) => Some(self.of_id(id)?),
        };
        match (persisted, id) {
            (Some(one), Some(other)) if one != other => Err(Absence::Invalid(
                "documentId and persistedQuery name two documents",
            )),
            (one, other) => Ok(one.or(other)),
        }
    }

    fn of_id(&self, id: &str) -> Result<Hash, Absence> {
        let trusted = self.app.trusted.as_ref();
        if let Some(hash) = trusted.and_then(|trusted| trusted.by_id(id)) {
            return Ok(hash);
        }
        match (id.strip_prefix("sha256:"), trusted) {
            (Some(hex), _) => parse_hash(hex),
            (None, Some(_)) => Err(Absence::Untrusted),
            (None, None) => Err(Absence::Unknown),
        }
    }

    fn get_or_read(&self, hash: Hash, text: &str) -> Result<Arc<Document>, Absence> {
        if let Some(document) = self.kept.get(&hash) {
            return Ok(document);
        }
        let most = self.app.settings.max_tokens;
        let document = Document::read(text, usize::try_from(most).unwrap_or(usize::MAX))?;
        self.app.metrics.parsed();
        let document = Arc::new(document);
        self.kept.insert(hash, Arc::clone(&document));
        Ok(document)
    }
}

/// Most bytes of memory that a token takes once it is parsed; a field with its alias, arguments
/// and selections takes several.
const BYTES_PER_TOKEN: u64 = 256;

/// What a document takes that an application's client sends.
const TYPICAL: u64 = 30_000;

/// How much memory a document takes, about.
#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Hash, Arc<Document>> for Weight {
    fn weight(&self, _: &Hash, document: &Arc<Document>) -> u64 {
        // Never nothing, so the bytes bound the number as well.
        let tokens = u64::try_from(document.tokens).unwrap_or(u64::MAX);
        let text = u64::try_from(document.normalized.len()).unwrap_or(u64::MAX);
        1_000 + 2 * text + BYTES_PER_TOKEN * tokens
    }
}

/// The hash that Apollo's extension of automatic persisted queries gives.
fn of_extension(persisted: &Map<String, Value>) -> Result<Hash, Absence> {
    if persisted.get("version") != Some(&Value::from(1)) {
        return Err(Absence::Invalid("persistedQuery must be of version 1"));
    }
    match persisted.get("sha256Hash") {
        Some(Value::String(hex)) => parse_hash(hex),
        _ => Err(Absence::Invalid("persistedQuery needs a sha256Hash")),
    }
}

fn parse_hash(hex: &str) -> Result<Hash, Absence> {
    let mut hash = Hash::default();
    let is_hex = hex.len() == 2 * hash.len() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex {
        return Err(Absence::Invalid("a SHA-256 hash has 64 hexadecimal digits"));
    }
    for (byte, at) in hash.iter_mut().zip((0..hex.len()).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).expect("these are hexadecimal digits");
    }
    Ok(hash)
}

/// A document without what means nothing, and how many tokens it has.
///
/// What the lexer cannot read is left to the parser to refuse, which knows where it stands; such
/// pieces count as tokens, so that reading ends at the limit whatever the text is.
fn normal_form(text: &str, most: usize) -> Result<(String, usize), Absence> {
    let mut normalized = String::with_capacity(text.len());
    let mut before = TokenKind::Eof;
    let mut count = 0;
    let mut readable = true;
    for piece in Lexer::new(text) {
        let kind = match &piece {
            Ok(token) => token.kind(),
            Err(_) => TokenKind::Eof,
        };
        match (&piece, kind) {
            (Ok(_), TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma) => continue,
            (Ok(_), TokenKind::Eof) => break,
            (Err(_), _) => readable = false,
            (Ok(token), kind) => {
                if would_join(before, kind) {
                    normalized.push(' ');
                }
                normalized.push_str(token.data());
                before = kind;
            }
        }
        count += 1;
        if count > most {
            return Err(Absence::TooLong(most));
        }
    }
    if !readable {
        // If the parser takes it all the same, the text is its own normal form.
        text.clone_into(&mut normalized);
    }
    Ok((normalized, count))
}

/// Whether two tokens, one right after the other, could be read as something else.
fn would_join(before: TokenKind, after: TokenKind) -> bool {
    use TokenKind::{Float, Int, Name, Spread, StringValue};
    let is_value = |kind| matches!(kind, Name | Int | Float | StringValue);
    is_value(before) && (is_value(after) || after == Spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        normal_form(text, 1_000).expect("short enough").0
    }

    #[test]
    fn what_means_nothing_is_not_in_the_normal_form() {
        let spread = "query A($id: ID!, $n: Int = 5) {\n  # a comment\n  thread(id: $id,) { id, ...f }\n}\n\nfragment f on Thread { a: subject }";
        let dense =
            "query A($id:ID!$n:Int=5){thread(id:$id){id ...f}}fragment f on Thread{a:subject}";
        assert_eq!(normal(spread), dense);
        assert_eq!(normal(dense), dense);
        assert_ne!(normal("{ a b }"), normal("{ ab }"));
    }

    #[test]
    fn what_stands_in_a_string_is_left_as_it_is() {
        for (text, expected) in [
            (r#"{ a(b: "x,  # y") }"#, r#"{a(b:"x,  # y")}"#),
            (r#"{ a(b: ["", "x"]) }"#, r#"{a(b:["" "x"])}"#),
            (
                "{ a(b: \"\"\"\n  x  \n\"\"\") }",
                "{a(b:\"\"\"\n  x  \n\"\"\")}",
            ),
            ("{ a(b: [1, -2, 3.5, c]) }", "{a(b:[1 -2 3.5 c])}"),
        ] {
            assert_eq!(normal(text), expected);
            let of = |text| {
                let document = parse_query(text).expect("it parses");
                let mut operations = document.operations.iter();
                let (_, operation) = operations.next().expect("an operation");
                let set = &operation.node.selection_set.node;
                let async_graphql::parser::types::Selection::Field(field) = &set.items[0].node
                else {
                    panic!("a field");
                };
                field.node.arguments[0].1.node.clone()
            };
            assert_eq!(of(text), of(&normal(text)));
        }
    }

    #[test]
    fn tokens_are_counted_and_what_lies_between_them_is_not() {
        assert!(matches!(normal_form("{ a, b # c\n }", 4), Ok((_, 4))));
        assert!(matches!(
            normal_form("{ a b c }", 4),
            Err(Absence::TooLong(4))
        ));
        // What is no token counts all the same.
        assert!(matches!(
            normal_form(&"?".repeat(50), 40),
            Err(Absence::TooLong(40))
        ));
    }

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        let hex = "ab".repeat(32);
        assert!(matches!(parse_hash(&hex), Ok(hash) if hash == [0xab; 32]));
        for bad in [
            "",
            "ab",
            &"zz".repeat(32),
            &"é".repeat(32),
            &"ab".repeat(33),
        ] {
            assert!(matches!(parse_hash(bad), Err(Absence::Invalid(_))), "{bad}");
        }
    }
}
