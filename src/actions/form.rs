//! Answers to forms, selects and inputs.

use std::sync::Arc;

use diesel_async::AsyncConnection;
use serde_json::Value;

use crate::actions::message::lock;
use crate::app::App;
use crate::auth::Viewer;
use crate::content::form;
use crate::db::access::MessageAccess;
use crate::db::{message, participant};
use crate::error::{Error, Faults, Result};
use crate::event::Fact;
use crate::ids::{MessageId, Ref};

/// Stores what a participant answers to a message; again replaces it.
pub async fn submit(
    app: &Arc<App>,
    viewer: &Viewer,
    name: &Ref<MessageId>,
    values: Value,
) -> Result<MessageAccess> {
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let (message, thread, told) = conn
        .transaction(async |conn| {
            let (mut change, access) = lock(conn, viewer, name, now).await?;
            let reader = viewer.user_id().filter(|_| !access.is_own());
            let takes_part = match reader {
                Some(reader) => !participant::among(conn, change.access(), &[reader])
                    .await?
                    .is_empty(),
                None => false,
            };
            if !takes_part {
                return Err(Error::Forbidden(
                    "only participants answer, and not to messages of their own".to_owned(),
                ));
            }
            let (mut message, _) = access.into_parts();
            if message.deleted_at.is_some() {
                return Err(Error::Conflict("the message is deleted".to_owned()));
            }
            let mut faults = Faults::default();
            let asked = (message.content_type, &message.content_attributes);
            form::check_values(&mut faults, "values", asked.0, asked.1, &values);
            faults.finish()?;
            if message.submitted_values.as_ref() != Some(&values) {
                message.submitted_values = Some(values.clone());
                message::save(conn, &message).await?;
                change.tell_message(&message, Fact::MessageUpdated);
            }
            let (thread, told) = change.save(conn).await?;
            Ok::<_, Error>((message, thread, told))
        })
        .await?;
    app.bus.publish(told.events());
    thread.message(message)
}
