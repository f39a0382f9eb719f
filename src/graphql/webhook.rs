//! Webhooks: where a backend is told of all that happens in an organization.

use async_graphql::{Context, Description, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use uuid::Uuid;

use crate::actions;
use crate::actions::webhook::UpsertWebhook;
use crate::db::access::{OrganizationAccess, find, manage};
use crate::db::delivery_list::Target;
use crate::db::page::{List, PageArgs, Slice};
use crate::db::webhook as db;
use crate::error::{Error, Result};
use crate::graphql::connection::{PageInfo, total};
use crate::graphql::context::Ask;
use crate::graphql::delivery::{self, DeliveryConnection};
use crate::graphql::enums::{DeliveryStatus, WebhookEvent};
use crate::graphql::organization::{self, Organization};
use crate::graphql::scalars::DateTime;
use crate::ids::{Ref, WebhookId};

/// Where a backend is told of what happens in an organization: each event that its API keys see, in
/// all of its threads, private notes too, is sent there by HTTP POST, signed, at least once with the
/// same id, those of a thread in order. For admins of the organization and API keys alone.
#[derive(Description, Clone)]
pub struct Webhook(db::Webhook);

impl Webhook {
    /// Of a row that the viewer may see.
    pub fn new(row: db::Webhook) -> Self {
        Self(row)
    }
}

#[Object(use_type_description)]
impl Webhook {
    /// The id, `whk_...`.
    pub async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The id that a backend gave it; unique per organization.
    async fn external_id(&self) -> &str {
        &self.0.external_id
    }

    /// The organization that it tells of.
    async fn organization(&self, ctx: &Context<'_>) -> Result<Organization> {
        organization::load(ctx, self.0.organization_id)
            .await?
            .ok_or(Error::NotFound("organization"))
    }

    /// Where events are sent.
    async fn url(&self) -> &str {
        &self.0.url
    }

    /// Which kinds of events are sent; none named: all of them.
    async fn events(&self) -> Vec<WebhookEvent> {
        self.0.events().map(Into::into).collect()
    }

    /// Whether anything is sent.
    async fn enabled(&self) -> bool {
        self.0.enabled
    }

    /// When it last missed events because the server was down for longer than it keeps them; null:
    /// never. What happened before that is to be read from the API.
    async fn missed_at(&self) -> Option<DateTime> {
        self.0.missed_at.map(DateTime)
    }

    /// When it came to be.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it was last set.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// What was sent, is being sent or is to be sent, the newest first.
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
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        delivery::page(ctx, Target::Webhook(self.0.id), status, &args).await
    }
}

/// The webhook with this id, if there is one, of an organization that the viewer runs.
pub async fn load(ctx: &Context<'_>, id: WebhookId) -> Result<Option<Webhook>> {
    Ok(ctx.batch()?.load_one(id).await?.map(Webhook::new))
}

/// A page of webhooks.
#[derive(Description)]
pub struct WebhookConnection {
    access: OrganizationAccess,
    slice: Slice<db::Webhook>,
}

#[Object(use_type_description)]
impl WebhookConnection {
    /// The webhooks with their cursors.
    async fn edges(&self) -> Vec<WebhookEdge> {
        let edge = |row: &db::Webhook| WebhookEdge {
            cursor: row.key().encode(List::Webhooks),
            node: Webhook(row.clone()),
        };
        self.slice.rows.iter().map(edge).collect()
    }

    /// The webhooks.
    async fn nodes(&self) -> Vec<Webhook> {
        self.slice.rows.iter().cloned().map(Webhook).collect()
    }

    /// Where this page stands in the list.
    async fn page_info(&self) -> PageInfo {
        PageInfo::of(&self.slice, |row| row.key().encode(List::Webhooks))
    }

    /// How many there are in all.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let conn = &mut ctx.app().conn().await?;
        db::count(conn, &self.access).await.map(total)
    }
}

/// A webhook in a list.
#[derive(SimpleObject)]
pub struct WebhookEdge {
    /// The webhook's place in the list.
    cursor: String,
    /// The webhook.
    node: Webhook,
}

/// Reading webhooks.
#[derive(Default)]
pub struct WebhookQuery;

#[Object]
impl WebhookQuery {
    /// A webhook: admins of its organization, API keys. FORBIDDEN to other members, otherwise
    /// NOT_FOUND.
    async fn webhook(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The webhook's id or externalId.")] id: ID,
    ) -> Option<Result<Webhook>> {
        let find = async {
            let viewer = ctx.viewer()?;
            let conn = &mut ctx.app().conn().await?;
            let found = manage::webhook(conn, &viewer, &Ref::parse(&id)).await?;
            Ok(Webhook(found))
        };
        Some(find.await)
    }

