//! The Store trait: everything that Chaperone asks of its database, in the words of the domain.

use async_trait::async_trait;
use chaperone_policy::{
    Approval, ApprovalId, ApprovalState, BundleNumber, BundleSource, Ended, Entity, EntityRef, HandleHash, Memory,
    MemoryKey, Session, SessionId, Timestamp,
};

use crate::candidate::{Candidate, CandidateRole};
use crate::error::StoreError;
use crate::feed::{Changes, Cursor};

/// A store of sessions, bundles and entities, with a feed of their changes.
///
/// Time and ids are the caller's. Every write that others must learn of appends to the change feed in the same transaction.
/// Every method fails with [`StoreError::Unavailable`] when the backend does not answer within the store's own time limit, so that
/// none waits for ever. Dropping a method's future leaves the store as if the call had succeeded or had never been made.
#[async_trait]
pub trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// Checks that the schema is the one that this program was built for. Until it is, no other method may be called.
    ///
    /// # Errors
    /// [`StoreError::Schema`] when it is another.
    async fn check_schema(&self) -> Result<(), StoreError>;

    /// Adds a session, known by `handle`, where its tree has room for another. Sessions count that neither an act nor their own or an
    /// ancestor's end has ended at `session.opened_at`; idle ones do, for a replica may know of a use that the store does not.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when its parent does not exist; [`StoreError::TreeFull`] when there is no room. However many are opened at
    /// once, by however many replicas, no limit is passed.
    async fn open_session(&self, session: &Session, handle: &HandleHash, limits: &TreeLimits)
    -> Result<(), StoreError>;

    /// As [`Store::open_session`], without limits.
    ///
    /// # Errors
    /// As [`Store::open_session`].
    async fn insert_session(&self, session: &Session, handle: &HandleHash) -> Result<(), StoreError> {
        self.open_session(session, handle, &TreeLimits::NONE).await
    }

    /// A session by its id.
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// A session by its handle, with its ancestors: itself first, its root last; empty when the handle is unknown. One snapshot.
    async fn session_chain(&self, handle: &HandleHash) -> Result<Vec<Session>, StoreError>;

    /// Replaces a session whose stored version is still `session.version`; the stored one becomes that plus one, and is returned.
    /// `last_used_at` is kept as stored.
    ///
    /// # Errors
    /// [`StoreError::SessionConflict`] when the version is another, [`StoreError::NotFound`] when there is none.
    async fn save_session(&self, session: &Session) -> Result<Session, StoreError>;

    /// Revokes every session that `target` names and that no act has ended yet. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the target is a session or tree that does not exist.
    async fn revoke_sessions(&self, target: &RevokeTarget, ended: &Ended) -> Result<u64, StoreError>;

    /// Moves `last_used_at` forward, never back. No entry in the feed: a use is not news to other replicas.
    async fn touch_sessions(&self, uses: &[(SessionId, Timestamp)]) -> Result<(), StoreError>;

    /// Sessions, newest first. `before` is the last session of the page before.
    async fn sessions(
        &self,
        filter: &SessionFilter,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError>;

    /// Stores a bundle under the next number, or finds the stored one with the same digest. Says whether it was created.
    async fn insert_bundle(&self, bundle: &NewBundle) -> Result<(BundleInfo, bool), StoreError>;

    /// Makes a bundle the active one, and keeps the act in the history, both or neither.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such bundle; [`StoreError::BundleConflict`] when another is active than is expected.
    async fn activate_bundle(&self, activation: &NewActivation) -> Result<BundleInfo, StoreError>;

    /// Activations, newest first: every one that there was. `before` is the position of the last of the page before.
    async fn bundle_activations(&self, before: Option<u64>, limit: u32) -> Result<Vec<BundleActivation>, StoreError>;

    /// Sets the candidate of a role, in the place of the one that there is. The active bundle must be the one that it is beside.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such bundle; [`StoreError::BundleConflict`] when another one is active.
    async fn put_candidate(&self, candidate: &Candidate) -> Result<(), StoreError>;

    /// Removes the candidate of a role. Says whether there was one.
    async fn remove_candidate(&self, role: CandidateRole, at: Timestamp) -> Result<bool, StoreError>;

    /// The candidates, at most one of each role.
    async fn candidates(&self) -> Result<Vec<Candidate>, StoreError>;

    /// The active bundle.
    async fn active_bundle(&self) -> Result<Option<StoredBundle>, StoreError>;

    /// A bundle by its number.
    async fn bundle(&self, number: BundleNumber) -> Result<Option<StoredBundle>, StoreError>;

    /// Bundles, newest first. `before` is the last of the page before.
    async fn bundles(&self, before: Option<BundleNumber>, limit: u32) -> Result<Vec<BundleInfo>, StoreError>;

    /// Stores entities, replacing those with the same identity: all or none.
    async fn put_entities(&self, entities: &[Entity], at: Timestamp) -> Result<(), StoreError>;

    /// Deletes entities; returns how many existed.
    async fn delete_entities(&self, uids: &[EntityRef], at: Timestamp) -> Result<u64, StoreError>;

    /// Entities by type and id. `after` is the last of the page before.
    async fn entities(
        &self,
        kind: Option<&str>,
        after: Option<&EntityRef>,
        limit: u32,
    ) -> Result<Vec<Entity>, StoreError>;

    /// The entities that exist of these, at most 1,000, in no order. One snapshot.
    async fn entities_named(&self, uids: &[EntityRef]) -> Result<Vec<Entity>, StoreError>;

    /// What is remembered of each of these, at most 1,000, in their order. One snapshot.
    async fn memories(&self, keys: &[MemoryKey]) -> Result<Vec<StoredMemory>, StoreError>;

    /// Commits each of several transitions, or none of it where a version is not the one that was read; says which, in their order.
    /// All of them take one round trip's time, and are durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Overlap`] when a memory is written twice: nothing is committed. After any other error it is open what of it is
    /// committed: load the memories again.
    async fn commit_memories(&self, transitions: &[Transition], at: Timestamp) -> Result<Vec<Committed>, StoreError>;

    /// Adds an approval, unless one waits at `approval.requested_at` that would answer the same challenge: for the same session,
    /// step-up, action, resource and attributes.
    async fn open_approval(&self, approval: &Approval) -> Result<OpenedApproval, StoreError>;

    /// An approval by its id.
    async fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError>;

    /// Approvals, newest first. `before` is the last of the page before.
    async fn approvals(
        &self,
        filter: &ApprovalFilter,
        before: Option<ApprovalId>,
        limit: u32,
    ) -> Result<Vec<Approval>, StoreError>;

    /// How many approvals wait for answers at `at`.
    async fn approvals_waiting(&self, at: Timestamp) -> Result<u64, StoreError>;

    /// Replaces an approval that is stored as pending with `approval.version`, or one that is stored as approved where it is cancelled
    /// now; the stored one has that plus one. The memory `granted`, with what it grants or without what it granted, is written with
    /// it, both or neither, as by [`Store::commit_memories`].
    ///
    /// # Errors
    /// [`StoreError::ApprovalConflict`] when its version is another, or it was answered already. Nothing is changed.
    async fn save_approval(
        &self,
        approval: &Approval,
        granted: Option<&StoredMemory>,
        at: Timestamp,
    ) -> Result<SavedApproval, StoreError>;

    /// Where the feed ends now. Read it before loading state: what changes later is then in the feed.
    async fn feed_end(&self) -> Result<Cursor, StoreError>;

    /// Changes after `cursor`, at most `limit`; memories that stand at one position, 100 at most, are not parted and may exceed it.
    ///
    /// # Errors
    /// [`StoreError::FeedGap`] when some of them were pruned already.
    async fn changes(&self, cursor: &Cursor, limit: u32) -> Result<Changes, StoreError>;

    /// Waits for a hint that there may be changes. It may come late, never, or for nothing: poll as well.
    async fn changed(&self);

    /// Removes changes made before `before`. Returns how many.
    async fn prune_changes(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Keeps what a replica says of itself, in place of what it said before. No entry in the feed: nothing is decided by it.
    async fn report_replica(&self, report: &ReplicaReport) -> Result<(), StoreError>;

    /// The replicas that said something of themselves at `since` or later, by name.
    async fn replicas(&self, since: Timestamp) -> Result<Vec<ReplicaReport>, StoreError>;

    /// Forgets a replica that leaves, and those that said nothing since `before`.
    async fn forget_replicas(&self, replica: Option<&str>, before: Timestamp) -> Result<(), StoreError>;

    /// Asks the backend for an answer.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Closes connections, after what is under way.
    async fn close(&self);
}

/// How broad a tree of sessions may be. How deep it may be, [`chaperone_policy::DELEGATION_DEPTH_MAX`] says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TreeLimits {
    /// How many live children one session may have.
    pub children_max: u32,
    /// How many live sessions one tree may have, its root included.
    pub sessions_max: u32,
}

