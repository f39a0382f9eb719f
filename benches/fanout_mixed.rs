//! Many threads with few subscribers each, who are agents and contacts, with different documents
//! and private notes: what a delivery costs when little can be shared.

use std::rc::Rc;
use std::time::Instant;

use crate::crowd::{self, Crowd, Operation, Seat};
use crate::fanout::spent;
use crate::floor::Floor;
use crate::marks::{Mark, Marks};
use crate::report::{Goal, Report};
use crate::world::{Post, World};
use crate::{Args, Outcome, documents};

const THREADS: usize = 200;

/// Of each thread's subscribers so many are agents, and as many are contacts.
const HALF: usize = 10;

/// How many messages a round sends; thread after thread.
const MESSAGES: usize = 1_000;

/// One message of so many is a private note.
const NOTE_EVERY: usize = 5;

const AGENTS: usize = 50;
const CONTACTS: usize = 100;

/// How many threads nobody listens to, where the cost of the writes is measured.
const QUIET: usize = 20;

/// How many messages are on their way at once.
const WINDOWS: [(usize, &str); 2] = [(1, "one in flight"), (16, "16 in flight")];

const GOAL: Option<Goal> = Some(Goal::Ratio(2.0));

/// Which subscribers of one thread use the same document.
#[derive(Debug, Clone, Copy)]
enum Variant {
    /// All: the product's page that the thread belongs to.
    ByThread,
    /// One in ten.
    BySubscriber,
}

struct Scene<'a> {
    world: &'a World,
    floor: &'a Floor,
    agents: Vec<Rc<str>>,
    threads: Vec<Rc<str>>,
    quiet: Vec<Rc<str>>,
    floor_marks: Rc<Marks>,
}

#[derive(Default)]
struct Figures {
    raw: Vec<f64>,
    net: Vec<f64>,
    floor: Vec<f64>,
    rate: Vec<f64>,
    floor_rate: Vec<f64>,
    postgres: Vec<f64>,
}

/// Measures it.
pub async fn run(args: &Args) -> Outcome<Report> {
    let world = World::fresh(args).await?;
    let floor = Floor::start().await?;
    let mut report = Report::new("fanout-mixed", world.server.machine()?);
    let agents = world.people("agent", "AGENT", AGENTS).await?;
    let contacts = world.people("contact", "CONTACT", CONTACTS).await?;
    let in_thread = |thread: usize| {
        let of = |seat| (thread * HALF + seat) % CONTACTS;
        (0..HALF).map(of).collect::<Vec<_>>()
    };
    let named = |thread| {
        in_thread(thread)
            .iter()
            .map(|who| format!("contact-{who}"))
            .collect()
    };
    let threads = world.threads("AGENTS", named, THREADS).await?;
    let quiet = world.threads("AGENTS", named, QUIET).await?;
    let floor_marks = Marks::new();
    // Two channels a thread: of its agents, and of its contacts.
    let channels = (0..THREADS * 2 * HALF).map(|seat| seat / HALF).collect();
    let floor_crowd = crowd::join_floor(floor.address, channels, &floor_marks).await?;
    let documents: Vec<Rc<str>> = documents::different().into_iter().map(Rc::from).collect();
    let scene = Scene {
        world: &world,
        floor: &floor,
        agents,
        threads,
        quiet,
        floor_marks,
    };
    for variant in [Variant::ByThread, Variant::BySubscriber] {
        let marks = Marks::new();
        let seats = (0..THREADS).flat_map(|thread| {
            let contacts = in_thread(thread)
                .into_iter()
                .map(|who| Rc::clone(&contacts[who]));
            let agent = |seat| Rc::clone(&scene.agents[(thread * HALF + seat) % AGENTS]);
            let tokens = (0..HALF).map(agent).chain(contacts).collect::<Vec<_>>();
            scene.seats(variant, thread, tokens, &documents)
        });
        let crowd = crowd::join(world.server.address, seats.collect(), &marks).await?;
        scene.measure(args, (variant, &marks), &mut report).await?;
        scene.check(&crowd, &marks).await?;
        let (length, others) = (marks.frame_length(), marks.others());
        eprintln!(
            "  {variant:?}: frames of {length} bytes, {others} of other events; whole and in order"
        );
    }
    floor_crowd.agreed()?;
    world.server.remove().await?;
    Ok(report)
}

