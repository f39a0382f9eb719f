//! The log of deliveries: what was sent to webhooks and inboxes, and how that went.

use async_graphql::{Context, Description, ID, InputObject, Object, SimpleObject};

use crate::actions;
use crate::db::delivery as db;
use crate::db::delivery_list::Target;
use crate::db::enums;
use crate::db::page::{List, PageArgs, Slice};
use crate::error::{Error, Result};
use crate::graphql::connection::{PageInfo, total};
use crate::graphql::context::Ask;
use crate::graphql::delivery_loaders::{DeliveriesTo, DeliveryCountTo};
use crate::graphql::enums::{DeliveryStatus, WebhookEvent};
use crate::graphql::inbox::{self, Inbox};
use crate::graphql::loaders::ThreadOf;
use crate::graphql::message::Message;
use crate::graphql::scalars::DateTime;
use crate::graphql::thread::Thread;
use crate::graphql::webhook::{self, Webhook};
use crate::ids::DeliveryId;

/// Something that is sent to a webhook, or to the webhook of an inbox, until it has arrived or was
/// tried often enough. Its id is the header `webhook-id` of each attempt. Kept for a while after
/// that. For admins of the organization and API keys alone.
#[derive(Description, Clone)]
pub struct Delivery(db::Delivery);

impl Delivery {
    /// Of a row that the viewer may see.
    pub fn new(row: db::Delivery) -> Self {
        Self(row)
    }
}

#[Object(use_type_description)]
impl Delivery {
    /// The id, `dlv_...`.
    pub async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The webhook that it is for; null: it is for an inbox.
    async fn webhook(&self, ctx: &Context<'_>) -> Result<Option<Webhook>> {
        match self.0.webhook_id {
            Some(id) => webhook::load(ctx, id).await,
            None => Ok(None),
        }
    }

    /// The inbox that it is for; null: it is for a webhook.
    async fn inbox(&self, ctx: &Context<'_>) -> Result<Option<Inbox>> {
        match self.0.inbox_id {
            Some(id) => inbox::load(ctx, id).await,
            None => Ok(None),
        }
    }

    /// What it tells.
    async fn event(&self) -> WebhookEvent {
        self.0.event.into()
    }

    /// The thread in which that happened; null once it is deleted or has left the organization.
    async fn thread(&self, ctx: &Context<'_>) -> Result<Option<Thread>> {
        let found = ctx.batch()?.load_one(ThreadOf(self.0.thread_id)).await?;
        Ok(found.map(Thread::new))
    }

    /// The message that it tells of; null: of none, or of one that is deleted for good.
    async fn message(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let Some(id) = self.0.message_id else {
            return Ok(None);
        };
        let batch = ctx.batch()?;
        let Some(row) = batch.load_one(id).await? else {
            return Ok(None);
        };
        let access = batch.load_one(ThreadOf(row.thread_id)).await?;
        Ok(access.and_then(|access| access.message(row).map(Message::new).ok()))
    }

    /// How far it has come.
    async fn status(&self) -> DeliveryStatus {
        self.0.status.into()
    }

    /// How often it was tried, since it was last begun.
    async fn attempts(&self) -> i32 {
        self.0.attempts
    }

    /// When it was last tried.
    async fn last_attempt_at(&self) -> Option<DateTime> {
        self.0.last_attempt_at.map(DateTime)
    }

    /// When it is tried next, at the earliest: not before those before it in its thread have
    /// arrived or failed. Null once it has.
    async fn next_attempt_at(&self) -> Option<DateTime> {
        let pending = self.0.status == enums::DeliveryStatus::Pending;
        pending.then_some(DateTime(self.0.next_at))
    }

    /// The HTTP status of the last answer; null: there was none.
    async fn response_status(&self) -> Option<i32> {
        self.0.response_status
    }

    /// Why the last attempt did not succeed, or why nothing had to be sent.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// When it came to be, or was last begun anew.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it had arrived, or was given up; null: neither yet.
    async fn finished_at(&self) -> Option<DateTime> {
        self.0.finished_at.map(DateTime)
    }
}

/// A page of deliveries.
#[derive(Description)]
pub struct DeliveryConnection {
    list: DeliveryCountTo,
    slice: Slice<db::Delivery>,
}

#[Object(use_type_description)]
impl DeliveryConnection {
    /// The deliveries with their cursors.
    async fn edges(&self) -> Vec<DeliveryEdge> {
        let edge = |row: &db::Delivery| DeliveryEdge {
            cursor: row.key().encode(List::Deliveries),
            node: Delivery(row.clone()),
        };
        self.slice.rows.iter().map(edge).collect()
    }

    /// The deliveries.
    async fn nodes(&self) -> Vec<Delivery> {
        self.slice.rows.iter().cloned().map(Delivery).collect()
    }

    /// Where this page stands in the list.
    async fn page_info(&self) -> PageInfo {
        PageInfo::of(&self.slice, |row| row.key().encode(List::Deliveries))
    }

    /// How many there are in all, of those that are still kept.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let count = ctx.batch()?.load_one(self.list).await?;
        Ok(total(count.unwrap_or(0)))
    }
}

/// A delivery in a list.
#[derive(SimpleObject)]
pub struct DeliveryEdge {
    /// The delivery's place in the list.
    cursor: String,
    /// The delivery.
    node: Delivery,
}

/// A page of what goes to a webhook or an inbox, of an organization that the viewer runs.
pub async fn page(
    ctx: &Context<'_>,
    target: Target,
    status: Option<DeliveryStatus>,
    args: &PageArgs,
) -> Result<DeliveryConnection> {
    let page = ctx.page::<i64>(args, List::Deliveries)?;
    let list = DeliveryCountTo(target, status.map(Into::into));
    let DeliveryCountTo(target, status) = list;
    let wanted = DeliveriesTo(target, status, page.clone());
    let found = ctx.batch()?.load_one(wanted).await?;
    let slice = found.unwrap_or_else(|| page.cut(Vec::new()));
    Ok(DeliveryConnection { list, slice })
}

/// Which delivery is to be made once more.
#[derive(InputObject)]
struct RetryDeliveryInput {
    /// The delivery's id.
    delivery_id: ID,
}

/// The outcome of `retryDelivery`.
#[derive(SimpleObject)]
struct RetryDeliveryPayload {
    /// The delivery.
    delivery: Delivery,
}

/// Changing deliveries.
#[derive(Default)]
pub struct DeliveryMutation;

#[Object]
impl DeliveryMutation {
    /// Begins a FAILED delivery anew, with the same id; for an inbox it is `retryMessage` of its
    /// message, which the viewer must see. Any other one stays as it is. Admins, API keys.
    async fn retry_delivery(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The delivery.")] input: RetryDeliveryInput,
    ) -> Option<Result<RetryDeliveryPayload>> {
        let done = async {
            let viewer = ctx.viewer()?;
            let id: Result<DeliveryId, _> = input.delivery_id.parse();
            let id = id.map_err(|_| Error::NotFound("delivery"))?;
            let delivery = actions::webhook::retry_delivery(ctx.app(), &viewer, id).await?;
            Ok(RetryDeliveryPayload {
                delivery: Delivery(delivery),
            })
        };
        Some(done.await)
    }
}
