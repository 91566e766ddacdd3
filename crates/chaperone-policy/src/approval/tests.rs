use super::*;
use crate::memory::{Change, MemoryLimits};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn pending(approvers: u32) -> Approval {
    let id = |number| SessionId::new(uuid::Uuid::from_u128(number));
    Approval {
        id: ApprovalId::new(uuid::Uuid::from_u128(1)),
        session: id(2),
        tree: id(3),
        principal: EntityRef::new("Agent", "reporter"),
        owner: "ann@example.com".into(),
        task: Task::default(),
        step_up: "mfa".into(),
        action: EntityRef::action("export"),
        resource: EntityRef::new("Document", "1"),
        attributes: Attributes::new(),
        digest: AttributesDigest::of(&Attributes::new()),
        reason: String::new(),
        policies: vec!["no-export".into()],
        bundle: BundleNumber::new(1),
        decision: DecisionId::new(uuid::Uuid::from_u128(4)),
        approvers,
        owner_may_approve: false,
        max_duration_us: 900_000_000,
        requested_at: NOW,
        expires_at: NOW.plus(Duration::from_hours(1)),
        votes: Vec::new(),
        terms: None,
        decided: None,
        version: 1,
    }
}

fn vote(by: &str) -> Vote {
    Vote { by: by.into(), via: "token".into(), at: NOW.plus(Duration::from_secs(1)), comment: String::new() }
}

fn terms(scope: ApprovalScope, uses: u32, seconds: u64) -> Terms {
    Terms::new(scope, NonZeroU32::new(uses).expect("some"), Duration::from_secs(seconds))
}

const USUAL: (ApprovalScope, u32, u64) = (ApprovalScope::Session, 1, 900);

fn usual() -> Terms {
    terms(USUAL.0, USUAL.1, USUAL.2)
}

#[test]
fn one_yes_grants_to_the_session_that_asked() {
    let approved = pending(1).approve(vote("bob"), usual(), &[]).expect("he may");
    assert_eq!(approved.state(NOW), ApprovalState::Approved);
    let (key, grant) = approved.grant().expect("it is approved");
    assert_eq!(key, MemoryKey::Session(approved.session));
    assert_eq!((grant.uses.get(), grant.until), (1, NOW.plus(Duration::from_secs(901))));
    assert!(matches!(approved.approve(vote("cat"), usual(), &[]), Err(ApprovalError::Over { .. })));
    assert!(pending(1).grant().is_none());
}

#[test]
fn requester_never_approves_whatever_the_spelling() {
    for by in ["reporter", " Reporter", "Agent::\"reporter\"", "ann@example.com", "Ann@Example.com "] {
        assert!(matches!(pending(1).approve(vote(by), usual(), &[]), Err(ApprovalError::OwnRequest { .. })), "{by}");
    }
    let allowed = Approval { owner_may_approve: true, ..pending(1) };
    assert!(allowed.approve(vote("ann@example.com"), usual(), &[]).is_ok());
    assert!(allowed.approve(vote("reporter"), usual(), &[]).is_err());
}

#[test]
fn whoever_delegated_asks_as_well() {
    let ancestor = |principal: &str, owner: &str| Requester {
        principal: EntityRef::new("Agent", principal),
        owner: owner.to_owned(),
    };
    let ancestors = [ancestor("planner", "bob"), ancestor("root", "cat")];
    let by = |approval: &Approval, by: &str| match approval.approve(vote(by), usual(), &ancestors) {
        Ok(_) => None,
        Err(ApprovalError::OwnRequest { role, .. }) => Some(role),
        Err(other) => panic!("{other}"),
    };
    let strict = pending(1);
    let open = Approval { owner_may_approve: true, ..pending(1) };
    for (name, role) in [
        ("reporter", "the session's principal"),
        ("Planner", "the principal of an ancestor"),
        ("Agent::\"root\"", "the principal of an ancestor"),
    ] {
        assert_eq!((by(&strict, name), by(&open, name)), (Some(role), Some(role)), "{name}");
    }
    for (name, role) in [
        ("ann@example.com", "the session's owner"),
        (" BOB", "the owner of an ancestor"),
        ("cat", "the owner of an ancestor"),
    ] {
        assert_eq!((by(&strict, name), by(&open, name)), (Some(role), None), "{name}");
    }
    assert_eq!(by(&strict, "dan"), None);
}

