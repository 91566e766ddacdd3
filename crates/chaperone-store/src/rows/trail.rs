//! The rows of `trail_records`: what is searched of a record, read from its bytes.

use std::borrow::Cow;

use chaperone_policy::{DecisionId, EntityRef, SessionId, Timestamp};
use chaperone_trail::{ChainId, Digest, EventKind, Sealed};
use serde::Deserialize;
use uuid::Uuid;

use crate::trail::TrailError;

/// How long a copy of a text is at most: the database refuses to index what is longer than a third of a page.
const COPY_BYTES_MAX: usize = 512;
/// What stands in `outcome` where there was no decision.
const NO_DECISION: &str = "none";

/// A row of `trail_records`. The times and ids are as the record has them, the texts are copies: [`copy_of`].
#[derive(Debug, PartialEq)]
pub(crate) struct TrailRow<'a> {
    pub(crate) at: Timestamp,
    pub(crate) chain_id: Uuid,
    pub(crate) seq: i64,
    pub(crate) prev: Digest,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) session_id: Option<Uuid>,
    pub(crate) tree_id: Option<Uuid>,
    pub(crate) principal: Option<String>,
    pub(crate) owner: Option<Cow<'a, str>>,
    pub(crate) outcome: Option<Cow<'a, str>>,
    pub(crate) code: Option<Cow<'a, str>>,
    pub(crate) decision_id: Option<Uuid>,
    pub(crate) actions: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) policies: Vec<Cow<'a, str>>,
    pub(crate) record: &'a str,
}

/// What is read of a record: every field of every kind that is searched, and no other. A record of a kind that this program does not
/// know has whichever of them it has.
#[derive(Deserialize)]
struct Searched<'a> {
    chain: ChainId,
    seq: u64,
    prev: Digest,
    at: Timestamp,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    id: Option<DecisionId>,
    #[serde(borrow, default)]
    outcome: Option<Text<'a>>,
    #[serde(borrow, default)]
    code: Option<Text<'a>>,
    #[serde(borrow, default)]
    session: Option<SearchedSession<'a>>,
    #[serde(borrow, default)]
    principal: Option<SearchedEntity<'a>>,
    #[serde(borrow, default)]
    actions: Vec<SearchedAction<'a>>,
    #[serde(borrow, default)]
    policies: Vec<SearchedPolicy<'a>>,
    #[serde(default)]
    decision: Option<DecisionId>,
}

/// A text that is borrowed where it has no escapes; serde borrows no `Cow` inside of an `Option`.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct SearchedSession<'a> {
    id: SessionId,
    tree: SessionId,
    #[serde(borrow)]
    owner: Cow<'a, str>,
}

#[derive(Deserialize)]
struct SearchedEntity<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct SearchedAction<'a> {
    #[serde(borrow)]
    action: SearchedEntity<'a>,
    #[serde(borrow)]
    resource: SearchedEntity<'a>,
}

#[derive(Deserialize)]
struct SearchedPolicy<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl<'a> TrailRow<'a> {
    /// The row of a record.
    ///
    /// # Errors
    /// [`TrailError::Damaged`] when the bytes are no record, or that of another place.
    pub(crate) fn of(sealed: &'a Sealed) -> Result<Self, TrailError> {
        let damaged = |source: crate::BoxError| TrailError::Damaged { chain: sealed.chain, seq: sealed.seq, source };
        let record = std::str::from_utf8(&sealed.bytes).map_err(|error| damaged(error.into()))?;
        let searched: Searched<'_> = serde_json::from_str(record).map_err(|error| damaged(error.into()))?;
        if (searched.chain, searched.seq) != (sealed.chain, sealed.seq) {
            let place = format!("it stands at {} of chain `{}`", searched.seq, searched.chain);
            return Err(damaged(place.into()));
        }
        let seq = i64::try_from(sealed.seq).map_err(|error| damaged(error.into()))?;
        let is = |kind| searched.kind == name_of(kind);
        // As `RecordFilter::matches` has it.
        let (outcome, decision) = if is(EventKind::NoDecision) {
            (Some(Cow::Borrowed(NO_DECISION)), searched.id)
        } else if is(EventKind::Act) {
            (None, searched.decision)
        } else {
            (searched.outcome.map(|outcome| copy_of(outcome.0)), searched.id)
        };
        let session = searched.session;
        Ok(Self {
            at: searched.at,
            chain_id: sealed.chain.as_uuid(),
            seq,
            prev: searched.prev,
            session_id: session.as_ref().map(|session| session.id.as_uuid()),
            tree_id: session.as_ref().map(|session| session.tree.as_uuid()),
            principal: searched.principal.map(|principal| principal.copy()),
            owner: session.map(|session| copy_of(session.owner)),
            outcome,
            code: searched.code.map(|code| copy_of(code.0)),
            decision_id: decision.map(DecisionId::as_uuid),
            actions: searched.actions.iter().map(|asked| asked.action.copy()).collect(),
            resources: searched.actions.iter().map(|asked| asked.resource.copy()).collect(),
            policies: searched.policies.into_iter().map(|policy| copy_of(policy.id)).collect(),
            kind: copy_of(searched.kind),
            record,
        })
    }
}

impl SearchedEntity<'_> {
    fn copy(&self) -> String {
        copy_of_entity(&self.kind, &self.id)
    }
}

/// The name of a kind, as records have it.
pub(crate) const fn name_of(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Started => "started",
        EventKind::Checkpoint => "checkpoint",
        EventKind::Stopped => "stopped",
        EventKind::State => "state",
        EventKind::Decision => "decision",
        EventKind::NoDecision => "no_decision",
        EventKind::Act => "act",
    }
}

/// An identity as a column has it: `Type::"id"`, and as [`copy_of`] says.
pub(crate) fn copy_of_identity(entity: &EntityRef) -> String {
    copy_of_entity(&entity.kind, &entity.id)
}

/// A type has no quotes, so that this has one reading.
fn copy_of_entity(kind: &str, id: &str) -> String {
    let text = [kind, "::\"", id, "\""].concat();
    copy_of(Cow::Owned(text)).into_owned()
}

/// A text as a column has it: equal copies are of equal texts, and no text is refused by the database, which knows no U+0000 and has a
/// limit on what it indexes.
pub(crate) fn copy_of(text: Cow<'_, str>) -> Cow<'_, str> {
    let text =
        if text.contains(['\\', '\0']) { Cow::Owned(text.replace('\\', "\\\\").replace('\0', "\\0")) } else { text };
    if text.len() <= COPY_BYTES_MAX {
        return text;
    }
    // Longer than every other copy, so that it is not one of them.
    let head = text.get(..text.ceil_char_boundary(COPY_BYTES_MAX - 63)).unwrap_or_default();
    Cow::Owned([head, &Digest::of(text.as_bytes()).to_string()].concat())
}
