//! What a delivery says: its event as the schema tells it to an API key of the organization at
//! the moment of the attempt. So names, tombstones and access are those of every other client.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::app::App;
use crate::auth::{Credential, Viewer};
use crate::db::access::{MessageAccess, ThreadAccess, find};
use crate::db::delivery::Delivery;
use crate::db::enums::{Direction, Mark, MessageStatus, MessageType, WebhookEvent};
use crate::db::lookups::Lookups;
use crate::db::pool::Conn;
use crate::db::{events, message};
use crate::error::{Error, Result};
use crate::event::{Audience, Event, Fact};
use crate::fanout::run::{Executed, Plan, Run};
use crate::graphql;
use crate::ids::{MessageId, Ref};
use crate::live::cursor::Position;
use crate::live::viewer::replay::Occurrence;
use crate::live::viewer::telling::What;

/// What is selected of each event.
const DOCUMENT: &str = include_str!("event.graphql");

/// Makes the bodies of deliveries.
pub struct Renderer {
    app: Arc<App>,
    plan: Plan,
}

/// What there is to deliver.
#[derive(Debug)]
pub enum Rendered {
    /// A body in JSON.
    Body(String),
    /// Nothing any more; why.
    Gone(&'static str),
    /// Nothing, though there should be something; why.
    Lost(&'static str),
}

/// A body, in the shape of the Standard Webhooks specification.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    timestamp: String,
    data: &'a RawValue,
}

/// The answer to the document.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Told<'a>,
}

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
}

impl Renderer {
    /// Of a server.
    pub fn new(app: Arc<App>) -> Self {
        let schema = graphql::schema().finish();
        Self {
            app,
            plan: Plan::of_document(schema, DOCUMENT),
        }
    }

    /// The body of a delivery as of now. What has gone since it happened is not told, as it would
    /// not be to a subscriber who comes back: its removal is an event of its own.
    pub async fn render(&self, delivery: &Delivery) -> Result<Rendered> {
        let viewer = Arc::new(Viewer::backend(Some(delivery.organization_id)));
        let mut conn = self.app.conn().await?;
        let found = if delivery.inbox_id.is_some() {
            outgoing(&mut conn, &viewer, delivery).await?
        } else {
            happened(&mut conn, &viewer, delivery).await?
        };
        drop(conn);
        let (what, at) = match found {
            Ok(found) => found,
            Err(none) => return Ok(none),
        };
        let occurrence = Occurrence {
            what,
            cursor: cursor(delivery).into(),
            at,
            payloads: None,
        };
        let credential = Credential::Key {
            id: "delivery".into(),
        };
        let mut run = Run::new(&self.app, &self.plan, &credential, Arc::clone(&viewer));
        match run.execute_for(&occurrence, viewer).await {
            Executed::Result {
                json,
                failed: false,
                ..
            } => body(delivery.event, at, &json).map(Rendered::Body),
            Executed::Result { json, .. } | Executed::Errors { json, .. } => Err(Error::internal(
                format!("an event was not rendered: {json}"),
            )),
        }
    }
}

fn body(event: WebhookEvent, at: DateTime<Utc>, answer: &str) -> Result<String> {
    let answer: Answer = serde_json::from_str(answer).map_err(Error::internal)?;
    let body = Body {
        r#type: event.type_name(),
        timestamp: at.to_rfc3339_opts(SecondsFormat::Micros, true),
        data: answer.data.event,
    };
    serde_json::to_string(&body).map_err(Error::internal)
}

/// From where `threadEvents` goes on behind a delivery. Which watermarks had moved by then is not
/// known, so all of them are told then.
fn cursor(delivery: &Delivery) -> String {
    let place = Position {
        seq: delivery.seq.unwrap_or_default(),
        running: 0,
    };
    place.encode(delivery.thread_id)
}

/// Something to tell and when it happened, or why there is no body.
type Found = std::result::Result<(What, DateTime<Utc>), Rendered>;

