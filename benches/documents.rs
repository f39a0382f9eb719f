//! What clients subscribe to.

/// How many different documents there are.
pub const DIFFERENT: usize = 10;

/// What a chat page shows of a message.
const MESSAGE: &str = "id body plaintext status private createdAt sentAt updatedAt deletedAt \
    sender { id name avatarUrl } \
    reactionGroups { emoji count } \
    replyTo { id plaintext sender { id name } } \
    attachments { __typename id file { name mimeType size url } }";

/// The chat page's subscription.
pub fn chat_page() -> String {
    subscription(MESSAGE)
}

/// Such subscriptions of pages that differ a little, as those of several products do.
pub fn different() -> Vec<String> {
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
    let documents = extras.map(|extra| subscription(&format!("{MESSAGE} {extra}")));
    debug_assert_eq!(documents.len(), DIFFERENT);
    documents.to_vec()
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
