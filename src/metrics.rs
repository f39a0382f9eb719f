//! What the server counts of itself, as Prometheus reads it.
//!
//! Counting is an addition to an atomic number. No label has a value that a client chooses, so
//! the number of series is fixed.

use std::collections::HashMap;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::db::enums::DeliveryStatus;

/// The codes of errors that are counted by themselves; any other one counts as `OTHER`.
const CODES: [&str; 24] = [
    "API_INBOX_REQUIRED",
    "BAD_REQUEST",
    "BAD_USER_INPUT",
    "CONFLICT",
    "DOCUMENT_NOT_TRUSTED",
    "FORBIDDEN",
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "INTERNAL",
    "INVALID_MESSAGE_TYPE",
    "METHOD_NOT_ALLOWED",
    "NOT_ACCEPTABLE",
    "NOT_FOUND",
    "OTHER",
    "PAYLOAD_TOO_LARGE",
    "PERSISTED_QUERY_NOT_FOUND",
    "QUERY_TOO_COMPLEX",
    "RATE_LIMITED",
    "REQUEST_TIMEOUT",
    "TIMEOUT",
    "TRANSLATION_FAILED",
    "UNAUTHENTICATED",
    "UNSUPPORTED_MEDIA_TYPE",
    "UPGRADE_FAILED",
];

/// Labels of which every value is known beforehand.
type Labels = [(&'static str, &'static str); 1];

/// What kind of operation it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It reads.
    Query,
    /// It writes.
    Mutation,
}

/// What came of a wish to have a message translated. Who waits for another one's is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Translating {
    /// It had been translated before.
    Cached,
    /// The provider translated it.
    Made,
    /// The provider was not there, or said nothing that makes sense.
    Failed,
    /// The provider did not want to.
    Refused,
    /// The provider was left alone, after failures.
    Resting,
}

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    sockets: Gauge,
    subscriptions: Gauge,
    groups: Gauge,
    shared: Counter,
    personal: Counter,
    deliveries: Counter,
    replays: Counter,
    replayed_events: Counter,
    gaps: Counter,
    lags: Counter,
    slow_closed: Counter,
    slow_to_log: Counter,
    bus_delay: Histogram,
    queries: Histogram,
    mutations: Histogram,
    errors: HashMap<&'static str, Counter>,
    documents_parsed: Counter,
    translations: [Counter; 5],
    calls: Calls,
    connections: Connections,
}

/// The state of the pool of connections to PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub struct PoolState {
    /// Connections that are in use.
    pub used: usize,
    /// Connections that are open and free.
    pub idle: usize,
    /// The most that there may be.
    pub max: usize,
    /// Who waits for one.
    pub waiting: usize,
}

/// Counts one more as long as it lives.
#[derive(Debug)]
#[must_use = "it counts as long as it lives"]
pub struct Held(Gauge);

impl Held {
    fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut to = Registry::with_prefix("bobbin");
        let executions = family(
            &mut to,
            "executions",
            "Executions of a selection for an event: shared by a group's members, or personal to one of them",
        );
        let slow = family(
            &mut to,
            "slow_readers",
            "Readers that did not keep up: their socket was closed (4508), or a subscription went back to the log",
        );
        let errors = family(
            &mut to,
            "errors",
            "Errors that clients were told, by their code",
        );
        let translations = family(
            &mut to,
            "translations",
            "Translations that were wanted: found in the cache, made by the provider, or not made since it failed, refused or was left alone after failures",
        );
        let operations = operations(&mut to);
        let calls = Calls::new(&mut to);
        let connections = Connections::new(&mut to);
        Self {
            sockets: gauge(&mut to, "sockets", "Open WebSockets"),
            subscriptions: gauge(&mut to, "subscriptions", "Running subscriptions"),
            groups: gauge(
                &mut to,
                "groups",
                "Groups of subscriptions that ask for the same and share executions",
            ),
            shared: labelled(&executions, "kind", "shared"),
            personal: labelled(&executions, "kind", "personal"),
            deliveries: counter(&mut to, "deliveries", "Events handed to subscribers"),
            replays: counter(&mut to, "replays", "Times that a subscription read the log"),
            replayed_events: counter(
                &mut to,
                "replayed_events",
                "Events that subscriptions read from the log",
            ),
            gaps: counter(
                &mut to,
                "gaps",
                "Gaps in what the bus brought, which were then read from the log",
            ),
            lags: counter(
                &mut to,
                "lags",
                "Times that a subscription was too slow for the bus and went back to the log",
            ),
            slow_closed: labelled(&slow, "end", "closed"),
            slow_to_log: labelled(&slow, "end", "log"),
            bus_delay: seconds(
                &mut to,
                "bus_delay",
                "Time from when an event happened to its arrival over the bus, the commit included; by the clocks of two nodes if another one wrote it",
                0.000_05,
            ),
            queries: labelled(&operations, "kind", "query"),
            mutations: labelled(&operations, "kind", "mutation"),
            errors: CODES
                .map(|code| (code, labelled(&errors, "code", code)))
                .into(),
            documents_parsed: counter(
                &mut to,
                "documents_parsed",
                "Documents that were not known and had to be parsed",
            ),
            // In the order of `Translating`.
            translations: ["cached", "made", "failed", "refused", "resting"]
                .map(|outcome| labelled(&translations, "outcome", outcome)),
            calls,
            connections,
            registry: to,
        }
    }
}

