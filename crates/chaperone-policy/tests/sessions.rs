//! The transitions of a session.

mod common;

use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{Binding, EndingAct, Life, Presenter, Session, SessionChain, Timestamp, TransitionError, Zones};
use common::*;
use proptest::prelude::*;

fn at(seconds: u64) -> Timestamp {
    OPENED.plus(Duration::from_secs(seconds))
}

/// A session in any part of its life.
fn session() -> impl Strategy<Value = Session> {
    let act = prop::sample::select(vec![None, Some(EndingAct::Completed), Some(EndingAct::Revoked)]);
    (act, 0_u64..200, prop::option::of(0_u64..200), 0_u64..200).prop_map(|(act, expires, idle, used)| {
        let session = Session {
            expires_at: at(expires),
            idle_timeout: idle.map(Duration::from_secs),
            last_used_at: at(used),
            ..root()
        };
        match act {
            Some(act) => ended(session, act, "why"),
            None => session,
        }
    })
}

proptest! {
    #[test]
    fn only_an_active_session_can_be_changed(session in session(), now in 0_u64..400) {
        let now = at(now);
        let is_active = session.life(now) == Life::Active;
        let refused = TransitionError::HasEnded { id: session.id };
        let renewed = session.renew(at(1_000), now);
        let completed = session.complete("done".into(), "me".into(), now);
        prop_assert_eq!(renewed.is_ok(), is_active);
        prop_assert_eq!(completed.is_ok(), is_active);
        if !is_active {
            prop_assert_eq!(renewed, Err(refused.clone()));
            prop_assert_eq!(completed, Err(refused));
        }
    }

    #[test]
    fn act_that_ended_a_session_outlives_every_time(session in session(), now in any::<i64>()) {
        if let Some(ended) = &session.ended {
            let expected = match ended.by_act {
                EndingAct::Completed => Life::Completed,
                EndingAct::Revoked => Life::Revoked,
            };
            prop_assert_eq!(session.life(Timestamp::from_micros(now)), expected);
        }
    }

    #[test]
    fn session_that_is_over_stays_over(session in session(), earlier in 0_u64..400, later in 0_u64..400) {
        let (earlier, later) = (earlier.min(later), earlier.max(later));
        if session.life(at(earlier)) != Life::Active {
            prop_assert_ne!(session.life(at(later)), Life::Active);
        }
    }

    #[test]
    fn completing_changes_the_ending_only(session in session(), now in 0_u64..400) {
        if let Ok(completed) = session.complete("done".into(), "me".into(), at(now)) {
            prop_assert_eq!(completed.life(at(now)), Life::Completed);
            prop_assert_eq!(Session { ended: None, ..completed }, session);
        }
    }

    #[test]
    fn binding_asks_for_all_that_it_names(
        spiffe_id in prop::option::of("[ab]"), certificate in prop::option::of(0_u8..2),
        shown_id in prop::option::of("[ab]"), shown_certificate in prop::option::of(0_u8..2),
    ) {
        let certificate_sha256 = certificate.map(|byte| [byte; 32]);
        let binding = Binding { spiffe_id: spiffe_id.clone(), certificate_sha256, ..Binding::default() };
        let presenter = Presenter { spiffe_id: shown_id.as_deref().map(Into::into), certificate_sha256: shown_certificate.map(|byte| [byte; 32]), address: None };
        let expected = (spiffe_id.is_none() || spiffe_id == shown_id)
            && (certificate.is_none() || certificate == shown_certificate);
        prop_assert_eq!(binding.is_met_by(&presenter, &Zones::default()), expected);
    }
}

#[test]
fn end_is_the_first_moment_without_authority() {
    assert_eq!(root().life(Timestamp::from_micros(OPENED.plus(LIFETIME).as_micros() - 1)), Life::Active);
    assert_eq!(root().life(OPENED.plus(LIFETIME)), Life::Expired);
}

#[test]
fn use_keeps_an_idle_session_alive() {
    let session = Session { idle_timeout: Some(Duration::from_secs(10)), ..root() };
    assert_eq!(session.life(at(11)), Life::Idle);
    assert_eq!(Session { last_used_at: at(5), ..session }.life(at(11)), Life::Active);
}

#[test]
fn clock_that_steps_back_revives_nothing_that_was_ended_by_an_act() {
    let revoked = ended(root(), EndingAct::Revoked, "");
    assert_eq!(revoked.life(Timestamp::from_micros(0)), Life::Revoked);
    let session = Session { idle_timeout: Some(Duration::from_secs(10)), ..root() };
    assert_eq!(session.life(Timestamp::from_micros(0)), Life::Active, "time before the last use is no idle time");
}

#[test]
fn chain_with_a_missing_link_is_no_chain() {
    let root = root();
    let middle = child(&root);
    let leaf = child(&middle);
    let new = |sessions: &[&Session]| {
        SessionChain::new(sessions.iter().map(|session| Arc::new((*session).clone())).collect())
    };
    assert!(new(&[&leaf, &middle, &root]).is_some());
    for broken in [&[][..], &[&leaf], &[&leaf, &middle], &[&leaf, &root], &[&root, &middle], &[&middle, &root, &root]] {
        assert!(new(broken).is_none(), "{} sessions", broken.len());
    }
    let elsewhere = Session { tree: leaf.id, ..middle };
    assert!(new(&[&elsewhere, &root]).is_none(), "of another tree");
}
