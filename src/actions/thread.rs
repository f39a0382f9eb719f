//! Writes on threads: open, delete. Changes of them are in `thread_update`.

use std::sync::Arc;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;
use serde::Serialize;
use serde_json::Value;

use crate::actions::change::Change;
use crate::actions::posting::{self, NewMessage};
use crate::actions::{check, delivery, named, participant};
use crate::app::App;
use crate::auth::Viewer;
use crate::content::rules;
use crate::db::access::{MessageAccess, OrganizationAccess, ThreadAccess, find};
use crate::db::enums::Access;
use crate::db::inbox;
use crate::db::message_list;
use crate::db::organization;
use crate::db::pool::Conn;
use crate::db::search_language::SearchLanguage;
use crate::db::thread::{self, NewThread};
use crate::error::{Error, Faults, Result};
use crate::event::{Audience, Fact};
use crate::ids::{InboxId, OrganizationId, Ref, ThreadId, UserId};

/// A thread as somebody wants it.
#[derive(Debug, Clone)]
pub struct OpenThread {
    /// The organization; none: the credential's.
    pub organization: Option<Ref<OrganizationId>>,
    /// The inbox that its contact writes by.
    pub inbox: Option<Ref<InboxId>>,
    /// What it is made of.
    pub values: ThreadValues,
    /// Who takes part, besides the viewer.
    pub participants: Vec<Ref<UserId>>,
    /// Who takes part and is notified; none: all participants.
    pub subscribers: Option<Vec<Ref<UserId>>>,
    /// The first message.
    pub message: Option<NewMessage>,
    /// The language in which its words are searched if the values name none.
    pub search_language: SearchLanguage,
}

/// What a thread is made of: with an externalId, the same values again are the same thread.
#[derive(Debug, Clone, Serialize)]
pub struct ThreadValues {
    /// The backend's id.
    pub external_id: Option<String>,
    /// What it is about.
    pub subject: String,
    /// Where it belongs in the product.
    pub url: Option<String>,
    /// The backend's facts.
    #[serde(serialize_with = "posting::facts")]
    pub metadata: Option<Value>,
    /// CSS classes.
    pub extra_classnames: Option<String>,
    /// Who sees it besides its participants.
    #[serde(serialize_with = "access_text")]
    pub access: Access,
    /// The department that is written to.
    pub department: Option<String>,
    /// The page that is written from.
    pub source_page: Option<String>,
    /// The writer's language.
    pub language: Option<String>,
    /// The writer's program.
    pub user_agent: Option<String>,
}

/// Opens a thread, with its first message if there is one: both or neither.
pub async fn create(
    app: &Arc<App>,
    viewer: &Viewer,
    input: OpenThread,
) -> Result<(ThreadAccess, Option<MessageAccess>)> {
    let now = app.clock.now();
    let input = OpenThread {
        search_language: app.settings.search_language,
        ..input
    };
    let mut faults = Faults::default();
    check_input(&mut faults, "", viewer, &input);
    let mut conn = app.conn().await?;
    let (thread, message, told) = conn
        .transaction(async |conn| {
            let known = (std::mem::take(&mut faults), "");
            let (mut change, found) = open(conn, viewer, &input, known, now).await?;
            let message = match (&input.message, found) {
                (None, _) => None,
                (Some(new), Found::Now) => {
                    let faults = Faults::default();
                    Some(posting::post(conn, viewer, &mut change, new, faults).await?)
                }
                // The same call again: its message is there, and is not sent twice.
                (Some(_), Found::Before) => message_list::first_sent(conn, change.access()).await?,
            };
            let (thread, told) = change.save(conn).await?;
            Ok::<_, Error>((thread, message, told))
        })
        .await?;
    app.bus.publish(told.events());
    if let Some(message) = &message {
        delivery::wake(app, message);
    }
    let message = message.map(|message| thread.message(message)).transpose()?;
    Ok((thread, message))
}

