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
use crate::presenter::Address;
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

    /// The request for an action of a presenter at this address, which stays here.
    ///
    /// # Errors
    /// When it is not as it must be.
    pub(super) fn request(
        &mut self,
        bundle: &Arc<Bundle>,
        action: ActionFields<'_>,
        address: &Address<'_>,
    ) -> Result<&Request, AdminError> {
        let again = self.action.as_ref().and_then(|last| last.again(bundle, &action));
        let last = match (again, &mut self.action) {
            (Some(id), Some(last)) => {
                last.request.resource.id = id.into();
                last
            }
            (_, last) => last.insert(LastAction::new(bundle, action)?),
        };
        // Another presenter may be elsewhere.
        bundle.place_zone(&mut last.request, || address.ip());
        Ok(&last.request)
    }
}

impl LastAction {
    fn new(bundle: &Arc<Bundle>, action: ActionFields<'_>) -> Result<Self, AdminError> {
        let (bundle_asked, name) =
            if action.attributes.is_empty() { (Arc::downgrade(bundle), action.action) } else { (Weak::new(), "") };
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::LazyLock;

    use chaperone_api::chaperone::v1 as api;
    use chaperone_policy::BundleSource;
    use proptest::prelude::*;

    use super::*;

    const SCHEMA: &str = "
        entity User, Document, Folder;
        action read appliesTo { principal: [User], resource: [Document, Folder], context: { request: { rows?: Long } } };
        action list appliesTo { principal: [User], resource: [Folder], context: { request: {} } };
        action export appliesTo { principal: [User], resource: [Document], context: { request: { rows: Long } } };";

    fn bundle(schema: &str) -> Arc<Bundle> {
        let policy = "@id(\"all\") permit (principal, action, resource);";
        let files = [("schema.cedarschema", schema), ("policies/main.cedar", policy)];
        let files: BTreeMap<_, _> = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        Arc::new(Bundle::compile(&BundleSource { files }).expect("valid"))
    }

    static BUNDLES: LazyLock<[Arc<Bundle>; 2]> =
        LazyLock::new(|| [bundle(SCHEMA), bundle(&SCHEMA.replace("list", "browse"))]);

    type Question = (&'static str, Option<(&'static str, &'static str)>, Option<i64>);

    fn fields((action, resource, rows): Question) -> ActionFields<'static> {
        let value = |rows| ("rows", api::Value { kind: Some(api::value::Kind::Long(rows)) });
        let resource = resource.map(|(kind, id)| EntityFields { kind, id });
        ActionFields { action, resource, attributes: rows.map(value).into_iter().collect() }
    }

    fn questions() -> impl Strategy<Value = Vec<(usize, Question)>> {
        let action = prop::sample::select(vec!["read", "list", "export", "Action::\"read\"", "no such", ""]);
        let kind = prop::sample::select(vec!["Document", "Folder", "User", ""]);
        let resource = (kind, prop::sample::select(vec!["1", "2", "", "\0"]));
        let question = (action, prop::option::weighted(0.9, resource), prop::option::weighted(0.3, Just(7)));
        prop::collection::vec((0_usize..2, question), 1..20)
    }

    proptest! {
        /// Whatever was asked before, and by whichever bundle.
        #[test]
        fn request_is_what_it_would_be_without_a_last_one(questions in questions()) {
            let mut last = Last::default();
            for (which, question) in questions {
                let expected = action_request(&BUNDLES[which], &"action", fields(question));
                let request = last.request(&BUNDLES[which], fields(question), &Address::Unknown);
                match (request, expected) {
                    (Ok(request), Ok(expected)) => prop_assert_eq!(request, &expected),
                    (Err(error), Err(expected)) => prop_assert_eq!(error.to_string(), expected.to_string()),
                    (request, expected) => prop_assert!(false, "{request:?}, but alone {expected:?}"),
                }
            }
        }
    }

    #[test]
    fn spiffe_id_is_one_or_not_whatever_came_before() {
        let mut last = Last::default();
        for (text, is_one) in [
            ("spiffe://x/y", true),
            ("spiffe://x/y", true),
            ("spiffe://x/y/", false),
            ("spiffe://x/y", true),
            ("", false),
            ("spiffe://x/z", true),
        ] {
            assert_eq!(last.spiffe_id(text), Some(text).filter(|_| is_one), "{text}");
        }
    }

    #[test]
    fn handle_claims_its_session_whatever_came_before() {
        let mut last = Last::default();
        for handle in ["", "chp_1", "chp_1", "", "chp_2"] {
            assert_eq!(last.claim(handle), claim(handle), "{handle}");
        }
    }
}
