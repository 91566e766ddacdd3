//! `[step_up.<name>]` in `bundle.toml`: who may approve, and how a challenge is told.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::compiled::extension::parse_duration;

/// How many people one approval may need.
pub const APPROVERS_MAX: u32 = 5;
/// How long what an approval grants, or a wait for one, may last.
const DURATION_MAX: Duration = Duration::from_hours(24 * 30);
/// How many values of `acr` a challenge names at most, and how long each may be.
const ACR_VALUES_MAX: usize = 8;
const ACR_BYTES_MAX: usize = 128;

/// How the approvals of one step-up go.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct StepUpSettings {
    /// How many people must say yes: distinct ones.
    #[serde(deserialize_with = "approvers")]
    pub approvers: u32,
    /// Whether an owner may be one of them: the session's, or an ancestor's. Principals never may.
    pub owner_may_approve: bool,
    /// How long an approval lasts at most, and unless its approver says less.
    #[serde(deserialize_with = "duration")]
    pub max_duration: Duration,
    /// How long a request for an approval waits for an answer.
    #[serde(deserialize_with = "duration")]
    pub pending_for: Duration,
    /// Authentication context classes that would do. With them an HTTP client is answered 401 with the challenge of RFC 9470, and
    /// not 403.
    #[serde(deserialize_with = "acr_values")]
    pub acr_values: Vec<String>,
}

impl Default for StepUpSettings {
    fn default() -> Self {
        Self {
            approvers: 1,
            owner_may_approve: false,
            max_duration: Duration::from_mins(15),
            pending_for: Duration::from_hours(1),
            acr_values: Vec::new(),
        }
    }
}

fn approvers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        approvers @ 1..=APPROVERS_MAX => Ok(approvers),
        other => Err(de::Error::custom(format_args!("{other} approvers: there are 1 to {APPROVERS_MAX}"))),
    }
}

/// `15m`, `1h30m`: as Cedar's `duration`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let duration = parse_duration(&text).and_then(|milliseconds| u64::try_from(milliseconds).ok());
    match duration.map(Duration::from_millis) {
        Some(duration) if !duration.is_zero() && duration <= DURATION_MAX => Ok(duration),
        _ => Err(de::Error::custom(format_args!("`{text}` is not a time of up to 30 days, such as `15m` or `1h30m`"))),
    }
}

/// They stand in a quoted string of a header, separated by spaces.
fn acr_values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let values = Vec::<String>::deserialize(deserializer)?;
    let is_valid = |value: &String| {
        !value.is_empty()
            && value.len() <= ACR_BYTES_MAX
            && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    match values.iter().find(|value| !is_valid(value)) {
        Some(value) => Err(de::Error::custom(format_args!(
            "`{value}` has 1 to {ACR_BYTES_MAX} visible characters, without spaces, quotes and backslashes"
        ))),
        None if values.len() > ACR_VALUES_MAX => {
            Err(de::Error::custom(format_args!("there are at most {ACR_VALUES_MAX} values")))
        }
        None => Ok(values),
    }
}
