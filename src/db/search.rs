//! Full text search over messages: what a query means in each language, the best hits, the words
//! around them.
//!
//! Never decides who sees what (`access`) nor what a filter means (`message_list`).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Float, Integer, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, RunQueryDsl};
use uuid::Uuid;

use crate::auth::Viewer;
use crate::content::highlight::{LESS, START, STOP};
use crate::db::access::{bounds, only_in_own, visible_threads};
use crate::db::message::Message;
use crate::db::message_list::anywhere::{MessageFilter, matching};
use crate::db::page::{Key, Page, Slice};
use crate::db::pool::Conn;
use crate::db::schema::{messages, participants, threads};
use crate::db::search_query::{Typed, take_apart, tidy};
use crate::error::Result;
use crate::ids::{MessageId, ThreadId};

/// Most hits of a search: of more, the newest are taken. Ranking reads every hit, and the order of
/// ten thousand by how well they fit tells nobody anything.
pub const MOST: i64 = 10_000;

/// A highlight looks for hits in so many characters at a message's beginning.
const SHOWN: i32 = 20_000;

/// A highlight shows a message of so many characters whole, and pieces of a longer one.
const WHOLE: i32 = 200;

/// What somebody looks for, as each of the languages in use has it.
#[derive(Debug, Clone)]
pub struct Question {
    typed: Typed,
    readings: Vec<Reading>,
    /// All threads that the viewer sees, if they are few.
    within: Option<Vec<ThreadId>>,
}

/// What some languages make of a query.
#[derive(Debug, Clone, QueryableByName)]
struct Reading {
    #[diesel(sql_type = Array<Text>)]
    languages: Vec<String>,
    /// A tsquery.
    #[diesel(sql_type = Text)]
    query: String,
}

/// A message that was found.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The message.
    pub message: Message,
    /// How well it fits: more is better.
    pub score: f32,
    /// The words around the hit, marked: `content::highlight` makes HTML of them.
    pub marked: String,
}

impl Hit {
    /// Its place among the hits.
    pub fn key(&self) -> Key<Rank> {
        Key {
            at: self.message.place_at,
            tie: Rank {
                score: self.score,
                id: self.message.id.uuid(),
            },
        }
    }
}

/// How well a message fits, and which one it is. As a text it is exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rank {
    score: f32,
    id: Uuid,
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.score.to_bits(), self.id)
    }
}

impl FromStr for Rank {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (bits, id) = text.split_once('.').ok_or(())?;
        let score = f32::from_bits(bits.parse().map_err(drop)?);
        let id = id.parse().map_err(drop)?;
        score.is_finite().then_some(Self { score, id }).ok_or(())
    }
}

/// What a query means. A word that all languages leave out is looked for as it is; a query that
/// only leaves out, or says nothing, finds nothing.
pub async fn understand(conn: &mut Conn, viewer: &Viewer, query: &str) -> Result<Question> {
    // One step through an index for each language in use; then each reads the query. The last
    // word is also taken as a beginning, in the plain form that every message has.
    const READ: &str = r"
        WITH RECURSIVE used (language) AS (
          (SELECT search_language FROM threads ORDER BY 1 LIMIT 1)
          UNION ALL
          SELECT (SELECT search_language FROM threads
                  WHERE search_language > used.language ORDER BY 1 LIMIT 1)
          FROM used WHERE used.language IS NOT NULL
        ), beginning (query) AS (
          SELECT coalesce(string_agg(
            '''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || ''':*', ' & '
          ), '')::tsquery FROM unnest(to_tsvector('simple', $3))
        ), read (language, query) AS (
          SELECT language, websearch_to_tsquery(language::regconfig, $1)
            || (websearch_to_tsquery(language::regconfig, $2)
              && (websearch_to_tsquery(language::regconfig, $3) || beginning.query))
          FROM used, beginning WHERE language IS NOT NULL
        ), meant (language, query) AS (
          SELECT language, CASE numnode(query)
            WHEN 0 THEN websearch_to_tsquery('simple', $4) ELSE query END
          FROM read
        )
        SELECT array_agg(language) AS languages, query::text AS query FROM meant
        WHERE querytree(query) NOT IN ('', 'T') GROUP BY meant.query";

    let query = tidy(query);
    let typed = take_apart(&query);
    let readings = diesel::sql_query(READ)
        .bind::<Text, _>(&typed.before)
        .bind::<Text, _>(&typed.head)
        .bind::<Text, _>(&typed.last)
        .bind::<Text, _>(&query)
        .load(conn)
        .await?;
    let within = few_threads(conn, viewer).await?;
    Ok(Question {
        typed,
        readings,
        within,
    })
}

