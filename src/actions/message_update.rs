//! Changes of a message: its words, its facts, its reactions, its deletion, in one write.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;
use serde_json::Value;

use crate::actions::attaching::{self, FilesChange};
use crate::actions::change::Change;
use crate::actions::message::{bury, lock};
use crate::actions::posting::{check_attributes, check_words, is_silent};
use crate::actions::{check, direction, mention, named, participant, reaction};
use crate::app::App;
use crate::auth::Viewer;
use crate::content;
use crate::db::access::MessageAccess;
use crate::db::enums::{ContentType, Direction, MessageType};
use crate::db::message::{self, Message};
use crate::db::pool::Conn;
use crate::db::revision;
use crate::error::{Error, Faults, Result, broke_unique};
use crate::event::Fact;
use crate::ids::{MessageId, Ref, UserId};

/// What to change of a message. What is absent stays; an inner none clears.
#[derive(Debug, Clone, Default)]
pub struct UpdateMessage {
    /// The backend's id.
    pub external_id: Option<Option<String>>,
    /// Who wrote it, by a backend.
    pub sender: Option<Ref<UserId>>,
    /// The words. Any form of them that is given replaces all the others too.
    pub body: Option<Option<String>>,
    /// The words as HTML.
    pub body_html: Option<Option<String>>,
    /// The words as structured content.
    pub content: Option<Option<Value>>,
    /// What its content is.
    pub content_type: Option<ContentType>,
    /// What its content type needs.
    pub content_attributes: Option<Option<Value>>,
    /// What kind of entry it is, by a backend.
    pub message_type: Option<MessageType>,
    /// Where it belongs in the product.
    pub url: Option<Option<String>>,
    /// The icon of an ACTION.
    pub icon_url: Option<Option<String>>,
    /// CSS classes.
    pub extra_classnames: Option<Option<String>>,
    /// The backend's facts, all of them.
    pub metadata: Option<Value>,
    /// A note for agents, admins and API keys; only of a draft.
    pub private: Option<bool>,
    /// Reactions to add.
    pub add_reactions: Vec<reaction::Given>,
    /// Reactions to take away.
    pub remove_reactions: Vec<reaction::Given>,
    /// Files to add, by their ids.
    pub add_attachments: Vec<String>,
    /// Files to take off.
    pub remove_attachments: Vec<String>,
    /// Delete or restore.
    pub deleted: Option<bool>,
    /// When it was deleted, by a backend; wins over `deleted`; an inner none restores.
    pub deleted_at: Option<Option<DateTime<Utc>>>,
    /// When its words last changed, by a backend.
    pub updated_at: Option<DateTime<Utc>>,
}

impl UpdateMessage {
    fn changes_facts(&self) -> bool {
        self.external_id.is_some()
            || self.sender.is_some()
            || self.changes_words()
            || self.changes_kind()
            || self.message_type.is_some()
            || self.url.is_some()
            || self.icon_url.is_some()
            || self.extra_classnames.is_some()
            || self.metadata.is_some()
            || self.private.is_some()
            || self.changes_files()
            || self.updated_at.is_some()
    }

    fn changes_words(&self) -> bool {
        self.body.is_some() || self.body_html.is_some() || self.content.is_some()
    }

    fn changes_files(&self) -> bool {
        !self.add_attachments.is_empty() || !self.remove_attachments.is_empty()
    }

    fn changes_kind(&self) -> bool {
        self.content_type.is_some() || self.content_attributes.is_some()
    }

    fn restores(&self) -> bool {
        match self.deleted_at {
            Some(at) => at.is_none(),
            None => self.deleted == Some(false),
        }
    }

    fn changes_deletion(&self) -> bool {
        self.deleted.is_some() || self.deleted_at.is_some()
    }
}

