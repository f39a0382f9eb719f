//! Appends to a message: how a bot's answer grows, piece by piece. Pieces stand in the order in
//! which they were taken, and none is lost: the thread is locked for each.

use std::sync::Arc;

use diesel_async::AsyncConnection;
use serde_json::Value;

use crate::actions::check::{self, MAX_BODY};
use crate::actions::message::lock;
use crate::app::App;
use crate::auth::Viewer;
use crate::content::{self, structure};
use crate::db::access::MessageAccess;
use crate::db::message::{self, Message};
use crate::error::{Error, Faults, Result};
use crate::event::{Appended, Fact};
use crate::ids::{MessageId, Ref};

/// Appends text to a message of raw text, or of one markdown node. `offset`: how many characters
/// the caller believes are there.
pub async fn append(
    app: &Arc<App>,
    viewer: &Viewer,
    name: &Ref<MessageId>,
    text: &str,
    offset: Option<i32>,
) -> Result<MessageAccess> {
    let now = app.clock.now();
    let mut faults = Faults::default();
    if text.is_empty() {
        faults.add("text", "must not be empty");
    }
    check::text(&mut faults, "text", Some(text), MAX_BODY);
    faults.finish()?;
    let mut conn = app.conn().await?;
    let (message, thread, told) = conn
        .transaction(async |conn| {
            let (mut change, access) = lock(conn, viewer, name, now).await?;
            if !access.may_edit() {
                return Err(Error::Forbidden(
                    "only its sender appends to a message".to_owned(),
                ));
            }
            let (mut message, _) = access.into_parts();
            let offset = grow(&mut message, text, offset)?;
            message::save(conn, &message).await?;
            if !message.is_draft() {
                let text = text.into();
                change.tell_message(&message, |message| {
                    Fact::MessageAppended(message, Appended { text, offset })
                });
            }
            let (thread, told) = change.save(conn).await?;
            Ok((message, thread, told))
        })
        .await?;
    app.bus.publish(told.events());
    thread.message(message)
}

/// Appends to the message's text; answers behind how many characters.
fn grow(message: &mut Message, text: &str, offset: Option<i32>) -> Result<i32> {
    if message.deleted_at.is_some() {
        return Err(Error::Conflict("the message is deleted".to_owned()));
    }
    let before = match &message.content {
        None if message.body_html.is_none() => Some(message.body.clone()),
        Some(content) => structure::markdown(content).map(str::to_owned),
        None => None,
    };
    let Some(mut grown) = before else {
        return Err(Error::field(
            "messageId",
            "only a message of raw text, or of one markdown node, can be appended to",
        ));
    };
    let length = grown.chars().count();
    if offset.is_some_and(|offset| usize::try_from(offset).ok() != Some(length)) {
        return Err(Error::Conflict(format!(
            "offset: the message has {length} characters"
        )));
    }
    if length + text.chars().count() > MAX_BODY {
        let message = format!("the message would have more than {MAX_BODY} characters");
        return Err(Error::field("text", message));
    }
    grown.push_str(text);
    let words = match &message.content {
        None => content::words(Some(grown), None, None),
        Some(content) => content::words(None, None, Some(with_text(content, grown))),
    };
    message.set_words(words);
    Ok(i32::try_from(length).expect("at most 150,000 characters"))
}

/// The content, one markdown node of one leaf, with another text.
fn with_text(content: &Value, text: String) -> Value {
    let mut content = content.clone();
    content[0]["children"][0]["text"] = Value::String(text);
    content
}
