//! The facts of an operation, by their names.

use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use crate::Fact;

/// Facts by their names, in the order of the names.
///
/// There are few of them, so that a list is found through and filled sooner than a tree is. Operations of one statement have the same ones
/// and share them.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct FactMap {
    // INVARIANT (sorted): in the order of the names, and no name twice.
    facts: Arc<Vec<(&'static str, Fact)>>,
}

/// The facts of a [`FactMap`], one after the other.
#[derive(Clone, Debug)]
pub struct FactIter<'a>(std::slice::Iter<'a, (&'static str, Fact)>);

impl FactMap {
    /// The fact of this name.
    pub fn get(&self, name: &str) -> Option<&Fact> {
        let place = self.facts.binary_search_by(|(fact, _)| (*fact).cmp(name)).ok()?;
        self.facts.get(place).map(|(_, fact)| fact)
    }

    /// Whether there is a fact of this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Each of them with its name, in the order of the names.
    pub fn iter(&self) -> FactIter<'_> {
        FactIter(self.facts.iter())
    }

    /// Puts a fact in, in the place of the one that has its name.
    pub(crate) fn insert(&mut self, name: &'static str, fact: Fact) {
        let facts = Arc::make_mut(&mut self.facts);
        match facts.binary_search_by(|(other, _)| (*other).cmp(name)) {
            Ok(place) => {
                if let Some((_, old)) = facts.get_mut(place) {
                    *old = fact;
                }
            }
            Err(place) => facts.insert(place, (name, fact)),
        }
    }

    /// Without any, but with the place for so many.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { facts: Arc::new(Vec::with_capacity(capacity)) }
    }
}

impl Extend<(&'static str, Fact)> for FactMap {
    fn extend<T: IntoIterator<Item = (&'static str, Fact)>>(&mut self, facts: T) {
        for (name, fact) in facts {
            self.insert(name, fact);
        }
    }
}

impl<const N: usize> From<[(&'static str, Fact); N]> for FactMap {
    fn from(facts: [(&'static str, Fact); N]) -> Self {
        let mut map = Self::with_capacity(N);
        map.extend(facts);
        map
    }
}

impl Index<&str> for FactMap {
    type Output = Fact;

    #[expect(clippy::expect_used, reason = "like that of any map, for tests; others ask with `get`")]
    fn index(&self, name: &str) -> &Fact {
        self.get(name).expect("there is no fact of this name")
    }
}

impl<'a> IntoIterator for &'a FactMap {
    type Item = (&'a &'static str, &'a Fact);
    type IntoIter = FactIter<'a>;

    fn into_iter(self) -> FactIter<'a> {
        self.iter()
    }
}

impl<'a> Iterator for FactIter<'a> {
    type Item = (&'a &'static str, &'a Fact);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, fact)| (name, fact))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl fmt::Debug for FactMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_in_whatever_order_they_came() {
        let mut facts = FactMap::from([("c", Fact::Long(3)), ("a", Fact::Long(1)), ("b", Fact::Long(2))]);
        let shared = facts.clone();
        facts.insert("b", Fact::Bool(true));
        facts.insert("0", Fact::Bool(false));
        assert_eq!(facts.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["0", "a", "b", "c"]);
        assert_eq!((facts.get("b"), facts.get("d")), (Some(&Fact::Bool(true)), None));
        assert_eq!((shared.len(), shared.get("b")), (3, Some(&Fact::Long(2))));
    }
}
