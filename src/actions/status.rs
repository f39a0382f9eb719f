//! Writes on how far messages of an API inbox have come.

use std::sync::Arc;

use diesel_async::AsyncConnection;

use crate::actions::change::Change;
use crate::actions::message::lock;
use crate::actions::{check, delivery};
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::MessageAccess;
use crate::db::enums::{Channel, MessageStatus};
use crate::db::inbox::{self, Inbox};
use crate::db::message::{self, Message};
use crate::db::pool::Conn;
use crate::error::{Error, Faults, Result};
use crate::event::Fact;
use crate::ids::{MessageId, Ref};

/// Most characters of the reason of a failure.
const MAX_REASON: usize = 1000;

/// Takes a report of how far a message has come. It moves up only; a lower one changes nothing.
pub async fn update(
    app: &Arc<App>,
    viewer: &Viewer,
    name: &Ref<MessageId>,
    status: MessageStatus,
    error: Option<&str>,
) -> Result<MessageAccess> {
    let mut faults = Faults::default();
    check::text(&mut faults, "error", error, MAX_REASON);
    if status == MessageStatus::Draft {
        faults.add("status", "is not one that a sent message comes to");
    }
    faults.finish()?;
    change(app, viewer, name, |message, inbox| {
        if inbox.is_none() {
            return Err(Error::ApiInboxRequired);
        }
        if message.is_draft() {
            return Err(Error::Conflict("the message has not been sent".to_owned()));
        }
        let after = message.status.after(status);
        if after == status {
            message.status = after;
            let failed = after == MessageStatus::Failed;
            message.delivery_error = error.filter(|_| failed).map(str::to_owned);
        }
        Ok(())
    })
    .await
}

/// Sends a FAILED message of an API inbox on its way once more; any other one stays as it is. It
/// is delivered again if the inbox has a URL, else it is for a backend to take.
pub async fn retry(
    app: &Arc<App>,
    viewer: &Viewer,
    name: &Ref<MessageId>,
) -> Result<MessageAccess> {
    change(app, viewer, name, |message, inbox| {
        if inbox.is_some() && message.status == MessageStatus::Failed {
            message.status = MessageStatus::Sending;
            message.delivery_error = None;
        }
        Ok(())
    })
    .await
}

async fn change(
    app: &Arc<App>,
    viewer: &Viewer,
    name: &Ref<MessageId>,
    apply: impl Fn(&mut Message, Option<&Inbox>) -> Result<()> + Sync,
) -> Result<MessageAccess> {
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let (message, thread, told) = conn
        .transaction(async |conn| {
            let (mut change, access) = lock(conn, viewer, name, now).await?;
            if !access.thread().is_staff() {
                return Err(Error::Forbidden(
                    "only agents, admins and API keys say how far a message has come".to_owned(),
                ));
            }
            let inbox = api_inbox(conn, &change).await?;
            let (mut message, _) = access.into_parts();
            let before = message.clone();
            apply(&mut message, inbox.as_ref())?;
            if message != before {
                if let (MessageStatus::Sending, Some(inbox)) = (message.status, &inbox) {
                    delivery::enqueue_again(conn, &change, inbox, &message).await?;
                }
                message::save(conn, &message).await?;
                change.tell_message(&message, Fact::MessageUpdated);
            }
            let (thread, told) = change.save(conn).await?;
            Ok::<_, Error>((message, thread, told))
        })
        .await?;
    app.bus.publish(told.events());
    delivery::wake(app, &message);
    thread.message(message)
}

async fn api_inbox(conn: &mut Conn, change: &Change) -> Result<Option<Inbox>> {
    let inbox = match change.thread.inbox_id {
        Some(id) => inbox::by_ids(conn, &[id]).await?.pop(),
        None => None,
    };
    Ok(inbox.filter(|inbox| inbox.channel == Channel::Api))
}
