//! The segments of a journal: which there are, and which may go.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chaperone_policy::Timestamp;

use crate::digest::Digest;
use crate::error::TrailError;
use crate::record::ChainId;
use crate::source::ChainExtent;
use crate::space::Space;

use super::cursor::Cursor;
use super::disk::{Disk, SystemDisk};
use super::frame::{FOOTER_BYTES, Footer, HEADER_BYTES, Header, TimeRange};
use super::scan::{self, Scan};

/// The segments of a journal, to read and to remove. Clones are the same segments.
#[derive(Clone, Debug)]
pub struct Segments {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    chain: ChainId,
    directory: PathBuf,
    disk: Arc<dyn Disk>,
    space: Arc<Space>,
    /// In the order of their places; the last one may grow.
    segments: Mutex<Vec<Segment>>,
    /// One removes at a time, without keeping readers and the writer waiting for the disk.
    removing: Mutex<()>,
}

/// One segment, as far as it is durable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Segment {
    pub path: PathBuf,
    pub header: Header,
    pub count: u64,
    pub range: TimeRange,
    /// In bytes.
    pub length: u64,
    pub sealed: bool,
}

impl Segment {
    pub fn first(&self) -> u64 {
        self.header.before.seq + 1
    }

    /// Its last place; the one before its first when it is empty.
    pub fn last(&self) -> u64 {
        self.header.before.seq + self.count
    }

    pub fn new(path: PathBuf, header: Header) -> Self {
        Self { path, header, count: 0, range: TimeRange::EMPTY, length: HEADER_BYTES as u64, sealed: false }
    }

    fn scanned(path: PathBuf, scan: &Scan) -> Self {
        Self {
            path,
            header: scan.header,
            count: scan.count,
            range: scan.range,
            length: scan.length,
            sealed: scan.sealed,
        }
    }
}

/// What stands in a directory.
#[derive(Debug)]
pub(crate) struct Found {
    pub segments: Vec<Segment>,
    /// The last segment, where it has no footer.
    pub live: Option<Scan>,
    /// The digest of the last record of the last segment, where it has its footer.
    pub sealed: Option<Footer>,
}

/// The ending of a segment's name.
const ENDING: &str = "trail";

/// The name of the segment that begins at `first`.
pub(crate) fn file_name(first: u64) -> String {
    format!("{first:020}.{ENDING}")
}

/// Looks at every header and footer, and reads the last segment if it has no footer.
pub(crate) fn look(directory: &Path) -> Result<Found, TrailError> {
    let mut paths = Vec::new();
    let entries = std::fs::read_dir(directory).map_err(|source| io_error("read", directory, source))?;
    for entry in entries {
        let path = entry.map_err(|source| io_error("read", directory, source))?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut found = Found { segments: Vec::with_capacity(paths.len()), live: None, sealed: None };
    let count = paths.len();
    // Of the last record of the segment before.
    let mut digest = None;
    for (path, place) in paths.into_iter().zip(1..) {
        let (header, footer, length) = ends(&path)?;
        let last = place == count;
        let segment = match footer {
            Some(footer) => {
                found.sealed = last.then_some(footer);
                Segment { path, header, count: footer.count, range: footer.range, length, sealed: true }
            }
            None if last => {
                let bytes = std::fs::read(&path).map_err(|source| io_error("read", &path, source))?;
                let scan = scan::scan(&bytes).map_err(|damage| damaged(&path, damage.offset, damage.problem))?;
                found.live = Some(scan);
                Segment::scanned(path, &scan)
            }
            None => return Err(damaged(&path, length, "the footer is missing")),
        };
        if segment.path.file_name().is_none_or(|name| name != file_name(segment.first()).as_str()) {
            return Err(damaged(&segment.path, 0, "the name is of another segment"));
        }
        if let (Some(before), Some(digest)) = (found.segments.last(), digest) {
            follows(before, digest, &segment)?;
        }
        digest = footer.map(|footer| footer.digest);
        found.segments.push(segment);
    }
    Ok(found)
}

/// Whether `segment` goes on where `before` ends, with a record of this digest.
fn follows(before: &Segment, digest: Digest, segment: &Segment) -> Result<(), TrailError> {
    if segment.header.chain != before.header.chain {
        return Err(damaged(&segment.path, 0, "the segment is of another chain"));
    }
    if segment.first() != before.last() + 1 {
        return Err(damaged(&segment.path, 0, "the segment before it is missing"));
    }
    if segment.header.before.digest != digest {
        return Err(damaged(&segment.path, 0, "the segment does not follow the one before it"));
    }
    Ok(())
}

/// The header, the footer if there is one, and the length.
fn ends(path: &Path) -> Result<(Header, Option<Footer>, u64), TrailError> {
    let failed = |source| io_error("read", path, source);
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length < HEADER_BYTES as u64 {
        return Err(damaged(path, 0, "the header is cut off"));
    }
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).map_err(failed)?;
    let header = Header::decode(&header).map_err(|problem| damaged(path, 0, problem))?;
    let mut footer = None;
    if length >= (HEADER_BYTES + FOOTER_BYTES) as u64 {
        let mut bytes = [0; FOOTER_BYTES];
        file.seek(SeekFrom::Start(length - FOOTER_BYTES as u64)).map_err(failed)?;
        file.read_exact(&mut bytes).map_err(failed)?;
        footer = Footer::decode(&bytes).ok();
    }
    Ok((header, footer, length))
}