/// A page of the messages that answer a question, the best first, then the newest: of those that
/// the viewer finds in lists and that pass the filter.
pub async fn page(
    conn: &mut Conn,
    viewer: &Viewer,
    filter: &MessageFilter,
    question: &Question,
    page: &Page<Rank>,
) -> Result<Slice<Hit>> {
    let Some(newest) = newest(viewer, filter, question) else {
        return Ok(page.cut(Vec::new()));
    };
    let (languages, queries) = question.by_language();
    let best = Best {
        newest,
        languages,
        queries,
        after: page.after,
        limit: page.probe(),
    };
    let found: Vec<(MessageId, DateTime<Utc>, f32)> = conn
        .transaction(async |conn| {
            use_indexes(conn).await?;
            best.load(conn).await
        })
        .await?;
    let found = page.cut(found);
    let ids: Vec<MessageId> = found.rows.iter().map(|(id, ..)| *id).collect();
    // What was deleted or edited since then must pass once more.
    let mut shown: Vec<(Message, String)> = matching(viewer, filter)
        .filter(messages::id.eq_any(ids))
        .filter(question.answered())
        .select((Message::as_select(), marked(question)))
        .load(conn)
        .await?;
    let hit = |(id, _, score): (MessageId, DateTime<Utc>, f32)| {
        let at = shown.iter().position(|(message, _)| message.id == id)?;
        let (message, marked) = shown.swap_remove(at);
        Some(Hit {
            message,
            score,
            marked,
        })
    };
    Ok(Slice {
        rows: found.rows.into_iter().filter_map(hit).collect(),
        has_previous: found.has_previous,
        has_next: found.has_next,
    })
}

/// How many there are in all, at most `MOST`.
pub async fn count(
    conn: &mut Conn,
    viewer: &Viewer,
    filter: &MessageFilter,
    question: &Question,
) -> Result<i64> {
    match newest(viewer, filter, question) {
        Some(newest) => Ok(conn
            .transaction(async |conn| {
                use_indexes(conn).await?;
                Counted { newest }.get_result(conn).await
            })
            .await?),
        None => Ok(0),
    }
}

/// Keeps the rest of a transaction from reading tables from end to end: how many messages have a
/// word that begins like another one, PostgreSQL does not know, and takes for far too many.
async fn use_indexes(conn: &mut Conn) -> QueryResult<()> {
    diesel::sql_query("SET LOCAL enable_seqscan = off")
        .execute(conn)
        .await?;
    Ok(())
}

type Condition = Box<dyn BoxableExpression<messages::table, Pg, SqlType = Bool>>;

type Marked = Box<dyn BoxableExpression<messages::table, Pg, SqlType = Text>>;

type Newest = diesel::dsl::IntoBoxed<
    'static,
    diesel::dsl::Select<
        messages::table,
        (messages::id, diesel::dsl::AssumeNotNull<messages::sent_at>),
    >,
    Pg,
>;

impl Question {
    /// The condition that a message answers it.
    fn answered(&self) -> Condition {
        let mut any: Condition = Box::new(sql::<Bool>("FALSE"));
        for reading in &self.readings {
            let matches = sql::<Bool>("messages.search @@ CAST(")
                .bind::<Text, _>(reading.query.clone())
                .sql(" AS tsquery)");
            let language = messages::search_language.eq_any(reading.languages.clone());
            any = Box::new(any.or(language.and(matches)));
        }
        any
    }

    /// The languages and, in the same order, what each has to look for.
    fn by_language(&self) -> (Vec<String>, Vec<String>) {
        let pairs = self.readings.iter().flat_map(|reading| {
            let languages = reading.languages.iter();
            languages.map(|language| (language.clone(), reading.query.clone()))
        });
        pairs.unzip()
    }
}

/// The threads of somebody who works somewhere, if he sees few of them. PostgreSQL cannot guess how
/// many they are, and would read through the messages of all others for a word that is frequent.
async fn few_threads(conn: &mut Conn, viewer: &Viewer) -> Result<Option<Vec<ThreadId>>> {
    const FEW: i64 = 1000;

    let Some(organizations) = bounds(viewer) else {
        return Ok(None);
    };
    if viewer.is_key() || only_in_own(viewer).is_some() {
        return Ok(None);
    }
    let found: Vec<ThreadId> = threads::table
        .filter(threads::organization_id.eq_any(organizations))
        .filter(visible_threads(viewer))
        .select(threads::id)
        .limit(FEW + 1)
        .load(conn)
        .await?;
    let few = i64::try_from(found.len()).is_ok_and(|number| number <= FEW);
    Ok(few.then_some(found))
}

/// The newest of the messages that answer a question; none if it asks for nothing.
fn newest(viewer: &Viewer, filter: &MessageFilter, question: &Question) -> Option<Newest> {
    if question.readings.is_empty() {
        return None;
    }
    let mut query = matching(viewer, filter).filter(question.answered());
    if let Some(organizations) = bounds(viewer) {
        query = query.filter(messages::organization_id.eq_any(organizations));
    }
    if let Some(threads) = &question.within {
        query = query.filter(messages::thread_id.eq_any(threads.clone()));
    }
    if let Some(user) = only_in_own(viewer) {
        let own = participants::table
            .filter(participants::user_id.eq(user))
            .select(participants::thread_id);
        query = query.filter(messages::thread_id.eq_any(own));
    }
    let newest = query
        .order((messages::sent_at.desc(), messages::id.desc()))
        .limit(MOST)
        .select((messages::id, messages::sent_at.assume_not_null()));
    Some(newest)
}

