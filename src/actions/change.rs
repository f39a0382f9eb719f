//! A change of one thread: its row locked, its events numbered under that lock and appended to
//! the log as the last statement of the transaction.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::join;

use crate::auth::Viewer;
use crate::db::access::{ThreadAccess, find};
use crate::db::attachment::Attachment;
use crate::db::deleted_thread;
use crate::db::enums::MessageType;
use crate::db::events;
use crate::db::lookups::Lookups;
use crate::db::message::Message;
use crate::db::message_list;
use crate::db::pool::Conn;
use crate::db::thread::{self, Thread};
use crate::db::user::User;
use crate::error::{Error, Result, broke_unique};
use crate::event::{Audience, Event, Fact, Former};
use crate::ids::{Ref, ThreadId, UserId};

/// A change being made, within a transaction.
pub struct Change {
    /// The thread as it will be stored.
    pub thread: Thread,
    /// When the change is made.
    pub now: DateTime<Utc>,
    access: ThreadAccess,
    actor_id: Option<UserId>,
    /// The viewer's row, if it is known.
    user: Option<Arc<User>>,
    told: Vec<Event>,
    dirty: bool,
}

/// What a change left behind: to be published once its transaction is committed.
#[must_use = "events that are not published reach their listeners late"]
pub struct Told(Vec<Arc<Event>>);

impl Told {
    /// The events, in order.
    pub fn events(&self) -> &[Arc<Event>] {
        &self.0
    }
}

impl Change {
    /// Locks a thread that the viewer sees.
    pub async fn lock(
        conn: &mut Conn,
        viewer: &Viewer,
        name: &Ref<ThreadId>,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let access = find::thread_locked(conn, viewer, name).await?;
        Ok(Self::of(access, viewer, now))
    }

    /// A change of a thread that this transaction has locked or made.
    pub fn of(access: ThreadAccess, viewer: &Viewer, now: DateTime<Utc>) -> Self {
        Self {
            thread: access.thread().clone(),
            now,
            access,
            actor_id: viewer.user_id(),
            user: viewer.user.clone(),
            told: Vec::new(),
            dirty: false,
        }
    }

    /// The proof that it rests on.
    pub fn access(&self) -> &ThreadAccess {
        &self.access
    }

    /// Says on whose behalf a backend makes it.
    pub fn set_actor(&mut self, actor: Option<UserId>) {
        self.actor_id = actor.or(self.actor_id);
    }

    /// Goes on with the rights of another viewer: an import into a thread just made.
    pub fn act_as(&mut self, viewer: &Viewer) {
        self.access = self.access.seen_by(viewer);
        self.actor_id = viewer.user_id();
    }

    /// Who makes it; nobody: a backend or the server.
    pub fn actor_id(&self) -> Option<UserId> {
        self.actor_id
    }

    /// The number that the next event will have.
    pub fn next_seq(&self) -> i64 {
        self.thread.seq + 1
    }

    /// The time of sending for a message, which never runs backwards within a thread.
    pub fn sending_time(&mut self) -> DateTime<Utc> {
        self.thread.clock_at = self.thread.clock_at.max(self.now);
        self.thread.clock_at
    }

    /// Tells a fact: gives it the thread's next number.
    pub fn tell(&mut self, fact: Fact, audience: Audience) {
        self.thread.seq += 1;
        if audience == Audience::Everyone {
            self.thread.public_seq = self.thread.seq;
        }
        self.dirty = true;
        let lookups = Lookups::default();
        if let Some(user) = &self.user {
            lookups.has_user(user);
        }
        self.told.push(Event {
            organization_id: self.thread.organization_id,
            thread_id: self.thread.id,
            seq: self.thread.seq,
            fact,
            actor_id: self.actor_id,
            occurred_at: self.now,
            audience,
            former: None,
            lookups,
        });
    }

    /// Tells something about the thread itself, and so moves its updatedAt.
    pub fn tell_thread(&mut self, fact: Fact) {
        self.thread.updated_at = self.now;
        self.tell(fact, Audience::Everyone);
    }

    /// Tells something about a message, to those who may see the message.
    pub fn tell_message(&mut self, message: &Message, fact: impl FnOnce(Arc<Message>) -> Fact) {
        self.tell(fact(Arc::new(message.clone())), audience(message));
    }

