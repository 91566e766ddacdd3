//! What waits for a report of an outcome, and what comes of it.

use std::time::Duration;

use chaperone_policy::{
    Amount, Bundle, Change, DecisionId, Deferred, Effect, Level, Memory, MemoryLimits, Outcome, Reason, ReportError,
    Reported, SessionChain, Settlement, Value, Wait,
};
use proptest::prelude::*;

use crate::fixture::*;

use Reported::{Executed, Failed};

/// A budget of three reads, of which those that failed do not count.
const BUDGET: &str = "@id(\"read\") @count(\"reads/1h on executed\") permit (principal, action == Action::\"read\", resource);\n\
    @id(\"enough\") forbid (principal, action == Action::\"read\", resource) when { context.session.counts[\"reads/1h\"] >= 3 };";

fn spends(annotation: &str) -> Bundle {
    bundle(&format!("@id(\"spend\") {annotation} permit (principal, action == Action::\"spend\", resource);"))
}

/// Reads a minute after the opening; says whether that was allowed.
fn reads(bundle: &Bundle, session: &mut SessionChain, number: u64) -> Option<DecisionId> {
    let id = decision_id(number, at(60));
    let decision = act_as(id, bundle, session, &read(bundle), at(60));
    (decision.outcome == Outcome::Allow).then_some(id)
}

/// Spends a minute after the opening.
fn spent(bundle: &Bundle, session: &mut SessionChain) -> DecisionId {
    let id = decision_id(1, at(60));
    let decision = act_as(id, bundle, session, &spend(bundle, "2.5", &[]), at(60));
    assert_eq!(decision.outcome, Outcome::Allow, "{decision:?}");
    id
}

fn memory(session: &SessionChain) -> &Memory {
    session.memories().next().expect("the session's")
}

