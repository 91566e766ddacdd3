//! Between protobuf and the trail's plain data.

use std::fmt::Display;
use std::str::FromStr;

use chaperone_api::chaperone::v1 as api;
use chaperone_policy::Timestamp;
use chaperone_trail::{EventKind, ExportFormat, Found, Order, RecordFilter, Trust, VerifyingKey};

use crate::admin::AdminError;
use crate::admin::trail::{Chain, ChainProof, Proof, Selection, Step, Stretch};
use crate::grpc::convert::{self, invalid};

/// Which records.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub fn filter(filter: api::TrailFilter) -> Result<RecordFilter, AdminError> {
    let kinds = filter.kinds().map(kind).collect::<Result<_, _>>()?;
    let outcome = match api::TrailOutcome::try_from(filter.outcome) {
        Ok(api::TrailOutcome::Unspecified) => None,
        Ok(api::TrailOutcome::Allow) => Some("allow".to_owned()),
        Ok(api::TrailOutcome::Deny) => Some("deny".to_owned()),
        Ok(api::TrailOutcome::Challenge) => Some("challenge".to_owned()),
        Ok(api::TrailOutcome::None) => Some("none".to_owned()),
        Err(_) => return Err(invalid("filter.outcome", "is not known")),
    };
    let entity = |field, entity: Option<api::EntityRef>| {
        entity.map(|entity| convert::entity_ref(field, Some(entity))).transpose()
    };
    let from = timestamp("filter.from", filter.from)?;
    let before = timestamp("filter.before", filter.before)?;
    in_order("filter.before", from, before)?;
    Ok(RecordFilter {
        kinds,
        from,
        before,
        session: id("filter.session_id", &filter.session_id)?,
        tree: id("filter.tree_id", &filter.tree_id)?,
        principal: entity("filter.principal", filter.principal)?,
        owner: convert::name("filter.owner", filter.owner)?,
        action: entity("filter.action", filter.action)?,
        resource: entity("filter.resource", filter.resource)?,
        outcome,
        code: convert::name("filter.code", filter.code)?,
        policy: convert::name("filter.policy_id", filter.policy_id)?,
        decision: id("filter.decision_id", &filter.decision_id)?,
    })
}

fn kind(kind: api::TrailKind) -> Result<EventKind, AdminError> {
    Ok(match kind {
        api::TrailKind::Unspecified => return Err(invalid("filter.kinds", "names a kind that is not known")),
        api::TrailKind::Started => EventKind::Started,
        api::TrailKind::Checkpoint => EventKind::Checkpoint,
        api::TrailKind::Stopped => EventKind::Stopped,
        api::TrailKind::State => EventKind::State,
        api::TrailKind::Decision => EventKind::Decision,
        api::TrailKind::NoDecision => EventKind::NoDecision,
        api::TrailKind::Act => EventKind::Act,
    })
}

/// Which stretch.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub(super) fn stretch(stretch: &api::TrailStretch) -> Result<Stretch, AdminError> {
    let chain = id("stretch.chain_id", &stretch.chain_id)?;
    let seq = |field, seq: u64| match seq {
        0 => Ok(None),
        _ if chain.is_none() => {
            Err(invalid(field, "needs a chain_id: places of different chains have nothing in common"))
        }
        seq => Ok(Some(seq)),
    };
    let from_seq = seq("stretch.from_seq", stretch.from_seq)?;
    let to_seq = seq("stretch.to_seq", stretch.to_seq)?;
    if to_seq.is_some_and(|to| from_seq.is_some_and(|from| to < from)) {
        return Err(invalid("stretch.to_seq", "must not be less than from_seq"));
    }
    let from = timestamp("stretch.from", stretch.from)?;
    let before = timestamp("stretch.before", stretch.before)?;
    in_order("stretch.before", from, before)?;
    if (from.is_some() || before.is_some()) && (from_seq.is_some() || to_seq.is_some()) {
        return Err(invalid("stretch.from", "must not be given with places"));
    }
    Ok(Stretch { chain, from_seq, to_seq, from, before })
}

