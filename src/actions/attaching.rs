//! Which files a message has: how a call names them, whose they must be, how they come onto a
//! message and off it. Within a change that somebody else opens and saves.

use chrono::{DateTime, Utc};

use crate::auth::Viewer;
use crate::db::attachment::{self, Attachment};
use crate::db::enums::UploadStatus;
use crate::db::message::Message;
use crate::db::pool::Conn;
use crate::error::{Error, Faults, Result};
use crate::ids::{AttachmentId, OrganizationId, UserId};

/// Most files of a message.
pub const MAX_FILES: usize = 15;

/// The faults of a list that names files; `path` is where it is in the input.
pub fn check_list(faults: &mut Faults, path: &str, names: &[String]) {
    if names.len() > MAX_FILES {
        faults.add(path, format!("a message has at most {MAX_FILES} files"));
        return;
    }
    for (index, name) in names.iter().enumerate() {
        let path = format!("{path}.{index}");
        if name.parse::<AttachmentId>().is_err() {
            faults.add(path, "is not the id of an attachment");
        } else if names[..index].contains(name) {
            faults.add(path, "is in the list already");
        }
    }
}

/// The files that a call names, in its order; one that the organization does not have is at fault.
pub async fn find(
    conn: &mut Conn,
    organization: OrganizationId,
    names: &[String],
    (faults, path): (&mut Faults, &str),
) -> Result<Vec<Attachment>> {
    let ids = ids(names);
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = attachment::by_ids(conn, &ids).await?;
    known.retain(|file| file.organization_id == organization);
    let mut found = Vec::new();
    for (index, name) in names.iter().enumerate() {
        // What is no id is at fault already.
        let Ok(id) = name.parse::<AttachmentId>() else {
            continue;
        };
        match known.iter().find(|file| file.id == id) {
            Some(file) => found.push(file.clone()),
            None => faults.add(
                format!("{path}.{index}"),
                "is not a file of the organization",
            ),
        }
    }
    Ok(found)
}

/// Refuses the files of others: on a message are its sender's own, and those of the backend that
/// writes it for him.
pub fn check_own(viewer: &Viewer, sender: Option<UserId>, files: &[Attachment]) -> Result<()> {
    let own = |file: &Attachment| match viewer.user_id() {
        Some(viewer) => file.uploader_id == Some(viewer),
        None => file.uploader_id.is_none() || file.uploader_id == sender,
    };
    if files.iter().all(own) {
        Ok(())
    } else {
        Err(Error::Forbidden(
            "only the sender's own files go with a message".to_owned(),
        ))
    }
}

/// Puts files on a message behind those that it has; answers all of them. The message's thread is
/// locked.
pub async fn attach(
    conn: &mut Conn,
    message: &Message,
    mut before: Vec<Attachment>,
    files: &[Attachment],
) -> Result<Vec<Attachment>> {
    if files.is_empty() {
        return Ok(before);
    }
    let ids: Vec<AttachmentId> = files.iter().map(|file| file.id).collect();
    // Of two who want the same file the second one waits here, and sees what the first one did.
    let locked = attachment::locked(conn, &ids).await?;
    for file in files {
        match locked.iter().find(|locked| locked.id == file.id) {
            Some(locked) => check_free(locked)?,
            None => return Err(Error::Conflict(format!("{} is gone", called(file)))),
        }
    }
    before.extend(attachment::attach(conn, message.id, &ids, next_place(&before)).await?);
    Ok(before)
}

/// The place behind a message's files.
pub fn next_place(files: &[Attachment]) -> i32 {
    files
        .iter()
        .filter_map(|file| file.place)
        .max()
        .unwrap_or(0)
        + 1
}

/// Refuses to send a message with files that are not there yet, or never will be.
pub fn check_uploaded(files: &[Attachment]) -> Result<()> {
    for file in files {
        if file.status == UploadStatus::Uploading {
            let message = format!("{} is still being uploaded", called(file));
            return Err(Error::Conflict(message));
        }
        check_hopeful(file)?;
    }
    Ok(())
}

/// A change of the files of a message, which has been found possible.
pub struct FilesChange {
    before: Vec<Attachment>,
    added: Vec<Attachment>,
    removed: Vec<AttachmentId>,
}

impl FilesChange {
    /// Finds out whether a message may get and lose these files. To get one that it has, or lose
    /// one that it has not, is no change.
    pub async fn find(
        conn: &mut Conn,
        viewer: &Viewer,
        message: &Message,
        (add, remove): (&[String], &[String]),
        faults: &mut Faults,
    ) -> Result<Self> {
        const PATH: &str = "addAttachmentIds";
        let before = attachment::of_messages(conn, &[message.id]).await?;
        let organization = message.organization_id;
        let mut added = find(conn, organization, add, (faults, PATH)).await?;
        added.retain(|file| before.iter().all(|known| known.id != file.id));
        if let Err(refused) = check_own(viewer, message.sender_id, &added) {
            return Err(std::mem::take(faults).or(refused));
        }
        let change = Self {
            before,
            added,
            removed: ids(remove),
        };
        if change.left() > MAX_FILES {
            faults.add(PATH, format!("a message has at most {MAX_FILES} files"));
        }
        Ok(change)
    }

    /// How many files the message will have.
    pub fn left(&self) -> usize {
        let stays = |file: &&Attachment| !self.removed.contains(&file.id);
        self.before.iter().filter(stays).count() + self.added.len()
    }

    /// Whether any of the message's files goes.
    pub fn removes(&self) -> bool {
        let goes = |file: &Attachment| self.removed.contains(&file.id);
        self.before.iter().any(goes)
    }

    /// Makes it; whether anything is other than before. The message's thread is locked.
    pub async fn make(
        self,
        conn: &mut Conn,
        message: &Message,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let removed = self.removes();
        // All at once: two messages that exchange files must not wait for each other.
        let goes = |file: &&Attachment| self.removed.contains(&file.id);
        let changed = self.before.iter().filter(goes).chain(&self.added);
        let all: Vec<AttachmentId> = changed.map(|file| file.id).collect();
        if !all.is_empty() {
            attachment::locked(conn, &all).await?;
        }
        if removed {
            attachment::detach(conn, message.id, &self.removed, now).await?;
        }
        attach(conn, message, self.before, &self.added).await?;
        Ok(removed || !self.added.is_empty())
    }
}

/// A file as an error names it.
pub fn called(file: &Attachment) -> String {
    format!("\"{}\" ({})", file.name, file.id)
}

fn check_free(file: &Attachment) -> Result<()> {
    if file.message_id.is_some() {
        let message = format!("{} is on another message", called(file));
        return Err(Error::Conflict(message));
    }
    check_hopeful(file)
}

/// Why a file that will never be there is of no use.
pub fn lost(file: &Attachment) -> Error {
    let what = match file.status {
        UploadStatus::Cancelled => "cancelled",
        _ => "a failure",
    };
    Error::Conflict(format!("the upload of {} was {what}", called(file)))
}

fn check_hopeful(file: &Attachment) -> Result<()> {
    match file.status {
        UploadStatus::Uploading | UploadStatus::Uploaded => Ok(()),
        UploadStatus::Failed | UploadStatus::Cancelled => Err(lost(file)),
    }
}

fn ids(names: &[String]) -> Vec<AttachmentId> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}
