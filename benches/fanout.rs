//! One thread, many subscribers with the chat page's document: what a delivery costs the server.

use std::rc::Rc;
use std::time::Instant;

use crate::cpu::Process;
use crate::crowd::{self, Crowd, Operation, Seat};
use crate::floor::Floor;
use crate::marks::{Mark, Marks};
use crate::report::{Goal, Report};
use crate::world::{Post, World};
use crate::{Args, Outcome, documents};

/// How many subscribers, and how many messages a round sends them.
const SIZES: [(usize, usize); 3] = [(100, 200), (1_000, 100), (5_000, 40)];

/// How many messages are on their way at once, and what a delivery may cost then.
const WINDOWS: [(usize, &str, f64); 2] = [(1, "one in flight", 1.15), (16, "16 in flight", 0.35)];

/// How many people the subscribers are; each has several pages open.
const PEOPLE: usize = 250;

/// One thread with its subscribers, and the same at the floor.
struct Scene<'a> {
    world: &'a World,
    floor: &'a Floor,
    post: Post,
    /// Where the same is written and nobody listens.
    quiet: Post,
    size: usize,
    crowd: Crowd,
    marks: Rc<Marks>,
    floor_crowd: Crowd,
    floor_marks: Rc<Marks>,
}

/// The figures of each round.
#[derive(Default)]
struct Figures {
    raw: Vec<f64>,
    net: Vec<f64>,
    floor: Vec<f64>,
    rate: Vec<f64>,
    floor_rate: Vec<f64>,
    write: Vec<f64>,
    postgres: Vec<f64>,
}

/// Measures it.
pub async fn run(args: &Args) -> Outcome<Report> {
    let world = World::fresh(args).await?;
    let floor = Floor::start().await?;
    let mut report = Report::new("fanout", world.server.machine()?);
    let people = world.people("member", "MEMBER", PEOPLE).await?;
    let document: Rc<str> = documents::chat_page().into();
    for (size, count) in SIZES {
        let scene = Scene::new((&world, &floor), &people, &document, size).await?;
        for (window, name, goal) in WINDOWS {
            // What is done for the first time costs more.
            scene
                .round(count / 10, window, &mut Figures::default())
                .await?;
            let mut figures = Figures::default();
            for _ in 0..args.rounds {
                scene.round(count, window, &mut figures).await?;
            }
            figures.tell(&mut report, &format!("{size} subscribers, {name}"), goal);
        }
        scene.check().await?;
        let (length, others) = (scene.marks.frame_length(), scene.marks.others());
        eprintln!(
            "  {size} subscribers: frames of {length} bytes, {others} of other events; whole and in order"
        );
    }
    world.server.remove().await?;
    Ok(report)
}

impl<'a> Scene<'a> {
    async fn new(
        (world, floor): (&'a World, &'a Floor),
        people: &[Rc<str>],
        document: &Rc<str>,
        size: usize,
    ) -> Outcome<Self> {
        let post = async || {
            let post = Post {
                token: Rc::clone(&people[0]),
                thread: world.thread("ORGANIZATION", &[]).await?,
                private: false,
            };
            // The first message makes its sender a participant.
            world.send_many(&post, 1, 1).await?;
            Outcome::Ok(post)
        };
        let (post, quiet) = (post().await?, post().await?);
        let (marks, floor_marks) = (Marks::new(), Marks::new());
        let seat = |number: usize| Seat {
            token: Rc::clone(&people[number % people.len()]),
            operations: vec![Operation {
                query: Rc::clone(document),
                thread: Rc::clone(&post.thread),
                after: None,
            }],
            audience: 0,
        };
        let seats = (0..size).map(seat).collect();
        let crowd = crowd::join(world.server.address, seats, &marks).await?;
        let floor_crowd = crowd::join_floor(floor.address, vec![size; size], &floor_marks).await?;
        Ok(Self {
            world,
            floor,
            post,
            quiet,
            size,
            crowd,
            marks,
            floor_crowd,
            floor_marks,
        })
    }

    /// The floor, then the server, then the writes alone.
    async fn round(&self, count: usize, window: usize, figures: &mut Figures) -> Outcome<()> {
        // The floor's frame is as long as ours, which are known after the first round.
        let length = self.marks.frame_length().max(740);
        let start = Instant::now();
        let before = self.floor.process.cpu()?;
        for _ in 0..count {
            self.floor_marks.fewer_than(window).await?;
            let mark = self.floor_marks.mark(self.size);
            let sent = self.floor.send(mark, self.size, length).await;
            self.floor_marks.answered(mark, sent);
        }
        self.floor_marks.all_heard().await?;
        let deliveries = (count * self.size) as f64;
        figures
            .floor
            .push((self.floor.process.cpu()? - before) / deliveries);
        figures
            .floor_rate
            .push(deliveries / start.elapsed().as_secs_f64());

        let start = Instant::now();
        let postgres = self.world.server.cluster.process;
        let before = postgres.family_cpu()?;
        let ours = spent(self.world.server.process, async {
            for _ in 0..count {
                self.marks.fewer_than(window).await?;
                self.world.send(&self.marks, self.post.clone(), self.size);
            }
            self.marks.all_heard().await
        });
        let ours = ours.await?;
        figures
            .rate
            .push(deliveries / start.elapsed().as_secs_f64());
        figures
            .postgres
            .push((postgres.family_cpu()? - before) / deliveries);

        let writes = self.world.send_many(&self.quiet, count, window);
        let writes = spent(self.world.server.process, writes).await?;
        figures.raw.push(ours / deliveries);
        figures.net.push((ours - writes) / deliveries);
        figures.write.push(writes / count as f64);
        self.marks.take_delays();
        self.floor_marks.take_delays();
        Ok(())
    }

    /// Everybody has heard everything once, in the order of the log.
    async fn check(&self) -> Outcome<()> {
        let heard = self.crowd.agreed()?.remove(&0).unwrap_or_default();
        // Before the crowd came there was one message.
        let log = self.world.order(&self.post.thread).await?;
        if log.get(1..) != Some(heard.as_slice()) {
            return Err("what was heard is not what the thread holds".into());
        }
        let floor = self.floor_crowd.agreed()?.remove(&self.size);
        if floor.is_none_or(|heard| !heard.is_sorted_by(|a: &Mark, b| a < b)) {
            return Err("the floor has lost its order".into());
        }
        Ok(())
    }
}

impl Figures {
    fn tell(&self, report: &mut Report, what: &str, goal: f64) {
        let goal = Some(Goal::Ratio(goal));
        let cpu = "us of server CPU per delivery";
        report.compare(
            format!("{what}, without the write"),
            cpu,
            (&self.net, &self.floor),
            goal,
        );
        report.compare(
            format!("{what}, with the write"),
            cpu,
            (&self.raw, &self.floor),
            None,
        );
        report.tell(
            format!("{what}, with the write"),
            "us of PostgreSQL's CPU per delivery",
            &self.postgres,
            None,
        );
        let rate = (self.rate.as_slice(), self.floor_rate.as_slice());
        report.compare(what, "deliveries per second", rate, None);
        report.tell(
            format!("{what}, a createMessage heard by nobody"),
            "us of server CPU",
            &self.write,
            None,
        );
    }
}

/// The processor time that a process spends on some work.
pub async fn spent(process: Process, work: impl Future<Output = Outcome<()>>) -> Outcome<f64> {
    let before = process.cpu()?;
    work.await?;
    Ok(process.cpu()? - before)
}
