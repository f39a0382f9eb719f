//! Statements that each connection keeps prepared although diesel cannot know that it may: what
//! has a piece of SQL of our own in it, and updates. (Inserts it keeps by itself, where absent
//! columns are NULL and not DEFAULT.)
//!
//! A statement that is not kept is parsed and planned each time, which often takes the database
//! longer than executing it, and takes one more round trip. A connection keeps a statement for each
//! text that it has seen: only one whose text is the same each time, or one of a few, may be kept;
//! and only one that finds its rows by their keys. After some executions the database may settle on
//! one plan for all values, while what looks for a range, or for a few first rows, may need another
//! plan as tables grow.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;

/// A statement that is kept prepared.
#[derive(Debug, Clone, Copy)]
pub struct Prepared<Q>(Q);

/// What makes a statement one that is kept prepared.
pub trait Prepare: Sized {
    /// The statement, kept prepared. Its text must not depend on values, nor on how many there are.
    fn prepared(self) -> Prepared<Self> {
        Prepared(self)
    }
}

impl<Q: QueryFragment<Pg>> Prepare for Q {}

impl<Q: Query> Query for Prepared<Q> {
    type SqlType = Q::SqlType;
}

/// It is known by its text.
impl<Q> QueryId for Prepared<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}
