//! How a message comes into a thread: what it is made of, its checks, its row, what happens
//! around it. Within a change that somebody else opens and saves.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::actions::change::Change;
use crate::actions::named::{self, Named};
use crate::actions::{
    attaching, check, delivery, direction, mention, participant, reaction, thread, thread_update,
};
use crate::auth::Viewer;
use crate::content::{self, attributes, structure};
use crate::db::enums::{ContentType, Direction, MessageStatus, MessageType};
use crate::db::message::{self, Message, NewMessage as Row};
use crate::db::participant as participants;
use crate::db::pool::Conn;
use crate::error::{Error, Faults, Result, broke_unique};
use crate::event::Fact;
use crate::ids::{MessageId, Ref, UserId};

/// A message as somebody wants it.
#[derive(Debug, Clone, Default)]
pub struct NewMessage {
    /// What it is made of.
    pub values: MessageValues,
    /// Who writes it, by a backend.
    pub sender: Option<Ref<UserId>>,
    /// The quoted message.
    pub reply_to: Option<Ref<MessageId>>,
    /// Reactions that come with an import.
    pub reactions: Vec<reaction::Given>,
    /// Whether not to notify the sender of answers.
    pub unsubscribed: bool,
}

/// What a message is made of: with an externalId, the same values again are the same message.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MessageValues {
    /// The backend's id.
    pub external_id: Option<String>,
    /// The words.
    pub body: Option<String>,
    /// The words as HTML, not yet sanitized.
    pub body_html: Option<String>,
    /// The words as structured content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Value>,
    /// What its content is; none: words.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text_of")]
    pub content_type: Option<ContentType>,
    /// What its content type needs.
    #[serde(skip_serializing_if = "nothing")]
    pub content_attributes: Option<Value>,
    /// Which way it goes, if that is not plain from who writes.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "way_of")]
    pub direction: Option<Direction>,
    /// Not to be sent yet.
    pub draft: bool,
    /// Something happened, rather than somebody wrote.
    pub action: bool,
    /// A note for agents, admins and API keys.
    pub private: bool,
    /// Where it belongs in the product.
    pub url: Option<String>,
    /// The icon of an ACTION.
    pub icon_url: Option<String>,
    /// CSS classes.
    pub extra_classnames: Option<String>,
    /// The backend's facts.
    #[serde(serialize_with = "facts")]
    pub metadata: Option<Value>,
    /// The ids of its files, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<String>,
    /// When it was sent, for an import.
    pub sent_at: Option<DateTime<Utc>>,
    /// When its words last changed, for an import.
    pub updated_at: Option<DateTime<Utc>>,
    /// When it was deleted, for an import.
    pub deleted_at: Option<DateTime<Utc>>,
}

impl MessageValues {
    /// Whether it was sent, or deleted, elsewhere and before.
    fn is_import(&self) -> bool {
        self.sent_at.is_some() || self.deleted_at.is_some()
    }
}

/// Makes a message within a change, or finds the one that the same call made before. `faults`:
/// what is wrong with the input already, to be told with what it names wrongly.
pub async fn post(
    conn: &mut Conn,
    viewer: &Viewer,
    change: &mut Change,
    input: &NewMessage,
    mut faults: Faults,
) -> Result<Message> {
    let organization = change.thread.organization_id;
    let place = (organization, Some(&*change));
    let Named {
        sender,
        reply_to,
        files,
        missing,
    } = named::find(conn, viewer, place, input, (&mut faults, "")).await?;
    let way = direction::of(conn, viewer, change, &input.values, sender).await;
    let way = faults.gather("", way)?;
    if !faults.is_empty() {
        faults.gather("", missing.clone().finish())?;
    }
    faults.finish()?;
    let (sender, direction) = way.expect("found, if nothing is at fault");
    if input.values.private && !change.access().is_staff() {
        return Err(Error::Forbidden(
            "only agents, admins and API keys write private notes".to_owned(),
        ));
    }
    let named = input.values.external_id.is_some();
    let input_hash = named.then(|| hash(change, input, sender, reply_to));
    if let Some(external_id) = &input.values.external_id
        && let Some(known) = message::by_external_id(conn, organization, external_id).await?
    {
        let same = known.input_hash == input_hash && change.access().sees(&known);
        return if same { Ok(known) } else { Err(taken()) };
    }
    missing.finish()?;
    attaching::check_own(viewer, sender, &files)?;
    if !input.values.draft {
        let sending = Sending {
            sender,
            subscribe: !input.unsubscribed,
            private: input.values.private,
            content: input.values.content.as_ref(),
            imported: (input.values.sent_at, input.values.deleted_at),
        };
        before_sending(conn, change, &sending).await?;
    }
    let mut row = Row {
        sender_id: sender,
        direction,
        input_hash,
        reply_to_id: reply_to,
        ..row(change, input)
    };
    // What is imported was delivered by whoever exports it.
    let sends = !input.values.draft && !input.values.is_import();
    let inbox = match sends.then_some((row.type_, row.direction, row.private)) {
        Some(kind) => delivery::inbox_for(conn, &change.thread, kind).await?,
        None => None,
    };
    if inbox.is_some() {
        row.status = MessageStatus::Sending;
    }
    let message = insert(conn, &row).await?;
    let files = attaching::attach(conn, &message, Vec::new(), &files).await?;
    if message.is_draft() {
        return Ok(message);
    }
    attaching::check_uploaded(&files)?;
    if let Some(inbox) = &inbox {
        delivery::enqueue(conn, change, inbox, &message).await?;
    }
    change.count_sent(&message);
    if input.reactions.is_empty() {
        change.tell_sent(&message, files);
    } else {
        let access = change.access().message(message.clone())?;
        let given = reaction::in_name_of(viewer, &input.reactions)?;
        reaction::add_all(conn, &access, &given, "reactions", change.now).await?;
        change.tell_message(&message, Fact::MessageCreated);
    }
    Ok(message)
}

