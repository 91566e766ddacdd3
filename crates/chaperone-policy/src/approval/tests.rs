use super::*;

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
    let approved = pending(1).approve(vote("bob"), usual()).expect("he may");
    assert_eq!(approved.state(NOW), ApprovalState::Approved);
    let (key, grant) = approved.grant().expect("it is approved");
    assert_eq!(key, MemoryKey::Session(approved.session));
    assert_eq!((grant.uses.get(), grant.until), (1, NOW.plus(Duration::from_secs(901))));
    assert!(matches!(approved.approve(vote("cat"), usual()), Err(ApprovalError::Over { .. })));
    assert!(pending(1).grant().is_none());
}

#[test]
fn requester_never_approves_whatever_the_spelling() {
    for by in ["reporter", " Reporter", "Agent::\"reporter\"", "ann@example.com", "Ann@Example.com "] {
        assert!(matches!(pending(1).approve(vote(by), usual()), Err(ApprovalError::OwnRequest { .. })), "{by}");
    }
    let allowed = Approval { owner_may_approve: true, ..pending(1) };
    assert!(allowed.approve(vote("ann@example.com"), usual()).is_ok());
    assert!(allowed.approve(vote("reporter"), usual()).is_err());
}

#[test]
fn two_people_are_two_and_the_narrowest_terms_count() {
    let half = pending(2).approve(vote("bob"), terms(ApprovalScope::Tree, 3, 900)).expect("he may");
    assert_eq!((half.state(NOW), half.grant()), (ApprovalState::Pending, None));
    assert!(matches!(half.approve(vote("BOB"), usual()), Err(ApprovalError::SamePerson { .. })));
    let whole = half.approve(vote("cat"), terms(ApprovalScope::Tree, 5, 60)).expect("she may");
    let (key, grant) = whole.grant().expect("it is approved");
    assert_eq!(key, MemoryKey::Tree(whole.tree));
    assert_eq!((grant.uses.get(), grant.until), (3, NOW.plus(Duration::from_secs(61))));
}

#[test]
fn no_ends_it_and_nothing_is_granted() {
    let half = pending(2).approve(vote("bob"), usual()).expect("he may");
    for (closing, state) in [(Closing::Deny, ApprovalState::Denied), (Closing::Cancel, ApprovalState::Cancelled)] {
        let closed = half.close(closing, vote("dan")).expect("it waits");
        assert_eq!((closed.state(NOW), closed.grant()), (state, None));
        assert!(closed.approve(vote("cat"), usual()).is_err() && closed.close(closing, vote("cat")).is_err());
    }
}

#[test]
fn late_or_wide_yes_is_refused() {
    let late = Vote { at: NOW.plus(Duration::from_hours(1)), ..vote("bob") };
    assert!(matches!(
        pending(1).approve(late, usual()),
        Err(ApprovalError::Over { state: ApprovalState::Expired, .. })
    ));
    let wide = terms(ApprovalScope::Session, 1, 901);
    assert!(matches!(pending(1).approve(vote("bob"), wide), Err(ApprovalError::TooLong { .. })));
    let often = terms(ApprovalScope::Session, USES_MAX + 1, 1);
    assert_eq!(pending(1).approve(vote("bob"), often), Err(ApprovalError::TooOften));
}
