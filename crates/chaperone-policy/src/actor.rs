//! Who acts for whom: a chain of sessions as the `act` claim of a token (RFC 8693 section 4.1).

use crate::session::DELEGATION_DEPTH_MAX;
use crate::value::EntityRef;

/// An `act` claim: who acts, and within it who acted before. The outermost is the current actor, the innermost the first.
///
/// An actor of a claim names a principal when its `sub` is the principal's whole name (`Agent::"report-bot"`), or its id alone
/// (`report-bot`, or a workload's SPIFFE ID). Sessions know no issuers, so `iss` is carried and compared with nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Actor {
    /// Who.
    pub sub: String,
    /// Who says so.
    pub iss: Option<String>,
    /// Who acted before, for whom this one acts.
    pub act: Option<Box<Self>>,
}

/// That somebody acts for somebody else: the parties to a chain of sessions.
///
/// Sessions in a row with one principal are one party: who narrows its own authority delegates nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delegation {
    /// For whom: the principal of the root.
    subject: EntityRef,
    /// Who acts, and who acted before it: the principal of the session first. At least one.
    actors: Vec<EntityRef>,
}

/// Where a claim and a chain of sessions differ.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ActorMismatch {
    /// The member of the claim, such as `act.act.sub`.
    pub field: String,
    /// What it says, and what it should.
    pub message: String,
}

impl Delegation {
    /// From the principals of a chain: the session's own first, the root's last. `None` where nobody acts for another.
    pub fn of<'a>(principals: impl IntoIterator<Item = &'a EntityRef>) -> Option<Self> {
        let mut actors: Vec<EntityRef> = Vec::new();
        for principal in principals {
            if actors.last() != Some(principal) {
                actors.push(principal.clone());
            }
        }
        let subject = actors.pop()?;
        if actors.is_empty() { None } else { Some(Self { subject, actors }) }
    }

    /// For whom: `sub` at the top of a token.
    pub fn subject(&self) -> &EntityRef {
        &self.subject
    }

    /// Who acts, and who acted before it: the current one first.
    pub fn actors(&self) -> &[EntityRef] {
        &self.actors
    }

    /// As a claim, with whole names.
    pub fn act(&self) -> Option<Actor> {
        let nest = |act: Option<Actor>, actor: &EntityRef| {
            Some(Actor { sub: actor.to_string(), iss: None, act: act.map(Box::new) })
        };
        self.actors.iter().rev().fold(None, nest)
    }
}

