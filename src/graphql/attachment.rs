//! Attachments: files, images, annotations.

use std::borrow::Cow;

use async_graphql::registry::Registry;
use async_graphql::{
    Context, ContextSelectionSet, Description, ID, Interface, Object, OutputType, Positioned,
    ServerResult, Value, parser::types::Field,
};

use crate::db::access::attachments::AttachmentAccess;
use crate::db::attachment as db;
use crate::db::enums::{self, AttachmentKind};
use crate::error::Result;
use crate::graphql::context::Ask;
use crate::graphql::enums::UploadStatus;
use crate::graphql::message::Message;
use crate::graphql::scalars::{DateTime, Json};
use crate::storage::links::{Link, Shown};

/// A file of a message, or one that is on no message yet or no longer: it is its uploader's then,
/// and removed after a day.
#[derive(Interface, Clone)]
#[graphql(
    field(name = "id", ty = "ID", desc = "The id, `att_...`."),
    field(
        name = "message",
        ty = "Option<Message>",
        desc = "The message that it is on; null: on none."
    ),
    field(
        name = "created_at",
        ty = "DateTime",
        desc = "When it was uploaded, or its upload was begun."
    ),
    field(name = "file", ty = "File", desc = "The file.")
)]
pub enum Attachment {
    /// Any file.
    File(FileAttachment),
    /// An image.
    Image(ImageAttachment),
    /// A remark on something.
    Annotation(AnnotationAttachment),
}

impl Attachment {
    /// One that the viewer sees, as what it is.
    pub fn of(access: AttachmentAccess) -> Self {
        match access.attachment().kind {
            AttachmentKind::File => Self::File(FileAttachment { access }),
            AttachmentKind::Image => Self::Image(ImageAttachment { access }),
            AttachmentKind::Annotation => Self::Annotation(AnnotationAttachment { access }),
        }
    }
}

/// A type of attachments, with what all of them have.
macro_rules! attachment {
    ($(#[$doc:meta])* $name:ident { $($resolvers:tt)* }) => {
        $(#[$doc])*
        #[derive(Description, Clone)]
        pub struct $name {
            access: AttachmentAccess,
        }

        impl $name {
            fn row(&self) -> &db::Attachment {
                self.access.attachment()
            }
        }

        #[Object(use_type_description)]
        impl $name {
            /// The id, `att_...`.
            pub async fn id(&self) -> ID {
                self.row().id.to_string().into()
            }

            /// The message that it is on; null: on none.
            async fn message(&self) -> Option<Message> {
                self.access.message().cloned().map(Message::new)
            }

            /// When it was uploaded, or its upload was begun.
            async fn created_at(&self) -> DateTime {
                DateTime(self.row().created_at)
            }

            /// The file.
            async fn file(&self) -> File {
                File {
                    access: self.access.clone(),
                }
            }

            $($resolvers)*
        }
    };
}

attachment!(
    /// Any file but a picture.
    FileAttachment {}
);

attachment!(
    /// An image.
    ImageAttachment {
        /// How wide it is, in pixels; null: its format or its beginning does not say.
        async fn width(&self) -> Option<i32> {
            self.row().width
        }

        /// How high it is, in pixels; null: its format or its beginning does not say.
        async fn height(&self) -> Option<i32> {
            self.row().height
        }
    }
);

attachment!(
    /// A remark on something in your product. Its file is the screenshot.
    AnnotationAttachment {
        /// The text that was selected there.
        async fn text_content(&self) -> Option<&str> {
            self.row().text_content.as_deref()
        }

        /// Where that is, as your product knows to find it again.
        async fn location(&self) -> Option<Json> {
            self.row().location.clone().map(Json)
        }
    }
);

/// A file.
#[derive(Description)]
pub struct File {
    access: AttachmentAccess,
}

impl File {
    fn row(&self) -> &db::Attachment {
        self.access.attachment()
    }

    /// Its address, if it is there to be fetched.
    async fn link(&self, ctx: &Context<'_>) -> Result<Option<Link>> {
        let row = self.row();
        let message = self.access.message();
        let deleted = message.is_some_and(|access| access.message().deleted_at.is_some());
        if row.status != enums::UploadStatus::Uploaded || deleted {
            return Ok(None);
        }
        let shown = Shown {
            id: row.id,
            object: row.object_id,
            name: &row.name,
            mime_type: &row.mime_type,
        };
        let app = ctx.app();
        app.storage().url(shown, app.clock.now()).await.map(Some)
    }
}

#[Object(use_type_description)]
impl File {
    /// Its name, without a path: 1 to 255 characters.
    async fn name(&self) -> &str {
        &self.row().name
    }

    /// Its media type, without parameters. It fits the content, once the file is uploaded.
    async fn mime_type(&self) -> &str {
        &self.row().mime_type
    }

    /// How many bytes it has: 1 to 2,147,483,647, and no more than the server takes.
    async fn size(&self) -> i32 {
        // No server takes more.
        i32::try_from(self.row().size).unwrap_or(i32::MAX)
    }

    /// How far it has come.
    async fn upload_status(&self) -> UploadStatus {
        self.row().status.into()
    }

    /// Where it can be fetched by GET, without a credential, ranges of it too; by HEAD as well,
    /// unless the address is one of S3. Null as long as it is not UPLOADED. Signed when it is asked for: good for this file until
    /// `urlExpiresAt`, so ask anew rather than keep it. What a browser might run is sent as a
    /// download.
    async fn url(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(self.link(ctx).await?.map(|link| link.url))
    }

    /// Until when `url` is good: for 24 hours, unless the server is set otherwise.
    async fn url_expires_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        Ok(self.link(ctx).await?.map(|link| DateTime(link.expires_at)))
    }
}

/// Says that `Attachment` is a `Node`, which the library's interfaces cannot say of themselves.
pub enum AttachmentIsNode {}

impl OutputType for AttachmentIsNode {
    fn type_name() -> Cow<'static, str> {
        <Attachment as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.add_implements(&Self::type_name(), "Node");
        <Attachment as OutputType>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        _ctx: &ContextSelectionSet<'_>,
        _field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        match *self {}
    }
}
