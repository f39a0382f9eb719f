//! Messages, drafts, private notes and tombstones: rows and how they change.
//!
//! Lists of them are in `message_list`.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::db::enums::{ContentType, Direction, MessageStatus, MessageType};
use crate::db::page::Key;
use crate::db::pool::Conn;
use crate::db::prepared::Prepare;
use crate::db::schema::messages;
use crate::db::search_language::SearchLanguage;
use crate::db::thread::Thread;
use crate::error::Result;
use crate::ids::{MessageId, OrganizationId, ThreadId, UserId};

/// Drafts stand behind every sent message: as if they were sent this long after they were begun.
const DRAFTS_BEHIND: TimeDelta = TimeDelta::days(365 * 5000);

/// A message.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = messages, check_for_backend(diesel::pg::Pg))]
pub struct Message {
    /// Our id.
    pub id: MessageId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The thread.
    pub thread_id: ThreadId,
    /// Number of the event that sent it; none: a draft.
    pub seq: Option<i64>,
    /// Its place in the thread: when it was sent.
    pub place_at: DateTime<Utc>,
    /// Its place among messages of that time.
    pub place_seq: i64,
    /// A backend's id; unique per organization.
    pub external_id: Option<String>,
    /// Hash of the values it was created with, if it has an externalId.
    pub input_hash: Option<Vec<u8>>,
    /// Who wrote it; nobody: the system.
    pub sender_id: Option<UserId>,
    /// What kind of entry it is.
    pub type_: MessageType,
    /// What its content is.
    pub content_type: ContentType,
    /// The words as they were written.
    pub body: String,
    /// The words as sanitized HTML.
    pub body_html: Option<String>,
    /// The words alone.
    pub plaintext: String,
    /// A note for agents, admins and API keys.
    pub private: bool,
    /// How far it has come.
    pub status: MessageStatus,
    /// Where it belongs in the product.
    pub url: Option<String>,
    /// The icon of an ACTION.
    pub icon_url: Option<String>,
    /// CSS classes for its display.
    pub extra_classnames: Option<String>,
    /// A backend's own facts.
    pub metadata: Value,
    /// The quoted message.
    pub reply_to_id: Option<MessageId>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it was sent.
    pub sent_at: Option<DateTime<Utc>>,
    /// When its words last changed.
    pub updated_at: Option<DateTime<Utc>>,
    /// Set: a tombstone.
    pub deleted_at: Option<DateTime<Utc>>,
    /// The structured content, as it was given.
    pub content: Option<Value>,
    /// What its content type needs.
    pub content_attributes: Value,
    /// What a reader answered.
    pub submitted_values: Option<Value>,
    /// By the contact or to the contact; none: the thread has no inbox.
    pub direction: Option<Direction>,
    /// Why it is FAILED.
    pub delivery_error: Option<String>,
}

impl Message {
    /// Its place in its thread.
    pub fn place(&self) -> Key<i64> {
        Key {
            at: self.place_at,
            tie: self.place_seq,
        }
    }

    /// What it says, in every form that is given.
    pub fn words(&self) -> (&str, Option<&str>, Option<&Value>) {
        (&self.body, self.body_html.as_deref(), self.content.as_ref())
    }

    /// Says something else from now on.
    pub fn set_words(&mut self, words: Words) {
        self.body = words.body;
        self.body_html = words.body_html;
        self.content = words.content;
        self.plaintext = words.plaintext;
    }

    /// Makes a draft a sent message, by that event at that time.
    pub fn set_sent(&mut self, seq: i64, at: DateTime<Utc>) {
        self.seq = Some(seq);
        self.place_at = at;
        self.place_seq = seq;
        self.status = MessageStatus::Sent;
        self.sent_at = Some(at);
    }

    /// Whether it is a draft.
    pub fn is_draft(&self) -> bool {
        self.status == MessageStatus::Draft
    }
}

