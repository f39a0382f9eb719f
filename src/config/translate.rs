//! The settings of the provider that translates.

use crate::config::Secret;

/// Who translates messages.
#[derive(Debug, Clone, clap::Args)]
pub struct Translate {
    /// A service that translates messages, with the API of LibreTranslate: its http(s) address
    /// [default: none, translateMessage fails].
    #[arg(
        long,
        env = "BOBBIN_TRANSLATE_URL",
        hide_env_values = true,
        global = true
    )]
    pub translate_url: Option<Secret>,
    /// The API key for it, if it asks for one.
    #[arg(
        long,
        env = "BOBBIN_TRANSLATE_KEY",
        hide_env_values = true,
        allow_hyphen_values = true,
        global = true
    )]
    pub translate_key: Option<Secret>,
    /// Longest time for it to answer, in seconds.
    #[arg(long, env = "BOBBIN_TRANSLATE_TIMEOUT", default_value = "10", value_parser = clap::value_parser!(u16).range(1..=600), global = true)]
    pub translate_timeout: u16,
    /// How long it is left alone after five failures on end, in milliseconds.
    #[arg(long, env = "BOBBIN_TRANSLATE_REST", default_value = "30000", value_parser = clap::value_parser!(u32).range(1..=3_600_000), global = true, hide = true)]
    pub translate_rest: u32,
}