/// Deletes a thread for good, with all that is in it.
pub async fn delete(app: &Arc<App>, viewer: &Viewer, name: &Ref<ThreadId>) -> Result<ThreadId> {
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let (id, told) = conn
        .transaction(async |conn| {
            let mut change = Change::lock(conn, viewer, name, now).await?;
            if !change.access().erases() {
                return Err(Error::Forbidden(
                    "only admins and API keys delete a thread".to_owned(),
                ));
            }
            let id = change.thread.id;
            change.tell(Fact::ThreadDeleted, Audience::Everyone);
            Ok((id, change.remove(conn).await?))
        })
        .await?;
    app.bus.publish(told.events());
    Ok(id)
}

/// Whether a thread was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is new.
    Now,
    /// The same call made it earlier.
    Before,
}

/// Opens a thread within a transaction, or finds the one that the same call opened before.
/// `faults`: what is wrong with the input already, to be told with what it names wrongly;
/// `prefix`: where the thread is in the input.
pub async fn open(
    conn: &mut Conn,
    viewer: &Viewer,
    input: &OpenThread,
    (mut faults, prefix): (Faults, &str),
    now: DateTime<Utc>,
) -> Result<(Change, Found)> {
    let organization = find::organization_or_bound(conn, viewer, input.organization.as_ref()).await;
    let organization = match organization {
        Err(error @ Error::NotFound(_)) => return Err(faults.or(error)),
        found => faults.gather(prefix, found)?,
    };
    let Some(organization) = organization else {
        return Err(faults.or(Error::NotFound("organization")));
    };
    let id = organization.organization().id;
    let named = participant::members(conn, viewer, id, &input.participants, "participantIds");
    let named = faults.gather(prefix, named.await)?.unwrap_or_default();
    let subscribers = match &input.subscribers {
        Some(names) => {
            let named = participant::members(conn, viewer, id, names, "subscriberIds").await;
            faults.gather(prefix, named)?
        }
        None => None,
    };
    let inbox = match &input.inbox {
        Some(name) => {
            let found = inbox_of(conn, id, name).await;
            faults.gather(prefix, found)?
        }
        None => None,
    };
    let mut missing = Faults::default();
    if let Some(message) = &input.message {
        let prefix = format!("{prefix}message.");
        let named = named::find(conn, viewer, (id, None), message, (&mut faults, &prefix));
        missing = named.await?.missing;
    }
    if !faults.is_empty() {
        faults.gather("", missing.clone().finish())?;
    }
    faults.finish()?;
    // From here on nobody else opens a thread in this organization: so the externalId is free
    // if it is not found now, and the display number is not taken in vain.
    let last_number = organization::lock_numbers(conn, id).await?;
    let people = people(viewer, named, subscribers);
    let input_hash = input_hash(input, &people, inbox);
    if let Some(external_id) = &input.values.external_id
        && let Some(known) = thread::id_by_external_id(conn, &organization, external_id).await?
    {
        return find_same(conn, viewer, known, &input_hash, now).await;
    }
    missing.finish()?;
    let new = new_thread(viewer, &organization, input, last_number + 1, now);
    let new = NewThread {
        input_hash: input.values.external_id.as_ref().map(|_| input_hash),
        inbox_id: inbox,
        ..new
    };
    let access = thread::insert(conn, viewer, &organization, &new).await?;
    organization::set_last_number(conn, id, new.number).await?;
    let mut change = Change::of(access, viewer, now);
    change.tell_thread(Fact::ThreadCreated);
    if !people.is_empty() {
        // Told by the creation itself.
        crate::db::participant::add(conn, change.access(), &people, now).await?;
    }
    Ok((change, Found::Now))
}

