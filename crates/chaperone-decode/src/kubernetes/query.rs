//! Queries of requests to the API.

use std::borrow::Cow;

use super::text::{is_segment, require};
use crate::Undecodable;

/// The decoded names and values of a query, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(pub(super) &'a [(Cow<'a, str>, Cow<'a, str>)]);

impl<'a> Query<'a> {
    /// The values of a parameter, in order.
    pub(super) fn all(self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// The value of a parameter. The API server takes the first of several, and others the last, so there may only be one.
    pub(super) fn one(self, name: &'static str) -> Result<Option<&'a str>, Undecodable> {
        let mut values = self.all(name);
        let value = values.next();
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Undecodable::new(format!("the query has `{name}` several times"))),
        }
    }

    /// Whether `watch` is true; `None` where it is absent.
    ///
    /// To the API server everything but `false` and `0` is true, even `no`. Only what is meant as it is read is taken.
    pub(super) fn watch(self) -> Result<Option<bool>, Undecodable> {
        Ok(match self.one("watch")? {
            None => None,
            Some("" | "1" | "true") => Some(true),
            Some("0" | "false") => Some(false),
            Some(_) => return Err(Undecodable::new("the query's `watch` is neither true nor false")),
        })
    }

    /// Whether a selector is given.
    pub(super) fn has_selector(self) -> Result<bool, Undecodable> {
        let is_given = |selector: Option<&str>| selector.is_some_and(|selector| !selector.trim().is_empty());
        Ok(is_given(self.one("fieldSelector")?) | is_given(self.one("labelSelector")?))
    }

    /// Whether the API server is asked to keep nothing.
    pub(super) fn is_dry_run(self) -> Result<bool, Undecodable> {
        let mut is_dry_run = false;
        for value in self.all("dryRun") {
            require(value == "All", "the query's `dryRun` is not `All`")?;
            is_dry_run = true;
        }
        Ok(is_dry_run)
    }

    /// The one name that the field selector leaves.
    pub(super) fn selected_name(self) -> Result<Option<&'a str>, Undecodable> {
        let selector = self.one("fieldSelector")?.unwrap_or_default();
        require(!selector.contains('\\'), "the field selector has an escape")?;
        let mut selected = None;
        for term in selector.split(',').filter(|term| !term.is_empty()) {
            let Some((field, name)) = term.split_once('=') else {
                return Err(Undecodable::new("a term of the field selector has no operator"));
            };
            // `!=` and `==` are operators as well; the first one in the term counts.
            if field.trim() != "metadata.name" {
                continue;
            }
            let name = name.strip_prefix('=').unwrap_or(name);
            let is_name = is_segment(name) && !name.contains('=');
            require(field == "metadata.name" && is_name, "the field selector selects what is no name")?;
            require(selected.is_none(), "the field selector selects two names")?;
            selected = Some(name);
        }
        Ok(selected)
    }
}
