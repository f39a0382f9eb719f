//! What clients give to read and write threads.

use async_graphql::{ID, InputObject, MaybeUndefined};

use crate::actions::check;
use crate::actions::posting::{MessageValues, NewMessage};
use crate::actions::thread::{OpenThread, ThreadValues};
use crate::actions::thread_update::UpdateThread;
use crate::auth::Viewer;
use crate::db::access::find;
use crate::db::enums::Access;
use crate::db::inbox;
use crate::db::pool::Conn;
use crate::db::search_language::SearchLanguage;
use crate::db::thread_list::{Range, ThreadFilter};
use crate::error::{Error, Faults, Result};
use crate::graphql::enums::{ContentType, ThreadAccess, ThreadInboxState};
use crate::graphql::message_inputs::{content_type, given_json, names};
use crate::graphql::scalars::{DateTime, Json, MessageContent, Metadata};
use crate::ids::{InboxId, OrganizationId, Ref};

/// Which threads to list; all of it must hold.
#[derive(Default, InputObject)]
#[graphql(name = "ThreadFilter")]
pub struct ThreadFilterInput {
    /// Of this organization, by id or externalId.
    organization_id: Option<ID>,
    /// Of this inbox, by id or externalId.
    inbox_id: Option<ID>,
    /// With this participant, by id or externalId.
    participant_id: Option<ID>,
    /// Resolved, or open.
    resolved: Option<bool>,
    /// In one of these states of the viewer's inbox; UNREAD and READ if absent. For an API key
    /// every thread is READ.
    inbox_state: Option<Vec<ThreadInboxState>>,
    /// With every one of these pairs.
    metadata: Option<Metadata>,
    /// Of which the viewer is to be notified, or not.
    subscribed: Option<bool>,
    /// With something by others that the viewer has not seen, or without.
    unread: Option<bool>,
    /// Opened within.
    created_at: Option<DateTimeRange>,
    /// With the newest message within.
    last_message_at: Option<DateTimeRange>,
    /// With the oldest message within.
    first_message_at: Option<DateTimeRange>,
}

/// A stretch of time, its ends included; at least one of them is given.
#[derive(InputObject)]
pub struct DateTimeRange {
    /// From here.
    from: Option<DateTime>,
    /// To here.
    to: Option<DateTime>,
}

impl DateTimeRange {
    /// The stretch, checked; `path` is where it is in the input.
    pub fn range(range: Option<Self>, path: &str) -> Result<Range> {
        let Some(range) = range else {
            return Ok(Range::default());
        };
        if range.from.is_none() && range.to.is_none() {
            return Err(Error::field(path, "from or to is required"));
        }
        if let (Some(from), Some(to)) = (&range.from, &range.to)
            && from.0 > to.0
        {
            return Err(Error::field(path, "from must not be after to"));
        }
        Ok(Range {
            from: range.from.map(|at| at.0),
            to: range.to.map(|at| at.0),
        })
    }
}

/// The filter with everything that it names found; what the viewer does not see is NOT_FOUND.
pub async fn filter(
    conn: &mut Conn,
    viewer: &Viewer,
    input: ThreadFilterInput,
) -> Result<ThreadFilter> {
    let mut faults = Faults::default();
    check::metadata(
        &mut faults,
        "filter.metadata",
        input.metadata.as_ref().map(|metadata| &metadata.0),
    );
    faults.finish()?;
    let organization = match &input.organization_id {
        Some(id) => {
            let access = find::organization(conn, viewer, &Ref::parse(id)).await?;
            Some(access.organization().id)
        }
        None => None,
    };
    let participant = match &input.participant_id {
        Some(id) => Some(find::user(conn, viewer, &Ref::parse(id)).await?.id),
        None => None,
    };
    let inbox = match &input.inbox_id {
        Some(id) => Some(inbox(conn, viewer, organization, &Ref::parse(id)).await?),
        None => None,
    };
    let states = input.inbox_state;
    Ok(ThreadFilter {
        organization,
        inbox,
        inbox_states: states.map(|states| states.into_iter().map(Into::into).collect()),
        first_message_at: DateTimeRange::range(input.first_message_at, "filter.firstMessageAt")?,
        participant,
        resolved: input.resolved,
        metadata: input.metadata.map(|metadata| metadata.0),
        subscribed: input.subscribed,
        unread: input.unread,
        created_at: DateTimeRange::range(input.created_at, "filter.createdAt")?,
        last_message_at: DateTimeRange::range(input.last_message_at, "filter.lastMessageAt")?,
    })
}

/// The inbox of a filter: of the organization that the filter names, if it does.
async fn inbox(
    conn: &mut Conn,
    viewer: &Viewer,
    organization: Option<OrganizationId>,
    name: &Ref<InboxId>,
) -> Result<InboxId> {
    let Some(organization) = organization else {
        let found = find::inbox(conn, viewer, name).await;
        return Ok(found.map_err(|error| error.at("filter.inboxId"))?.id);
    };
    let found = inbox::of_organization(conn, organization, name).await?;
    Ok(found.ok_or(Error::NotFound("inbox"))?.id)
}