/// What the same call again has in common with the one before.
fn hash(
    change: &Change,
    input: &NewMessage,
    sender: Option<UserId>,
    reply_to: Option<MessageId>,
) -> Vec<u8> {
    let reactions = format!("{:?}", input.reactions);
    let made_of = (
        &input.values,
        sender,
        reply_to,
        reactions,
        input.unsubscribed,
    );
    thread::hash(&(change.thread.id, made_of))
}

/// Stores a message; a conflict if its externalId has been taken meanwhile.
async fn insert(conn: &mut Conn, row: &Row) -> Result<Message> {
    let inserted = message::insert(conn, row).await;
    inserted.map_err(|cause| {
        if broke_unique(&cause, "messages_organization_id_external_id_key") {
            taken()
        } else {
            cause.into()
        }
    })
}

/// Leaves an ACTION message in somebody's name. `at`: when it happened, if that was before.
pub async fn write_action(
    conn: &mut Conn,
    change: &mut Change,
    by: Option<UserId>,
    text: String,
    metadata: Value,
    at: Option<DateTime<Utc>>,
) -> Result<()> {
    let words = content::words(Some(text), None, None);
    let sent_at = match at {
        Some(at) if at < change.now => at,
        _ => change.sending_time(),
    };
    let row = Row {
        sender_id: by,
        type_: MessageType::Action,
        metadata,
        ..Row::draft(&change.thread, words, change.now).sent(change.next_seq(), sent_at)
    };
    let message = message::insert(conn, &row).await?;
    change.count_sent(&message);
    change.tell_sent(&message, Vec::new());
    Ok(())
}

/// The faults of a message that somebody wants to make; `prefix` is where it is in the input.
pub fn check_input(faults: &mut Faults, prefix: &str, viewer: &Viewer, input: &NewMessage) {
    let at = |name: &str| format!("{prefix}{name}");
    let values = &input.values;
    check::external_id(faults, &at("externalId"), values.external_id.as_deref());
    let content_type = values.content_type.unwrap_or(ContentType::Text);
    check_words(
        faults,
        prefix,
        (values.body.as_deref(), values.body_html.as_deref()),
        values.content.as_ref(),
        content_type == ContentType::Text && values.attachments.is_empty(),
    );
    attaching::check_list(faults, &at("attachmentIds"), &values.attachments);
    check_attributes(
        faults,
        &at("contentAttributes"),
        content_type,
        values.content_attributes.as_ref(),
    );
    check::url(faults, &at("url"), values.url.as_deref());
    if values.action {
        check::url(faults, &at("iconUrl"), values.icon_url.as_deref());
    }
    check::short(
        faults,
        &at("extraClassnames"),
        values.extra_classnames.as_deref(),
    );
    check::metadata(faults, &at("metadata"), values.metadata.as_ref());
    check::few(faults, &at("reactions"), input.reactions.len());
    for (index, given) in input.reactions.iter().enumerate() {
        check::emoji(
            faults,
            &at(&format!("reactions.{index}.emoji")),
            &given.emoji,
        );
    }
    if values.icon_url.is_some() && !values.action {
        faults.add(at("iconUrl"), "is for ACTION messages only");
    }
    if values.action && values.private {
        faults.add(at("private"), "an ACTION message is never private");
    }
    if values.direction.is_some() && values.action {
        faults.add(at("direction"), "an ACTION message has none");
    }
    if values.direction == Some(Direction::Incoming) && values.private {
        faults.add(at("direction"), "a private note is never INCOMING");
    }
    if values.draft && values.action {
        faults.add(at("status"), "an ACTION message is never a draft");
    }
    if values.draft {
        for (name, given) in [
            ("sentAt", values.sent_at.is_some()),
            ("deletedAt", values.deleted_at.is_some()),
            ("reactions", !input.reactions.is_empty()),
        ] {
            if given {
                faults.add(at(name), "is not for drafts");
            }
        }
        if viewer.is_key() && input.sender.is_none() {
            faults.add(
                at("senderId"),
                "is required for a draft made with an API key",
            );
        }
    }
}

