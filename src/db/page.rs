//! Keyset pages: which part of an ordered list a client wants, and what it gets.
//!
//! Never counts and never skips rows: a page costs the same at any depth.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, Utc};
use diesel::dsl::sql;
use diesel::expression::{AsExpression, SqlLiteral, TypedExpressionType, UncheckedBind};
use diesel::sql_types::{Bool, SqlType, Timestamptz};

use crate::error::{Faults, Result};

/// Items of a page that does not say how many.
pub const DEFAULT_PAGE: i32 = 20;

/// Which list a cursor is of: one of another list is refused, since it would mean another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// The messages of a thread.
    Messages,
    /// The sent messages of all threads.
    Sent,
    /// The drafts of the viewer.
    Drafts,
    /// What a search found.
    Found,
    /// Threads by their newest message.
    Activity,
    /// Threads by their creation.
    Creation,
    /// The participants of a thread.
    Participants,
    /// The members of an organization.
    Members,
    /// The webhooks of an organization.
    Webhooks,
    /// What goes to a webhook or an inbox.
    Deliveries,
}

impl List {
    /// What its cursors begin with.
    fn mark(self) -> char {
        match self {
            Self::Messages => 'm',
            Self::Sent => 's',
            Self::Drafts => 'd',
            Self::Found => 'f',
            Self::Activity => 'a',
            Self::Creation => 'c',
            Self::Participants => 'p',
            Self::Members => 'o',
            Self::Webhooks => 'w',
            Self::Deliveries => 'v',
        }
    }
}

/// The place of a row in a list: a time, and what makes it unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key<T> {
    /// The time that the list is ordered by.
    pub at: DateTime<Utc>,
    /// What orders rows of the same time.
    pub tie: T,
}

impl<T: Display + FromStr> Key<T> {
    /// The opaque text that clients hand back.
    pub fn encode(&self, list: List) -> String {
        let (mark, at) = (list.mark(), self.at.timestamp_micros());
        URL_SAFE_NO_PAD.encode(format!("{mark}{at}.{}", self.tie))
    }

    /// Reads such a text, of that list.
    pub fn decode(text: &str, list: List) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (at, tie) = text.strip_prefix(list.mark())?.split_once('.')?;
        let at = DateTime::from_timestamp_micros(at.parse().ok()?)?;
        // PostgreSQL's years end before chrono's do, and ours before 10,000.
        if !(0..10_000).contains(&at.year()) {
            return None;
        }
        let tie = tie.parse().ok()?;
        Some(Self { at, tie })
    }
}

type Bound<E, T, ST> = UncheckedBind<E, <T as AsExpression<ST>>::Expression>;
type AtBound = SqlLiteral<Bool, Bound<SqlLiteral<Bool>, DateTime<Utc>, Timestamptz>>;
type Beyond<T, ST> = SqlLiteral<Bool, Bound<AtBound, T, ST>>;

/// The condition that a row lies behind (`>`) or before (`<`) a key, as a comparison of rows,
/// which PostgreSQL answers from an index at any depth. `columns` are the two of the order.
pub fn beyond<ST, T>(columns: &str, operator: &str, key: &Key<T>) -> Beyond<T, ST>
where
    T: AsExpression<ST> + Copy,
    ST: SqlType + TypedExpressionType,
{
    sql::<Bool>(&format!("({columns}) {operator} ("))
        .bind::<Timestamptz, _>(key.at)
        .sql(", ")
        .bind::<ST, _>(key.tie)
        .sql(")")
}

/// The arguments of a connection, as a client gives them.
#[derive(Debug, Clone, Default)]
pub struct PageArgs {
    /// So many from the front.
    pub first: Option<i32>,
    /// Behind this cursor.
    pub after: Option<String>,
    /// So many from the back.
    pub last: Option<i32>,
    /// Before this cursor.
    pub before: Option<String>,
}

impl PageArgs {
    /// Whether they ask for more than a number from the front.
    pub fn is_bounded(&self) -> bool {
        self.after.is_some() || self.last.is_some() || self.before.is_some()
    }

    /// Checks them; `most`: items of a page.
    pub fn check<T: Display + FromStr>(&self, most: u16, list: List) -> Result<Page<T>> {
        let most = i32::from(most);
        let mut faults = Faults::default();
        if self.first.is_some() && self.last.is_some() {
            faults.add("last", "cannot be combined with first");
        }
        for (name, number) in [("first", self.first), ("last", self.last)] {
            if number.is_some_and(|number| !(1..=most).contains(&number)) {
                faults.add(name, format!("must be between 1 and {most}"));
            }
        }
        let mut cursor = |name, text: &Option<String>| {
            let key = text.as_deref().map(|text| Key::decode(text, list));
            if matches!(key, Some(None)) {
                faults.add(name, "is not a cursor of this list");
            }
            key.flatten()
        };
        let (after, before) = (cursor("after", &self.after), cursor("before", &self.before));
        faults.finish()?;
        Ok(Page {
            after,
            before,
            backward: self.last.is_some(),
            limit: self
                .first
                .or(self.last)
                .unwrap_or(most.min(DEFAULT_PAGE))
                .into(),
        })
    }
}

