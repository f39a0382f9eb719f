//! PostgreSQL: rows and queries by noun. The only place that speaks SQL.
//!
//! Never decides what a write means (`actions`), nor how a row looks to a client (`graphql`).

pub mod pool;

pub(in crate::db) mod prepared;

#[expect(missing_docs, reason = "generated")]
pub mod schema;

pub mod enums;

pub mod access;

pub mod page;

pub mod several;

pub mod organization;

pub mod user;

pub mod inbox;

pub mod webhook;

pub mod webhook_log;

pub(in crate::db) mod webhook_terms;

pub mod delivery_list;

pub mod thread;

pub mod thread_list;

pub mod participant;

pub mod message;

pub mod message_list;

pub mod search_language;

pub mod search_query;

pub mod search;

pub mod reaction;

pub mod attachment;

pub mod revision;

pub mod translation;

pub mod watermark;

pub mod hidden;

pub mod snapshot;

pub mod lookups;

pub mod events;

pub mod log;

pub mod deleted_thread;

pub mod retention;

pub mod signing_key;

pub mod unused_file;

pub mod delivery;
pub mod file;

pub mod api_key;
