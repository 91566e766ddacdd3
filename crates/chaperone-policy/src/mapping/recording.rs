//! What of a request's attributes stays in records, and in which form.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::reading::RequestField;
use super::route::{AttributeSource, Route};
use crate::value::EntityRef;

/// In which form an attribute is recorded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recorded {
    /// As it is.
    Kept,
    /// As a keyed digest: equal values can be told, and nothing else.
    Hashed,
    /// Not at all.
    Dropped,
}

/// What a mapping says of that.
#[derive(Debug, Default)]
pub(super) struct Recording {
    /// Attributes that are named, of whatever action.
    pub(super) named: BTreeMap<SmolStr, Recorded>,
    /// Attributes that some route fills from a header: whoever wants them in records must say so.
    from_headers: BTreeSet<SmolStr>,
}

impl Recording {
    /// Notes which attributes the routes fill from headers.
    pub(super) fn note_routes(&mut self, routes: &[Route]) {
        let rules = routes.iter().flat_map(|route| &route.target.attributes);
        let from_headers = rules.filter(|rule| match &rule.source {
            AttributeSource::Constant(_) => false,
            AttributeSource::Text(template, _) => {
                template.fields().any(|field| matches!(field, RequestField::Header(_)))
            }
        });
        self.from_headers = from_headers.map(|rule| rule.name.clone()).collect();
    }

    /// What becomes of an attribute of this name, wherever it may come from.
    pub(super) fn anywhere(&self, attribute: &str) -> Recorded {
        match self.named.get(attribute) {
            Some(named) => *named,
            None if self.from_headers.contains(attribute) => Recorded::Dropped,
            None => Recorded::Kept,
        }
    }

    /// What becomes of an attribute.
    pub(super) fn of(&self, action: &EntityRef, attribute: &str) -> Recorded {
        if let Some(named) = self.named.get(attribute) {
            return *named;
        }
        // The whole query of a request that no route matches: nobody has looked at what is in it.
        let is_raw = attribute == "query" && action.kind == "Chaperone::Action" && action.id == "http";
        if is_raw || self.from_headers.contains(attribute) { Recorded::Dropped } else { Recorded::Kept }
    }
}
