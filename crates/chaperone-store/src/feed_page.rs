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

/// Takes the first rows of all shards in turn, so that a busy shard does not keep the others waiting, until they hold `limit` changes.
/// A row is not parted, so that the last one may exceed the limit.
///
/// `read` holds, by shard, the rows after the cursor in their order: at least the first `limit` and one, or all.
pub(crate) fn page_of(cursor: &Cursor, read: &[Vec<ChangeRow>; SHARDS], limit: usize) -> Result<Changes, StoreError> {
    let waiting: usize = read.iter().map(Vec::len).sum();
    let longest = read.iter().map(Vec::len).max().unwrap_or(0);
    let mut page = Changes { changed: Vec::with_capacity(waiting.min(limit)), cursor: *cursor, more: false };
    let mut taken = 0;
    for rank in 0..longest {
        for (rows, read_through) in read.iter().zip(page.cursor.0.iter_mut()) {
            if page.changed.len() >= limit {
                page.more = taken < waiting;
                return Ok(page);
            }
            if let Some(row) = rows.get(rank) {
                page.changed.extend(row.changed()?);
                *read_through = row.position;
                taken += 1;
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

    /// A feed with `sizes[shard]` rows in each shard, at every second position: of one session, or of so many memories.
    fn feed(sizes: &[Vec<usize>; SHARDS]) -> [Vec<ChangeRow>; SHARDS] {
        let mut next = 0;
        let mut id = || {
            next += 1;
            SessionId::new(Uuid::from_u128(next))
        };
        std::array::from_fn(|shard| {
            let row = |(size, position): (&usize, i64)| {
                if *size == 0 {
                    return ChangeRow::new(position, &Changed::Session(id())).expect("it fits");
                }
                let keys: Vec<String> = (0..*size).map(|_| format!("session:{}", id())).collect();
                let memories: Vec<(&str, u64)> = keys.iter().map(|key| (key.as_str(), 7)).collect();
                ChangeRow::of_memories(position, &memories).expect("it fits")
            };
            sizes[shard].iter().zip((2_i64..).step_by(2)).map(row).collect()
        })
    }

    fn after(feed: &[Vec<ChangeRow>; SHARDS], cursor: &Cursor, limit: usize) -> [Vec<ChangeRow>; SHARDS] {
        std::array::from_fn(|shard| {
            let unread = feed[shard].iter().filter(|row| row.position > cursor.0[shard]);
            unread.take(limit + 1).cloned().collect()
        })
    }

    proptest! {
        #[test]
        fn following_the_cursor_reads_every_change_once(
            sizes in prop::array::uniform16(prop::collection::vec(0_usize..4, 0..6)),
            limit in 1_usize..9,
        ) {
            let feed = feed(&sizes);
            let wanted: Vec<Changed> =
                feed.iter().flatten().flat_map(|row| row.changed().expect("it reads")).collect();
            let (mut cursor, mut seen) = (Cursor::default(), Vec::new());
            loop {
                let page = page_of(&cursor, &after(&feed, &cursor, limit), limit).expect("it reads");
                prop_assert!(page.changed.len() < limit + 3, "exceeded by less than the largest row");
                seen.extend(page.changed);
                prop_assert_eq!(page.more, seen.len() < wanted.len());
                cursor = page.cursor;
                if !page.more {
                    break;
                }
            }
            let mut wanted: Vec<_> = wanted.iter().map(|changed| format!("{changed:?}")).collect();
            let mut seen: Vec<_> = seen.iter().map(|changed| format!("{changed:?}")).collect();
            wanted.sort();
            seen.sort();
            prop_assert_eq!(seen, wanted);
        }

        #[test]
        fn limit_holds_where_nothing_was_committed_together(
            counts in prop::array::uniform16(0_usize..6),
            limit in 1_usize..9,
        ) {
            let feed = feed(&counts.map(|count| vec![0; count]));
            let page = page_of(&Cursor::default(), &after(&feed, &Cursor::default(), limit), limit).expect("it reads");
            prop_assert_eq!(page.changed.len(), limit.min(counts.iter().sum()));
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
