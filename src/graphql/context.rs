//! What a request carries, and the one way to ask who is asking.

use std::sync::{Arc, Mutex};

use async_graphql::Context;
use async_graphql::dataloader::DataLoader;
use tokio::sync::oneshot;

use crate::app::App;
use crate::auth::{Credential, Present, Viewer};
use crate::error::{Error, Result};
use crate::graphql::loaders::Batch;
use crate::graphql::rounds::Rounds;

/// A verified credential and the viewer that it stands for.
#[derive(Debug, Clone)]
pub struct Session {
    /// The credential.
    pub credential: Credential,
    /// The viewer.
    pub viewer: Present,
}

/// What every request of the schema carries.
pub struct Asking {
    app: Arc<App>,
    session: Option<Session>,
    batch: Option<DataLoader<Batch>>,
    rounds: Rounds,
    started: Mutex<Option<oneshot::Sender<()>>>,
}

impl Asking {
    /// For somebody with a credential, or for nobody, who may read nothing but the schema.
    pub fn new(app: Arc<App>, session: Option<Session>) -> Self {
        let rounds = Rounds::default();
        let batch = session.as_ref().map(|session| {
            Batch::new(Arc::clone(&app), session.viewer.clone(), rounds.clone()).loader()
        });
        Self {
            app,
            session,
            batch,
            rounds,
            started: Mutex::new(None),
        }
    }

    /// When its look-ups are made.
    pub fn rounds(&self) -> Rounds {
        self.rounds.clone()
    }

    /// The same; `started` is told when a subscription misses nothing any more.
    pub fn with_start(self, started: oneshot::Sender<()>) -> Self {
        Self {
            started: Mutex::new(Some(started)),
            ..self
        }
    }
}

/// What resolvers ask a request for.
pub trait Ask {
    /// The server's parts.
    fn app(&self) -> &Arc<App>;

    /// Who is asking; an error if nobody is.
    fn viewer(&self) -> Result<Arc<Viewer>>;

    /// The credential and the viewer; an error if there are none.
    fn session(&self) -> Result<&Session>;

    /// What gathers look-ups by key into one query.
    fn batch(&self) -> Result<&DataLoader<Batch>>;

    /// Says that this request's subscription misses nothing from now on.
    fn say_started(&self);
}

impl Ask for Context<'_> {
    fn app(&self) -> &Arc<App> {
        &asking(self).app
    }

    fn viewer(&self) -> Result<Arc<Viewer>> {
        self.session().map(|session| session.viewer.get())
    }

    fn session(&self) -> Result<&Session> {
        asking(self)
            .session
            .as_ref()
            .ok_or_else(|| Error::Unauthenticated("a credential is required".to_owned()))
    }

    fn batch(&self) -> Result<&DataLoader<Batch>> {
        asking(self)
            .batch
            .as_ref()
            .ok_or_else(|| Error::Unauthenticated("a credential is required".to_owned()))
    }

    fn say_started(&self) {
        let started = asking(self)
            .started
            .lock()
            .expect("no holder of this lock panics")
            .take();
        if let Some(started) = started {
            // Whoever waited may have gone.
            let _ = started.send(());
        }
    }
}

fn asking<'a>(context: &'a Context<'_>) -> &'a Asking {
    context
        .data_opt::<Asking>()
        .expect("every transport attaches Asking to a request")
}