/// Changes a message: all of it or nothing.
pub async fn update(
    app: &Arc<App>,
    viewer: &Viewer,
    name: &Ref<MessageId>,
    input: UpdateMessage,
) -> Result<MessageAccess> {
    let now = app.clock.now();
    let mut faults = check_input(viewer, &input)?;
    let mut conn = app.conn().await?;
    let (message, thread, told) = conn
        .transaction(async |conn| {
            let mut faults = std::mem::take(&mut faults);
            let (mut change, access) = match lock(conn, viewer, name, now).await {
                Err(error @ Error::NotFound(_)) => return Err(faults.or(error)),
                found => found?,
            };
            check_rights(&access, &input, &mut faults)?;
            let named = (&*input.add_attachments, &*input.remove_attachments);
            let files =
                FilesChange::find(conn, viewer, access.message(), named, &mut faults).await?;
            check_content(access.message(), &input, &files, &mut faults);
            check_named(conn, viewer, access.message(), &input, &mut faults).await?;
            faults.finish()?;
            let mut message = access.message().clone();
            let wrote = write(conn, viewer, &mut change, &mut message, &input).await?;
            let reacted = react(conn, viewer, &access, &input, now).await?;
            let filed = files.make(conn, &message, now).await?;
            if (wrote || reacted || filed) && !message.is_draft() {
                change.tell_message(&message, Fact::MessageUpdated);
            }
            set_deletion(conn, &mut change, &mut message, &input).await?;
            let (thread, told) = change.save(conn).await?;
            Ok::<_, Error>((message, thread, told))
        })
        .await?;
    app.bus.publish(told.events());
    thread.message(message)
}

/// The faults that show without the message. They are told with all others, but before that one
/// may not do this.
fn check_input(viewer: &Viewer, input: &UpdateMessage) -> Result<Faults> {
    let mut faults = Faults::default();
    let flat = |value: &Option<Option<String>>| value.clone().flatten();
    check::external_id(
        &mut faults,
        "externalId",
        flat(&input.external_id).as_deref(),
    );
    check::url(&mut faults, "url", flat(&input.url).as_deref());
    check::url(&mut faults, "iconUrl", flat(&input.icon_url).as_deref());
    let classnames = flat(&input.extra_classnames);
    check::short(&mut faults, "extraClassnames", classnames.as_deref());
    check::metadata(&mut faults, "metadata", input.metadata.as_ref());
    for (path, reactions) in [
        ("addReactions", &input.add_reactions),
        ("removeReactions", &input.remove_reactions),
    ] {
        check::few(&mut faults, path, reactions.len());
        for (index, given) in reactions.iter().enumerate() {
            check::emoji(&mut faults, &format!("{path}.{index}.emoji"), &given.emoji);
        }
    }
    for (index, given) in input.remove_reactions.iter().enumerate() {
        let added =
            |other: &reaction::Given| other.emoji == given.emoji && other.user == given.user;
        if input.add_reactions.iter().any(added) {
            let path = format!("removeReactions.{index}");
            faults.add(path, "the same reaction is in addReactions");
        }
    }
    for (path, names) in [
        ("addAttachmentIds", &input.add_attachments),
        ("removeAttachmentIds", &input.remove_attachments),
    ] {
        attaching::check_list(&mut faults, path, names);
    }
    for (index, name) in input.remove_attachments.iter().enumerate() {
        if input.add_attachments.contains(name) {
            let path = format!("removeAttachmentIds.{index}");
            faults.add(path, "the same file is in addAttachmentIds");
        }
    }
    if viewer.is_key() {
        return Ok(faults);
    }
    if input.message_type.is_some() {
        return Err(faults.or(Error::InvalidMessageType(
            "only an API key changes the type of a message".to_owned(),
        )));
    }
    if input.deleted_at.is_some() || input.updated_at.is_some() || input.sender.is_some() {
        return Err(faults.or(Error::Forbidden(
            "only an API key sets deletedAt, updatedAt and senderId".to_owned(),
        )));
    }
    Ok(faults)
}

/// The faults of whom the input names.
async fn check_named(
    conn: &mut Conn,
    viewer: &Viewer,
    message: &Message,
    input: &UpdateMessage,
    faults: &mut Faults,
) -> Result<()> {
    let organization = message.organization_id;
    let (content, before) = (
        input.content.iter().flatten().next(),
        message.content.as_ref(),
    );
    let mentioned = mention::check(conn, viewer, organization, content, before).await;
    faults.gather("", mentioned)?;
    if let Some(name) = &input.sender {
        let sender = [("senderId".to_owned(), name.clone())];
        let sender = participant::members_at(conn, viewer, organization, &sender).await;
        let sender = faults.gather("", sender)?.unwrap_or_default();
        if input.private.unwrap_or(message.private) {
            let staff = named::check_staff(conn, organization, &sender).await;
            faults.gather("", staff)?;
        }
    }
    let added = reaction::in_name_of(viewer, &input.add_reactions)?;
    reaction::reactors(conn, organization, &added, "addReactions", faults).await?;
    let removed = reaction::in_name_of(viewer, &input.remove_reactions)?;
    for (index, given) in removed.iter().enumerate() {
        if given.user.is_none() {
            let path = format!("removeReactions.{index}.userId");
            faults.add(path, "is required with an API key");
        }
    }
    Ok(())
}

