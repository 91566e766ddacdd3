//! A file system that fails. It does not wait for the disk: it knows what would be durable.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::journal::{Disk, DiskFile, RoomFile, SystemDisk};

/// A file system that fails when it is told to.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk(Arc<Mutex<Faults>>);

#[derive(Debug, Default)]
struct Faults {
    /// Room that is left, in bytes.
    room: Option<u64>,
    /// Whether syncs fail.
    syncs_fail: bool,
    /// Steps until the power fails.
    steps: Option<usize>,
    /// What is durable of each file.
    durable: HashMap<PathBuf, Vec<u8>>,
    /// The names that files have by now.
    names: HashMap<PathBuf, PathBuf>,
}

/// A file, or room.
struct FaultyFile<F: ?Sized> {
    disk: FaultyDisk,
    file: Box<F>,
    path: PathBuf,
    /// Where it is written next.
    offset: u64,
    /// What is written there.
    waiting: Vec<u8>,
}

impl FaultyDisk {
    pub fn set_room(&self, bytes: Option<u64>) {
        self.0.lock().unwrap().room = bytes;
    }

    pub fn set_syncs_fail(&self, fail: bool) {
        self.0.lock().unwrap().syncs_fail = fail;
    }

    /// The power fails after this many steps: a write in the middle, everything else not at all.
    pub fn set_steps(&self, steps: usize) {
        self.0.lock().unwrap().steps = Some(steps);
    }

    pub fn power_failed(&self) -> bool {
        self.0.lock().unwrap().steps == Some(0)
    }

    /// What is durable of each file.
    pub fn durable(&self) -> HashMap<PathBuf, Vec<u8>> {
        self.0.lock().unwrap().durable.clone()
    }

    /// How many segments were written where there was room before.
    pub fn rooms(&self) -> usize {
        let faults = self.0.lock().unwrap();
        faults.names.keys().filter(|name| name.extension().is_some_and(|ending| ending == "room")).count()
    }

    fn step(&self) -> io::Result<()> {
        match &mut self.0.lock().unwrap().steps {
            Some(0) => Err(io::Error::other("no power")),
            Some(steps) => {
                *steps -= 1;
                if *steps == 0 { Err(io::Error::other("the power fails")) } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    fn created<F: ?Sized>(
        &self,
        path: &Path,
        create: impl FnOnce(&Path) -> io::Result<Box<F>>,
    ) -> io::Result<Box<FaultyFile<F>>> {
        self.step()?;
        let mut faults = self.0.lock().unwrap();
        faults.durable.insert(path.into(), Vec::new());
        faults.names.remove(path);
        drop(faults);
        self.file(create(path), path, 0)
    }

    fn file<F: ?Sized>(&self, file: io::Result<Box<F>>, path: &Path, offset: u64) -> io::Result<Box<FaultyFile<F>>> {
        Ok(Box::new(FaultyFile { disk: self.clone(), file: file?, path: path.into(), offset, waiting: Vec::new() }))
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.created(path, |path| SystemDisk.create(path))?)
    }

    fn create_room(&self, path: &Path) -> io::Result<Box<dyn RoomFile>> {
        Ok(self.created(path, |path| SystemDisk.create_room(path))?)
    }

    fn open(&self, path: &Path, offset: u64) -> io::Result<Box<dyn DiskFile>> {
        self.step()?;
        Ok(self.file(SystemDisk.open(path, offset), path, offset)?)
    }

    fn open_room(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step()?;
        Ok(self.file(SystemDisk.open_room(path), path, 0)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        SystemDisk.rename(from, to)?;
        let mut faults = self.0.lock().unwrap();
        let durable = faults.durable.remove(from).unwrap_or_default();
        faults.durable.insert(to.into(), durable);
        faults.names.insert(from.into(), to.into());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        SystemDisk.remove(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        assert!(path.is_dir());
        Ok(())
    }

    fn available(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().room.unwrap_or(u64::MAX))
    }
}

impl<F: ?Sized> FaultyFile<F> {
    /// The name that the file has by now.
    fn name(&self) -> PathBuf {
        self.disk.0.lock().unwrap().names.get(&self.path).unwrap_or(&self.path).clone()
    }

    fn length(&self) -> u64 {
        self.name().metadata().unwrap().len()
    }

    /// Takes what so many bytes need of the room that is left. Tells how many of them fit.
    fn take_room(&self, bytes: usize) -> usize {
        let length = self.length();
        let mut faults = self.disk.0.lock().unwrap();
        let Some(room) = &mut faults.room else { return bytes };
        let fits = bytes.min(usize::try_from((length + *room).saturating_sub(self.offset)).unwrap());
        *room -= (self.offset + fits as u64).saturating_sub(length);
        fits
    }

    /// Writes as many of these bytes as it is to.
    fn write_with(&mut self, bytes: &[u8], write: impl Fn(&mut F, &[u8]) -> io::Result<()>) -> io::Result<()> {
        if let Err(error) = self.disk.step() {
            let was_on = self.disk.power_failed() && error.to_string() == "the power fails";
            if was_on {
                write(&mut self.file, &bytes[..bytes.len() / 2])?;
            }
            return Err(error);
        }
        let fits = self.take_room(bytes.len());
        write(&mut self.file, &bytes[..fits])?;
        self.offset += fits as u64;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn note_sync(&self) -> io::Result<()> {
        self.disk.step()?;
        if self.disk.0.lock().unwrap().syncs_fail {
            return Err(io::Error::other("the disk does not answer"));
        }
        let name = self.name();
        let content = std::fs::read(&name)?;
        self.disk.0.lock().unwrap().durable.insert(name, content);
        Ok(())
    }
}

impl RoomFile for FaultyFile<dyn RoomFile> {
    fn write(&mut self, blocks: &[u8]) -> io::Result<()> {
        self.write_with(blocks, RoomFile::write)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.note_sync()
    }
}

impl DiskFile for FaultyFile<dyn DiskFile> {
    fn put(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    fn write(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.waiting);
        self.write_with(&bytes, |file, bytes| {
            file.put(bytes);
            file.write()
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.note_sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.disk.step()?;
        let before = self.length();
        self.file.truncate(length)?;
        if let Some(room) = &mut self.disk.0.lock().unwrap().room {
            *room += before - length;
        }
        Ok(())
    }
}
