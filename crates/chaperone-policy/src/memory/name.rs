//! Names of counters and remembered sets, with how long what they hold is kept.

use std::time::Duration;

use smol_str::SmolStr;

/// The shortest window.
pub const WINDOW_MIN: Duration = Duration::from_secs(1);
/// The longest window.
pub const WINDOW_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// The name of a counter or a set, such as `exports/1h`: kept for an hour; or `exports`: kept for as long as the memory itself.
///
/// Two names of equal text are the same counter. `exports/60m` and `exports/1h` are two.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MemoryName {
    text: SmolStr,
    window: Option<Duration>,
}

/// A name that is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseMemoryNameError {
    /// Not 1 to 64 characters of `A-Z a-z 0-9 _ . -`.
    #[error("a name has 1 to 64 characters, each of `A-Z`, `a-z`, `0-9`, `_`, `.`, `-`")]
    Name,
    /// Not a whole number of `s`, `m`, `h` or `d`, or too long.
    #[error("a window is a whole number of `s`, `m`, `h` or `d`, such as `1h`, of at most 366 days")]
    Window,
}
