//! Names of attributes, numbered.

use std::collections::{BTreeSet, HashMap};

use smol_str::SmolStr;

/// The name of an attribute, as a number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Symbol(u32);

/// The numbers of all names that a schema declares: equal schemas number the names of entities and requests alike, whatever else their
/// bundles hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols {
    numbers: HashMap<SmolStr, Symbol>,
    names: Vec<SmolStr>,
}

impl Symbols {
    /// Numbers names in their order.
    pub(crate) fn new(names: BTreeSet<SmolStr>) -> Self {
        let mut symbols = Self::default();
        for name in names {
            symbols.add(name);
        }
        symbols
    }

    /// The number of a name that is known.
    pub(crate) fn find(&self, name: &str) -> Option<Symbol> {
        self.numbers.get(name).copied()
    }

    /// The name behind a number; empty for a number of other symbols.
    pub(crate) fn name(&self, symbol: Symbol) -> SmolStr {
        self.names.get(symbol.0 as usize).cloned().unwrap_or_default()
    }

    /// The number of a name, a new one for one that is not known yet.
    ///
    /// Policies may write records with names that the schema does not have. Nothing else can have them, so that it does not matter
    /// that two sets of policies number them differently.
    pub(crate) fn add(&mut self, name: SmolStr) -> Symbol {
        if let Some(symbol) = self.find(&name) {
            return symbol;
        }
        // A text of so many names would be far larger than any bundle may be.
        let symbol = Symbol(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(name.clone());
        self.numbers.insert(name, symbol);
        symbol
    }
}