    /// Tells that a message was sent with these files, to which nobody has reacted yet.
    pub fn tell_sent(&mut self, message: &Message, files: Vec<Attachment>) {
        self.tell_message(message, Fact::MessageCreated);
        if let Some(event) = self.told.last() {
            event.lookups.nobody_reacted(message.id);
            event.lookups.has_attachments(message.id, files);
        }
    }

    /// Counts a message that was just sent, and lets the thread's times follow.
    pub fn count_sent(&mut self, message: &Message) {
        self.count(message, 1);
        let Some(at) = message.sent_at else { return };
        if message.deleted_at.is_none() {
            let thread = &mut self.thread;
            thread.staff_message_at = thread.staff_message_at.max(Some(at));
            if !message.private {
                thread.last_message_at = thread.last_message_at.max(Some(at));
                thread.updated_at = self.now;
            }
        }
    }

    /// Counts a message again whose `deleted_at` went from one state to the other.
    pub async fn count_again(
        &mut self,
        conn: &mut Conn,
        before: &Message,
        after: &Message,
    ) -> Result<()> {
        self.count(before, -1);
        self.count(after, 1);
        self.look_for_newest(conn, before.private).await
    }

    /// Stops counting a message that was removed for good.
    pub async fn count_removed(&mut self, conn: &mut Conn, message: &Message) -> Result<()> {
        self.count(message, -1);
        self.look_for_newest(conn, message.private).await
    }

    /// Stores the thread, then appends the events: the transaction's last statement.
    pub async fn save(mut self, conn: &mut Conn) -> Result<(ThreadAccess, Told)> {
        if !self.dirty {
            return Ok((self.access, Told(Vec::new())));
        }
        self.note_former();
        // Both are sent at once; the database takes them one after the other.
        let conn: &Conn = conn;
        let (stored, appended) = join!(
            thread::save(conn, &self.thread),
            events::append(conn, &self.told),
        );
        let stored = stored.map_err(|cause| {
            if broke_unique(&cause, "threads_organization_id_external_id_key") {
                Error::Conflict("externalId: is taken by another thread".to_owned())
            } else {
                cause.into()
            }
        })?;
        appended?;
        let told = self.told.into_iter().map(Arc::new).collect();
        Ok((self.access.with(stored), Told(told)))
    }

    /// Removes the thread for good, then appends the events: the transaction's last statement.
    pub async fn remove(self, conn: &mut Conn) -> Result<Told> {
        deleted_thread::keep(conn, self.thread.id).await?;
        thread::remove(conn, self.thread.id).await?;
        events::forget_all_appended(conn, self.thread.id).await?;
        events::append(conn, &self.told).await?;
        Ok(Told(self.told.into_iter().map(Arc::new).collect()))
    }

    /// Notes who saw the thread before with the events that may have taken it from them: they are
    /// to hear that it is gone.
    fn note_former(&mut self) {
        let before = self.access.thread();
        let former = Former {
            organization_id: before.organization_id,
            access: before.access,
        };
        let now = (self.thread.organization_id, self.thread.access);
        if (former.organization_id, former.access) == now {
            return;
        }
        let taking = self.told.iter_mut().filter(|event| {
            matches!(
                event.fact,
                Fact::ThreadUpdated | Fact::ParticipantRemoved(_)
            )
        });
        for event in taking {
            event.former = Some(former);
        }
    }

    async fn look_for_newest(&mut self, conn: &mut Conn, private: bool) -> Result<()> {
        let (public, any) = message_list::newest_times(conn, self.thread.id).await?;
        self.thread.last_message_at = public;
        self.thread.staff_message_at = any;
        if !private {
            self.thread.updated_at = self.now;
        }
        Ok(())
    }

    fn count(&mut self, message: &Message, by: i32) {
        let thread = &mut self.thread;
        let counter = match (message.private, message.deleted_at, message.type_) {
            (false, Some(_), _) => &mut thread.deleted_message_count,
            (true, Some(_), _) => &mut thread.private_deleted_count,
            (true, None, _) => &mut thread.private_message_count,
            (false, None, MessageType::User) => &mut thread.user_message_count,
            (false, None, MessageType::Action) => &mut thread.action_message_count,
        };
        *counter += by;
    }
}

/// Who may know of what happens to a message.
pub fn audience(message: &Message) -> Audience {
    if message.private {
        Audience::Staff
    } else {
        Audience::Everyone
    }
}
