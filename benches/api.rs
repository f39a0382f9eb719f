//! GraphQL over HTTP, on connections that are kept.

use std::net::SocketAddr;

use reqwest::Client;
use serde_json::{Value, json};

use crate::Outcome;

/// A server's API.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    url: String,
}

impl Api {
    /// Of the server there.
    pub fn new(address: SocketAddr) -> Outcome<Self> {
        Ok(Self {
            client: Client::builder().no_proxy().tcp_nodelay(true).build()?,
            url: format!("http://{address}/graphql"),
        })
    }

    /// Executes an operation in somebody's name; any error of it is one.
    pub async fn call(&self, credential: &str, query: &str, variables: Value) -> Outcome<Value> {
        let request = self.client.post(&self.url).bearer_auth(credential);
        let request = request.json(&json!({ "query": query, "variables": variables }));
        let mut answer: Value = request.send().await?.json().await?;
        match answer.get("errors") {
            None => Ok(answer["data"].take()),
            Some(errors) => Err(errors.to_string().into()),
        }
    }
}
