//! Patterns of `like`.

use cedar_policy_core::ast::{Pattern as CorePattern, PatternElem};

/// A pattern, split at its wildcards.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Pattern {
    /// What the text begins with; all of it where there is no wildcard.
    head: Box<str>,
    /// What must follow, in this order, each somewhere behind the one before.
    middle: Box<[Box<str>]>,
    /// What the text ends with, behind the last wildcard; `None` where there is none.
    tail: Option<Box<str>>,
}

impl Pattern {
    /// From Cedar's pattern.
    pub(crate) fn new(pattern: &CorePattern) -> Self {
        let mut parts = vec![String::new()];
        for element in pattern.iter() {
            match (element, parts.last_mut()) {
                (PatternElem::Char(c), Some(part)) => part.push(*c),
                (PatternElem::Wildcard, _) | (PatternElem::Char(_), None) => parts.push(String::new()),
            }
        }
        let mut parts = parts.into_iter().map(String::into_boxed_str);
        let head = parts.next().unwrap_or_default();
        let tail = parts.next_back();
        Self { head, middle: parts.filter(|part| !part.is_empty()).collect(), tail }
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let Some(tail) = &self.tail else { return text == &*self.head };
        let Some(rest) = text.strip_prefix(&*self.head) else { return false };
        let Some(mut rest) = rest.strip_suffix(&**tail) else { return false };
        // The first place is always the best one: it leaves the most for what follows.
        for part in &self.middle {
            match rest.split_once(&**part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn core(text: &str) -> CorePattern {
        text.chars().map(|c| if c == '*' { PatternElem::Wildcard } else { PatternElem::Char(c) }).collect()
    }

    proptest! {
        /// Few letters, so that patterns match often and in several ways.
        #[test]
        fn matches_what_cedar_matches(pattern in "[abé*]{0,8}", text in "[abé]{0,12}") {
            let pattern = core(&pattern);
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), pattern.wildcard_match(&text));
        }
    }
}