/// What is exported, and how.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub(super) fn export(request: api::TrailServiceExportRequest) -> Result<(Selection, ExportFormat), AdminError> {
    use api::trail_service_export_request::What;
    let format = match api::TrailFormat::try_from(request.format) {
        Ok(api::TrailFormat::Unspecified | api::TrailFormat::JsonLines) => ExportFormat::JsonLines,
        Ok(api::TrailFormat::Csv) => ExportFormat::Csv,
        Ok(api::TrailFormat::Ocsf) => ExportFormat::Ocsf,
        Err(_) => return Err(invalid("format", "is not known")),
    };
    let selection = match request.what {
        Some(What::Filter(wanted)) => Selection::Matching(Box::new(filter(wanted)?)),
        Some(What::Stretch(wanted)) => Selection::Stretch(stretch(&wanted)?),
        None => Selection::Stretch(Stretch::default()),
    };
    Ok((selection, format))
}

/// Which stretch is verified, and whose signatures are believed.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub(super) fn verify(request: &api::TrailServiceVerifyRequest) -> Result<(Stretch, Trust), AdminError> {
    let wanted = request.stretch.as_ref().map(stretch).transpose()?.unwrap_or_default();
    let keys = request
        .trusted_keys
        .iter()
        .map(|key| key.parse::<VerifyingKey>().map_err(|error| invalid("trusted_keys", error.to_string())));
    let keys = keys.collect::<Result<std::collections::BTreeSet<_>, _>>()?;
    Ok((wanted, if keys.is_empty() { Trust::Any } else { Trust::Keys(keys) }))
}

/// As the API writes it.
pub(super) fn step(step: Step) -> api::TrailServiceVerifyResponse {
    use api::trail_service_verify_response::Step as ToApi;
    let step = match step {
        Step::Progress { chain, seq, record_count } => {
            ToApi::Progress(api::TrailVerifyProgress { chain_id: chain.to_string(), seq, record_count })
        }
        Step::Done(found) => ToApi::Report(proof(found)),
    };
    api::TrailServiceVerifyResponse { step: Some(step) }
}

/// As the API writes it.
pub fn proof(proof: Proof) -> api::TrailVerifyReport {
    api::TrailVerifyReport {
        valid: proof.is_valid(),
        record_count: proof.record_count,
        chains: proof.chains.into_iter().map(chain_report).collect(),
    }
}

fn chain_report(proof: ChainProof) -> api::TrailChainReport {
    let ChainProof { chain, report, fault } = proof;
    api::TrailChainReport {
        chain_id: chain.to_string(),
        first_seq: report.first,
        last_seq: report.last,
        last_digest: report.chain.map(|_| report.digest.to_string()).unwrap_or_default(),
        signed_seq: report.signed_through.unwrap_or_default(),
        unsigned_count: report.unsigned,
        start_count: report.starts,
        interruption_count: report.interruptions,
        stopped: report.end == chaperone_trail::ChainEnd::Stopped,
        fault: fault.map(|fault| api::TrailFault {
            seq: fault.seq,
            code: fault.code.to_owned(),
            message: fault.message,
        }),
    }
}

/// In which order.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub(super) fn order(order: i32) -> Result<(api::TrailOrder, Order), AdminError> {
    match api::TrailOrder::try_from(order) {
        Ok(api::TrailOrder::Unspecified | api::TrailOrder::Newest) => Ok((api::TrailOrder::Newest, Order::Newest)),
        Ok(api::TrailOrder::Oldest) => Ok((api::TrailOrder::Oldest, Order::Oldest)),
        Err(_) => Err(invalid("order", "is not known")),
    }
}

/// As the API writes it.
pub(super) fn record(found: Found) -> api::TrailRecord {
    api::TrailRecord {
        chain_id: found.sealed.chain.to_string(),
        seq: found.sealed.seq,
        digest: found.sealed.digest().to_string(),
        json: found.sealed.bytes,
    }
}

