//! The API as its clients use it: GraphQL over real sockets, against one throwaway PostgreSQL,
//! a tenant for each test.

mod support;

mod access;

mod audience;

mod database;

mod fold;

mod messages;

mod notes;

mod pages;

mod people;

mod schema;

mod sight;

mod threads;
