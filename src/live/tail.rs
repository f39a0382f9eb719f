//! Reads the log of the whole server, once for all of this node: what has become visible since it
//! looked last. Who follows everything that he sees takes from it what is his; whoever follows
//! one thread learns of what no bus brought: another process's write, a publish that was lost,
//! access that was taken away elsewhere.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::app::App;
use crate::db::log::{About, Scope};
use crate::db::snapshot::Snapshot;
use crate::db::{api_key, events, organization};
use crate::error::Result;
use crate::ids::{ThreadId, UserId};
use crate::live::bus::{Bus, Signal, Subject};
use crate::live::passing::{Gathering, Passing};
use crate::live::stretch::{Happening, Reader, Stretch};

/// How often it looks whatever the bus says.
const EVERY: Duration = Duration::from_secs(1);

/// How long it lets pass between two looks at least, so that much is read at once.
const PAUSE: Duration = Duration::from_millis(20);

/// How long moves of watermarks are gathered, so that of many only the latest is told.
const GATHER: Duration = Duration::from_millis(150);

/// For how long it tells of somebody's new rights: longer than a credential is checked before its
/// subscription listens. To be told twice does no harm.
const REMIND: Duration = Duration::from_secs(5);

/// How many stretches a listener may be behind before it reads the log itself.
const CAPACITY: usize = 64;

/// What listeners are told.
#[derive(Debug, Clone)]
pub enum News {
    /// A stretch of the log.
    Stretch(Arc<Stretch>),
    /// What passes without a trace in it.
    Passing(Arc<Passing>),
}

/// What listeners of the whole log get.
#[derive(Debug)]
pub struct Tail {
    sender: broadcast::Sender<News>,
    /// The people among the listeners, each with how often he listens; backends count as nobody.
    listening: Mutex<HashMap<UserId, usize>>,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            sender: broadcast::channel(CAPACITY).0,
            listening: Mutex::default(),
        }
    }
}

impl Tail {
    /// Listens from now on, on behalf of somebody. Whoever reads the database's present position
    /// after this misses nothing behind it, and is known to those who decide who sees what.
    pub fn listen(self: &Arc<Self>, bus: &Arc<Bus>, user: Option<UserId>) -> Listener {
        let user = user.unwrap_or(UserId::NOBODY);
        bus.want_all();
        let mut listening = self
            .listening
            .lock()
            .expect("no holder of this lock panics");
        *listening.entry(user).or_default() += 1;
        Listener {
            receiver: self.sender.subscribe(),
            tail: Arc::clone(self),
            bus: Arc::clone(bus),
            user,
        }
    }

    pub(in crate::live) fn people(&self) -> Vec<UserId> {
        let listening = self
            .listening
            .lock()
            .expect("no holder of this lock panics");
        listening.keys().copied().collect()
    }

    fn is_heard(&self) -> bool {
        let listening = self
            .listening
            .lock()
            .expect("no holder of this lock panics");
        !listening.is_empty()
    }
}

/// A subscription to the whole log; ends when dropped.
#[derive(Debug)]
pub struct Listener {
    receiver: broadcast::Receiver<News>,
    tail: Arc<Tail>,
    bus: Arc<Bus>,
    user: UserId,
}

impl Listener {
    /// What comes next, or that some of it was missed.
    pub async fn recv(&mut self) -> Result<News, broadcast::error::RecvError> {
        self.receiver.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listening = match self.tail.listening.lock() {
            Ok(listening) => listening,
            Err(poisoned) => poisoned.into_inner(),
        };
        if let Some(count) = listening.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                listening.remove(&self.user);
            }
        }
        drop(listening);
        self.bus.unwant_all();
    }
}

/// Runs until the server shuts down.
pub async fn run(app: Arc<App>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch::default();
    let mut passing = Gathering::new(&app.bus);
    let mut looked_at = Instant::now();
    let mut due: Option<Instant> = None;
    loop {
        let recent = &app.bus.recent;
        let sooner = |due: Option<Instant>, at: Instant| Some(due.map_or(at, |due| due.min(at)));
        tokio::select! {
            _ = ticks.tick() => watch.is_due = true,
            () = recent.written() => {
                due = sooner(due, looked_at + PAUSE);
                continue;
            }
            () = recent.moved() => {
                due = sooner(due, Instant::now() + GATHER);
                continue;
            }
            () = passing.changed() => {
                if app.tail.is_heard() {
                    due = sooner(due, looked_at + PAUSE);
                } else {
                    passing.drop_all(&app.bus);
                }
                continue;
            }
            () = sleep_until(due.unwrap_or(looked_at)), if due.is_some() => {}
            () = app.shutdown.cancelled() => return,
        }
        due = None;
        // The database may be away: it goes on from where it was, once it is back.
        if let Err(error) = watch.look(&app, &mut passing).await {
            tracing::warn!(?error, "the log could not be read");
        }
        if app.bus.rights.take_due() {
            app.bus.send_to_all(&Signal::AccessChanged);
        }
        looked_at = Instant::now();
    }
}

