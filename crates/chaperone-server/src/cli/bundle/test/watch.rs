//! Noticing that a folder changed.
//!
//! By looking at names, sizes and times of modification: that works alike on network shares, in containers and with editors that replace
//! files, where notifications of the system do not; and a bundle has so few files that a look costs nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(300);
/// How many names are looked at, and how deep.
const NAMES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 16;

/// A folder, and how it looked last.
#[derive(Debug)]
pub struct Watched {
    folder: PathBuf,
    every: Duration,
    last: Look,
}

/// Sizes and times by path.
type Look = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

impl Watched {
    /// As it looks now.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), every: EVERY, last: look(folder) }
    }

    /// Waits until it looks otherwise, and then until it stays as it is: what is being written is not read halfway.
    pub async fn changed(&mut self) {
        let before = std::mem::take(&mut self.last);
        let mut now = before.clone();
        loop {
            let last = std::mem::replace(&mut now, look(&self.folder));
            if now != before && now == last {
                break;
            }
            tokio::time::sleep(self.every).await;
        }
        self.last = now;
    }
}

fn look(folder: &Path) -> Look {
    let mut look = Look::new();
    note(folder, 0, &mut look);
    look
}

/// What cannot be read is told by whoever reads it.
fn note(folder: &Path, depth: usize, look: &mut Look) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // Through links, as the bundle is read.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if look.len() >= NAMES_MAX {
            return;
        }
        if metadata.is_dir() {
            if depth < DEPTH_MAX && !entry.file_name().as_encoded_bytes().starts_with(b".") {
                note(&path, depth + 1, look);
            }
            continue;
        }
        look.insert(path, (metadata.len(), metadata.modified().ok()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn change_of_content_and_name_is_noticed_once() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("tests")).expect("made");
        let file = folder.path().join("tests/a.yaml");
        fs::write(&file, "a").expect("written");
        let every = Duration::from_millis(1);
        let mut watched = Watched { every, ..Watched::new(folder.path()) };
        fs::write(&file, "ab").expect("written");
        watched.changed().await;
        assert!(tokio::time::timeout(every * 50, watched.changed()).await.is_err(), "nothing changed since");
        let mut watched = Watched { every, ..Watched::new(folder.path()) };
        fs::rename(&file, folder.path().join("tests/b.yaml")).expect("renamed");
        watched.changed().await;
    }
}
