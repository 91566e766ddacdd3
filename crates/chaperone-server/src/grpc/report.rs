//! `DecisionService.Report`: reads what became of an action, and writes what came of the report.

use chaperone_api::chaperone::v1 as api;
use chaperone_policy::{OutcomeReport, Reported, SessionId, Settlement};

use super::{convert, decision_effects};
use crate::admin::AdminError;

/// How many facts a report may carry.
const FACTS_MAX: usize = 64;

/// A report, checked as far as it can be without what waits.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub(super) fn report_from_api(request: api::ReportRequest) -> Result<(SessionId, OutcomeReport), AdminError> {
    let outcome = match request.outcome() {
        api::ReportOutcome::Executed => Reported::Executed,
        api::ReportOutcome::Failed => Reported::Failed,
        api::ReportOutcome::Unspecified => return Err(convert::invalid("outcome", "must be executed or failed")),
    };
    let decision = id("decision_id", &request.decision_id)?;
    let session = id("session_id", &request.session_id)?;
    if request.facts.len() > FACTS_MAX {
        return Err(convert::invalid("facts", format!("there may be at most {FACTS_MAX}")));
    }
    let facts = convert::attributes("facts", request.facts)?;
    Ok((session, OutcomeReport { decision, outcome, facts }))
}

fn id<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, AdminError> {
    text.parse().map_err(|_| convert::invalid(field, "must be a UUID"))
}

/// As the API writes it.
pub(super) fn settlement_to_api(settlement: &Settlement) -> api::ReportResponse {
    let (status, effects) = match settlement {
        Settlement::Settled(effects, _) | Settlement::Repeated(effects) => {
            (api::ReportStatus::Settled, effects.iter().map(decision_effects::effect_to_api).collect())
        }
        Settlement::NothingWaits => (api::ReportStatus::NothingWaiting, Vec::new()),
        Settlement::TooLate => (api::ReportStatus::TooLate, Vec::new()),
    };
    api::ReportResponse { status: status.into(), effects }
}
