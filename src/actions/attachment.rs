//! Writes on attachments: a file that is awaited, one that comes with the call, one that goes off
//! its message. What it means for a message to have files is in `attaching`; what becomes of an
//! awaited file, in `upload`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;
use serde_json::Value;
use uuid::Uuid;

use crate::actions::attaching::{self, FilesChange, MAX_FILES};
use crate::actions::change::Change;
use crate::actions::message::lock;
use crate::actions::{check, participant, posting};
use crate::app::App;
use crate::auth::Viewer;
use crate::content::file;
use crate::db::access::attachments::{self, AttachmentAccess};
use crate::db::access::{MessageAccess, find};
use crate::db::attachment::{self, Attachment};
use crate::db::enums::{AttachmentKind, UploadStatus};
use crate::db::message::Message;
use crate::db::pool::Conn;
use crate::db::{unused_file, user};
use crate::error::{Error, Faults, FieldError, Result};
use crate::event::Fact;
use crate::ids::{AttachmentId, MessageId, OrganizationId, Ref, UserId};
use crate::storage::links::{Shown, UploadLink};
use crate::storage::{Declared, Stored};

/// Most characters of an annotation's text.
const MAX_TEXT: usize = 10_000;

/// What somebody wants a file to be.
#[derive(Debug, Clone)]
pub struct NewAttachment {
    /// What it is.
    pub kind: AttachmentKind,
    /// The text that an annotation is about.
    pub text_content: Option<String>,
    /// Where an annotation is.
    pub location: Option<Value>,
    /// The message that it goes on.
    pub message: Option<Ref<MessageId>>,
    /// The organization; none: the message's, or the credential's.
    pub organization: Option<Ref<OrganizationId>>,
    /// Whose it is, by a backend.
    pub uploader: Option<Ref<UserId>>,
}

/// Awaits a file, which its owner uploads to the address that is answered.
pub async fn create_upload(
    app: &Arc<App>,
    viewer: &Viewer,
    declared: Declared,
    size: i32,
    input: NewAttachment,
) -> Result<(AttachmentAccess, UploadLink)> {
    let now = app.clock.now();
    let mut faults = Faults::default();
    let name = said(&mut faults, "name", file::name(&declared.name));
    let mime_type = said(
        &mut faults,
        "mimeType",
        file::mime_type(&declared.mime_type),
    );
    if size < 1 {
        faults.add("size", "must be 1 byte at least");
    }
    let strange = input.needs_image() && !file::is_image(&mime_type);
    if strange && !mime_type.is_empty() {
        faults.add("mimeType", "must be that of an image, for this kind");
    }
    input.check(&mut faults);
    let most = app.settings.files.max_file_size;
    if i64::from(size) > i64::from(most) {
        return Err(faults.or(Error::PayloadTooLarge(FieldError {
            path: "size".to_owned(),
            message: format!("is more than {most} bytes"),
        })));
    }
    let file = Attachment {
        name,
        size: size.into(),
        ..input.row(UploadStatus::Uploading, mime_type, now)
    };
    let added = add(app, viewer, &input, (file, faults), None).await?;
    let file = added.attachment();
    let shown = Shown {
        id: file.id,
        object: file.object_id,
        name: &file.name,
        mime_type: &file.mime_type,
    };
    let timeout = app.settings.files.upload_timeout;
    let url = app.storage().upload_url(shown, now, timeout).await?;
    Ok((added, url))
}

/// Takes a file that has come with the call under a name, and lies in the storage already.
pub async fn upload(
    app: &Arc<App>,
    viewer: &Viewer,
    (key, name): (Uuid, &str),
    stored: &Stored,
    input: NewAttachment,
) -> Result<AttachmentAccess> {
    let now = app.clock.now();
    let mut faults = Faults::default();
    let name = said(&mut faults, "file", file::name(name));
    input.check(&mut faults);
    if input.needs_image() && !file::is_image(&stored.mime_type) {
        return Err(faults.or(Error::UnsupportedMediaType(FieldError {
            path: "file".to_owned(),
            message: format!("is {}, no image", stored.mime_type),
        })));
    }
    let file = Attachment {
        id: key.into(),
        object_id: key,
        name,
        size: stored.size,
        width: stored.width,
        height: stored.height,
        ..input.row(UploadStatus::Uploaded, stored.mime_type.clone(), now)
    };
    add(app, viewer, &input, (file, faults), Some(key)).await
}

