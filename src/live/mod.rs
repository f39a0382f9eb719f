//! Delivery: the bus that wakes, the feeds that lose nothing, and how long the log is kept.
//!
//! Never writes, and never takes the bus's word for what happened: the log has the last word.

pub mod recent;

pub mod bus;

pub mod cursor;

pub mod replay;

pub mod feed;

pub mod stretch;

pub mod tail;

pub mod viewer;

pub mod retention;
