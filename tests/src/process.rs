//! A child process whose output is kept, shown when the test fails, and which never outlives its test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use crate::wait;

/// How much of each output a failed test shows, in bytes from its end.
const SHOWN_BYTES_MAX: usize = 16 * 1024;

/// A running child.
pub struct Process {
    name: String,
    child: Child,
    directory: TempDir,
}

/// A signal that tests send.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// Please end.
    Terminate,
    /// End now; the process cannot object.
    Kill,
    /// To Postgres: end without a clean shutdown.
    Quit,
    /// Stand still, as a machine that lost its network or its scheduler does.
    Stop,
    /// Go on after a stop.
    Continue,
}

impl Process {
    /// Starts `command`, its standard output and error going to files.
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let directory = tempfile::Builder::new().prefix("chaperone-e2e-").tempdir().expect("a temporary directory");
        let file = |stream| File::create(directory.path().join(stream)).expect("an output file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        Self { name: name.to_owned(), child, directory }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to its standard output so far.
    pub fn stdout(&self) -> String {
        read_lossy(&self.directory.path().join("stdout"))
    }

    /// What it wrote to its standard error so far.
    pub fn stderr(&self) -> String {
        read_lossy(&self.directory.path().join("stderr"))
    }

    /// A directory that lives as long as the process.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// How it ended, if it did.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child can be read")
    }

    /// Panics with its output if it has ended.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.exit_status() {
            panic!("{} ended early with {status}\n{}", self.name, self.output());
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Terminate => "TERM",
            Signal::Kill => "KILL",
            Signal::Quit => "QUIT",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        };
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.id())]).status().expect("sh runs");
        assert!(sent.success(), "cannot send SIG{name} to {}", self.name);
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        let child = &mut self.child;
        wait::until(what, async || child.try_wait().expect("the state of a child can be read")).await
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The ends of its two outputs, for people.
    pub fn output(&self) -> String {
        format!(
            "--- {name} stdout\n{}\n--- {name} stderr\n{}\n---",
            tail(&self.stdout()),
            tail(&self.stderr()),
            name = self.name
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.output());
        }
    }
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(SHOWN_BYTES_MAX);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}
