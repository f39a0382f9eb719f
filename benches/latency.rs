//! From the sending of a message to its coming to a subscriber, at a steady and moderate rate.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::crowd::{self, Operation, Seat};
use crate::floor::Floor;
use crate::marks::{Mark, Marks};
use crate::pgbench::Pgbench;
use crate::report::{Goal, Report, quantile};
use crate::socket::Socket;
use crate::world::{Post, World};
use crate::{Args, Outcome, documents};

const SUBSCRIBERS: usize = 1_000;

/// Sends a second.
const RATE: usize = 50;

/// How long a round takes, of each side.
const SECONDS: usize = 8;

const PEOPLE: usize = 250;

/// The subscribers' threads: how many, and how that is called. A thousand frames take longer than
/// one, so with one thread the floor is not an echo, but a frame to as many sockets.
const LAYOUTS: [(usize, &str); 2] = [(50, "50 threads of 20"), (1, "one thread of 1,000")];

/// One row, durably: the least that storing a message takes.
const TABLE: &str = "create table messages (id bigserial primary key, thread int, body text)";
const COMMIT: &str = "insert into messages (thread, body) values (1, repeat('x', 80));";

/// The figures of each round.
#[derive(Default)]
struct Figures {
    ours: [Vec<f64>; 2],
    floor: [Vec<f64>; 2],
    commit: [Vec<f64>; 2],
    bare: [Vec<f64>; 2],
}

/// What is told of all delays: the middle, and what one in a hundred exceeds.
const PARTS: [(f64, &str, f64); 2] = [(0.5, "p50", 1.5), (0.99, "p99", 3.0)];

/// Measures it.
pub async fn run(args: &Args) -> Outcome<Report> {
    let world = World::fresh(args).await?;
    let floor = Floor::start().await?;
    let mut report = Report::new("latency", world.server.machine()?);
    let pgbench = Pgbench::apart(&world.server.cluster, &args.out, TABLE).await?;
    let people = world.people("member", "MEMBER", PEOPLE).await?;
    let document: Rc<str> = documents::chat_page().into();
    let floor_marks = Marks::new();
    let _bare = crowd::join_floor(floor.address, vec![0; SUBSCRIBERS], &floor_marks).await?;
    for (threads, name) in LAYOUTS {
        let each = SUBSCRIBERS / threads;
        let threads = world
            .threads("ORGANIZATION", |_| Vec::new(), threads)
            .await?;
        let marks = Marks::new();
        let seat = |number: usize| Seat {
            token: Rc::clone(&people[number % PEOPLE]),
            operations: vec![Operation {
                query: Rc::clone(&document),
                thread: Rc::clone(&threads[number % threads.len()]),
                after: None,
            }],
            audience: number % threads.len(),
        };
        let seats = (0..SUBSCRIBERS).map(seat).collect();
        let crowd = crowd::join(world.server.address, seats, &marks).await?;
        let post = |number: usize| Post {
            token: Rc::clone(&people[0]),
            thread: Rc::clone(&threads[number % threads.len()]),
            private: false,
        };
        // The first message in a thread makes its sender a participant.
        for number in 0..threads.len() {
            world.send(&marks, post(number), each);
            marks.all_heard().await?;
        }
        let mut figures = Figures::default();
        for _ in 0..args.rounds {
            let commits = pgbench.delays(COMMIT, RATE, SECONDS).await?;
            let length = marks.frame_length();
            let bare = if threads.len() > 1 {
                echoes(&floor, length).await?
            } else {
                deliveries(&floor, &floor_marks, length).await?
            };
            marks.take_delays();
            let mut ticks = ticks();
            for number in 0..RATE * SECONDS {
                ticks.tick().await;
                world.send(&marks, post(number), each);
            }
            marks.all_heard().await?;
            figures.add(&marks.take_delays(), &commits, &bare);
        }
        crowd.agreed()?;
        figures.tell(&mut report, name, threads.len() > 1);
    }
    world.server.remove().await?;
    Ok(report)
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(RATE).unwrap_or(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// How long a frame takes to the floor and back, at the same rate, in microseconds.
async fn echoes(floor: &Floor, length: u64) -> Outcome<Vec<f64>> {
    let mut socket = Socket::open(floor.address, "/echo").await?;
    let text = format!("{:.<1$}", Mark(0), usize::try_from(length)?);
    let mut delays = Vec::new();
    let mut ticks = ticks();
    for _ in 0..RATE * SECONDS {
        ticks.tick().await;
        let start = Instant::now();
        socket.say(&text).await?;
        let mut back = false;
        while !back {
            socket.hear(|_| back = true).await?;
        }
        delays.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(delays)
}

/// How long a frame takes to each of all sockets of the floor, at the same rate.
async fn deliveries(floor: &Floor, marks: &Marks, length: u64) -> Outcome<Vec<f64>> {
    let mut ticks = ticks();
    for _ in 0..RATE * SECONDS {
        ticks.tick().await;
        let mark = marks.mark(SUBSCRIBERS);
        marks.answered(mark, floor.send(mark, 0, length).await);
    }
    marks.all_heard().await?;
    Ok(marks.take_delays())
}

impl Figures {
    fn add(&mut self, delays: &[f64], commits: &[f64], bare: &[f64]) {
        for (index, (part, ..)) in PARTS.into_iter().enumerate() {
            let (commit, bare) = (quantile(commits, part), quantile(bare, part));
            self.ours[index].push(quantile(delays, part));
            self.floor[index].push(commit + bare);
            self.commit[index].push(commit);
            self.bare[index].push(bare);
        }
    }

    fn tell(&self, report: &mut Report, name: &str, echoed: bool) {
        let bare = if echoed { "bare echo" } else { "bare delivery" };
        for (index, (_, part, goal)) in PARTS.into_iter().enumerate() {
            let figures = (self.ours[index].as_slice(), self.floor[index].as_slice());
            let what = format!("{name}, {part} from sent to received");
            report.compare(what, "us", figures, Some(Goal::Ratio(goal)));
            report.tell(
                format!("{name}, {part} of a commit"),
                "us",
                &self.commit[index],
                None,
            );
            report.tell(
                format!("{name}, {part} of a {bare}"),
                "us",
                &self.bare[index],
                None,
            );
        }
    }
}
