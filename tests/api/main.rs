//! The API as its clients use it: GraphQL over real sockets, against one throwaway PostgreSQL,
//! a tenant for each test.

mod support;

mod access;

mod attachments;

mod audience;

mod auth;

mod batch;

mod chatwoot;

mod clients;

mod cookie;

mod cord;

mod database;

mod delivery;

mod documents;

mod ephemeral;

mod files;

mod fold;

mod http;

mod inbox_state;

mod inboxes;

mod input;

mod limits;

mod live;

mod messages;

mod metrics;

mod moving;

mod notes;

mod pages;

mod pagination;

mod people;

mod readme;

mod revisions;

mod scale;

mod schema;

mod search;

mod seeds;

mod sight;

mod statements;

mod threads;

mod tiledesk;

mod translation;

mod ulule;

mod ways;

mod webhooks;

mod sse;
mod websocket;
