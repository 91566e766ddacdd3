//! One target, and how long it may take.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long an input of at most 64 KiB may keep a processor in an ordinary release build.
pub const CPU_MAX: Duration = Duration::from_millis(100);

/// How long it may take here. Counting edges and comparisons costs much, and so does not optimizing; what is behind [`CPU_MAX`] for other
/// reasons, `examples/replay.rs` finds among the inputs that were kept.
const CPU_MAX_HERE: Duration = if cfg!(any(fuzzing, debug_assertions)) { Duration::from_millis(600) } else { CPU_MAX };

/// Something that takes bytes from strangers.
#[derive(Debug)]
pub struct Target {
    /// Its name, which is that of its module and of its program.
    pub name: &'static str,
    /// Takes an input, and panics if a law does not hold.
    pub check: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// Checks an input for libFuzzer. The slowest one so far is kept beside what broke a law.
    pub fn run(&self, data: &[u8]) {
        static SLOWEST: AtomicU64 = AtomicU64::new(1_000);
        let micros = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let slowest = SLOWEST.load(Ordering::Relaxed);
        let mut took = self.measure(data);
        if micros(took) > slowest + slowest / 8 {
            // The first time may have paid for tables.
            took = took.min(self.measure(data));
        }
        let micros = micros(took);
        if micros > slowest + slowest / 8 {
            SLOWEST.store(micros, Ordering::Relaxed);
            eprintln!("slowest so far: {micros} µs for {} bytes", data.len());
            let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(self.name);
            let written = std::fs::create_dir_all(&directory)
                .and_then(|()| std::fs::write(directory.join(format!("slowest-{}", std::process::id())), data));
            if let Err(error) = written {
                eprintln!("it cannot be kept: {error}");
            }
        }
        assert!(took < CPU_MAX_HERE, "{took:?} for {} bytes", data.len());
    }

    /// Checks an input, and tells how long that kept a processor.
    pub fn measure(&self, data: &[u8]) -> Duration {
        let start = cpu_time();
        (self.check)(data);
        cpu_time().saturating_sub(start)
    }
}

/// How long this process has had a processor, whatever else runs on the machine.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}
