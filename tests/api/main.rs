//! The API as its clients use it: GraphQL over real sockets, against one throwaway PostgreSQL,
//! a tenant for each test.

mod support;

mod access;

mod audience;

mod auth;

mod database;

mod fold;

mod http;

mod live;

mod messages;

mod notes;

mod pages;

mod pagination;

mod people;

mod scale;

mod schema;

mod sight;

mod statements;

mod threads;

mod ways;

mod websocket;
