//! Everybody comes back at once and has missed something: how long until all know everything.

use std::rc::Rc;
use std::time::Instant;

use crate::cpu::Process;
use crate::crowd::{self, Operation, Seat};
use crate::marks::{Mark, Marks};
use crate::pgbench::Pgbench;
use crate::report::{Goal, Report};
use crate::world::{Post, World};
use crate::{Args, Outcome, documents};

const CLIENTS: usize = 1_000;
const THREADS: usize = 100;

/// How many events each of them has missed.
const MISSED: usize = 100;

const PEOPLE: usize = 250;

/// As many as the server has connections.
const CONNECTIONS: usize = 16;

/// Measures it.
pub async fn run(args: &Args) -> Outcome<Report> {
    let world = World::fresh(args).await?;
    let mut report = Report::new("resume", world.server.machine()?);
    let people = world.people("member", "MEMBER", PEOPLE).await?;
    let document: Rc<str> = documents::chat_page().into();
    let threads = world
        .threads("ORGANIZATION", |_| Vec::new(), THREADS)
        .await?;
    let marks = Marks::new();
    let mut cursors = Vec::new();
    for thread in &threads {
        let post = Post {
            token: Rc::clone(&people[0]),
            thread: Rc::clone(thread),
            private: false,
        };
        world.send_many(&post, 1, 1).await?;
        cursors.push(world.cursor(thread).await?);
        for _ in 0..MISSED {
            marks.fewer_than(CONNECTIONS).await?;
            world.send(&marks, post.clone(), 0);
        }
        marks.all_heard().await?;
    }
    let pgbench = Pgbench::new(&world.server.cluster, &args.out);
    pgbench.sql("vacuum analyze").await?;
    let script = script(&pgbench).await?;
    let process = world.server.process;
    let seat = |number: usize| Seat {
        token: Rc::clone(&people[number % PEOPLE]),
        operations: vec![Operation {
            query: Rc::clone(&document),
            thread: Rc::clone(&threads[number % THREADS]),
            after: Some(Rc::clone(&cursors[number % THREADS])),
        }],
        audience: number % THREADS,
    };
    let (mut ours, mut floor, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=args.rounds {
        let rate = pgbench.rate(&script, CONNECTIONS, CLIENTS).await?;
        let (seconds, micros) = come_back(&world, process, &marks, seat).await?;
        // What is done for the first time takes longer.
        if round > 0 {
            floor.push(CLIENTS as f64 / rate * 1e3);
            ours.push(seconds * 1e3);
            cpu.push(micros / (CLIENTS * MISSED) as f64);
        }
    }
    let what = format!("{CLIENTS} clients, {MISSED} events behind, until all are whole");
    report.compare(what, "ms", (&ours, &floor), Some(Goal::Ratio(2.0)));
    report.tell("the same", "us of server CPU per event", &cpu, None);
    world.server.remove().await?;
    Ok(report)
}

/// All of them come back; how long it took in seconds, and what processor time.
async fn come_back(
    world: &World,
    process: Process,
    marks: &Rc<Marks>,
    seat: impl Fn(usize) -> Seat,
) -> Outcome<(f64, f64)> {
    for mark in 0..THREADS * MISSED {
        marks.again(Mark(u32::try_from(mark)?), CLIENTS / THREADS);
    }
    let (start, before) = (Instant::now(), process.cpu()?);
    let seats = (0..CLIENTS).map(seat).collect();
    let crowd = crowd::join(world.server.address, seats, marks).await?;
    marks.all_heard().await?;
    let figures = (start.elapsed().as_secs_f64(), process.cpu()? - before);
    for heard in crowd.agreed()?.into_values() {
        // What was sent at once came into the log in any order.
        if heard.len() != MISSED {
            return Err("a client has not heard what it missed".into());
        }
    }
    marks.take_delays();
    Ok(figures)
}

/// The same rows: the events, their messages, the senders of those, of a thread by chance.
async fn script(pgbench: &Pgbench) -> Outcome<String> {
    let threads = pgbench
        .sql(
            "select string_agg(quote_literal(thread_id), ',') from \
              (select thread_id from events group by thread_id having count(*) > 100) busy",
        )
        .await?;
    let threads = threads.trim();
    let chosen = format!("(array[{threads}]::uuid[])[:thread]");
    // The first of them are the thread's opening and the messages before the cursor.
    let events = format!(
        "from events where thread_id = {chosen} and seq > (select seq - {MISSED} from threads \
         where id = {chosen}) order by seq limit 200"
    );
    // A floor that reads less than it should would be no floor.
    let rows = format!("select count(*) from (select * {events}) rows");
    let first = pgbench.sql(&rows.replace(":thread", "1")).await?;
    if first.trim() != MISSED.to_string() {
        return Err(format!("the floor reads {} events", first.trim()).into());
    }
    Ok(format!(
        "\\set thread random(1, {THREADS})\n\
         select * {events};\n\
         select * from messages where id = any(array(select message_id {events}));\n\
         select * from users where id = any(array(select sender_id from messages \
         where id = any(array(select message_id {events}))));\n"
    ))
}
