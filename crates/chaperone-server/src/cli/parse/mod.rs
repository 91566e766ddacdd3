//! How arguments are written: parsers from text to plain data, for clap.

mod attribute;
mod certificate;
mod duration;
mod entity_ref;
mod json;
mod scope;

pub(super) use attribute::attribute;
pub(super) use certificate::{Thumbprint, certificate_sha256};
pub(super) use duration::{duration, to_wire};
pub(super) use entity_ref::{entity_ref, show_entity_ref};
pub(super) use json::{Json, cedar_value, entity_uid, json};
pub(super) use scope::scope_grant;

use chaperone_policy::SessionId;

/// Reads a session's id, and tells a handle from one.
pub(super) fn session_id(text: &str) -> Result<String, String> {
    if text.starts_with("chp_") {
        return Err(
            "this is a session's handle, the secret that presents it, not its id; `session open` printed the id \
                    beside it, and `chaperone session list` shows ids. A handle that was typed on a command line may \
                    stay in the shell's history: consider revoking that session"
                .to_owned(),
        );
    }
    let id: SessionId = text.parse().map_err(|_| "a session's id is a UUID; `chaperone session list` shows them")?;
    Ok(id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handle_in_place_of_an_id_is_refused_with_advice_and_not_repeated() {
        let advice = session_id("chp_c2VjcmV0").expect_err("it is a handle");
        assert!(advice.contains("session list"), "{advice}");
        assert!(!advice.contains("c2VjcmV0"), "{advice}");
    }

    #[test]
    fn session_id_is_a_uuid_in_one_form() {
        assert_eq!(
            session_id("0198C0DE-0000-7000-8000-000000000001").as_deref(),
            Ok("0198c0de-0000-7000-8000-000000000001")
        );
        assert!(session_id("report").is_err());
    }
}
