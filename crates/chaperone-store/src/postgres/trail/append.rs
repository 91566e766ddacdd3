//! Appending to a chain, exactly once.

use chaperone_trail::{ChainId, Digest, Sealed};
use sqlx::PgConnection;

use super::super::PostgresStore;
use super::super::transaction::Announce;
use super::copy::{self, Rows};
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::failure::Failure;
use crate::rows::{TrailRow, copy_of, corrupt, stored_number};
use crate::stored_time::StoredTime;
use crate::trail::TrailError;

/// What a row costs beside its record, about: columns, their lengths, copies of texts.
const ROW_BYTES: usize = 512;

/// A batch, read.
struct Batch<'a> {
    chain: ChainId,
    replica: &'a str,
    rows: Vec<TrailRow<'a>>,
    first: u64,
    /// The place after it.
    end: u64,
    /// Of its last record.
    digest: Digest,
    bytes: usize,
}

impl<'a> Batch<'a> {
    /// `None`: it is empty.
    fn read(chain: ChainId, replica: &'a str, batch: &'a [Sealed]) -> Result<Option<Self>, TrailError> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(None) };
        for (sealed, seq) in batch.iter().zip(first.seq..) {
            if (sealed.chain, sealed.seq) != (chain, seq) {
                return Err(TrailError::Disordered { chain, seq: sealed.seq });
            }
        }
        let rows = batch.iter().map(TrailRow::of).collect::<Result<_, _>>()?;
        Ok(Some(Self {
            chain,
            replica,
            rows,
            first: first.seq,
            end: last.seq.saturating_add(1),
            digest: last.digest(),
            bytes: batch.iter().map(|sealed| sealed.bytes.len() + ROW_BYTES).sum(),
        }))
    }
}

pub(super) async fn append(
    store: &PostgresStore,
    chain: ChainId,
    replica: &str,
    batch: &[Sealed],
) -> Result<u64, TrailError> {
    let Some(batch) = Batch::read(chain, replica, batch)? else {
        return Ok(position(store, chain).await?.unwrap_or(1));
    };
    let batch = &batch;
    store
        .transaction("append_trail", Announce::Nothing, move |Attempt { connection, .. }| {
            Box::pin(async move { append_in(connection, batch).await })
        })
        .await?
}

/// INVARIANT (exactly once): a record is inserted only by the transaction that moves its chain's `next_seq` past it, and that locks the
/// chain's row before it looks. Whatever else was tried with the record, repeated, cut or left in the middle, then is stored, or never
/// will be.
async fn append_in(connection: &mut PgConnection, batch: &Batch<'_>) -> Result<Result<u64, TrailError>, Failure> {
    let chain = batch.chain;
    let (next_seq, last_digest) = lock(connection, batch).await?;
    let next = u64::try_from(next_seq).map_err(|error| corrupt("trail_chains", chain, error))?;
    let Some(known) = next.checked_sub(batch.first) else {
        return Ok(Err(TrailError::Gap { chain, next, first: batch.first }));
    };
    let rows = usize::try_from(known).ok().and_then(|known| batch.rows.get(known..)).unwrap_or_default();
    let Some(first) = rows.first() else { return Ok(Ok(next)) };
    let stored = <[u8; 32]>::try_from(last_digest).map(Digest::from_bytes);
    let stored = stored.map_err(|_| corrupt("trail_chains", chain, "the last digest has not 32 bytes"))?;
    if first.prev != stored {
        return Ok(Err(TrailError::Forked { chain, seq: next, prev: first.prev, stored }));
    }
    let mut bytes = Rows::with_capacity(batch.bytes);
    for row in rows {
        bytes.push(row);
    }
    let mut sink = connection.copy_in_raw(copy::STATEMENT).await?;
    sink.send(bytes.finish()).await?;
    sink.finish().await?;
    advance(connection, batch, next_seq).await?;
    Ok(Ok(batch.end))
}

/// Locks the chain's row, which is made if there is none; returns `next_seq` and `last_digest`.
async fn lock(connection: &mut PgConnection, batch: &Batch<'_>) -> Result<(i64, Vec<u8>), Failure> {
    let end = sqlx::query_as(
        "SELECT next_seq, last_digest
        FROM trail_chains
        WHERE chain_id = $1
        FOR UPDATE",
    )
    .bind(batch.chain.as_uuid())
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(end) = end {
        return Ok(end);
    }
    // Where another makes it at the same time, this waits for that, and locks what it made.
    let end = sqlx::query_as(
        "INSERT INTO trail_chains (chain_id, replica, first_seq, next_seq, last_digest)
        VALUES ($1, $2, 1, 1, $3)
        ON CONFLICT (chain_id) DO UPDATE SET replica = EXCLUDED.replica
        RETURNING next_seq, last_digest",
    )
    .bind(batch.chain.as_uuid())
    .bind(&*copy_of(batch.replica.into()))
    .bind(&Digest::ZERO.as_bytes()[..])
    .fetch_one(connection)
    .await?;
    Ok(end)
}

/// Moves the chain's end past the batch.
async fn advance(connection: &mut PgConnection, batch: &Batch<'_>, next_seq: i64) -> Result<(), Failure> {
    let advanced = sqlx::query(
        "UPDATE trail_chains
        SET replica = $2, next_seq = $4, last_digest = $5, last_at = $6
        WHERE chain_id = $1 AND next_seq = $3",
    )
    .bind(batch.chain.as_uuid())
    .bind(&*copy_of(batch.replica.into()))
    .bind(next_seq)
    .bind(stored_number(batch.end))
    .bind(&batch.digest.as_bytes()[..])
    .bind(batch.rows.last().map(|row| StoredTime(row.at)))
    .execute(connection)
    .await?;
    if advanced.rows_affected() == 1 {
        return Ok(());
    }
    Err(corrupt("trail_chains", batch.chain, "the row changed while it was locked").into())
}

pub(super) async fn position(store: &PostgresStore, chain: ChainId) -> Result<Option<u64>, StoreError> {
    let next: Option<i64> = store
        .read("trail_position", move |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_scalar(
                    "SELECT next_seq
                    FROM trail_chains
                    WHERE chain_id = $1",
                )
                .bind(chain.as_uuid())
                .fetch_optional(connection)
                .await?)
            })
        })
        .await?;
    next.map(|next| u64::try_from(next).map_err(|error| corrupt("trail_chains", chain, error))).transpose()
}
