//! Organizations and who belongs to them.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use crate::db::access::OrganizationAccess;
use crate::db::enums::Role;
use crate::db::page::{Key, Page, Slice, beyond};
use crate::db::pool::Conn;
use crate::db::schema::{memberships, organizations, users};
use crate::db::snapshot::Snapshot;
use crate::db::user::User;
use crate::error::Result;
use crate::ids::{OrganizationId, Ref, UserId};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
pub struct Organization {
    /// Our id.
    pub id: OrganizationId,
    /// A backend's id; unique on this server.
    pub external_id: Option<String>,
    /// Its name.
    pub name: String,
    /// A backend's own facts.
    pub metadata: Value,
    /// The display number of its newest thread.
    pub last_thread_number: i32,
    /// When it came to be.
    pub created_at: DateTime<Utc>,
}

/// Somebody's place in an organization, also after it was taken away.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
pub struct Membership {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The member.
    pub user_id: UserId,
    /// As what.
    pub role: Role,
    /// When role or removal were last decided.
    pub decided_at: DateTime<Utc>,
    /// Set: a former member.
    pub removed_at: Option<DateTime<Utc>>,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

impl Membership {
    /// The place in the list of members.
    pub fn key(&self) -> Key<Uuid> {
        Key {
            at: self.created_at,
            tie: self.user_id.uuid(),
        }
    }
}

/// The organizations with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[OrganizationId]) -> Result<Vec<Organization>> {
    Ok(organizations::table
        .filter(organizations::id.eq_any(ids))
        .select(Organization::as_select())
        .load(conn)
        .await?)
}

/// The organization that is named so.
pub async fn named(
    mut conn: &AsyncPgConnection,
    name: &Ref<OrganizationId>,
) -> Result<Option<Organization>> {
    let query = organizations::table
        .select(Organization::as_select())
        .into_boxed();
    let query = match name {
        Ref::Id(id) => query.filter(organizations::id.eq(*id)),
        Ref::External(id) => query.filter(organizations::external_id.eq(id)),
    };
    Ok(query.first(&mut conn).await.optional()?)
}

/// Whether there are any besides the one with a backend's id.
pub async fn others_exist(conn: &mut Conn, external_id: &str) -> Result<bool> {
    let others = organizations::table
        .filter(organizations::external_id.is_distinct_from(external_id))
        .select(organizations::id)
        .limit(1);
    Ok(!others.load::<OrganizationId>(conn).await?.is_empty())
}

/// The organization with a backend's id, made if there is none.
pub async fn get_or_insert(conn: &mut Conn, external_id: &str, name: &str) -> Result<Organization> {
    if let Some(known) = named(conn, &Ref::External(external_id.to_owned())).await? {
        return Ok(known);
    }
    diesel::insert_into(organizations::table)
        .values((
            organizations::id.eq(OrganizationId::generate()),
            organizations::external_id.eq(external_id),
            organizations::name.eq(name),
        ))
        .on_conflict(organizations::external_id)
        .do_nothing()
        .execute(conn)
        .await?;
    Ok(organizations::table
        .filter(organizations::external_id.eq(external_id))
        .select(Organization::as_select())
        .first(conn)
        .await?)
}

/// Sets what a backend says of an organization; metadata that it does not give stay.
pub async fn update(
    conn: &mut Conn,
    id: OrganizationId,
    name: &str,
    metadata: Option<&Value>,
) -> Result<Organization> {
    Ok(diesel::update(organizations::table.find(id))
        .set((
            organizations::name.eq(name),
            metadata.map(|metadata| organizations::metadata.eq(metadata)),
        ))
        .returning(Organization::as_select())
        .get_result(conn)
        .await?)
}

/// Locks the organization, so that its threads are made one after the other and their display
/// numbers have no gaps; answers the newest number.
pub async fn lock_numbers(conn: &mut Conn, id: OrganizationId) -> Result<i32> {
    Ok(organizations::table
        .find(id)
        .select(organizations::last_thread_number)
        .for_no_key_update()
        .first(conn)
        .await?)
}

/// Stores the newest display number.
pub async fn set_last_number(conn: &mut Conn, id: OrganizationId, number: i32) -> Result<()> {
    diesel::update(organizations::table.find(id))
        .set(organizations::last_thread_number.eq(number))
        .execute(conn)
        .await?;
    Ok(())
}

/// All memberships of a user, former ones too, oldest first.
pub async fn memberships_of(conn: &mut Conn, user: UserId) -> Result<Vec<Membership>> {
    memberships_named(conn, &Ref::Id(user)).await
}

/// The same of the user who is named so.
pub async fn memberships_named(
    mut conn: &AsyncPgConnection,
    user: &Ref<UserId>,
) -> Result<Vec<Membership>> {
    let query = memberships::table
        .order((memberships::created_at, memberships::organization_id))
        .select(Membership::as_select())
        .into_boxed();
    let query = match user {
        Ref::Id(id) => query.filter(memberships::user_id.eq(*id)),
        Ref::External(id) => {
            let named = users::table.filter(users::external_id.eq(id));
            let id = named.select(users::id).single_value();
            query.filter(memberships::user_id.nullable().eq(id))
        }
    };
    Ok(query.load(&mut conn).await?)
}

/// All memberships of these users, former ones too, oldest first.
pub async fn memberships_of_all(conn: &mut Conn, users: &[UserId]) -> Result<Vec<Membership>> {
    Ok(memberships::table
        .filter(memberships::user_id.eq_any(users))
        .order((memberships::created_at, memberships::organization_id))
        .select(Membership::as_select())
        .load(conn)
        .await?)
}