impl TreeLimits {
    /// As many as there may be.
    pub const NONE: Self = Self { children_max: u32::MAX, sessions_max: u32::MAX };
}

impl Default for TreeLimits {
    fn default() -> Self {
        Self { children_max: 100, sessions_max: 1_000 }
    }
}

/// What became of an approval that was to be added.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OpenedApproval {
    /// It was added.
    New,
    /// Another waits for the same: this one. Nothing was added.
    Waiting(Box<Approval>),
    /// The session waits for as many as it may. Nothing was added.
    TooMany,
}

/// What became of an approval that was to be saved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SavedApproval {
    /// It is stored like this, and so is what it grants.
    Done(Box<Approval>),
    /// The memory that it grants in was changed first; nothing is stored. The memory as it is stored now.
    MemoryConflict(Box<StoredMemory>),
}

/// Which approvals to list; every field that is set must hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ApprovalFilter {
    /// In this state at this time.
    pub state: Option<(ApprovalState, Timestamp)>,
    /// Asked by this session.
    pub session: Option<SessionId>,
    /// Asked by this principal.
    pub principal: Option<EntityRef>,
}

/// Which sessions to revoke.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RevokeTarget {
    /// One; its descendants end with it.
    Session(SessionId),
    /// Every session of the tree with this root.
    Tree(SessionId),
    /// Every session of a principal.
    Principal(EntityRef),
    /// Every session of an owner.
    Owner(String),
    /// Every session of a task id.
    Task(String),
}

