//! The demo people, threads and messages, out of `demo.json`.
//!
//! Loaded through the same actions as everything else, as an import by a backend.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::AsyncConnection;
use serde::Deserialize;
use serde_json::Value;

use crate::actions::organization::UpsertOrganization;
use crate::actions::posting::{self, MessageValues, NewMessage};
use crate::actions::reaction::Given;
use crate::actions::thread::{self, OpenThread, ThreadValues};
use crate::actions::{organization, thread_update, user};
use crate::app::App;
use crate::auth::{Viewer, Who};
use crate::db::enums::{Access, Mark, Role, UserKind};
use crate::db::message::Message;
use crate::db::pool::Conn;
use crate::db::search_language::SearchLanguage;
use crate::db::user::UserChange;
use crate::db::watermark;
use crate::error::{Error, Faults, Result};
use crate::ids::{OrganizationId, Ref, UserId};

const DATA: &str = include_str!("demo.json");

/// The person whose token is printed in development.
pub const FIRST_PERSON: &str = "ada";

/// The externalId of the demo organization.
pub const ORGANIZATION: &str = "acme";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Demo {
    organization: DemoOrganization,
    people: Vec<Person>,
    threads: Vec<DemoThread>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DemoOrganization {
    external_id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    external_id: String,
    name: String,
    email: String,
    role: String,
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DemoThread {
    external_id: String,
    subject: String,
    access: String,
    creator: String,
    #[serde(default)]
    participants: Vec<String>,
    url: Option<String>,
    metadata: Option<Value>,
    #[serde(default)]
    resolved: bool,
    #[serde(default)]
    seen: HashMap<String, usize>,
    messages: Vec<DemoMessage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DemoMessage {
    from: String,
    body: String,
    minutes_ago: i64,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    deleted: bool,
    edited: Option<String>,
    reply_to: Option<usize>,
    #[serde(default)]
    reactions: Vec<DemoReaction>,
}

#[derive(Deserialize)]
struct DemoReaction {
    by: String,
    emoji: String,
}

/// Loads the demo, or loads it anew: threads of an earlier load go first.
pub async fn load(app: &Arc<App>) -> Result<()> {
    let demo: Demo = serde_json::from_str(DATA).map_err(Error::internal)?;
    let backend = Viewer::backend(None);
    let organization = UpsertOrganization {
        external_id: demo.organization.external_id,
        name: demo.organization.name,
        metadata: None,
    };
    let organization = organization::upsert(app, &backend, organization).await?;
    let organization = organization.organization().id;
    let mut people = HashMap::new();
    for person in &demo.people {
        let id = load_person(app, &backend, organization, person).await?;
        people.insert(person.external_id.clone(), id);
    }
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    // All or nothing: who is killed meanwhile finds no thread, and loads them at the next start.
    conn.transaction(async |conn| {
        for thread in &demo.threads {
            let load = Loading {
                organization,
                people: &people,
                thread,
                now,
            };
            load.run(conn).await?;
        }
        Ok(())
    })
    .await
}

/// Whether the database is as it is before the first start: nobody's but the demo's, and empty.
pub async fn is_wanted(app: &App) -> Result<bool> {
    let mut conn = app.conn().await?;
    let others = crate::db::organization::others_exist(&mut conn, ORGANIZATION).await?;
    Ok(!others && crate::db::thread::none_exists(&mut conn).await?)
}

async fn load_person(
    app: &Arc<App>,
    backend: &Viewer,
    organization: OrganizationId,
    person: &Person,
) -> Result<UserId> {
    let change = UserChange {
        name: Some(person.name.clone()),
        email: Some(Some(person.email.clone())),
        kind: UserKind::parse(&person.kind),
        ..UserChange::default()
    };
    let user = user::upsert(app, backend, &person.external_id, change).await?;
    let role = Role::parse(&person.role);
    let names = (&Ref::Id(organization), &Ref::Id(user.id));
    organization::set_membership(app, backend, names, role).await?;
    Ok(user.id)
}

/// A thread being loaded, in one transaction.
struct Loading<'a> {
    organization: OrganizationId,
    people: &'a HashMap<String, UserId>,
    thread: &'a DemoThread,
    now: DateTime<Utc>,
}

impl Loading<'_> {
    async fn run(&self, conn: &mut Conn) -> Result<()> {
        let external_id = &self.thread.external_id;
        crate::db::thread::remove_by_external_id(conn, self.organization, external_id).await?;
        let creator = self.person(&self.thread.creator)?;
        // The creator opens it himself; everything in it is imported by a backend.
        let opener = Viewer {
            who: Who::User(creator),
            bound: None,
            memberships: vec![(self.organization, Role::Admin)],
            user: None,
        };
        let backend = Viewer::backend(None);
        let begun = self
            .thread
            .messages
            .first()
            .map_or(0, |first| first.minutes_ago + 1);
        let (mut change, _) = thread::open(
            conn,
            &opener,
            &self.opening()?,
            (Faults::default(), ""),
            self.ago(begun),
        )
        .await?;
        change.act_as(&backend);
        let mut posted: Vec<Message> = Vec::new();
        for message in &self.thread.messages {
            change.now = self.ago(message.minutes_ago);
            let input = self.message(message, &posted)?;
            posted
                .push(posting::post(conn, &backend, &mut change, &input, Faults::default()).await?);
        }
        if self.thread.resolved {
            change.set_actor(Some(creator));
            let now = change.now;
            thread_update::set_resolved(conn, &mut change, Some(now)).await?;
        }
        let (access, _) = change.save(conn).await?;
        for (name, number) in &self.thread.seen {
            if let Some(message) = number.checked_sub(1).and_then(|index| posted.get(index)) {
                let person = self.person(name)?;
                let places = [(&access, message.place())];
                watermark::advance(conn, &places, (person, Mark::Seen), self.now).await?;
            }
        }
        Ok(())
    }

    fn opening(&self) -> Result<OpenThread> {
        let access = Access::parse(&self.thread.access)
            .ok_or_else(|| Error::internal("the demo data name an unknown access"))?;
        let people = self.thread.participants.iter();
        let participants = people
            .map(|name| self.person(name).map(Ref::Id))
            .collect::<Result<_>>()?;
        Ok(OpenThread {
            inbox: None,
            organization: Some(Ref::Id(self.organization)),
            values: ThreadValues {
                external_id: Some(self.thread.external_id.clone()),
                subject: self.thread.subject.clone(),
                url: self.thread.url.clone(),
                metadata: self.thread.metadata.clone(),
                extra_classnames: None,
                access,
                department: None,
                source_page: None,
                language: None,
                user_agent: None,
            },
            participants,
            subscribers: None,
            message: None,
            search_language: SearchLanguage::of("en"),
        })
    }

    fn message(&self, message: &DemoMessage, posted: &[Message]) -> Result<NewMessage> {
        let at = self.ago(message.minutes_ago);
        let sent = (!message.draft).then_some(at);
        let edited = message.edited.clone();
        let updated_at = edited.is_some().then_some(at + TimeDelta::seconds(50));
        let reactions = message.reactions.iter();
        Ok(NewMessage {
            values: MessageValues {
                body: Some(edited.unwrap_or_else(|| message.body.clone())),
                draft: message.draft,
                private: message.private,
                sent_at: sent,
                updated_at,
                deleted_at: message.deleted.then_some(at + TimeDelta::seconds(40)),
                ..MessageValues::default()
            },
            sender: Some(Ref::Id(self.person(&message.from)?)),
            reply_to: message
                .reply_to
                .and_then(|index| posted.get(index))
                .map(|quoted| Ref::Id(quoted.id)),
            reactions: reactions
                .map(|reaction| {
                    Ok(Given {
                        emoji: reaction.emoji.clone(),
                        user: Some(Ref::Id(self.person(&reaction.by)?)),
                        timestamp: Some(at + TimeDelta::seconds(30)),
                    })
                })
                .collect::<Result<_>>()?,
            unsubscribed: false,
        })
    }

    fn person(&self, name: &str) -> Result<UserId> {
        self.people
            .get(name)
            .copied()
            .ok_or_else(|| Error::internal(format!("the demo data name nobody called {name}")))
    }

    fn ago(&self, minutes: i64) -> DateTime<Utc> {
        self.now - TimeDelta::minutes(minutes)
    }
}
