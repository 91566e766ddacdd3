//! How many there are of something, in words.

use std::fmt::Display;

/// Such as `1 memory` or `2 memories`.
pub(crate) fn count_text<N: Copy + Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    if count == N::from(1) { format!("1 {one}") } else { format!("{count} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_as_one() {
        let texts = [0_u64, 1, 2].map(|count| count_text(count, "memory", "memories"));
        assert_eq!(texts, ["0 memories", "1 memory", "2 memories"]);
    }
}