impl Metrics {
    /// A WebSocket is open.
    pub fn socket(&self) -> Held {
        Held::of(&self.sockets)
    }

    /// A subscription runs.
    pub fn subscription(&self) -> Held {
        Held::of(&self.subscriptions)
    }

    /// A group of subscriptions is there.
    pub fn group(&self) -> Held {
        Held::of(&self.groups)
    }

    /// A selection was executed for an event, for a whole group.
    pub fn executed_for_all(&self) {
        self.shared.inc();
    }

    /// A selection was executed for an event, for one member of a group.
    pub fn executed_for_one(&self) {
        self.personal.inc();
    }

    /// So many subscribers were handed an event.
    pub fn delivered(&self, subscribers: u64) {
        self.deliveries.inc_by(subscribers);
    }

    /// A subscription read the log, which held so many events for it.
    pub fn replayed(&self, events: u64) {
        self.replays.inc();
        self.replayed_events.inc_by(events);
    }

    /// The bus left out an event.
    pub fn gap(&self) {
        self.gaps.inc();
    }

    /// A subscription did not keep up with the bus.
    pub fn lag(&self) {
        self.lags.inc();
    }

    /// A socket was closed because its client does not read.
    pub fn slow_reader_closed(&self) {
        self.slow_closed.inc();
    }

    /// A subscription went back to the log because its client reads slowly.
    pub fn slow_reader_to_log(&self) {
        self.slow_to_log.inc();
    }

    /// An event arrived over the bus, so long after it happened.
    pub fn bus_delayed(&self, by: Duration) {
        self.bus_delay.observe(by.as_secs_f64());
    }

    /// An operation was executed, and took so long.
    pub fn operated(&self, kind: Kind, took: Duration) {
        let histogram = match kind {
            Kind::Query => &self.queries,
            Kind::Mutation => &self.mutations,
        };
        histogram.observe(took.as_secs_f64());
    }

    /// A client was told an error.
    pub fn failed(&self, code: &str) {
        let counter = self.errors.get(code).or_else(|| self.errors.get("OTHER"));
        if let Some(counter) = counter {
            counter.inc();
        }
    }

    /// Something was delivered to a URL, or was to be, and took so long; what became of it.
    pub fn called(&self, became: DeliveryStatus, took: Duration) {
        let counter = match became {
            DeliveryStatus::Delivered => &self.calls.delivered,
            DeliveryStatus::Pending => &self.calls.retried,
            DeliveryStatus::Failed => &self.calls.failed,
        };
        counter.inc();
        self.calls.duration.observe(took.as_secs_f64());
    }

    /// A document was parsed.
    pub fn parsed(&self) {
        self.documents_parsed.inc();
    }

    /// A translation was wanted.
    pub fn translated(&self, outcome: Translating) {
        self.translations[outcome as usize].inc();
    }

    /// All of it in the text format of OpenMetrics, with the pool as it is now.
    pub fn render(&self, pool: PoolState) -> String {
        self.connections.set(pool);
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("a String takes every write");
        text
    }
}

/// What became of deliveries to URLs.
struct Calls {
    delivered: Counter,
    retried: Counter,
    failed: Counter,
    duration: Histogram,
}

