//! Writes on awaited files: one has come, or will not come. The storage says what came.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::AsyncConnection;
use uuid::Uuid;

use crate::actions::attaching;
use crate::actions::attachment::{locked, tell};
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::attachments::{self, AttachmentAccess};
use crate::db::attachment::{self, Attachment};
use crate::db::enums::UploadStatus;
use crate::db::pool::Conn;
use crate::db::unused_file;
use crate::error::{Error, Result};
use crate::ids::AttachmentId;
use crate::storage::{Declared, Stored};

/// When what is left of an upload goes, and what a client goes on putting there: after any address
/// of an upload has ended.
const LEFT: TimeDelta = TimeDelta::days(1);

/// How often a file may be put on a message, or taken off, while it is said that it has come.
const ATTEMPTS: usize = 10;

/// Takes note that an awaited file has come, or will not come.
pub async fn complete(
    app: &Arc<App>,
    viewer: &Viewer,
    id: AttachmentId,
    cancelled: bool,
) -> Result<AttachmentAccess> {
    let found = {
        let mut conn = app.conn().await?;
        attachments::by_id(&mut conn, viewer, id).await?
    };
    if !found.may_settle(viewer) {
        return Err(Error::Forbidden(
            "only whose file it is says that it has come".to_owned(),
        ));
    }
    let file = found.attachment();
    if file.status != UploadStatus::Uploading {
        return as_wanted(found, cancelled);
    }
    if cancelled {
        let settled = settle(app, viewer, id, &Outcome::Cancelled).await?;
        return as_wanted(settled, cancelled);
    }
    let declared = Declared {
        name: file.name.clone(),
        mime_type: file.mime_type.clone(),
    };
    // An object of this call alone, which belongs to nothing until the file is settled with it.
    let object = Uuid::now_v7();
    let remove_at = app.clock.now() + LEFT;
    unused_file::add(&mut app.conn().await?, &[object], remove_at).await?;
    let accepted = app
        .storage()
        .accept(id.uuid(), object, &declared, file.size);
    let settled = match accepted.await {
        Ok(stored) => settle(app, viewer, id, &Outcome::Uploaded(object, stored)).await,
        // Nothing has come yet, or the storage is away; unless another call has settled it.
        Err(error @ (Error::Conflict(_) | Error::Internal(_))) => {
            match attachments::by_id(&mut app.conn().await?, viewer, id).await {
                Ok(found) if found.attachment().status != UploadStatus::Uploading => Ok(found),
                _ => Err(error),
            }
        }
        Err(error) => match settle(app, viewer, id, &Outcome::Failed).await {
            Ok(found) if found.attachment().status == UploadStatus::Failed => {
                Err(error.at("attachmentId"))
            }
            settled => settled,
        },
    };
    clear(app, id, object, settled.is_ok()).await;
    as_wanted(settled?, cancelled)
}

/// Clears away what is left of an upload that a call has looked at. What stays all the same, the
/// sweeper removes a day later.
async fn clear(app: &App, id: AttachmentId, object: Uuid, settled: bool) {
    let cleared = async {
        let mut conn = app.conn().await?;
        unused_file::give_up(&mut conn, &[object], app.clock.now()).await?;
        drop(conn);
        if settled {
            app.storage().discard(id.uuid()).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = cleared.await {
        tracing::warn!(%id, ?error, "what an upload has left could not be cleared away");
    }
}

/// Gives an awaited file up that has not come in time.
pub async fn give_up(app: &Arc<App>, id: AttachmentId) -> Result<()> {
    match settle(app, &Viewer::backend(None), id, &Outcome::Cancelled).await {
        // It went with its message, or its sender put it elsewhere.
        Err(Error::NotFound(_)) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What has become of an awaited file.
enum Outcome {
    Uploaded(Uuid, Stored),
    Failed,
    Cancelled,
}

/// A file that is settled, if it is so as its owner says.
fn as_wanted(file: AttachmentAccess, cancelled: bool) -> Result<AttachmentAccess> {
    let row = file.attachment();
    match (row.status, cancelled) {
        (UploadStatus::Uploaded, false) | (UploadStatus::Cancelled, true) => Ok(file),
        (UploadStatus::Uploaded, true) => {
            let message = format!("{} has been uploaded", attaching::called(row));
            Err(Error::Conflict(message))
        }
        _ => Err(attaching::lost(row)),
    }
}

/// Stores what has become of an awaited file, and tells those who see its message.
async fn settle(
    app: &Arc<App>,
    viewer: &Viewer,
    id: AttachmentId,
    outcome: &Outcome,
) -> Result<AttachmentAccess> {
    for _ in 0..ATTEMPTS {
        let now = app.clock.now();
        let mut conn = app.conn().await?;
        let done = conn
            .transaction(async |conn| {
                let found = attachments::by_id(conn, viewer, id).await?;
                // Its thread first, as whoever puts files on a message does.
                let change = match found.message() {
                    Some(message) => Some(locked(conn, viewer, message, now).await?),
                    None => None,
                };
                let rows = attachment::locked(conn, &[id]).await?;
                let file = rows
                    .into_iter()
                    .next()
                    .ok_or(Error::NotFound("attachment"))?;
                if file.message_id != found.attachment().message_id {
                    // It was put on a message, or taken off, before it was locked.
                    return Ok(None);
                }
                let before = file.status;
                let file = settled(conn, file, outcome, now).await?;
                let Some((mut change, message)) = change else {
                    let file = attachments::unattached(viewer, file);
                    return Ok(Some((file.ok_or(Error::NotFound("attachment"))?, None)));
                };
                if file.status != before {
                    tell(&mut change, &message);
                }
                let (thread, told) = change.save(conn).await?;
                let file = thread.message(message)?.attachment(file)?;
                Ok::<_, Error>(Some((file, Some(told))))
            })
            .await?;
        if let Some((file, told)) = done {
            if let Some(told) = told {
                app.bus.publish(told.events());
            }
            return Ok(file);
        }
    }
    Err(Error::Conflict(
        "the file goes from one message to another: try again".to_owned(),
    ))
}

/// The file as it is from now on, unless somebody settled it already.
async fn settled(
    conn: &mut Conn,
    mut file: Attachment,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> Result<Attachment> {
    if file.status != UploadStatus::Uploading {
        return Ok(file);
    }
    match outcome {
        Outcome::Uploaded(object, stored) => {
            if !unused_file::claim(conn, *object).await? {
                return Err(Error::Conflict("the upload took too long".to_owned()));
            }
            file.object_id = *object;
            file.status = UploadStatus::Uploaded;
            file.mime_type.clone_from(&stored.mime_type);
            file.width = stored.width;
            file.height = stored.height;
        }
        Outcome::Failed => file.status = UploadStatus::Failed,
        Outcome::Cancelled => file.status = UploadStatus::Cancelled,
    }
    file.unattached_since = file.unattached_since.map(|_| now);
    attachment::save(conn, &file).await?;
    // Something may still come, as long as its address is valid.
    unused_file::add(conn, &[file.id.uuid()], now + LEFT).await?;
    Ok(file)
}