/// A message to insert.
#[derive(Debug, Insertable)]
#[diesel(table_name = messages, treat_none_as_default_value = false)]
pub struct NewMessage {
    /// Our id.
    pub id: MessageId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The thread.
    pub thread_id: ThreadId,
    /// Number of the event that sends it; none: a draft.
    pub seq: Option<i64>,
    /// Its place in the thread: its time.
    pub place_at: DateTime<Utc>,
    /// Its place among messages of that time.
    pub place_seq: i64,
    /// A backend's id.
    pub external_id: Option<String>,
    /// Hash of the values, if it has an externalId.
    pub input_hash: Option<Vec<u8>>,
    /// Who writes it.
    pub sender_id: Option<UserId>,
    /// What kind of entry it is.
    pub type_: MessageType,
    /// What its content is.
    pub content_type: ContentType,
    /// The words.
    pub body: String,
    /// The words as sanitized HTML.
    pub body_html: Option<String>,
    /// The structured content.
    pub content: Option<Value>,
    /// What its content type needs.
    pub content_attributes: Value,
    /// The words alone.
    pub plaintext: String,
    /// By the contact or to the contact; none: the thread has no inbox.
    pub direction: Option<Direction>,
    /// A note for agents, admins and API keys.
    pub private: bool,
    /// DRAFT or SENT.
    pub status: MessageStatus,
    /// Where it belongs in the product.
    pub url: Option<String>,
    /// The icon of an ACTION.
    pub icon_url: Option<String>,
    /// CSS classes.
    pub extra_classnames: Option<String>,
    /// A backend's own facts.
    pub metadata: Value,
    /// The quoted message.
    pub reply_to_id: Option<MessageId>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it was sent.
    pub sent_at: Option<DateTime<Utc>>,
    /// When its words last changed, for an import.
    pub updated_at: Option<DateTime<Utc>>,
    /// When it was deleted, for an import.
    pub deleted_at: Option<DateTime<Utc>>,
    /// The language in which its words are searched.
    pub search_language: SearchLanguage,
}

impl NewMessage {
    /// A message with nothing but its words, not sent yet.
    pub fn draft(thread: &Thread, words: Words, now: DateTime<Utc>) -> Self {
        let id = MessageId::generate();
        Self {
            id,
            organization_id: thread.organization_id,
            thread_id: thread.id,
            seq: None,
            place_at: now + DRAFTS_BEHIND,
            place_seq: tie_of(id),
            external_id: None,
            input_hash: None,
            sender_id: None,
            type_: MessageType::User,
            content_type: ContentType::Text,
            body: words.body,
            body_html: words.body_html,
            content: words.content,
            content_attributes: Value::Object(serde_json::Map::new()),
            plaintext: words.plaintext,
            direction: None,
            private: false,
            status: MessageStatus::Draft,
            url: None,
            icon_url: None,
            extra_classnames: None,
            metadata: Value::Object(serde_json::Map::new()),
            reply_to_id: None,
            created_at: now,
            sent_at: None,
            updated_at: None,
            deleted_at: None,
            search_language: thread.search_language,
        }
    }

    /// The same message, sent by that event at that time.
    pub fn sent(self, seq: i64, at: DateTime<Utc>) -> Self {
        Self {
            seq: Some(seq),
            place_at: at,
            place_seq: seq,
            status: MessageStatus::Sent,
            sent_at: Some(at),
            ..self
        }
    }
}

/// A random number out of an id, which orders drafts that were begun at the same time.
fn tie_of(id: MessageId) -> i64 {
    let (_, low) = id.uuid().as_u64_pair();
    i64::try_from(low >> 2).expect("62 bits fit")
}

/// What a message says, in every form that is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Words {
    /// As they were written.
    pub body: String,
    /// As sanitized HTML.
    pub body_html: Option<String>,
    /// As structured content.
    pub content: Option<Value>,
    /// Alone.
    pub plaintext: String,
}

