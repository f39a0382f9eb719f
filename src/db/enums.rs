//! The closed sets of values that the database stores as text.

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Text;
use std::io::Write;

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = Text)]
        pub enum $name {
            $($(#[$case_doc])* $case),+
        }

        impl $name {
            /// The text that stands for it in the database and in a token's claims.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$case => $text),+
                }
            }

            /// Reads that text.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$case),)+
                    _ => None,
                }
            }
        }

        impl ToSql<Text, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                out.write_all(self.as_str().as_bytes())?;
                Ok(IsNull::No)
            }
        }

        impl FromSql<Text, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                let text = std::str::from_utf8(value.as_bytes())?;
                Self::parse(text).ok_or_else(|| format!("{text} is no {}", stringify!($name)).into())
            }
        }
    };
}

text_enum!(
    /// What a member of an organization is there.
    Role {
        /// Runs the organization.
        Admin = "ADMIN",
        /// Answers contacts.
        Agent = "AGENT",
        /// Works there.
        Member = "MEMBER",
        /// The outside customer.
        Contact = "CONTACT",
    }
);

impl Role {
    /// Whether the role reads private notes and agents' threads.
    pub fn is_staff(self) -> bool {
        matches!(self, Self::Admin | Self::Agent)
    }
}

text_enum!(
    /// What a user is.
    UserKind {
        /// A human being.
        Person = "PERSON",
        /// A program that writes.
        Bot = "BOT",
        /// The product itself.
        System = "SYSTEM",
    }
);

text_enum!(
    /// Who sees a thread besides its participants.
    Access {
        /// Nobody.
        Participants = "PARTICIPANTS",
        /// Agents and admins.
        Agents = "AGENTS",
        /// Everyone of the organization but contacts.
        Organization = "ORGANIZATION",
    }
);

text_enum!(
    /// What kind of entry a message is.
    MessageType {
        /// Somebody wrote it.
        User = "USER",
        /// Something happened.
        Action = "ACTION",
    }
);

text_enum!(
    /// How far a message has come; it only moves up.
    MessageStatus {
        /// Being written; its sender alone sees it.
        Draft = "DRAFT",
        /// On its way to an outside channel.
        Sending = "SENDING",
        /// In the thread.
        Sent = "SENT",
        /// On the reader's device.
        Delivered = "DELIVERED",
        /// Taken by the reader's program.
        Received = "RECEIVED",
        /// The reader's program confirmed it.
        ReturnReceipt = "RETURN_RECEIPT",
        /// Seen.
        Seen = "SEEN",
        /// An outside channel gave up on it.
        Failed = "FAILED",
    }
);

text_enum!(
    /// What a message's content is.
    ContentType {
        /// Words.
        Text = "TEXT",
        /// A picture.
        Image = "IMAGE",
        /// Asks for a line.
        InputText = "INPUT_TEXT",
        /// Asks for a paragraph.
        InputTextarea = "INPUT_TEXTAREA",
        /// Asks for an e-mail address.
        InputEmail = "INPUT_EMAIL",
        /// Asks to choose.
        InputSelect = "INPUT_SELECT",
        /// Cards with buttons.
        Cards = "CARDS",
        /// A form.
        Form = "FORM",
        /// Links to articles.
        Article = "ARTICLE",
    }
);

impl MessageStatus {
    /// What a report that the message has come so far makes of it: a status never moves down,
    /// nothing is lost that has arrived, and only a retry or its arrival mends a failure.
    pub fn after(self, report: Self) -> Self {
        let moves = match (self, report) {
            (Self::Draft, _) | (_, Self::Draft) => false,
            (Self::Failed, _) => (Self::Delivered..=Self::Seen).contains(&report),
            (_, Self::Failed) => self <= Self::Sent,
            _ => report > self,
        };
        if moves { report } else { self }
    }
}

text_enum!(
    /// Which way a message goes in a thread with an inbox.
    Direction {
        /// By the contact.
        Incoming = "INCOMING",
        /// To the contact.
        Outgoing = "OUTGOING",
    }
);

text_enum!(
    /// By what a contact writes.
    Channel {
        /// A chat on a web page.
        Web = "WEB",
        /// A backend of one's own.
        Api = "API",
    }
);

text_enum!(
    /// What an attachment is.
    AttachmentKind {
        /// A file.
        File = "FILE",
        /// A picture.
        Image = "IMAGE",
        /// A remark on something in the product: a screenshot, a text, a place.
        Annotation = "ANNOTATION",
    }
);

