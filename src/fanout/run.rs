//! Executes the document of a subscription for one event after the other, each for whom it is
//! told, and finds out whether the result is for him alone.

use std::sync::{Arc, OnceLock};

use async_graphql::parser::parse_query;
use async_graphql::{Request, Response};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;

use crate::app::App;
use crate::auth::{Credential, Present, Viewer, Witness};
use crate::db::access::Eyes;
use crate::event::Event;
use crate::graphql::BobbinSchema;
use crate::graphql::answer::{finished, is_internal, written, written_errors};
use crate::graphql::context::{Asking, Session, Target, Told};
use crate::graphql::loaders::Telling;
use crate::graphql::rounds::Rounds;
use crate::live::replay::{Occurrence, What};
use crate::live::viewer::{self, telling};
use crate::trusted::hash;

/// What is executed for a subscription.
pub struct Plan {
    schema: BobbinSchema,
    request: Box<dyn Fn() -> Request + Send + Sync>,
    /// Subscribers with the same one are told the same.
    pub digest: [u8; 32],
}

impl Plan {
    /// For a document that is parsed and within the limits, which `request` asks for.
    pub fn new(
        schema: BobbinSchema,
        digest: [u8; 32],
        request: impl Fn() -> Request + Send + Sync + 'static,
    ) -> Self {
        Self {
            schema,
            request: Box::new(request),
            digest,
        }
    }

    /// For a document of the server's own, which subscribes to one field.
    ///
    /// # Panics
    ///
    /// If it is none.
    pub fn of_document(schema: BobbinSchema, document: &str) -> Self {
        let parsed = parse_query(document).expect("the server's own documents are right");
        Self::new(schema, hash(document), move || {
            let mut request = Request::new("");
            request.set_parsed_query(parsed.clone());
            request
        })
    }

    /// What it wants to follow; else the answer that it ends with, if there is one.
    pub async fn target(
        &self,
        app: &Arc<App>,
        session: Session,
    ) -> Result<Target, Option<Box<Response>>> {
        let target = Arc::new(OnceLock::new());
        let asking = Asking::new(Arc::clone(app), Some(session)).asked(Arc::clone(&target));
        let mut answers = self.schema.execute_stream((self.request)().data(asking));
        let answer = answers.next().await;
        drop(answers);
        match (target.get(), answer) {
            (Some(target), None) => Ok(target.clone()),
            (_, answer) => Err(answer.map(|answer| Box::new(finished(answer)))),
        }
    }
}

/// For whom an event is executed.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Who he is.
    pub viewer: Arc<Viewer>,
    /// As whom he sees the thread.
    pub eyes: Eyes,
}

/// What an execution has led to.
pub enum Executed {
    /// A result, as JSON.
    Result {
        /// It.
        json: Box<str>,
        /// Whether it depends on who the viewer is.
        personal: bool,
        /// Whether a part of it failed for reasons that may pass.
        failed: bool,
    },
    /// No result: the errors, as JSON.
    Errors {
        /// They.
        json: Box<str>,
        /// Whether they may pass.
        internal: bool,
    },
}

/// A document that is being executed, event by event.
pub struct Run {
    present: Present,
    told: mpsc::Sender<Told>,
    answers: BoxStream<'static, Response>,
    rounds: Rounds,
    telling: Telling,
}

impl Run {
    /// Begins with the first of those for whom it will be executed.
    pub fn new(app: &Arc<App>, plan: &Plan, credential: &Credential, first: Arc<Viewer>) -> Self {
        let present = Present::new(first);
        let session = Session {
            credential: credential.clone(),
            viewer: present.clone(),
        };
        let (told, source) = mpsc::channel(1);
        let asking = Asking::new(Arc::clone(app), Some(session)).fed(source);
        let (rounds, telling) = (asking.rounds(), asking.telling());
        Self {
            present,
            told,
            answers: plan
                .schema
                .execute_stream((plan.request)().data(asking))
                .boxed(),
            rounds,
            telling,
        }
    }

    /// Executes it for an event and a recipient.
    pub async fn execute(&mut self, occurrence: &Occurrence, to: &Recipient) -> Executed {
        let witness: Witness = self.present.witness().clone();
        self.present.renew(Arc::clone(&to.viewer));
        let told = Occurrence {
            access: occurrence.access.seen_as(to.eyes).watched_by(&witness),
            ..occurrence.clone()
        };
        let event = match &occurrence.what {
            What::Event(event) => Some(&**event),
            _ => None,
        };
        self.answer(event, Told::OfThread(told)).await
    }

    /// Executes it for something that one viewer is told of all that he sees.
    pub async fn execute_for(
        &mut self,
        occurrence: &viewer::replay::Occurrence,
        to: Arc<Viewer>,
    ) -> Executed {
        self.present.renew(to);
        let mut told = occurrence.clone();
        if let Some(access) = told.what.access_mut() {
            *access = access.watched_by(self.present.witness());
        }
        let event = match &occurrence.what {
            telling::What::Event(event, _) => Some(&**event),
            _ => None,
        };
        self.answer(event, Told::OfEverything(told)).await
    }

    async fn answer(&mut self, event: Option<&Event>, told: Told) -> Executed {
        let lookups = event.map(|event| event.lookups.clone());
        self.telling.renew(lookups);
        let witness: Witness = self.present.witness().clone();
        witness.take();
        // The channel holds one, and the last one was taken out for its answer.
        let sent = self.told.try_send(told).is_ok();
        let answer = self.rounds.during(self.answers.next()).await;
        let Some(answer) = answer.filter(|_| sent) else {
            return Executed::Errors {
                json: "[]".into(),
                internal: true,
            };
        };
        let answer = finished(answer);
        let failed = is_internal(&answer);
        if answer.data == async_graphql::Value::Null {
            return Executed::Errors {
                json: written_errors(&answer).into(),
                internal: failed,
            };
        }
        Executed::Result {
            json: written(&answer).into(),
            personal: witness.take(),
            failed,
        }
    }
}
