//! The segment that is written.

use std::path::Path;

use chaperone_policy::Timestamp;

use super::disk::{Disk, DiskFile};
use super::frame::{self, FRAME_BYTES, Footer, Header};
use super::scan::scan;
use super::segments::{Segment, damaged, file_name, io_error};
use crate::chain::Head;
use crate::digest::Digest;
use crate::error::TrailError;

/// The segment that is written.
pub(super) struct Live {
    pub file: Box<dyn DiskFile>,
    /// As it is durable.
    pub segment: Segment,
    /// As it will be.
    pub next: Segment,
    /// The last record that was put there, durable or not.
    pub head: Head,
    /// Whether the file had its length before anything was written.
    pub has_room: bool,
}

impl Live {
    fn new(file: Box<dyn DiskFile>, segment: Segment, head: Head) -> Self {
        Self { file, next: segment.clone(), segment, head, has_room: false }
    }

    /// Makes a segment, in `room` where there is some. It has its name only when its header is durable.
    pub fn create(disk: &dyn Disk, directory: &Path, header: Header, room: Option<&Path>) -> Result<Self, TrailError> {
        let path = directory.join(file_name(header.before.seq + 1));
        let draft = path.with_extension("new");
        let make = || {
            let (mut file, draft) = match room {
                Some(room) => (disk.open_room(room)?, room),
                None => (disk.create(&draft)?, &*draft),
            };
            file.put(&header.encode());
            file.write()?;
            file.sync()?;
            disk.rename(draft, &path)?;
            disk.sync_directory(directory)?;
            Ok(file)
        };
        let file = make().map_err(|source| io_error("begin", &path, source))?;
        let live = Self::new(file, Segment::new(path, header), header.before);
        Ok(Self { has_room: room.is_some(), ..live })
    }

    /// Goes on with a segment that is there, as it was read, with `behind` bytes more in its file that do not belong to it.
    pub fn resume(disk: &dyn Disk, segment: Segment, head: Head, behind: u64) -> Result<Self, TrailError> {
        let open = || {
            let mut file = disk.open(&segment.path, segment.length)?;
            if behind > 0 {
                file.truncate(segment.length)?;
            }
            file.sync()?;
            Ok(file)
        };
        let file = open().map_err(|source| io_error("repair", &segment.path, source))?;
        Ok(Self::new(file, segment, head))
    }

    /// Takes back what is not durable, and reads again what is.
    pub fn restore(&mut self, disk: &dyn Disk, durable: Head) -> Result<(), TrailError> {
        let path = &self.segment.path;
        let failed = |source| io_error("repair", path, source);
        let mut file = disk.open(path, self.segment.length).map_err(failed)?;
        file.truncate(self.segment.length).map_err(failed)?;
        file.sync().map_err(failed)?;
        (self.file, self.has_room) = (file, false);
        let bytes = std::fs::read(path).map_err(failed)?;
        let scan = scan(&bytes).map_err(|damage| damaged(path, damage.offset, damage.problem))?;
        if scan.head != durable || scan.torn > 0 || scan.room > 0 {
            return Err(damaged(path, scan.length, "a record that was durable is not there"));
        }
        Ok(())
    }

    /// Writes the footer, and gives back the room that is left.
    pub fn seal(&mut self, digest: Digest) -> std::io::Result<()> {
        let footer = Footer { count: self.segment.count, range: self.segment.range, digest }.encode();
        self.file.put(&footer);
        self.file.write()?;
        self.next.length += footer.len() as u64;
        self.next.sealed = true;
        if self.has_room {
            self.file.truncate(self.next.length)?;
            self.has_room = false;
        }
        self.file.sync()
    }

    /// Puts a record behind the others.
    pub fn push(&mut self, record: &[u8], head: Head, at: Timestamp) {
        // INVARIANT (segment length): `TrailOptions::validate` keeps it far below 4 GiB.
        let durable = u32::try_from(self.segment.length).unwrap_or(u32::MAX);
        self.file.put(&frame::prefix(durable, record));
        self.file.put(record);
        self.next.length = self.length_with(record);
        self.next.count += 1;
        self.next.range.add(at);
        self.head = head;
    }

    /// Whether all of it is durable.
    pub const fn is_durable(&self) -> bool {
        self.next.length == self.segment.length
    }

    /// How long the segment is with one more record.
    pub fn length_with(&self, record: &[u8]) -> u64 {
        self.next.length + (FRAME_BYTES + record.len()) as u64
    }
}
