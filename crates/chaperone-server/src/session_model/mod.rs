//! A model of sessions on two replicas: the laws that hold whatever happens between them and their store.
//!
//! What runs is the real thing: two replicas with their followers, caches, memories and freshness, the PDP with its committer, and the use
//! cases of the admin plane, over one embedded store. Only the connections to the store, the feed's pace and the clock are the
//! model's. A case is a list of [`Step`]s; a call of the store may be lost before or after it took effect, or be held back while other
//! things happen, so that every call that is under way can meet every other. After each step the [`Laws`](laws::Laws) are looked at.
//!
//! `CHAPERONE_MODEL_CASES` says how many cases are run; 200 when nothing is said. A case that fails is shrunk, and printed as its steps.

mod laws;
mod link;
mod node;
mod world;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use self::link::{Backend, Fate, Reading};
use self::world::World;

/// How many replicas there are.
const REPLICAS: usize = 2;
/// How many cases are run when nothing is said.
const CASES: u32 = 200;
/// How many steps a case has at most.
const STEPS_MAX: usize = 40;
/// How long a case may take: it needs some milliseconds, and a call that nobody answers would keep it waiting for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Something that happens. Sessions are numbered as they were opened; a number beyond them starts over.
#[derive(Clone, Debug)]
enum Step {
    /// A session is opened, under a parent or not.
    Open { replica: usize, parent: Option<usize>, is_narrow: bool, is_short: bool },
    /// A session asks for something.
    Check { replica: usize, session: usize, ask: Ask, is_strict: bool },
    /// Something was noticed elsewhere, for the first time or again.
    Signal { replica: usize, session: usize, notice: Notice, event: u8 },
    /// A session is revoked, or its tree.
    Revoke { replica: usize, session: usize, is_tree: bool },
    /// A session's task is done.
    Complete { replica: usize, session: usize },
    /// Time passes, in milliseconds.
    Advance(u64),
    /// A replica reads so many pages of the feed.
    Follow { replica: usize, pages: usize, reading: Reading },
    /// The next calls of a replica have these fates.
    Destine { replica: usize, fates: Vec<Fate> },
    /// A replica and the store are parted.
    Cut { replica: usize },
    /// Nothing is wrong any more with a replica's connection.
    Heal { replica: usize },
    /// What was held back goes on.
    Release,
    /// Everybody who waits for an answer gives up.
    Abandon,
    /// A replica finds a gap in the feed, and loads everything again.
    Gap { replica: usize },
    /// A replica starts anew.
    Restart { replica: usize },
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ask {
    /// Something that leaves nothing behind.
    Read,
    /// Something that is counted, and may be done so often in a tree.
    Export,
    /// Something that marks the tree, which then may not export.
    ReadPii,
    /// Something that is never allowed, and revokes the tree.
    Trap,
}

/// What a signal says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Notice {
    /// The session has a label with which nothing is allowed.
    Frozen,
    /// The tree has it.
    TreeFrozen,
    /// The session's risk is higher.
    Risk,
    /// The session is revoked.
    Revoked,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..STEPS_MAX)
}

fn step() -> impl Strategy<Value = Step> {
    let (replica, session) = (0..REPLICAS, 0..5_usize);
    let ask = prop_oneof![4 => Just(Ask::Read), 4 => Just(Ask::Export), 1 => Just(Ask::ReadPii), 1 => Just(Ask::Trap)];
    let notice = prop_oneof![
        2 => Just(Notice::Frozen),
        1 => Just(Notice::TreeFrozen),
        2 => Just(Notice::Risk),
        1 => Just(Notice::Revoked)
    ];
    let millis = prop_oneof![Just(1), Just(300), Just(999), Just(1_001), Just(5_000)];
    prop_oneof![
        32 => (replica.clone(), prop::option::weighted(0.7, session.clone()), any::<bool>(), prop::bool::weighted(0.3))
            .prop_map(|(replica, parent, is_narrow, is_short)| Step::Open { replica, parent, is_narrow, is_short }),
        224 => (replica.clone(), session.clone(), ask, prop::bool::weighted(0.2))
            .prop_map(|(replica, session, ask, is_strict)| Step::Check { replica, session, ask, is_strict }),
        32 => (replica.clone(), session.clone(), notice, 0..2_u8)
            .prop_map(|(replica, session, notice, event)| Step::Signal { replica, session, notice, event }),
        32 => (replica.clone(), session.clone(), prop::bool::weighted(0.3))
            .prop_map(|(replica, session, is_tree)| Step::Revoke { replica, session, is_tree }),
        16 => (replica.clone(), session).prop_map(|(replica, session)| Step::Complete { replica, session }),
        48 => millis.prop_map(Step::Advance),
        128 => (replica.clone(), 1..4_usize, reading())
            .prop_map(|(replica, pages, reading)| Step::Follow { replica, pages, reading }),
        64 => (replica.clone(), prop::collection::vec(fate(), 1..4))
            .prop_map(|(replica, fates)| Step::Destine { replica, fates }),
        16 => replica.clone().prop_map(|replica| Step::Cut { replica }),
        16 => replica.clone().prop_map(|replica| Step::Heal { replica }),
        64 => Just(Step::Release),
        16 => Just(Step::Abandon),
        // Slow: the bundle is compiled anew.
        1 => replica.clone().prop_map(|replica| Step::Gap { replica }),
        1 => replica.prop_map(|replica| Step::Restart { replica }),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Answered),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Unacknowledged),
        1 => Just(Fate::Late),
        2 => Just(Fate::AnsweredLate),
    ]
}

fn reading() -> impl Strategy<Value = Reading> {
    let fate = prop_oneof![5 => Just(Fate::Answered), 3 => fate()];
    (fate, prop::option::weighted(0.3, 1..3_u32), any::<bool>(), prop::bool::weighted(0.2))
        .prop_map(|(fate, page_max, is_reversed, is_doubled)| Reading { fate, page_max, is_reversed, is_doubled })
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long a test runs is its runner's choice")]
fn laws_hold_whatever_happens() {
    let cases = std::env::var("CHAPERONE_MODEL_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(CASES);
    // One store and two replicas for all cases, each with sessions of its own: to start them takes longer than most cases.
    let backend = Arc::new(Backend::new());
    World::prepare(&backend);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let known = RefCell::new(None);
    let patient = 10 * u32::try_from(PATIENCE.as_millis()).expect("not long");
    let config =
        ProptestConfig { max_shrink_iters: 4_096, max_shrink_time: patient, ..ProptestConfig::with_cases(cases) };
    let outcome = proptest::test_runner::TestRunner::new(config).run(&steps(), |steps| {
        let known_world = known.take();
        runtime.block_on(async {
            let mut world = match known_world {
                Some(world) => world,
                None => World::new(&backend).await,
            };
            let obeys = tokio::time::timeout(PATIENCE, world.obeys(&steps)).await;
            obeys.map_err(|_| TestCaseError::fail("something waits for ever"))??;
            known.replace(Some(world));
            Ok(())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