/// The faults of a message's words. Those of a TEXT without files are needed.
pub fn check_words(
    faults: &mut Faults,
    prefix: &str,
    (body, html): (Option<&str>, Option<&str>),
    content: Option<&Value>,
    needed: bool,
) {
    let (body_at, html_at) = (format!("{prefix}body"), format!("{prefix}bodyHtml"));
    if needed && are_silent((body, html), content) {
        let message = "body, bodyHtml, content or an attachment is required";
        faults.add(&body_at, message);
        faults.add(&html_at, message);
    }
    check::text(faults, &body_at, body, check::MAX_BODY);
    check::text(faults, &html_at, html, check::MAX_BODY);
    if let Some(content) = content {
        structure::check(faults, &format!("{prefix}content"), content);
    }
}

/// Whether a message needs files for there to be anything to see of it.
pub fn is_silent(message: &Message) -> bool {
    let (body, html, content) = message.words();
    message.content_type == ContentType::Text && are_silent((Some(body), html), content)
}

/// Whether there is nothing to see in a message's words, in whichever form.
fn are_silent((body, html): (Option<&str>, Option<&str>), content: Option<&Value>) -> bool {
    // What is too long is refused unread.
    let short = |html: &str| html.len() <= 4 * check::MAX_BODY;
    let silent = |html: &str| short(html) && !content::says_something(html);
    body.is_none_or(content::is_blank) && html.is_none_or(silent) && content.is_none()
}

/// The faults of what a content type needs.
pub fn check_attributes(
    faults: &mut Faults,
    path: &str,
    content_type: ContentType,
    given: Option<&Value>,
) {
    let none = empty_object();
    attributes::check(faults, path, content_type, given.unwrap_or(&none));
}

/// A message that is about to be sent.
pub struct Sending<'a> {
    /// Who wrote it.
    pub sender: Option<UserId>,
    /// Whether to notify the sender of answers.
    pub subscribe: bool,
    /// Whether it is a private note.
    pub private: bool,
    /// Its structured content, which may mention people.
    pub content: Option<&'a Value>,
    /// When it was sent, and deleted, for an import.
    pub imported: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
}

/// What happens just before a message is sent: the thread is reopened, its sender takes part, and
/// so does whom it mentions.
pub async fn before_sending(
    conn: &mut Conn,
    change: &mut Change,
    sending: &Sending<'_>,
) -> Result<()> {
    // A private note must move nothing that others see, so it does none of it; nor does what
    // nobody can read any more.
    let (sent_at, deleted_at) = sending.imported;
    if sending.private || deleted_at.is_some() {
        return Ok(());
    }
    thread_update::reopen(conn, change, sending.sender, sent_at).await?;
    if let Some(sender) = sending.sender {
        let listens = participants::listens(conn, change.thread.id, sender).await?;
        if listens.is_none() || (sending.subscribe && listens == Some(false)) {
            let now = change.now;
            participant::join(conn, change, &[(sender, sending.subscribe)], now).await?;
        }
    }
    mention::subscribe(conn, change, sending.content).await
}

/// The row of a message but for who wrote it and what it quotes.
fn row(change: &mut Change, input: &NewMessage) -> Row {
    let values = input.values.clone();
    let words = content::words(values.body, values.body_html.as_deref(), values.content);
    let draft = Row::draft(&change.thread, words, change.now);
    let row = if values.draft {
        draft
    } else {
        let at = match values.sent_at {
            Some(at) => at,
            None => change.sending_time(),
        };
        draft.sent(change.next_seq(), at)
    };
    Row {
        external_id: values.external_id,
        type_: if values.action {
            MessageType::Action
        } else {
            MessageType::User
        },
        content_type: values.content_type.unwrap_or(ContentType::Text),
        content_attributes: values.content_attributes.unwrap_or_else(empty_object),
        private: values.private,
        url: values.url,
        icon_url: values.icon_url,
        extra_classnames: values.extra_classnames,
        metadata: values.metadata.unwrap_or_else(empty_object),
        updated_at: values.updated_at,
        deleted_at: values.deleted_at,
        created_at: values.sent_at.unwrap_or(change.now).min(change.now),
        ..row
    }
}

fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}

fn nothing(attributes: &Option<Value>) -> bool {
    attributes
        .as_ref()
        .is_none_or(|given| *given == empty_object())
}

/// No facts are the same as none given.
pub fn facts<S: Serializer>(metadata: &Option<Value>, to: S) -> Result<S::Ok, S::Error> {
    let given = metadata.as_ref().filter(|given| **given != empty_object());
    given.serialize(to)
}

fn text_of<S: Serializer>(kind: &Option<ContentType>, to: S) -> Result<S::Ok, S::Error> {
    kind.map(ContentType::as_str).serialize(to)
}

fn way_of<S: Serializer>(way: &Option<Direction>, to: S) -> Result<S::Ok, S::Error> {
    way.map(Direction::as_str).serialize(to)
}

fn taken() -> Error {
    Error::Conflict("externalId: is taken by another message".to_owned())
}