/// The words that the message would have. Of its forms those that are given replace all of them;
/// where nothing but clearing is asked for, the others stay.
fn words(
    message: &Message,
    input: &UpdateMessage,
) -> (Option<String>, Option<String>, Option<Value>) {
    let (body, html) = (input.body.clone(), input.body_html.clone());
    let content = input.content.clone();
    let given = matches!(body, Some(Some(_)))
        || matches!(html, Some(Some(_)))
        || matches!(content, Some(Some(_)));
    if given {
        return (body.flatten(), html.flatten(), content.flatten());
    }
    (
        body.unwrap_or_else(|| Some(message.body.clone())),
        html.unwrap_or_else(|| message.body_html.clone()),
        content.unwrap_or_else(|| message.content.clone()),
    )
}

/// What the message would say, and what its content type would need, checked together.
fn check_content(
    message: &Message,
    input: &UpdateMessage,
    files: &FilesChange,
    faults: &mut Faults,
) {
    let content_type = input.content_type.unwrap_or(message.content_type);
    let needed = content_type == ContentType::Text && files.left() == 0;
    if input.changes_words() {
        let (body, html, content) = words(message, input);
        let text = (body.as_deref(), html.as_deref());
        check_words(faults, "", text, content.as_ref(), needed);
    } else if input.content_type == Some(ContentType::Text) {
        let text = (Some(message.body.as_str()), message.body_html.as_deref());
        check_words(faults, "", text, message.content.as_ref(), needed);
    } else if needed && files.removes() && !message.is_draft() && is_silent(message) {
        faults.add("removeAttachmentIds", "the message would say nothing");
    }
    if input.changes_kind() {
        let attributes = attributes(message, input);
        check_attributes(
            faults,
            "contentAttributes",
            content_type,
            attributes.as_ref(),
        );
    }
}

/// The attributes that the message would have: those of another content type do not stay.
fn attributes(message: &Message, input: &UpdateMessage) -> Option<Value> {
    let stays = input
        .content_type
        .is_none_or(|kind| kind == message.content_type);
    match &input.content_attributes {
        Some(given) => given.clone(),
        None => stays.then(|| message.content_attributes.clone()),
    }
}

fn check_rights(access: &MessageAccess, input: &UpdateMessage, faults: &mut Faults) -> Result<()> {
    let told = std::mem::take(faults);
    if input.changes_facts() && !access.may_edit() {
        return Err(told.or(Error::Forbidden(
            "only its sender changes a message".to_owned(),
        )));
    }
    if input.changes_deletion() && !access.may_delete() {
        return Err(told.or(Error::Forbidden(
            "only its sender, agents and admins delete and restore a message".to_owned(),
        )));
    }
    let message = access.message();
    let buried = message.deleted_at.is_some() && !input.restores();
    if input.changes_facts() && buried && !access.thread().by_key() {
        return Err(told.or(Error::Conflict("the message is deleted".to_owned())));
    }
    if input.private == Some(true) && message.is_draft() && !access.thread().is_staff() {
        return Err(told.or(Error::Forbidden(
            "only agents, admins and API keys write private notes".to_owned(),
        )));
    }
    *faults = told;
    if input.private == Some(true) && message.direction == Some(Direction::Incoming) {
        faults.add("private", "an INCOMING message is never a private note");
    }
    let icon = matches!(input.icon_url, Some(Some(_)));
    let message_type = input.message_type.unwrap_or(message.type_);
    if icon && message_type != MessageType::Action {
        faults.add("iconUrl", "is for ACTION messages only");
    }
    if message_type == MessageType::Action && (message.private || message.is_draft()) {
        faults.add("type", "a private note or a draft is never an ACTION");
    }
    if !message.is_draft()
        && input
            .private
            .is_some_and(|private| private != message.private)
    {
        faults.add("private", "cannot change once the message is sent");
    }
    Ok(())
}