/// A user's place in an organization.
pub async fn membership(
    conn: &mut Conn,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<Membership>> {
    Ok(memberships::table
        .find((organization, user))
        .select(Membership::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Which of these users are active members.
pub async fn active_members(
    conn: &mut Conn,
    organization: OrganizationId,
    users: &[UserId],
) -> Result<Vec<UserId>> {
    if users.is_empty() {
        // Most messages name nobody: nothing is asked for them.
        return Ok(Vec::new());
    }
    Ok(memberships::table
        .filter(memberships::organization_id.eq(organization))
        .filter(memberships::user_id.eq_any(users))
        .filter(memberships::removed_at.is_null())
        .select(memberships::user_id)
        .load(conn)
        .await?)
}

/// The memberships, or those of one user, that were given, changed or taken away since a moment,
/// each with the transaction.
pub async fn changed_since(
    conn: &mut Conn,
    since: &Snapshot,
    of: Option<UserId>,
) -> Result<Vec<(OrganizationId, UserId, i64)>> {
    let untold = memberships::xid
        .ge(since.xmax())
        .or(memberships::xid.eq_any(since.xip()));
    let mut query = memberships::table
        .filter(untold)
        .select((
            memberships::organization_id,
            memberships::user_id,
            memberships::xid,
        ))
        .into_boxed();
    if let Some(user) = of {
        query = query.filter(memberships::user_id.eq(user));
    }
    Ok(query.load(conn).await?)
}

/// Gives a user a role in an organization; none takes it away.
pub async fn set_membership(
    conn: &mut Conn,
    organization: OrganizationId,
    user: UserId,
    role: Option<Role>,
    now: DateTime<Utc>,
) -> Result<()> {
    let Some(role) = role else {
        diesel::update(memberships::table.find((organization, user)))
            .filter(memberships::removed_at.is_null())
            .set((
                memberships::removed_at.eq(now),
                memberships::decided_at.eq(now),
                memberships::xid.eq(this_transaction()),
            ))
            .execute(conn)
            .await?;
        return Ok(());
    };
    let new = Membership {
        organization_id: organization,
        user_id: user,
        role,
        decided_at: now,
        removed_at: None,
        created_at: now,
    };
    diesel::insert_into(memberships::table)
        .values(&new)
        .on_conflict((memberships::organization_id, memberships::user_id))
        .do_update()
        .set((
            memberships::role.eq(role),
            memberships::decided_at.eq(now),
            memberships::removed_at.eq(None::<DateTime<Utc>>),
            // The same role again changes nothing of what its member sees.
            memberships::xid.eq(sql::<BigInt>(
                "CASE WHEN memberships.role <> excluded.role OR memberships.removed_at IS NOT NULL
                   THEN pg_current_xact_id()::text::bigint ELSE memberships.xid END",
            )),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives a user the role that a token claims, unless somebody decided otherwise since the
/// membership was read: `read` is when it had been decided then, none if there was none.
pub async fn claim_membership(
    conn: &mut Conn,
    (organization, user): (OrganizationId, UserId),
    role: Role,
    read: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<()> {
    let claimed = Membership {
        organization_id: organization,
        user_id: user,
        role,
        decided_at: now,
        removed_at: None,
        created_at: now,
    };
    match read {
        None => {
            diesel::insert_into(memberships::table)
                .values(&claimed)
                .on_conflict_do_nothing()
                .execute(conn)
                .await?
        }
        Some(read) => {
            diesel::update(memberships::table.find((organization, user)))
                .filter(memberships::decided_at.eq(read))
                .set((
                    memberships::role.eq(role),
                    memberships::decided_at.eq(now),
                    memberships::removed_at.eq(None::<DateTime<Utc>>),
                    memberships::xid.eq(this_transaction()),
                ))
                .execute(conn)
                .await?
        }
    };
    Ok(())
}

/// A page of an organization's active members, oldest first.
pub async fn members(
    conn: &mut Conn,
    access: &OrganizationAccess,
    role: Option<Role>,
    page: &Page<Uuid>,
) -> Result<Slice<(Membership, User)>> {
    const ORDER: &str = "memberships.created_at, memberships.user_id";
    let mut query = memberships::table
        .inner_join(users::table)
        .filter(memberships::organization_id.eq(access.organization().id))
        .filter(memberships::removed_at.is_null())
        .select((Membership::as_select(), User::as_select()))
        .limit(page.probe())
        .into_boxed();
    if let Some(role) = role {
        query = query.filter(memberships::role.eq(role));
    }
    if let Some(key) = &page.after {
        query = query.filter(beyond::<SqlUuid, _>(ORDER, ">", key));
    }
    if let Some(key) = &page.before {
        query = query.filter(beyond::<SqlUuid, _>(ORDER, "<", key));
    }
    query = if page.backward {
        query.order((memberships::created_at.desc(), memberships::user_id.desc()))
    } else {
        query.order((memberships::created_at.asc(), memberships::user_id.asc()))
    };
    Ok(page.cut(query.load(conn).await?))
}

/// How many active members an organization has.
pub async fn member_count(
    conn: &mut Conn,
    access: &OrganizationAccess,
    role: Option<Role>,
) -> Result<i64> {
    let mut query = memberships::table
        .filter(memberships::organization_id.eq(access.organization().id))
        .filter(memberships::removed_at.is_null())
        .into_boxed();
    if let Some(role) = role {
        query = query.filter(memberships::role.eq(role));
    }
    Ok(query.count().get_result(conn).await?)
}

/// The number of the transaction that is under way.
fn this_transaction() -> SqlLiteral<BigInt> {
    sql("pg_current_xact_id()::text::bigint")
}