impl Calls {
    fn new(to: &mut Registry) -> Self {
        let outcomes = family(
            to,
            "webhook_attempts",
            "Attempts at deliveries to URLs: delivered, to be tried again, or given up",
        );
        Self {
            delivered: labelled(&outcomes, "outcome", "delivered"),
            retried: labelled(&outcomes, "outcome", "retried"),
            failed: labelled(&outcomes, "outcome", "failed"),
            duration: seconds(
                to,
                "webhook_duration",
                "Time of an attempt at a delivery to a URL, from the claim to the answer",
                0.001,
            ),
        }
    }
}

/// What is known of the pool, as of the last time that somebody looked.
struct Connections {
    used: Gauge,
    idle: Gauge,
    max: Gauge,
    awaited: Gauge,
}

impl Connections {
    fn new(to: &mut Registry) -> Self {
        let states = Family::<Labels, Gauge>::default();
        let help = "Connections to PostgreSQL";
        to.register("database_connections", help, states.clone());
        Self {
            used: labelled(&states, "state", "used"),
            idle: labelled(&states, "state", "idle"),
            max: gauge(
                to,
                "database_connections_max",
                "Most connections to PostgreSQL",
            ),
            awaited: gauge(
                to,
                "database_connections_awaited",
                "Requests that wait for a connection to PostgreSQL",
            ),
        }
    }

    fn set(&self, pool: PoolState) {
        for (gauge, value) in [
            (&self.used, pool.used),
            (&self.idle, pool.idle),
            (&self.max, pool.max),
            (&self.awaited, pool.waiting),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

fn operations(to: &mut Registry) -> Family<Labels, Histogram, fn() -> Histogram> {
    let new: fn() -> Histogram = || buckets(0.000_5);
    let family = Family::new_with_constructor(new);
    let help = "Time of queries and mutations, from their parsed document to their answer";
    to.register_with_unit("operation_duration", help, Unit::Seconds, family.clone());
    family
}

fn counter(to: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    to.register(name, help, counter.clone());
    counter
}

fn gauge(to: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    to.register(name, help, gauge.clone());
    gauge
}

fn family(to: &mut Registry, name: &str, help: &str) -> Family<Labels, Counter> {
    let family = Family::default();
    to.register(name, help, family.clone());
    family
}

fn seconds(to: &mut Registry, name: &str, help: &str, from: f64) -> Histogram {
    let histogram = buckets(from);
    to.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

/// Fifteen buckets, each twice as wide as the one before.
fn buckets(from: f64) -> Histogram {
    Histogram::new(exponential_buckets(from, 2.0, 15))
}

/// A family's member; it shares its number with the family, and is counted without looking it up.
fn labelled<M, C>(family: &Family<Labels, M, C>, label: &'static str, value: &'static str) -> M
where
    M: Clone,
    C: prometheus_client::metrics::family::MetricConstructor<M>,
{
    family.get_or_create(&[(label, value)]).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: PoolState = PoolState {
        used: 3,
        idle: 1,
        max: 16,
        waiting: 0,
    };

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::default();
        let socket = metrics.socket();
        metrics.delivered(5);
        metrics.failed("CONFLICT");
        metrics.failed("a code that a later version has");
        metrics.operated(Kind::Query, Duration::from_millis(3));
        metrics.replayed(7);
        metrics.translated(Translating::Resting);
        let text = metrics.render(POOL);
        for line in [
            "bobbin_sockets 1",
            "bobbin_deliveries_total 5",
            "bobbin_errors_total{code=\"CONFLICT\"} 1",
            "bobbin_errors_total{code=\"OTHER\"} 1",
            "bobbin_operation_duration_seconds_count{kind=\"query\"} 1",
            "bobbin_operation_duration_seconds_bucket{le=\"0.004\",kind=\"query\"} 1",
            "bobbin_replays_total 1",
            "bobbin_translations_total{outcome=\"resting\"} 1",
            "bobbin_replayed_events_total 7",
            "bobbin_executions_total{kind=\"shared\"} 0",
            "bobbin_database_connections{state=\"used\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        drop(socket);
        assert!(metrics.render(POOL).contains("\nbobbin_sockets 0\n"));
    }

    #[test]
    fn every_metric_has_its_help() {
        let text = Metrics::default().render(POOL);
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).expect("a name");
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        }
    }
}
