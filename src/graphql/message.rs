//! Messages.

use async_graphql::{Context, Description, ID, Object};

use crate::content::structure;
use crate::db::access::MessageAccess;
use crate::db::message as db;
use crate::db::page::List;
use crate::db::reaction::Reaction as Row;
use crate::error::{Error, Result};
use crate::graphql::attachment::Attachment;
use crate::graphql::context::Ask;
use crate::graphql::enums::{ContentType, MessageDirection, MessageStatus, MessageType};
use crate::graphql::loaders::{
    AttachmentsOf, ReactionsTo, ReaderCountOf, ReadersOf, ReceiversOf, RevisionsOf,
};
use crate::graphql::organization::{self, Organization};
use crate::graphql::reaction::{Reaction, ReactionGroup};
use crate::graphql::revision::MessageRevision;
use crate::graphql::scalars::{DateTime, Json, MessageContent, Metadata};
use crate::graphql::thread::Thread;
use crate::graphql::translation::{self, Translation};
use crate::graphql::user::{self, User};
use crate::ids::{Ref, UserId};

/// A message, a draft, a private note, or the tombstone of one that was deleted: its text is
/// empty then, and it has no files and no reactions.
#[derive(Description, Clone)]
pub struct Message {
    access: MessageAccess,
    /// Whether a tombstone shows what it said.
    revealed: bool,
}

impl Message {
    /// Of one that the viewer sees.
    pub fn new(access: MessageAccess) -> Self {
        Self {
            access,
            revealed: false,
        }
    }

    /// The same; `revealed`: a tombstone shows what it said.
    pub fn shown(access: MessageAccess, revealed: bool) -> Self {
        Self { access, revealed }
    }

    fn row(&self) -> &db::Message {
        self.access.message()
    }

    async fn load_reactions(&self, ctx: &Context<'_>) -> Result<Option<Vec<Row>>> {
        let (batch, id) = (ctx.batch()?, self.row().id);
        match batch.loader().known(|kinds| &kinds.reactions, id) {
            Some(known) => Ok(known),
            None => batch.load_one(ReactionsTo(id)).await,
        }
    }

    /// Whether it only marks the place of what was deleted.
    fn is_tombstone(&self) -> bool {
        self.row().deleted_at.is_some() && !self.revealed
    }
}

#[Object(use_type_description)]
impl Message {
    /// The id, `msg_...`.
    pub async fn id(&self) -> ID {
        self.row().id.to_string().into()
    }

    /// The id that a backend gave it; unique per organization.
    async fn external_id(&self) -> Option<&str> {
        self.row().external_id.as_deref()
    }

    /// The thread that it is in.
    async fn thread(&self) -> Thread {
        Thread::new(self.access.thread().clone())
    }

    /// The organization that it belongs to.
    async fn organization(&self, ctx: &Context<'_>) -> Result<Organization> {
        organization::load(ctx, self.row().organization_id)
            .await?
            .ok_or(Error::NotFound("organization"))
    }

    /// Who wrote it; null: the system.
    async fn sender(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        match self.row().sender_id {
            Some(id) => user::load(ctx, id).await,
            None => Ok(None),
        }
    }

    /// What kind of entry it is.
    #[graphql(name = "type")]
    async fn message_type(&self) -> MessageType {
        self.row().type_.into()
    }

    /// What its content is.
    async fn content_type(&self) -> ContentType {
        self.row().content_type.into()
    }

    /// The words as they were written; empty when only HTML or structure was given.
    async fn body(&self) -> &str {
        if self.is_tombstone() {
            ""
        } else {
            &self.row().body
        }
    }

    /// The words as HTML, sanitized; made from the structured content when only that was given.
    async fn body_html(&self) -> Option<&str> {
        let html = self.row().body_html.as_deref();
        html.filter(|_| !self.is_tombstone())
    }

    /// The words alone, out of whichever form was given.
    async fn plaintext(&self) -> &str {
        if self.is_tombstone() {
            ""
        } else {
            &self.row().plaintext
        }
    }

    /// The structured content, as it was given; null when none was.
    async fn content(&self) -> Option<MessageContent> {
        let content = self.row().content.clone();
        content.filter(|_| !self.is_tombstone()).map(MessageContent)
    }

