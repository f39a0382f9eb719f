//! What a request carries, and the one way to ask who is asking.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock};

use async_graphql::Context;
use async_graphql::dataloader::DataLoader;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;

use crate::app::App;
use crate::auth::{Credential, Present, Viewer};
use crate::db::page::{List, Page, PageArgs};
use crate::error::{Error, Result};
use crate::graphql::loaders::{Batch, Telling};
use crate::graphql::rounds::Rounds;
use crate::graphql::upload::{Arrived, Upload};
use crate::ids::{Ref, ThreadId};
use crate::live::replay::Occurrence;
use crate::live::viewer;

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
    telling: Telling,
    source: Source,
    files: Mutex<HashMap<String, Arrived>>,
}

/// What a subscription wants to follow.
#[derive(Debug, Clone)]
pub enum Target {
    /// A thread, from behind a cursor or from now on.
    Thread(Ref<ThreadId>, Option<String>),
    /// Everything that the viewer sees, from behind a cursor or from now on.
    Everything(Option<String>),
}

/// What a subscription is told.
#[derive(Debug, Clone)]
pub enum Told {
    /// By the feed of a thread.
    OfThread(Occurrence),
    /// By the feed of everything that the viewer sees.
    OfEverything(viewer::replay::Occurrence),
}

/// Where the events of a subscription come from.
enum Source {
    /// From nowhere: a query or mutation.
    None,
    /// From nowhere yet: it is noted what it wants to follow.
    Asked(Arc<OnceLock<Target>>),
    /// From here.
    Fed(Mutex<Option<mpsc::Receiver<Told>>>),
}

impl Asking {
    /// For somebody with a credential, or for nobody, who may read nothing but the schema.
    pub fn new(app: Arc<App>, session: Option<Session>) -> Self {
        let (rounds, telling) = (Rounds::default(), Telling::default());
        let batch = session.as_ref().map(|session| {
            let (viewer, telling) = (session.viewer.clone(), telling.clone());
            Batch::new(Arc::clone(&app), viewer, rounds.clone(), telling).loader()
        });
        Self {
            app,
            session,
            batch,
            rounds,
            telling,
            source: Source::None,
            files: Mutex::default(),
        }
    }

    /// The same with the files that came with it, each by its ticket.
    pub fn with(self, files: HashMap<String, Arrived>) -> Self {
        Self {
            files: Mutex::new(files),
            ..self
        }
    }

    /// The same for a subscription of which only `target` is to be found out.
    pub fn asked(self, target: Arc<OnceLock<Target>>) -> Self {
        Self {
            source: Source::Asked(target),
            ..self
        }
    }

    /// The same for a subscription that is told what comes from here.
    pub fn fed(self, occurrences: mpsc::Receiver<Told>) -> Self {
        self.rounds.hurry();
        Self {
            source: Source::Fed(Mutex::new(Some(occurrences))),
            ..self
        }
    }

    /// Of which event it tells.
    pub fn telling(&self) -> Telling {
        self.telling.clone()
    }

    /// When its look-ups are made.
    pub fn rounds(&self) -> Rounds {
        self.rounds.clone()
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

    /// Takes a file that came with the request; an error if none did, or it was taken before.
    fn file(&self, upload: &Upload) -> Result<Arrived>;

    /// Which part of a list is wanted; an error if the arguments are wrong.
    fn page<T: Display + FromStr>(&self, args: &PageArgs, list: List) -> Result<Page<T>>;

    /// What happens to a target, as it comes to this request.
    fn follow(&self, target: Target) -> BoxStream<'static, Told>;
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

    fn file(&self, upload: &Upload) -> Result<Arrived> {
        let mut files = asking(self).files.lock().expect("no holder panics");
        files.remove(upload.ticket()).ok_or_else(|| {
            let why = "a file comes as a part of a multipart request, and is used once";
            Error::field("file", why)
        })
    }

    fn page<T: Display + FromStr>(&self, args: &PageArgs, list: List) -> Result<Page<T>> {
        args.check(self.app().settings.max_page_size, list)
    }

    fn follow(&self, target: Target) -> BoxStream<'static, Told> {
        let occurrences = match &asking(self).source {
            Source::None => None,
            Source::Asked(asked) => {
                // A document has one root field, so this is the first time.
                let _ = asked.set(target);
                None
            }
            Source::Fed(fed) => fed.lock().expect("no holder of this lock panics").take(),
        };
        futures_util::stream::unfold(occurrences, async |occurrences| {
            let mut occurrences = occurrences?;
            let next = occurrences.recv().await?;
            Some((next, Some(occurrences)))
        })
        .boxed()
    }
}

fn asking<'a>(context: &'a Context<'_>) -> &'a Asking {
    context
        .data_opt::<Asking>()
        .expect("every transport attaches Asking to a request")
}
