//! Options of alerts.
#![expect(clippy::doc_markdown, reason = "these texts are the options' help, which is read as it is")]

use std::fmt;
use std::path::PathBuf;

use chaperone_policy::Severity;
use clap::{Args, ValueEnum};

use super::OptionProblem;
use crate::alerts::{TargetError, WebhookOptions, WebhookSecret, WebhookTarget};

/// Alerts.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Alerts")]
pub struct AlertsConfig {
    /// What becomes of a session that is presented from elsewhere than it is bound to, beside the denial and the alert `token-reuse`
    #[arg(
        id = "on-token-reuse",
        long,
        env = "CHAPERONE_ON_TOKEN_REUSE",
        value_name = "ACTION",
        default_value = "deny"
    )]
    pub on_token_reuse: OnTokenReuse,
    #[expect(rustdoc::bare_urls, reason = "it is what `--help` says, too")]
    /// Where alerts are posted as signed CloudEvents, such as https://alerts.example.org/chaperone. Without it: to traces and logs only
    #[arg(
        id = "alert-webhook-url",
        long,
        env = "CHAPERONE_ALERT_WEBHOOK_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub webhook_url: Option<WebhookUrl>,
    /// File with the secret that they are signed with: `whsec_` and 24 to 64 random bytes in Base64
    #[arg(id = "alert-webhook-secret-file", long, env = "CHAPERONE_ALERT_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
    /// Least severity that is posted
    #[arg(
        id = "alert-webhook-min-severity",
        long,
        env = "CHAPERONE_ALERT_WEBHOOK_MIN_SEVERITY",
        value_name = "SEVERITY",
        default_value = "low"
    )]
    pub webhook_min_severity: AlertSeverity,
    /// Authorities in PEM that the receiver's certificate must come from. Without it, the public ones
    #[arg(id = "alert-webhook-ca-file", long, env = "CHAPERONE_ALERT_WEBHOOK_CA_FILE", value_name = "FILE")]
    pub webhook_ca_file: Option<PathBuf>,
    /// Whether the URL may be http:// beyond loopback. Whoever is on the way can read the alerts then
    #[arg(
        id = "alert-webhook-allow-plaintext",
        long,
        env = "CHAPERONE_ALERT_WEBHOOK_ALLOW_PLAINTEXT",
        value_name = "BOOL",
        default_value = "false",
        action = clap::ArgAction::Set
    )]
    pub webhook_allow_plaintext: bool,
    /// Alerts that wait for the receiver at most; more are only in traces and logs, and counted
    #[arg(
        id = "alert-webhook-queue-size",
        long,
        env = "CHAPERONE_ALERT_WEBHOOK_QUEUE_SIZE",
        value_name = "ALERTS",
        default_value = "10000",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000)
    )]
    pub webhook_queue_size: usize,
}

/// Where alerts are posted. What follows the host may hold a secret, which neither `Debug` nor `Display` shows.
#[derive(Clone, Eq, PartialEq)]
pub struct WebhookUrl(String);

impl From<String> for WebhookUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.0.parse::<http::Uri>().unwrap_or_default();
        let (Some(scheme), Some(host)) = (uri.scheme(), uri.host()) else { return f.write_str("***") };
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        let rest = if uri.path() == "/" && uri.query().is_none() { "" } else { "***" };
        write!(f, "{scheme}://{host}{port}/{rest}")
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({self})")
    }
}

/// What becomes of a session that is presented from elsewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum OnTokenReuse {
    /// Nothing: it is the thief that is denied.
    Deny,
    /// It ends.
    RevokeSession,
    /// It ends, and so does every session of its tree.
    RevokeTree,
}

/// How grave an alert is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum AlertSeverity {
    /// For the record.
    Low,
    /// To be looked at.
    Medium,
    /// To be looked at soon.
    High,
    /// To wake somebody.
    Critical,
}

impl From<AlertSeverity> for Severity {
    fn from(severity: AlertSeverity) -> Self {
        match severity {
            AlertSeverity::Low => Self::Low,
            AlertSeverity::Medium => Self::Medium,
            AlertSeverity::High => Self::High,
            AlertSeverity::Critical => Self::Critical,
        }
    }
}

impl AlertsConfig {
    /// The webhook, where one is configured. Reads the files that it needs.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn webhook(&self) -> Result<Option<WebhookOptions>, OptionProblem> {
        let wrong = |option, message: String| OptionProblem { option, message };
        let Some(url) = &self.webhook_url else {
            let without_url = [
                ("alert-webhook-secret-file", self.webhook_secret_file.is_some()),
                ("alert-webhook-ca-file", self.webhook_ca_file.is_some()),
            ];
            return match without_url.into_iter().find(|(_, is_set)| *is_set) {
                Some((option, _)) => Err(wrong(option, "it has no meaning without --alert-webhook-url".to_owned())),
                None => Ok(None),
            };
        };
        let Some(path) = &self.webhook_secret_file else {
            let message = "alerts are always signed: say with what, by this option".to_owned();
            return Err(wrong("alert-webhook-secret-file", message));
        };
        let secret =
            WebhookSecret::load(path).map_err(|error| wrong("alert-webhook-secret-file", error.to_string()))?;
        let target = WebhookTarget::new(&url.0, self.webhook_ca_file.as_deref(), self.webhook_allow_plaintext);
        let target = target.map_err(|error| match error {
            TargetError::Authorities(error) => wrong("alert-webhook-ca-file", error.to_string()),
            error => wrong("alert-webhook-url", error.to_string()),
        })?;
        let min_severity = self.webhook_min_severity.into();
        Ok(Some(WebhookOptions { target, secret, min_severity, queue_size: self.webhook_queue_size }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_a_webhook_is_not_shown() {
        for (url, shown) in [
            ("https://alerts.example.org/s3cret?t=s3cret", "https://alerts.example.org/***"),
            ("http://localhost:8080", "http://localhost:8080/"),
            ("https://me:s3cret@alerts.example.org/", "https://alerts.example.org/"),
            ("s3cret", "***"),
        ] {
            let url = WebhookUrl::from(url.to_owned());
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), format!("WebhookUrl({shown})")));
        }
    }
}