/// As the API writes it.
pub(super) fn chain(chain: Chain) -> api::TrailChain {
    api::TrailChain {
        chain_id: chain.extent.chain.to_string(),
        first_seq: chain.extent.first,
        last_seq: chain.extent.last,
        last_at: Some(convert::timestamp_to_api(chain.extent.last_at)),
        replica: chain.replica,
        key: chain.key,
    }
}

fn id<T: FromStr>(field: &str, text: &str) -> Result<Option<T>, AdminError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| invalid(field, "must be a UUID"))
}

fn timestamp(field: impl Display, at: Option<prost_types::Timestamp>) -> Result<Option<Timestamp>, AdminError> {
    let micros = |at: prost_types::Timestamp| {
        let nanos = (0..1_000_000_000).contains(&at.nanos).then_some(at.nanos)?;
        // From then on: the part of a microsecond that is cut off does not leave anything out.
        at.seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1_000))
    };
    at.map(|at| micros(at).map(Timestamp::from_micros).ok_or_else(|| invalid(field.to_string(), "is no time")))
        .transpose()
}

fn in_order(field: &str, from: Option<Timestamp>, before: Option<Timestamp>) -> Result<(), AdminError> {
    match (from, before) {
        (Some(from), Some(before)) if before <= from => Err(invalid(field, "must be later than from")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(result: Result<T, AdminError>) -> String {
        match result.expect_err("it is refused") {
            AdminError::Invalid { field, .. } => field,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_field_of_a_filter_is_taken_over() {
        const ID: &str = "0198c0de-0000-7000-8000-000000000001";
        let entity = |id: &str| Some(api::EntityRef { r#type: "T".into(), id: id.into() });
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 5_999 });
        let taken = filter(api::TrailFilter {
            kinds: vec![api::TrailKind::Decision.into()],
            from: at(1),
            before: at(2),
            session_id: ID.into(),
            tree_id: ID.into(),
            principal: entity("p"),
            owner: "ann".into(),
            action: entity("a"),
            resource: entity("r"),
            outcome: api::TrailOutcome::None.into(),
            code: "stale".into(),
            policy_id: "x".into(),
            decision_id: ID.into(),
        })
        .expect("a filter");
        let entity = |id: &str| Some(chaperone_policy::EntityRef::new("T", id));
        let expected = RecordFilter {
            kinds: vec![EventKind::Decision],
            from: Some(Timestamp::from_micros(1_000_005)),
            before: Some(Timestamp::from_micros(2_000_005)),
            session: ID.parse().ok(),
            tree: ID.parse().ok(),
            principal: entity("p"),
            owner: Some("ann".into()),
            action: entity("a"),
            resource: entity("r"),
            outcome: Some("none".into()),
            code: Some("stale".into()),
            policy: Some("x".into()),
            decision: ID.parse().ok(),
        };
        assert_eq!(taken, expected);
        assert_eq!(filter(api::TrailFilter::default()).expect("a filter"), RecordFilter::default());
    }

    #[test]
    fn field_at_fault_is_named() {
        let wrong = |change: fn(&mut api::TrailFilter)| {
            let mut asked = api::TrailFilter::default();
            change(&mut asked);
            refused(filter(asked))
        };
        assert_eq!(wrong(|filter| filter.session_id = "x".into()), "filter.session_id");
        assert_eq!(wrong(|filter| filter.outcome = 99), "filter.outcome");
        assert_eq!(wrong(|filter| filter.kinds = vec![0]), "filter.kinds");
        assert_eq!(wrong(|filter| filter.owner = "\0".into()), "filter.owner");
        assert_eq!(wrong(|filter| filter.action = Some(api::EntityRef::default())), "filter.action");
        let same = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        let empty = api::TrailFilter { from: same, before: same, ..Default::default() };
        assert_eq!(refused(filter(empty)), "filter.before");
        assert_eq!(refused(stretch(&api::TrailStretch { from_seq: 2, ..Default::default() })), "stretch.from_seq");
    }
}
