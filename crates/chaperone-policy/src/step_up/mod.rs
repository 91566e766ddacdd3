//! Step-ups: denials that a person's approval lifts.
//!
//! A `forbid` with `@stepup("name")` is lifted by a grant that stands in the memory of the session or of its tree, and that was given
//! for this name, this action, this resource and these attributes. What is lifted determines nothing, and the decision takes one use.

mod digest;
mod settings;

use std::collections::BTreeMap;

use smol_str::SmolStr;

pub use self::digest::{AttributesDigest, ParseDigestError};
pub(crate) use self::digest::{attributes, value};
pub use self::settings::{APPROVERS_MAX, StepUpSettings};
use crate::compiled::{Looked, Question};
use crate::effects::{Effect, Level};
use crate::ids::ApprovalId;
use crate::memory::Change;
use crate::policy_set::Policy;
use crate::schema::CompiledSchema;
use crate::value::{Attributes, EntityRef};

/// What a challenge asks for: an approval that would lift some of the forbids that determined it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StepUp {
    /// Its name, as `@stepup` has it.
    pub name: SmolStr,
    /// The action that needs it.
    pub action: EntityRef,
    /// What that acts on.
    pub resource: EntityRef,
    /// The request's attributes, in their canonical form, for the approver to see.
    pub attributes: Attributes,
    /// Of the attributes: an approval is for these and no others.
    pub digest: AttributesDigest,
    /// The forbids that it would lift, with the text that each has for the caller.
    pub policies: Vec<(SmolStr, Option<String>)>,
}

/// What grants make of the forbids that apply.
pub(crate) enum Lifting<'a> {
    /// One of them has no `@stepup`, or there is no session that an approval could be for.
    Denied,
    /// Each is lifted. What the decision takes for that.
    Lifted(Vec<Effect>),
    /// Approvals would lift these.
    Wanted(Vec<&'a Policy>, Vec<StepUp>),
}

/// Finds out which of the forbids that apply are lifted. `explain` renders a policy's text for the caller.
///
/// Every one of a name is lifted by the same grant, and takes one use of it. Of several grants the one that is over first is used.
pub(crate) fn lift<'a>(
    forbids: &[&'a Policy],
    schema: &CompiledSchema,
    question: &Question<'_>,
    explain: impl Fn(&Policy) -> Option<String>,
) -> Lifting<'a> {
    let Some(chain) = question.chain else { return Lifting::Denied };
    let mut by_name: BTreeMap<&SmolStr, Vec<&'a Policy>> = BTreeMap::new();
    for policy in forbids {
        let Some(name) = &policy.annotations.step_up else { return Lifting::Denied };
        by_name.entry(name).or_default().push(*policy);
    }
    let (action, resource) = (&question.request.action, &question.request.resource);
    question.trace.look(|| Looked::Grants(question.request.action.clone()));
    let attributes = digest::attributes(question.request, schema.symbols());
    let attributes: Attributes = attributes.map(|(name, value)| (name.clone(), value)).collect();
    let digest = AttributesDigest::of(&attributes);
    let find = |name: &SmolStr| -> Option<(Level, ApprovalId)> {
        let memories = [Level::Session, Level::Tree].map(|level| (level, chain.recall().memory(level)));
        let grants = memories.iter().flat_map(|(level, memory)| {
            memory.iter().flat_map(|memory| memory.grants()).map(move |(approval, grant)| (*level, approval, grant))
        });
        let lifts = grants.filter(|(.., grant)| {
            grant.step_up == *name
                && grant.action == *action
                && grant.resource == *resource
                && grant.digest == digest
                && !grant.is_over(question.now)
        });
        let (.., level, approval) = lifts.map(|(level, approval, grant)| (grant.until, level, approval)).min()?;
        Some((level, approval))
    };
    let (mut taken, mut unlifted, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
    for (name, policies) in by_name {
        if let Some((level, approval)) = find(name) {
            taken.push(Effect::Remember(level, Change::UseGrant(approval)));
            continue;
        }
        wanted.push(StepUp {
            name: name.clone(),
            action: action.clone(),
            resource: resource.clone(),
            attributes: attributes.clone(),
            digest,
            policies: policies.iter().map(|policy| (policy.id.clone(), explain(policy))).collect(),
        });
        unlifted.extend(policies);
    }
    if wanted.is_empty() {
        return Lifting::Lifted(taken);
    }
    unlifted.sort_by(|a, b| a.id.cmp(&b.id));
    Lifting::Wanted(unlifted, wanted)
}