/// What a write may leave changed in a message's row: all of it is stored again.
#[derive(Debug, AsChangeset)]
#[diesel(table_name = messages, treat_none_as_null = true)]
struct Saved<'a> {
    seq: Option<i64>,
    place_at: DateTime<Utc>,
    place_seq: i64,
    external_id: Option<&'a str>,
    sender_id: Option<UserId>,
    type_: MessageType,
    content_type: ContentType,
    body: &'a str,
    body_html: Option<&'a str>,
    content: Option<&'a Value>,
    content_attributes: &'a Value,
    submitted_values: Option<&'a Value>,
    plaintext: &'a str,
    direction: Option<Direction>,
    private: bool,
    status: MessageStatus,
    delivery_error: Option<&'a str>,
    url: Option<&'a str>,
    icon_url: Option<&'a str>,
    extra_classnames: Option<&'a str>,
    metadata: &'a Value,
    sent_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
}

/// Stores a new message.
pub async fn insert(conn: &mut Conn, new: &NewMessage) -> Result<Message, diesel::result::Error> {
    diesel::insert_into(messages::table)
        .values(new)
        .returning(Message::as_returning())
        .get_result(conn)
        .await
}

/// Stores a message's row as a write leaves it. Its thread is locked, so nobody else writes it.
pub async fn save(conn: &mut Conn, message: &Message) -> Result<(), diesel::result::Error> {
    let saved = Saved {
        seq: message.seq,
        place_at: message.place_at,
        place_seq: message.place_seq,
        external_id: message.external_id.as_deref(),
        sender_id: message.sender_id,
        type_: message.type_,
        content_type: message.content_type,
        body: &message.body,
        body_html: message.body_html.as_deref(),
        content: message.content.as_ref(),
        content_attributes: &message.content_attributes,
        submitted_values: message.submitted_values.as_ref(),
        plaintext: &message.plaintext,
        direction: message.direction,
        private: message.private,
        status: message.status,
        delivery_error: message.delivery_error.as_deref(),
        url: message.url.as_deref(),
        icon_url: message.icon_url.as_deref(),
        extra_classnames: message.extra_classnames.as_deref(),
        metadata: &message.metadata,
        sent_at: message.sent_at,
        updated_at: message.updated_at,
        deleted_at: message.deleted_at,
    };
    diesel::update(messages::table.find(message.id))
        .set(saved)
        .prepared()
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes a message for good, with all that hangs on it.
pub async fn remove(conn: &mut Conn, id: MessageId) -> Result<()> {
    diesel::delete(messages::table.find(id))
        .execute(conn)
        .await?;
    Ok(())
}

/// The message with an id, whoever may see it: `ThreadAccess::message` decides that.
pub async fn by_id(conn: &mut Conn, id: MessageId) -> Result<Option<Message>> {
    Ok(by_ids(conn, &[id]).await?.pop())
}

/// The messages with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[MessageId]) -> Result<Vec<Message>> {
    Ok(messages::table
        .filter(messages::id.eq_any(ids))
        .select(Message::as_select())
        .load(conn)
        .await?)
}

/// How many bytes these messages take, about.
pub async fn sizes(conn: &mut Conn, ids: &[MessageId]) -> Result<HashMap<MessageId, i64>> {
    let size = sql::<BigInt>(
        "octet_length(body)::bigint + coalesce(octet_length(body_html), 0)
         + octet_length(plaintext) + coalesce(pg_column_size(content), 0)
         + pg_column_size(metadata)",
    );
    let sizes: Vec<(MessageId, i64)> = messages::table
        .filter(messages::id.eq_any(ids))
        .select((messages::id, size))
        .prepared()
        .load(conn)
        .await?;
    Ok(sizes.into_iter().collect())
}

/// The message with a backend's id, whoever may see it: for a check of uniqueness only.
pub async fn by_external_id(
    conn: &mut Conn,
    organization: OrganizationId,
    external_id: &str,
) -> Result<Option<Message>> {
    Ok(messages::table
        .filter(messages::organization_id.eq(organization))
        .filter(messages::external_id.eq(external_id))
        .select(Message::as_select())
        .first(conn)
        .await
        .optional()?)
}
