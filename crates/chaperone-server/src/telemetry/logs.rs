//! Logs on standard error.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{LogConfig, LogFormat};

/// Why logs cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error("the log filter does not parse")]
    Filter(#[from] ParseError),
    /// Something else in this process writes the logs.
    #[error("the process has logs already")]
    Twice(#[from] TryInitError),
}

/// Starts the logs of this process: text on a terminal and JSON elsewhere, unless the format says which.
///
/// # Errors
/// See [`LogError`].
pub fn init(config: &LogConfig) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let is_terminal = stderr().is_terminal();
    let logs = fmt().with_env_filter(filter).with_writer(stderr);
    if is_json(config.format, is_terminal) {
        logs.json().flatten_event(true).finish().try_init()?;
    } else if is_terminal {
        // In colours, unless NO_COLOR is set, which this library reads by itself.
        logs.finish().try_init()?;
    } else {
        logs.with_ansi(false).finish().try_init()?;
    }
    Ok(())
}

fn is_json(format: LogFormat, is_terminal: bool) -> bool {
    match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !is_terminal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_text_for_people_and_json_for_machines() {
        assert!(!is_json(LogFormat::Auto, true));
        assert!(is_json(LogFormat::Auto, false));
        assert!(is_json(LogFormat::Json, true));
        assert!(!is_json(LogFormat::Text, false));
    }
}