/// A message on its way out of an inbox. Its words are those of this moment.
async fn outgoing(conn: &mut Conn, viewer: &Viewer, delivery: &Delivery) -> Result<Found> {
    let Some(id) = delivery.message_id else {
        return Ok(Err(Rendered::Gone("it is about no message")));
    };
    let access: MessageAccess = match find::message(conn, viewer, &Ref::Id(id)).await {
        Ok(access) => access,
        Err(Error::NotFound(_)) => {
            let gone = "the message was deleted, or has left the organization";
            return Ok(Err(Rendered::Gone(gone)));
        }
        Err(error) => return Err(error),
    };
    let (message, thread) = access.into_parts();
    let gone = if thread.thread().inbox_id != delivery.inbox_id {
        Some("the thread has left the inbox")
    } else if message.deleted_at.is_some() {
        Some("the message was deleted before it was delivered")
    } else if message.status == MessageStatus::Failed {
        Some("the message was reported as FAILED before it was delivered")
    } else if message.private
        || message.type_ != MessageType::User
        || message.direction != Some(Direction::Outgoing)
    {
        Some("the message is no longer one that goes out")
    } else {
        None
    };
    if let Some(gone) = gone {
        return Ok(Err(Rendered::Gone(gone)));
    }
    let event = Event {
        organization_id: message.organization_id,
        thread_id: message.thread_id,
        seq: message.seq.unwrap_or_default(),
        fact: Fact::MessageCreated(Arc::new(message)),
        actor_id: delivery.user_id,
        occurred_at: delivery.occurred_at,
        audience: Audience::Everyone,
        former: None,
        lookups: Lookups::default(),
    };
    let at = event.occurred_at;
    Ok(Ok((What::Event(Arc::new(event), thread), at)))
}

/// What happened to a thread, for a webhook.
async fn happened(conn: &mut Conn, viewer: &Viewer, delivery: &Delivery) -> Result<Found> {
    let (thread, at) = (delivery.thread_id, delivery.occurred_at);
    if delivery.event == WebhookEvent::ThreadDeleted {
        return Ok(Ok((What::Lost(thread), at)));
    }
    let mut seen = find::threads_by_ids(conn, viewer, &[thread]).await?;
    let Some(access) = seen.remove(&thread) else {
        let gone = "the thread was deleted, or has left the organization";
        return Ok(Err(Rendered::Gone(gone)));
    };
    let what = match delivery.event {
        WebhookEvent::ThreadSeen => moved(conn, Mark::Seen, delivery, access).await?,
        WebhookEvent::ThreadDelivered => moved(conn, Mark::Delivered, delivery, access).await?,
        _ => logged(conn, delivery, access).await?,
    };
    if let (None, Some(seq)) = (&what, delivery.seq)
        && !events::is_kept(conn, thread, seq).await?
    {
        let lost = "the log no longer has what happened: it was kept for too short a time";
        return Ok(Err(Rendered::Lost(lost)));
    }
    let gone = "what happened is no longer told: the message was deleted";
    Ok(what.map(|what| (what, at)).ok_or(Rendered::Gone(gone)))
}

async fn moved(
    conn: &mut Conn,
    mark: Mark,
    delivery: &Delivery,
    access: ThreadAccess,
) -> Result<Option<What>> {
    let up_to: Vec<MessageId> = delivery.message_id.into_iter().collect();
    let up_to = message::by_ids(conn, &up_to).await?.pop();
    let up_to = up_to.filter(|message| message.thread_id == access.thread().id);
    let moved = |user| What::Moved(mark, user, up_to.map(Arc::new), access);
    Ok(delivery.user_id.map(moved))
}

async fn logged(
    conn: &mut Conn,
    delivery: &Delivery,
    access: ThreadAccess,
) -> Result<Option<What>> {
    let Some(seq) = delivery.seq else {
        return Ok(None);
    };
    let event = events::at(conn, &[(delivery.thread_id, seq)]).await?.pop();
    let event = event.filter(|event| access.hears_of(event));
    Ok(event.map(|event| What::Event(event, access)))
}
