//! What the last question of a stream said. Most streams speak for one session, and ask for one action after the other of a few kinds.
//!
//! Only what is the same whenever it is computed is remembered. What the session is, and what the policies say, is looked up for every
//! question.

use std::sync::{Arc, Weak};

use chaperone_policy::{Bundle, Request};

use super::convert::is_name;
use super::decision_message::{ActionFields, EntityFields};
use super::decisions::{action_request, claim};
use crate::admin::AdminError;
use crate::pdp::Claim;
use crate::spiffe::parse_spiffe_id;

/// Of the last question.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// The handle's hash.
    claim: Option<(Box<str>, Claim)>,
    /// A SPIFFE ID that is one.
    spiffe_id: Option<Box<str>>,
    action: Option<LastAction>,
}

/// What was asked for.
#[derive(Debug)]
struct LastAction {
    /// By whose schema; nobody's where it had attributes. It is not kept alive, but its address is not given to another.
    bundle: Weak<Bundle>,
    /// As the question named it.
    name: Box<str>,
    request: Request,
}

impl Last {
    /// The session that a handle claims.
    pub(super) fn claim(&mut self, handle: &str) -> Claim {
        match &self.claim {
            Some((last, claim)) if **last == *handle => *claim,
            _ => {
                let claim = claim(handle);
                self.claim = Some((handle.into(), claim));
                claim
            }
        }
    }

    /// The text, where it is a SPIFFE ID.
    pub(super) fn spiffe_id<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        if self.spiffe_id.as_deref() != Some(text) {
            self.spiffe_id = Some(parse_spiffe_id(text)?.into());
        }
        Some(text)
    }

    /// The request for an action, which stays here.
    ///
    /// # Errors
    /// When it is not as it must be.
    pub(super) fn request(
        &mut self,
        bundle: &Arc<Bundle>,
        action: Option<ActionFields<'_>>,
    ) -> Result<&Request, AdminError> {
        let again = action.as_ref().and_then(|action| self.action.as_ref()?.again(bundle, action));
        let last = match (again, &mut self.action) {
            (Some(id), Some(last)) => {
                last.request.resource.id = id.into();
                last
            }
            (_, last) => last.insert(LastAction::new(bundle, action)?),
        };
        Ok(&last.request)
    }
}

impl LastAction {
    fn new(bundle: &Arc<Bundle>, action: Option<ActionFields<'_>>) -> Result<Self, AdminError> {
        let (bundle_asked, name) = match &action {
            Some(action) if action.attributes.is_empty() => (Arc::downgrade(bundle), action.action),
            Some(_) | None => (Weak::new(), ""),
        };
        Ok(Self { bundle: bundle_asked, name: name.into(), request: action_request(bundle, &"action", action)? })
    }

    /// The resource's id, where the same is asked of a resource of the same type: what was checked of the last request holds for this.
    fn again<'a>(&self, bundle: &Arc<Bundle>, action: &ActionFields<'a>) -> Option<&'a str> {
        let EntityFields { kind, id } = action.resource?;
        let is_again = std::ptr::eq(self.bundle.as_ptr(), Arc::as_ptr(bundle))
            && *self.name == *action.action
            && self.request.resource.kind == kind
            && action.attributes.is_empty()
            && is_name(id);
        is_again.then_some(id)
    }
}
