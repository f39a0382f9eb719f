//! The search for messages.

use async_graphql::{Context, Description, Object, SimpleObject};

use crate::actions::check;
use crate::content::highlight;
use crate::db::access::MessageAccess;
use crate::db::message_list::anywhere::MessageFilter;
use crate::db::page::{List, PageArgs, Slice};
use crate::db::search::{self, Question, Rank};
use crate::error::{Faults, Result};
use crate::graphql::connection::{PageInfo, total};
use crate::graphql::context::Ask;
use crate::graphql::loaders::ThreadOf;
use crate::graphql::message::Message;
use crate::graphql::message_inputs::{self, MessageFilterInput};

/// Most characters of a query.
const MAX_QUERY: usize = 1000;

/// A page of the messages that were found, the best first, then the newest.
#[derive(Description)]
pub struct MessageSearchConnection {
    slice: Slice<Found>,
    question: Question,
    filter: MessageFilter,
}

struct Found {
    access: MessageAccess,
    cursor: String,
    score: f32,
    highlight: String,
    revealed: bool,
}

impl Found {
    fn node(&self) -> Message {
        Message::shown(self.access.clone(), self.revealed)
    }
}

#[Object(use_type_description)]
impl MessageSearchConnection {
    /// The messages with their cursors, scores and highlights.
    async fn edges(&self) -> Vec<MessageSearchEdge> {
        let edge = |found: &Found| MessageSearchEdge {
            cursor: found.cursor.clone(),
            node: found.node(),
            score: found.score.into(),
            highlight: found.highlight.clone(),
        };
        self.slice.rows.iter().map(edge).collect()
    }

    /// The messages.
    async fn nodes(&self) -> Vec<Message> {
        self.slice.rows.iter().map(Found::node).collect()
    }

    /// Where this page stands in the list.
    async fn page_info(&self) -> PageInfo {
        PageInfo::of(&self.slice, |found| found.cursor.clone())
    }

    /// How many there are in all; at most 10,000.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let viewer = ctx.viewer()?;
        let conn = &mut ctx.app().conn().await?;
        let count = search::count(conn, &viewer, &self.filter, &self.question).await?;
        Ok(total(count))
    }
}

/// A message that was found.
#[derive(SimpleObject)]
pub struct MessageSearchEdge {
    /// The message's place in the list.
    cursor: String,
    /// The message.
    node: Message,
    /// How well it fits: more is better. It compares only within one search.
    score: f64,
    /// The words around the hits as HTML: each hit in `<mark>`, everything else escaped, ` … `
    /// between pieces. Of a long message, hits in its first 20,000 characters are shown; its
    /// first words, if there are none.
    highlight: String,
}

/// Searching messages.
#[derive(Default)]
pub struct SearchQuery;

#[Object]
impl SearchQuery {
    /// The sent messages that hold some words, of all threads that the viewer sees: those that fit
    /// best come first, then the newest. What was sent, edited, deleted or restored counts at
    /// once. Deleted messages are found by an API key only, with `includeDeleted`. If more than
    /// 10,000 fit, the list holds the newest 10,000 of them. It goes forwards only.
    async fn search_messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "What to look for: at most 1,000 characters. All of the words must be there, in any form that the thread's `language` gives them (run, running), in any order; the last one may be begun only (runn), for a search while typing. \"in quotes\": these words, side by side; or: one side or the other; -word: without it. Nothing, or only what is to be left out, finds nothing."
        )]
        query: String,
        #[graphql(desc = "Only those that pass all of these.")] filter: Option<MessageFilterInput>,
        #[graphql(desc = "At most this many: 1 to 100, or what the server is set to.")]
        first: Option<i32>,
        #[graphql(desc = "Behind this cursor, which is one of the same query and filter.")]
        after: Option<String>,
    ) -> Result<MessageSearchConnection> {
        let mut faults = Faults::default();
        check::text(&mut faults, "query", Some(&query), MAX_QUERY);
        faults.finish()?;
        let args = PageArgs {
            first,
            after,
            ..PageArgs::default()
        };
        let page = ctx.page::<Rank>(&args, List::Found)?;
        let viewer = ctx.viewer()?;
        let mut conn = ctx.app().conn().await?;
        let mut filter =
            message_inputs::filter(&mut conn, &viewer, filter.unwrap_or_default()).await?;
        // Whom a tombstone shows nothing, it must not answer questions either.
        filter.include_deleted &= viewer.is_key();
        let question = search::understand(&mut conn, &viewer, &query).await?;
        let hits = search::page(&mut conn, &viewer, &filter, &question, &page).await?;
        // The loader that comes next takes a connection of its own.
        drop(conn);
        let threads = hits.rows.iter().map(|hit| ThreadOf(hit.message.thread_id));
        let threads = ctx.batch()?.load_many(threads).await?;
        let prove = |hit: search::Hit| {
            let (cursor, score) = (hit.key().encode(List::Found), hit.score);
            // Whoever lost the thread between the two queries has lost its messages.
            let thread = threads.get(&ThreadOf(hit.message.thread_id))?;
            Some(Found {
                access: thread.message(hit.message).ok()?,
                cursor,
                score,
                highlight: highlight::html(&hit.marked),
                revealed: filter.include_deleted,
            })
        };
        let slice = Slice {
            rows: hits.rows.into_iter().filter_map(prove).collect(),
            has_previous: hits.has_previous,
            has_next: hits.has_next,
        };
        Ok(MessageSearchConnection {
            slice,
            question,
            filter,
        })
    }
}
