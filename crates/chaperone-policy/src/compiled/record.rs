//! Records: values by the number of their name.

use super::data::Datum;
use super::symbol::Symbol;

/// Up to how many fields are searched from first to last.
const LINEAR_MAX: usize = 8;

/// A record.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Record(Box<[(Symbol, Datum)]>);

impl Record {
    /// A field's value.
    pub(crate) fn find(&self, symbol: Symbol) -> Option<&Datum> {
        if self.0.len() <= LINEAR_MAX {
            return self.0.iter().find(|(name, _)| *name == symbol).map(|(_, value)| value);
        }
        let place = self.0.binary_search_by_key(&symbol, |(name, _)| *name).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// Every field.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Symbol, &Datum)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }
}

impl FromIterator<(Symbol, Datum)> for Record {
    /// Names must be distinct.
    fn from_iter<I: IntoIterator<Item = (Symbol, Datum)>>(fields: I) -> Self {
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        Self(fields.into_boxed_slice())
    }
}
