//! `act` claims (RFC 8693 section 4.1): as they are given, and as they are printed.

use std::path::Path;

use chaperone_api::chaperone::v1::{Actor, Delegation};
use serde::{Deserialize, Serialize};

use crate::cli::failure::Failure;
use crate::cli::files;

/// How large a file with a claim may be, in bytes.
const CLAIM_BYTES_MAX: u64 = 64 * 1024;

/// The claim of a token. What else a token says of an actor is left out.
#[derive(Debug, Deserialize)]
struct Claim {
    sub: String,
    #[serde(default)]
    iss: String,
    act: Option<Box<Self>>,
}

/// Who acts for whom, in the claims of a token.
#[derive(Debug, Serialize)]
pub struct DelegationJson<'a> {
    sub: &'a str,
    act: Option<ActorJson<'a>>,
}

#[derive(Debug, Serialize)]
struct ActorJson<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<Self>>,
}

/// A claim from a command line: JSON, or `@` and the name of a file.
///
/// # Errors
/// When the file cannot be read, or is no claim.
pub fn read(argument: &str) -> Result<Actor, Failure> {
    let text = match argument.strip_prefix('@') {
        Some(path) => files::read_text(Path::new(path), CLAIM_BYTES_MAX)?,
        None => argument.to_owned(),
    };
    let claim: Claim = serde_json::from_str(&text)
        .map_err(|error| Failure::Input(format!("the act claim is not as RFC 8693 has it: {error}")))?;
    Ok(claim.into())
}

impl From<Claim> for Actor {
    fn from(claim: Claim) -> Self {
        let act = claim.act.map(|before| Box::new((*before).into()));
        Self { sub: claim.sub, iss: claim.iss, act }
    }
}

impl<'a> From<&'a Delegation> for DelegationJson<'a> {
    fn from(delegation: &'a Delegation) -> Self {
        Self { sub: &delegation.sub, act: delegation.act.as_ref().map(ActorJson::from) }
    }
}

impl<'a> From<&'a Actor> for ActorJson<'a> {
    fn from(actor: &'a Actor) -> Self {
        Self { sub: &actor.sub, act: actor.act.as_deref().map(|before| Box::new(before.into())) }
    }
}

/// For whom the current actor acts, and through whom.
pub fn parties(delegation: &Delegation) -> String {
    let before = delegation.act.as_ref().and_then(|actor| actor.act.as_deref());
    let through = std::iter::successors(before, |actor| actor.act.as_deref()).map(|actor| actor.sub.as_str());
    through.fold(String::new(), |shown, actor| shown + actor + ", for ") + &delegation.sub
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_is_read_with_prior_actors_and_without_what_else_is_said_of_them() {
        let read = read(r#"{"sub":"b","iss":"https://idp","client_id":"x","act":{"sub":"a","email":"a@example.com"}}"#);
        let actor = read.expect("a claim");
        assert_eq!((actor.sub.as_str(), actor.iss.as_str()), ("b", "https://idp"));
        assert_eq!(actor.act.expect("a prior actor").sub, "a");
    }

    #[test]
    fn what_is_no_claim_is_refused() {
        for text in ["", "b", "[]", "{}", r#"{"sub":1}"#, r#"{"sub":"a","sub":"b"}"#, r#"{"sub":"a","act":"b"}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn delegation_is_printed_as_claims_and_in_words() {
        let actor =
            |sub: &str, act: Option<Actor>| Actor { sub: sub.into(), act: act.map(Box::new), ..Actor::default() };
        let delegation = Delegation { sub: "U".into(), act: Some(actor("b", Some(actor("a", None)))) };
        let json = serde_json::to_string(&DelegationJson::from(&delegation)).expect("it is written");
        assert_eq!(json, r#"{"sub":"U","act":{"sub":"b","act":{"sub":"a"}}}"#);
        assert_eq!(parties(&delegation), "a, for U");
        let direct = Delegation { sub: "U".into(), act: Some(actor("a", None)) };
        assert_eq!(parties(&direct), "U");
    }
}
