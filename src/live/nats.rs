//! The bus between nodes, over NATS: hints of what was written, on a subject for each thread, and
//! what is true for a moment. A node asks only for threads that it has listeners for.
//!
//! Never the truth: what is lost on the way stands in the log, which is read once a second anyway
//! and, by all who listen, whenever the connection was lost or has come back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event as Change, Message, ServerAddr};
use futures_util::StreamExt;
use futures_util::stream::{AbortHandle, BoxStream, SelectAll, abortable};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::app::App;
use crate::config::Secret;
use crate::ids::ThreadId;
use crate::live::bus::Signal;
use crate::live::hint::{Hint, Letter, Word};
use crate::live::link::{Link, Outgoing};
use crate::live::loading::Wanted;
use crate::live::{hint, loading};

/// Longest wait between two attempts to connect.
const RETRY: Duration = Duration::from_secs(1);

/// How long it is waited, after a connection, until what is asked for has been asked for again.
const SETTLING: Duration = Duration::from_secs(5);

/// How many hints may wait to be looked up. Of more, the listeners read the log themselves.
const WAITING: usize = 1024;

/// A connection to the other nodes, which may be away: it is tried for until the server ends.
pub struct Nats {
    client: Client,
    subjects: Subjects,
    changes: mpsc::Receiver<Change>,
    outgoing: mpsc::Receiver<Outgoing>,
    /// What tells this node's letters from those of others.
    node: Uuid,
}

/// Connects in the background, if there is an address; an error if that is none.
pub async fn connect(app: &App) -> Result<Option<Nats>, String> {
    let Some(address) = &app.settings.nats_url else {
        return Ok(None);
    };
    let servers = addresses(address)?;
    let (tell, changes) = mpsc::channel(64);
    let options = ConnectOptions::new()
        .name("bobbin")
        .no_echo()
        .retry_on_initial_connect()
        .reconnect_delay_callback(|attempt| {
            let doubled = u32::try_from(attempt).unwrap_or(u32::MAX).min(10);
            RETRY.min(Duration::from_millis(10) * 2_u32.pow(doubled))
        })
        .event_callback(move |change| {
            let tell = tell.clone();
            async move {
                // Nobody takes it once the server has ended.
                let _ = tell.send(change).await;
            }
        });
    let client = options
        .connect(servers)
        .await
        .map_err(|error| format!("BOBBIN_NATS_URL: {error}"))?;
    let (link, outgoing) = Link::new();
    if app.bus.join(link).is_err() {
        return Err("the bus is joined with other nodes already".to_owned());
    }
    Ok(Some(Nats {
        client,
        subjects: Subjects {
            prefix: app.settings.nats_prefix.clone(),
        },
        changes,
        outgoing,
        node: Uuid::now_v7(),
    }))
}

/// The addresses of a setting; what is wrong with it does not show it, since it may hold a secret.
fn addresses(setting: &Secret) -> Result<Vec<ServerAddr>, String> {
    let one = |text: &str| {
        let address: Option<ServerAddr> = text.trim().parse().ok();
        address.filter(|address| {
            ["nats", "tls"].contains(&address.scheme()) && !address.host().is_empty()
        })
    };
    setting.reveal().split(',').map(one).collect::<Option<_>>().ok_or_else(|| {
        "BOBBIN_NATS_URL is no address such as nats://host:4222, nor several, separated by commas"
            .to_owned()
    })
}

/// Tells the other nodes and hears them, until it is aborted: what is written while the server
/// drains is told, too.
pub async fn run(app: Arc<App>, nats: Nats) {
    let Nats {
        client,
        subjects,
        changes,
        outgoing,
        node,
    } = nats;
    let (want, wanted) = mpsc::channel(WAITING);
    let ear = Ear {
        app: Arc::clone(&app),
        subjects: subjects.clone(),
        node,
        want,
    };
    tokio::select! {
        () = speak(&client, &subjects, node, outgoing) => {}
        () = watch(&app, &client, changes) => {}
        () = listen(ear, &client) => {}
        () = loading::run(&app, wanted) => {}
    }
    tracing::error!("the connection to the other nodes has ended");
}

/// Sends what goes out.
async fn speak(
    client: &Client,
    subjects: &Subjects,
    node: Uuid,
    mut outgoing: mpsc::Receiver<Outgoing>,
) {
    while let Some(letter) = outgoing.recv().await {
        let Some((subject, word)) = subjects.address(letter) else {
            continue;
        };
        let letter = Letter { from: node, word }.encode();
        if let Err(error) = client.publish(subject, letter.into()).await {
            tracing::debug!(?error, "a hint was not sent");
        }
    }
}

/// Follows whether the connection is there.
async fn watch(app: &App, client: &Client, mut changes: mpsc::Receiver<Change>) {
    let connected = |yes| {
        if let Some(link) = app.bus.link() {
            link.set_connected(yes);
        }
    };
    while let Some(change) = changes.recv().await {
        match change {
            Change::Connected => {
                // What was asked for is asked for again first; what happens then is heard.
                let settled = tokio::time::timeout(SETTLING, client.flush()).await;
                tracing::info!(settled = settled.is_ok(), "the other nodes can be told");
                connected(true);
            }
            Change::Disconnected | Change::Closed => {
                tracing::warn!("the other nodes cannot be told: the log is read instead");
                connected(false);
            }
            Change::SlowConsumer(_) => {}
            _ => continue,
        }
        // Hints may have been lost.
        app.bus.send_to_all(&Signal::Written(i64::MAX));
        app.bus.send_to_all(&Signal::Seen);
        app.bus.wake();
    }
}