fn effects(settlement: Result<Settlement, ReportError>) -> Vec<Effect> {
    match settlement.expect("it is taken") {
        Settlement::Settled(effects, _) => effects,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reserved_amount_counts_at_once_and_a_failure_gives_it_back() {
    let bundle = bundle(BUDGET);
    let mut session = chain([root()]);
    let allowed: Vec<_> = (1..=5).map(|number| reads(&bundle, &mut session, number)).collect();
    assert_eq!(allowed.iter().flatten().count(), 3);
    let (first, second) = (allowed[0].expect("allowed"), allowed[1].expect("allowed"));
    assert_eq!(
        effects(report(&mut session, first, Executed, &[], at(61))),
        [counted(Level::Session, "reads/1h", Amount::Whole(1))]
    );
    assert_eq!(reads(&bundle, &mut session, 6), None, "what was executed is spent");
    let given_back = effects(report(&mut session, second, Failed, &[], at(61)));
    assert!(matches!(&given_back[..], [Effect::Remember(Level::Session, Change::Release(..))]), "{given_back:?}");
    assert!(reads(&bundle, &mut session, 7).is_some());
    assert_eq!(reads(&bundle, &mut session, 8), None, "one was given back");
}

#[test]
fn decision_says_what_waits_and_how_long() {
    let bundle = spends(
        "@count(\"usd += context.request.usd on executed, denied on failed\") @label(\"tree:paid on executed\")",
    );
    let decision = decide_in(&bundle, &chain([root()]), &spend(&bundle, "2.5", &[]));
    let waits = |on, level, what| Effect::Await(Wait { on, level, what });
    assert_eq!(
        decision.effects,
        [
            waits(Executed, Level::Session, Deferred::Reserved(name("usd"), Amount::Decimal(25_000), None)),
            waits(Failed, Level::Session, Deferred::Count(name("denied"), Amount::Whole(1))),
            waits(Executed, Level::Tree, Deferred::Label("paid".into())),
        ]
    );
    let mut session = chain([root()]);
    let decision = act_as(decision_id(1, at(60)), &bundle, &mut session, &spend(&bundle, "2.5", &[]), at(60));
    assert_eq!(decision.report_until, Some(at(60 + 15 * 60)));
}

#[test]
fn what_is_not_reserved_happens_only_when_its_report_comes() {
    let annotations = "@label(\"tree:tested on executed\") @remember(\"principal:done/1h = resource on executed\") \
        @risk(\"+10 on failed\") @count(\"failures on failed\")";
    let bundle = spends(annotations);
    let nothing = |session: &SessionChain| {
        session.memories().all(|memory| {
            memory.labels().is_empty() && memory.sets().next().is_none() && memory.counts(at(60)).next().is_none()
        })
    };
    let mut session = chain([root()]);
    let id = spent(&bundle, &mut session);
    assert!(nothing(&session));
    let mut failed = session.clone();
    effects(report(&mut session, id, Executed, &[], at(61)));
    let [own, tree, principal] = &session.memories().collect::<Vec<_>>()[..] else { panic!("three") };
    assert!(tree.has_label("tested") && principal.set(&name("done/1h")).is_some());
    assert_eq!((own.risk(0, at(61)), own.count(&name("failures"), at(61))), (0, None));
    effects(report(&mut failed, id, Failed, &[], at(61)));
    assert_eq!(memory(&failed).risk(0, at(61)), 10);
    assert_eq!(memory(&failed).count(&name("failures"), at(61)), Some(Amount::Whole(1)));
    assert!(failed.memories().all(|memory| memory.labels().is_empty() && memory.sets().next().is_none()));
}

#[test]
fn same_report_is_answered_alike_and_another_is_refused() {
    let bundle = spends("@count(\"rows += result.rows on executed\")");
    let mut session = chain([root()]);
    let id = spent(&bundle, &mut session);
    let rows = [("rows", Value::Long(5))];
    let first = effects(report(&mut session, id, Executed, &rows, at(61)));
    let after = memory(&session).clone();
    assert_eq!(report(&mut session, id, Executed, &rows, at(62)), Ok(Settlement::Repeated(first)));
    assert_eq!(report(&mut session, id, Failed, &[], at(62)), Err(ReportError::AlreadyReported(Executed)));
    let other = [("rows", Value::Long(6))];
    assert_eq!(report(&mut session, id, Executed, &other, at(62)), Err(ReportError::AlreadyReported(Executed)));
    assert_eq!(*memory(&session), after);
}

#[test]
fn report_after_the_wait_changes_nothing() {
    let bundle = bundle(BUDGET);
    let mut session = chain([root()]);
    let id = reads(&bundle, &mut session, 1).expect("allowed");
    let until = at(60 + 15 * 60);
    assert_eq!(report(&mut session, id, Failed, &[], until), Ok(Settlement::TooLate));
    assert_eq!(memory(&session).count(&name("reads/1h"), until), Some(Amount::Whole(1)));
    // Dropped when something else is remembered, when no clock finds it waiting any more; and still too late.
    let later = until.plus(Duration::from_secs(6));
    act_as(decision_id(2, later), &bundle, &mut session, &read(&bundle), later);
    assert_eq!(memory(&session).awaited().count(), 1);
    assert_eq!(report(&mut session, id, Failed, &[], later), Ok(Settlement::TooLate));
    assert_eq!(memory(&session).count(&name("reads/1h"), later), Some(Amount::Whole(2)));
}

#[test]
fn decision_that_left_nothing_has_nothing_to_settle() {
    let mut session = chain([root()]);
    let id = decision_id(1, at(60));
    assert_eq!(report(&mut session, id, Executed, &[], at(61)), Ok(Settlement::NothingWaits));
    let unknown = DecisionId::new(uuid::Uuid::from_u128(1));
    assert_eq!(report(&mut session, unknown, Executed, &[], at(61)), Ok(Settlement::NothingWaits));
}

#[test]
fn facts_are_those_that_the_mapping_names_with_their_types() {
    let bundle = spends("@count(\"rows += result.rows on executed\") @remember(\"files = result.file on executed\")");
    let mut session = chain([root()]);
    let id = spent(&bundle, &mut session);
    let file = || ("file", Value::Entity(document("7")));
    let rows = |rows| ("rows", Value::Long(rows));
    let mut refused = |facts: &[(&str, Value)]| match report(&mut session, id, Executed, facts, at(61)) {
        Err(error @ ReportError::Fact { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[rows(1)]), "facts.file: is required");
    assert_eq!(refused(&[file()]), "facts.rows: is required");
    assert_eq!(refused(&[file(), rows(-1)]), "facts.rows: must not be negative");
    assert_eq!(refused(&[file(), ("rows", Value::String("1".into()))]), "facts.rows: must be Long");
    let named = "facts.lines: is not named by the mapping for this action";
    assert_eq!(refused(&[file(), rows(1), ("lines", Value::Long(1))]), named);
    let price = ("price", Value::Decimal("1.23456".into()));
    assert_eq!(refused(&[file(), rows(1), price]), "facts.price: must be decimal", "what Cedar would not take");
    let path = ("path", Value::String("/a".into()));
    // Named, and needed by nothing.
    let settled = effects(report(&mut session, id, Executed, &[file(), rows(5), path], at(61)));
    let rows = counted(Level::Session, "rows", Amount::Whole(5));
    assert_eq!(settled, [rows, remembered(Level::Session, "files", Value::Entity(document("7")))]);
}

#[test]
fn failure_needs_no_fact_that_only_a_success_is_counted_by() {
    let bundle = spends("@count(\"rows += result.rows on executed\")");
    let mut session = chain([root()]);
    let id = spent(&bundle, &mut session);
    assert_eq!(memory(&session).counts(at(60)).count(), 0, "nothing is reserved");
    assert_eq!(effects(report(&mut session, id, Failed, &[], at(61))), []);
}

#[test]
fn denial_leaves_nothing_to_wait() {
    let bundle = bundle(&format!(
        "{READ}@id(\"see\") @observe(\"any\") @label(\"done on executed\") @count(\"asked\") permit (principal, action, resource);\n\
         @id(\"no\") forbid (principal, action, resource);"
    ));
    let mut session = chain([root()]);
    let decision = act(&bundle, &mut session, &read(&bundle), at(60));
    assert_eq!(decision.effects, [counted(Level::Session, "asked", Amount::Whole(1))]);
    assert_eq!((memory(&session).awaited().count(), decision.report_until), (0, None));
}

#[test]
fn full_session_is_denied_and_what_was_reported_gives_way() {
    let limits = MemoryLimits { reports: 2, ..MemoryLimits::default() };
    let bundle = spends("@label(\"done on executed\")");
    let mut session = chain([root()]);
    let ask = |session: &mut SessionChain, number| {
        let id = decision_id(number, at(60));
        act_within(&limits, id, &bundle, session, &spend(&bundle, "1.0", &[]), at(60))
    };
    assert_eq!(
        [1, 2, 3].map(|number| ask(&mut session, number).reason),
        [Reason::Permitted, Reason::Permitted, Reason::MemoryFull]
    );
    effects(report(&mut session, decision_id(2, at(60)), Failed, &[], at(61)));
    assert_eq!(ask(&mut session, 4).reason, Reason::Permitted);
    assert_eq!(ask(&mut session, 5).reason, Reason::MemoryFull);
    let known: Vec<_> = memory(&session).awaited().map(|(id, _)| id).collect();
    assert_eq!(known, [decision_id(1, at(60)), decision_id(4, at(60))]);
}

#[test]
fn report_that_does_not_fit_changes_nothing() {
    let bundle = spends("@count(\"n += 9223372036854775807 on failed, n += 1 on executed\")");
    let mut session = chain([root()]);
    let id = spent(&bundle, &mut session);
    let mut full = with(&session, &[(0, Change::Count(name("n"), Amount::Whole(5)))]);
    let before = memory(&full).clone();
    let error = report(&mut full, id, Failed, &[], at(61)).expect_err("it does not fit");
    assert_eq!(error.to_string(), "session: counter `n` would hold more than fits 64 bits");
    assert_eq!(*memory(&full), before);
    effects(report(&mut session, id, Failed, &[], at(61)));
    assert_eq!(
        memory(&session).count(&name("n"), at(61)),
        Some(Amount::Whole(i64::MAX)),
        "given back before it is counted"
    );
}

#[test]
fn what_waits_survives_its_stored_form_and_another_bundle() {
    let annotations = "@count(\"principal:usd/24h += context.request.usd on executed, rows += result.rows on executed\") \
        @remember(\"peers = result.peer on executed, who = principal on failed\") @label(\"a on executed\") @risk(\"-5 on failed\")";
    let bundle = spends(annotations);
    let mut session = chain([root()]);
    let id = spent(&bundle, &mut session);
    let json = serde_json::to_string(memory(&session)).expect("serialises");
    assert_eq!(serde_json::from_str::<Memory>(&json).expect("parses"), *memory(&session), "{json}");
    let usd =
        |session: &SessionChain| session.memories().last().expect("the principal's").count(&name("usd/24h"), at(61));
    assert_eq!(usd(&session), Some(Amount::Decimal(25_000)));
    effects(report(&mut session, id, Failed, &[], at(61)));
    assert_eq!(usd(&session), None);
    let json = serde_json::to_string(memory(&session)).expect("serialises");
    assert_eq!(serde_json::from_str::<Memory>(&json).expect("parses"), *memory(&session), "{json}");
}

#[test]
fn prerequisite_is_there_after_a_success_and_never_before() {
    let bundle = bundle(
        "@id(\"test\") @label(\"tests-passed on executed\") permit (principal, action == Action::\"spend\", resource);\n\
         @id(\"promote\") permit (principal, action == Action::\"read\", resource) when { context.session.labels.contains(\"tests-passed\") };",
    );
    let promoted = |session: &SessionChain| decide_in(&bundle, session, &read(&bundle)).outcome == Outcome::Allow;
    let mut session = chain([root()]);
    let id = spent(&bundle, &mut session);
    assert!(!promoted(&session));
    let mut failed = session.clone();
    effects(report(&mut failed, id, Failed, &[], at(61)));
    assert!(!promoted(&failed));
    effects(report(&mut session, id, Executed, &[], at(61)));
    assert!(promoted(&session));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is asked and reported, in whatever order and how often: those that succeeded or may still succeed are never more than the
    /// budget, and as long as there is room for one more it is allowed.
    #[test]
    fn budget_of_successes_is_exact(steps in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8), 1..80)) {
        let bundle = bundle(BUDGET);
        let mut session = chain([root()]);
        let mut allowed: Vec<(DecisionId, Option<Reported>)> = Vec::new();
        for (number, (which, what)) in steps.into_iter().enumerate() {
            let outcome = match what {
                0 | 1 => {
                    let holding = allowed.iter().filter(|(_, reported)| *reported != Some(Failed)).count();
                    let id = reads(&bundle, &mut session, number as u64);
                    prop_assert_eq!(id.is_some(), holding < 3);
                    allowed.extend(id.map(|id| (id, None)));
                    continue;
                }
                2 => Executed,
                _ => Failed,
            };
            if allowed.is_empty() {
                continue;
            }
            let place = which.index(allowed.len());
            let (id, reported) = &mut allowed[place];
            match (report(&mut session, *id, outcome, &[], at(61)), *reported) {
                (Ok(Settlement::Settled(..)), None) => *reported = Some(outcome),
                (Ok(Settlement::Repeated(_)), Some(before)) => prop_assert_eq!(before, outcome),
                (Err(ReportError::AlreadyReported(before)), Some(known)) => {
                    prop_assert_eq!(before, known);
                    prop_assert_ne!(before, outcome);
                }
                (found, reported) => prop_assert!(false, "{:?} after {:?}", found, reported),
            }
            let holding = allowed.iter().filter(|(_, reported)| *reported != Some(Failed)).count();
            let counts = memory(&session).count(&name("reads/1h"), at(61)).unwrap_or(Amount::Whole(0));
            prop_assert_eq!(counts, Amount::Whole(i64::try_from(holding).expect("few")));
        }
    }
}
