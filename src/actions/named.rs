//! What a new message names: its sender, the quoted message, its files, whom it mentions, whose
//! reactions come with it. All that is at fault is told at once. Only looks.

use crate::actions::change::Change;
use crate::actions::posting::NewMessage;
use crate::actions::{attaching, mention, participant, reaction};
use crate::auth::Viewer;
use crate::db::access::find;
use crate::db::attachment::Attachment;
use crate::db::organization;
use crate::db::pool::Conn;
use crate::error::{Error, Faults, Result};
use crate::ids::{MessageId, OrganizationId, Ref, UserId};

/// What was found; where something is at fault, nothing.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// Who writes: the viewer; with an API key a member of the organization, or nobody.
    pub sender: Option<UserId>,
    /// The quoted message.
    pub reply_to: Option<MessageId>,
    /// Its files.
    pub files: Vec<Attachment>,
    /// The faults of its files: of no account where the same call has made the message before, for
    /// a file may have gone since.
    pub missing: Faults,
}

/// Finds what a message names; `thread` is none if it is only about to be opened, and `prefix` is
/// where the message is in the input.
pub async fn find(
    conn: &mut Conn,
    viewer: &Viewer,
    (organization, thread): (OrganizationId, Option<&Change>),
    input: &NewMessage,
    (faults, prefix): (&mut Faults, &str),
) -> Result<Named> {
    let sender = sender(conn, viewer, organization, input).await;
    let sender = faults.gather(prefix, sender)?.flatten();
    let content = input.values.content.as_ref();
    let mentioned = mention::check(conn, viewer, organization, content, None).await;
    faults.gather(prefix, mentioned)?;
    let reply_to = match (&input.reply_to, thread) {
        (Some(name), Some(change)) => {
            let quoted = quoted(conn, viewer, change, name).await;
            faults.gather(prefix, quoted)?
        }
        _ => None,
    };
    let reactions = reaction::in_name_of(viewer, &input.reactions)?;
    let path = format!("{prefix}attachmentIds");
    let mut missing = Faults::default();
    let named = &input.values.attachments;
    let files = attaching::find(conn, organization, named, (&mut missing, &path)).await?;
    let path = format!("{prefix}reactions");
    reaction::reactors(conn, organization, &reactions, &path, faults).await?;
    Ok(Named {
        sender,
        reply_to,
        files,
        missing,
    })
}

async fn sender(
    conn: &mut Conn,
    viewer: &Viewer,
    organization: OrganizationId,
    input: &NewMessage,
) -> Result<Option<UserId>> {
    let Some(name) = &input.sender else {
        return Ok(viewer.user_id());
    };
    if let Some(viewer) = viewer.user_id() {
        let named = crate::db::user::ids_of(conn, std::slice::from_ref(name)).await?;
        return if named == [Some(viewer)] {
            Ok(Some(viewer))
        } else {
            Err(Error::Forbidden(
                "only an API key writes for others".to_owned(),
            ))
        };
    }
    let named = [("senderId".to_owned(), name.clone())];
    let sender = participant::members_at(conn, viewer, organization, &named).await?;
    if input.values.private {
        check_staff(conn, organization, &sender).await?;
    }
    Ok(sender.first().copied())
}

/// Finds that who is to have written a private note may read it.
pub async fn check_staff(
    conn: &mut Conn,
    organization: OrganizationId,
    senders: &[UserId],
) -> Result<()> {
    for sender in senders {
        let membership = organization::membership(conn, organization, *sender).await?;
        if !membership.is_some_and(|membership| membership.role.is_staff()) {
            let message = "only agents and admins write private notes";
            return Err(Error::field("senderId", message));
        }
    }
    Ok(())
}

async fn quoted(
    conn: &mut Conn,
    viewer: &Viewer,
    change: &Change,
    name: &Ref<MessageId>,
) -> Result<MessageId> {
    let wrong = || Error::field("replyToId", "is not a message of this thread");
    let quoted = match find::message(conn, viewer, name).await {
        Ok(quoted) => quoted,
        Err(Error::NotFound(_)) => return Err(wrong()),
        Err(error) => return Err(error),
    };
    let quoted = quoted.message();
    if quoted.thread_id == change.thread.id && !quoted.is_draft() {
        Ok(quoted.id)
    } else {
        Err(wrong())
    }
}
