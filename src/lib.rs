//! Bobbin, a messaging backend that a team runs itself. The modules in reading order:

pub mod config;

pub mod error;

pub mod ids;

pub mod event;

pub mod trusted;

pub mod webhook;

pub mod metrics;

pub mod translation;

pub mod app;

pub mod auth;

pub mod content;

pub mod db;

pub mod storage;

pub mod actions;

pub mod live;

pub mod graphql;

pub mod fanout;

pub mod delivery;

pub mod http;

pub mod sweeper;

pub mod postgres;

pub mod secret;

pub mod demo;
