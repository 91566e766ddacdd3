//! A disk that is full: nothing is allowed of which there is no record, and it goes on by itself when there is room.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chaperone_e2e::admin;
use chaperone_e2e::chaperone::Chaperone;
use chaperone_e2e::direct::{self, Direct};
use chaperone_e2e::disk::SmallDisk;
use chaperone_e2e::trail::{self, Told, outcome};
use chaperone_e2e::wait;
use chaperone_trail::Event;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::trail::prepare;

const DISK_BYTES: u64 = 8 << 20;
/// How many ask at once.
const CALLERS: usize = 8;
/// How often the disk becomes full.
const ROUNDS: usize = 3;
/// How many answers show that it goes on.
const ANSWERS: usize = 50;
/// Longer than the writer rests before its first attempts to go on: what those leave of the disk is known by then.
const SPELL: Duration = Duration::from_millis(500);

/// A check that waits on a busy machine is neither late nor stale, and no checkpoint comes between.
const OPTIONS: &[&str] =
    &["--data-default-deadline", "1m", "--feed-max-staleness", "1m", "--trail-checkpoint-interval", "1h"];

/// Callers who ask without a pause, whatever they are told.
struct Load {
    told: Arc<Mutex<Told>>,
    refusals: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

impl Load {
    async fn start(replica: &Chaperone, handle: &str, round: usize, told: &Arc<Mutex<Told>>) -> Self {
        let (refusals, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (direct, handle) = (Direct::to(replica).await, handle.to_owned());
            let (told, refusals, stop) = (Arc::clone(told), Arc::clone(&refusals), Arc::clone(&stop));
            callers.spawn(async move {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let document = format!("{round}-{caller}-{number}");
                    match direct.check(direct::read(&document, &handle)).await {
                        Ok(decision) => {
                            let answer = (outcome(&decision), document);
                            let before = told.lock().expect("nobody panics").insert(decision.decision_id, answer);
                            assert!(before.is_none(), "an id is told once");
                        }
                        Err(refusal) => {
                            assert_unavailable(&refusal);
                            refusals.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        Self { told: Arc::clone(told), refusals, stop, callers }
    }

    fn answers(&self) -> usize {
        self.told.lock().expect("nobody panics").len()
    }

    async fn refused(&self) {
        wait::until("the disk is full", async || (self.refusals.load(Ordering::Relaxed) > 0).then_some(())).await;
    }

    /// Takes what is left of the disk until nobody is answered any more.
    async fn closed(&self, disk: &SmallDisk) {
        let (mut answers, mut since) = (self.answers(), Instant::now());
        wait::until("nothing can be written", async || {
            disk.fill_but(0);
            if self.answers() != answers {
                (answers, since) = (self.answers(), Instant::now());
            }
            (since.elapsed() > SPELL).then_some(())
        })
        .await;
    }

    async fn answered(&self) {
        let enough = self.answers() + ANSWERS;
        wait::until("it goes on by itself", async || (self.answers() >= enough).then_some(())).await;
    }

    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended.expect("the caller runs");
        }
    }
}

fn assert_unavailable(refusal: &Status) {
    let reason = refusal.get_details_error_info().map(|info| info.reason);
    assert_eq!((refusal.code(), reason.as_deref()), (Code::Unavailable, Some("trail_unavailable")), "{refusal:?}");
}

/// Neither a decision nor an act that gives authority.
async fn assert_closed(replica: &Chaperone, handle: &str) {
    let direct = Direct::to(replica).await;
    for _ in 0..20 {
        let refusal = direct.check(direct::read("42", handle)).await.expect_err("nothing is decided");
        assert_unavailable(&refusal);
    }
    let mut sessions = replica.administer().await.sessions;
    let refusal = sessions.open(admin::agent("reader")).await.expect_err("no authority without a record");
    assert_unavailable(&refusal);
}

/// What the server said when it could not write.
fn failures(replica: &mut Chaperone) -> Vec<String> {
    let log = replica.process().stderr();
    log.lines().filter(|line| line.contains("the trail cannot be written")).map(str::to_owned).collect()
}

/// A journal on a disk that becomes full under load, and has room again; each time with `room` for as much as it says.
async fn outages(disk: &SmallDisk, store: &Path, options: &[&str], room: impl Fn(&Path) -> u64) -> Vec<String> {
    let url = format!("embedded:{}", store.join("chaperone.db").display());
    let journal = disk.path().join("journal");
    let directory = ["--trail-dir", journal.to_str().expect("a path in UTF-8")];
    let mut replica = Chaperone::start(&url, &[&directory, options].concat()).await;
    let opened = prepare(&mut replica).await;
    let told = Arc::default();
    for round in 0..ROUNDS {
        disk.fill_but(room(&journal));
        let load = Load::start(&replica, &opened.handle, round, &told).await;
        load.refused().await;
        load.closed(disk).await;
        let answers = load.answers();
        assert_closed(&replica, &opened.handle).await;
        assert_eq!(load.answers(), answers, "nobody was answered meanwhile");
        disk.make_room();
        load.answered().await;
        load.end().await;
    }
    assert!(replica.terminate().await.success(), "{}", replica.process().output());
    let chain = trail::of_journal(&journal);
    chain.assert_recorded(&told.lock().expect("nobody panics"));
    assert!(matches!(chain.events().last(), Some(Event::Stopped)), "it ended in order");
    let starts = chain.events().filter(|event| matches!(event, Event::Started { .. })).count();
    assert_eq!(starts, 1, "one process wrote it");
    failures(&mut replica)
}

/// The store is on the same disk, as it is when nothing is said about the journal.
#[tokio::test(flavor = "multi_thread")]
async fn disk_that_is_full_in_the_middle_of_a_segment_closes_the_door_until_there_is_room() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES).await else { return };
    let failures = outages(&disk, disk.path(), OPTIONS, |_| 16 * disk.page()).await;
    assert!(failures.len() >= ROUNDS, "{failures:?}");
    for failure in failures {
        assert!(failure.contains("cannot write `") && failure.contains("No space left on device"), "{failure}");
    }
}

/// The room is for the rest of the segment, to its last page: what finds none is the header of the next one.
#[tokio::test(flavor = "multi_thread")]
async fn disk_that_is_full_at_the_beginning_of_a_segment_closes_the_door_until_there_is_room() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES).await else { return };
    let store = tempfile::tempdir().expect("a temporary directory");
    // Half a page more than whole pages: as long as no record has more than half a page, the last one ends in the last page.
    let segment_bytes = (16 * disk.page() + disk.page() / 2).to_string();
    let room = |journal: &Path| 17 * disk.page() - last_segment(journal).blocks() * 512;
    let options = [OPTIONS, &["--trail-segment-bytes", &segment_bytes]].concat();
    let failures = outages(&disk, store.path(), &options, room).await;
    assert_eq!(failures.len(), ROUNDS, "{failures:?}");
    for failure in failures {
        assert!(failure.contains("cannot begin `") && failure.contains("No space left on device"), "{failure}");
    }
}

