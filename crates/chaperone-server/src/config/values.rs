//! The kinds of values that options take, beyond text and numbers.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, ValueEnum};

/// Where the store is. It may hold a password, which neither `Debug` nor `Display` shows.
#[derive(Clone, Eq, PartialEq)]
pub struct StoreUrl(String);

/// A store that a URL can name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StoreBackend<'a> {
    /// PostgreSQL; the URL with its password.
    Postgres(&'a str),
    /// The embedded store in this file.
    File(&'a Path),
    /// The embedded store in memory, gone when the process ends.
    Memory,
}

/// A store URL that does not parse. It does not repeat the URL, which may hold a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a store is `postgres://user@host/database`, `embedded:PATH` or `embedded::memory:`")]
pub struct StoreUrlError;

impl StoreUrl {
    /// The URL with its password. Only the store needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Which store this names.
    pub fn backend(&self) -> StoreBackend<'_> {
        match self.0.strip_prefix("embedded:") {
            Some(":memory:") => StoreBackend::Memory,
            Some(path) => StoreBackend::File(Path::new(path)),
            None => StoreBackend::Postgres(&self.0),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = ["postgres://", "postgresql://", "embedded:"].iter().find_map(|scheme| text.strip_prefix(scheme));
        match rest {
            Some(rest) if !rest.is_empty() && !rest.contains(char::is_control) => Ok(Self(text.to_owned())),
            _ => Err(StoreUrlError),
        }
    }
}

impl fmt::Display for StoreUrl {
    /// The URL with `***` for its password and without its parameters, which may hold one as well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str(&self.0) };
        let (rest, parameters) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?***"));
        match rest.rsplit_once('@') {
            Some((user, host)) => {
                let (user, password) = user.split_once(':').map_or((user, ""), |(user, _)| (user, ":***"));
                write!(f, "{scheme}://{user}{password}@{host}{parameters}")
            }
            None => write!(f, "{scheme}://{rest}{parameters}"),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

/// Reads a [`StoreUrl`] as clap's own parsers do, but never repeats a URL that does not parse.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreUrlParser;

impl TypedValueParser for StoreUrlParser {
    type Value = StoreUrl;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<StoreUrl, clap::Error> {
        value.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
            let message = format!("invalid value for '--store-url <URL>': {StoreUrlError}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// How the data plane's work is spread over threads.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum RuntimeMode {
    /// One runtime whose threads share all work, with that of the other doors.
    Shared,
    /// Threads with a runtime each; a connection stays on its thread.
    PerCore,
}

/// What evaluates policies.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum EvaluatorMode {
    /// The compiled policies.
    Compiled,
    /// Cedar's own authorizer: the same decisions, far slower.
    Cedar,
    /// The compiled policies, and a sample of the decisions again by Cedar's, to alarm on a difference.
    Verify,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
    /// Text on a terminal, JSON elsewhere.
    Auto,
}

/// Reads a duration such as `500ms`, `1h` or `1h30m`. `0` needs no unit.
///
/// # Errors
/// In words for the person who wrote it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const WANTED: &str = "a duration is a number with a unit (us, ms, s, m, h, d), such as 500ms or 1h30m";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(WANTED)?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let number: u64 = number.parse().map_err(|_| WANTED)?;
        let micros: u64 = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            _ => return Err(WANTED.to_owned()),
        };
        let part = number.checked_mul(micros).map(Duration::from_micros);
        total = part.and_then(|part| total.checked_add(part)).ok_or("the duration is too long")?;
        rest = tail;
    }
    if text.is_empty() { Err(WANTED.to_owned()) } else { Ok(total) }
}

/// Reads a ratio between 0 and 1.
///
/// # Errors
/// In words for the person who wrote it.
pub fn parse_ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("a ratio is a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, micros) in [
            ("0", 0),
            ("0s", 0),
            ("5us", 5),
            ("500ms", 500_000),
            ("1s", 1_000_000),
            ("1h30m", 5_400_000_000),
            ("30d", 2_592_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for text in ["", "5", "s", "1.5s", "-1s", "1 s", "1hour", "1h5", "99999999999999999999s", "999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn store_urls_name_their_backend() {
        let url: StoreUrl = "postgres://db/chaperone".parse().expect("it parses");
        assert_eq!(url.backend(), StoreBackend::Postgres("postgres://db/chaperone"));
        let url: StoreUrl = "embedded:/var/lib/chaperone.db".parse().expect("it parses");
        assert_eq!(url.backend(), StoreBackend::File(Path::new("/var/lib/chaperone.db")));
        let url: StoreUrl = "embedded::memory:".parse().expect("it parses");
        assert_eq!(url.backend(), StoreBackend::Memory);
        for text in ["", "mysql://db", "embedded:", "postgres://", "/var/lib/chaperone.db"] {
            assert_eq!(text.parse::<StoreUrl>(), Err(StoreUrlError), "{text}");
        }
    }

    #[test]
    fn a_store_password_is_never_shown() {
        for (text, shown) in [
            ("postgres://me:s3:cr@t@db:5432/c", "postgres://me:***@db:5432/c"),
            ("postgres://me@db/c?password=s3cr@t", "postgres://me@db/c?***"),
            ("postgres://db/c", "postgres://db/c"),
        ] {
            let url: StoreUrl = text.parse().expect("it parses");
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("StoreUrl({shown})"));
        }
    }
}
