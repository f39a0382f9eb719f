//! The secret that a server and a backend share, and the signature by which the backend knows
//! who sent what: those of the Standard Webhooks specification.

use std::fmt;

use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, Result};

/// What the text of a secret begins with.
const PREFIX: &str = "whsec_";

/// How many bytes a secret may have.
const SIZES: std::ops::RangeInclusive<usize> = 24..=64;

/// How many bytes one has that is made here.
const MADE: usize = 32;

/// A shared secret. Its text is never printed by `Debug`.
#[derive(Clone)]
pub struct WebhookSecret {
    text: String,
    key: Vec<u8>,
}

impl WebhookSecret {
    /// A new one.
    pub fn generate() -> Result<Self> {
        let mut key = [0; MADE];
        rand::fill(&mut key).map_err(Error::internal)?;
        Ok(Self {
            text: format!("{PREFIX}{}", STANDARD.encode(key)),
            key: key.to_vec(),
        })
    }

    /// Reads one; what is wrong with it, if it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "must be {PREFIX} and the base64 of {} to {} bytes",
                SIZES.start(),
                SIZES.end()
            )
        };
        let encoded = text.strip_prefix(PREFIX).ok_or_else(wrong)?;
        let key = STANDARD.decode(encoded).map_err(|_| wrong())?;
        if !SIZES.contains(&key.len()) {
            return Err(wrong());
        }
        Ok(Self {
            text: text.to_owned(),
            key,
        })
    }

    /// Its text, for those who must have it.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The value of `webhook-signature` for a body. `id`: the delivery's; `timestamp`: of the
    /// attempt, in seconds since 1970.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        let mut signed = hmac::Context::with_key(&key);
        signed.update(format!("{id}.{timestamp}.").as_bytes());
        signed.update(body);
        format!("v1,{}", STANDARD.encode(signed.sign()))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reads_back_as_it_was_made_and_does_not_print() {
        let made = WebhookSecret::generate().expect("randomness");
        let read = WebhookSecret::parse(made.reveal()).expect("a secret");
        assert_eq!(read.key, made.key);
        assert_eq!(format!("{made:?}"), "[secret]");
        let again = WebhookSecret::generate().expect("randomness");
        assert_ne!(again.reveal(), made.reveal());
    }

    #[test]
    fn a_secret_has_24_to_64_bytes_in_base64() {
        let of = |size: usize| format!("whsec_{}", STANDARD.encode(vec![7; size]));
        for size in [24, 32, 64] {
            assert!(WebhookSecret::parse(&of(size)).is_ok(), "{size}");
        }
        for size in [0, 23, 65] {
            assert!(WebhookSecret::parse(&of(size)).is_err(), "{size}");
        }
        let good = of(24);
        for bad in [
            "",
            "swordfish",
            "whsec_",
            &good["whsec_".len()..],
            &good.replace("whsec_", "WHSEC_"),
            &format!("{good} "),
            &format!("{good}!"),
        ] {
            assert!(WebhookSecret::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // Its own example.
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let secret = secret.expect("a secret");
        let signed = secret.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
