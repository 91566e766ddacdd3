//! A file that is written past the system's memory of files.
//!
//! What a journal has written is read once at most, by whoever ships it: to keep a copy of it takes memory, and the time to find it page by page.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::disk::{BLOCK_BYTES, DiskFile};

/// How much is written at once, in bytes, at most.
const MEMORY_BYTES: usize = 256 << 10;

/// A file that is written in whole blocks: what is in the last one is written again, with what comes behind it.
pub(super) struct BlockFile {
    file: File,
    /// Where the blocks that are written next begin in it.
    offset: u64,
    /// Those blocks, from one on.
    memory: Vec<u8>,
    begin: usize,
    /// How many bytes are in them, and how many of these are written.
    filled: usize,
    written: usize,
}

impl BlockFile {
    /// From the beginning of a file that has zeros in it.
    pub fn new(file: File) -> Self {
        let memory = vec![0; MEMORY_BYTES + BLOCK_BYTES];
        let begin = memory.as_ptr().align_offset(BLOCK_BYTES);
        Self { file, offset: 0, memory, begin, filled: 0, written: 0 }
    }

    /// The memory of the blocks.
    fn blocks(&mut self) -> &mut [u8] {
        let blocks = self.memory.get_mut(self.begin..).unwrap_or_default();
        blocks.get_mut(..MEMORY_BYTES).unwrap_or_default()
    }
}

impl DiskFile for BlockFile {
    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.filled == MEMORY_BYTES {
                self.write()?;
            }
            let filled = self.filled;
            let free = self.blocks().get_mut(filled..).unwrap_or_default();
            let (now, later) = bytes.split_at(bytes.len().min(free.len()));
            free.get_mut(..now.len()).unwrap_or_default().copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        if self.filled == self.written {
            return Ok(());
        }
        let (filled, end) = (self.filled, self.filled.next_multiple_of(BLOCK_BYTES));
        self.blocks().get_mut(filled..end).unwrap_or_default().fill(0);
        let blocks = self.memory.get(self.begin..self.begin + end).unwrap_or_default();
        self.file.write_all_at(blocks, self.offset)?;
        // What is in a block that is not full is kept.
        self.filled %= BLOCK_BYTES;
        self.written = self.filled;
        let full = filled - self.filled;
        self.blocks().copy_within(full..filled, 0);
        self.offset += full as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::disk::{Disk as _, SystemDisk};
    use super::*;

    #[test]
    fn memory_begins_at_a_block() {
        let mut file = BlockFile::new(tempfile::tempfile().expect("a file"));
        assert_eq!(file.blocks().as_ptr().addr() % BLOCK_BYTES, 0);
        assert_eq!(file.blocks().len(), MEMORY_BYTES);
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let full = File::options().write(true).open("/dev/full").expect("it is there");
        let mut file = BlockFile::new(full);
        file.put(b"bytes").expect("there is memory");
        assert_eq!(file.write().map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn file_has_what_was_written_and_zeros_behind(lengths in prop::collection::vec(0..3 * MEMORY_BYTES / 2, 0..6)) {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("file");
            std::fs::write(&path, [0; 3 * BLOCK_BYTES]).expect("there is room");
            // Past the system's memory of files, where it lets us: then a write that does not begin at a block fails.
            let mut file = SystemDisk.open_room(&path).expect("it is there");
            let mut expected = Vec::new();
            for (length, first) in lengths.into_iter().zip(1..) {
                let bytes: Vec<u8> = (first..=250_u8).cycle().take(length).collect();
                let (one, other) = bytes.split_at(length / 3);
                file.put(one).and_then(|()| file.put(other)).and_then(|()| file.write()).expect("there is room");
                expected.extend(bytes);
                let found = std::fs::read(&path).expect("it is there");
                prop_assert!(found.get(..expected.len()) == Some(&*expected));
                prop_assert!(found.iter().skip(expected.len()).all(|byte| *byte == 0));
            }
        }
    }
}
