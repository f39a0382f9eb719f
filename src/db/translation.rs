//! What messages say in other languages, and who is about to have them translated.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::{IntervalDsl, now};
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use crate::db::pool::Conn;
use crate::db::schema::{messages, translation_claims, translations};
use crate::error::{Error, Result};
use crate::ids::{MessageId, OrganizationId};

/// What a message says in another language.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = translations, treat_none_as_null = true)]
pub struct Translation {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Of which message.
    pub message_id: MessageId,
    /// The language that was asked for.
    pub language: String,
    /// What the provider calls it.
    pub target: String,
    /// The hash of what was translated.
    pub source_hash: Vec<u8>,
    /// The words alone.
    pub body: String,
    /// As sanitized HTML.
    pub body_html: Option<String>,
    /// As structured content.
    pub content: Option<Value>,
    /// The language that it was translated from.
    pub source_language: Option<String>,
    /// Who translated it.
    pub provider: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A message's text and a language of the provider: what one question to it is about.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// The message.
    pub message_id: MessageId,
    /// The hash of what it says.
    pub source_hash: &'a [u8],
    /// The language, as the provider calls it.
    pub target: &'a str,
}

/// What a message with this hash says in a language, if it was translated.
pub async fn find(
    conn: &mut Conn,
    message: MessageId,
    source_hash: &[u8],
    language: &str,
) -> Result<Option<Translation>> {
    Ok(translations::table
        .find((message, language))
        .filter(translations::source_hash.eq(source_hash))
        .select(Translation::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// What came of this work already, for whatever language of ours.
pub async fn done(conn: &mut Conn, work: Work<'_>) -> Result<Option<Translation>> {
    Ok(translations::table
        .filter(translations::message_id.eq(work.message_id))
        .filter(translations::source_hash.eq(work.source_hash))
        .filter(translations::target.eq(work.target))
        .order(translations::language)
        .select(Translation::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// What these messages say in these languages, whichever text it was made of.
pub async fn of_messages(
    conn: &mut Conn,
    messages: &[MessageId],
    languages: &[&str],
) -> Result<Vec<Translation>> {
    Ok(translations::table
        .filter(translations::message_id.eq_any(messages))
        .filter(translations::language.eq_any(languages))
        .select(Translation::as_select())
        .load(conn)
        .await?)
}

/// Keeps a translation, in place of those of another text; its tenant is the message's own.
pub async fn keep(conn: &mut Conn, mut new: Translation) -> Result<Translation> {
    // The lock makes those who translate the same message into several languages take turns.
    let organization = messages::table
        .find(new.message_id)
        .select(messages::organization_id)
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?;
    new.organization_id = organization.ok_or(Error::NotFound("message"))?;
    let stale = translations::table
        .filter(translations::message_id.eq(new.message_id))
        .filter(translations::source_hash.ne(&new.source_hash));
    diesel::delete(stale).execute(conn).await?;
    diesel::insert_into(translations::table)
        .values(&new)
        .on_conflict((translations::message_id, translations::language))
        .do_update()
        .set(&new)
        .execute(conn)
        .await?;
    Ok(new)
}

/// Takes work upon oneself for a time; false: another one has it.
pub async fn claim(conn: &mut Conn, work: Work<'_>, holder: Uuid, time: Duration) -> Result<bool> {
    let overdue = translation_claims::table
        .filter(translation_claims::message_id.eq(work.message_id))
        .filter(translation_claims::held_until.lt(now));
    diesel::delete(overdue).execute(conn).await?;
    let seconds = i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
    let until = now.into_sql::<Timestamptz>() + seconds.seconds();
    // The clock is the database's: it is the same for all servers.
    let claimed = messages::table.find(work.message_id).select((
        messages::organization_id,
        messages::id,
        work.target.into_sql::<diesel::sql_types::Text>(),
        work.source_hash.into_sql::<diesel::sql_types::Binary>(),
        holder.into_sql::<diesel::sql_types::Uuid>(),
        until,
    ));
    let inserted = diesel::insert_into(translation_claims::table)
        .values(claimed)
        .into_columns((
            translation_claims::organization_id,
            translation_claims::message_id,
            translation_claims::target,
            translation_claims::source_hash,
            translation_claims::holder,
            translation_claims::held_until,
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(inserted == 1)
}

/// Gives work up, or has done it.
pub async fn release(conn: &mut Conn, message: MessageId, holder: Uuid) -> Result<()> {
    let held = translation_claims::table
        .filter(translation_claims::message_id.eq(message))
        .filter(translation_claims::holder.eq(holder));
    diesel::delete(held).execute(conn).await?;
    Ok(())
}
