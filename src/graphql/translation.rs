//! Messages in other languages.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;
use async_graphql::{Context, Description, ID, InputObject, Object, SimpleObject};

use crate::actions;
use crate::content::language::Language;
use crate::content::translation::Source;
use crate::db::message as db;
use crate::db::translation;
use crate::error::{Error, Result};
use crate::graphql::context::Ask;
use crate::graphql::loaders::Batch;
use crate::graphql::message::Message;
use crate::graphql::scalars::{DateTime, MessageContent};
use crate::ids::{MessageId, Ref};

/// What a message says in another language, as a provider translated it.
#[derive(Description)]
pub struct Translation(translation::Translation);

#[Object(use_type_description)]
impl Translation {
    /// The language: a BCP 47 tag in its canonical form, such as `de` or `pt-BR`, without
    /// variants and extensions.
    async fn language(&self) -> &str {
        &self.0.language
    }

    /// The words alone.
    async fn body(&self) -> &str {
        &self.0.body
    }

    /// The words as HTML, sanitized; null when the message is raw text.
    async fn body_html(&self) -> Option<&str> {
        self.0.body_html.as_deref()
    }

    /// The message's structured content with its texts translated; code, mentions and addresses
    /// of links are as they were. Null when the message has no structure.
    async fn content(&self) -> Option<MessageContent> {
        self.0.content.clone().map(MessageContent)
    }

    /// The language that the provider found the message to be in, a BCP 47 tag; null: it did not
    /// say.
    async fn source_language(&self) -> Option<&str> {
        self.0.source_language.as_deref()
    }

    /// Who translated it.
    async fn provider(&self) -> &str {
        &self.0.provider
    }

    /// When it was translated.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

/// Asks for what a message says in a language, whichever of its texts was translated.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TranslationOf(MessageId, String);

impl Loader<TranslationOf> for Batch {
    type Value = translation::Translation;
    type Error = Error;

    async fn load(
        &self,
        keys: &[TranslationOf],
    ) -> Result<HashMap<TranslationOf, translation::Translation>> {
        let messages: Vec<MessageId> = keys.iter().map(|key| key.0).collect();
        let mut languages: Vec<&str> = keys.iter().map(|key| key.1.as_str()).collect();
        languages.sort_unstable();
        languages.dedup();
        let conn = &mut self.conn().await?;
        let found = translation::of_messages(conn, &messages, &languages).await?;
        let key =
            |row: &translation::Translation| TranslationOf(row.message_id, row.language.clone());
        Ok(found.into_iter().map(|row| (key(&row), row)).collect())
    }
}

/// What a message says in a language, if what it says now has been translated.
pub async fn cached(
    ctx: &Context<'_>,
    message: &db::Message,
    language: &str,
) -> Result<Option<Translation>> {
    let Some(language) = Language::parse(language) else {
        let message = "must be a BCP 47 tag, such as de or pt-BR";
        return Err(Error::field("language", message));
    };
    let key = TranslationOf(message.id, language.to_string());
    let Some(found) = ctx.batch()?.load_one(key).await? else {
        return Ok(None);
    };
    let same = found.source_hash == Source::of(message.words()).hash();
    Ok(same.then_some(Translation(found)))
}

/// What to translate.
#[derive(InputObject)]
struct TranslateMessageInput {
    /// The message's id or externalId.
    message_id: ID,
    /// The language to translate it into: a BCP 47 tag, such as `de` or `pt-BR`. Variants and
    /// extensions are left aside; a region that the provider does not know, too.
    language: String,
}

/// The outcome of `translateMessage`.
#[derive(SimpleObject)]
struct TranslateMessagePayload {
    /// The translation.
    translation: Translation,
    /// The message, which is not changed.
    message: Message,
}

/// Translating messages.
#[derive(Default)]
pub struct TranslationMutation;

#[Object]
impl TranslationMutation {
    /// Translates a message: anyone who sees it, a draft or a private note as well. A text is
    /// translated once into a language, whoever asks and how often; `Message.translation` has it
    /// then, until the message says something else. Its structure is translated if it has one,
    /// else its HTML, else its raw text; what has no words stays as it is. The text goes to the
    /// provider that the operator has chosen. No event tells of it.
    ///
    /// BAD_USER_INPUT if the language is no BCP 47 tag. TRANSLATION_FAILED if there is no provider,
    /// it does not know the language, refuses, takes too long (10 seconds, a setting) or is not
    /// there, with its reason; after five such failures on end it is left alone for 30 seconds.
    /// CONFLICT if the message is deleted, or changes meanwhile.
    async fn translate_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message, and the language to translate it into.")]
        input: TranslateMessageInput,
    ) -> Option<Result<TranslateMessagePayload>> {
        let name = Ref::parse(&input.message_id);
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let (translation, message) =
                actions::translation::translate(app, &viewer, &name, &input.language).await?;
            Ok(TranslateMessagePayload {
                translation: Translation(translation),
                message: Message::new(message),
            })
        };
        Some(done.await)
    }
}
