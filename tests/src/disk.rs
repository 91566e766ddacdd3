//! A small disk of a test's own, to be filled up.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::Process;
use crate::wait;

/// What mounts the disk where nobody else sees it, and then keeps it.
const HOLD: &str = "mount -t tmpfs -o \"size=$1,mode=0700\" tmpfs \"$2\" && echo mounted && exec sleep infinity";
/// How to come to a mount namespace: as root, and as anybody else.
const NAMESPACES: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];

/// A file system in memory, in a mount namespace of its own: the kernel takes it away with the process that holds it, whatever becomes
/// of the test.
pub struct SmallDisk {
    path: PathBuf,
    /// Bytes of the smallest piece that a file takes.
    page: u64,
    _holder: Process,
    _mount_point: TempDir,
}

impl SmallDisk {
    /// Mounts a disk of so many bytes. `None` where that is forbidden here, which is told to whoever runs the tests.
    pub async fn mount(bytes: u64) -> Option<Self> {
        let mut refusals = Vec::new();
        for namespace in NAMESPACES {
            match Self::mount_in(namespace, bytes).await {
                Ok(disk) => return Some(disk),
                Err(refusal) => refusals.push(refusal),
            }
        }
        // Not by `eprintln!`, which is heard of failed tests only.
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        let told = writeln!(std::io::stderr(), "SKIPPED {name}: no disk can be mounted here: {refusals:?}");
        told.expect("standard error takes it");
        None
    }

    async fn mount_in(namespace: &[&str], bytes: u64) -> Result<Self, String> {
        let mount_point = tempfile::Builder::new().prefix("chaperone-e2e-disk-").tempdir().expect("a directory");
        let mut command = Command::new("sh");
        command.args(["-c", "exec unshare \"$@\"", "sh"]).args(namespace);
        command.args(["sh", "-c", HOLD, "sh", &bytes.to_string()]).arg(mount_point.path());
        let mut holder = Process::spawn("disk", &mut command);
        let mounted = wait::until("the disk is mounted, or cannot be", async || {
            let ended = holder.exit_status().is_some();
            let mounted = holder.stdout().contains("mounted");
            (mounted || ended).then_some(mounted)
        })
        .await;
        if !mounted {
            return Err(holder.stderr().trim().to_owned());
        }
        let inside = mount_point.path().strip_prefix("/").expect("an absolute path");
        let path = Path::new("/proc").join(holder.id().to_string()).join("root").join(inside);
        let page = fs::metadata(&path).map_err(|error| error.to_string())?.blksize();
        Ok(Self { path, page, _holder: holder, _mount_point: mount_point })
    }

    /// Its root directory, for every process of this user.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the smallest piece that a file takes.
    pub fn page(&self) -> u64 {
        self.page
    }

    /// Takes all room but this, which is whole pages; what was taken before stays so.
    pub fn fill_but(&self, bytes: u64) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).expect("a file");
        let page = vec![0; usize::try_from(self.page).expect("a small number")];
        loop {
            match ballast.write(&page) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("the disk fails otherwise: {error}"),
            }
        }
        let taken = ballast.metadata().expect("a file").len();
        ballast.set_len(taken - bytes).expect("it is cut off");
    }

    /// Gives back all that was taken.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("the disk was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}
