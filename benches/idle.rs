//! Sockets on which nothing happens: what memory each of them takes.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use crate::cpu::Process;
use crate::crowd::{self, Operation, Seat};
use crate::floor::Floor;
use crate::marks::Marks;
use crate::report::{Goal, Report};
use crate::world::World;
use crate::{Args, Outcome, documents};

const SOCKETS: usize = 5_000;

/// How many sockets listen to a thread of their own.
const APART: usize = 500;

/// How many further subscriptions are on one socket.
const FURTHER: usize = 2_000;

const PEOPLE: usize = 250;

/// What memory grows by until it counts as steady, in KiB.
const STEADY: f64 = 64.0;

/// What is held open.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Sockets that were greeted and want nothing.
    Greeted,
    /// Sockets with one subscription each, all to one thread.
    Together,
    /// The same, each to its own thread.
    Apart,
    /// One socket with many subscriptions to one thread.
    Further,
}

const KINDS: [Kind; 4] = [Kind::Greeted, Kind::Together, Kind::Apart, Kind::Further];

impl Kind {
    fn count(self) -> usize {
        match self {
            Self::Greeted | Self::Together => SOCKETS,
            Self::Apart => APART,
            Self::Further => FURTHER,
        }
    }

    fn what(self) -> String {
        match self {
            Self::Greeted => format!("{SOCKETS} sockets, greeted, each"),
            Self::Together => format!("{SOCKETS} sockets with a subscription to one thread, each"),
            Self::Apart => {
                format!("{APART} sockets with a subscription to a thread of its own, each")
            }
            Self::Further => format!("one socket, each of {FURTHER} further subscriptions"),
        }
    }

    fn goal(self) -> Goal {
        Goal::Value(match self {
            Self::Greeted => 6.0,
            Self::Together | Self::Apart => 8.0,
            Self::Further => 1.0,
        })
    }
}

/// What they listen to.
struct Scene {
    people: Vec<Rc<str>>,
    threads: Vec<Rc<str>>,
    document: Rc<str>,
}

/// Measures it: a fresh process for each figure, since memory that was used once is not given back.
pub async fn run(args: &Args) -> Outcome<Report> {
    let mut world = World::fresh(args).await?;
    let mut report = Report::new("idle", world.server.machine()?);
    let scene = Scene {
        people: world.people("member", "MEMBER", PEOPLE).await?,
        threads: world.threads("ORGANIZATION", |_| Vec::new(), APART).await?,
        document: documents::chat_page().into(),
    };
    let mut ours = KINDS.map(|_| Vec::new());
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        bare.push(floor().await?);
        for (figures, kind) in ours.iter_mut().zip(KINDS) {
            world = world
                .restarted(&["--max-socket-operations", "10000"])
                .await?;
            let (each, all) = scene.measure(&world, kind).await?;
            figures.push(each);
            if matches!(kind, Kind::Together) {
                whole.push(all / 1024.0);
            }
        }
    }
    for (figures, kind) in ours.iter().zip(KINDS) {
        match kind {
            Kind::Further => report.tell(kind.what(), "KiB", figures, Some(kind.goal())),
            _ => report.compare(kind.what(), "KiB", (figures, &bare), Some(kind.goal())),
        }
    }
    let what = format!("the whole process with {SOCKETS} subscribers");
    report.tell(what, "MiB", &whole, Some(Goal::Value(100.0)));
    world.server.remove().await?;
    Ok(report)
}

impl Scene {
    /// What each of them takes, and what the process takes with all, in KiB.
    async fn measure(&self, world: &World, kind: Kind) -> Outcome<(f64, f64)> {
        let (address, process) = (world.server.address, world.server.process);
        let marks = Marks::new();
        // What the first one needs is there from then on.
        let first = (0..50).map(|number| self.seat(number, 1, 0)).collect();
        let first = crowd::join(address, first, &marks).await?;
        drop(first);
        let before = steady(process).await?;
        let seats: Vec<Seat> = match kind {
            Kind::Greeted => (0..SOCKETS).map(|number| self.seat(number, 0, 0)).collect(),
            Kind::Together => (0..SOCKETS).map(|number| self.seat(number, 1, 0)).collect(),
            Kind::Apart => (0..APART)
                .map(|number| self.seat(number, 1, number))
                .collect(),
            Kind::Further => vec![self.seat(0, 1 + FURTHER, 0)],
        };
        let crowd = crowd::join(address, seats, &marks).await?;
        let after = steady(process).await?;
        marks.all_heard().await?;
        drop(crowd);
        Ok(((after - before) / kind.count() as f64, after))
    }

    fn seat(&self, number: usize, operations: usize, thread: usize) -> Seat {
        let operation = Operation {
            query: Rc::clone(&self.document),
            thread: Rc::clone(&self.threads[thread]),
            after: None,
        };
        Seat {
            token: Rc::clone(&self.people[number % PEOPLE]),
            operations: vec![operation; operations],
            audience: 0,
        }
    }
}

/// What a socket takes of the bare server.
async fn floor() -> Outcome<f64> {
    let floor = Floor::start().await?;
    let marks = Marks::new();
    drop(crowd::join_floor(floor.address, vec![0; 50], &marks).await?);
    let before = steady(floor.process).await?;
    let crowd = crowd::join_floor(floor.address, vec![0; SOCKETS], &marks).await?;
    let after = steady(floor.process).await?;
    drop(crowd);
    Ok((after - before) / SOCKETS as f64)
}

/// The memory of a process once it does not change any more, in KiB.
async fn steady(process: Process) -> Outcome<f64> {
    let mut before = process.memory()?;
    for _ in 0..20 {
        sleep(Duration::from_millis(300)).await;
        let now = process.memory()?;
        if (now - before).abs() < STEADY {
            return Ok(now);
        }
        before = now;
    }
    Err("the memory of an idle server does not settle".into())
}