/// Changes words and facts; whether anything is other than before.
async fn write(
    conn: &mut Conn,
    viewer: &Viewer,
    change: &mut Change,
    message: &mut Message,
    input: &UpdateMessage,
) -> Result<bool> {
    let before = message.clone();
    say(conn, viewer, change, message, input).await?;
    if let Some(sender) = &input.sender {
        let sender = [("senderId".to_owned(), sender.clone())];
        let organization = message.organization_id;
        let sender = participant::members_at(conn, viewer, organization, &sender).await?;
        message.sender_id = sender.first().copied();
    }
    message.type_ = input.message_type.unwrap_or(message.type_);
    if input.sender.is_some() || input.message_type.is_some() {
        let goes = change.thread.inbox_id.is_some() && message.type_ == MessageType::User;
        message.direction = if goes {
            Some(direction::by(conn, viewer, message.organization_id, message.sender_id).await?)
        } else {
            None
        };
    }
    if message.type_ == MessageType::User {
        message.icon_url = None;
    }
    if let Some(external_id) = &input.external_id {
        message.external_id.clone_from(external_id);
    }
    if let Some(url) = &input.url {
        message.url.clone_from(url);
    }
    if let Some(icon_url) = &input.icon_url {
        message.icon_url.clone_from(icon_url);
    }
    if let Some(classnames) = &input.extra_classnames {
        message.extra_classnames.clone_from(classnames);
    }
    if let Some(metadata) = &input.metadata {
        message.metadata.clone_from(metadata);
    }
    message.private = input.private.unwrap_or(message.private);
    message.updated_at = input.updated_at.or(message.updated_at);
    if *message == before {
        return Ok(false);
    }
    message::save(conn, message).await.map_err(|cause| {
        if broke_unique(&cause, "messages_organization_id_external_id_key") {
            Error::Conflict("externalId: is taken by another message".to_owned())
        } else {
            cause.into()
        }
    })?;
    if message.type_ != before.type_ {
        change.count_again(conn, &before, message).await?;
    }
    Ok(true)
}

/// Changes what the message says; what it said is kept, unless it is a draft.
async fn say(
    conn: &mut Conn,
    viewer: &Viewer,
    change: &mut Change,
    message: &mut Message,
    input: &UpdateMessage,
) -> Result<()> {
    let before = message.clone();
    if input.changes_words() {
        let (body, html, content) = words(message, input);
        message.set_words(content::words(body, html.as_deref(), content));
    }
    if input.changes_kind() {
        let attributes = attributes(message, input);
        message.content_type = input.content_type.unwrap_or(message.content_type);
        message.content_attributes = attributes.unwrap_or_else(|| serde_json::json!({}));
    }
    if *message == before || message.is_draft() {
        return Ok(());
    }
    message.updated_at = Some(change.now);
    if (message.content_type, &message.content_attributes)
        != (before.content_type, &before.content_attributes)
    {
        // They answered something else.
        message.submitted_values = None;
    }
    if before.words() != message.words() {
        revision::keep(conn, &before, viewer.user_id(), change.now).await?;
    }
    if !message.private && message.deleted_at.is_none() {
        mention::subscribe(conn, change, message.content.as_ref()).await?;
    }
    Ok(())
}

async fn react(
    conn: &mut Conn,
    viewer: &Viewer,
    access: &MessageAccess,
    input: &UpdateMessage,
    now: DateTime<Utc>,
) -> Result<bool> {
    let given = |list: &[reaction::Given]| reaction::in_name_of(viewer, list);
    let (add, remove) = (
        given(&input.add_reactions)?,
        given(&input.remove_reactions)?,
    );
    let message = access.message();
    let buried = message.deleted_at.is_some() && !input.restores();
    let closed = message.is_draft() || (buried && !viewer.is_key());
    if closed && !(add.is_empty() && remove.is_empty()) {
        return Err(Error::Conflict(
            "a draft or a deleted message takes no reactions".to_owned(),
        ));
    }
    reaction::check_disjoint(conn, &add, &remove).await?;
    let added = reaction::add_all(conn, access, &add, "addReactions", now).await?;
    let removed = reaction::remove_all(conn, access, &remove).await?;
    Ok(added || removed)
}

async fn set_deletion(
    conn: &mut Conn,
    change: &mut Change,
    message: &mut Message,
    input: &UpdateMessage,
) -> Result<()> {
    let wanted = match (input.deleted_at, input.deleted) {
        (Some(at), _) => at,
        (None, Some(true)) => message.deleted_at.or(Some(change.now)),
        (None, Some(false)) => None,
        (None, None) => return Ok(()),
    };
    bury(conn, change, message, wanted).await
}
