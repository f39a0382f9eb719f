//! When a delivery that failed is tried again, and when it is given up.

use std::time::Duration;

use aws_lc_rs::rand;
use chrono::{DateTime, TimeDelta, Utc};

use crate::config::delivery::DeliverySettings;
use crate::db::delivery::{Attempt, Delivery};
use crate::db::enums::DeliveryStatus;
use crate::delivery::calling::Outcome;

/// The longest time between two attempts.
const LONGEST: Duration = Duration::from_secs(3600);

/// How often a name is tried that leads nowhere that may be called: it may be mended, but not by
/// waiting for hours.
const MISLED: u32 = 3;

/// What an outcome makes of a delivery as it was before the attempt. `at`: when that began; `now`:
/// when it ended.
pub fn attempt(
    settings: &DeliverySettings,
    delivery: &Delivery,
    outcome: Outcome,
    (at, now): (DateTime<Utc>, DateTime<Utc>),
) -> Attempt {
    let ended = Attempt {
        status: DeliveryStatus::Failed,
        tried: true,
        response_status: None,
        error: None,
        at,
        pause: Duration::ZERO,
    };
    let before = u32::try_from(delivery.attempts).unwrap_or_default();
    let most = u32::from(settings.attempts);
    match outcome {
        Outcome::Taken { status } => Attempt {
            status: DeliveryStatus::Delivered,
            response_status: Some(status.into()),
            ..ended
        },
        Outcome::Refused { reason } => Attempt {
            tried: false,
            error: Some(reason),
            ..ended
        },
        Outcome::Gone { reason } => Attempt {
            status: DeliveryStatus::Delivered,
            tried: false,
            error: Some(reason),
            ..ended
        },
        Outcome::Failed {
            status,
            reason,
            wait,
        } => {
            // What has waited behind others for as long as it would be tried is not worth it all
            // over again: else a URL that is gone holds a thread up for hours for each delivery.
            let late = before == 0 && now - delivery.created_at > whole(settings);
            Attempt {
                status: unless(late || before + 1 >= most),
                response_status: status.map(i32::from),
                error: Some(reason),
                pause: pause(settings.backoff(), before, chance(), wait),
                ..ended
            }
        }
        Outcome::Late => Attempt {
            status: DeliveryStatus::Pending,
            tried: false,
            ..ended
        },
        Outcome::Misled { reason } => Attempt {
            status: unless(before + 1 >= most.min(MISLED)),
            error: Some(reason),
            pause: pause(settings.backoff(), before, chance(), None),
            ..ended
        },
    }
}

/// Whether a delivery was tried as often as it may be, though nobody knows what came of it: the
/// server ended, or could not store it.
pub fn is_used_up(settings: &DeliverySettings, delivery: &Delivery) -> bool {
    u32::try_from(delivery.attempts).is_ok_and(|before| before >= settings.attempts.into())
}

/// Failed for good, or tried again.
fn unless(last: bool) -> DeliveryStatus {
    if last {
        DeliveryStatus::Failed
    } else {
        DeliveryStatus::Pending
    }
}

/// How long all attempts take at most.
fn whole(settings: &DeliverySettings) -> TimeDelta {
    let attempts = u32::from(settings.attempts);
    let pauses = (1..attempts).map(|number| pause(settings.backoff(), number - 1, 1.0, None));
    let whole = pauses.sum::<Duration>() + settings.timeout() * attempts;
    TimeDelta::from_std(whole).unwrap_or(TimeDelta::MAX)
}

/// How long to wait after so many attempts before this one. Half of it by chance, so that those
/// who failed together do not come back together; and half of it for certain, so that nothing is
/// given up within an hour by bad luck. `wait`: what the other side asks for.
fn pause(first: Duration, before: u32, chance: f64, wait: Option<Duration>) -> Duration {
    let whole = first.saturating_mul(1 << before.min(31)).min(LONGEST);
    let pause = whole.mul_f64(0.5 + chance / 2.0);
    pause.max(wait.unwrap_or_default()).min(LONGEST)
}

