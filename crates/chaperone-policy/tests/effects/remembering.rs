//! From effects to what the next decision sees.

use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{Amount, Change, MemoryLimits, Outcome, Reason, Session, SessionChain, Value};

use crate::common::session_id;
use crate::fixture::*;

const LIMITS: MemoryLimits = MemoryLimits {
    labels: 1,
    counters: 1,
    sets: 1,
    values_per_set: 1,
    grants: 1,
    value_bytes: 256,
    reports: 1,
    report_wait: Duration::from_mins(15),
};

#[test]
fn label_that_is_there_changes_nothing() {
    let bundle = bundle(&READ.replace("permit", "@label(\"pii\") permit"));
    let mut session = chain([root()]);
    for changes in [true, false] {
        let decision = decide_in(&bundle, &session, &read(&bundle));
        assert_eq!(decision.effects.len(), 1);
        let (decision, after) = remember(decision, &session, at(60), &MemoryLimits::default(), 0);
        assert_eq!((decision.outcome, after.is_some()), (Outcome::Allow, changes));
        session = after.unwrap_or(session);
    }
    let used: Vec<_> = session.memories().map(|memory| memory.used().is_some()).collect();
    assert_eq!(used, [true, false, false], "only what changes is touched");
}

#[test]
fn memory_that_stays_as_it_was_is_the_same_one() {
    let bundle = bundle(&READ.replace("permit", "@label(\"pii\") @count(\"tree:reads\") permit"));
    let marked = with(&chain([root()]), &[(0, Change::Label("pii".into()))]);
    let decision = decide_in(&bundle, &marked, &read(&bundle));
    let (_, after) = remember(decision, &marked, at(60), &MemoryLimits::default(), 0);
    let after = after.expect("the tree's changes");
    let same: Vec<_> = marked.memories().zip(after.memories()).map(|(one, other)| Arc::ptr_eq(one, other)).collect();
    assert_eq!(same, [true, false, true]);
}

#[test]
fn decision_without_effects_changes_nothing() {
    let bundle = bundle(READ);
    let session = chain([root()]);
    let decision = decide_in(&bundle, &session, &read(&bundle));
    let (same, after) = remember(decision.clone(), &session, at(60), &LIMITS, 0);
    assert!(same == decision && after.is_none());
}

#[test]
fn allow_that_does_not_fit_is_denied_and_changes_nothing() {
    let bundle = bundle(&READ.replace("permit", "@label(\"tree:new\") @count(\"reads\") @reason(\"yes\") permit"));
    let full = with(&chain([root()]), &[(1, Change::Label("old".into()))]);
    let decision = decide_in(&bundle, &full, &read(&bundle));
    assert_eq!(decision.effects.len(), 2);
    let (denied, after) = remember(decision, &full, at(60), &LIMITS, 0);
    assert_eq!((denied.outcome, denied.reason), (Outcome::Deny, Reason::MemoryFull));
    assert!(denied.policies.is_empty() && denied.effects.is_empty() && after.is_none());
    assert_eq!(denied.sentence(), "tree: no room for label `new`: at most 1 are remembered");
}

#[test]
fn overflow_of_a_counter_denies() {
    let bundle = bundle(&READ.replace("permit", "@count(\"n += 9223372036854775807\") permit"));
    let mut session = chain([root()]);
    assert_eq!(act(&bundle, &mut session, &read(&bundle), at(60)).reason, Reason::Permitted);
    assert_eq!(act(&bundle, &mut session, &read(&bundle), at(60)).reason, Reason::MemoryFull);
}

#[test]
fn denial_that_does_not_fit_stays_and_leaves_what_fits() {
    let bundle = bundle("@id(\"no\") @count(\"denials\") @label(\"new\") forbid (principal, action, resource);");
    let full = with(&chain([root()]), &[(0, Change::Label("old".into()))]);
    let decision = decide_in(&bundle, &full, &read(&bundle));
    let (same, after) = remember(decision.clone(), &full, at(60), &LIMITS, 0);
    assert_eq!(same, decision);
    let after = after.expect("the denial is counted");
    let memory = after.memories().next().expect("the session's");
    assert!(memory.has_label("old") && !memory.has_label("new"));
    assert_eq!(memory.count(&name("denials"), at(60)), Some(Amount::Whole(1)));
}

