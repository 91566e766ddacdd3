//! One reading of the feed: what of it fits into a batch, and where the next one starts.

use crate::error::StoreError;
use crate::feed::{Changes, Cursor, SHARDS};
use crate::rows::{ChangeRow, corrupt};

/// How many changes one batch may have, whatever is asked for.
const BATCH_MAX: u32 = 10_000;

/// How far each shard has come, in one snapshot with the changes that are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ShardState {
    pub(crate) shard: i16,
    pub(crate) position: i64,
    pub(crate) pruned_through: i64,
}

/// How many changes a batch has at most. At least one, or a reader would never get on.
pub(crate) fn batch(limit: u32) -> usize {
    usize::try_from(limit.clamp(1, BATCH_MAX)).unwrap_or(1)
}

/// The feed's end.
///
/// # Errors
/// [`StoreError::Corrupt`] when a shard is missing.
pub(crate) fn end_of(states: &[ShardState]) -> Result<Cursor, StoreError> {
    let mut cursor = Cursor::default();
    for (shard, end) in (0_i16..).zip(cursor.0.iter_mut()) {
        let state = states.iter().find(|state| state.shard == shard);
        *end = state.ok_or_else(|| corrupt("feed_shards", shard, "the shard is missing"))?.position;
    }
    Ok(cursor)
}

/// Refuses a cursor that the feed cannot be read from.
///
/// # Errors
/// [`StoreError::FeedGap`] when changes after it were pruned, and when it is ahead of a shard: then it comes from another
/// history, such as one before the database was restored from a backup.
pub(crate) fn require_readable(cursor: &Cursor, states: &[ShardState]) -> Result<(), StoreError> {
    let end = end_of(states)?;
    let ahead = cursor.0.iter().zip(end.0).any(|(read, end)| *read > end);
    let behind = (0_i16..)
        .zip(cursor.0)
        .any(|(shard, read)| states.iter().any(|state| state.shard == shard && read < state.pruned_through));
    if ahead || behind { Err(StoreError::FeedGap) } else { Ok(()) }
}

/// Takes the first changes of all shards in turn, so that a busy shard does not keep the others waiting.
///
/// `read` holds, by shard, the changes after the cursor in their order: at least the first `limit` and one, or all.
pub(crate) fn page_of(cursor: &Cursor, read: &[Vec<ChangeRow>; SHARDS], limit: usize) -> Result<Changes, StoreError> {
    let waiting: usize = read.iter().map(Vec::len).sum();
    let longest = read.iter().map(Vec::len).max().unwrap_or(0);
    let mut page = Changes { changed: Vec::with_capacity(waiting.min(limit)), cursor: *cursor, more: waiting > limit };
    for rank in 0..longest {
        for (rows, read_through) in read.iter().zip(page.cursor.0.iter_mut()) {
            if page.changed.len() == limit {
                return Ok(page);
            }
            if let Some(row) = rows.get(rank) {
                page.changed.push(row.changed()?);
                *read_through = row.position;
            }
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use chaperone_policy::SessionId;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::feed::Changed;

    /// A feed with `counts[shard]` changes in each shard, at every second position.
    fn feed(counts: [usize; SHARDS]) -> [Vec<(i64, Changed)>; SHARDS] {
        let mut next = 0;
        counts.map(|count| {
            (1..=count)
                .map(|n| {
                    next += 1;
                    (2 * i64::try_from(n).expect("small"), Changed::Session(SessionId::new(Uuid::from_u128(next))))
                })
                .collect()
        })
    }

    fn after(feed: &[Vec<(i64, Changed)>; SHARDS], cursor: &Cursor, limit: usize) -> [Vec<ChangeRow>; SHARDS] {
        std::array::from_fn(|shard| {
            let unread = feed[shard].iter().filter(|(position, _)| *position > cursor.0[shard]);
            unread
                .take(limit + 1)
                .map(|(position, changed)| ChangeRow::new(*position, changed).expect("it fits"))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn following_the_cursor_reads_every_change_once(counts in prop::array::uniform16(0_usize..6), limit in 1_usize..9) {
            let feed = feed(counts);
            let (mut cursor, mut seen) = (Cursor::default(), Vec::new());
            loop {
                let page = page_of(&cursor, &after(&feed, &cursor, limit), limit).expect("it reads");
                prop_assert!(page.changed.len() <= limit);
                prop_assert_eq!(page.more, seen.len() + page.changed.len() < counts.iter().sum());
                seen.extend(page.changed);
                cursor = page.cursor;
                if !page.more {
                    break;
                }
            }
            let mut wanted: Vec<_> = feed.iter().flatten().map(|(_, changed)| format!("{changed:?}")).collect();
            let mut seen: Vec<_> = seen.iter().map(|changed| format!("{changed:?}")).collect();
            wanted.sort();
            seen.sort();
            prop_assert_eq!(seen, wanted);
        }
    }

    fn states(position: i64, pruned_through: i64) -> Vec<ShardState> {
        (0_i16..).take(SHARDS).map(|shard| ShardState { shard, position, pruned_through }).collect()
    }

    #[test]
    fn cursor_before_what_was_pruned_is_a_gap() {
        assert!(matches!(require_readable(&Cursor([4; SHARDS]), &states(9, 5)), Err(StoreError::FeedGap)));
        assert!(require_readable(&Cursor([5; SHARDS]), &states(9, 5)).is_ok());
    }

    #[test]
    fn cursor_from_another_history_is_a_gap() {
        assert!(matches!(require_readable(&Cursor([10; SHARDS]), &states(9, 0)), Err(StoreError::FeedGap)));
    }

    #[test]
    fn missing_shard_is_corrupt() {
        let mut states = states(0, 0);
        states.pop();
        assert!(matches!(end_of(&states), Err(StoreError::Corrupt { .. })));
    }
}