/// Which part of a list to read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Page<T> {
    /// Only what comes behind it.
    pub after: Option<Key<T>>,
    /// Only what comes before it.
    pub before: Option<Key<T>>,
    /// From the back of the list.
    pub backward: bool,
    /// At most so many.
    pub limit: i64,
}

impl<T: Display> Page<T> {
    /// The end of a query for the rows of this part, with one more: what follows its conditions.
    /// The text holds times, numbers and ids only.
    pub fn part(&self, at: &str, tie: &str) -> String {
        let bound = |operator: &str, key: &Option<Key<T>>| match key {
            Some(key) => {
                let (from, row) = (key.at.to_rfc3339(), &key.tie);
                format!("AND ({at}, {tie}) {operator} (TIMESTAMPTZ '{from}', '{row}')")
            }
            None => String::new(),
        };
        let (after, before) = (bound(">", &self.after), bound("<", &self.before));
        let direction = if self.backward { "DESC" } else { "ASC" };
        let limit = self.probe();
        format!("{after} {before} ORDER BY {at} {direction}, {tie} {direction} LIMIT {limit}")
    }
}

impl<T> Page<T> {
    /// How many rows to ask for: one more shows whether there is more.
    pub fn probe(&self) -> i64 {
        self.limit + 1
    }

    /// Makes the part out of the rows that were read, in the list's order.
    pub fn cut_ordered<R>(&self, mut rows: Vec<R>) -> Slice<R> {
        if self.backward {
            rows.reverse();
        }
        self.cut(rows)
    }

    /// Makes the part out of the rows that were read, in the order in which they were read.
    pub fn cut<R>(&self, mut rows: Vec<R>) -> Slice<R> {
        let limit = usize::try_from(self.limit).expect("a page is short");
        let more = rows.len() > limit;
        rows.truncate(limit);
        if self.backward {
            rows.reverse();
        }
        let (has_previous, has_next) = if self.backward {
            (more, self.before.is_some())
        } else {
            (self.after.is_some(), more)
        };
        Slice {
            rows,
            has_previous,
            has_next,
        }
    }
}

/// A part of a list, in the list's order.
#[derive(Debug, Clone)]
pub struct Slice<R> {
    /// The rows.
    pub rows: Vec<R>,
    /// Whether there are rows before them.
    pub has_previous: bool,
    /// Whether there are rows behind them.
    pub has_next: bool,
}

impl<R> Slice<R> {
    /// The window of `limit` rows around the first one of `from`, out of the rows before it and
    /// those from it on, of both at most `limit`.
    pub fn around(before: Self, from: Self, limit: i64) -> Self {
        let limit = usize::try_from(limit).expect("a page is short");
        let from_end = limit.saturating_sub(from.rows.len());
        let leading = (limit / 2).max(from_end).min(before.rows.len());
        let trailing = (limit - leading).min(from.rows.len());
        let skipped = before.rows.len() - leading;
        let has_next = from.has_next || trailing < from.rows.len();
        let rows = before.rows.into_iter().skip(skipped);
        Self {
            rows: rows.chain(from.rows.into_iter().take(trailing)).collect(),
            has_previous: before.has_previous || skipped > 0,
            has_next,
        }
    }

    /// The same part of a list of something else.
    pub fn map<S>(self, change: impl FnMut(R) -> S) -> Slice<S> {
        Slice {
            rows: self.rows.into_iter().map(change).collect(),
            has_previous: self.has_previous,
            has_next: self.has_next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(first: Option<i32>, last: Option<i32>, after: Option<&str>) -> PageArgs {
        PageArgs {
            first,
            last,
            after: after.map(str::to_owned),
            before: None,
        }
    }

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        let at = DateTime::from_timestamp_micros(1_700_000_000_123_456).expect("a date");
        let key = Key { at, tie: 42_i64 };
        let text = key.encode(List::Messages);
        assert_eq!(Key::decode(&text, List::Messages), Some(key));
        assert_eq!(Key::<i64>::decode(&text, List::Sent), None);
    }

    #[test]
    fn bad_arguments_are_named() {
        for bad in [
            args(Some(0), None, None),
            args(Some(101), None, None),
            args(Some(1), Some(1), None),
            args(None, None, Some("nonsense")),
        ] {
            assert!(bad.check::<i64>(100, List::Messages).is_err(), "{bad:?}");
        }
        assert!(
            args(None, Some(100), None)
                .check::<i64>(100, List::Messages)
                .is_ok()
        );
    }
}
