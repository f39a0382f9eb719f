//! The way of a message to the URL of an API inbox: queued with the sending, settled with the
//! answer, put back by a retry. Webhooks' deliveries are settled here, too.

use std::sync::Arc;

use diesel_async::AsyncConnection;

use crate::actions::change::Change;
use crate::actions::message::lock;
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::MessageAccess;
use crate::db::delivery::queue::{self, Claim};
use crate::db::delivery::{self, Attempt, Delivery, NewDelivery};
use crate::db::enums::{Channel, DeliveryStatus, Direction, MessageStatus, MessageType};
use crate::db::inbox::{self, Inbox};
use crate::db::message::{self, Message};
use crate::db::pool::Conn;
use crate::db::thread::Thread;
use crate::error::{Error, Result};
use crate::event::Fact;
use crate::ids::Ref;

/// The inbox to whose URL a message of this kind goes that is sent in a thread; none: it goes
/// nowhere but into the thread.
pub async fn inbox_for(
    conn: &mut Conn,
    thread: &Thread,
    (kind, direction, private): (MessageType, Option<Direction>, bool),
) -> Result<Option<Inbox>> {
    let outgoing = direction == Some(Direction::Outgoing);
    match thread.inbox_id {
        Some(id) if outgoing && kind == MessageType::User && !private => {
            let inbox = inbox::by_ids(conn, &[id]).await?.pop();
            Ok(inbox.filter(delivers))
        }
        _ => Ok(None),
    }
}

/// Queues a message that is sent by this change.
pub async fn enqueue(
    conn: &mut Conn,
    change: &Change,
    inbox: &Inbox,
    message: &Message,
) -> Result<()> {
    let new = NewDelivery::of_message(inbox, message, change.actor_id(), change.now);
    delivery::enqueue(conn, &[new]).await
}

/// Queues a message that is to be sent once more: under its former id, unless it was taken under
/// that one, since who has seen an id need not look at it again.
pub async fn enqueue_again(
    conn: &mut Conn,
    change: &Change,
    inbox: &Inbox,
    message: &Message,
) -> Result<()> {
    if !delivers(inbox) {
        return Ok(());
    }
    let known = delivery::of_message(conn, inbox.id, message.id).await?;
    if let Some(known) = known.filter(|known| known.status != DeliveryStatus::Delivered)
        && delivery::put_back(conn, &known, change.now).await?
    {
        return Ok(());
    }
    enqueue(conn, change, inbox, message).await
}

/// Lets those who deliver know of a message that is on its way, once it is committed.
pub fn wake(app: &App, message: &Message) {
    if message.status == MessageStatus::Sending {
        app.deliveries.notify_one();
    }
}

/// Stores what became of an attempt, unless somebody else has taken the delivery over, and tells
/// how far its message has come by it; whether it was stored.
pub async fn settle(
    app: &Arc<App>,
    claim: &Claim,
    delivery: &Delivery,
    attempt: &Attempt,
) -> Result<bool> {
    let mut conn = app.conn().await?;
    let told = conn
        .transaction(async |conn| {
            // The thread is locked before the queue, as it is when a message is sent.
            let reported = match attempt.status {
                DeliveryStatus::Pending => None,
                DeliveryStatus::Delivered | DeliveryStatus::Failed => {
                    report(app, conn, delivery, attempt).await?
                }
            };
            if !queue::hold(conn, claim).await? {
                return Ok(None);
            }
            delivery::record(conn, delivery.id, attempt).await?;
            queue::release(conn, claim).await?;
            let Some((mut change, message)) = reported else {
                return Ok(Some(None));
            };
            message::save(conn, &message).await?;
            change.tell_message(&message, Fact::MessageUpdated);
            let (_, told) = change.save(conn).await?;
            Ok::<_, Error>(Some(Some(told)))
        })
        .await?;
    let stored = told.is_some();
    if let Some(told) = told.flatten() {
        app.bus.publish(told.events());
    }
    Ok(stored)
}

/// Ends a claim of a queue in which there is nothing to deliver.
pub async fn let_go(app: &App, claim: &Claim) -> Result<()> {
    let mut conn = app.conn().await?;
    conn.transaction(async |conn| {
        if queue::hold(conn, claim).await? {
            queue::release(conn, claim).await?;
        }
        Ok(())
    })
    .await
}

/// The message of an inbox's delivery as the attempt leaves it, its thread locked; none: it is
/// not changed by it.
async fn report(
    app: &App,
    conn: &mut Conn,
    delivery: &Delivery,
    attempt: &Attempt,
) -> Result<Option<(Change, Message)>> {
    let (Some(_), Some(id)) = (delivery.inbox_id, delivery.message_id) else {
        return Ok(None);
    };
    // Wherever the thread is by now, its message must not stay on its way.
    let server = Viewer::backend(None);
    let found = lock(conn, &server, &Ref::Id(id), app.clock.now()).await;
    let (change, access): (Change, MessageAccess) = match found {
        Ok(found) => found,
        Err(Error::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut message, _) = access.into_parts();
    // What was reported of it meanwhile counts for more.
    if message.status != MessageStatus::Sending {
        return Ok(None);
    }
    if attempt.status == DeliveryStatus::Delivered {
        message.status = MessageStatus::Sent;
    } else {
        message.status = MessageStatus::Failed;
        message.delivery_error.clone_from(&attempt.error);
    }
    Ok(Some((change, message)))
}

fn delivers(inbox: &Inbox) -> bool {
    inbox.channel == Channel::Api && inbox.webhook_url.is_some()
}
