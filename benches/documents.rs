//! What clients subscribe to.

use serde_json::json;

use crate::Outcome;
use crate::world::World;

/// How many different documents there are.
pub const DIFFERENT: usize = 10;

/// What a chat page shows of a message.
const MESSAGE: &str = "id body plaintext status private createdAt sentAt updatedAt deletedAt \
    sender { id name avatarUrl } \
    reactionGroups { emoji count } \
    replyTo { id plaintext sender { id name } }";

/// The chat page's subscription. Whether messages have attachments is asked of the server.
pub async fn chat_page(world: &World) -> Outcome<String> {
    Ok(subscription(&message(world).await?))
}

/// Such subscriptions of pages that differ a little, as those of several products do.
pub async fn different(world: &World) -> Outcome<Vec<String>> {
    let message = message(world).await?;
    let extras = [
        "",
        "url",
        "metadata",
        "externalId",
        "bodyHtml",
        "type",
        "contentType",
        "extraClassnames",
        "iconUrl",
        "seenByCount",
    ];
    let documents = extras.map(|extra| subscription(&format!("{message} {extra}")));
    debug_assert_eq!(documents.len(), DIFFERENT);
    Ok(documents.to_vec())
}

async fn message(world: &World) -> Outcome<String> {
    let query = r#"{ __type(name: "Message") { fields { name } } }"#;
    let data = world.ask(query, json!({})).await?;
    let fields = data["__type"]["fields"].as_array();
    let has = |name| fields.is_some_and(|all| all.iter().any(|field| field["name"] == name));
    let attachments = if has("attachments") {
        " attachments { __typename id file { id name mimeType size url } }"
    } else {
        ""
    };
    Ok(format!("{MESSAGE}{attachments}"))
}

fn subscription(message: &str) -> String {
    format!(
        "subscription ($thread: ID!, $after: String) {{ threadEvents(threadId: $thread, after: $after) {{ \
           __typename cursor occurredAt \
           ... on MessageCreated {{ message {{ ...Shown }} }} \
           ... on MessageUpdated {{ message {{ ...Shown }} }} \
           ... on MessageRemoved {{ messageId }} \
           ... on ParticipantAdded {{ user {{ id name avatarUrl }} }} \
           ... on ThreadSeen {{ user {{ id }} upTo {{ id }} }} \
         }} }} \
         fragment Shown on Message {{ {message} }}"
    )
}
