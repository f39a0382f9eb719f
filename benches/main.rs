//! The benchmarks: a program that measures the server against a floor in the same run. It never
//! tests anything that `cargo test` runs, and speaks to the server as its clients do.

mod api;
mod cpu;
mod crowd;
mod documents;
mod fanout;
mod fanout_mixed;
mod floor;
mod idle;
mod latency;
mod machine;
mod marks;
mod pgbench;
mod report;
mod resume;
mod server;
mod socket;
mod world;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tokio::runtime;
use tokio::task::LocalSet;

use report::Report;

/// The server's allocator, so that the floor differs in nothing but what it does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a part of a benchmark comes to, or why it could not be measured.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// Measures a Bobbin server against a floor in the same run.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Args {
    /// What to measure; all of it if nothing is named.
    benchmarks: Vec<Benchmark>,
    /// How often each figure is taken; the median of them counts.
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// The server under test.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_bobbin"))]
    server: PathBuf,
    /// Where the results go, one JSON file a benchmark, and the servers' data meanwhile.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench"))]
    out: PathBuf,
    /// Be the floor: the bare server that the others are measured against.
    #[arg(long, hide = true)]
    floor: bool,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One file each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Benchmark {
    Fanout,
    FanoutMixed,
    Idle,
    Latency,
    Resume,
}

impl Benchmark {
    fn name(self) -> &'static str {
        match self {
            Self::Fanout => "fanout",
            Self::FanoutMixed => "fanout-mixed",
            Self::Idle => "idle",
            Self::Latency => "latency",
            Self::Resume => "resume",
        }
    }

    async fn run(self, args: &Args) -> Outcome<Report> {
        match self {
            Self::Fanout => fanout::run(args).await,
            Self::FanoutMixed => fanout_mixed::run(args).await,
            Self::Idle => idle::run(args).await,
            Self::Latency => latency::run(args).await,
            Self::Resume => resume::run(args).await,
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = if args.floor {
        floor::serve()
    } else {
        measure(&args)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The load comes from one thread: it leaves the other processors to the server, and its clients
/// need no locks.
fn measure(args: &Args) -> Outcome<()> {
    machine::raise_open_files()?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let chosen = match args.benchmarks.as_slice() {
        [] => Benchmark::value_variants(),
        some => some,
    };
    for benchmark in chosen {
        eprintln!("{} ...", benchmark.name());
        // A set for each: what a benchmark leaves running ends with it.
        let report = LocalSet::new().block_on(&runtime, benchmark.run(args))?;
        report.print();
        report.write(&args.out)?;
    }
    Ok(())
}
