//! The SQL statements of a test's own server, which runs on the test's own thread.

use std::cell::RefCell;

use diesel::connection::{InstrumentationEvent, set_default_instrumentation};

thread_local! {
    /// None: this thread's statements are nobody's business.
    static STATEMENTS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// What a new connection sets, and what the server asks once a second, whatever clients do.
const BESIDE: [&str; 2] = ["SET ", "SELECT least("];

/// Notes down what is executed on this thread, on connections that are opened from now on.
pub fn note() {
    set_default_instrumentation(|| Some(Box::new(note_down))).expect("no thread has panicked");
    STATEMENTS.set(Some(Vec::new()));
}

/// The statements since the last call.
pub fn taken() -> Vec<String> {
    STATEMENTS.replace(Some(Vec::new())).unwrap_or_default()
}

fn note_down(event: InstrumentationEvent<'_>) {
    let InstrumentationEvent::StartQuery { query, .. } = event else {
        return;
    };
    STATEMENTS.with_borrow_mut(|statements| {
        let Some(statements) = statements else { return };
        let text = query.to_string();
        if !BESIDE.iter().any(|start| text.starts_with(start)) {
            statements.push(text);
        }
    });
}