/// The words around the hits, marked. Each word counts by itself, also those of a compound, since
/// looking for words that stand together takes the square of a text's length. Whatever begins like the last word is
/// marked in the form that its language gives it; where a language leaves it all out, as it is.
fn marked(question: &Question) -> Marked {
    // A lexeme is as it was written or as the language has it; a few of them are enough.
    const BEGUN: &str = ", (SELECT string_agg(lexeme, ' or ') FROM (
        SELECT lexeme FROM unnest(messages.search)
        WHERE lexeme !~ '[-/]' AND lexeme ^@ ANY (tsvector_to_array(to_tsvector('simple', ";
    const STEMMED: &str = "))) LIMIT 20) AS begun)) AS words) AS wanted,
        LATERAL (SELECT ts_headline(messages.search_language::regconfig, shown.text,
          websearch_to_tsquery(messages.search_language::regconfig, wanted.words), shown.options
        ) AS text OFFSET 0) AS stemmed)";

    let marks = format!("StartSel=\"{START}\", StopSel=\"{STOP}\", ");
    let whole = format!("{marks}HighlightAll=true");
    let pieces =
        format!("{marks}MaxFragments=2, MinWords=10, MaxWords=25, FragmentDelimiter=\" … \"");
    // The OFFSETs keep PostgreSQL from making a text twice: to look at it, and to show it.
    let marked = sql::<Text>("(SELECT CASE strpos(stemmed.text, ")
        .bind::<Text, _>(START.to_string())
        .sql(
            ") WHEN 0 THEN ts_headline('simple', shown.text,
               websearch_to_tsquery('simple', wanted.words), shown.options)
             ELSE stemmed.text END
             FROM (SELECT text, CASE WHEN char_length(text) <= ",
        )
        .bind::<Integer, _>(WHOLE)
        .sql(" THEN ")
        .bind::<Text, _>(whole)
        .sql(" ELSE ")
        .bind::<Text, _>(pieces)
        .sql(" END AS options FROM (SELECT translate(left(messages.plaintext, ")
        .bind::<Integer, _>(SHOWN)
        .sql("), ")
        // `<` gives way to what stands for it; the marks themselves are taken out.
        .bind::<Text, _>(format!("<{LESS}{START}{STOP}"))
        .sql(", ")
        .bind::<Text, _>(LESS.to_string())
        .sql(") AS text OFFSET 0) AS cut OFFSET 0) AS shown, LATERAL (SELECT concat_ws(' or ', ")
        .bind::<Text, _>(question.typed.words.clone())
        .sql(BEGUN)
        .bind::<Text, _>(question.typed.last.clone())
        .sql(STEMMED);
    Box::new(marked)
}

/// The best of the newest.
struct Best<Q> {
    newest: Q,
    languages: Vec<String>,
    queries: Vec<String>,
    after: Option<Key<Rank>>,
    limit: i64,
}

impl<Q> Query for Best<Q> {
    type SqlType = (SqlUuid, Timestamptz, Float);
}

impl<Q> QueryId for Best<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Best<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // How often a word is used decides how it is best looked for, so each is planned anew.
        out.unsafe_to_cache_prepared();
        // Divided by the logarithm of its length (1): otherwise long messages would always win.
        out.push_sql(
            "SELECT * FROM (SELECT newest.id, newest.sent_at, \
             ts_rank(messages.search, (CAST(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.queries)?;
        out.push_sql(" AS tsquery[]))[array_position(");
        out.push_bind_param::<Array<Text>, _>(&self.languages)?;
        out.push_sql(", messages.search_language)], 1) AS score FROM (");
        self.newest.walk_ast(out.reborrow())?;
        out.push_sql(
            ") AS newest (id, sent_at) JOIN messages ON messages.id = newest.id) AS ranked",
        );
        if let Some(key) = &self.after {
            out.push_sql(" WHERE (score, sent_at, id) < (");
            out.push_bind_param::<Float, _>(&key.tie.score)?;
            out.push_sql(", ");
            out.push_bind_param::<Timestamptz, _>(&key.at)?;
            out.push_sql(", ");
            out.push_bind_param::<SqlUuid, _>(&key.tie.id)?;
            out.push_sql(")");
        }
        out.push_sql(" ORDER BY score DESC, sent_at DESC, id DESC LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)
    }
}

/// How many they are.
struct Counted<Q> {
    newest: Q,
}

impl<Q> Query for Counted<Q> {
    type SqlType = BigInt;
}

impl<Q> QueryId for Counted<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Counted<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("SELECT count(*) FROM (");
        self.newest.walk_ast(out.reborrow())?;
        out.push_sql(") AS newest");
        Ok(())
    }
}
