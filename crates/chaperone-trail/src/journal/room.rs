//! Room for the next segment: a file whose blocks are there before anything is written into them.
//!
//! To make durable what grows a file, a file system writes its own books as well, which takes longer than the data does. Zeros that are
//! overwritten change nothing in them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use super::disk::{BLOCK_BYTES, Disk};
use crate::scheduling;
use crate::space::Space;

/// The ending of the name of such a file.
const ENDING: &str = "room";
/// Room is made for who writes this much: others would keep it for nothing.
const BUSY_BYTES: u64 = 1 << 20;
/// How much is written at once. The writer's own syncs wait behind it.
const STEP_BYTES: usize = 512 << 10;
/// How much is made durable at once: little enough that nobody waits long behind it where it is kept in memory until then.
const SYNC_BYTES: u64 = 8 << 20;
/// So many times the room must be left on the disk: what is made ahead must never be what fills it.
const AVAILABLE_FACTOR: u64 = 4;

/// What is written. They are never written themselves, and so take no memory.
static ZEROS: Zeros = Zeros([0; STEP_BYTES]);

/// Begins at a block.
#[repr(align(4096))]
struct Zeros([u8; STEP_BYTES]);

const _: () = assert!(align_of::<Zeros>() == BLOCK_BYTES, "whole blocks, from where one begins");

/// Room that is made, or stands ready.
pub(super) struct Room {
    path: PathBuf,
    /// How much is to be there by now, in bytes, as its maker was told.
    aim: u64,
    state: Arc<State>,
    maker: JoinHandle<()>,
}

/// What a journal and the maker of its room tell each other.
#[derive(Debug, Default)]
struct State {
    /// It is not wanted any more.
    is_given_up: AtomicBool,
    /// It is there, durably.
    is_ready: AtomicBool,
    /// How much of it is to be there by now, in bytes.
    aim: AtomicU64,
}

/// Makes room, as many bytes as a segment has at most, in whole blocks.
#[derive(Clone, Debug)]
pub(super) struct RoomMaker {
    pub disk: Arc<dyn Disk>,
    pub space: Arc<Space>,
    pub segment_bytes_max: u64,
}

impl RoomMaker {
    /// Removes what a crash left.
    pub fn clear(&self, directory: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                self.disk.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Whether room is worth making behind a segment of `length` bytes, and the quota leaves it: for this segment's file and one more.
    pub fn wants(&self, length: u64) -> bool {
        length >= BUSY_BYTES.min(self.segment_bytes_max / 4) && self.space.has(self.bytes().saturating_mul(2))
    }

    fn bytes(&self) -> u64 {
        self.segment_bytes_max.next_multiple_of(BLOCK_BYTES as u64)
    }

    /// Makes room behind `segment`, on a thread of its own.
    pub fn make(&self, segment: &Path) -> io::Result<Room> {
        let (path, state) = (segment.with_extension(ENDING), Arc::<State>::default());
        let (disk, bytes) = (Arc::clone(&self.disk), self.bytes());
        let (target, told) = (path.clone(), Arc::clone(&state));
        let maker = Builder::new().name("trail-room".to_owned()).spawn(move || {
            scheduling::let_others_finish();
            match fill(&*disk, &target, bytes, &told) {
                Ok(()) => told.is_ready.store(true, Ordering::Release),
                // Nothing stands in it. What cannot be removed now is removed when the journal is opened.
                Err(_) => drop(disk.remove(&target)),
            }
        })?;
        Ok(Room { path, aim: 0, state, maker })
    }
}

impl Room {
    /// Keeps pace with a segment of `length` bytes, and ahead of it: the disk's time belongs to the writer, which a room that is made all at
    /// once would keep waiting.
    pub fn follow(&mut self, length: u64) {
        let aim = length.saturating_add(length / 2);
        if aim >= self.aim {
            self.aim = aim.saturating_add(STEP_BYTES as u64);
            self.state.aim.store(self.aim, Ordering::Release);
            self.maker.thread().unpark();
        }
    }

    /// Whether it can be written into.
    pub fn is_ready(&self) -> bool {
        self.state.is_ready.load(Ordering::Acquire)
    }

    /// Whether its maker is done, whatever came of it.
    pub fn is_settled(&self) -> bool {
        self.maker.is_finished()
    }

    /// The file; nothing where it is not ready.
    pub fn into_file(self) -> Option<PathBuf> {
        self.is_ready().then_some(self.path)
    }

    /// Waits for its maker, and removes what it made.
    pub fn give_up(self, disk: &dyn Disk) -> io::Result<()> {
        self.state.is_given_up.store(true, Ordering::Release);
        self.maker.thread().unpark();
        // A maker that panicked made nothing.
        let _ = self.maker.join();
        if self.state.is_ready.load(Ordering::Acquire) { disk.remove(&self.path) } else { Ok(()) }
    }
}

fn fill(disk: &dyn Disk, path: &Path, bytes: u64, state: &State) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    if disk.available(directory)? < bytes.saturating_mul(AVAILABLE_FACTOR) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let mut file = disk.create_room(path)?;
    let (mut made, mut durable) = (0, 0);
    while made < bytes {
        if state.is_given_up.load(Ordering::Acquire) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if made >= state.aim.load(Ordering::Acquire) {
            // Until there is more to aim at, or it is given up; and at times for nothing.
            std::thread::park();
            continue;
        }
        // A block by itself first: where the disk takes no less than more of them, this is no place for records.
        let step_max = if made == 0 { BLOCK_BYTES } else { STEP_BYTES };
        let step = usize::try_from(bytes - made).map_or(step_max, |left| left.min(step_max));
        file.write(ZEROS.0.get(..step).unwrap_or_default())?;
        made += step as u64;
        if made - durable >= SYNC_BYTES || made == bytes {
            file.sync()?;
            durable = made;
        }
    }
    Ok(())
}
