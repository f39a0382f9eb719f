//! Objects by their id alone, as the Relay object identification specification has it.

use std::collections::HashMap;
use std::str::FromStr;

use async_graphql::{Context, ID, Interface, Object};

use crate::db;
use crate::db::access::attachments::{self, AttachmentAccess};
use crate::db::access::{find, manage};
use crate::error::{Error, Result};
use crate::graphql::attachment::{
    AnnotationAttachment, Attachment, FileAttachment, ImageAttachment,
};
use crate::graphql::context::Ask;
use crate::graphql::delivery::Delivery;
use crate::graphql::inbox::Inbox;
use crate::graphql::message::Message;
use crate::graphql::organization::Organization;
use crate::graphql::thread::Thread;
use crate::graphql::user::User;
use crate::graphql::webhook::Webhook;
use crate::ids::{
    AttachmentId, DeliveryId, InboxId, MessageId, OrganizationId, ThreadId, UserId, WebhookId,
};

/// An object with an id of its own.
#[derive(Interface, Clone)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "Its id, a TypeID such as thr_01h455vb4pex5vsknk084sn02q."
))]
pub enum Node {
    /// An organization.
    Organization(Organization),
    /// A user.
    User(User),
    /// A thread.
    Thread(Thread),
    /// A message.
    Message(Message),
    /// An inbox.
    Inbox(Inbox),
    /// A file.
    File(FileAttachment),
    /// An image.
    Image(ImageAttachment),
    /// An annotation.
    Annotation(AnnotationAttachment),
    /// A webhook.
    Webhook(Webhook),
    /// A delivery.
    Delivery(Delivery),
}

impl From<Attachment> for Node {
    fn from(attachment: Attachment) -> Self {
        match attachment {
            Attachment::File(file) => Self::File(file),
            Attachment::Image(image) => Self::Image(image),
            Attachment::Annotation(annotation) => Self::Annotation(annotation),
        }
    }
}

/// Most ids of one `nodes` call.
const MAX_IDS: usize = 100;

/// Look-ups by id.
#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The object with this id; null if there is none that the viewer may see.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An id as the API wrote it; not an externalId.")] id: ID,
    ) -> Result<Option<Node>> {
        let found = find(ctx, std::slice::from_ref(&id)).await?;
        Ok(found.into_values().next())
    }

    /// The objects with these ids, in that order; null for each that the viewer may not see.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most 100 ids as the API wrote them.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > MAX_IDS {
            return Err(Error::field("ids", format!("at most {MAX_IDS} at once")));
        }
        let found = find(ctx, &ids).await?;
        let node = |id: &ID| found.get(id.as_str()).cloned();
        Ok(ids.iter().map(node).collect())
    }
}

/// Those of the objects that the viewer may see, by their ids: a few statements for each type.
async fn find(ctx: &Context<'_>, ids: &[ID]) -> Result<HashMap<String, Node>> {
    let viewer = ctx.viewer()?;
    let mut conn = ctx.app().conn().await?;
    let mut found = HashMap::new();
    let organizations = of_type::<OrganizationId>(ids);
    if !organizations.is_empty() {
        let rows = find::organizations_by_ids(&mut conn, &viewer, &organizations).await?;
        found.extend(rows.into_iter().map(|row| {
            let id = row.organization().id.to_string();
            (id, Node::Organization(Organization::new(row)))
        }));
    }
    let users = of_type::<UserId>(ids);
    if !users.is_empty() {
        let rows = find::users_by_ids(&mut conn, &viewer, &users).await?;
        let node = |row: db::user::User| (row.id.to_string(), Node::User(User::new(row)));
        found.extend(rows.into_iter().map(node));
    }
    let threads = of_type::<ThreadId>(ids);
    if !threads.is_empty() {
        let rows = find::threads_by_ids(&mut conn, &viewer, &threads).await?;
        let node = |(id, row): (ThreadId, _)| (id.to_string(), Node::Thread(Thread::new(row)));
        found.extend(rows.into_iter().map(node));
    }
    let messages = of_type::<MessageId>(ids);
    if !messages.is_empty() {
        let rows = find::messages_by_ids(&mut conn, &viewer, &messages).await?;
        found.extend(rows.into_iter().map(|row| {
            let id = row.message().id.to_string();
            (id, Node::Message(Message::new(row)))
        }));
    }
    let inboxes = of_type::<InboxId>(ids);
    if !inboxes.is_empty() {
        let rows = find::inboxes_by_ids(&mut conn, &viewer, &inboxes).await?;
        let node = |row: db::inbox::Inbox| (row.id.to_string(), Node::Inbox(Inbox::new(row)));
        found.extend(rows.into_iter().map(node));
    }
    let attachments = of_type::<AttachmentId>(ids);
    if !attachments.is_empty() {
        let rows = attachments::by_ids(&mut conn, &viewer, &attachments).await?;
        let node = |row: AttachmentAccess| {
            let id = row.attachment().id.to_string();
            (id, Attachment::of(row).into())
        };
        found.extend(rows.into_iter().map(node));
    }
    let webhooks = of_type::<WebhookId>(ids);
    if !webhooks.is_empty() {
        let rows = manage::webhooks_by_ids(&mut conn, &viewer, &webhooks).await?;
        let node =
            |row: db::webhook::Webhook| (row.id.to_string(), Node::Webhook(Webhook::new(row)));
        found.extend(rows.into_iter().map(node));
    }
    let deliveries = of_type::<DeliveryId>(ids);
    if !deliveries.is_empty() {
        let rows = manage::deliveries_by_ids(&mut conn, &viewer, &deliveries).await?;
        let node =
            |row: db::delivery::Delivery| (row.id.to_string(), Node::Delivery(Delivery::new(row)));
        found.extend(rows.into_iter().map(node));
    }
    Ok(found)
}

/// Those of the ids that are of one type.
fn of_type<T: FromStr>(ids: &[ID]) -> Vec<T> {
    ids.iter().filter_map(|id| id.parse().ok()).collect()
}
