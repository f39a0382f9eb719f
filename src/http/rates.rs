//! How often somebody may connect and ask: per address, and per viewer.
//!
//! Never waits: whoever comes too often is told when to come again.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::auth::Credential;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::live::bus::Subject;

/// Who has been quiet for so many seconds may do at once what he did not do meanwhile.
const BURST: u32 = 10;

/// So many askers are remembered before the quiet ones among them are forgotten.
const FORGET_FROM: usize = 1_000;

/// The rates.
pub struct Rates {
    connections: Option<Limiter<IpAddr>>,
    operations: Option<Limiter<Subject>>,
    /// The header in which a proxy tells the client's address.
    address_header: Option<String>,
}

impl Rates {
    /// As the settings say; a rate of 0 is none.
    pub fn new(settings: &Settings) -> Self {
        Self {
            connections: Limiter::new(settings.max_connection_rate),
            operations: Limiter::new(settings.max_operation_rate),
            address_header: settings.client_address_header.clone(),
        }
    }

    /// Whether an address may open one more connection now.
    pub fn connection(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<()> {
        let Some(limiter) = &self.connections else {
            return Ok(());
        };
        match self.client(peer, headers) {
            Some(address) => limiter.check(&address),
            None => Ok(()),
        }
    }

    /// Whether a viewer may have one more operation executed now.
    pub fn operation(&self, credential: &Credential) -> Result<()> {
        let Some(limiter) = &self.operations else {
            return Ok(());
        };
        limiter.check(&credential.subject())
    }

    /// Whose connections are counted together; none: not to be counted.
    fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let Some(name) = &self.address_header else {
            // This machine itself, or its proxy, which stands for everybody.
            return Some(network(peer.ip())).filter(|address| !address.is_loopback());
        };
        // A proxy adds the address that it saw at the end; what stands before it, the client
        // may have written.
        let last = headers.get_all(name).iter().next_back();
        let last = last.and_then(|value| value.to_str().ok());
        let last = last.and_then(|list| list.rsplit(',').next());
        let told = last.and_then(|address| address.trim().parse().ok());
        Some(network(told.unwrap_or(peer.ip())))
    }
}

/// One IPv6 client has a network of addresses (RFC 6177), and must not count as many clients.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let kept = v6.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(kept))
        }
        other => other,
    }
}

struct Limiter<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    forget_at: AtomicUsize,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    fn new(per_second: u32) -> Option<Self> {
        let per_second = NonZeroU32::new(per_second)?;
        let burst = per_second.saturating_mul(NonZeroU32::new(BURST)?);
        Some(Self {
            limiter: RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst)),
            forget_at: AtomicUsize::new(FORGET_FROM),
        })
    }

    fn check(&self, key: &K) -> Result<()> {
        // Who comes once must not be remembered for good.
        if self.limiter.len() >= self.forget_at.load(Ordering::Relaxed) {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
            let next = FORGET_FROM.max(self.limiter.len() * 2);
            self.forget_at.store(next, Ordering::Relaxed);
        }
        self.limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            Error::RateLimited(wait.max(Duration::from_secs(1)))
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use clap::Parser;

    use super::*;

    fn rates(arguments: &[&str]) -> Rates {
        Rates::new(&Settings::parse_from([&["bobbin"], arguments].concat()))
    }

    fn peer(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_that_connects_too_often_is_told_when_to_come_again() {
        let rates = rates(&["--max-connection-rate", "1"]);
        let (one, other) = (peer("192.0.2.1:5"), peer("192.0.2.2:5"));
        for _ in 0..BURST {
            assert!(rates.connection(one, &HeaderMap::new()).is_ok());
        }
        let refused = rates.connection(one, &HeaderMap::new());
        assert!(matches!(refused, Err(Error::RateLimited(wait)) if wait.as_secs() == 1));
        assert!(rates.connection(other, &HeaderMap::new()).is_ok());
        let here = peer("127.0.0.1:5");
        assert!((0..100).all(|_| rates.connection(here, &HeaderMap::new()).is_ok()));
    }

    #[test]
    fn behind_a_proxy_the_address_is_the_one_that_the_proxy_saw() {
        let rates = rates(&["--client-address-header", "x-forwarded-for"]);
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append("x-forwarded-for", HeaderValue::from_static("198.51.100.9"));
            headers.append("x-forwarded-for", HeaderValue::from_static(text));
            rates.client(peer("10.0.0.1:80"), &headers)
        };
        let address = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
        assert_eq!(of("192.0.2.7"), address("192.0.2.7"));
        assert_eq!(of("203.0.113.5, 192.0.2.7"), address("192.0.2.7"));
        assert_eq!(of("nonsense"), address("10.0.0.1"));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), address("2001:db8:1:2::"));
    }

    #[test]
    fn who_has_become_quiet_is_forgotten() {
        let limiter = Limiter::new(1_000_000).expect("a rate");
        for number in 0..50_000_u32 {
            assert!(limiter.check(&number).is_ok());
        }
        assert!(limiter.limiter.len() < 50_000);
    }
}
