//! How arguments are written: parsers from text to plain data, for clap.

mod attribute;
mod certificate;
mod duration;
mod entity_ref;
mod json;
mod moment;
mod scope;
mod share;

pub(super) use attribute::attribute;
pub(crate) use certificate::fingerprint;
pub(super) use certificate::{Thumbprint, certificate_sha256};
pub(crate) use duration::duration;
pub(super) use duration::to_wire;
pub(crate) use entity_ref::entity_ref;
pub(super) use entity_ref::show_entity_ref;
pub(super) use json::{Json, cedar_value, entity_uid, json};
pub(super) use moment::{Moment, moment};
pub(super) use scope::scope_grant;
pub(super) use share::share;

use chaperone_policy::{DecisionId, SessionId};

use super::failure::Failure;

/// What was given where a session's id belongs.
#[derive(Clone, Debug)]
pub(super) enum SessionIdArg {
    /// An id.
    Id(String),
    /// A handle. It is dropped at once and refused later, because clap's own message would repeat it.
    Handle,
}

impl SessionIdArg {
    /// The id.
    ///
    /// # Errors
    /// `Input`, with advice, for a handle.
    pub(super) fn into_id(self) -> Result<String, Failure> {
        match self {
            Self::Id(id) => Ok(id),
            Self::Handle => Err(Failure::Input(
                "a session's id is needed here, not its handle, which is the secret that presents it: `session open` \
                 printed the id beside it, and `chaperone session list` shows ids\n\
                 a handle that was typed may stay in the shell's history: consider revoking that session"
                    .to_owned(),
            )),
        }
    }
}

/// Reads a session's id, and tells a handle from one.
pub(super) fn session_id(text: &str) -> Result<SessionIdArg, String> {
    if text.starts_with("chp_") {
        return Ok(SessionIdArg::Handle);
    }
    let id: SessionId = text.parse().map_err(|_| "a session's id is a UUID; `chaperone session list` shows them")?;
    Ok(SessionIdArg::Id(id.to_string()))
}

/// A decision's id.
#[derive(Clone, Debug)]
pub(super) struct DecisionIdArg(DecisionId);

impl DecisionIdArg {
    /// The id.
    pub(super) fn into_id(self) -> String {
        self.0.to_string()
    }
}

/// Reads a decision's id.
pub(super) fn decision_id(text: &str) -> Result<DecisionIdArg, String> {
    let id = text.parse().map_err(|_| "a decision's id is a UUID; `chaperone check` prints it")?;
    Ok(DecisionIdArg(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Result<String, String> {
        session_id(text)?.into_id().map_err(|failure| failure.to_string())
    }

    #[test]
    fn handle_in_place_of_an_id_is_refused_with_advice() {
        assert!(id("chp_c2VjcmV0").is_err_and(|advice| advice.contains("session list")));
    }

    #[test]
    fn session_id_is_a_uuid_in_one_form() {
        let text = "0198C0DE-0000-7000-8000-000000000001";
        assert_eq!(id(text), Ok(text.to_lowercase()));
        assert!(id("report").is_err());
    }
}