impl Scene<'_> {
    fn seats(
        &self,
        variant: Variant,
        thread: usize,
        tokens: Vec<Rc<str>>,
        documents: &[Rc<str>],
    ) -> Vec<Seat> {
        let seat = |(seat, token)| {
            let document = match variant {
                Variant::ByThread => thread % documents.len(),
                Variant::BySubscriber => seat % documents.len(),
            };
            Seat {
                token,
                operations: vec![Operation {
                    query: Rc::clone(&documents[document]),
                    thread: Rc::clone(&self.threads[thread]),
                    after: None,
                }],
                audience: 2 * thread + seat / HALF,
            }
        };
        tokens.into_iter().enumerate().map(seat).collect()
    }

    async fn measure(
        &self,
        args: &Args,
        (variant, marks): (Variant, &Rc<Marks>),
        report: &mut Report,
    ) -> Outcome<()> {
        let variant = match variant {
            Variant::ByThread => "a document for each thread",
            Variant::BySubscriber => "10 documents in each thread",
        };
        // The first message of an agent in a thread makes him a participant.
        for private in [false, true] {
            for thread in 0..self.threads.len() + self.quiet.len() {
                marks.fewer_than(16).await?;
                match thread.checked_sub(self.threads.len()) {
                    None => self.post(marks, thread, private),
                    Some(quiet) => {
                        self.world
                            .send(marks, self.note(&self.quiet, quiet, private), 0);
                    }
                }
            }
        }
        marks.all_heard().await?;
        for (window, name) in WINDOWS {
            let mut figures = Figures::default();
            for _ in 0..args.rounds {
                self.round(marks, window, &mut figures).await?;
            }
            let what = format!("{variant}, {name}");
            let cpu = "us of server CPU per delivery";
            let net = (figures.net.as_slice(), figures.floor.as_slice());
            report.compare(format!("{what}, without the write"), cpu, net, GOAL);
            let raw = (figures.raw.as_slice(), figures.floor.as_slice());
            report.compare(format!("{what}, with the write"), cpu, raw, None);
            report.tell(
                format!("{what}, with the write"),
                "us of PostgreSQL's CPU per delivery",
                &figures.postgres,
                None,
            );
            let rate = (figures.rate.as_slice(), figures.floor_rate.as_slice());
            report.compare(what, "deliveries per second", rate, None);
        }
        Ok(())
    }

    /// The floor, then the server, then the writes alone.
    async fn round(&self, marks: &Rc<Marks>, window: usize, figures: &mut Figures) -> Outcome<()> {
        let is_note = |number| number % NOTE_EVERY == 0;
        let notes = (0..MESSAGES).filter(|number| is_note(*number)).count();
        let deliveries = ((2 * MESSAGES - notes) * HALF) as f64;
        let length = marks.frame_length();
        let start = Instant::now();
        let floor = spent(self.floor.process, async {
            for number in 0..MESSAGES {
                self.floor_marks.fewer_than(window).await?;
                let channels = if is_note(number) { 1 } else { 2 };
                let mark = self.floor_marks.mark(channels * HALF);
                for half in 0..channels {
                    let channel = 2 * (number % THREADS) + half;
                    self.floor.send(mark, channel, length).await?;
                }
                self.floor_marks.answered(mark, Ok(()));
            }
            self.floor_marks.all_heard().await
        });
        let floor = floor.await?;
        figures
            .floor_rate
            .push(deliveries / start.elapsed().as_secs_f64());
        let postgres = self.world.server.cluster.process;
        let before = postgres.family_cpu()?;
        let start = Instant::now();
        let ours = spent(self.world.server.process, async {
            for number in 0..MESSAGES {
                marks.fewer_than(window).await?;
                self.post(marks, number % THREADS, is_note(number));
            }
            marks.all_heard().await
        });
        let ours = ours.await?;
        figures
            .rate
            .push(deliveries / start.elapsed().as_secs_f64());
        figures
            .postgres
            .push((postgres.family_cpu()? - before) / deliveries);
        let writes = spent(self.world.server.process, async {
            for number in 0..MESSAGES {
                marks.fewer_than(window).await?;
                let post = self.note(&self.quiet, number % QUIET, is_note(number));
                self.world.send(marks, post, 0);
            }
            marks.all_heard().await
        });
        let writes = writes.await?;
        figures.floor.push(floor / deliveries);
        figures.raw.push(ours / deliveries);
        figures.net.push((ours - writes) / deliveries);
        marks.take_delays();
        self.floor_marks.take_delays();
        Ok(())
    }

    fn post(&self, marks: &Rc<Marks>, thread: usize, private: bool) {
        let listeners = if private { HALF } else { 2 * HALF };
        let post = self.note(&self.threads, thread, private);
        self.world.send(marks, post, listeners);
    }

    fn note(&self, threads: &[Rc<str>], thread: usize, private: bool) -> Post {
        Post {
            token: Rc::clone(&self.agents[thread % AGENTS]),
            thread: Rc::clone(&threads[thread]),
            private,
        }
    }

    /// The agents have heard the log in its order, the contacts the same without the notes.
    async fn check(&self, crowd: &Crowd, marks: &Marks) -> Outcome<()> {
        let heard = crowd.agreed()?;
        for (number, thread) in self.threads.iter().enumerate() {
            let list = |half| {
                heard
                    .get(&(2 * number + half))
                    .map_or(&[][..], Vec::as_slice)
            };
            let (agents, contacts): (&[Mark], &[Mark]) = (list(0), list(1));
            let log = self.world.order(thread).await?;
            // What the thread held before this crowd came is at the log's beginning.
            let whole = !agents.is_empty() && log.ends_with(agents);
            let public = agents
                .iter()
                .filter(|mark| marks.listeners(**mark) == Some(2 * HALF));
            if !whole || !public.eq(contacts) {
                return Err("what was heard is not what the threads hold".into());
            }
        }
        Ok(())
    }
}
