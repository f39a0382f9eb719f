//! Delivery: the bus that wakes, the feeds that lose nothing, what is true for a moment only, and
//! how long the log is kept.
//!
//! Never writes, and never takes the bus's word for what happened: the log has the last word.

pub mod mailbox;

pub mod recent;

pub mod rights;

pub mod bus;

pub mod typing;

pub mod presence;

pub mod ephemeral;

pub mod link;

pub mod hint;

pub mod loading;

pub mod nats;

pub mod cursor;

pub mod payload;

pub mod replay;

pub mod feed;

pub mod stretch;

pub mod passing;

pub mod tail;

pub mod viewer;

pub mod retention;
