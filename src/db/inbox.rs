//! Inboxes: the channels by which contacts write.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::access::OrganizationAccess;
use crate::db::enums::Channel;
use crate::db::pool::Conn;
use crate::db::schema::inboxes;
use crate::error::Result;
use crate::ids::{InboxId, OrganizationId, Ref};
use crate::webhook::secret::WebhookSecret;

/// A channel by which contacts write.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = inboxes)]
pub struct Inbox {
    /// Our id.
    pub id: InboxId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// A backend's id; unique per organization.
    pub external_id: Option<String>,
    /// Its name.
    pub name: String,
    /// What kind of channel it is.
    pub channel: Channel,
    /// Where outgoing messages of an API inbox go.
    pub webhook_url: Option<String>,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// What a backend says of an inbox.
#[derive(Debug, Clone)]
pub struct InboxValues {
    /// The backend's id.
    pub external_id: String,
    /// Its name.
    pub name: String,
    /// What kind of channel it is.
    pub channel: Channel,
    /// Where outgoing messages go; absent: as it is; an inner none: nowhere.
    pub webhook_url: Option<Option<String>>,
    /// What signs them; absent: as it is, none: a new one.
    pub webhook_secret: Option<Option<WebhookSecret>>,
}

impl InboxValues {
    fn secret(&self) -> Option<Option<&str>> {
        let given = self.webhook_secret.as_ref();
        given.map(|secret| secret.as_ref().map(WebhookSecret::reveal))
    }
}

#[derive(AsChangeset)]
#[diesel(table_name = inboxes)]
struct Changed<'a> {
    name: &'a str,
    channel: Channel,
    webhook_url: Option<Option<&'a str>>,
    webhook_secret: Option<Option<&'a str>>,
}

/// Makes an inbox, or changes the one with that externalId; answers whether it has a secret.
pub async fn upsert(
    conn: &mut Conn,
    organization: &OrganizationAccess,
    values: &InboxValues,
    now: DateTime<Utc>,
) -> Result<(Inbox, bool)> {
    let changed = Changed {
        name: &values.name,
        channel: values.channel,
        webhook_url: values.webhook_url.as_ref().map(Option::as_deref),
        webhook_secret: values.secret(),
    };
    let new = (
        inboxes::id.eq(InboxId::generate()),
        inboxes::organization_id.eq(organization.organization().id),
        inboxes::external_id.eq(&values.external_id),
        inboxes::name.eq(&values.name),
        inboxes::channel.eq(values.channel),
        inboxes::webhook_url.eq(values.webhook_url.clone().flatten()),
        inboxes::webhook_secret.eq(values.secret().flatten()),
        inboxes::created_at.eq(now),
    );
    Ok(diesel::insert_into(inboxes::table)
        .values(new)
        .on_conflict((inboxes::organization_id, inboxes::external_id))
        .do_update()
        .set(changed)
        .returning((Inbox::as_returning(), inboxes::webhook_secret.is_not_null()))
        .get_result(conn)
        .await?)
}

/// Gives an inbox another secret.
pub async fn set_secret(conn: &mut Conn, id: InboxId, secret: &WebhookSecret) -> Result<()> {
    diesel::update(inboxes::table.find(id))
        .set(inboxes::webhook_secret.eq(secret.reveal()))
        .execute(conn)
        .await?;
    Ok(())
}

/// The inboxes with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[InboxId]) -> Result<Vec<Inbox>> {
    Ok(inboxes::table
        .filter(inboxes::id.eq_any(ids))
        .select(Inbox::as_select())
        .load(conn)
        .await?)
}

/// The inboxes that are named so; of several organizations, if it is by an externalId.
pub async fn named(conn: &mut Conn, name: &Ref<InboxId>) -> Result<Vec<Inbox>> {
    let mut query = inboxes::table.select(Inbox::as_select()).into_boxed();
    query = match name {
        Ref::Id(id) => query.filter(inboxes::id.eq(*id)),
        Ref::External(id) => query.filter(inboxes::external_id.eq(id.clone())),
    };
    Ok(query.load(conn).await?)
}

/// An organization's inbox with that name.
pub async fn of_organization(
    conn: &mut Conn,
    organization: OrganizationId,
    name: &Ref<InboxId>,
) -> Result<Option<Inbox>> {
    let mut query = inboxes::table
        .filter(inboxes::organization_id.eq(organization))
        .select(Inbox::as_select())
        .into_boxed();
    query = match name {
        Ref::Id(id) => query.filter(inboxes::id.eq(*id)),
        Ref::External(id) => query.filter(inboxes::external_id.eq(id.clone())),
    };
    Ok(query.first(conn).await.optional()?)
}
