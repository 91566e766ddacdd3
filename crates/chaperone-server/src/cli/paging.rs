//! Lists that come in pages.

use super::failure::Failure;
use super::output;

/// The most that the server puts on a page.
const PAGE_SIZE_MAX: u32 = 1_000;

/// Asks for pages until `limit` items are there or no more exist, and leaves a note when more do.
///
/// # Errors
/// What asking fails with.
pub async fn collect<T>(
    limit: u32,
    ask: impl AsyncFn(u32, String) -> Result<(Vec<T>, String), Failure>,
) -> Result<Vec<T>, Failure> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut items = Vec::new();
    let mut token = String::new();
    loop {
        let missing = u32::try_from(limit.saturating_sub(items.len())).unwrap_or(u32::MAX);
        let (page, next) = ask(missing.min(PAGE_SIZE_MAX), token).await?;
        items.extend(page);
        let more = !next.is_empty();
        if items.len() >= limit || !more {
            if more || items.len() > limit {
                output::note(&format!("note: more exist; these are the first {limit} (--limit)"));
            }
            items.truncate(limit);
            return Ok(items);
        }
        token = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn collected(limit: u32, total: u32) -> Vec<u32> {
        collect(limit, async |size, token| {
            let start: u32 = if token.is_empty() { 0 } else { token.parse().expect("our own token") };
            let end = total.min(start + size.min(7));
            Ok(((start..end).collect(), if end < total { end.to_string() } else { String::new() }))
        })
        .await
        .expect("it answers")
    }

    #[tokio::test]
    async fn pages_are_joined_up_to_the_limit() {
        assert_eq!(collected(100, 20).await, (0..20).collect::<Vec<_>>());
        assert_eq!(collected(10, 20).await, (0..10).collect::<Vec<_>>());
        assert_eq!(collected(1, 0).await, Vec::<u32>::new());
    }
}