    /// The webhooks of an organization, the oldest first: admins of it, API keys. FORBIDDEN to
    /// other members, otherwise NOT_FOUND.
    async fn webhooks(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The organization's id or externalId; required if the credential is not bound to one."
        )]
        organization_id: Option<ID>,
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
    ) -> Result<WebhookConnection> {
        let viewer = ctx.viewer()?;
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = ctx.page::<Uuid>(&args, List::Webhooks)?;
        let organization = organization_id.map(|id| Ref::parse(&id));
        let conn = &mut ctx.app().conn().await?;
        let access = find::organization_or_bound(conn, &viewer, organization.as_ref()).await?;
        manage::prove(&viewer, access.organization().id)?;
        let slice = db::page(conn, &access, &page).await?;
        Ok(WebhookConnection { access, slice })
    }
}

/// A webhook as a backend wants it. What is absent stays as it is.
#[derive(InputObject)]
struct UpsertWebhookInput {
    /// Your id for it: 1 to 320 characters, unique per organization.
    external_id: String,
    /// The organization's id or externalId.
    organization_id: ID,
    /// Where events are to be sent, http or https, without a name or password in it; required for
    /// a new webhook. Private and local addresses are refused unless the server is set to allow them.
    url: Option<String>,
    /// Which kinds of events are to be sent; an empty list, and none for a new webhook: all.
    events: Option<Vec<WebhookEvent>>,
    /// What is to sign them: `whsec_` and 24 to 64 bytes in base64. Null, and none for a new
    /// webhook: one is made up.
    secret: MaybeUndefined<String>,
    /// Whether anything is to be sent; a new webhook is enabled. While it is not, nothing new
    /// comes to its deliveries, and those that are pending wait.
    enabled: Option<bool>,
}

/// The outcome of `upsertWebhook`.
#[derive(SimpleObject)]
struct UpsertWebhookPayload {
    /// The webhook.
    webhook: Webhook,
    /// The secret, if this has made or changed it: it is told this once.
    secret: Option<String>,
}

/// Which webhook is to go.
#[derive(InputObject)]
struct DeleteWebhookInput {
    /// The webhook's id or externalId.
    webhook_id: ID,
}

/// The outcome of `deleteWebhook`.
#[derive(SimpleObject)]
struct DeleteWebhookPayload {
    /// The id that it had.
    deleted_webhook_id: ID,
}

/// Changing webhooks.
#[derive(Default)]
pub struct WebhookMutation;

#[Object]
impl WebhookMutation {
    /// Makes a webhook, or changes the one with that externalId. It is told what an API key of the
    /// organization sees, threads of others and private notes included, whoever sets it up. What it
    /// wants by this holds for what happens after the answer; what happened before that is told as
    /// it was wanted then. An organization has at most 20; one more is a CONFLICT. Admins, API keys.
    async fn upsert_webhook(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The webhook.")] input: UpsertWebhookInput,
    ) -> Option<Result<UpsertWebhookPayload>> {
        let organization = Ref::parse(&input.organization_id);
        let events = input.events;
        let input = UpsertWebhook {
            external_id: input.external_id,
            url: input.url,
            events: events.map(|events| events.into_iter().map(Into::into).collect()),
            secret: input.secret.into(),
            enabled: input.enabled,
        };
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let done = actions::webhook::upsert(app, &viewer, &organization, input).await?;
            let (webhook, new_secret) = done;
            Ok(UpsertWebhookPayload {
                webhook: Webhook(webhook),
                secret: new_secret.map(|secret| secret.reveal().to_owned()),
            })
        };
        Some(done.await)
    }

    /// Deletes a webhook, with the log of its deliveries and those that are pending. What is being
    /// sent at this moment may still arrive. Admins, API keys.
    async fn delete_webhook(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The webhook.")] input: DeleteWebhookInput,
    ) -> Option<Result<DeleteWebhookPayload>> {
        let name = Ref::parse(&input.webhook_id);
        let done = async {
            let viewer = ctx.viewer()?;
            let deleted = actions::webhook::delete(ctx.app(), &viewer, &name).await?;
            Ok(DeleteWebhookPayload {
                deleted_webhook_id: deleted.to_string().into(),
            })
        };
        Some(done.await)
    }
}
