//! Many subscribers at once. Each keeps the order in which it heard the marks; at the end all of
//! an audience must have heard the same, in the same order.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use memchr::memmem;
use serde_json::json;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::marks::{Mark, Marks};
use crate::socket::Socket;

/// How many connect at once.
const AT_ONCE: usize = 64;

/// Who sits where.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The credential.
    pub token: Rc<str>,
    /// What the subscriber does there, one operation each.
    pub operations: Vec<Operation>,
    /// Who must hear the same: a number that only they have.
    pub audience: usize,
}

/// A subscription.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The document.
    pub query: Rc<str>,
    /// The thread.
    pub thread: Rc<str>,
    /// The position to resume from.
    pub after: Option<Rc<str>>,
}

/// The subscribers. Dropped, they hang up.
pub struct Crowd {
    records: Vec<Rc<Record>>,
    _readers: JoinSet<()>,
}

/// What one of them has heard.
#[derive(Debug, Default)]
struct Record {
    audience: usize,
    count: Cell<u32>,
    /// Stands for the sequence of all marks.
    order: Cell<u64>,
    /// The sequence itself, which one of each audience keeps.
    marks: Option<RefCell<Vec<Mark>>>,
    /// The server has answered.
    answered: Cell<bool>,
}

struct Subscriber {
    socket: Socket,
    record: Rc<Record>,
    marks: Rc<Marks>,
}

/// Has everybody connect and subscribe; done when all subscriptions have begun.
pub async fn join(address: SocketAddr, seats: Vec<Seat>, marks: &Rc<Marks>) -> Outcome<Crowd> {
    let mut witnesses = HashSet::new();
    let joining = seats.into_iter().map(|seat| {
        let record = record(&mut witnesses, seat.audience);
        let marks = Rc::clone(marks);
        async move {
            let socket = Socket::open(address, "/graphql").await?;
            let mut subscriber = Subscriber {
                socket,
                record,
                marks,
            };
            subscriber.begin(&seat).await?;
            Outcome::Ok(subscriber)
        }
    });
    gather(joining.map(|joins| Box::pin(joins) as Joining).collect()).await
}

/// The same at the floor: one seat in each of these channels.
pub async fn join_floor(
    address: SocketAddr,
    channels: Vec<usize>,
    marks: &Rc<Marks>,
) -> Outcome<Crowd> {
    let mut witnesses = HashSet::new();
    let joining = channels.into_iter().map(|channel| {
        let record = record(&mut witnesses, channel);
        let marks = Rc::clone(marks);
        async move {
            let socket = Socket::open(address, &format!("/join/{channel}")).await?;
            let mut subscriber = Subscriber {
                socket,
                record,
                marks,
            };
            subscriber.answer().await?;
            Outcome::Ok(subscriber)
        }
    });
    gather(joining.map(|joins| Box::pin(joins) as Joining).collect()).await
}

type Joining = LocalBoxFuture<'static, Outcome<Subscriber>>;

async fn gather(joining: Vec<Joining>) -> Outcome<Crowd> {
    let mut records = Vec::new();
    let mut readers = JoinSet::new();
    let mut joined = stream::iter(joining).buffer_unordered(AT_ONCE);
    while let Some(mut subscriber) = joined.try_next().await? {
        records.push(Rc::clone(&subscriber.record));
        readers.spawn_local(async move {
            loop {
                if let Err(error) = subscriber.hear().await {
                    subscriber.marks.fail(&error.to_string());
                    return;
                }
            }
        });
    }
    Ok(Crowd {
        records,
        _readers: readers,
    })
}

fn record(witnesses: &mut HashSet<usize>, audience: usize) -> Rc<Record> {
    let first = witnesses.insert(audience);
    Rc::new(Record {
        audience,
        marks: first.then(RefCell::default),
        ..Record::default()
    })
}

impl Crowd {
    /// What each audience has heard, in order; an error if two of one audience differ.
    pub fn agreed(&self) -> Outcome<HashMap<usize, Vec<Mark>>> {
        let mut agreed = HashMap::new();
        for record in &self.records {
            if let Some(marks) = &record.marks {
                agreed.insert(record.audience, (record.heard(), marks.borrow().clone()));
            }
        }
        for record in &self.records {
            if agreed.get(&record.audience).map(|(heard, _)| *heard) != Some(record.heard()) {
                return Err("two subscribers have heard different things".into());
            }
        }
        let marks = |(audience, (_, marks))| (audience, marks);
        Ok(agreed.into_iter().map(marks).collect())
    }
}

impl Record {
    fn heard(&self) -> (u32, u64) {
        (self.count.get(), self.order.get())
    }

    fn take(&self, text: &[u8], marks: &Marks) {
        let says = |what: &[u8]| memmem::find(text, what).is_some();
        if let Some(mark) = Mark::find(text) {
            self.count.set(self.count.get() + 1);
            // A polynomial hash: it tells sequences apart, not sets.
            let order = self.order.get().wrapping_mul(0x9E37_79B9_7F4A_7C15);
            self.order.set(order.wrapping_add(u64::from(mark.0) + 1));
            if let Some(list) = &self.marks {
                list.borrow_mut().push(mark);
            }
            marks.heard(mark, text.len());
        } else if says(b"\"next\"") && !says(b"\"errors\"") {
            marks.heard_other();
        } else if says(b"\"connection_ack\"") || says(b"\"pong\"") || text == b"joined" {
            self.answered.set(true);
        } else {
            marks.fail(&String::from_utf8_lossy(text));
        }
    }
}

impl Subscriber {
    async fn hear(&mut self) -> Outcome<()> {
        let (record, marks) = (&self.record, &self.marks);
        self.socket.hear(|text| record.take(text, marks)).await
    }

    /// Greets and subscribes. The server answers the ping behind it when it has begun.
    async fn begin(&mut self, seat: &Seat) -> Outcome<()> {
        let authorization = format!("Bearer {}", seat.token);
        let init =
            json!({ "type": "connection_init", "payload": { "Authorization": authorization } });
        self.socket.say(&init.to_string()).await?;
        self.answer().await?;
        for (number, operation) in seat.operations.iter().enumerate() {
            let payload = json!({
                "query": &*operation.query,
                "variables": { "thread": &*operation.thread, "after": operation.after.as_deref() },
            });
            let subscribe =
                json!({ "type": "subscribe", "id": number.to_string(), "payload": payload });
            self.socket.say(&subscribe.to_string()).await?;
        }
        if seat.operations.is_empty() {
            return Ok(());
        }
        self.socket.say(r#"{"type":"ping"}"#).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Outcome<()> {
        while !self.record.answered.take() {
            self.hear().await?;
        }
        Ok(())
    }
}
