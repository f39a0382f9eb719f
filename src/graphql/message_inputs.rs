//! What clients give to read and write messages.

use async_graphql::{ID, InputObject, MaybeUndefined};

use crate::actions::check;
use crate::actions::message::Destination;
use crate::actions::message_update::UpdateMessage;
use crate::actions::posting::{MessageValues, NewMessage};
use crate::actions::reaction::Given;
use crate::auth::Viewer;
use crate::db::access::find;
use crate::db::enums;
use crate::db::message_list::anywhere::MessageFilter;
use crate::db::pool::Conn;
use crate::error::{Faults, Result};
use crate::graphql::enums::{ContentType, MessageDirection, MessageType, NewMessageStatus};
use crate::graphql::scalars::{DateTime, Json, MessageContent, Metadata};
use crate::graphql::thread_inputs::{CreateThreadInput, DateTimeRange};
use crate::ids::Ref;

/// Which messages to list; all of it must hold.
#[derive(Default, InputObject)]
#[graphql(name = "MessageFilter")]
pub struct MessageFilterInput {
    /// Of this organization, by id or externalId.
    organization_id: Option<ID>,
    /// Of this thread, by id or externalId.
    thread_id: Option<ID>,
    /// By this sender, by id or externalId; an unknown one is NOT_FOUND.
    sender_id: Option<ID>,
    /// Of this type.
    #[graphql(name = "type")]
    message_type: Option<MessageType>,
    /// Private notes only, or none of them.
    private: Option<bool>,
    /// With files, or without. A deleted message shows none.
    has_attachments: Option<bool>,
    /// With every one of these pairs.
    metadata: Option<Metadata>,
    /// In threads with every one of these pairs.
    thread_metadata: Option<Metadata>,
    /// Sent within.
    sent_at: Option<DateTimeRange>,
    /// Deleted ones too: as tombstones; an API key reads what they said.
    include_deleted: Option<bool>,
}

/// The filter with everything that it names found; what the viewer does not see is NOT_FOUND.
pub async fn filter(
    conn: &mut Conn,
    viewer: &Viewer,
    input: MessageFilterInput,
) -> Result<MessageFilter> {
    let mut faults = Faults::default();
    check::metadata(
        &mut faults,
        "filter.metadata",
        input.metadata.as_ref().map(|metadata| &metadata.0),
    );
    check::metadata(
        &mut faults,
        "filter.threadMetadata",
        input.thread_metadata.as_ref().map(|metadata| &metadata.0),
    );
    faults.finish()?;
    let organization = match &input.organization_id {
        Some(id) => {
            let access = find::organization(conn, viewer, &Ref::parse(id)).await?;
            Some(access.organization().id)
        }
        None => None,
    };
    let thread = match &input.thread_id {
        Some(id) => {
            let access = find::thread(conn, viewer, &Ref::parse(id)).await;
            let access = access.map_err(|error| error.at("filter.threadId"))?;
            Some(access.thread().id)
        }
        None => None,
    };
    let sender = match &input.sender_id {
        Some(id) => Some(find::user(conn, viewer, &Ref::parse(id)).await?.id),
        None => None,
    };
    Ok(MessageFilter {
        organization,
        thread,
        sender,
        message_type: input.message_type.map(Into::into),
        private: input.private,
        has_attachments: input.has_attachments,
        metadata: input.metadata.map(|metadata| metadata.0),
        thread_metadata: input.thread_metadata.map(|metadata| metadata.0),
        sent_at: DateTimeRange::range(input.sent_at, "filter.sentAt")?,
        include_deleted: input.include_deleted.unwrap_or(false),
    })
}