pub(crate) fn io_error(action: &'static str, path: &Path, source: std::io::Error) -> TrailError {
    TrailError::Io { action, path: path.to_owned(), source }
}

pub(crate) fn damaged(path: &Path, offset: u64, problem: &'static str) -> TrailError {
    TrailError::Damaged { path: path.to_owned(), offset, problem }
}

impl Segments {
    /// The segments of a journal that nobody writes just now, to read. Nothing is repaired.
    ///
    /// # Errors
    /// [`TrailError::Io`], [`TrailError::Damaged`]; [`TrailError::Empty`] when there are none.
    pub fn open(directory: &Path) -> Result<Self, TrailError> {
        let found = look(directory)?;
        let chain = found.segments.first().map(|segment| segment.header.chain);
        let chain = chain.ok_or_else(|| TrailError::Empty { path: directory.to_owned() })?;
        let space = Space::unlimited();
        space.add(found.segments.iter().map(|segment| segment.length).sum());
        Ok(Self::new(chain, directory, Arc::new(SystemDisk), Arc::new(space), found.segments))
    }

    pub(crate) fn new(
        chain: ChainId,
        directory: &Path,
        disk: Arc<dyn Disk>,
        space: Arc<Space>,
        segments: Vec<Segment>,
    ) -> Self {
        let directory = directory.to_owned();
        let segments = Mutex::new(segments);
        Self { shared: Arc::new(Shared { chain, directory, disk, space, segments, removing: Mutex::default() }) }
    }

    /// The chain.
    pub fn chain(&self) -> ChainId {
        self.shared.chain
    }

    /// How much of the chain is here and durable; nothing when no record is.
    pub fn extent(&self) -> Option<ChainExtent> {
        let segments = self.all();
        let filled = segments.iter().rfind(|segment| segment.count > 0)?;
        let first = segments.first()?.first();
        Some(ChainExtent { chain: self.chain(), first, last: filled.last(), last_at: filled.range.latest })
    }

    /// Records from `from` on, in their order, as far as they are durable; later ones when it is asked again.
    pub fn unshipped(&self, from: u64) -> Cursor {
        Cursor::new(self.clone(), from)
    }

    /// Removes every segment whose last record is at `seq` or before; never the one that is written. Tells how many.
    ///
    /// # Errors
    /// [`TrailError::Io`]; some may have been removed.
    pub fn remove_through(&self, seq: u64) -> Result<usize, TrailError> {
        self.remove_while(|segment| segment.last() <= seq)
    }

    /// Removes the oldest segments as long as every record in them happened before `before`; never the one that is written. Tells
    /// how many.
    ///
    /// # Errors
    /// As [`remove_through`](Self::remove_through).
    pub fn retain(&self, before: Timestamp) -> Result<usize, TrailError> {
        self.remove_while(|segment| segment.range.latest < before)
    }

    fn remove_while(&self, old: impl Fn(&Segment) -> bool) -> Result<usize, TrailError> {
        let _alone = self.shared.removing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut removed = 0;
        loop {
            let oldest = match self.all().as_slice() {
                // The last one is where the chain goes on, even when it is sealed.
                [oldest, _, ..] if oldest.sealed && old(oldest) => oldest.clone(),
                _ => return Ok(removed),
            };
            let disk = &self.shared.disk;
            match disk.remove(&oldest.path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io_error("remove", &oldest.path, source));
                }
                _ => {}
            }
            // One after the other: after a crash the chain must have no hole.
            disk.sync_directory(&self.shared.directory)
                .map_err(|source| io_error("sync", &self.shared.directory, source))?;
            self.all().remove(0);
            self.shared.space.remove(oldest.length);
            removed += 1;
        }
    }

    /// Changes the last segment, or adds one.
    pub(crate) fn put(&self, segment: Segment) {
        let mut segments = self.all();
        match segments.last_mut() {
            Some(last) if last.first() == segment.first() => *last = segment,
            _ => segments.push(segment),
        }
    }

    /// The segment that has the record at `seq`, or else the first one after.
    pub(crate) fn holding(&self, seq: u64) -> Option<Segment> {
        let segments = self.all();
        let index = segments.partition_point(|segment| segment.last() < seq);
        segments.get(index).filter(|segment| segment.count > 0).cloned()
    }

    pub(crate) fn snapshot(&self) -> Vec<Segment> {
        self.all().clone()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Segment>> {
        self.shared.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
