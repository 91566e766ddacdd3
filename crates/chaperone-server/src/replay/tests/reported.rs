//! What a bundle would have waiting is settled by what was reported, whatever waited then.

use chaperone_policy::{DecisionId, Memory, MemoryName, OutcomeReport, Reported};

use super::*;

use Reported::{Executed, Failed};

/// Three exports that are allowed, with as many reports as there are outcomes, and one that is not; by these policies.
async fn exports(policies: &str, reports: &[Reported]) -> Vec<Sealed> {
    let mut world = World::new().await;
    world.activate(policies).await;
    let mut allowed = Vec::new();
    for expected in [Outcome::Allow, Outcome::Allow, Outcome::Allow, Outcome::Deny] {
        let reported = allowed.len();
        if expected == Outcome::Deny {
            for (decision, outcome) in std::mem::take(&mut allowed).into_iter().zip(reports) {
                report(&world, decision, *outcome).await;
            }
        }
        let answer = world.check(Some(0), &[("export", 1, rows(5))]).await.expect("a decision");
        assert_eq!(answer.decision.outcome, expected, "after {reported}");
        allowed.push(answer.id);
    }
    world.finish()
}

async fn report(world: &World, decision: DecisionId, outcome: Reported) {
    let facts = Attributes::from([("lines".into(), Value::Long(7))]);
    for facts in [facts, Attributes::new()] {
        let report = OutcomeReport { decision, outcome, facts };
        // Who allows nothing to be told is told nothing.
        if world.pdp.report(session(0).id, &report, None).await.is_ok() {
            return;
        }
    }
    panic!("it is taken");
}

/// What a bundle of these policies would remember of the session and of its tree that those of `POLICIES` do not, with what is untold.
fn filled(records: &[Sealed], deciders: &[Rules], policies: &str) -> (Memory, Memory, Option<Untold>) {
    let candidate = rules(9, policies);
    let names = candidate.bundle().names_beyond(deciders[0].bundle());
    let mut filling = Filling::new(candidate, names, 100);
    for rules in deciders {
        filling.add_decider(rules.clone());
    }
    for sealed in records {
        filling.take(Record::parse(&sealed.bytes).expect("a record"));
    }
    let mut parts: BTreeMap<_, _> = filling.grown(START).into_iter().collect();
    let id = session(0).id;
    let mut of = |key| parts.remove(&key).unwrap_or_default();
    (of(MemoryKey::Session(id)), of(MemoryKey::Tree(id)), filling.untold().cloned())
}

fn count(memory: &Memory, name: &str) -> Option<i64> {
    memory.count(&MemoryName::parse(name).expect("a name"), START).map(chaperone_policy::Amount::to_whole_up)
}

const SENT: &str = "@count(\"sent/1h on executed, tree:broken on failed\") @label(\"sent on executed\")";

/// With an observer of its own: a policy has each annotation once.
fn observing(annotations: &str) -> String {
    format!(
        "{POLICIES} @id(\"new\") @observe {annotations} permit (principal is Agent, action == Action::\"export\", resource);"
    )
}

#[tokio::test]
async fn report_that_nobody_waited_for_settles_what_is_filled_in() {
    for (reports, sent, broken, label) in [
        (&[][..], Some(3), None, false),
        (&[Executed][..], Some(3), None, true),
        (&[Failed, Executed][..], Some(2), Some(1), true),
        (&[Failed, Failed, Failed][..], None, Some(3), false),
    ] {
        let records = exports(POLICIES, reports).await;
        let (of_session, of_tree, untold) = filled(&records, &[rules(1, POLICIES)], &observing(SENT));
        let found = (count(&of_session, "sent/1h"), count(&of_tree, "broken"), of_session.has_label("sent"));
        assert_eq!((found, untold), ((sent, broken, label), None), "{reports:?}");
        // Those of another chain may be read before the decisions that they are about.
        let (acts, rest): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|sealed| String::from_utf8_lossy(&sealed.bytes).contains("outcome.reported"));
        let (early, of_tree, _) = filled(&[acts, rest].concat(), &[rules(1, POLICIES)], &observing(SENT));
        assert_eq!((count(&early, "sent/1h"), count(&of_tree, "broken")), (sent, broken), "{reports:?}");
    }
}

#[tokio::test]
async fn fact_that_was_counted_then_is_filled_in_and_another_one_is_untold() {
    let facts = "@count(\"tree:returned/1h += result.lines on executed\") @label(\"sent on executed\")";
    let told = observing("@count(\"sent on executed, lines += result.lines on executed\")");
    let records = exports(&told, &[Executed, Failed, Executed]).await;
    let new = format!(
        "{told} @id(\"newer\") @observe {facts} permit (principal is Agent, action == Action::\"export\", resource);"
    );
    let (of_session, of_tree, untold) = filled(&records, &[rules(2, &told)], &new);
    assert_eq!((count(&of_tree, "returned/1h"), of_session.has_label("sent"), untold), (Some(14), true, None));
    // Nobody counted what came back: it was not written down.
    let records = exports(POLICIES, &[Executed, Failed]).await;
    let (of_session, of_tree, untold) = filled(&records, &[rules(1, POLICIES)], &observing(facts));
    assert_eq!((count(&of_tree, "returned/1h"), of_session.has_label("sent")), (None, true));
    let untold = untold.expect("what came back");
    assert_eq!((untold.count, untold.why), (1, Obstacle::FactMissing("lines".to_owned())));
}

#[tokio::test]
async fn replay_gives_back_what_a_candidate_reserved_and_was_reported_as_failed() {
    let reserving = POLICIES.replace("exports/1h", "sent/1h").replace("sent/1h, ", "sent/1h on executed, ");
    for (reports, newly_allowed) in [(&[][..], 0), (&[Executed, Executed][..], 0), (&[Executed, Failed][..], 1)] {
        let records = exports(POLICIES, reports).await;
        let tally = run(&records, &[rules(1, POLICIES)], Some(rules(9, &reserving)));
        assert_eq!(tally.groups.count(Kind::NewlyAllowed), newly_allowed, "{reports:?}: {tally:#?}");
        assert_eq!(tally.obstacle_count(), 0, "{tally:#?}");
    }
}

#[tokio::test]
async fn replay_knows_what_a_report_brings_about_in_the_memory_of_a_tree() {
    let marking = observing("@label(\"tree:sent on executed\")")
        + "@id(\"once\") forbid (principal, action == Action::\"export\", resource) when { context.tree.labels.contains(\"sent\") };";
    for (reports, changed) in [(&[][..], 0), (&[Failed][..], 0), (&[Failed, Executed][..], 1)] {
        let records = exports(POLICIES, reports).await;
        let tally = run(&records, &[rules(1, POLICIES)], Some(rules(9, &marking)));
        // The budget denies the fourth one in any case.
        assert_eq!(tally.groups.count(Kind::ChangedReason), changed, "{reports:?}: {tally:#?}");
        assert_eq!(tally.obstacle_count(), 0, "{tally:#?}");
    }
}