text_enum!(
    /// How far a file has come.
    UploadStatus {
        /// It is awaited.
        Uploading = "UPLOADING",
        /// It is there.
        Uploaded = "UPLOADED",
        /// What came was not what was declared.
        Failed = "FAILED",
        /// It was given up, or did not come in time.
        Cancelled = "CANCELLED",
    }
);

text_enum!(
    /// What a watermark marks.
    Mark {
        /// Up to where somebody has seen a thread.
        Seen = "SEEN",
        /// Up to where it has reached a device of theirs.
        Delivered = "DELIVERED",
    }
);

text_enum!(
    /// What an event tells.
    EventKind {
        /// A message was sent.
        MessageCreated = "MESSAGE_CREATED",
        /// A message changed.
        MessageUpdated = "MESSAGE_UPDATED",
        /// Text was appended to a message.
        MessageAppended = "MESSAGE_APPENDED",
        /// A message was deleted for good.
        MessageRemoved = "MESSAGE_REMOVED",
        /// The thread came to be.
        ThreadCreated = "THREAD_CREATED",
        /// Something about the thread changed.
        ThreadUpdated = "THREAD_UPDATED",
        /// The thread was deleted for good.
        ThreadDeleted = "THREAD_DELETED",
        /// Somebody joined.
        ParticipantAdded = "PARTICIPANT_ADDED",
        /// Somebody left or was removed.
        ParticipantRemoved = "PARTICIPANT_REMOVED",
    }
);

text_enum!(
    /// What a webhook may be told of.
    WebhookEvent {
        /// A message was sent.
        MessageCreated = "MESSAGE_CREATED",
        /// A message changed.
        MessageUpdated = "MESSAGE_UPDATED",
        /// Text was appended to a message.
        MessageAppended = "MESSAGE_APPENDED",
        /// A message was deleted for good.
        MessageRemoved = "MESSAGE_REMOVED",
        /// A thread was opened.
        ThreadCreated = "THREAD_CREATED",
        /// Something about a thread changed.
        ThreadUpdated = "THREAD_UPDATED",
        /// A thread was deleted for good.
        ThreadDeleted = "THREAD_DELETED",
        /// Somebody joined.
        ParticipantAdded = "PARTICIPANT_ADDED",
        /// Somebody left or was removed.
        ParticipantRemoved = "PARTICIPANT_REMOVED",
        /// Somebody has seen a thread, up to a message.
        ThreadSeen = "THREAD_SEEN",
        /// A thread has come to a device of somebody, up to a message.
        ThreadDelivered = "THREAD_DELIVERED",
    }
);

impl WebhookEvent {
    /// Its name in what is delivered, such as `message.created`.
    pub fn type_name(self) -> String {
        self.as_str().to_ascii_lowercase().replace('_', ".")
    }
}

impl From<EventKind> for WebhookEvent {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::MessageCreated => Self::MessageCreated,
            EventKind::MessageUpdated => Self::MessageUpdated,
            EventKind::MessageAppended => Self::MessageAppended,
            EventKind::MessageRemoved => Self::MessageRemoved,
            EventKind::ThreadCreated => Self::ThreadCreated,
            EventKind::ThreadUpdated => Self::ThreadUpdated,
            EventKind::ThreadDeleted => Self::ThreadDeleted,
            EventKind::ParticipantAdded => Self::ParticipantAdded,
            EventKind::ParticipantRemoved => Self::ParticipantRemoved,
        }
    }
}

impl From<Mark> for WebhookEvent {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Seen => Self::ThreadSeen,
            Mark::Delivered => Self::ThreadDelivered,
        }
    }
}

text_enum!(
    /// What has become of a delivery.
    DeliveryStatus {
        /// It is to be tried, or tried again.
        Pending = "PENDING",
        /// It was taken.
        Delivered = "DELIVERED",
        /// It was given up.
        Failed = "FAILED",
    }
);

#[cfg(test)]
mod tests {
    use super::MessageStatus::{self, Delivered, Draft, Failed, Seen, Sending, Sent};

    fn after(from: MessageStatus, report: MessageStatus) -> MessageStatus {
        from.after(report)
    }

    #[test]
    fn a_status_moves_up_only() {
        assert_eq!(after(Sending, Sent), Sent);
        assert_eq!(after(Sent, Seen), Seen);
        assert_eq!(after(Seen, Delivered), Seen);
        assert_eq!(after(Sent, Sending), Sent);
        assert_eq!(after(Draft, Sent), Draft);
    }

    #[test]
    fn what_has_arrived_has_not_failed() {
        assert_eq!(after(Sent, Failed), Failed);
        assert_eq!(after(Delivered, Failed), Delivered);
        assert_eq!(after(Failed, Sent), Failed);
        assert_eq!(after(Failed, Delivered), Delivered);
    }
}
