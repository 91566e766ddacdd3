//! What the journal asks of a file system. Tests put one in its place that fails.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::blocks::BlockFile;

/// What file systems read and write at once, in bytes: their blocks are as long as this, or a part of it.
pub(crate) const BLOCK_BYTES: usize = 4096;

/// A file system.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Makes a file, for its owner alone, in the place of one that is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// As [`create`](Self::create), for room, past the system's memory of files where that can be: nobody reads it soon.
    fn create_room(&self, path: &Path) -> io::Result<Box<dyn RoomFile>>;
    /// Opens a file that is there, to write from `offset` on. What is behind that in it is cut off before anything is written.
    fn open(&self, path: &Path, offset: u64) -> io::Result<Box<dyn DiskFile>>;
    /// Opens room, to write records from its beginning, past the system's memory of files where that can be.
    fn open_room(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes durable which files there are.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// How much room is left where a file is, in bytes.
    fn available(&self, path: &Path) -> io::Result<u64>;
}

/// A file that is written. After an error it is not used any more.
pub(crate) trait DiskFile: Send {
    /// Puts bytes behind what was put before, to be written together.
    fn put(&mut self, bytes: &[u8]);
    /// Writes what was put.
    fn write(&mut self) -> io::Result<()>;
    /// Makes durable what was written.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts it off.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// A file that becomes room: nothing but zeros are written.
pub(crate) trait RoomFile: Send {
    /// Writes whole blocks, from memory that begins at one.
    fn write(&mut self, blocks: &[u8]) -> io::Result<()>;
    /// Makes durable what was written.
    fn sync(&mut self) -> io::Result<()>;
}

/// The operating system's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SystemFile::new(create(path, OFlags::empty())?, 0)))
    }

    fn create_room(&self, path: &Path) -> io::Result<Box<dyn RoomFile>> {
        Ok(Box::new(SystemRoom { file: uncached(|flags| create(path, flags))?, offset: 0 }))
    }

    fn open(&self, path: &Path, offset: u64) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SystemFile::new(opening(OFlags::empty()).open(path)?, offset)))
    }

    fn open_room(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(BlockFile::new(uncached(|flags| opening(flags).open(path))?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn available(&self, path: &Path) -> io::Result<u64> {
        let system = rustix::fs::statvfs(path)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }
}

/// Opens past the system's memory of files. Not every file system can.
fn uncached<T>(open: impl Fn(OFlags) -> io::Result<T>) -> io::Result<T> {
    match open(OFlags::DIRECT) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => open(OFlags::empty()),
        opened => opened,
    }
}

/// To write, with these flags.
fn opening(flags: OFlags) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(flags.bits().cast_signed());
    options
}

/// Makes a file in the place of one that is there.
fn create(path: &Path, flags: OFlags) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    opening(flags).create_new(true).mode(0o600).open(path)
}

/// A file, where it is written next, and what is written there.
struct SystemFile {
    file: File,
    offset: u64,
    waiting: Vec<u8>,
}

impl SystemFile {
    const fn new(file: File, offset: u64) -> Self {
        Self { file, offset, waiting: Vec::new() }
    }
}

impl DiskFile for SystemFile {
    fn put(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.waiting, self.offset)?;
        self.offset += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

/// A file, and how much of it is written.
struct SystemRoom {
    file: File,
    offset: u64,
}

impl RoomFile for SystemRoom {
    fn write(&mut self, blocks: &[u8]) -> io::Result<()> {
        self.file.write_all_at(blocks, self.offset)?;
        self.offset += blocks.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
