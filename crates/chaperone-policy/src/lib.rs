//! The decision core: plain data in and out, with no IO, clock, randomness, protobuf or SQL.
//!
//! Cedar's types stop at this crate's edge.

mod actor;
mod approval;
mod bundle;
mod compiled;
mod convert;
mod coverage;
mod decide;
mod decision;
mod decoders;
mod descriptors;
mod diagnostics;
mod diff;
#[cfg(any(test, feature = "differential"))]
pub mod differential;
mod effects;
mod entities;
mod entity_text;
pub mod expansion;
mod fact;
mod format;
mod handle;
mod hierarchy;
mod history;
mod ids;
mod lint;
mod manifest;
pub mod mapping;
mod memory;
mod nesting;
mod policy_scope;
mod policy_set;
mod policy_text;
mod problem;
mod reason;
mod recall;
pub mod recorded;
mod reference;
mod remember;
mod report;
mod request;
mod schema;
mod scope;
mod session;
mod shape;
mod short_text;
mod source;
mod step_up;
mod timestamp;
mod value;
mod zone;

pub use chaperone_decode::document;
pub use chaperone_decode::mcp::{Imported as ImportedTools, import as import_tools};

pub use actor::{Actor, ActorMismatch, Delegation};
pub use approval::{
    Approval, ApprovalError, ApprovalScope, ApprovalState, AskedBy, COMMENT_BYTES_MAX, Closing, Decided, Requester,
    Terms, USES_MAX, Verdict, Vote,
};
pub use bundle::{Bundle, RequestError};
pub use compiled::{Looked, Trace};
pub use coverage::{ConditionCoverage, Coverage, PolicyCoverage};
pub use decide::{Authority, decide, decide_as_allowed, decide_by_cedar, decide_traced};
pub use decision::{Decision, DeterminingPolicy, Failure, Outcome, Reason};
pub use diff::{BundleDiff, DiffChange, DiffError, DiffPart, Difference};
pub use effects::{Alert, Effect, Level, Severity};
pub use entities::{Entity, EntityChanges, EntityError, EntityStore};
pub use fact::{FACTS_MAX, FactType, ResultFacts};
pub use format::format_policies;
pub use handle::{HandleHash, ParseHandleError, SessionHandle};
pub use history::NewNames;
pub use ids::{ApprovalId, BundleNumber, DecisionId, ParseIdError, SessionId};
pub use lint::{LINTS, Lint, lint};
pub use manifest::{LintSettings, Manifest, RiskSettings};
pub use memory::{
    Amount, ApprovalGrant, AwaitedReport, CLOCK_SKEW_MAX, Change, ChangeError, CountError, Counter, Deferred,
    LimitReached, Memory, MemoryKey, MemoryLimits, MemoryName, ParseMemoryKeyError, ParseMemoryNameError,
    RememberedSet, Reported, SIGNAL_ID_BYTES_MAX, SIGNAL_WINDOW, SIGNALS_MAX, Used, WINDOW_MAX, WINDOW_MIN, Wait,
    is_name,
};
pub use problem::Problem;
pub use remember::{Occasion, remember};
pub use report::{OutcomeReport, ReportError, ReportedMemories, Settlement, settle, settle_recorded};
pub use request::{Presenter, Request};
pub use scope::{Grant, SCOPE_BYTES_MAX, Scope, ScopeError};
pub use session::{
    BINDING_ZONES_MAX, Binding, DELEGATION_DEPTH_MAX, Ended, EndingAct, LABELS_MAX, Life, NAME_BYTES_MAX,
    PURPOSE_BYTES_MAX, Session, SessionChain, Task, TransitionError,
};
pub use shape::{ActionShape, Field, Fields, ShapeError, Shapes, Type};
pub use source::{BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX, BundleSource};
pub use step_up::{APPROVERS_MAX, AttributesDigest, ParseDigestError, StepUp, StepUpSettings};
pub use timestamp::Timestamp;
pub use value::{Attributes, EntityRef, Value};
pub use zone::{Cidr, CidrError, RangeTaken, ZONE_NAME_BYTES_MAX, Zones, is_zone_name};
