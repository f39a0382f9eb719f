//! What was measured: medians, ratios to the floor, a table for people and JSON for programs.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::Outcome;
use crate::machine::Machine;

/// The figures of one benchmark.
#[derive(Debug, Serialize)]
pub struct Report {
    name: &'static str,
    machine: Machine,
    rows: Vec<Row>,
}

/// One figure, taken several times.
#[derive(Debug, Serialize)]
struct Row {
    what: String,
    unit: &'static str,
    ours: Spread,
    floor: Option<Spread>,
    /// The median of each round's ratio: both were taken one right after the other.
    ratio: Option<f64>,
    goal: Option<Goal>,
}

/// What a figure ought to be at most.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// So many times the floor.
    Ratio(f64),
    /// So much.
    Value(f64),
}

#[derive(Debug, Serialize)]
struct Spread {
    median: f64,
    rounds: Vec<f64>,
}

impl Spread {
    fn new(rounds: &[f64]) -> Self {
        let rounds = rounds.to_vec();
        Self {
            median: median(&rounds),
            rounds,
        }
    }
}

impl Report {
    /// An empty one.
    pub fn new(name: &'static str, machine: Machine) -> Self {
        Self {
            name,
            machine,
            rows: Vec::new(),
        }
    }

    /// A figure that stands beside its floor's, round by round.
    pub fn compare(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        (ours, floor): (&[f64], &[f64]),
        goal: Option<Goal>,
    ) {
        let ratios: Vec<f64> = ours.iter().zip(floor).map(|(a, b)| a / b).collect();
        self.rows.push(Row {
            what: what.into(),
            unit,
            ours: Spread::new(ours),
            floor: Some(Spread::new(floor)),
            ratio: Some(median(&ratios)),
            goal,
        });
    }

    /// A figure by itself.
    pub fn tell(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        ours: &[f64],
        goal: Option<Goal>,
    ) {
        self.rows.push(Row {
            what: what.into(),
            unit,
            ours: Spread::new(ours),
            floor: None,
            ratio: None,
            goal,
        });
    }

    /// The table, as Markdown.
    pub fn print(&self) {
        println!("\n{}: {}\n", self.name, self.machine.line());
        println!("| what | ours | (from - to) | floor | ratio | goal |");
        println!("|---|---|---|---|---|---|");
        for row in &self.rows {
            println!("{}", row.line());
        }
        println!();
    }

    /// The same for programs, with the figure of every round.
    pub fn write(&self, out: &Path) -> Outcome<()> {
        let path = out.join(format!("{}.json", self.name));
        fs::write(&path, serde_json::to_string_pretty(self)?)?;
        eprintln!("{}", path.display());
        Ok(())
    }
}

impl Row {
    fn line(&self) -> String {
        let ours = &self.ours.rounds;
        let least = ours.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ours.iter().copied().fold(0.0, f64::max);
        let floor = self.floor.as_ref().map(|floor| shown(floor.median));
        let ratio = self.ratio.map(|ratio| format!("{ratio:.2}"));
        let goal = self.goal.map(|goal| match goal {
            Goal::Ratio(ratio) => format!("<= {ratio} x"),
            Goal::Value(value) => format!("<= {value} {}", self.unit),
        });
        format!(
            "| {}, {} | {} | ({} - {}) | {} | {} | {} |",
            self.what,
            self.unit,
            shown(self.ours.median),
            shown(least),
            shown(most),
            floor.unwrap_or_default(),
            ratio.unwrap_or_default(),
            goal.unwrap_or_default()
        )
    }
}

/// Three digits that count.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The middle one; of an even number the mean of the two.
pub fn median(values: &[f64]) -> f64 {
    (quantile(values, 0.5) + quantile_from_above(values, 0.5)) / 2.0
}

/// The smallest value that so large a part of all does not exceed.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let sorted = sorted(values);
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

fn quantile_from_above(values: &[f64], part: f64) -> f64 {
    let sorted = sorted(values);
    let rank = (part * sorted.len() as f64).floor() as usize;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}