#[test]
fn what_was_granted_is_withdrawn_once() {
    let approved = pending(1).approve(vote("bob"), terms(ApprovalScope::Session, 3, 900), &[]).expect("he may");
    let (_, grant) = approved.grant().expect("it is approved");
    let mut memory = Memory::default();
    let (now, limits) = (vote("bob").at, MemoryLimits::default());
    memory.apply(&Change::Grant(approved.id, Box::new(grant)), now, &limits, 0).expect("there is room");
    memory.apply(&Change::UseGrant(approved.id), now, &limits, 0).expect("it has uses");
    let late = Vote { at: now.plus(Duration::from_mins(15)), ..vote("ann@example.com") };
    assert!(matches!(approved.withdraw(late, &mut memory.clone()), Err(ApprovalError::Spent { .. })), "it is over");
    let withdrawn = approved.withdraw(vote("ann@example.com"), &mut memory).expect("anybody may");
    assert_eq!(withdrawn.decided.as_ref().and_then(|decided| decided.withdrawn), NonZeroU32::new(2));
    assert_eq!((withdrawn.state(now), withdrawn.grant()), (ApprovalState::Cancelled, None));
    assert!(withdrawn.has_vote_of("bob"), "who approved it stays known");
    assert_eq!(memory.grants().count(), 0);
    assert!(matches!(approved.withdraw(vote("cat"), &mut memory), Err(ApprovalError::Spent { .. })));
    for state in [pending(1), withdrawn] {
        assert!(matches!(state.withdraw(vote("cat"), &mut memory), Err(ApprovalError::Over { .. })));
    }
}

#[test]
fn two_people_are_two_and_the_narrowest_terms_count() {
    let half = pending(2).approve(vote("bob"), terms(ApprovalScope::Tree, 3, 900), &[]).expect("he may");
    assert_eq!((half.state(NOW), half.grant()), (ApprovalState::Pending, None));
    assert!(matches!(half.approve(vote("BOB"), usual(), &[]), Err(ApprovalError::SamePerson { .. })));
    let whole = half.approve(vote("cat"), terms(ApprovalScope::Tree, 5, 60), &[]).expect("she may");
    let (key, grant) = whole.grant().expect("it is approved");
    assert_eq!(key, MemoryKey::Tree(whole.tree));
    assert_eq!((grant.uses.get(), grant.until), (3, NOW.plus(Duration::from_secs(61))));
}

#[test]
fn no_ends_it_and_nothing_is_granted() {
    let half = pending(2).approve(vote("bob"), usual(), &[]).expect("he may");
    for (closing, state) in [(Closing::Deny, ApprovalState::Denied), (Closing::Cancel, ApprovalState::Cancelled)] {
        let closed = half.close(closing, vote("dan")).expect("it waits");
        assert_eq!((closed.state(NOW), closed.grant()), (state, None));
        assert!(closed.approve(vote("cat"), usual(), &[]).is_err() && closed.close(closing, vote("cat")).is_err());
    }
}

#[test]
fn late_or_wide_yes_is_refused() {
    let late = Vote { at: NOW.plus(Duration::from_hours(1)), ..vote("bob") };
    assert!(matches!(
        pending(1).approve(late, usual(), &[]),
        Err(ApprovalError::Over { state: ApprovalState::Expired, .. })
    ));
    let wide = terms(ApprovalScope::Session, 1, 901);
    assert!(matches!(pending(1).approve(vote("bob"), wide, &[]), Err(ApprovalError::TooLong { .. })));
    let often = terms(ApprovalScope::Session, USES_MAX + 1, 1);
    assert_eq!(pending(1).approve(vote("bob"), often, &[]), Err(ApprovalError::TooOften));
}
