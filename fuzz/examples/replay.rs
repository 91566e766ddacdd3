//! Runs inputs again in an ordinary build: `replay TARGET [FILE…]`, without files the whole corpus and the slowest inputs that fuzzing met.
//! Tells the slowest of them, and fails if one takes longer than it may.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chaperone_fuzz::{CPU_MAX, TARGETS};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("usage: replay TARGET [FILE…]")?;
    let target = TARGETS.iter().find(|target| target.name == name).ok_or("there is no such target")?;
    let mut files: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    if files.is_empty() {
        files = files_of(&Path::new("corpus").join(&name), "")?;
        files.extend(files_of(&Path::new("artifacts").join(&name), "slowest-")?);
    }
    let mut slowest = (Duration::ZERO, PathBuf::new(), 0);
    for file in &files {
        let data = std::fs::read(file)?;
        let measure = || target.measure(&data);
        let mut took = measure();
        // Of what takes long, the best of three: the first time may pay for pages and tables.
        if took > slowest.0 {
            took = took.min(measure()).min(measure());
        }
        if took > slowest.0 {
            slowest = (took, file.clone(), data.len());
        }
    }
    let (took, file, bytes) = slowest;
    println!("{name}: {} inputs; the slowest took {took:?} for {bytes} bytes: {}", files.len(), file.display());
    if took > CPU_MAX {
        return Err(format!("that is more than {CPU_MAX:?}").into());
    }
    Ok(())
}

/// The files of a directory here whose names begin so; none if it is not there.
fn files_of(directory: &Path, start: &str) -> std::io::Result<Vec<PathBuf>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let wanted = entries.into_iter().filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
    Ok(wanted.map(|entry| entry.path()).collect())
}
