//! The rule of `access` for many viewers at once: what it needs to know of threads is asked for
//! together, and each viewer is judged by it without the database.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use crate::auth::Viewer;
use crate::db::access::{Eyes, ThreadAccess, thread_columns};
use crate::db::deleted_thread::{self, DeletedThread};
use crate::db::enums::{Access, Role};
use crate::db::pool::Conn;
use crate::db::prepared::Prepare;
use crate::db::schema::threads;
use crate::db::thread::Thread;
use crate::error::Result;
use crate::event::{Event, Fact, Former};
use crate::ids::{OrganizationId, ThreadId, UserId};

/// What decides who sees these threads, as far as it concerns these viewers.
#[derive(Debug, Default)]
pub struct Facts {
    threads: HashMap<ThreadId, Known>,
    deleted: HashMap<ThreadId, DeletedThread>,
}

#[derive(Debug)]
struct Known {
    thread: Arc<Thread>,
    oldest_running: i64,
    participants: Vec<UserId>,
    hidden_by: Vec<UserId>,
}

impl Facts {
    /// Asks for what concerns these viewers, with one statement; with another one for those of
    /// the threads that were deleted, if there are any.
    pub async fn load(
        conn: &mut Conn,
        ids: &[ThreadId],
        deleted: &[ThreadId],
        viewers: &[UserId],
    ) -> Result<Self> {
        let those = |table: &str| {
            sql::<Array<SqlUuid>>(&format!(
                "ARRAY(SELECT user_id FROM {table} WHERE thread_id = threads.id AND user_id = ANY ("
            ))
            .bind::<Array<SqlUuid>, _>(viewers.to_vec())
            .sql("))")
        };
        let mut facts = Self::default();
        if !ids.is_empty() {
            type Row = (Vec<UserId>, Vec<UserId>, (Thread, i64));
            let rows: Vec<Row> = threads::table
                .filter(threads::id.eq_any(ids))
                .select((
                    those("participants"),
                    those("hidden_threads"),
                    thread_columns(),
                ))
                .prepared()
                .load(conn)
                .await?;
            let known =
                rows.into_iter()
                    .map(|(participants, hidden_by, (thread, oldest_running))| {
                        let known = Known {
                            thread: Arc::new(thread),
                            oldest_running,
                            participants,
                            hidden_by,
                        };
                        (known.thread.id, known)
                    });
            facts.threads = known.collect();
        }
        facts.deleted = deleted_thread::by_ids(conn, deleted).await?;
        Ok(facts)
    }

    /// The proof that a viewer sees a thread, if he does.
    pub fn access(&self, viewer: &Viewer, thread: ThreadId) -> Option<ThreadAccess> {
        let known = self.threads.get(&thread)?;
        let organization = known.thread.organization_id;
        let user = viewer.user_id();
        let takes_part = user.is_some_and(|user| known.participants.contains(&user));
        sees(viewer, organization, known.thread.access, takes_part).then(|| ThreadAccess {
            eyes: Eyes {
                who: viewer.who,
                role: viewer.role_in(organization),
            },
            thread: Arc::clone(&known.thread),
            oldest_running: known.oldest_running,
            witness: None,
        })
    }

    /// Whether a viewer does not want to hear of a thread.
    pub fn is_hidden(&self, viewer: &Viewer, thread: ThreadId) -> bool {
        let there = self.threads.get(&thread).map(|known| &known.hidden_by);
        let gone = self.deleted.get(&thread).map(|known| &known.hidden_by_ids);
        let by = there.or(gone);
        let user = viewer.user_id();
        by.is_some_and(|by| user.is_some_and(|user| by.contains(&user)))
    }

    /// Whether an event took from the viewer the sight of a thread that he does not see now.
    pub fn loses(&self, viewer: &Viewer, event: &Event) -> bool {
        match event.fact {
            Fact::ThreadDeleted => self.deleted.get(&event.thread_id).is_some_and(|known| {
                let user = viewer.user_id();
                let took_part = user.is_some_and(|user| known.participant_ids.contains(&user));
                sees(viewer, known.organization_id, known.access, took_part)
            }),
            Fact::ParticipantRemoved(user) if viewer.user_id() == Some(user) => {
                let former = event.former.map(|former| former.organization_id);
                let organization = former.unwrap_or(event.organization_id);
                viewer.role_in(organization).is_some()
                    && self.access(viewer, event.thread_id).is_none()
            }
            Fact::ThreadUpdated => event.former.is_some_and(
                |Former {
                     organization_id,
                     access,
                 }| {
                    sees(viewer, organization_id, access, false)
                        && self.access(viewer, event.thread_id).is_none()
                },
            ),
            _ => false,
        }
    }
}

impl ThreadAccess {
    /// Whether the viewer may know of an event of this thread.
    pub fn hears_of(&self, event: &Event) -> bool {
        let readable = match &event.fact {
            Fact::MessageCreated(message)
            | Fact::MessageUpdated(message)
            | Fact::MessageAppended(message, _) => self.sees(message),
            _ => true,
        };
        readable && self.hears(event.audience)
    }
}

/// Whether a viewer sees a thread: what `visible_threads` says in SQL. A test holds the two
/// against each other.
fn sees(viewer: &Viewer, organization: OrganizationId, access: Access, takes_part: bool) -> bool {
    if viewer.is_key() {
        return viewer.key_reaches(organization);
    }
    let Some(role) = viewer.role_in(organization) else {
        return false;
    };
    takes_part
        || match access {
            Access::Participants => false,
            Access::Agents => role.is_staff(),
            Access::Organization => role != Role::Contact,
        }
}