/// Which sessions to list; every field that is set must hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SessionFilter {
    /// Of this principal.
    pub principal: Option<EntityRef>,
    /// Of this owner.
    pub owner: Option<String>,
    /// Of this task id.
    pub task_id: Option<String>,
    /// In this tree.
    pub tree: Option<SessionId>,
    /// In this state, by their own record at this time (descendants of an ended session count as active here).
    pub life: Option<(chaperone_policy::Life, Timestamp)>,
}

/// A bundle to store. It was validated.
#[derive(Clone, Debug)]
pub struct NewBundle {
    /// Its files.
    pub source: BundleSource,
    /// How many policies it has.
    pub policy_count: u32,
    /// The uploader's note.
    pub message: String,
    /// Who uploads it.
    pub uploaded_by: String,
    /// When.
    pub uploaded_at: Timestamp,
}

/// What is known of a stored bundle.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BundleInfo {
    /// Its number, from 1.
    pub number: BundleNumber,
    /// SHA-256 over its files, in hexadecimal.
    pub digest: String,
    /// The uploader's note.
    pub message: String,
    /// Who uploaded it.
    pub uploaded_by: String,
    /// When.
    pub uploaded_at: Timestamp,
    /// How many policies it has.
    pub policy_count: u32,
    /// Whether it is the active one.
    pub active: bool,
}

/// An activation of a bundle, to be made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewActivation {
    /// The bundle that becomes active.
    pub number: BundleNumber,
    /// The one that must be active now; `Some(0)`: none; `None`: whichever.
    pub expected: Option<BundleNumber>,
    /// Whether it goes back to an earlier bundle.
    pub is_rollback: bool,
    /// Why; may be empty.
    pub message: String,
    /// Who activates it.
    pub activated_by: String,
    /// When.
    pub activated_at: Timestamp,
}

impl NewActivation {
    /// An activation of `number`, whichever bundle is active now.
    pub fn new(number: BundleNumber, by: impl Into<String>, at: Timestamp) -> Self {
        Self {
            number,
            expected: None,
            is_rollback: false,
            message: String::new(),
            activated_by: by.into(),
            activated_at: at,
        }
    }
}

/// An activation of a bundle, as it is kept. Nothing changes one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BundleActivation {
    /// Its place in the history; grows with every activation, with gaps.
    pub position: u64,
    /// The bundle that became active.
    pub number: BundleNumber,
    /// The one that was active before.
    pub previous: Option<BundleNumber>,
    /// Whether it went back to an earlier bundle.
    pub is_rollback: bool,
    /// Why; may be empty.
    pub message: String,
    /// Who activated it.
    pub activated_by: String,
    /// When.
    pub activated_at: Timestamp,
}

/// What a replica says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReplicaReport {
    /// Its name.
    pub replica: String,
    /// The version of its program.
    pub version: String,
    /// The bundle that it serves.
    pub bundle: Option<BundleNumber>,
    /// Whether it cannot use that bundle, and so decides nothing.
    pub is_unusable: bool,
    /// When it said so, by its own clock.
    pub seen_at: Timestamp,
}

/// A stored bundle with its files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredBundle {
    /// What is known of it.
    pub info: BundleInfo,
    /// Its files.
    pub source: BundleSource,
}

/// A memory as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredMemory {
    /// Whose.
    pub key: MemoryKey,
    /// Grows by one with every commit; 0: nothing is stored.
    pub version: u64,
    /// What it holds.
    pub memory: Memory,
}

/// Memories that change together or not at all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Transition {
    /// What each is to hold. `version` is the one that was read: stored is the next.
    pub writes: Vec<StoredMemory>,
    /// What it was decided on beside those: memories with the versions that were read, which must still be stored when it commits.
    pub reads: Vec<(MemoryKey, u64)>,
}

/// What became of a [`Transition`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Committed {
    /// All of it is stored.
    Done,
    /// Another changed one of its memories first; nothing of it is stored. These are the ones that changed, as they are stored now.
    Conflict(Vec<StoredMemory>),
}