/// Takes a file off its message; it stays its owner's to be put on another one.
pub async fn remove(
    app: &Arc<App>,
    viewer: &Viewer,
    id: AttachmentId,
) -> Result<Option<MessageAccess>> {
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let done = conn
        .transaction(async |conn| {
            let found = attachments::by_id(conn, viewer, id).await?;
            let Some(message) = found.message() else {
                return Ok(None);
            };
            let (mut change, message) = locked(conn, viewer, message, now).await?;
            let named = [id.to_string()];
            let mut faults = Faults::default();
            let files = FilesChange::find(conn, viewer, &message, (&[], &named), &mut faults);
            let files = files.await?;
            if files.left() == 0 && !message.is_draft() && posting::is_silent(&message) {
                return Err(Error::Conflict(
                    "the message would say nothing without it".to_owned(),
                ));
            }
            if files.make(conn, &message, now).await? {
                tell(&mut change, &message);
            }
            let (thread, told) = change.save(conn).await?;
            Ok::<_, Error>(Some((thread.message(message)?, told)))
        })
        .await?;
    let Some((message, told)) = done else {
        return Ok(None);
    };
    app.bus.publish(told.events());
    Ok(Some(message))
}

/// Stores an attachment, on its message if it is to be on one. `claimed`: its bytes, which belong
/// to nothing yet.
async fn add(
    app: &Arc<App>,
    viewer: &Viewer,
    input: &NewAttachment,
    (file, mut faults): (Attachment, Faults),
    claimed: Option<Uuid>,
) -> Result<AttachmentAccess> {
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let (file, told) = conn
        .transaction(async |conn| {
            let faults = std::mem::take(&mut faults);
            let mut file = file.clone();
            let place = place(conn, viewer, input, (&mut file, faults), now).await?;
            if let Some(key) = claimed
                && !unused_file::claim(conn, key).await?
            {
                return Err(Error::Conflict("the upload took too long".to_owned()));
            }
            attachment::insert(conn, &file).await?;
            let Some((mut change, message)) = place else {
                let file = attachments::unattached(viewer, file);
                return Ok((file.ok_or(Error::NotFound("attachment"))?, None));
            };
            tell(&mut change, &message);
            let (thread, told) = change.save(conn).await?;
            Ok::<_, Error>((thread.message(message)?.attachment(file)?, Some(told)))
        })
        .await?;
    if let Some(told) = told {
        app.bus.publish(told.events());
    }
    Ok(file)
}

/// Finds out where a new attachment belongs and whose it is; if it goes on a message, its thread
/// is locked.
async fn place(
    conn: &mut Conn,
    viewer: &Viewer,
    input: &NewAttachment,
    (file, mut faults): (&mut Attachment, Faults),
    now: DateTime<Utc>,
) -> Result<Option<(Change, Message)>> {
    let target = match &input.message {
        Some(name) => match find::message(conn, viewer, name).await {
            Ok(message) => match locked(conn, viewer, &message, now).await {
                Ok(target) => Some(target),
                Err(error) => return Err(faults.or(error)),
            },
            Err(error) => return Err(faults.or(error)),
        },
        None => None,
    };
    let named = match (&target, &input.organization) {
        (Some(_), None) => None,
        (_, named) => {
            let found = find::organization_or_bound(conn, viewer, named.as_ref()).await;
            match found {
                Err(error @ Error::NotFound(_)) => return Err(faults.or(error)),
                found => faults
                    .gather("", found)?
                    .map(|access| access.organization().id),
            }
        }
    };
    let organization = match &target {
        Some((change, _)) => {
            let its = change.thread.organization_id;
            if named.is_some_and(|named| named != its) {
                faults.add("organizationId", "is not the message's organization");
            }
            its
        }
        None => match named {
            Some(named) => named,
            None => return Err(faults.or(Error::NotFound("organization"))),
        },
    };
    let uploader = uploader(conn, viewer, organization, input.uploader.as_ref()).await;
    file.uploader_id = faults.gather("", uploader)?.flatten();
    file.organization_id = organization;
    if let Some((_, message)) = &target {
        let others = attachment::of_messages(conn, &[message.id]).await?;
        if others.len() >= MAX_FILES {
            faults.add(
                "messageId",
                format!("has {MAX_FILES} files, the most that fit"),
            );
        }
        file.message_id = Some(message.id);
        file.place = Some(attaching::next_place(&others));
        file.unattached_since = None;
    }
    faults.finish()?;
    if let Some((_, message)) = &target {
        attaching::check_own(viewer, message.sender_id, std::slice::from_ref(file))?;
    }
    Ok(target)
}

