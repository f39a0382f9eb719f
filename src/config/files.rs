//! The settings of files: where they are kept, how large they may be, how clients reach them.

use chrono::TimeDelta;

use crate::config::{Secret, duration};

/// The settings of files.
#[derive(Debug, Clone, clap::Args)]
pub struct FileSettings {
    /// Where files are kept: file:///DIRECTORY, or s3://BUCKET/PREFIX with the AWS_... variables
    /// (AWS_ENDPOINT for other servers that speak S3) [default: files in the data directory].
    #[arg(
        long,
        env = "BOBBIN_STORAGE_URL",
        hide_env_values = true,
        global = true
    )]
    pub storage_url: Option<Secret>,
    /// How clients reach this server, for the addresses of files: https://chat.example.com
    /// [default: http:// and the address that it listens on].
    #[arg(long, env = "BOBBIN_PUBLIC_URL", value_parser = public_url, global = true)]
    pub public_url: Option<String>,
    /// Most bytes of a file.
    #[arg(long, env = "BOBBIN_MAX_FILE_SIZE", default_value = "40000000", value_parser = clap::value_parser!(u32).range(1..=2_147_483_647), global = true)]
    pub max_file_size: u32,
    /// How long the address of a file is valid: 90s, 30m, 24h; 7d at most.
    #[arg(long, env = "BOBBIN_FILE_URL_LIFETIME", default_value = "24h", value_parser = lifetime, global = true)]
    pub file_url_lifetime: TimeDelta,
    /// How long a file is awaited that is uploaded by itself: 90s, 1h; 24h at most. After that it
    /// is CANCELLED.
    #[arg(long, env = "BOBBIN_UPLOAD_TIMEOUT", default_value = "1h", value_parser = upload_timeout, global = true)]
    pub upload_timeout: TimeDelta,
    /// How long a file is kept that is on no message: 90s, 24h, 7d.
    #[arg(long, env = "BOBBIN_UNUSED_FILE_LIFETIME", default_value = "24h", value_parser = kept, global = true)]
    pub unused_file_lifetime: TimeDelta,
}

fn public_url(text: &str) -> Result<String, String> {
    let wrong = || "an address such as https://chat.example.com".to_owned();
    let url = reqwest::Url::parse(text).map_err(|_| wrong())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    plain
        .then(|| url.as_str().trim_end_matches('/').to_owned())
        .ok_or_else(wrong)
}

/// Presigned addresses of S3 are valid for a week at most.
fn lifetime(text: &str) -> Result<TimeDelta, String> {
    within(text, TimeDelta::days(7), "from 1s to 7d")
}

/// The database keeps what is given up in mind for a day.
fn upload_timeout(text: &str) -> Result<TimeDelta, String> {
    within(text, TimeDelta::days(1), "from 1s to 24h")
}

fn kept(text: &str) -> Result<TimeDelta, String> {
    within(text, TimeDelta::MAX, "1s or more")
}

/// A time that is not nothing, and not more than that.
fn within(text: &str, most: TimeDelta, wanted: &str) -> Result<TimeDelta, String> {
    let time = duration(text)?;
    let fits = time > TimeDelta::zero() && time <= most;
    fits.then_some(time).ok_or_else(|| wanted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_where_paths_are_added() {
        for (text, expected) in [
            ("https://chat.example.com", "https://chat.example.com"),
            ("https://chat.example.com/", "https://chat.example.com"),
            ("http://[::1]:8080/chat/", "http://[::1]:8080/chat"),
        ] {
            assert_eq!(public_url(text).as_deref(), Ok(expected));
        }
        for bad in [
            "",
            "chat.example.com",
            "ftp://example.com",
            "http://",
            "http://a/?b=c",
            "http://a/#b",
            "http://me:secret@a/",
        ] {
            assert!(public_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_upload_is_awaited_for_a_day_at_most_and_nothing_is_kept_for_no_time() {
        assert_eq!(upload_timeout("90m"), Ok(TimeDelta::minutes(90)));
        assert!(upload_timeout("24h").is_ok() && upload_timeout("25h").is_err());
        assert!(
            upload_timeout("0s").is_err()
                && kept("0d").is_err()
                && kept("0s").is_err()
                && kept("30d").is_ok()
        );
    }

    #[test]
    fn an_address_is_valid_for_a_week_at_most() {
        assert_eq!(lifetime("2s"), Ok(TimeDelta::seconds(2)));
        assert!(lifetime("7d").is_ok() && lifetime("8d").is_err() && lifetime("0s").is_err());
    }
}
