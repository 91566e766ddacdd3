//! The law of budgets, whatever is asked and when.

use std::sync::LazyLock;
use std::time::Duration;

use chaperone_policy::{Bundle, Outcome, Reason, Timestamp};
use proptest::prelude::*;

use crate::fixture::*;

/// A budget of reads of one session, tree or principal in so many seconds.
struct Budget {
    bundle: Bundle,
    most: usize,
    window: Duration,
}

static BUDGETS: LazyLock<Vec<Budget>> = LazyLock::new(|| {
    let budgets = [("session", 1, 60), ("session", 3, 5), ("tree", 4, 60), ("principal", 2, 90)];
    let budget = |(level, most, window): (&str, usize, u64)| {
        let counter = format!("context.{level}.counts[\"exports/{window}s\"]");
        let policies = format!(
            "@id(\"read\") @count(\"{level}:exports/{window}s\") permit (principal, action == Action::\"read\", resource);\n\
            @id(\"enough\") forbid (principal, action == Action::\"read\", resource) when {{ {counter} >= {most} }};"
        );
        Budget { bundle: bundle(&policies), most, window: Duration::from_secs(window) }
    };
    budgets.into_iter().map(budget).collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However often it is asked, no window holds more than the budget; and the budget comes back.
    #[test]
    fn no_window_holds_more_than_the_budget(
        which in 0_usize..4,
        steps in prop::collection::vec(prop_oneof![Just(0), 0..2_000_000_u64, 0..40_000_000_u64], 1..60),
    ) {
        let Budget { bundle, most, window } = &BUDGETS[which];
        let mut session = chain([root()]);
        let mut now = at(0);
        let mut allowed: Vec<Timestamp> = Vec::new();
        for step in steps {
            now = now.plus(Duration::from_micros(step));
            let decision = act(bundle, &mut session, &read(bundle), now);
            let in_window = |length: Duration| allowed.iter().filter(|at| **at >= now.minus(length)).count();
            match decision.outcome {
                Outcome::Allow => prop_assert!(in_window(*window) < *most),
                Outcome::Deny | Outcome::Challenge => {
                    prop_assert_eq!(decision.reason, Reason::Forbidden);
                    // Never forbidden for what is older than the window and its error.
                    let error = (*window / 60).max(Duration::from_secs(1));
                    prop_assert!(in_window(*window + error) >= *most);
                }
            }
            if decision.outcome == Outcome::Allow {
                allowed.push(now);
            }
            if now > at(3_500) {
                break;
            }
        }
    }
}
