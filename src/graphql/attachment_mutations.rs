//! Uploading files, and taking them off messages.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::actions;
use crate::actions::attachment::NewAttachment;
use crate::db::enums;
use crate::error::{Error, Result};
use crate::graphql::attachment::Attachment;
use crate::graphql::context::Ask;
use crate::graphql::enums::AttachmentKind;
use crate::graphql::message::Message;
use crate::graphql::message_inputs::given_json;
use crate::graphql::scalars::{DateTime, Json};
use crate::graphql::upload::Upload;
use crate::ids::{AttachmentId, Ref};
use crate::storage::Declared;

/// A file that you are about to upload.
#[derive(InputObject)]
struct CreateUploadInput {
    /// Its name: 1 to 255 characters. Of a path only what is behind it is kept.
    name: String,
    /// Its media type, such as image/png. What comes must fit it.
    mime_type: String,
    /// How many bytes it has: 1 at least, and at most as many as the server takes (40 MB unless
    /// it is set otherwise; 2,147,483,647 at the very most), else PAYLOAD_TOO_LARGE.
    size: i32,
    /// What it is to be.
    #[graphql(default_with = "Some(AttachmentKind::File)")]
    kind: Option<AttachmentKind>,
    /// Of an ANNOTATION: the text that was selected, at most 10,000 characters.
    text_content: Option<String>,
    /// Of an ANNOTATION: where that is; any JSON of at most 4,096 bytes.
    location: Option<Json>,
    /// The message to put it on at once, by id or externalId: its sender, API keys.
    message_id: Option<ID>,
    /// The organization, by id or externalId; the message's or the credential's if absent.
    organization_id: Option<ID>,
    /// Whose file it is, by id or externalId: a member of the organization. API key only; the
    /// viewer otherwise. With an API key and none, it is the backend's.
    uploader_id: Option<ID>,
}

/// The outcome of `createUpload`.
#[derive(SimpleObject)]
struct CreateUploadPayload {
    /// The attachment, whose file is UPLOADING.
    attachment: Attachment,
    /// Where to send the bytes, as they are, without a credential: signed, for this file alone.
    upload_url: String,
    /// The method of that request: PUT.
    upload_method: String,
    /// The headers that it must have: `{name: value}`.
    upload_headers: Json,
    /// Until when the address is good.
    expires_at: DateTime,
}

/// A file that has been uploaded, or will not be.
#[derive(InputObject)]
struct CompleteUploadInput {
    /// The attachment's id.
    attachment_id: ID,
    /// Whether to give it up.
    #[graphql(default_with = "Some(false)")]
    cancelled: Option<bool>,
}

/// The outcome of `completeUpload`.
#[derive(SimpleObject)]
struct CompleteUploadPayload {
    /// The attachment, whose file is UPLOADED or CANCELLED now.
    attachment: Attachment,
}

/// A file that comes with the call.
#[derive(InputObject)]
struct UploadAttachmentInput {
    /// The file. Its name is 1 to 255 characters; of a path only what is behind it is kept.
    file: Upload,
    /// What it is to be.
    #[graphql(default_with = "Some(AttachmentKind::File)")]
    kind: Option<AttachmentKind>,
    /// Of an ANNOTATION: the text that was selected, at most 10,000 characters.
    text_content: Option<String>,
    /// Of an ANNOTATION: where that is; any JSON of at most 4,096 bytes.
    location: Option<Json>,
    /// The message to put it on at once, by id or externalId: its sender, API keys.
    message_id: Option<ID>,
    /// The organization, by id or externalId; the message's or the credential's if absent.
    organization_id: Option<ID>,
    /// Whose file it is, by id or externalId: a member of the organization. API key only; the
    /// viewer otherwise. With an API key and none, it is the backend's.
    uploader_id: Option<ID>,
}

/// The outcome of `uploadAttachment`.
#[derive(SimpleObject)]
struct UploadAttachmentPayload {
    /// The attachment.
    attachment: Attachment,
}

/// What to take off its message.
#[derive(InputObject)]
struct RemoveAttachmentInput {
    /// The attachment's id.
    attachment_id: ID,
}

/// The outcome of `removeAttachment`.
#[derive(SimpleObject)]
struct RemoveAttachmentPayload {
    /// The attachment's id.
    removed_attachment_id: ID,
    /// The message that it was on; null: it was on none.
    message: Option<Message>,
}

