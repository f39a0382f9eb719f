//! People and bots.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use crate::db::enums::UserKind;
use crate::db::pool::Conn;
use crate::db::schema::users;
use crate::error::Result;
use crate::ids::{Ref, UserId};

/// A user.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
pub struct User {
    /// Our id.
    pub id: UserId,
    /// A backend's id; unique on this server.
    pub external_id: Option<String>,
    /// What it is.
    pub kind: UserKind,
    /// The name that others see.
    pub name: String,
    /// The e-mail address, which few may see.
    pub email: Option<String>,
    /// The picture's address.
    pub avatar_url: Option<String>,
    /// A backend's own facts.
    pub metadata: Value,
    /// When name, email or picture were last set.
    pub profile_set_at: DateTime<Utc>,
    /// When the user came to be.
    pub created_at: DateTime<Utc>,
}

/// What a token may say of a user. What it does not say stays as it is.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = users)]
pub struct Profile {
    /// The name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The picture's address.
    pub avatar_url: Option<String>,
}

impl Profile {
    /// Whether the user is already as it says.
    pub fn is_in(&self, user: &User) -> bool {
        self.name.as_ref().is_none_or(|name| *name == user.name)
            && (self.email.is_none() || self.email == user.email)
            && (self.avatar_url.is_none() || self.avatar_url == user.avatar_url)
    }
}

/// A user to insert.
#[derive(Debug, Insertable)]
#[diesel(table_name = users)]
pub struct NewUser {
    id: UserId,
    external_id: String,
    kind: UserKind,
    name: String,
    email: Option<String>,
    avatar_url: Option<String>,
    metadata: Value,
    profile_set_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl NewUser {
    /// A person whom a token names for the first time.
    pub fn from_claims(external_id: &str, profile: &Profile, now: DateTime<Utc>) -> Self {
        let change = UserChange {
            name: profile.name.clone(),
            email: profile.email.clone().map(Some),
            avatar_url: profile.avatar_url.clone().map(Some),
            ..UserChange::default()
        };
        Self::from_change(external_id, change, now)
    }

    /// A user that a backend names for the first time.
    pub fn from_change(external_id: &str, change: UserChange, now: DateTime<Utc>) -> Self {
        Self {
            id: UserId::generate(),
            external_id: external_id.to_owned(),
            kind: change.kind.unwrap_or(UserKind::Person),
            name: change.name.unwrap_or_else(|| external_id.to_owned()),
            email: change.email.flatten(),
            avatar_url: change.avatar_url.flatten(),
            metadata: change
                .metadata
                .unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            profile_set_at: now,
            created_at: now,
        }
    }
}

/// What a backend changes of a user. What is absent stays as it is.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = users)]
pub struct UserChange {
    /// The name.
    pub name: Option<String>,
    /// The e-mail address, or its removal.
    pub email: Option<Option<String>>,
    /// The picture's address, or its removal.
    pub avatar_url: Option<Option<String>>,
    /// What it is.
    pub kind: Option<UserKind>,
    /// The new facts, all of them.
    pub metadata: Option<Value>,
}

/// The user with an id.
pub async fn by_id(conn: &mut Conn, id: UserId) -> Result<Option<User>> {
    Ok(by_ids(conn, &[id]).await?.pop())
}

/// The users with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[UserId]) -> Result<Vec<User>> {
    Ok(users::table
        .filter(users::id.eq_any(ids))
        .select(User::as_select())
        .load(conn)
        .await?)
}

/// The user who is named so.
pub async fn named(mut conn: &AsyncPgConnection, name: &Ref<UserId>) -> Result<Option<User>> {
    let query = users::table.select(User::as_select()).into_boxed();
    let query = match name {
        Ref::Id(id) => query.filter(users::id.eq(*id)),
        Ref::External(id) => query.filter(users::external_id.eq(id)),
    };
    Ok(query.first(&mut conn).await.optional()?)
}

/// Inserts a user, or finds the one that somebody else inserted meanwhile.
pub async fn insert_or_get(conn: &mut Conn, new: &NewUser) -> Result<User> {
    let inserted = diesel::insert_into(users::table)
        .values(new)
        .on_conflict(users::external_id)
        .do_nothing()
        .returning(User::as_select())
        .get_result(conn)
        .await
        .optional()?;
    match inserted {
        Some(user) => Ok(user),
        None => Ok(users::table
            .filter(users::external_id.eq(&new.external_id))
            .select(User::as_select())
            .first(conn)
            .await?),
    }
}

/// Takes over what a token says; answers the user as he is now.
pub async fn set_profile(
    conn: &mut Conn,
    id: UserId,
    profile: &Profile,
    now: DateTime<Utc>,
) -> Result<User> {
    Ok(diesel::update(users::table.find(id))
        .set((profile, users::profile_set_at.eq(now)))
        .returning(User::as_select())
        .get_result(conn)
        .await?)
}

/// Takes over what a backend says.
pub async fn update(
    conn: &mut Conn,
    id: UserId,
    change: &UserChange,
    now: DateTime<Utc>,
) -> Result<User> {
    Ok(diesel::update(users::table.find(id))
        .set((change, users::profile_set_at.eq(now)))
        .returning(User::as_select())
        .get_result(conn)
        .await?)
}

/// The ids of the users that are named so, in that order; none for an unknown externalId.
pub async fn ids_of(conn: &mut Conn, names: &[Ref<UserId>]) -> Result<Vec<Option<UserId>>> {
    let external: Vec<&str> = names
        .iter()
        .filter_map(|name| match name {
            Ref::External(id) => Some(id.as_str()),
            Ref::Id(_) => None,
        })
        .collect();
    let known: HashMap<Option<String>, UserId> = if external.is_empty() {
        HashMap::new()
    } else {
        users::table
            .filter(users::external_id.eq_any(external))
            .select((users::external_id, users::id))
            .load(conn)
            .await?
            .into_iter()
            .collect()
    };
    let id_of = |name: &Ref<UserId>| match name {
        Ref::Id(id) => Some(*id),
        Ref::External(id) => known.get(&Some(id.clone())).copied(),
    };
    Ok(names.iter().map(id_of).collect())
}
