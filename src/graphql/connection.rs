//! Lists as the Relay connection specification has them. `first` or `last`, 1 to 100 or to what
//! the server is set to, 20 if neither is given; anything else, and a bad cursor, is BAD_USER_INPUT.

use async_graphql::SimpleObject;

use crate::db::page::Slice;

/// Where a page stands in its list.
#[derive(Debug, Clone, SimpleObject)]
pub struct PageInfo {
    /// Whether there is more behind this page.
    has_next_page: bool,
    /// Whether there is more before this page.
    has_previous_page: bool,
    /// The cursor of the first item; null if there is none.
    start_cursor: Option<String>,
    /// The cursor of the last item; null if there is none.
    end_cursor: Option<String>,
}

impl PageInfo {
    /// Of a page whose items have these cursors.
    pub fn of<R>(slice: &Slice<R>, cursor: impl Fn(&R) -> String) -> Self {
        Self {
            has_next_page: slice.has_next,
            has_previous_page: slice.has_previous,
            start_cursor: slice.rows.first().map(&cursor),
            end_cursor: slice.rows.last().map(&cursor),
        }
    }
}

/// The number of items of a list, as the schema has it.
pub fn total(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