/// A message to write. A TEXT needs body, bodyHtml, content or an attachment.
#[derive(InputObject)]
pub struct CreateMessageInput {
    /// The thread's id or externalId.
    thread_id: ID,
    /// The thread to open if threadId is an externalId that is not there yet: both or neither
    /// are made. It is checked in any case, and left aside if the thread is there.
    create_thread: Option<CreateThreadInput>,
    /// Your id for it: 1 to 320 characters, unique per organization. The same again with the
    /// same values answers the same message; with other values it is a CONFLICT.
    external_id: Option<String>,
    /// Who writes it, by id or externalId: a member of the organization. API key only; the
    /// viewer otherwise. With an API key and none, the message is the system's.
    sender_id: Option<ID>,
    /// The words: at most 150,000 characters.
    body: Option<String>,
    /// The words as HTML, which is sanitized: at most 150,000 characters.
    body_html: Option<String>,
    /// The words as structured content. Whom it mentions is notified once it is sent, unless it is a private note.
    content: Option<MessageContent>,
    /// What its content is.
    #[graphql(default_with = "Some(ContentType::Text)")]
    content_type: Option<ContentType>,
    /// What its content type needs; see `Message.contentAttributes`. `{}` of the others.
    content_attributes: Option<Json>,
    /// Whether to send it at once.
    #[graphql(default_with = "Some(NewMessageStatus::Sent)")]
    status: Option<NewMessageStatus>,
    /// What kind of entry it is. ACTION: API key only, else INVALID_MESSAGE_TYPE.
    #[graphql(name = "type", default_with = "Some(MessageType::User)")]
    message_type: Option<MessageType>,
    /// Which way it goes, in a thread with an inbox: by a contact INCOMING, by anyone else
    /// OUTGOING. Agents, admins and API keys make INCOMING messages in an API inbox, which are
    /// by the thread's contact then; elsewhere it is INVALID_MESSAGE_TYPE.
    direction: Option<MessageDirection>,
    /// Whether it is a note that only agents, admins and API keys ever learn of.
    #[graphql(default_with = "Some(false)")]
    private: Option<bool>,
    /// Where it belongs in your product: http or https.
    url: Option<String>,
    /// The icon of an ACTION message: http or https.
    icon_url: Option<String>,
    /// CSS classes for its display.
    extra_classnames: Option<String>,
    /// Your own facts.
    metadata: Option<Metadata>,
    /// The quoted message, of the same thread, by id or externalId.
    reply_to_id: Option<ID>,
    /// Its files, at most 15: the sender's own, which are on no other message (CONFLICT), else
    /// FORBIDDEN. All are uploaded already, but for a draft's.
    attachment_ids: Option<Vec<ID>>,
    /// Reactions that come with it: the viewer's own; with an API key those of an import.
    reactions: Option<Vec<ReactionInput>>,
    /// When it was sent, for an import. API key only.
    sent_at: Option<DateTime>,
    /// When it was deleted, for an import. API key only.
    deleted_at: Option<DateTime>,
    /// When its words last changed, for an import. API key only.
    updated_at: Option<DateTime>,
    /// Whether the sender is to be notified of what is new in the thread.
    #[graphql(default_with = "Some(true)")]
    subscribe_sender: Option<bool>,
}

/// A reaction.
#[derive(InputObject)]
pub struct ReactionInput {
    /// What it is: 1 to 127 characters.
    emoji: String,
    /// Whose, by id or externalId. API key only, and required with one.
    user_id: Option<ID>,
    /// Since when; again with a time replaces the time. API key only.
    timestamp: Option<DateTime>,
}

impl From<ReactionInput> for Given {
    fn from(input: ReactionInput) -> Self {
        Self {
            emoji: input.emoji,
            user: input.user_id.map(|id| Ref::parse(&id)),
            timestamp: input.timestamp.map(|at| at.0),
        }
    }
}

impl From<CreateMessageInput> for (Destination, NewMessage) {
    fn from(input: CreateMessageInput) -> Self {
        let destination = Destination {
            thread: Ref::parse(&input.thread_id),
            open: input.create_thread.map(Into::into),
        };
        let message = NewMessage {
            values: MessageValues {
                external_id: input.external_id,
                body: input.body,
                body_html: input.body_html,
                content: input.content.and_then(|content| given_json(content.0)),
                content_type: content_type(input.content_type),
                content_attributes: input.content_attributes.and_then(|json| given_json(json.0)),
                direction: input.direction.map(Into::into),
                draft: input.status == Some(NewMessageStatus::Draft),
                action: input.message_type == Some(MessageType::Action),
                private: input.private.unwrap_or(false),
                url: input.url,
                icon_url: input.icon_url,
                extra_classnames: input.extra_classnames,
                metadata: input.metadata.map(|metadata| metadata.0),
                attachments: names(input.attachment_ids),
                sent_at: input.sent_at.map(|at| at.0),
                updated_at: input.updated_at.map(|at| at.0),
                deleted_at: input.deleted_at.map(|at| at.0),
            },
            sender: input.sender_id.map(|id| Ref::parse(&id)),
            reply_to: input.reply_to_id.map(|id| Ref::parse(&id)),
            reactions: given(input.reactions),
            unsubscribed: input.subscribe_sender == Some(false),
        };
        (destination, message)
    }
}

