//! The API as its clients use it: GraphQL over real sockets, against one throwaway PostgreSQL,
//! a tenant for each test.

mod support;

mod auth;

mod http;

mod live;

mod messages;

mod websocket;
