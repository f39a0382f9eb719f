//! Delivery: the bus that wakes, the feed that loses nothing.
//!
//! Never writes, and never takes the bus's word for what happened: the log has the last word.

pub mod bus;

pub mod cursor;

pub mod replay;

pub mod feed;

pub mod tailer;
