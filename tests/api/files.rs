//! The bytes of files over real sockets: signed addresses, parts of files, what browsers may do
//! with them, and the requests that bring them.

mod addresses;
mod multipart;
mod serving;
mod slow;

use serde_json::{Value, json};

use crate::support::files::File;
use crate::support::server::Server;
use crate::support::{Actor, Tenant};

/// Somebody's file, and its address.
async fn file(by: &Actor, file: &File) -> (String, String) {
    let done = by.upload(file, json!({})).await;
    let id = done.text("/attachment/id");
    (id, done.text("/attachment/file/url"))
}

/// Somebody of a tenant of his own, at a server with these settings.
async fn at(arguments: &[&str]) -> Actor {
    let ada = Tenant::new().await.member("ada").await.actor();
    ada.at(Server::other(arguments).await)
}

/// What an answer says in JSON.
async fn said(answer: reqwest::Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}
