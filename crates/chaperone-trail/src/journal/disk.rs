//! What the journal asks of a file system. Tests put one in its place that fails.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use super::blocks::BlockFile;

/// What file systems read and write at once, in bytes: their blocks are as long as this, or a part of it.
pub(crate) const BLOCK_BYTES: usize = 4096;

/// A file system.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Makes a file, for its owner alone, in the place of one that is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// As [`create`](Self::create), past the system's memory of files where that can be: what is written is not going to be read soon. Each
    /// write is of whole blocks, from memory that begins at one.
    fn create_uncached(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that is there, to write from `offset` on. What is behind that in it is zeros, or is cut off before anything is written.
    fn open(&self, path: &Path, offset: u64) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that is there and has zeros in it, to write from its beginning, past the system's memory of files where that can be.
    fn open_uncached(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes durable which files there are.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// How much room is left where a file is, in bytes.
    fn available(&self, path: &Path) -> io::Result<u64>;
}

/// A file that is written.
pub(crate) trait DiskFile: Send {
    /// Writes behind what was written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes durable what was written.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts it off.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// The operating system's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SystemFile::create(path, OFlags::empty())?))
    }

    fn create_uncached(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = match SystemFile::create(path, OFlags::DIRECT) {
            // Not every file system can.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => SystemFile::create(path, OFlags::empty())?,
            created => created?,
        };
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path, offset: u64) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Box::new(SystemFile { file, offset, length }))
    }

    fn open_uncached(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let flags = OFlags::DIRECT.bits().cast_signed();
        match OpenOptions::new().write(true).custom_flags(flags).open(path) {
            // Not every file system can.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.open(path, 0),
            opened => Ok(Box::new(BlockFile::new(opened?))),
        }
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

/// A file, and where it is written next.
struct SystemFile {
    file: File,
    offset: u64,
    /// How long it was when it was opened or cut off. What is not written up to there is zeros.
    length: u64,
}

impl SystemFile {
    fn create(path: &Path, flags: OFlags) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let flags = flags.bits().cast_signed();
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(path)?;
        Ok(Self { file, offset: 0, length: 0 })
    }

    /// Zeros up to the end of the last block that is written: the system would else read the rest of that block before it writes there.
    fn padding(&self, bytes: usize) -> &'static [u8] {
        static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
        let end = self.offset.saturating_add(bytes as u64);
        let padded = end.next_multiple_of(BLOCK_BYTES as u64).min(self.length);
        usize::try_from(padded.saturating_sub(end)).ok().and_then(|rest| ZEROS.get(..rest)).unwrap_or_default()
    }
}

impl DiskFile for SystemFile {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let slices = [IoSlice::new(bytes), IoSlice::new(self.padding(bytes.len()))];
            let written = match rustix::io::pwritev(&self.file, &slices, self.offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written.min(bytes.len()),
                Err(rustix::io::Errno::INTR) => 0,
                Err(error) => return Err(error.into()),
            };
            self.offset += written as u64;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.length = length;
        Ok(())
    }
}
