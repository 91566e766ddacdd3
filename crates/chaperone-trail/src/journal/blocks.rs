//! A file that is written past the system's memory of files.
//!
//! What a journal has written is read once at most, by whoever ships it: to keep a copy of it takes memory, and the time to find it page by page.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use super::disk::{BLOCK_BYTES, DiskFile};

/// How much memory there is at first, in bytes.
const MEMORY_BYTES: usize = 256 << 10;

/// A file that is written in whole blocks: what is in the last one is written again, with what comes behind it.
pub(super) struct BlockFile {
    file: File,
    /// Where the blocks that are written next begin in it.
    offset: u64,
    blocks: Blocks,
    /// How many bytes are in them, and how many of these are written.
    filled: usize,
    written: usize,
}

/// Memory that begins at a block.
struct Blocks {
    memory: Vec<u8>,
    begin: usize,
}

impl BlockFile {
    /// From the beginning of a file that has zeros in it.
    pub fn new(file: File) -> Self {
        Self { file, offset: 0, blocks: Blocks::new(MEMORY_BYTES), filled: 0, written: 0 }
    }
}

impl DiskFile for BlockFile {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.filled + bytes.len();
        if end > self.blocks.len() {
            let mut blocks = Blocks::new(2 * end.next_multiple_of(BLOCK_BYTES));
            blocks.range(0..self.filled).copy_from_slice(self.blocks.range(0..self.filled));
            self.blocks = blocks;
        }
        self.blocks.range(self.filled..end).copy_from_slice(bytes);
        self.filled = end;
    }

    fn write(&mut self) -> io::Result<()> {
        if self.filled == self.written {
            return Ok(());
        }
        let end = self.filled.next_multiple_of(BLOCK_BYTES);
        self.blocks.range(self.filled..end).fill(0);
        self.file.write_all_at(self.blocks.range(0..end), self.offset)?;
        // What is in a block that is not full is kept.
        let kept = self.filled % BLOCK_BYTES;
        let full = self.filled - kept;
        self.blocks.memory.copy_within(self.blocks.begin + full..self.blocks.begin + self.filled, self.blocks.begin);
        self.offset += full as u64;
        (self.filled, self.written) = (kept, kept);
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
    /// Of so many bytes, in whole blocks.
    fn new(bytes: usize) -> Self {
        let memory = vec![0; bytes + BLOCK_BYTES];
        let begin = memory.as_ptr().align_offset(BLOCK_BYTES);
        Self { memory, begin }
    }

    const fn len(&self) -> usize {
        self.memory.len() - BLOCK_BYTES
    }

    fn range(&mut self, Range { start, end }: Range<usize>) -> &mut [u8] {
        self.memory.get_mut(self.begin + start..self.begin + end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::disk::{Disk as _, SystemDisk};
    use super::*;

    #[test]
    fn memory_begins_at_a_block() {
        for blocks in 1..9 {
            let mut memory = Blocks::new(blocks * BLOCK_BYTES);
            let all = memory.len();
            assert_eq!(memory.range(0..all).as_ptr().addr() % BLOCK_BYTES, 0);
            assert_eq!(memory.range(0..all).len(), blocks * BLOCK_BYTES);
        }
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let full = File::options().write(true).open("/dev/full").expect("it is there");
        let mut file = BlockFile::new(full);
        file.put(b"bytes");
        assert_eq!(file.write().map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
    }

    /// Any, and whole blocks and memories.
    fn length() -> impl Strategy<Value = usize> {
        let whole = prop::sample::select(vec![BLOCK_BYTES, 2 * BLOCK_BYTES, MEMORY_BYTES, 2 * MEMORY_BYTES]);
        prop_oneof![0..3 * MEMORY_BYTES / 2, 0..BLOCK_BYTES, whole]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn file_has_what_was_written_and_zeros_behind(lengths in prop::collection::vec(length(), 0..6)) {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("file");
            std::fs::write(&path, [0; 3 * BLOCK_BYTES]).expect("there is room");
            // Past the system's memory of files, where it lets us: then a write that does not begin at a block fails.
            let mut file = SystemDisk.open_room(&path).expect("it is there");
            let mut expected = Vec::new();
            for (length, first) in lengths.into_iter().zip(1..) {
                let bytes: Vec<u8> = (first..=250_u8).cycle().take(length).collect();
                let (one, other) = bytes.split_at(length / 3);
                file.put(one);
                file.put(other);
                file.write().expect("there is room");
                expected.extend(bytes);
                let found = std::fs::read(&path).expect("it is there");
                prop_assert!(found.get(..expected.len()) == Some(&*expected));
                prop_assert!(found.iter().skip(expected.len()).all(|byte| *byte == 0));
            }
        }
    }
}