/// The segment that is written.
fn last_segment(journal: &Path) -> Metadata {
    let files = std::fs::read_dir(journal).expect("a directory").map(|entry| entry.expect("an entry").path());
    let last = files.filter(|path| path.extension().is_some_and(|ending| ending == "trail")).max();
    last.expect("a segment").metadata().expect("a file")
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_was_killed_on_a_full_disk_starts_when_there_is_room_and_goes_on_where_it_was() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES).await else { return };
    let url = format!("embedded:{}", disk.path().join("chaperone.db").display());
    let journal = disk.path().join("journal");
    let options = [OPTIONS, &["--trail-dir", journal.to_str().expect("a path in UTF-8")]].concat();
    let mut replica = Chaperone::start(&url, &options).await;
    let opened = prepare(&mut replica).await;
    let told = Arc::default();
    disk.fill_but(16 * disk.page());
    let load = Load::start(&replica, &opened.handle, 0, &told).await;
    load.refused().await;
    load.closed(&disk).await;
    load.end().await;
    replica.process().kill();
    let mut refused = Chaperone::spawn(&url, &options);
    assert!(!refused.process().ended().await.success(), "no start without its record");
    assert!(refused.process().stderr().contains("No space left on device"), "{}", refused.process().output());
    disk.make_room();
    let mut replica = Chaperone::start(&url, &options).await;
    replica.ready().await;
    assert_eq!(Direct::to(&replica).await.read(&opened.handle).await, "permitted");
    assert!(replica.terminate().await.success(), "{}", replica.process().output());
    let chain = trail::of_journal(&journal);
    chain.assert_recorded(&told.lock().expect("nobody panics"));
    let starts = chain.events().filter(|event| matches!(event, Event::Started { .. })).count();
    assert_eq!(starts, 2, "one chain over both");
}