/// A number from 0 to 1.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness they come back together: bad, but no reason to fail.
    let _ = rand::fill(&mut bytes);
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::enums::WebhookEvent;
    use crate::ids::{DeliveryId, OrganizationId, ThreadId, WebhookId};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_pause_is_twice_as_long_up_to_an_hour() {
        let longest = |before| pause(SECOND, before, 1.0, None).as_secs();
        assert_eq!([0, 1, 2, 11].map(longest), [1, 2, 4, 2048]);
        assert_eq!([12, 20, 40, 10_000].map(longest), [3600; 4]);
        let shortest = |before| pause(SECOND, before, 0.0, None).as_millis();
        assert_eq!([0, 1, 12].map(shortest), [500, 1000, 1_800_000]);
    }

    #[test]
    fn twenty_attempts_take_four_to_eight_hours() {
        let hours = |chance| {
            let pauses = (0..19).map(|before| pause(SECOND, before, chance, None));
            pauses.sum::<Duration>().as_secs_f64() / 3600.0
        };
        assert!((3.9..4.2).contains(&hours(0.0)), "{}", hours(0.0));
        assert!((7.9..8.3).contains(&hours(1.0)), "{}", hours(1.0));
    }

    #[test]
    fn the_other_side_may_ask_for_more_time_but_not_for_more_than_an_hour() {
        let asked = |seconds| {
            let wait = Some(Duration::from_secs(seconds));
            pause(SECOND, 0, 1.0, wait).as_secs()
        };
        assert_eq!([0, 30, 7200].map(asked), [1, 30, 3600]);
    }

    #[test]
    fn chance_is_between_0_and_1() {
        assert!((0..1000).all(|_| (0.0..=1.0).contains(&chance())));
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        delivery: DeliverySettings,
    }

    /// What becomes of a delivery that fails by `outcome`, after so many attempts, so many hours
    /// after it came to be.
    fn after(attempts: i32, hours: i64, outcome: Outcome) -> DeliveryStatus {
        let settings = <Line as clap::Parser>::parse_from(["bobbin"]).delivery;
        let made: DateTime<Utc> = "2026-01-31T12:00:00Z".parse().expect("a time");
        let delivery = Delivery {
            id: DeliveryId::generate(),
            organization_id: OrganizationId::generate(),
            inbox_id: None,
            webhook_id: Some(WebhookId::generate()),
            thread_id: ThreadId::generate(),
            event: WebhookEvent::MessageCreated,
            seq: Some(1),
            message_id: None,
            user_id: None,
            occurred_at: made,
            status: DeliveryStatus::Pending,
            attempts,
            next_at: made,
            last_attempt_at: None,
            response_status: None,
            error: None,
            created_at: made,
            finished_at: None,
            place: 1,
        };
        let now = made + TimeDelta::hours(hours);
        attempt(&settings, &delivery, outcome, (now, now)).status
    }

    #[test]
    fn what_has_waited_for_longer_than_it_would_be_tried_is_tried_once() {
        let failed = |attempts, hours| {
            let outcome = Outcome::Failed {
                status: None,
                reason: String::new(),
                wait: None,
            };
            after(attempts, hours, outcome)
        };
        assert_eq!(failed(0, 8), DeliveryStatus::Pending);
        assert_eq!(failed(0, 9), DeliveryStatus::Failed);
        // It has begun before, and goes on.
        assert_eq!(failed(1, 9), DeliveryStatus::Pending);
        assert_eq!(failed(18, 9), DeliveryStatus::Pending);
        assert_eq!(failed(19, 0), DeliveryStatus::Failed);
    }

    #[test]
    fn a_name_that_leads_nowhere_is_tried_three_times() {
        let misled = |attempts| {
            let reason = String::new();
            after(attempts, 0, Outcome::Misled { reason })
        };
        assert_eq!([0, 1].map(misled), [DeliveryStatus::Pending; 2]);
        assert_eq!(misled(2), DeliveryStatus::Failed);
    }
}