/// A thread to open.
#[derive(InputObject)]
pub struct CreateThreadInput {
    /// The organization's id or externalId; the credential's if absent.
    organization_id: Option<ID>,
    /// Your id for it: 1 to 320 characters, unique per organization. The same again with the
    /// same values answers the same thread; with other values it is a CONFLICT.
    external_id: Option<String>,
    /// What it is about: 1 to 255 characters.
    subject: String,
    /// Where it belongs in your product: http or https.
    url: Option<String>,
    /// Your own facts.
    metadata: Option<Metadata>,
    /// CSS classes for its display.
    extra_classnames: Option<String>,
    /// Who sees it besides its participants.
    #[graphql(default_with = "Some(ThreadAccess::Participants)")]
    access: Option<ThreadAccess>,
    /// Who takes part, by id or externalId: at most 100 members of the organization. The viewer
    /// always does.
    participant_ids: Option<Vec<ID>>,
    /// Who takes part and is notified of what is new; all participants if absent.
    subscriber_ids: Option<Vec<ID>>,
    /// The inbox that its contact writes by, by id or externalId.
    inbox_id: Option<ID>,
    /// The department that is written to.
    department: Option<String>,
    /// The page that is written from.
    source_page: Option<String>,
    /// The writer's language as a BCP 47 tag, such as `fr` or `pt-BR`: its messages are searched
    /// in it.
    language: Option<String>,
    /// The writer's program.
    user_agent: Option<String>,
    /// The first message: both or neither are made.
    message: Option<FirstMessageInput>,
}

/// The first message of a thread. A TEXT needs body, bodyHtml or content.
#[derive(InputObject)]
pub struct FirstMessageInput {
    /// Your id for it: 1 to 320 characters, unique per organization.
    external_id: Option<String>,
    /// Who writes it, by id or externalId; API key only.
    sender_id: Option<ID>,
    /// The words: at most 150,000 characters.
    body: Option<String>,
    /// The words as HTML, which is sanitized: at most 150,000 characters.
    body_html: Option<String>,
    /// The words as structured content. Whom it mentions is notified from then on.
    content: Option<MessageContent>,
    /// What its content is; TEXT if absent.
    content_type: Option<ContentType>,
    /// What its content type needs: `{"items": [...]}` of an INPUT_SELECT, CARDS, a FORM or an
    /// ARTICLE, `{"src", "width", "height"}` of an IMAGE.
    content_attributes: Option<Json>,
    /// Your own facts.
    metadata: Option<Metadata>,
    /// Its files, uploaded already, at most 15: the sender's own, which are on no other message
    /// (CONFLICT), else FORBIDDEN.
    attachment_ids: Option<Vec<ID>>,
}

impl From<FirstMessageInput> for NewMessage {
    fn from(input: FirstMessageInput) -> Self {
        Self {
            values: MessageValues {
                external_id: input.external_id,
                body: input.body,
                body_html: input.body_html,
                content: input.content.and_then(|content| given_json(content.0)),
                content_type: content_type(input.content_type),
                content_attributes: input.content_attributes.and_then(|json| given_json(json.0)),
                metadata: input.metadata.map(|metadata| metadata.0),
                attachments: names(input.attachment_ids),
                ..MessageValues::default()
            },
            sender: input.sender_id.map(|id| Ref::parse(&id)),
            ..Self::default()
        }
    }
}

impl From<CreateThreadInput> for OpenThread {
    fn from(input: CreateThreadInput) -> Self {
        let refs = |ids: Vec<ID>| ids.iter().map(|id| Ref::parse(id)).collect::<Vec<_>>();
        Self {
            organization: input.organization_id.map(|id| Ref::parse(&id)),
            inbox: input.inbox_id.map(|id| Ref::parse(&id)),
            values: ThreadValues {
                external_id: input.external_id,
                subject: input.subject,
                url: input.url,
                metadata: input.metadata.map(|metadata| metadata.0),
                extra_classnames: input.extra_classnames,
                access: input.access.map_or(Access::Participants, Into::into),
                department: input.department,
                source_page: input.source_page,
                language: input.language,
                user_agent: input.user_agent,
            },
            participants: refs(input.participant_ids.unwrap_or_default()),
            subscribers: input.subscriber_ids.map(refs),
            message: input.message.map(Into::into),
            search_language: SearchLanguage::default(),
        }
    }
}

/// What to change of a thread. What is absent stays; null clears where that is possible.
#[derive(InputObject)]
pub struct UpdateThreadInput {
    /// The thread's id or externalId.
    pub thread_id: ID,
    /// Your id for it, or null.
    external_id: MaybeUndefined<String>,
    /// What it is about: 1 to 255 characters.
    subject: Option<String>,
    /// Where it belongs in your product, or null.
    url: MaybeUndefined<String>,
    /// Your own facts; replaces all of them.
    metadata: Option<Metadata>,
    /// CSS classes for its display, or null.
    extra_classnames: MaybeUndefined<String>,
    /// Who sees it besides its participants.
    access: Option<ThreadAccess>,
    /// The organization to move it to, by id or externalId, with all that is in it: it gets a new
    /// number there and has no inbox any more, and participants who are no members there lose
    /// it. API key only, one that reaches both.
    organization_id: Option<ID>,
    /// Resolve or reopen: anyone who may post. Leaves one ACTION message; again changes nothing.
    resolved: Option<bool>,
    /// When it was resolved; null reopens. Wins over `resolved`. API key only.
    resolved_at: MaybeUndefined<DateTime>,
    /// In whose name, by id or externalId. API key only.
    actor_id: Option<ID>,
}

impl From<UpdateThreadInput> for UpdateThread {
    fn from(input: UpdateThreadInput) -> Self {
        Self {
            external_id: input.external_id.into(),
            subject: input.subject,
            url: input.url.into(),
            metadata: input.metadata.map(|metadata| metadata.0),
            extra_classnames: input.extra_classnames.into(),
            access: input.access.map(Into::into),
            organization: input.organization_id.map(|id| Ref::parse(&id)),
            resolved: input.resolved,
            resolved_at: Option::<Option<DateTime>>::from(input.resolved_at)
                .map(|at| at.map(|at| at.0)),
            actor: input.actor_id.map(|id| Ref::parse(&id)),
        }
    }
}
