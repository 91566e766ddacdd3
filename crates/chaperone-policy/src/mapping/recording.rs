//! What of a request's attributes stays in records, and in which form.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::decoding::{NamedDecoder, OperationField};
use super::reading::RequestField;
use super::route::Route;
use crate::schema::SUPPLIED_ACTION;
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
    /// Attributes that some route or operation fills from a header, a body or a call's arguments: whoever wants them in records must say so.
    raw: BTreeSet<SmolStr>,
}

/// Facts of supplied actions that hold what the client wrote word by word, where a password may stand.
pub(super) const RAW_FACTS: [&str; 5] = ["arguments", "command", "flags", "push_url", "urls"];

impl Recording {
    /// Notes which attributes routes and operations fill with what the client wrote word by word.
    pub(super) fn note(&mut self, routes: &[Route], decoders: &[NamedDecoder]) {
        let targets = routes.iter().flat_map(|route| &route.targets);
        let of_routes = targets.flat_map(|target| target.filled_from(RequestField::is_raw));
        let targets = decoders.iter().flat_map(|decoder| &decoder.rules).map(|rule| &rule.target);
        let of_operations = targets.flat_map(|target| target.filled_from(OperationField::is_raw));
        self.raw = of_routes.chain(of_operations).cloned().collect();
    }

    /// What becomes of an attribute of this name, wherever it may come from.
    pub(super) fn anywhere(&self, attribute: &str) -> Recorded {
        match self.named.get(attribute) {
            Some(named) => *named,
            None if self.raw.contains(attribute) || RAW_FACTS.contains(&attribute) => Recorded::Dropped,
            None => Recorded::Kept,
        }
    }

    /// What becomes of an attribute.
    pub(super) fn of(&self, action: &EntityRef, attribute: &str) -> Recorded {
        if let Some(named) = self.named.get(attribute) {
            return *named;
        }
        // The whole query of a request that no route matches: nobody has looked at what is in it.
        let is_supplied = action.kind == SUPPLIED_ACTION;
        let is_query = is_supplied && attribute == "query" && action.id == "http";
        let is_raw = is_supplied && RAW_FACTS.contains(&attribute);
        if is_query || is_raw || self.raw.contains(attribute) { Recorded::Dropped } else { Recorded::Kept }
    }
}
