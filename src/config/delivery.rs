//! The settings of deliveries to URLs.

use std::time::Duration;

use clap::Args;

use super::{Retention, retention};
use crate::webhook::address::Networks;

/// How messages of API inboxes, and events for webhooks, are delivered.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings")]
pub struct DeliverySettings {
    /// How many deliveries to URLs this server makes at once, a quarter of them to one URL at
    /// most; 0: it makes none, others do.
    #[arg(long = "delivery-concurrency", env = "BOBBIN_DELIVERY_CONCURRENCY", default_value = "16", value_parser = clap::value_parser!(u16).range(0..=1_000), global = true)]
    pub concurrency: u16,
    /// Longest time for a delivery and its answer, in milliseconds.
    #[arg(long = "delivery-timeout", env = "BOBBIN_DELIVERY_TIMEOUT", default_value = "15000", value_parser = clap::value_parser!(u32).range(10..=300_000), global = true)]
    pub timeout: u32,
    /// Time before a delivery that failed is tried again, in milliseconds; twice as long after
    /// each failure, an hour at most, half of it by chance.
    #[arg(long = "delivery-backoff", env = "BOBBIN_DELIVERY_BACKOFF", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=3_600_000), global = true)]
    pub backoff: u32,
    /// How often a delivery is tried before it is given up: 20 times take 4 to 8 hours.
    #[arg(long = "delivery-attempts", env = "BOBBIN_DELIVERY_ATTEMPTS", default_value = "20", value_parser = clap::value_parser!(u16).range(1..=1_000), global = true)]
    pub attempts: u16,
    /// Networks that deliveries may reach though they are not the public Internet, separated by
    /// commas, such as 10.0.0.0/8 [default: none].
    #[arg(
        long = "delivery-networks",
        env = "BOBBIN_DELIVERY_NETWORKS",
        default_value = "",
        hide_default_value = true,
        global = true
    )]
    pub networks: Networks,
    /// How long it is kept what became of a delivery: 12h, 30d, or off for ever.
    #[arg(
        long = "delivery-retention",
        env = "BOBBIN_DELIVERY_RETENTION",
        default_value = "30d",
        value_parser = retention,
        global = true
    )]
    pub retention: Retention,
}

impl DeliverySettings {
    /// The longest time for a delivery and its answer.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout.into())
    }

    /// The time before a delivery is tried again that failed for the first time.
    pub fn backoff(&self) -> Duration {
        Duration::from_millis(self.backoff.into())
    }
}