/// Asks for what somebody on this node listens to, and hears it.
async fn listen(ear: Ear, client: &Client) {
    let mut heard = Heard::new(client.clone(), ear.subjects.clone());
    heard.ask(Source::Access).await;
    heard.ask(Source::Ephemeral).await;
    let bus = &ear.app.bus;
    let Some(link) = bus.link() else { return };
    loop {
        tokio::select! {
            changed = link.changes() => {
                heard.set(Source::All, bus.wakes_anyone()).await;
                for thread in changed {
                    heard.set(Source::Thread(thread), bus.has_listeners(thread)).await;
                }
            }
            next = heard.incoming.next() => match next {
                Some((source, message)) => ear.hear(source, &message),
                None => return,
            }
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Thread(ThreadId),
    /// Every thread.
    All,
    Access,
    Ephemeral,
}

/// What has been asked for, and comes in.
struct Heard {
    client: Client,
    subjects: Subjects,
    incoming: SelectAll<BoxStream<'static, (Source, Message)>>,
    asked: HashMap<Source, AbortHandle>,
}

impl Heard {
    fn new(client: Client, subjects: Subjects) -> Self {
        Self {
            client,
            subjects,
            incoming: SelectAll::new(),
            asked: HashMap::new(),
        }
    }

    async fn set(&mut self, source: Source, wanted: bool) {
        if !wanted {
            // The stream ends, is dropped, and with it goes what was asked for.
            if let Some(handle) = self.asked.remove(&source) {
                handle.abort();
            }
        } else if !self.asked.contains_key(&source) {
            self.ask(source).await;
        }
    }

    async fn ask(&mut self, source: Source) {
        match self.client.subscribe(self.subjects.of(source)).await {
            Ok(messages) => {
                let (messages, handle) = abortable(messages);
                self.asked.insert(source, handle);
                let named = messages.map(move |message| (source, message));
                self.incoming.push(named.boxed());
            }
            Err(error) => tracing::warn!(?error, "what other nodes say cannot be asked for"),
        }
    }
}

/// What does with each letter as it says.
struct Ear {
    app: Arc<App>,
    subjects: Subjects,
    node: Uuid,
    want: mpsc::Sender<Wanted>,
}

impl Ear {
    fn hear(&self, source: Source, message: &Message) {
        let Some(letter) = Letter::decode(&message.payload) else {
            tracing::debug!(subject = %message.subject, "a letter of another kind");
            return;
        };
        if letter.from == self.node {
            return;
        }
        let bus = &self.app.bus;
        match (source, letter.word) {
            (Source::All, Word::Hint(Hint::Seen)) => bus.recent.note_move(),
            (Source::All, Word::Hint(_)) => bus.wake(),
            (Source::Thread(thread), Word::Hint(Hint::Written { first, last })) => {
                let wanted = Wanted {
                    thread,
                    first,
                    last,
                };
                if self.want.try_send(wanted).is_err() {
                    bus.send(thread, Signal::Written(last));
                }
            }
            (Source::Thread(thread), Word::Hint(Hint::Seen)) => bus.send(thread, Signal::Seen),
            (Source::Access, Word::Access(whose)) => {
                bus.access_changed(whose.into());
            }
            (Source::Ephemeral, Word::Said(said, left)) => {
                bus.hear(said, Duration::from_millis(left));
            }
            _ => tracing::debug!(
                prefix = self.subjects.prefix,
                "a letter where it does not belong"
            ),
        }
    }
}

/// What the subjects are called.
#[derive(Debug, Clone)]
struct Subjects {
    prefix: String,
}

impl Subjects {
    fn of(&self, source: Source) -> String {
        let prefix = &self.prefix;
        match source {
            Source::Thread(thread) => format!("{prefix}.thread.{}", thread.uuid()),
            Source::All => format!("{prefix}.thread.*"),
            Source::Access => format!("{prefix}.access"),
            Source::Ephemeral => format!("{prefix}.ephemeral"),
        }
    }

    /// Where a letter goes, and what it says; none if it is too late for it.
    fn address(&self, letter: Outgoing) -> Option<(String, Word)> {
        let (to, word) = match letter {
            Outgoing::Written(thread, first, last) => (
                Source::Thread(thread),
                Word::Hint(Hint::Written { first, last }),
            ),
            Outgoing::Seen(thread) => (Source::Thread(thread), Word::Hint(Hint::Seen)),
            Outgoing::Access(subject) => (Source::Access, Word::Access(subject.into())),
            Outgoing::Said(said, until) => (
                Source::Ephemeral,
                Word::Said(said, hint::milliseconds_to(until)?),
            ),
        };
        Some((self.of(to), word))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn read(text: &str) -> Result<Vec<ServerAddr>, String> {
        addresses(&text.parse().expect("not empty"))
    }

    #[test]
    fn an_address_is_one_or_several_and_never_shown() {
        for good in ["nats://a:4222", "a", "tls://a:1, nats://user:pw@b"] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [
            "http://swordfish",
            "nats://",
            "nats://a:port",
            "a,,b",
            "ws://a",
        ] {
            let error = read(bad).expect_err(bad);
            assert!(!error.contains("swordfish"), "{error}");
        }
    }

    #[test]
    fn every_thread_has_its_subject_under_the_prefix() {
        let subjects = Subjects {
            prefix: "here".to_owned(),
        };
        let thread = ThreadId::generate();
        let of_thread = subjects.of(Source::Thread(thread));
        assert_eq!(of_thread, format!("here.thread.{}", thread.uuid()));
        let others: HashSet<String> = [Source::All, Source::Access, Source::Ephemeral]
            .map(|source| subjects.of(source))
            .into();
        assert!(others.contains("here.thread.*") && others.len() == 3);
    }
}
