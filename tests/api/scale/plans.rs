//! What PostgreSQL says it did for a statement: the plans that auto_explain writes to the
//! server's log, with the rows that each of them read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

/// Tables that grow with what people write.
const LARGE: [&str; 8] = [
    "events",
    "messages",
    "participants",
    "reactions",
    "revisions",
    "threads",
    "users",
    "watermarks",
];

/// What one statement did.
#[derive(Debug, Clone)]
pub struct Plan {
    pub text: String,
    /// Milliseconds in the executor.
    pub took: f64,
    /// The rows that it took out of tables and indexes, those that it then threw away included.
    pub read: u64,
    /// The large tables that it read from end to end, with the rows of each.
    pub scanned: Vec<(String, u64)>,
    /// The whole plan.
    pub whole: Value,
}

/// The server's log, read from where it was read last.
pub struct Log {
    file: File,
    rest: String,
}

impl Log {
    /// From its end on.
    pub fn open(path: PathBuf) -> Self {
        let mut file = File::open(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        file.seek(SeekFrom::End(0)).expect("an end");
        Self {
            file,
            rest: String::new(),
        }
    }

    /// The plans of the statements that have ended since.
    pub fn plans(&mut self) -> Vec<Plan> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes).expect("the log");
        self.rest += &String::from_utf8_lossy(&bytes);
        let mut plans = Vec::new();
        // Every line of a message but the first begins with a tab.
        while let Some(start) = self.rest.find(" ms  plan:\n") {
            let from = start + " ms  plan:\n".len();
            let mut end = from;
            for line in self.rest[from..].split_inclusive('\n') {
                if !line.starts_with('\t') || !line.ends_with('\n') {
                    break;
                }
                end += line.len();
            }
            let head = &self.rest[..start];
            let took = head.rsplit("duration: ").next().expect("a duration");
            let took = took.parse().expect("milliseconds");
            let json = self.rest[from..end].replace("\n\t", "\n");
            let whole: Value = serde_json::from_str(json.trim()).expect("a plan in JSON");
            plans.push(plan(took, whole));
            self.rest.drain(..end);
        }
        plans
    }
}

fn plan(took: f64, whole: Value) -> Plan {
    let mut plan = Plan {
        text: whole["Query Text"].as_str().unwrap_or_default().to_owned(),
        took,
        read: 0,
        scanned: Vec::new(),
        whole: Value::Null,
    };
    visit(&whole["Plan"], &mut plan);
    plan.whole = whole;
    plan
}

fn visit(node: &Value, plan: &mut Plan) {
    let number = |field: &str| node[field].as_f64().unwrap_or(0.0);
    let kind = node["Node Type"].as_str().unwrap_or_default();
    // What a bitmap's index scan finds, its heap scan reads.
    if kind.ends_with("Scan") && (node.get("Relation Name").is_some() || kind == "Index Only Scan")
    {
        let thrown = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
        let rows = (number("Actual Rows") + thrown) * number("Actual Loops");
        let rows = rows.round() as u64;
        plan.read += rows;
        let table = node["Relation Name"].as_str().unwrap_or_default();
        if kind == "Seq Scan" && LARGE.contains(&table) {
            plan.scanned.push((table.to_owned(), rows));
        }
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        visit(child, plan);
    }
}
