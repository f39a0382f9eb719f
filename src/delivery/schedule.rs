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

/// What an outcome makes of a delivery. `at`: when the attempt began; `now`: when it ended.
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
        next_at: now,
    };
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
            let before = u32::try_from(delivery.attempts).unwrap_or_default();
            let last = before + 1 >= u32::from(settings.attempts);
            let pause = pause(settings.backoff(), before, chance(), wait);
            let pause = TimeDelta::from_std(pause).unwrap_or_default();
            Attempt {
                status: if last {
                    DeliveryStatus::Failed
                } else {
                    DeliveryStatus::Pending
                },
                response_status: status.map(i32::from),
                error: Some(reason),
                next_at: now + pause,
                ..ended
            }
        }
    }
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
}
