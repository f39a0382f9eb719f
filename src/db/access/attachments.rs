//! Who sees an attachment: who sees its message; as long as it is on none, whose it is, and API
//! keys.

use std::collections::HashMap;

use crate::auth::Viewer;
use crate::db::access::{MessageAccess, find};
use crate::db::attachment::{self, Attachment};
use crate::db::pool::Conn;
use crate::error::{Error, Result};
use crate::ids::{AttachmentId, MessageId};

/// Proof that a viewer sees an attachment.
#[derive(Debug, Clone)]
pub struct AttachmentAccess {
    attachment: Attachment,
    message: Option<MessageAccess>,
}

impl AttachmentAccess {
    /// The attachment.
    pub fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// The message that it is on.
    pub fn message(&self) -> Option<&MessageAccess> {
        self.message.as_ref()
    }

    /// Whether the viewer may say that its file has come, or will not: whose it is, API keys.
    pub fn may_settle(&self, viewer: &Viewer) -> bool {
        let own = self.attachment.uploader_id.is_some()
            && self.attachment.uploader_id == viewer.user_id();
        own || viewer.key_reaches(self.attachment.organization_id)
    }
}

impl MessageAccess {
    /// A row of this message's attachments, with its proof.
    pub fn attachment(&self, attachment: Attachment) -> Result<AttachmentAccess> {
        if attachment.message_id == Some(self.message.id) {
            Ok(AttachmentAccess {
                attachment,
                message: Some(self.clone()),
            })
        } else {
            Err(Error::NotFound("attachment"))
        }
    }
}

/// The attachment, if the viewer sees it, or may change it.
pub async fn by_id(conn: &mut Conn, viewer: &Viewer, id: AttachmentId) -> Result<AttachmentAccess> {
    let mut seen = reached(conn, viewer, &[id]).await?;
    seen.pop().ok_or(Error::NotFound("attachment"))
}

/// Those of the attachments that the viewer sees. A tombstone has none.
pub async fn by_ids(
    conn: &mut Conn,
    viewer: &Viewer,
    ids: &[AttachmentId],
) -> Result<Vec<AttachmentAccess>> {
    let mut seen = reached(conn, viewer, ids).await?;
    seen.retain(|access| {
        let message = access.message.as_ref();
        message.is_none_or(|access| access.message().deleted_at.is_none())
    });
    Ok(seen)
}

/// The same, and to API keys, which change them too, those of tombstones.
async fn reached(
    conn: &mut Conn,
    viewer: &Viewer,
    ids: &[AttachmentId],
) -> Result<Vec<AttachmentAccess>> {
    let found = attachment::by_ids(conn, ids).await?;
    let on: Vec<MessageId> = found.iter().filter_map(|row| row.message_id).collect();
    let messages: HashMap<MessageId, MessageAccess> = if on.is_empty() {
        HashMap::new()
    } else {
        let seen = find::messages_by_ids(conn, viewer, &on).await?.into_iter();
        seen.filter(|access| access.message().deleted_at.is_none() || viewer.is_key())
            .map(|access| (access.message().id, access))
            .collect()
    };
    let proof = |row: Attachment| match row.message_id {
        Some(message) => messages.get(&message)?.attachment(row).ok(),
        None => unattached(viewer, row),
    };
    Ok(found.into_iter().filter_map(proof).collect())
}

/// The proof for an attachment that is on no message, if the viewer sees it.
pub fn unattached(viewer: &Viewer, attachment: Attachment) -> Option<AttachmentAccess> {
    let organization = attachment.organization_id;
    let own = attachment.uploader_id.is_some()
        && attachment.uploader_id == viewer.user_id()
        && viewer.role_in(organization).is_some();
    (own || viewer.key_reaches(organization)).then_some(AttachmentAccess {
        attachment,
        message: None,
    })
}
