//! The journal: a chain in segments in a directory, written by one thread.

mod blocks;
mod cursor;
mod disk;
mod frame;
mod live;
mod room;
mod scan;
mod segments;
mod source;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chaperone_policy::Timestamp;

pub use self::cursor::Cursor;
pub(crate) use self::disk::{Disk, SystemDisk};
#[cfg(test)]
pub(crate) use self::disk::{DiskFile, RoomFile};
use self::frame::HEADER_BYTES;
pub(crate) use self::frame::Header;
#[cfg(test)]
pub(crate) use self::frame::{Footer, TimeRange, prefix as frame_prefix};
use self::live::Live;
use self::room::{Room, RoomMaker};
#[cfg(test)]
pub(crate) use self::scan::{Scan, scan};
pub use self::segments::Segments;
use self::segments::{io_error, look};
pub use self::source::JournalSource;
#[cfg(test)]
pub(crate) use self::source::needles_are_in;
use crate::chain::Head;
use crate::error::TrailError;
use crate::options::JournalOptions;
use crate::record::ChainId;
use crate::space::Space;

/// A journal that is written.
pub(crate) struct Journal {
    directory: PathBuf,
    disk: Arc<dyn Disk>,
    space: Arc<Space>,
    segments: Segments,
    segment_bytes_max: u64,
    room_maker: RoomMaker,
    /// For the next segment; nothing as long as this one does not grow.
    room: Option<Room>,
    /// The last record that is durable.
    durable: Head,
    live: Live,
    /// Keeps other processes out as long as it is open.
    _lock: File,
}

/// How long it took to make a batch durable.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    pub write: Duration,
    pub sync: Duration,
}

impl Journal {
    /// Opens the journal, or makes it, and repairs what a crash left. Tells how many bytes were cut off.
    pub fn open(
        options: &JournalOptions,
        disk: Arc<dyn Disk>,
        space: Arc<Space>,
        new_chain: ChainId,
    ) -> Result<(Self, u64), TrailError> {
        let directory = &options.directory;
        make_directory(directory, &*disk)?;
        let lock = lock(directory)?;
        let room_maker = RoomMaker {
            disk: Arc::clone(&disk),
            space: Arc::clone(&space),
            segment_bytes_max: options.segment_bytes_max,
        };
        room_maker.clear(directory).map_err(|source| io_error("clear", directory, source))?;
        let mut found = look(directory)?;
        let (torn, room) = found.live.map_or((0, 0), |scan| (scan.torn, scan.room));
        let chain = found.segments.first().map_or(new_chain, |segment| segment.header.chain);
        let durable = match (&found.live, &found.sealed, found.segments.last()) {
            (Some(scan), ..) => scan.head,
            (None, Some(footer), Some(segment)) => Head { seq: segment.last(), digest: footer.digest },
            _ => Head::default(),
        };
        // What was read may have been written, or named, without being durable.
        disk.sync_directory(directory).map_err(|source| io_error("sync", directory, source))?;
        let live = match found.segments.last() {
            Some(segment) if !segment.sealed => Live::resume(&*disk, segment.clone(), durable, torn + room)?,
            last => {
                if let Some(segment) = last {
                    Live::resume(&*disk, segment.clone(), durable, 0)?;
                }
                let live = Live::create(&*disk, directory, Header { chain, before: durable }, None)?;
                found.segments.push(live.segment.clone());
                live
            }
        };
        space.add(found.segments.iter().map(|segment| segment.length).sum());
        let segments = Segments::new(chain, directory, Arc::clone(&disk), Arc::clone(&space), found.segments);
        let journal = Self {
            directory: directory.clone(),
            disk,
            space,
            segments,
            segment_bytes_max: options.segment_bytes_max,
            room_maker,
            room: None,
            durable,
            live,
            _lock: lock,
        };
        Ok((journal, torn))
    }

    pub fn chain(&self) -> ChainId {
        self.segments.chain()
    }

    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    /// The last record that is durable.
    pub fn head(&self) -> Head {
        self.durable
    }