impl Actor {
    /// This actor and those before it: the current one first.
    pub fn iter(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |actor| actor.act.as_deref())
    }

    /// Whether this is that principal.
    pub fn names(&self, principal: &EntityRef) -> bool {
        self.sub == principal.id || self.sub == principal.to_string()
    }

    /// Whether it tells of the same actors as a chain of sessions, in the same order.
    ///
    /// RFC 8693 lets only the current actor and the subject decide on access. So prior actors give nothing here either: a claim that tells
    /// otherwise of them is refused, and none is believed beyond what the sessions say.
    ///
    /// # Errors
    /// With the first difference, from the outside in.
    pub fn check(&self, delegation: Option<&Delegation>) -> Result<(), ActorMismatch> {
        let mut field = "act".to_owned();
        let mut known = delegation.into_iter().flat_map(Delegation::actors);
        for (depth, actor) in self.iter().enumerate() {
            if depth >= DELEGATION_DEPTH_MAX as usize {
                let message = format!("at most {DELEGATION_DEPTH_MAX} actors are accepted");
                return Err(ActorMismatch { field, message });
            }
            match known.next() {
                Some(principal) if actor.names(principal) => {}
                Some(principal) => {
                    let message = format!("is `{}`, but the session's chain has `{principal}` here", actor.sub);
                    return Err(ActorMismatch { field: format!("{field}.sub"), message });
                }
                None => {
                    let message = format!("is `{}`, but nobody is delegated to here in the session's chain", actor.sub);
                    return Err(ActorMismatch { field, message });
                }
            }
            field.push_str(".act");
        }
        match known.next() {
            Some(principal) => {
                let message = format!("is missing: the session's chain has `{principal}` here");
                Err(ActorMismatch { field, message })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn principal(id: &str) -> EntityRef {
        EntityRef::new("Agent", id)
    }

    /// From the current actor to the first.
    fn act(subs: &[&str]) -> Actor {
        let nest = |act: Option<Actor>, sub: &&str| {
            Some(Actor {
                sub: (*sub).to_owned(),
                iss: Some("https://idp.example.com".to_owned()),
                act: act.map(Box::new),
            })
        };
        subs.iter().rev().fold(None, nest).expect("at least one")
    }

    #[test]
    fn current_actor_is_outermost_and_the_root_is_the_subject() {
        let chain = ["b", "a", "u"].map(principal);
        let delegation = Delegation::of(&chain).expect("two actors");
        assert_eq!(delegation.subject(), &principal("u"));
        let claim = delegation.act().expect("a claim");
        assert_eq!(claim.iter().map(|actor| actor.sub.as_str()).collect::<Vec<_>>(), ["Agent::\"b\"", "Agent::\"a\""]);
    }

    #[test]
    fn who_narrows_its_own_authority_is_one_party() {
        assert_eq!(Delegation::of(&["u", "u"].map(principal)), None);
        let chain = ["b", "b", "u", "u"].map(principal);
        assert_eq!(Delegation::of(&chain), Delegation::of(&["b", "u"].map(principal)));
        // Who acts again after another is a party again.
        assert_eq!(Delegation::of(&["u", "b", "u"].map(principal)).map(|it| it.actors().len()), Some(2));
        assert_eq!(Delegation::of(&[]), None);
    }

    #[test]
    fn difference_is_named_where_it_is() {
        let delegation = Delegation::of(&["b", "a", "u"].map(principal));
        let check = |subs: &[&str]| act(subs).check(delegation.as_ref()).map_err(|error| error.field);
        assert_eq!(check(&["b", "a"]), Ok(()));
        assert_eq!(check(&["Agent::\"b\"", "a"]), Ok(()));
        assert_eq!(check(&["User::\"b\"", "a"]), Err("act.sub".to_owned()));
        assert_eq!(check(&["a", "b"]), Err("act.sub".to_owned()));
        assert_eq!(check(&["b", "x"]), Err("act.act.sub".to_owned()));
        assert_eq!(check(&["b"]), Err("act.act".to_owned()));
        assert_eq!(check(&["b", "a", "u"]), Err("act.act.act".to_owned()));
        assert_eq!(act(&["b"]).check(None).map_err(|error| error.field), Err("act".to_owned()));
        assert_eq!(
            act(&["b"; 17]).check(Delegation::of(&["b", "u"].map(principal)).as_ref()).map_err(|error| error.field),
            Err("act.act".to_owned())
        );
    }

    proptest! {
        /// What a chain is shown as is what it is checked against, and says the same parties.
        #[test]
        fn chain_survives_its_claim(ids in prop::collection::vec("[abc\"\\\\é]{1,2}", 0..17)) {
            let principals: Vec<_> = ids.iter().map(|id| principal(id)).collect();
            let mut parties = principals.clone();
            parties.dedup();
            let delegation = Delegation::of(&principals);
            prop_assert_eq!(delegation.is_some(), parties.len() > 1);
            let Some(delegation) = delegation else { return Ok(()) };
            let claim = delegation.act().expect("somebody acts");
            prop_assert_eq!(claim.check(Some(&delegation)), Ok(()));
            let named: Vec<_> = claim.iter().map(|actor| actor.sub.clone()).collect();
            let (subject, actors) = parties.split_last().expect("two parties");
            prop_assert_eq!(delegation.subject(), subject);
            prop_assert_eq!(named, actors.iter().map(ToString::to_string).collect::<Vec<_>>());
        }

        /// A claim that matches names the same number of actors, each by name.
        #[test]
        fn nothing_else_matches(ids in prop::collection::vec("[ab]", 1..6), subs in prop::collection::vec("[ab]", 1..6)) {
            let principals: Vec<_> = ids.iter().map(|id| principal(id)).collect();
            let delegation = Delegation::of(&principals);
            let subs: Vec<_> = subs.iter().map(String::as_str).collect();
            let actors = delegation.iter().flat_map(Delegation::actors).map(|actor| actor.id.as_str());
            let same = actors.eq(subs.iter().copied());
            prop_assert_eq!(act(&subs).check(delegation.as_ref()).is_ok(), same);
        }
    }
}