async fn uploader(
    conn: &mut Conn,
    viewer: &Viewer,
    organization: OrganizationId,
    name: Option<&Ref<UserId>>,
) -> Result<Option<UserId>> {
    let Some(name) = name else {
        return Ok(viewer.user_id());
    };
    if let Some(viewer) = viewer.user_id() {
        let named = user::ids_of(conn, std::slice::from_ref(name)).await?;
        return if named == [Some(viewer)] {
            Ok(Some(viewer))
        } else {
            Err(Error::Forbidden(
                "only an API key uploads for others".to_owned(),
            ))
        };
    }
    let named = [("uploaderId".to_owned(), name.clone())];
    let named = participant::members_at(conn, viewer, organization, &named).await?;
    Ok(named.first().copied())
}

/// Locks a message's thread for a change of its files, which its sender and API keys make.
pub async fn locked(
    conn: &mut Conn,
    viewer: &Viewer,
    message: &MessageAccess,
    now: DateTime<Utc>,
) -> Result<(Change, Message)> {
    let name = Ref::Id(message.message().id);
    let (change, access) = lock(conn, viewer, &name, now).await?;
    if !access.may_edit() {
        return Err(Error::Forbidden(
            "only its sender changes a message's files".to_owned(),
        ));
    }
    if access.message().deleted_at.is_some() && !access.thread().by_key() {
        return Err(Error::Conflict("the message is deleted".to_owned()));
    }
    Ok((change, access.into_parts().0))
}

/// Tells that a message has other files, or one of them has come; nobody is told of a draft, and
/// nothing is seen of a tombstone's.
pub fn tell(change: &mut Change, message: &Message) {
    if !message.is_draft() && message.deleted_at.is_none() {
        change.tell_message(message, Fact::MessageUpdated);
    }
}

impl NewAttachment {
    /// Whether its file must be an image.
    fn needs_image(&self) -> bool {
        self.kind != AttachmentKind::File
    }

    /// The faults of what shows by itself.
    fn check(&self, faults: &mut Faults) {
        let text = self.text_content.as_deref();
        check::text(faults, "textContent", text, MAX_TEXT);
        if let Some(fault) = self.location.as_ref().and_then(file::location_fault) {
            faults.add("location", fault);
        }
        if self.kind == AttachmentKind::Annotation {
            return;
        }
        for (path, given) in [
            ("textContent", self.text_content.is_some()),
            ("location", self.location.is_some()),
        ] {
            if given {
                faults.add(path, "is for an ANNOTATION only");
            }
        }
    }

    /// Its row, before it is known where it belongs and whose it is. A picture is an image,
    /// whether that was said or not: its kind does not change when its file has come.
    fn row(&self, status: UploadStatus, mime_type: String, now: DateTime<Utc>) -> Attachment {
        let picture = self.kind == AttachmentKind::File && file::is_raster(&mime_type);
        let id = AttachmentId::generate();
        Attachment {
            id,
            object_id: id.uuid(),
            organization_id: Uuid::nil().into(),
            uploader_id: None,
            message_id: None,
            place: None,
            kind: if picture {
                AttachmentKind::Image
            } else {
                self.kind
            },
            status,
            name: String::new(),
            mime_type,
            size: 0,
            width: None,
            height: None,
            text_content: self.text_content.clone(),
            location: self.location.clone(),
            created_at: now,
            unattached_since: Some(now),
        }
    }
}

/// What a file says of itself; nothing, if it is at fault.
fn said(faults: &mut Faults, path: &str, checked: Result<String, String>) -> String {
    checked.unwrap_or_else(|fault| {
        faults.add(path, fault);
        String::new()
    })
}
