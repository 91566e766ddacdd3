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
    /// Behind what was written.
    offset: u64,
    blocks: Blocks,
}

/// The blocks that are written next, in memory that begins at one.
struct Blocks {
    memory: Vec<u8>,
    begin: usize,
    /// How many bytes are in them.
    filled: usize,
}

impl BlockFile {
    /// From the beginning of a file that has zeros in it.
    pub fn new(file: File) -> Self {
        Self { file, offset: 0, blocks: Blocks::new() }
    }
}

impl DiskFile for BlockFile {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let kept = self.blocks.filled;
            let taken = self.blocks.take(bytes);
            let written = self.file.write_all_at(self.blocks.whole(), self.offset - kept as u64);
            if written.is_err() {
                self.blocks.filled = kept;
            }
            written?;
            self.blocks.keep_last();
            self.offset += taken as u64;
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

impl Blocks {
    fn new() -> Self {
        let memory = vec![0; MEMORY_BYTES + BLOCK_BYTES];
        let begin = memory.as_ptr().align_offset(BLOCK_BYTES);
        Self { memory, begin, filled: 0 }
    }

    /// Takes bytes behind those that are there, and zeros up to the end of the last block. Tells how many there was room for.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let room = self.memory.get_mut(self.begin..).unwrap_or_default();
        let room = room.get_mut(self.filled..MEMORY_BYTES).unwrap_or_default();
        let taken = bytes.len().min(room.len());
        let (filled, free) = room.split_at_mut(taken);
        filled.copy_from_slice(bytes.get(..taken).unwrap_or_default());
        self.filled += taken;
        let padding = self.filled.next_multiple_of(BLOCK_BYTES) - self.filled;
        free.get_mut(..padding).unwrap_or_default().fill(0);
        taken
    }

    fn whole(&self) -> &[u8] {
        let end = self.begin + self.filled.next_multiple_of(BLOCK_BYTES);
        self.memory.get(self.begin..end).unwrap_or_default()
    }

    /// Keeps what is in a block that is not full.
    fn keep_last(&mut self) {
        let end = self.begin + self.filled;
        self.filled %= BLOCK_BYTES;
        self.memory.copy_within(end - self.filled..end, self.begin);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::disk::{Disk as _, SystemDisk};
    use super::*;

    #[test]
    fn memory_begins_at_a_block() {
        let blocks = Blocks::new();
        assert_eq!(blocks.memory[blocks.begin..].as_ptr().addr() % BLOCK_BYTES, 0);
    }

    #[test]
    fn what_could_not_be_written_is_not_kept() {
        let full = File::options().write(true).open("/dev/full").expect("it is there");
        let mut file = BlockFile::new(full);
        assert_eq!(file.write(b"bytes").map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
        assert_eq!((file.offset, file.blocks.filled), (0, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn file_has_what_was_written_and_zeros_behind(lengths in prop::collection::vec(0..3 * MEMORY_BYTES / 2, 0..6)) {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("file");
            std::fs::write(&path, [0; 3 * BLOCK_BYTES]).expect("there is room");
            // Past the system's memory of files, where it lets us: then a write that does not begin at a block fails.
            let mut file = SystemDisk.open_uncached(&path).expect("it is there");
            let mut expected = Vec::new();
            for (length, first) in lengths.into_iter().zip(1..) {
                let bytes: Vec<u8> = (first..=250_u8).cycle().take(length).collect();
                file.write(&bytes).expect("there is room");
                expected.extend(bytes);
                let found = std::fs::read(&path).expect("it is there");
                prop_assert!(found.get(..expected.len()) == Some(&*expected));
                prop_assert!(found.iter().skip(expected.len()).all(|byte| *byte == 0));
            }
        }
    }
}
