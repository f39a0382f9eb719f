//! Loads from the log what other nodes say that they have written: once for this node, not for
//! each listener, and what comes together with one query.

use std::collections::HashSet;

use tokio::sync::mpsc;

use crate::app::App;
use crate::db::events;
use crate::error::Result;
use crate::ids::ThreadId;
use crate::live::bus::Signal;

/// How many hints are taken together.
const TOGETHER: usize = 200;

/// More events than this of one write are left to the listeners, who read the log in stretches.
const MOST: i64 = 100;

/// Events that another node has written.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Of which thread.
    pub thread: ThreadId,
    /// The number of the first.
    pub first: i64,
    /// The number of the last.
    pub last: i64,
}

impl Wanted {
    fn is_long(&self) -> bool {
        self.last.saturating_sub(self.first) >= MOST
    }
}

/// Loads what is wanted, and hands it to the listeners as if it had been written here.
pub async fn run(app: &App, mut wanted: mpsc::Receiver<Wanted>) {
    let mut together = Vec::with_capacity(TOGETHER);
    while wanted.recv_many(&mut together, TOGETHER).await > 0 {
        let (long, short): (Vec<Wanted>, Vec<Wanted>) =
            together.drain(..).partition(Wanted::is_long);
        tell_to_read(app, &long);
        if let Err(error) = load(app, &short).await {
            tracing::warn!(?error, "what other nodes wrote could not be loaded");
            tell_to_read(app, &short);
        }
    }
}

async fn load(app: &App, wanted: &[Wanted]) -> Result<()> {
    let mut places: Vec<(ThreadId, i64)> = wanted
        .iter()
        .filter(|wanted| app.bus.has_listeners(wanted.thread))
        .flat_map(|wanted| (wanted.first..=wanted.last).map(|seq| (wanted.thread, seq)))
        .collect();
    if places.is_empty() {
        return Ok(());
    }
    places.sort_unstable();
    places.dedup();
    let mut conn = app.conn().await?;
    let found = events::at(&mut conn, &places).await?;
    drop(conn);
    let mut told = HashSet::with_capacity(found.len());
    for event in found {
        told.insert((event.thread_id, event.seq));
        // Whoever reads the whole log need not load it again.
        app.bus.recent.put(std::slice::from_ref(&event));
        app.bus.send(event.thread_id, Signal::Event(event));
    }
    // Of a message that is gone there is no event: the log says how it goes on.
    for (thread, seq) in places {
        if !told.contains(&(thread, seq)) {
            app.bus.send(thread, Signal::Written(seq));
        }
    }
    Ok(())
}

fn tell_to_read(app: &App, wanted: &[Wanted]) {
    for wanted in wanted {
        app.bus.send(wanted.thread, Signal::Written(wanted.last));
    }
}
