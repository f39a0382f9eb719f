//! Inboxes: the channels by which contacts write.

use async_graphql::{Context, Description, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use crate::actions;
use crate::actions::inbox::UpsertInbox;
use crate::db::access::{find, manage};
use crate::db::delivery_list::Target;
use crate::db::enums::Role;
use crate::db::inbox as db;
use crate::db::page::PageArgs;
use crate::error::{Error, Result};
use crate::graphql::context::Ask;
use crate::graphql::delivery::{self, DeliveryConnection};
use crate::graphql::enums::{DeliveryStatus, InboxChannel};
use crate::graphql::organization::{self, Organization};
use crate::graphql::scalars::DateTime;
use crate::ids::{InboxId, Ref};

/// A channel by which contacts write. In a thread of an inbox each message has a direction.
#[derive(Description, Clone)]
pub struct Inbox(db::Inbox);

impl Inbox {
    /// Of a row that the viewer may see.
    pub fn new(row: db::Inbox) -> Self {
        Self(row)
    }
}

#[Object(use_type_description)]
impl Inbox {
    /// The id, `inb_...`.
    pub async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The id that a backend gave it; unique per organization.
    async fn external_id(&self) -> Option<&str> {
        self.0.external_id.as_deref()
    }

    /// The organization that it belongs to.
    async fn organization(&self, ctx: &Context<'_>) -> Result<Organization> {
        organization::load(ctx, self.0.organization_id)
            .await?
            .ok_or(Error::NotFound("organization"))
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What kind of channel it is.
    async fn channel(&self) -> InboxChannel {
        self.0.channel.into()
    }

    /// Where outgoing messages of an API inbox go; those of a WEB inbox go nowhere. Null unless
    /// the viewer is an admin or an API key.
    async fn webhook_url(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        let viewer = ctx.viewer()?;
        let admin = viewer.role_in(self.0.organization_id) == Some(Role::Admin);
        let url = self.0.webhook_url.as_deref();
        Ok(url.filter(|_| admin || viewer.is_key()))
    }

    /// What was sent to its webhook, is being sent or is to be sent, the newest first. FORBIDDEN
    /// unless the viewer is an admin or an API key.
    async fn deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those that have come so far.")] status: Option<DeliveryStatus>,
        #[graphql(
            desc = "At most this many, from the front: 1 to 100, or what the server is set to."
        )]
        first: Option<i32>,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(
            desc = "At most this many, from the back: 1 to 100, or what the server is set to."
        )]
        last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<DeliveryConnection> {
        let viewer = ctx.viewer()?;
        manage::prove(&viewer, self.0.organization_id)?;
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        delivery::page(ctx, Target::Inbox(self.0.id), status, &args).await
    }

    /// When it came to be.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

/// The inbox with this id.
pub async fn load(ctx: &Context<'_>, id: InboxId) -> Result<Option<Inbox>> {
    Ok(ctx.batch()?.load_one(id).await?.map(Inbox::new))
}

/// Reading inboxes.
#[derive(Default)]
pub struct InboxQuery;

#[Object]
impl InboxQuery {
    /// An inbox: members of its organization, API keys; otherwise NOT_FOUND.
    async fn inbox(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The inbox's id or externalId.")] id: ID,
    ) -> Option<Result<Inbox>> {
        let find = async {
            let viewer = ctx.viewer()?;
            let conn = &mut ctx.app().conn().await?;
            find::inbox(conn, &viewer, &Ref::parse(&id))
                .await
                .map(Inbox)
        };
        Some(find.await)
    }
}

/// An inbox as a backend wants it.
#[derive(InputObject)]
struct UpsertInboxInput {
    /// Your id for it: 1 to 320 characters, unique per organization.
    external_id: String,
    /// The organization's id or externalId.
    organization_id: ID,
    /// Its name: 1 to 255 characters.
    name: String,
    /// What kind of channel it is.
    channel: InboxChannel,
    /// Where outgoing messages of an API inbox go, each by a POST in the form of the Standard
    /// Webhooks specification: http or https, without user and password, an address of the public
    /// Internet unless the server's settings allow another one. Null clears it: what is on its
    /// way is then FAILED. With another one, what is on its way goes there.
    webhook_url: MaybeUndefined<String>,
    /// What signs them: `whsec_` and the base64 of 24 to 64 bytes. Absent: as it is; null, or
    /// where there is none yet for a URL: a new one is made, and told in the payload.
    webhook_secret: MaybeUndefined<String>,
}

/// The outcome of `upsertInbox`.
#[derive(SimpleObject)]
struct UpsertInboxPayload {
    /// The inbox.
    inbox: Inbox,
    /// The secret that was made for it; told this once. Null: none was made.
    webhook_secret: Option<String>,
}

/// Changing inboxes.
#[derive(Default)]
pub struct InboxMutation;

#[Object]
impl InboxMutation {
    /// Makes an inbox, or changes the one with that externalId. Admins, API keys.
    async fn upsert_inbox(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The inbox.")] input: UpsertInboxInput,
    ) -> Option<Result<UpsertInboxPayload>> {
        let organization = Ref::parse(&input.organization_id);
        let values = UpsertInbox {
            external_id: input.external_id,
            name: input.name,
            channel: input.channel.into(),
            webhook_url: input.webhook_url.into(),
            webhook_secret: input.webhook_secret.into(),
        };
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let done = actions::inbox::upsert(app, &viewer, &organization, values).await?;
            let (inbox, made) = done;
            Ok(UpsertInboxPayload {
                inbox: Inbox(inbox),
                webhook_secret: made.map(|secret| secret.reveal().to_owned()),
            })
        };
        Some(done.await)
    }
}
