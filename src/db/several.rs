//! Several queries as one statement: the rows that one of them chooses, or the sum of their numbers.

use diesel::expression::{AppearsOnTable, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool};

/// A query, whichever it is.
pub type Part = Box<dyn QueryFragment<Pg> + Send>;

/// The condition that a row is one of those whose ids the queries choose. Each query is planned
/// for itself, with its own order and limit.
pub struct Among {
    column: &'static str,
    queries: Vec<Part>,
}

impl Among {
    /// About this column; there must be a query at least.
    pub fn new(column: &'static str, queries: Vec<Part>) -> Self {
        debug_assert!(!queries.is_empty());
        Self { column, queries }
    }
}

impl Expression for Among {
    type SqlType = Bool;
}

impl<T> AppearsOnTable<T> for Among {}

impl<T> SelectableExpression<T> for Among {}

impl ValidGrouping<()> for Among {
    type IsAggregate = is_aggregate::Never;
}

impl QueryId for Among {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for Among {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql(self.column);
        out.push_sql(" = ANY (");
        for (index, query) in self.queries.iter().enumerate() {
            out.push_sql(if index == 0 { "ARRAY(" } else { " || ARRAY(" });
            query.walk_ast(out.reborrow())?;
            out.push_sql(")");
        }
        out.push_sql(")");
        Ok(())
    }
}

/// How many of the queries' numbers are not zero, and their sum.
pub struct Totals(pub Vec<Part>);

impl Query for Totals {
    type SqlType = (BigInt, BigInt);
}

impl QueryId for Totals {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for Totals {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql(
            "SELECT count(*) FILTER (WHERE number > 0), coalesce(sum(number), 0)::bigint FROM (SELECT 0 WHERE false",
        );
        for query in &self.0 {
            out.push_sql(" UNION ALL (");
            query.walk_ast(out.reborrow())?;
            out.push_sql(")");
        }
        out.push_sql(") AS counted (number)");
        Ok(())
    }
}
