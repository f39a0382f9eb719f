//! The API as its clients use it: GraphQL over real sockets, against one throwaway PostgreSQL,
//! a tenant for each test.

mod support;

mod access;

mod audience;

mod auth;

mod cord;

mod database;

mod fold;

mod http;

mod live;

mod messages;

mod notes;

mod pages;

mod people;

mod readme;

mod schema;

mod search;

mod seeds;

mod sight;

mod threads;

mod ulule;

mod websocket;