#[test]
fn child_sees_its_ancestors_labels_and_the_highest_risk() {
    let seen = |condition: &str, changes: &[(usize, Change)]| {
        let bundle = bundle(&READ.replace(';', &format!("when {{ {condition} }};")));
        let family = with(&chain([root(), child(&root())]), changes);
        decide_in(&bundle, &family, &read(&bundle)).outcome == Outcome::Allow
    };
    // The child's memory comes first, then its parent's, the tree's, the principal's.
    let label = |place| [(place, Change::Label("pii".into()))];
    let session = "context.session.labels.contains(\"pii\")";
    assert_eq!([0, 1, 2, 3].map(|place| seen(session, &label(place))), [true, true, false, false]);
    let tree = "context.tree.labels.contains(\"pii\")";
    assert_eq!([0, 1, 2, 3].map(|place| seen(tree, &label(place))), [false, false, true, false]);
    let risks = [(0, Change::Risk(10)), (1, Change::Risk(40)), (2, Change::Risk(90))];
    assert!(seen("context.session.risk == 40", &risks));
}

#[test]
fn own_counters_and_sets_are_not_inherited() {
    let policies = format!(
        "{}@id(\"k\") @observe @count(\"n\") @remember(\"s = resource\") permit (principal, action == Action::\"spend\", resource);",
        READ.replace(';', "when { context.session.counts.n == 0 && context.session.sets.s.isEmpty() };")
    );
    let bundle = bundle(&policies);
    let changes = [
        (1, Change::Count(name("n"), Amount::Whole(1))),
        (1, Change::Remember(name("s"), Value::Entity(document("1")))),
    ];
    let family = with(&chain([root(), child(&root())]), &changes);
    assert_eq!(decide_in(&bundle, &family, &read(&bundle)).outcome, Outcome::Allow);
}

#[test]
fn siblings_share_their_tree_s_counter() {
    use Reason::{NoPermit, Permitted};
    let policies = READ
        .replace("permit", "@count(\"tree:reads/1h, reads/1h\") permit")
        .replace(';', "when { context.tree.counts[\"reads/1h\"] < 3 && context.session.counts[\"reads/1h\"] < 2 };");
    let bundle = bundle(&policies);
    let mut siblings: Vec<SessionChain> =
        [10, 11].map(|id| chain([root(), Session { id: session_id(id), ..child(&root()) }])).into();
    let mut reasons = Vec::new();
    for turn in [0, 1, 0, 0, 1] {
        reasons.push(act(&bundle, &mut siblings[turn], &read(&bundle), at(60)).reason);
        // What the store does: the other session reads the same memory of the tree.
        let tree = siblings[turn].memories().nth(2).cloned().expect("the tree's");
        let other = &mut siblings[1 - turn];
        let mut memories: Vec<_> = other.memories().cloned().collect();
        memories[2] = Arc::clone(&tree);
        *other = other.with_memories(memories).expect("as many");
    }
    // Both levels at once: a third read of the first session fits neither, a second one of the other only its own.
    assert_eq!(reasons, [Permitted, Permitted, Permitted, NoPermit, NoPermit]);
}

#[test]
fn risk_rises_and_decays() {
    let policies = READ.replace("permit", "@risk(\"+30\") permit").replace(';', "when { context.session.risk < 60 };");
    let bundle = bundle(&policies);
    let mut session = chain([root()]);
    let outcomes = [60, 61, 62].map(|now| act(&bundle, &mut session, &read(&bundle), at(now)).outcome);
    assert_eq!(outcomes, [Outcome::Allow, Outcome::Allow, Outcome::Deny]);
    let decision = decide_at(&bundle, &session, &read(&bundle), at(3_000));
    assert_eq!(decision.outcome, Outcome::Deny, "it stays without `decay_per_hour`");
    // Sixty points, of which ten minutes take away one.
    let decaying = bundle_with(&policies, "[risk]\ndecay_per_hour = 6\n");
    assert_eq!(decide_at(&decaying, &session, &read(&decaying), at(62)).outcome, Outcome::Deny, "rounded up");
    assert_eq!(decide_at(&decaying, &session, &read(&decaying), at(61 + 600)).outcome, Outcome::Allow);
}

#[test]
fn new_chain_remembers_nothing_and_needs_a_memory_for_every_key() {
    let session = chain([root(), child(&root())]);
    let keys: Vec<_> = session.memory_keys().map(|key| key.to_string()).collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert!(session.memories().all(|memory| memory.is_empty()));
    assert!(session.with_memories(session.memories().take(3).cloned().collect()).is_none());
}