/// What to change of a message. What is absent stays; null clears where that is possible.
#[derive(InputObject)]
pub struct UpdateMessageInput {
    /// The message's id or externalId.
    pub message_id: ID,
    /// Your id for it, or null.
    external_id: MaybeUndefined<String>,
    /// Who wrote it, by id or externalId: a member of the organization. API key only.
    sender_id: Option<ID>,
    /// The words. Of body, bodyHtml and content those that are given replace all three.
    body: MaybeUndefined<String>,
    /// The words as HTML, which is sanitized.
    body_html: MaybeUndefined<String>,
    /// The words as structured content.
    content: MaybeUndefined<MessageContent>,
    /// What its content is; what the former type needed goes with it.
    content_type: Option<ContentType>,
    /// What its content type needs.
    content_attributes: MaybeUndefined<Json>,
    /// Where it belongs in your product, or null.
    url: MaybeUndefined<String>,
    /// The icon of an ACTION message, or null.
    icon_url: MaybeUndefined<String>,
    /// CSS classes for its display, or null.
    extra_classnames: MaybeUndefined<String>,
    /// Your own facts; replaces all of them.
    metadata: Option<Metadata>,
    /// What kind of entry it is. API key only, else INVALID_MESSAGE_TYPE.
    #[graphql(name = "type")]
    message_type: Option<MessageType>,
    /// Whether it is a private note; only of a draft.
    private: Option<bool>,
    /// Reactions to add. Anyone who sees the message.
    add_reactions: Option<Vec<ReactionInput>>,
    /// Reactions to take away; the same one in both lists is BAD_USER_INPUT.
    remove_reactions: Option<Vec<ReactionInput>>,
    /// Files to add behind those that it has, at most 15 together: the sender's own, which are
    /// on no other message (CONFLICT), else FORBIDDEN. One that is there already is no change.
    add_attachment_ids: Option<Vec<ID>>,
    /// Files to take off, which stay their owner's to be put on another message; the same one in
    /// both lists is BAD_USER_INPUT, one that is not there is no change.
    remove_attachment_ids: Option<Vec<ID>>,
    /// Delete or restore: its sender, agents and admins, API keys.
    deleted: Option<bool>,
    /// When it was deleted; null restores. Wins over `deleted`. API key only.
    deleted_at: MaybeUndefined<DateTime>,
    /// When its words last changed. API key only.
    updated_at: Option<DateTime>,
}

impl From<UpdateMessageInput> for UpdateMessage {
    fn from(input: UpdateMessageInput) -> Self {
        Self {
            external_id: input.external_id.into(),
            body: input.body.into(),
            body_html: input.body_html.into(),
            sender: input.sender_id.map(|id| Ref::parse(&id)),
            content: Option::<Option<MessageContent>>::from(input.content)
                .map(|content| content.and_then(|content| given_json(content.0))),
            content_type: input.content_type.map(Into::into),
            content_attributes: Option::<Option<Json>>::from(input.content_attributes)
                .map(|json| json.and_then(|json| given_json(json.0))),
            message_type: input.message_type.map(Into::into),
            url: input.url.into(),
            icon_url: input.icon_url.into(),
            extra_classnames: input.extra_classnames.into(),
            metadata: input.metadata.map(|metadata| metadata.0),
            private: input.private,
            add_reactions: given(input.add_reactions),
            remove_reactions: given(input.remove_reactions),
            add_attachments: names(input.add_attachment_ids),
            remove_attachments: names(input.remove_attachment_ids),
            deleted: input.deleted,
            deleted_at: Option::<Option<DateTime>>::from(input.deleted_at)
                .map(|at| at.map(|at| at.0)),
            updated_at: input.updated_at.map(|at| at.0),
        }
    }
}

/// What its content is, unless it is plain words.
pub fn content_type(given: Option<ContentType>) -> Option<enums::ContentType> {
    let given = given.map(enums::ContentType::from);
    given.filter(|given| *given != enums::ContentType::Text)
}

/// A null within JSON is as if nothing was given.
pub fn given_json(value: serde_json::Value) -> Option<serde_json::Value> {
    Some(value).filter(|value| !value.is_null())
}

/// Ids as they were written.
pub fn names(ids: Option<Vec<ID>>) -> Vec<String> {
    let ids = ids.unwrap_or_default();
    ids.into_iter().map(|id| id.0).collect()
}

fn given(reactions: Option<Vec<ReactionInput>>) -> Vec<Given> {
    let reactions = reactions.unwrap_or_default();
    reactions.into_iter().map(Into::into).collect()
}
