//! Look-ups about webhooks and deliveries, gathered: one query for all of a document.

use std::collections::HashMap;
use std::hash::Hash;

use async_graphql::dataloader::Loader;

use crate::db::access::manage;
use crate::db::delivery::Delivery;
use crate::db::delivery_list::{self, Kind, Target};
use crate::db::enums::DeliveryStatus;
use crate::db::page::{Page, Slice};
use crate::db::webhook::Webhook;
use crate::error::{Error, Result};
use crate::graphql::loaders::Batch;
use crate::ids::WebhookId;

/// Asks for a page of what goes to a target, of one status or of all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeliveriesTo(pub Target, pub Option<DeliveryStatus>, pub Page<i64>);

/// Asks how much goes to a target, of one status or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryCountTo(pub Target, pub Option<DeliveryStatus>);

impl Loader<WebhookId> for Batch {
    type Value = Webhook;
    type Error = Error;

    async fn load(&self, keys: &[WebhookId]) -> Result<HashMap<WebhookId, Webhook>> {
        let conn = &mut self.conn().await?;
        let found = manage::webhooks_by_ids(conn, &self.viewer.get(), keys).await?;
        Ok(found.into_iter().map(|one| (one.id, one)).collect())
    }
}

impl Loader<DeliveriesTo> for Batch {
    type Value = Slice<Delivery>;
    type Error = Error;

    async fn load(&self, keys: &[DeliveriesTo]) -> Result<HashMap<DeliveriesTo, Slice<Delivery>>> {
        let mut found = HashMap::new();
        let conn = &mut self.conn().await?;
        let asked = keys.iter().map(|DeliveriesTo(target, status, page)| {
            ((Kind::of(*target, *status), page.clone()), *target)
        });
        for ((kind, page), targets) in gather(asked) {
            let slices = delivery_list::pages(conn, &targets, kind, &page).await?;
            let keyed = slices.into_iter();
            found.extend(
                keyed.map(|(target, slice)| {
                    (DeliveriesTo(target, kind.status, page.clone()), slice)
                }),
            );
        }
        Ok(found)
    }
}

impl Loader<DeliveryCountTo> for Batch {
    type Value = i64;
    type Error = Error;

    async fn load(&self, keys: &[DeliveryCountTo]) -> Result<HashMap<DeliveryCountTo, i64>> {
        let mut found = HashMap::new();
        let conn = &mut self.conn().await?;
        let asked = keys
            .iter()
            .map(|DeliveryCountTo(target, status)| (Kind::of(*target, *status), *target));
        for (kind, targets) in gather(asked) {
            let counts = delivery_list::counts(conn, &targets, kind).await?;
            let keyed = counts.into_iter();
            found
                .extend(keyed.map(|(target, count)| (DeliveryCountTo(target, kind.status), count)));
        }
        Ok(found)
    }
}

/// What is asked for, by what it has in common.
fn gather<K: Eq + Hash>(asked: impl Iterator<Item = (K, Target)>) -> HashMap<K, Vec<Target>> {
    let mut gathered: HashMap<K, Vec<Target>> = HashMap::new();
    for (kind, target) in asked {
        gathered.entry(kind).or_default().push(target);
    }
    gathered
}
