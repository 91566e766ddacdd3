//! A file system that fails. It does not wait for the disk: it knows what would be durable.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::journal::{Disk, DiskFile, SystemDisk};

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
    /// What is durable of each file, in bytes.
    durable: HashMap<PathBuf, u64>,
}

struct FaultyFile {
    disk: FaultyDisk,
    file: Box<dyn DiskFile>,
    path: PathBuf,
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
    pub fn durable(&self) -> HashMap<PathBuf, u64> {
        self.0.lock().unwrap().durable.clone()
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

    fn file(&self, file: io::Result<Box<dyn DiskFile>>, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FaultyFile { disk: self.clone(), file: file?, path: path.into() }))
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step()?;
        self.0.lock().unwrap().durable.insert(path.into(), 0);
        self.file(SystemDisk.create(path), path)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step()?;
        self.file(SystemDisk.append(path), path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        SystemDisk.rename(from, to)?;
        let mut faults = self.0.lock().unwrap();
        let durable = faults.durable.remove(from).unwrap_or(0);
        faults.durable.insert(to.into(), durable);
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
}

impl FaultyFile {
    /// The name that the file has by now.
    fn name(&self) -> PathBuf {
        if self.path.exists() { self.path.clone() } else { self.path.with_extension("trail") }
    }
}

impl DiskFile for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.disk.step() {
            let was_on = self.disk.power_failed() && error.to_string() == "the power fails";
            if was_on {
                self.file.write(&bytes[..bytes.len() / 2])?;
            }
            return Err(error);
        }
        let room = self.disk.0.lock().unwrap().room;
        let fits = room.map_or(bytes.len(), |room| bytes.len().min(usize::try_from(room).unwrap()));
        self.file.write(&bytes[..fits])?;
        if let Some(room) = &mut self.disk.0.lock().unwrap().room {
            *room -= fits as u64;
        }
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.step()?;
        if self.disk.0.lock().unwrap().syncs_fail {
            return Err(io::Error::other("the disk does not answer"));
        }
        let name = self.name();
        let length = name.metadata()?.len();
        self.disk.0.lock().unwrap().durable.insert(name, length);
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.disk.step()?;
        let before = self.name().metadata()?.len();
        self.file.truncate(length)?;
        if let Some(room) = &mut self.disk.0.lock().unwrap().room {
            *room += before - length;
        }
        Ok(())
    }
}