/// The faults of a thread that somebody wants to open; `prefix` is where it is in the input.
pub fn check_input(faults: &mut Faults, prefix: &str, viewer: &Viewer, input: &OpenThread) {
    let at = |name: &str| format!("{prefix}{name}");
    let values = &input.values;
    check::external_id(faults, &at("externalId"), values.external_id.as_deref());
    check::line(faults, &at("subject"), Some(&values.subject));
    check::url(faults, &at("url"), values.url.as_deref());
    check::metadata(faults, &at("metadata"), values.metadata.as_ref());
    for (name, value, most) in [
        ("extraClassnames", &values.extra_classnames, 255),
        ("department", &values.department, 255),
        ("sourcePage", &values.source_page, 2048),
        ("language", &values.language, 255),
        ("userAgent", &values.user_agent, 1024),
    ] {
        check::text(faults, &at(name), value.as_deref(), most);
    }
    if let Some(fault) = values.source_page.as_deref().and_then(rules::page) {
        faults.add(at("sourcePage"), fault);
    }
    if let Some(message) = &input.message {
        posting::check_input(faults, &at("message."), viewer, message);
    }
}

/// SHA-256 of the values of a call, by which the same call again is known.
pub fn hash(values: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_vec(values).expect("plain values serialize");
    digest::digest(&digest::SHA256, &text).as_ref().to_vec()
}

/// Without an inbox the same as before there were any, so that old calls are known again.
fn input_hash(input: &OpenThread, people: &[(UserId, bool)], inbox: Option<InboxId>) -> Vec<u8> {
    let message = input.message.as_ref();
    let message = message.map(|new| (&new.values, format!("{:?}", new.sender)));
    match inbox {
        None => hash(&(&input.values, people, message)),
        Some(inbox) => hash(&(&input.values, people, message, inbox)),
    }
}

async fn inbox_of(
    conn: &mut Conn,
    organization: OrganizationId,
    name: &Ref<InboxId>,
) -> Result<InboxId> {
    let found = inbox::of_organization(conn, organization, name).await?;
    let found = found.map(|inbox| inbox.id);
    found.ok_or_else(|| Error::field("inboxId", "is not an inbox of the organization"))
}

fn new_thread(
    viewer: &Viewer,
    organization: &OrganizationAccess,
    input: &OpenThread,
    number: i32,
    now: DateTime<Utc>,
) -> NewThread {
    let values = input.values.clone();
    let language = values.language.as_deref();
    let language = language.filter(|tag| !tag.trim().is_empty());
    let search_language = language.map_or(input.search_language, SearchLanguage::of);
    NewThread {
        id: ThreadId::generate(),
        organization_id: organization.organization().id,
        number,
        external_id: values.external_id,
        input_hash: None,
        subject: values.subject,
        url: values.url,
        metadata: values
            .metadata
            .unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        extra_classnames: values.extra_classnames,
        access: values.access,
        creator_id: viewer.user_id(),
        inbox_id: None,
        department: values.department,
        source_page: values.source_page,
        language: values.language,
        user_agent: values.user_agent,
        clock_at: now,
        created_at: now,
        updated_at: now,
        search_language,
    }
}

/// Who takes part in a new thread, and whether they are notified: the viewer, the participants,
/// the subscribers.
fn people(
    viewer: &Viewer,
    named: Vec<UserId>,
    subscribers: Option<Vec<UserId>>,
) -> Vec<(UserId, bool)> {
    let notified = |id: UserId| subscribers.as_ref().is_none_or(|all| all.contains(&id));
    let extra = subscribers.iter().flatten().copied();
    let mut people: Vec<(UserId, bool)> = Vec::new();
    for id in viewer.user_id().into_iter().chain(named).chain(extra) {
        if people.iter().all(|(known, _)| *known != id) {
            people.push((id, notified(id) || viewer.user_id() == Some(id)));
        }
    }
    people
}

async fn find_same(
    conn: &mut Conn,
    viewer: &Viewer,
    known: ThreadId,
    input_hash: &[u8],
    now: DateTime<Utc>,
) -> Result<(Change, Found)> {
    let taken = || Error::Conflict("externalId: is taken by another thread".to_owned());
    let change = Change::lock(conn, viewer, &Ref::Id(known), now)
        .await
        .map_err(|error| match error {
            Error::NotFound(_) => taken(),
            other => other,
        })?;
    if change.thread.input_hash.as_deref() == Some(input_hash) {
        Ok((change, Found::Before))
    } else {
        Err(taken())
    }
}

fn access_text<S: serde::Serializer>(access: &Access, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(access.as_str())
}