    /// Puts a record behind the others of the batch. Where the segment is full, it is ended, which takes the disk's time.
    pub fn push(&mut self, record: &[u8], head: Head, at: Timestamp, took: &mut Took) -> Result<(), TrailError> {
        let is_full = self.live.length_with(record) > self.segment_bytes_max;
        // Where there is room already, it is better to write there.
        let is_overtaken = !self.live.has_room && self.room.as_ref().is_some_and(Room::is_ready);
        if (is_full || is_overtaken) && self.live.next.count > 0 {
            self.commit(took)?;
            self.end()?;
            self.begin()?;
        }
        self.live.push(record, head, at);
        Ok(())
    }

    /// Makes the batch durable.
    pub fn commit(&mut self, took: &mut Took) -> Result<(), TrailError> {
        let live = &mut self.live;
        if live.is_durable() {
            return Ok(());
        }
        let begin = Instant::now();
        live.file.write().map_err(|source| io_error("write", &live.segment.path, source))?;
        let written = Instant::now();
        live.file.sync().map_err(|source| io_error("sync", &live.segment.path, source))?;
        took.write += written.duration_since(begin);
        took.sync += written.elapsed();
        self.settle();
        self.prepare();
        Ok(())
    }

    /// Makes room for the next segment, where this one grows. Without room it is written all the same.
    fn prepare(&mut self) {
        let segment = &self.live.segment;
        if self.room.is_none() && self.room_maker.wants(segment.length) {
            self.room = self.room_maker.make(&segment.path).ok();
        }
        if let Some(room) = &mut self.room {
            room.follow(segment.length);
        }
    }

    /// Ends the segment. Everything in it is durable.
    fn end(&mut self) -> Result<(), TrailError> {
        let live = &mut self.live;
        if live.segment.sealed {
            return Ok(());
        }
        live.seal(self.durable.digest).map_err(|source| io_error("end", &live.segment.path, source))?;
        self.settle();
        Ok(())
    }

    /// Begins a segment after the last record that is durable.
    fn begin(&mut self) -> Result<(), TrailError> {
        let header = Header { chain: self.chain(), before: self.durable };
        // Room that is not ready yet is for the segment after this one.
        let room = self.room.take_if(|room| room.is_settled()).and_then(Room::into_file);
        self.live = Live::create(&*self.disk, &self.directory, header, room.as_deref())?;
        self.space.add(HEADER_BYTES as u64);
        self.segments.put(self.live.segment.clone());
        Ok(())
    }

    /// What was written is durable.
    fn settle(&mut self) {
        let live = &mut self.live;
        self.space.add(live.next.length - live.segment.length);
        self.durable = live.head;
        live.segment.clone_from(&live.next);
        self.segments.put(live.segment.clone());
    }

    /// Goes on after a write or sync that failed.
    ///
    /// What the system says of a file after a failed sync is not worth much: it may hold pages for clean that never reached the disk. So
    /// nothing more is written behind them. The segment is cut off after what was durable before, read again, and ended; a new one
    /// begins. Tells the last record that is durable.
    pub fn recover(&mut self) -> Result<Head, TrailError> {
        self.live.next.clone_from(&self.live.segment);
        self.live.head = self.durable;
        if !self.live.segment.sealed {
            self.live.restore(&*self.disk, self.durable)?;
            if self.live.segment.count == 0 {
                // Nothing to end: it is made again.
                self.live = Live::create(&*self.disk, &self.directory, self.live.segment.header, None)?;
                return Ok(self.durable);
            }
            self.end()?;
        }
        self.begin()?;
        Ok(self.durable)
    }

    /// Ends the journal in order.
    pub fn close(&mut self) -> Result<(), TrailError> {
        if self.live.segment.count > 0 { self.end() } else { Ok(()) }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            // What is left of it is removed when the journal is opened again.
            let _ = room.give_up(&*self.disk);
        }
    }
}

fn make_directory(directory: &Path, disk: &dyn Disk) -> Result<(), TrailError> {
    let failed = |source| io_error("make", directory, source);
    if directory.try_exists().map_err(failed)? {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    match directory.parent() {
        Some(parent) if parent != Path::new("") => disk.sync_directory(parent).map_err(failed),
        _ => Ok(()),
    }
}

/// Keeps other processes out of the directory.
fn lock(directory: &Path) -> Result<File, TrailError> {
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|source| io_error("open", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TrailError::Locked { path: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error("lock", &path, source)),
    }
}
