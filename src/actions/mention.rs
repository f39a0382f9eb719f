//! Mentions in structured content: who is named must be a member, and is notified from then on.

use serde_json::Value;

use crate::actions::change::Change;
use crate::actions::check::MAX_LISTED;
use crate::actions::participant;
use crate::auth::Viewer;
use crate::content::structure::{self, Mention};
use crate::db::pool::Conn;
use crate::db::{organization, user};
use crate::error::{Error, Result};
use crate::ids::{OrganizationId, Ref, UserId};

/// Finds that everybody whom a content names is an active member of the organization. Whom it
/// named before it was changed may stay in it, whatever they are now.
pub async fn check(
    conn: &mut Conn,
    viewer: &Viewer,
    organization: OrganizationId,
    content: Option<&Value>,
    before: Option<&Value>,
) -> Result<()> {
    let known = named(before);
    let mut named = named(content);
    named.retain(|(_, name)| known.iter().all(|(_, known)| known != name));
    if named.len() > MAX_LISTED {
        let message = format!("must not mention anew at more than {MAX_LISTED} places");
        return Err(Error::field("content", message));
    }
    if !named.is_empty() {
        participant::members_at(conn, viewer, organization, &named).await?;
    }
    Ok(())
}

/// Makes those whom a message names subscribers of its thread. Who is no member any more is left
/// out: a draft may be sent long after it was written.
pub async fn subscribe(
    conn: &mut Conn,
    change: &mut Change,
    content: Option<&Value>,
) -> Result<()> {
    let names: Vec<Ref<UserId>> = named(content).into_iter().map(|(_, name)| name).collect();
    if names.is_empty() {
        return Ok(());
    }
    let known: Vec<UserId> = user::ids_of(conn, &names)
        .await?
        .into_iter()
        .flatten()
        .collect();
    let organization = change.thread.organization_id;
    let active = organization::active_members(conn, organization, &known).await?;
    let mut people: Vec<(UserId, bool)> = Vec::new();
    for id in known {
        if active.contains(&id) && !people.contains(&(id, true)) {
            people.push((id, true));
        }
    }
    let now = change.now;
    participant::join(conn, change, &people, now).await
}

fn named(content: Option<&Value>) -> Vec<(String, Ref<UserId>)> {
    let found = content.map(|content| structure::mentions("content", content));
    let name = |mention: Mention| (mention.path, Ref::parse(&mention.id));
    found.unwrap_or_default().into_iter().map(name).collect()
}