/// What is known from one look to the next one.
#[derive(Default)]
struct Watch {
    reader: Option<Reader>,
    /// Whether those who follow single threads are to be told what was found.
    is_due: bool,
    /// How far threads have come since they were told.
    written: HashMap<ThreadId, i64>,
    /// Whose rights have changed, and when that was noticed.
    changed: VecDeque<(Instant, Subject)>,
}

impl Watch {
    async fn look(&mut self, app: &App, passing: &mut Gathering) -> Result<()> {
        let mut conn = app.conn().await?;
        // Read before it is asked who listens: whoever begins to listen later reads the database
        // later, too.
        let now = Snapshot::now(&mut conn).await?;
        let Some(reader) = &mut self.reader else {
            self.reader = Some(Reader::new(now));
            // Whoever listens already may have read the log before that.
            app.bus.send_to_all(&Signal::Written(i64::MAX));
            return Ok(());
        };
        if !now.includes(reader.position()) {
            tracing::warn!("the database has forgotten a part of the log");
            reader.go_to(now);
            return Ok(());
        }
        if reader.position() != &now {
            if app.tail.is_heard() {
                self.read(app, &mut conn).await?;
            } else {
                let since = reader.position();
                let members = organization::changed_since(&mut conn, since, None).await?;
                let keys = api_key::revoked_since(&mut conn, since).await?;
                if !app.bus.threads().is_empty() {
                    let written = events::written_since(&mut conn, since).await?;
                    self.written.extend(written);
                }
                reader.go_to(now);
                let keys = keys.iter().map(|(id, _)| id.as_str());
                self.note(members.iter().map(|(_, user, _)| *user), keys);
            }
        }
        // Behind the log: whoever has lost a right before this has been told so.
        if let Some(reader) = &self.reader {
            let told = passing.take((app, &mut conn), reader.position());
            if let Some(told) = told.await? {
                // The last listener may just have left: then there is nobody to tell.
                let _ = app.tail.sender.send(News::Passing(Arc::new(told)));
            }
        }
        drop(conn);
        if std::mem::take(&mut self.is_due) {
            self.tell_threads(app);
        }
        Ok(())
    }

    /// Reads all there is for those who follow everything.
    async fn read(&mut self, app: &App, conn: &mut crate::db::pool::Conn) -> Result<()> {
        loop {
            let Some(reader) = &mut self.reader else {
                return Ok(());
            };
            let everybody = (Scope::Everywhere, About::All);
            let reading = reader.read(conn, everybody, || app.tail.people()).await?;
            let known = |thread, seq| app.bus.recent.get(thread, seq);
            let stretch = reader.arrange(conn, reading, known, |_, _| true).await?;
            for entry in &stretch.entries {
                if let Happening::Event(event) = &entry.what {
                    let newest = self.written.entry(event.thread_id).or_default();
                    *newest = event.seq.max(*newest);
                }
            }
            let ended = stretch.ended;
            reader.advance(&stretch);
            let members = stretch.members.iter().map(|(_, user, _)| *user);
            let keys = stretch.keys.iter().map(|(id, _)| id.as_str());
            self.note(members, keys);
            // The last listener may just have left: then there is nobody to tell.
            let _ = app.tail.sender.send(News::Stretch(Arc::new(stretch)));
            if ended {
                return Ok(());
            }
        }
    }

    fn note<'a>(
        &mut self,
        members: impl Iterator<Item = UserId>,
        keys: impl Iterator<Item = &'a str>,
    ) {
        let keys = keys.map(|id| Subject::Key(id.into()));
        for subject in members.map(Subject::User).chain(keys) {
            self.changed.push_back((Instant::now(), subject));
        }
    }

    /// Tells those who follow single threads how far these have come, and whose rights changed.
    fn tell_threads(&mut self, app: &App) {
        for (thread, seq) in self.written.drain() {
            app.bus.send(thread, Signal::Written(seq));
        }
        for (_, subject) in &self.changed {
            app.bus.access_changed(subject.clone());
        }
        self.changed.retain(|(at, _)| at.elapsed() < REMIND);
    }
}
