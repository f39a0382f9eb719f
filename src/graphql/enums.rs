//! The closed sets of values, as the schema names them.

use async_graphql::Enum;

use crate::db::enums;
use crate::db::thread_list::{InboxState, ThreadOrder as DbThreadOrder};

/// What a user is within one organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "enums::Role")]
pub enum Role {
    /// Runs the organization: sees agents' threads, decides who belongs to it, deletes for good.
    Admin,
    /// Answers contacts: sees agents' threads and private notes.
    Agent,
    /// Works there: sees the threads he takes part in and those open to the organization.
    Member,
    /// The outside customer: sees only the threads he takes part in, and no private notes.
    Contact,
}

/// What a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "enums::UserKind")]
pub enum UserKind {
    /// A human being.
    Person,
    /// A program that writes.
    Bot,
    /// The product itself.
    System,
}

/// Who sees a thread besides its participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "enums::Access")]
pub enum ThreadAccess {
    /// Nobody.
    Participants,
    /// Every agent and admin of the organization.
    Agents,
    /// Everyone of the organization but contacts.
    Organization,
}

/// Where a thread stands in the viewer's inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "InboxState")]
pub enum ThreadInboxState {
    /// Somebody else wrote what the viewer has not seen.
    Unread,
    /// The viewer has seen everything.
    Read,
    /// The viewer does not want to hear of it.
    Hidden,
}

/// What kind of entry a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "enums::MessageType")]
pub enum MessageType {
    /// Somebody wrote it.
    User,
    /// Something happened: made by the server, or by an API key.
    Action,
}

/// How far a message has come. It only moves up; FAILED is left by a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "enums::MessageStatus")]
pub enum MessageStatus {
    /// Being written; only its sender sees it.
    Draft,
    /// On its way to the URL of an API inbox, or to be taken there by a backend after a retry.
    Sending,
    /// In the thread.
    Sent,
    /// On the reader's device.
    Delivered,
    /// Taken by the reader's program.
    Received,
    /// Confirmed by the reader's program.
    ReturnReceipt,
    /// Seen.
    Seen,
    /// It could not be delivered, or was reported so; `deliveryError` tells agents why.
    Failed,
}

/// Which way a message goes in a thread with an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "enums::Direction")]
pub enum MessageDirection {
    /// By the contact.
    Incoming,
    /// To the contact.
    Outgoing,
}

/// By what a contact writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "enums::Channel")]
pub enum InboxChannel {
    /// A chat on a web page.
    Web,
    /// A backend of your own, which brings messages in and takes them out.
    Api,
}

/// What a webhook is told of, and what a delivery tells. In what is sent, its `type` is the same in
/// small letters with a dot: `message.created`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "enums::WebhookEvent")]
pub enum WebhookEvent {
    /// A message was sent.
    MessageCreated,
    /// A message was edited, reacted to, answered, deleted or restored, or its status moved.
    MessageUpdated,
    /// Text was appended to a message.
    MessageAppended,
    /// A message was deleted for good.
    MessageRemoved,
    /// A thread was opened.
    ThreadCreated,
    /// Something about a thread changed.
    ThreadUpdated,
    /// A thread was deleted for good, or moved to another organization.
    ThreadDeleted,
    /// Somebody joined.
    ParticipantAdded,
    /// Somebody left or was removed.
    ParticipantRemoved,
    /// Somebody has seen a thread up to a message; of many moves within a moment the latest.
    ThreadSeen,
    /// A thread has come to a device of somebody, up to a message; of many the latest.
    ThreadDelivered,
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "enums::DeliveryStatus")]
pub enum DeliveryStatus {
    /// To be sent, or to be sent again.
    Pending,
    /// Taken with a 2xx answer, or what it was to tell of is gone.
    Delivered,
    /// Given up.
    Failed,
}

/// Whether a new message is sent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum NewMessageStatus {
    /// Kept for its sender alone, until `sendMessage`.
    Draft,
    /// Sent.
    Sent,
}

/// What a message's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "enums::ContentType")]
pub enum ContentType {
    /// Words.
    Text,
    /// A picture.
    Image,
    /// Asks for a line.
    InputText,
    /// Asks for a paragraph.
    InputTextarea,
    /// Asks for an e-mail address.
    InputEmail,
    /// Asks to choose.
    InputSelect,
    /// Cards with buttons.
    Cards,
    /// A form.
    Form,
    /// Links to articles.
    Article,
}

/// What an attachment is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "enums::AttachmentKind")]
pub enum AttachmentKind {
    /// A file. A picture of pixels (PNG, JPEG ..., not SVG) becomes an ImageAttachment.
    File,
    /// An image: an ImageAttachment.
    Image,
    /// A remark on something in your product: an AnnotationAttachment, whose file is the
    /// screenshot, an image.
    Annotation,
}

/// How far a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "enums::UploadStatus")]
pub enum UploadStatus {
    /// It is awaited, for an hour at most.
    Uploading,
    /// It is there.
    Uploaded,
    /// What came was not what was declared.
    Failed,
    /// It was given up, or did not come in time.
    Cancelled,
}

/// The order of a list of threads. A thread without messages stands where it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum ThreadOrder {
    /// The newest message first.
    LastMessageDesc,
    /// The newest message last.
    LastMessageAsc,
    /// The newest thread first.
    CreatedDesc,
    /// The newest thread last.
    CreatedAsc,
}

impl From<ThreadOrder> for DbThreadOrder {
    fn from(order: ThreadOrder) -> Self {
        use ThreadOrder::{CreatedAsc, CreatedDesc, LastMessageDesc};
        Self {
            by_creation: matches!(order, CreatedAsc | CreatedDesc),
            descending: matches!(order, LastMessageDesc | CreatedDesc),
        }
    }
}

/// The order of a list of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum MessageOrder {
    /// The oldest first.
    SentAsc,
    /// The newest first.
    SentDesc,
}
