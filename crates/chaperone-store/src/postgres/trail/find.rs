//! Looking for records.

use chaperone_policy::{DecisionId, SessionId};
use chaperone_trail::{ChainExtent, ChainId, Found, Order, Place, Record, RecordFilter, Sealed, SourceError};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::super::PostgresStore;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::rows::{copy_of, copy_of_identity, corrupt, name_of, page, stored_number};
use crate::stored_time::StoredTime;

pub(super) async fn find(
    store: &PostgresStore,
    filter: &RecordFilter,
    order: Order,
    after: Option<Place>,
    limit: u32,
) -> Result<Vec<Found>, SourceError> {
    let rows: Vec<(Uuid, i64, String)> = store
        .read("find_trail", move |Attempt { connection, .. }| {
            Box::pin(async move {
                let mut query = QueryBuilder::new(SELECT);
                restrict(&mut query, filter, order, after, limit);
                // Planned for what is asked: denials are few and allows are many, and only some days are looked at.
                Ok(query.build_query_as().persistent(false).fetch_all(connection).await?)
            })
        })
        .await
        .map_err(unavailable)?;
    rows.into_iter().map(|row| found(sealed(row)?)).collect()
}

const SELECT: &str = "
    SELECT chain_id, seq, record
    FROM trail_records
    WHERE TRUE";

/// Where, in which order, and how many.
fn restrict<'a>(
    query: &mut QueryBuilder<Postgres>,
    filter: &'a RecordFilter,
    order: Order,
    after: Option<Place>,
    limit: u32,
) {
    if let Some(from) = filter.from {
        query.push(" AND at >= ").push_bind(StoredTime(from));
    }
    if let Some(before) = filter.before {
        query.push(" AND at < ").push_bind(StoredTime(before));
    }
    for (condition, id) in [
        (" AND session_id = ", filter.session.map(SessionId::as_uuid)),
        (" AND tree_id = ", filter.tree.map(SessionId::as_uuid)),
        (" AND decision_id = ", filter.decision.map(DecisionId::as_uuid)),
    ] {
        if let Some(id) = id {
            query.push(condition).push_bind(id);
        }
    }
    let text = |text: &'a Option<String>| text.as_deref().map(|text| copy_of(text.into()).into_owned());
    for (before, copy, behind) in [
        (" AND principal = ", filter.principal.as_ref().map(copy_of_identity), ""),
        (" AND owner = ", text(&filter.owner), ""),
        (" AND outcome = ", text(&filter.outcome), ""),
        (" AND code = ", text(&filter.code), ""),
        (" AND ", filter.action.as_ref().map(copy_of_identity), " = ANY(actions)"),
        (" AND ", filter.resource.as_ref().map(copy_of_identity), " = ANY(resources)"),
        (" AND ", text(&filter.policy), " = ANY(policies)"),
    ] {
        if let Some(copy) = copy {
            query.push(before).push_bind(copy).push(behind);
        }
    }
    if !filter.kinds.is_empty() {
        let names: Vec<&'static str> = filter.kinds.iter().map(|kind| name_of(*kind)).collect();
        query.push(" AND kind = ANY(").push_bind(names).push(")");
    }
    let (beyond, at_most, direction) = match order {
        Order::Oldest => (" > ", " >= ", ""),
        Order::Newest => (" < ", " <= ", " DESC"),
    };
    if let Some(Place { at, chain, seq }) = after {
        // The time by itself as well: days are passed over by that alone.
        query.push(" AND at").push(at_most).push_bind(StoredTime(at));
        query.push(" AND (at, chain_id, seq)").push(beyond).push("(").push_bind(StoredTime(at));
        query.push(", ").push_bind(chain.as_uuid()).push(", ").push_bind(stored_number(seq)).push(")");
    }
    for (before, column) in [(" ORDER BY ", "at"), (", ", "chain_id"), (", ", "seq")] {
        query.push(before).push(column).push(direction);
    }
    query.push(" LIMIT ").push_bind(page(limit));
}

pub(super) async fn chains(store: &PostgresStore) -> Result<Vec<ChainExtent>, SourceError> {
    let rows: Vec<(Uuid, i64, i64, StoredTime)> = store
        .read("trail_chains", |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_as(
                    "SELECT chain_id, first_seq, next_seq - 1, last_at
                    FROM trail_chains
                    WHERE first_seq < next_seq
                    ORDER BY chain_id",
                )
                .fetch_all(connection)
                .await?)
            })
        })
        .await
        .map_err(unavailable)?;
    let extents = rows.into_iter().map(|(chain, first, last, StoredTime(last_at))| {
        let place =
            |place: i64| u64::try_from(place).map_err(|error| unavailable(corrupt("trail_chains", chain, error)));
        Ok(ChainExtent { chain: ChainId::new(chain), first: place(first)?, last: place(last)?, last_at })
    });
    extents.collect()
}

pub(super) async fn records(
    store: &PostgresStore,
    chain: ChainId,
    from: u64,
    limit: u32,
) -> Result<Vec<Sealed>, SourceError> {
    let rows: Vec<(Uuid, i64, String)> = store
        .read("trail_of_chain", move |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_as(SELECT_CHAIN)
                    .bind(chain.as_uuid())
                    .bind(stored_number(from))
                    .bind(page(limit))
                    .fetch_all(connection)
                    .await?)
            })
        })
        .await
        .map_err(unavailable)?;
    rows.into_iter().map(sealed).collect()
}

/// What is left over before the first place that is kept is no part of the chain any more.
const SELECT_CHAIN: &str = "
    SELECT chain_id, seq, record
    FROM trail_records
    WHERE chain_id = $1 AND seq >= $2 AND seq >= (
        SELECT first_seq
        FROM trail_chains
        WHERE trail_chains.chain_id = $1
    )
    ORDER BY seq
    LIMIT $3";

fn sealed((chain, seq, record): (Uuid, i64, String)) -> Result<Sealed, SourceError> {
    let seq = u64::try_from(seq).map_err(|error| unavailable(corrupt("trail_records", chain, error)))?;
    Ok(Sealed { chain: ChainId::new(chain), seq, bytes: record.into_bytes() })
}

fn found(sealed: Sealed) -> Result<Found, SourceError> {
    let damaged = |source| SourceError::Damaged { chain: sealed.chain, seq: sealed.seq, source };
    let record = Record::parse(&sealed.bytes).map_err(|error| damaged(error.into()))?;
    if (record.chain, record.seq) != (sealed.chain, sealed.seq) {
        return Err(damaged("it is a record of another place".into()));
    }
    Ok(Found { sealed, record })
}

fn unavailable(error: StoreError) -> SourceError {
    SourceError::Unavailable(Box::new(error))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod plan_tests;