/// Uploading files, and taking them off messages.
#[derive(Default)]
pub struct AttachmentMutation;

#[Object]
impl AttachmentMutation {
    /// Begins an upload: send the bytes to the address that is answered, then call
    /// `completeUpload`. Every member of an organization and API keys. What is not completed
    /// within an hour is CANCELLED. On a message that is sent, the others see the file as
    /// UPLOADING until then.
    async fn create_upload(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file, and where it belongs.")] input: CreateUploadInput,
    ) -> Option<Result<CreateUploadPayload>> {
        let done = async {
            let viewer = ctx.viewer()?;
            let declared = Declared {
                name: input.name,
                mime_type: input.mime_type,
            };
            let new = NewAttachment {
                kind: kind(input.kind),
                text_content: input.text_content,
                location: input.location.and_then(|json| given_json(json.0)),
                message: input.message_id.map(|id| Ref::parse(&id)),
                organization: input.organization_id.map(|id| Ref::parse(&id)),
                uploader: input.uploader_id.map(|id| Ref::parse(&id)),
            };
            let begun =
                actions::attachment::create_upload(ctx.app(), &viewer, declared, input.size, new);
            let (attachment, link) = begun.await?;
            let headers = link.headers.into_iter();
            let headers = headers.map(|(name, value)| (name.to_owned(), value.into()));
            Ok(CreateUploadPayload {
                attachment: Attachment::of(attachment),
                upload_url: link.url,
                upload_method: link.method.to_owned(),
                upload_headers: Json(serde_json::Value::Object(headers.collect())),
                expires_at: DateTime(link.expires_at),
            })
        };
        Some(done.await)
    }

    /// Says that a file has been uploaded, which is then looked at; or that it will not be. Whose
    /// file it is, API keys. CONFLICT if nothing has come yet, or it was given up before. What
    /// is not what was declared is FAILED from then on, and answered with BAD_USER_INPUT (its
    /// size), PAYLOAD_TOO_LARGE or UNSUPPORTED_MEDIA_TYPE. The same call again answers the same.
    async fn complete_upload(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file, and whether it is given up.")] input: CompleteUploadInput,
    ) -> Option<Result<CompleteUploadPayload>> {
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let id = attachment_id(&input.attachment_id)?;
            let cancelled = input.cancelled.unwrap_or(false);
            let settled = actions::upload::complete(app, &viewer, id, cancelled).await?;
            Ok(CompleteUploadPayload {
                attachment: Attachment::of(settled),
            })
        };
        Some(done.await)
    }

    /// Uploads a file with the call itself, a multipart request. Every member of an organization
    /// and API keys.
    async fn upload_attachment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file, and where it belongs.")] input: UploadAttachmentInput,
    ) -> Option<Result<UploadAttachmentPayload>> {
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let arrived = ctx.file(&input.file)?;
            let new = NewAttachment {
                kind: kind(input.kind),
                text_content: input.text_content,
                location: input.location.and_then(|json| given_json(json.0)),
                message: input.message_id.map(|id| Ref::parse(&id)),
                organization: input.organization_id.map(|id| Ref::parse(&id)),
                uploader: input.uploader_id.map(|id| Ref::parse(&id)),
            };
            let named = (arrived.key, arrived.declared.name.as_str());
            let added =
                actions::attachment::upload(app, &viewer, named, &arrived.stored, new).await?;
            Ok(UploadAttachmentPayload {
                attachment: Attachment::of(added),
            })
        };
        Some(done.await)
    }

    /// Takes a file off its message: the message's sender, API keys. The file stays its
    /// uploader's, to be put on another message within a day; one that is on none is left as it
    /// is. CONFLICT if a sent message would say nothing without it.
    async fn remove_attachment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file to take off.")] input: RemoveAttachmentInput,
    ) -> Option<Result<RemoveAttachmentPayload>> {
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let id = attachment_id(&input.attachment_id)?;
            let message = actions::attachment::remove(app, &viewer, id).await?;
            Ok(RemoveAttachmentPayload {
                removed_attachment_id: id.to_string().into(),
                message: message.map(Message::new),
            })
        };
        Some(done.await)
    }
}

/// An attachment has no other id than ours.
fn attachment_id(id: &ID) -> Result<AttachmentId> {
    id.parse().map_err(|_| Error::NotFound("attachment"))
}

fn kind(given: Option<AttachmentKind>) -> enums::AttachmentKind {
    given.map_or(enums::AttachmentKind::File, Into::into)
}