    /// What its content type needs. IMAGE: `{src, width, height}`, in pixels. INPUT_SELECT:
    /// `{items: [{title, value}]}`. CARDS: `{items: [{title, description, media_url, actions:
    /// [{type: "link", text, uri} or {type: "postback", text, payload}]}]}`, 1 to 10 actions
    /// each. FORM: `{items: [{name, label, type: "text", "text_area", "email" or "select",
    /// placeholder, options: [{label, value}], default, required, pattern, title,
    /// pattern_error}]}`. ARTICLE: `{items: [{title, description, link}]}`. The others: `{}`.
    /// Links and sources are http or https, lists have 1 to 100 items.
    async fn content_attributes(&self) -> Json {
        if self.is_tombstone() {
            return Json(serde_json::json!({}));
        }
        Json(self.row().content_attributes.clone())
    }

    /// What a participant answered to a form, a select or an input; null: nothing yet.
    async fn submitted_values(&self) -> Option<Json> {
        let values = self.row().submitted_values.clone();
        values.filter(|_| !self.is_tombstone()).map(Json)
    }

    /// Which way it goes; null in a thread without an inbox.
    async fn direction(&self) -> Option<MessageDirection> {
        let inbox = self.access.thread().thread().inbox_id;
        let direction = self.row().direction.filter(|_| inbox.is_some());
        direction.map(Into::into)
    }

    /// Why it is FAILED, in the words of the server or of whoever reported it; for agents, admins
    /// and API keys, null for others: it may tell of the backend's insides.
    async fn delivery_error(&self) -> Option<&str> {
        let why = self.row().delivery_error.as_deref();
        why.filter(|_| self.access.thread().is_staff())
    }

    /// Whether it is a note that only agents, admins and API keys ever learn of.
    async fn private(&self) -> bool {
        self.row().private
    }

    /// How far it has come.
    async fn status(&self) -> MessageStatus {
        self.row().status.into()
    }

    /// Where it belongs in your product: its own, else its thread's, else empty.
    async fn url(&self) -> &str {
        let own = self.row().url.as_deref();
        own.or(self.access.thread().thread().url.as_deref())
            .unwrap_or_default()
    }

    /// The icon of an ACTION message.
    async fn icon_url(&self) -> Option<&str> {
        self.row().icon_url.as_deref()
    }

    /// CSS classes for its display.
    async fn extra_classnames(&self) -> Option<&str> {
        self.row().extra_classnames.as_deref()
    }

    /// Your own facts.
    async fn metadata(&self) -> Metadata {
        Metadata(self.row().metadata.clone())
    }

    /// When it was begun.
    async fn created_at(&self) -> DateTime {
        DateTime(self.row().created_at)
    }

    /// When it was sent; null: a draft.
    async fn sent_at(&self) -> Option<DateTime> {
        self.row().sent_at.map(DateTime)
    }

    /// When its words last changed; null: never.
    async fn updated_at(&self) -> Option<DateTime> {
        self.row().updated_at.map(DateTime)
    }

    /// When it was deleted; null: it was not.
    async fn deleted_at(&self) -> Option<DateTime> {
        self.row().deleted_at.map(DateTime)
    }

    /// Its files in their order, at most 15. None of a deleted message, unless an API key asks
    /// for what it said; their files have no address then.
    async fn attachments(&self, ctx: &Context<'_>) -> Result<Vec<Attachment>> {
        if self.is_tombstone() {
            return Ok(Vec::new());
        }
        let (batch, id) = (ctx.batch()?, self.row().id);
        let found = match batch.loader().known(|kinds| &kinds.attachments, id) {
            Some(known) => known,
            None => batch.load_one(AttachmentsOf(id)).await?,
        };
        let found = found.unwrap_or_default().into_iter();
        found
            .map(|row| self.access.attachment(row).map(Attachment::of))
            .collect()
    }

    /// The reactions to it, the oldest first.
    async fn reactions(&self, ctx: &Context<'_>) -> Result<Vec<Reaction>> {
        if self.is_tombstone() {
            return Ok(Vec::new());
        }
        let found = self.load_reactions(ctx).await?;
        Ok(found
            .unwrap_or_default()
            .into_iter()
            .map(Reaction::new)
            .collect())
    }

