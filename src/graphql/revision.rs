//! What messages said before they were edited.

use async_graphql::{Context, Description, Object};

use crate::db::revision::Revision;
use crate::error::Result;
use crate::graphql::context::Ask;
use crate::graphql::scalars::{DateTime, MessageContent};
use crate::graphql::user::{self, User};

/// What a message said before an edit. Whoever may see the message may see it; it is erased with
/// the message when that is deleted for good.
#[derive(Description)]
pub struct MessageRevision(Revision);

impl MessageRevision {
    /// Of a message that the viewer sees.
    pub fn new(row: Revision) -> Self {
        Self(row)
    }
}

#[Object(use_type_description)]
impl MessageRevision {
    /// Who replaced these words; null: a backend.
    async fn editor(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        ctx.viewer()?;
        match self.0.editor_id {
            Some(id) => user::load(ctx, id).await,
            None => Ok(None),
        }
    }

    /// When they were replaced.
    async fn replaced_at(&self) -> DateTime {
        DateTime(self.0.replaced_at)
    }

    /// The words as they were written; empty when only HTML or structure was given.
    async fn body(&self) -> &str {
        &self.0.body
    }

    /// The words as HTML, sanitized.
    async fn body_html(&self) -> Option<&str> {
        self.0.body_html.as_deref()
    }

    /// The structured content, if it was given.
    async fn content(&self) -> Option<MessageContent> {
        self.0.content.clone().map(MessageContent)
    }

    /// The words alone.
    async fn plaintext(&self) -> &str {
        &self.0.plaintext
    }
}
