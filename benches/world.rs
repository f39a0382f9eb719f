//! What a benchmark needs to be there, made through the public API.

use std::rc::Rc;

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::api::Api;
use crate::marks::{Mark, Marks};
use crate::server::Server;
use crate::{Args, Outcome};

/// The organization's externalId.
const ORGANIZATION: &str = "bench";

/// The words behind a message's mark.
const WORDS: &str = "The parcel has left the warehouse this morning and is on its way to you.";

/// The same for all messages: what the API's user asks for.
const CREATE_MESSAGE: &str =
    "mutation ($input: CreateMessageInput!) { createMessage(input: $input) { message { id } } }";

/// A server with an organization.
pub struct World {
    /// The server.
    pub server: Server,
    /// Its API.
    pub api: Api,
    key: Rc<str>,
}

/// A message to send.
#[derive(Debug, Clone)]
pub struct Post {
    /// By whom: a token.
    pub token: Rc<str>,
    /// Where.
    pub thread: Rc<str>,
    /// Whether it is a private note.
    pub private: bool,
}

impl World {
    /// A new one.
    pub async fn fresh(args: &Args) -> Outcome<Self> {
        let server = Server::fresh(args).await?;
        let world = Self {
            api: Api::new(server.address)?,
            key: server.key().await?,
            server,
        };
        let query = "mutation ($input: UpsertOrganizationInput!) \
                     { upsertOrganization(input: $input) { organization { id } } }";
        let input = json!({ "externalId": ORGANIZATION, "name": "Bench" });
        world.ask(query, json!({ "input": input })).await?;
        Ok(world)
    }

    /// The same with the server started anew, with other settings.
    pub async fn restarted(self, settings: &[&str]) -> Outcome<Self> {
        let server = self.server.restart(settings).await?;
        let api = Api::new(server.address)?;
        Ok(Self {
            server,
            api,
            key: self.key,
        })
    }

    /// Executes an operation with the API key.
    pub async fn ask(&self, query: &str, variables: Value) -> Outcome<Value> {
        self.api.call(&self.key, query, variables).await
    }

    /// Makes so many people of a role, `name-0`, `name-1`, ...; answers their tokens.
    pub async fn people(&self, name: &str, role: &str, count: usize) -> Outcome<Vec<Rc<str>>> {
        let users: Vec<String> = (0..count)
            .map(|number| format!("{name}-{number}"))
            .collect();
        for user in &users {
            let query =
                "mutation ($input: UpsertUserInput!) { upsertUser(input: $input) { user { id } } }";
            let avatar = format!("https://images.example.com/avatars/{user}.png");
            let input = json!({ "externalId": user, "name": user, "avatarUrl": avatar });
            self.ask(query, json!({ "input": input })).await?;
        }
        let tokens = self.server.tokens(ORGANIZATION, role, &users).await?;
        for token in &tokens {
            // The first use of a token makes the membership.
            self.api
                .call(token, "{ viewer { user { id } } }", json!({}))
                .await?;
        }
        Ok(tokens)
    }

    /// Opens a thread; the participants see it, and so do others as its access says.
    pub async fn thread(&self, access: &str, participants: &[String]) -> Outcome<Rc<str>> {
        let query = "mutation ($input: CreateThreadInput!) { createThread(input: $input) { thread { id } } }";
        let input = json!({
            "organizationId": ORGANIZATION, "subject": "Where is my parcel?", "access": access,
            "participantIds": participants,
        });
        let data = self.ask(query, json!({ "input": input })).await?;
        let id = data["createThread"]["thread"]["id"].as_str();
        Ok(id.ok_or("a thread has an id")?.into())
    }

    /// The position behind everything in a thread.
    pub async fn cursor(&self, thread: &str) -> Outcome<Rc<str>> {
        let query = "query ($thread: ID!) { thread(id: $thread) { cursor } }";
        let data = self.ask(query, json!({ "thread": thread })).await?;
        Ok(data["thread"]["cursor"]
            .as_str()
            .ok_or("a thread has a cursor")?
            .into())
    }

    /// The marks of all messages of a thread, in its order.
    pub async fn order(&self, thread: &str) -> Outcome<Vec<Mark>> {
        let query = "query ($thread: ID!, $after: String) { thread(id: $thread) { \
                     messages(first: 100, after: $after) { nodes { plaintext } \
                     pageInfo { hasNextPage endCursor } } } }";
        let (mut order, mut after) = (Vec::new(), Value::Null);
        loop {
            let variables = json!({ "thread": thread, "after": after });
            let mut page = self.ask(query, variables).await?["thread"]["messages"].take();
            let nodes = page["nodes"].as_array().ok_or("a page has nodes")?;
            let text = |node: &Value| Mark::find(node["plaintext"].as_str()?.as_bytes());
            order.extend(nodes.iter().filter_map(text));
            if page["pageInfo"]["hasNextPage"] != true {
                return Ok(order);
            }
            after = page["pageInfo"]["endCursor"].take();
        }
    }

    /// Sends a message, which is told to so many listeners; does not wait for anything.
    pub fn send(&self, marks: &Rc<Marks>, post: Post, listeners: usize) -> Mark {
        let mark = marks.mark(listeners);
        let (api, marks) = (self.api.clone(), Rc::clone(marks));
        // Whoever waits for the mark waits for this task; an end without it ends the run's tasks.
        tokio::task::spawn_local(async move {
            let input = json!({
                "threadId": &*post.thread, "body": format!("{mark} {WORDS}"), "private": post.private,
            });
            let sent = api
                .call(&post.token, CREATE_MESSAGE, json!({ "input": input }))
                .await;
            marks.answered(mark, sent.map(drop));
        });
        mark
    }

    /// Sends so many messages to nobody, so many at once.
    pub async fn send_many(&self, post: &Post, count: usize, at_once: usize) -> Outcome<()> {
        let marks = Marks::new();
        for _ in 0..count {
            marks.fewer_than(at_once).await?;
            self.send(&marks, post.clone(), 0);
        }
        marks.all_heard().await
    }

    /// Opens so many threads alike.
    pub async fn threads(
        &self,
        access: &str,
        participants: impl Fn(usize) -> Vec<String>,
        count: usize,
    ) -> Outcome<Vec<Rc<str>>> {
        let participants: Vec<Vec<String>> = (0..count).map(participants).collect();
        let opened = participants
            .iter()
            .map(|people| self.thread(access, people));
        try_join_all(opened).await
    }
}