    /// The reactions to it by emoji, in the order in which each came up first.
    async fn reaction_groups(&self, ctx: &Context<'_>) -> Result<Vec<ReactionGroup>> {
        if self.is_tombstone() {
            return Ok(Vec::new());
        }
        let found = self.load_reactions(ctx).await?;
        Ok(ReactionGroup::group(found.unwrap_or_default()))
    }

    /// Who has seen it, its sender among them; at most 101. Nobody, if it is a draft.
    async fn seen_by(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        if self.row().is_draft() {
            return Ok(Vec::new());
        }
        let readers = ctx.batch()?.load_one(ReadersOf(self.row().id)).await?;
        let ids = self.row().sender_id.into_iter();
        let ids: Vec<_> = ids.chain(readers.unwrap_or_default()).collect();
        user::load_all(ctx, &ids).await
    }

    /// How many have seen it, its sender counted.
    async fn seen_by_count(&self, ctx: &Context<'_>) -> Result<i32> {
        if self.row().is_draft() {
            return Ok(0);
        }
        let readers = ctx.batch()?.load_one(ReaderCountOf(self.row().id)).await?;
        Ok(readers.unwrap_or(0) + i32::from(self.row().sender_id.is_some()))
    }

    /// To whose devices it has come, those who have seen it among them and its sender not; at
    /// most 100. Nobody, if it is a draft.
    async fn delivered_to(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let receivers = ctx.batch()?.load_one(ReceiversOf(self.row().id)).await?;
        user::load_all(ctx, &receivers.unwrap_or_default()).await
    }

    /// Whom its structured content mentions or assigns, in its order, each once.
    async fn mentions(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let content = self.row().content.as_ref().filter(|_| !self.is_tombstone());
        let found = content.map(|content| structure::mentions("content", content));
        let names: Vec<Ref<UserId>> = found
            .unwrap_or_default()
            .into_iter()
            .map(|mention| Ref::parse(&mention.id))
            .collect();
        let known = ctx.batch()?.load_many(names.iter().cloned()).await?;
        let mut mentioned = Vec::new();
        for id in names.iter().filter_map(|name| known.get(name)) {
            if !mentioned.contains(id) {
                mentioned.push(*id);
            }
        }
        user::load_all(ctx, &mentioned).await
    }

    /// What it said before it was edited, the oldest first: the newest 100 of these, and of long
    /// ones as many as are 1 MB together. None of a deleted message, unless an API key asks for
    /// what it said.
    async fn revisions(&self, ctx: &Context<'_>) -> Result<Vec<MessageRevision>> {
        if self.is_tombstone() {
            return Ok(Vec::new());
        }
        let found = ctx.batch()?.load_one(RevisionsOf(self.row().id)).await?;
        let found = found.unwrap_or_default().into_iter();
        Ok(found.map(MessageRevision::new).collect())
    }

    /// What it says in another language, if `translateMessage` has been asked for that since it
    /// last changed; else null. Nothing is translated here. BAD_USER_INPUT if the language is no
    /// BCP 47 tag.
    async fn translation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A BCP 47 tag, such as `de` or `pt-BR`.")] language: String,
    ) -> Result<Option<Translation>> {
        if self.is_tombstone() {
            return Ok(None);
        }
        translation::cached(ctx, self.row(), &language).await
    }

    /// The quoted message, of the same thread; null also when the viewer may not see it.
    async fn reply_to(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let Some(id) = self.row().reply_to_id.filter(|_| !self.is_tombstone()) else {
            return Ok(None);
        };
        let quoted = ctx.batch()?.load_one(id).await?;
        let thread = self.access.thread();
        Ok(quoted
            .and_then(|quoted| thread.message(quoted).ok())
            .map(Message::new))
    }

    /// Whether the viewer may change its words: its sender, API keys.
    async fn can_edit(&self, ctx: &Context<'_>) -> Result<bool> {
        ctx.viewer()?;
        Ok(self.access.may_edit() && self.row().deleted_at.is_none())
    }

    /// Whether the viewer may delete it: its sender, agents and admins, API keys.
    async fn can_delete(&self, ctx: &Context<'_>) -> Result<bool> {
        ctx.viewer()?;
        Ok(self.access.may_delete() && self.row().deleted_at.is_none())
    }

    /// Its place in `thread.messages`.
    async fn cursor(&self) -> String {
        self.row().place().encode(List::Messages)
    }
}
