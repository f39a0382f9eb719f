//! What had been committed at a moment: a position in the log of the whole server, and within all
//! that a viewer sees.
//!
//! A transaction gets its number when it begins to write, and is seen when it commits: so "up to
//! number n" names no position, but "all below n, these aside that were still running" does.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt};
use diesel_async::RunQueryDsl;

use crate::db::pool::Conn;
use crate::db::prepared::Prepare;
use crate::error::Result;

/// Which transactions' doings are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Nothing from this transaction on is told.
    xmax: i64,
    /// Older ones that are not told either, in order.
    xip: Vec<i64>,
}

impl Snapshot {
    /// All transactions below a number but for some; none if these are no such numbers.
    pub fn new(xmax: i64, mut xip: Vec<i64>) -> Option<Self> {
        xip.sort_unstable();
        xip.dedup();
        let within = xip.iter().all(|xid| (0..xmax).contains(xid));
        (xmax >= 0 && within).then_some(Self { xmax, xip })
    }

    /// What is committed and visible now.
    pub async fn now(conn: &mut Conn) -> Result<Self> {
        Ok(Self::read(conn).await?.0)
    }

    /// The same, and the newest transaction of which events are no longer kept.
    pub async fn read(conn: &mut Conn) -> Result<(Self, i64)> {
        // A number that a client keeps must not be the database's own alone: the numbers of
        // transactions that left nothing behind may be given out once more after a crash. One
        // more than the newest that did leave something that is told bounds it; what had a
        // number beyond that is told as new, whichever transaction it turns out to be.
        let found: Found = diesel::sql_query(
            "SELECT least(
               pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
               1 + greatest(
                 (SELECT max(xid) FROM events), (SELECT max(xid) FROM watermarks),
                 (SELECT max(xid) FROM memberships), (SELECT max(revoked_xid) FROM api_keys),
                 (SELECT max(dropped_xid) FROM event_retention), 0)
             ) AS xmax, coalesce((SELECT max(dropped_xid) FROM event_retention), 0) AS dropped, ARRAY(
               SELECT xid::text::bigint FROM pg_snapshot_xip(pg_current_snapshot()) AS xip (xid)
             ) AS xip",
        )
        .prepared()
        .get_result(conn)
        .await?;
        let Found {
            xmax,
            mut xip,
            dropped,
        } = found;
        xip.retain(|xid| *xid < xmax);
        xip.sort_unstable();
        Ok((Self { xmax, xip }, dropped))
    }

    /// Nothing from this transaction on is told.
    pub fn xmax(&self) -> i64 {
        self.xmax
    }

    /// Older ones that are not told either, in order.
    pub fn xip(&self) -> &[i64] {
        &self.xip
    }

    /// Whether what a transaction did is told.
    pub fn covers(&self, xid: i64) -> bool {
        xid < self.xmax && self.xip.binary_search(&xid).is_err()
    }

    /// Whether everything is told here that is told there.
    pub fn includes(&self, other: &Self) -> bool {
        let running = self.xip.iter().take_while(|xid| **xid < other.xmax);
        let mut running = running.copied();
        other.xmax <= self.xmax && running.all(|xid| !other.covers(xid))
    }

    /// Whether all transactions up to a number are told.
    pub fn is_behind(&self, xid: i64) -> bool {
        self.xmax > xid
            && self
                .xip
                .as_slice()
                .first()
                .is_none_or(|oldest| *oldest > xid)
    }

    /// The position on the way from here to a later one, where all that is told there of
    /// transactions below `bound` has been told.
    pub fn towards(&self, later: &Self, bound: i64) -> Self {
        let xmax = self.xmax.max(bound.min(later.xmax));
        let untold = self.xip.iter().filter(|xid| **xid >= bound);
        let running = later.xip.iter().take_while(|xid| **xid < xmax);
        let mut xip: Vec<i64> = untold.chain(running).copied().collect();
        xip.sort_unstable();
        xip.dedup();
        Self { xmax, xip }
    }

    /// The same or an earlier position, which names at most so many transactions one by one.
    pub fn shortened(&self, most: usize) -> Self {
        match self.xip.as_slice().first() {
            Some(oldest) if self.xip.len() > most => Self {
                xmax: *oldest,
                xip: Vec::new(),
            },
            _ => self.clone(),
        }
    }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    xmax: i64,
    #[diesel(sql_type = Array<BigInt>)]
    xip: Vec<i64>,
    #[diesel(sql_type = BigInt)]
    dropped: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(xmax: i64, xip: &[i64]) -> Snapshot {
        Snapshot::new(xmax, xip.to_vec()).expect("a snapshot")
    }

    fn told(snapshot: &Snapshot) -> Vec<i64> {
        (0..40).filter(|xid| snapshot.covers(*xid)).collect()
    }

    #[test]
    fn numbers_that_were_running_are_below_its_end() {
        assert_eq!(Snapshot::new(5, vec![5]), None);
        assert_eq!(Snapshot::new(5, vec![-1]), None);
        assert_eq!(Snapshot::new(-1, vec![]), None);
        assert_eq!(told(&snapshot(5, &[3, 1, 3])), [0, 2, 4]);
    }

    #[test]
    fn a_later_one_includes_an_earlier_one_and_not_the_other_way_round() {
        let (early, late) = (snapshot(10, &[4, 7]), snapshot(15, &[7, 12]));
        assert!(late.includes(&early) && early.includes(&early));
        assert!(!early.includes(&late));
        assert!(!snapshot(15, &[2]).includes(&early));
    }

    #[test]
    fn on_the_way_all_below_the_bound_is_told_and_nothing_else_is_new() {
        let (early, late) = (snapshot(10, &[2, 4, 7]), snapshot(20, &[7, 12, 18]));
        for bound in 0..25 {
            let between = early.towards(&late, bound);
            let new = |xid: &i64| late.covers(*xid) && *xid < bound;
            let wanted: Vec<i64> = (0..40)
                .filter(|xid| early.covers(*xid) || new(xid))
                .collect();
            let exact: Vec<i64> = told(&between);
            assert_eq!(exact, wanted, "{bound}");
        }
        assert_eq!(early.towards(&late, i64::MAX), late);
    }

    #[test]
    fn a_shortened_one_tells_no_more() {
        let full = snapshot(20, &[3, 5, 9]);
        assert_eq!(full.shortened(3), full);
        assert_eq!(told(&full.shortened(2)), [0, 1, 2]);
    }
}
