//! What can be done: one file per noun, one function per write. Each checks, makes one
//! transaction with the log's events as its last statement, and publishes after the commit.
//!
//! Never speaks SQL (`db`) and knows nothing of GraphQL.

mod change;

pub mod check;

pub mod organization;

pub mod user;

pub mod thread;

pub mod thread_update;

mod relocation;

pub mod participant;

pub mod posting;

mod attaching;

pub mod attachment;

pub mod upload;

mod direction;

mod mention;

mod named;

pub mod message;

pub mod message_update;

pub mod append;

pub mod form;

pub mod status;

pub mod delivery;

pub mod reaction;

pub mod translation;

pub mod seen;

pub mod inbox;

pub mod webhook;

pub mod inbox_state;

pub mod typing;

pub mod presence;

pub mod api_key;
