//! Which way a message goes in a thread with an inbox: by its contact it is INCOMING, by anyone
//! else OUTGOING. Only looks.

use crate::actions::change::Change;
use crate::actions::posting::MessageValues;
use crate::auth::Viewer;
use crate::db::enums::{Channel, Direction, Role};
use crate::db::pool::Conn;
use crate::db::{inbox, organization, participant};
use crate::error::{Error, Result};
use crate::ids::{OrganizationId, UserId};

/// Who a message is by and which way it goes. Agents and backends bring a contact's messages
/// into an API inbox: those are by the thread's contact then.
pub async fn of(
    conn: &mut Conn,
    viewer: &Viewer,
    change: &Change,
    values: &MessageValues,
    sender: Option<UserId>,
) -> Result<(Option<UserId>, Option<Direction>)> {
    let thread = &change.thread;
    if thread.inbox_id.is_none() && values.direction.is_none() {
        return Ok((sender, None));
    }
    if values.action {
        return Ok((sender, None));
    }
    let plain = by(conn, viewer, thread.organization_id, sender).await?;
    let by_contact = plain == Direction::Incoming;
    let channel = match thread.inbox_id {
        Some(id) => inbox::by_ids(conn, &[id])
            .await?
            .pop()
            .map(|inbox| inbox.channel),
        None => None,
    };
    match values.direction {
        Some(Direction::Outgoing) if by_contact => Err(Error::InvalidMessageType(
            "a contact's message is never OUTGOING".to_owned(),
        )),
        Some(Direction::Incoming) if !by_contact => {
            if channel != Some(Channel::Api) || !change.access().is_staff() {
                return Err(Error::InvalidMessageType(
                    "only in an API inbox do agents make INCOMING messages".to_owned(),
                ));
            }
            if values.draft && !viewer.is_key() {
                let message = "a draft is its writer's own, and never by the contact";
                return Err(Error::field("direction", message));
            }
            let contact = participant::contact(conn, change.access()).await?;
            let contact =
                contact.ok_or_else(|| Error::field("direction", "the thread has no contact"))?;
            Ok((Some(contact), Some(Direction::Incoming)))
        }
        Some(_) if channel.is_none() => Err(Error::field(
            "direction",
            "is for threads with an inbox only",
        )),
        _ => Ok((sender, Some(plain))),
    }
}

/// Which way a message by this sender goes.
pub async fn by(
    conn: &mut Conn,
    viewer: &Viewer,
    organization: OrganizationId,
    sender: Option<UserId>,
) -> Result<Direction> {
    let role = role(conn, viewer, organization, sender).await?;
    Ok(if role == Some(Role::Contact) {
        Direction::Incoming
    } else {
        Direction::Outgoing
    })
}

async fn role(
    conn: &mut Conn,
    viewer: &Viewer,
    organization: OrganizationId,
    sender: Option<UserId>,
) -> Result<Option<Role>> {
    let Some(sender) = sender else {
        return Ok(None);
    };
    if viewer.user_id() == Some(sender) {
        return Ok(viewer.role_in(organization));
    }
    let membership = organization::membership(conn, organization, sender).await?;
    Ok(membership.map(|membership| membership.role))
}
