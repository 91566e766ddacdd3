//! The admin token and its file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How short a token may be, in characters.
pub const TOKEN_CHARS_MIN: usize = 16;
/// How large a token's file may be, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// Why a token's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("cannot read `{}`: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It does not hold one token.
    #[error("`{}` must hold one token of at least {TOKEN_CHARS_MIN} visible ASCII characters", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
}

/// A token by its hash, which follows its file. While the file holds none, no token is valid: removing it withdraws the token.
pub struct TokenFile {
    path: PathBuf,
    hash: ArcSwapOption<[u8; 32]>,
    /// Whether the last look failed, so that it is told once.
    failed: Mutex<bool>,
}

impl TokenFile {
    /// Reads a token's file.
    ///
    /// # Errors
    /// See [`TokenFileError`].
    pub fn load(path: &Path) -> Result<Self, TokenFileError> {
        let hash = read(path)?;
        Ok(Self { path: path.to_owned(), hash: ArcSwapOption::from_pointee(hash), failed: Mutex::new(false) })
    }

    /// Whether `text` is the token. Takes the same time whatever the text is.
    pub fn is(&self, text: &[u8]) -> bool {
        let presented: [u8; 32] = Sha256::digest(text).into();
        self.hash.load().as_deref().is_some_and(|hash| presented.ct_eq(hash).into())
    }

    /// Looks at the file. Blocks on the file system.
    ///
    /// # Errors
    /// See [`TokenFileError`]; no token is valid then. `None` when that was told before.
    pub fn reload(&self) -> Result<(), Option<TokenFileError>> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&self.path) {
            Ok(hash) => {
                *failed = false;
                self.hash.store(Some(Arc::new(hash)));
                Ok(())
            }
            Err(error) => {
                self.hash.store(None);
                Err((!std::mem::replace(&mut *failed, true)).then_some(error))
            }
        }
    }

    /// Looks at the file every `interval`, until dropped.
    pub async fn watch(&self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // A file of one line: not worth a thread.
            if let Err(Some(error)) = self.reload() {
                tracing::error!(%error, "no admin token is valid until its file is");
            }
        }
    }
}

impl std::fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenFile").field("path", &self.path).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<[u8; 32], TokenFileError> {
    let read_error = |error| TokenFileError::Read { path: path.to_owned(), error };
    let wrong = || TokenFileError::Content { path: path.to_owned() };
    if std::fs::metadata(path).map_err(read_error)?.len() > FILE_BYTES_MAX {
        return Err(wrong());
    }
    let text = std::fs::read(path).map_err(read_error)?;
    let token = text.trim_ascii();
    if token.len() < TOKEN_CHARS_MIN || !token.iter().all(u8::is_ascii_graphic) {
        return Err(wrong());
    }
    Ok(Sha256::digest(token).into())
}
