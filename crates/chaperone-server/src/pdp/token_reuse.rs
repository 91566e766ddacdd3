//! A session that is presented by somebody else than it is bound to: what that does beside being denied.

use chaperone_policy::{Alert, Effect, Level, Severity};

use crate::config::OnTokenReuse;

/// In the place of a policy's id, where no policy asked for it.
pub(super) const BUILT_IN: &str = "";
/// The alert's name.
const ALERT: &str = "token-reuse";

/// What such a denial does.
pub(super) fn effects(on: OnTokenReuse) -> Vec<Effect> {
    let alert = Alert { name: ALERT.into(), severity: Severity::High, policy: BUILT_IN.into() };
    let level = match on {
        OnTokenReuse::Deny => None,
        OnTokenReuse::RevokeSession => Some(Level::Session),
        OnTokenReuse::RevokeTree => Some(Level::Tree),
    };
    let revoke = level.map(|level| Effect::Revoke { level, policy: BUILT_IN.into() });
    std::iter::once(Effect::Alert(alert)).chain(revoke).collect()
}

/// Why a session ended by it, and by whose act.
pub(super) fn ending() -> (String, String) {
    ("it was presented from elsewhere than it is bound to".to_owned(), format!("built-in:{ALERT}"))
}
