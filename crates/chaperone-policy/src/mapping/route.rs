//! Routes: which requests they are for, and what those requests then do.

use std::collections::HashMap;
use std::sync::Arc;

use super::Undecodable;
use super::answer::OnFailure;
use super::decoding::Decoding;
use super::host::HostPattern;
use super::path_template::{PathTemplate, Segment};
use super::plan::AnswerPlan;
use super::reading::{Reading, RequestField, View};
use super::target::Target;

/// One route of a mapping.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) name: Arc<str>,
    pub(super) pattern: Pattern,
    /// What its requests do whatever is in them; nothing where only a decoder can tell.
    pub(super) targets: Vec<Target<RequestField>>,
    pub(super) decoding: Option<Decoding>,
    pub(super) on_failure: OnFailure,
    pub(super) answer: Arc<AnswerPlan>,
}

/// Which requests a route is for.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// `None`: all.
    pub(super) methods: Option<Box<[Box<str>]>>,
    /// `None`: all.
    pub(super) host: Option<HostPattern>,
    pub(super) path: PathTemplate,
    /// With lower-case names.
    pub(super) headers: Vec<Condition>,
    pub(super) query: Vec<Condition>,
}

/// A header or query parameter that must be there, once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Condition {
    pub(super) name: Box<str>,
    /// `None`: any value.
    pub(super) value: Option<Box<str>>,
}

/// Whether a request is as a condition says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Yes,
    No,
    /// One reading says yes, another says no.
    Both,
}

impl Pattern {
    /// Whether a request is for this route.
    ///
    /// # Errors
    /// When that hangs on how a repeated header or parameter is read.
    fn matches(&self, view: &View<'_>) -> Result<bool, Undecodable> {
        let method = self.methods.as_ref().is_none_or(|methods| methods.iter().any(|method| **method == *view.method));
        let host = || self.host.as_ref().is_none_or(|host| host.matches(&view.host));
        if !method || !self.path.matches(&view.path) || !host() {
            return Ok(false);
        }
        let mut ambiguous = None;
        for (kind, condition, verdict) in self
            .headers
            .iter()
            .map(|condition| ("header", condition, condition.header_verdict(view)))
            .chain(self.query.iter().map(|condition| ("query parameter", condition, condition.query_verdict(view))))
        {
            match verdict {
                Verdict::Yes => {}
                // Whatever the other conditions say.
                Verdict::No => return Ok(false),
                Verdict::Both => ambiguous = ambiguous.or(Some((kind, &condition.name))),
            }
        }
        match ambiguous {
            None => Ok(true),
            Some((kind, name)) => Err(Undecodable::new(format!("the {kind} `{name}` is there more than once"))),
        }
    }
}

impl Condition {
    fn header_verdict(&self, view: &View<'_>) -> Verdict {
        let mut values = view.headers.all(&self.name);
        let value = match (values.next(), values.next()) {
            (None, _) => return Verdict::No,
            (Some(_), Some(_)) => return Verdict::Both,
            (Some(value), None) => value,
        };
        let Some(wanted) = &self.value else {
            return Verdict::Yes;
        };
        if value == wanted.as_bytes() {
            return Verdict::Yes;
        }
        // Proxies join a repeated header with commas; whoever takes the values apart again may find the wanted one.
        if value.split(|byte| *byte == b',').any(|part| part.trim_ascii() == wanted.as_bytes()) {
            return Verdict::Both;
        }
        Verdict::No
    }

    fn query_verdict(&self, view: &View<'_>) -> Verdict {
        match (view.query.find(&self.name), &self.value) {
            (Reading::Absent, _) => Verdict::No,
            (Reading::Ambiguous | Reading::Undecodable(_), _) => Verdict::Both,
            (Reading::One(value), Some(wanted)) if *value != **wanted => Verdict::No,
            (Reading::One(_), _) => Verdict::Yes,
        }
    }
}

/// The routes of a mapping, in the order of the file, findable by the first segment of a path.
#[derive(Debug, Default)]
pub(super) struct RouteTable {
    routes: Vec<Route>,
    /// For a first segment: the routes that can match, in order. Those that take any first segment are in every list.
    by_first: HashMap<Box<str>, Vec<usize>>,
    /// The routes that take any first segment, in order.
    any_first: Vec<usize>,
}

impl RouteTable {
    pub(super) fn new(routes: Vec<Route>) -> Self {
        let mut by_first: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut any_first = Vec::new();
        for route in &routes {
            if let Some(Segment::Literal(text)) = route.pattern.path.segments().first() {
                by_first.entry(text.clone()).or_default();
            }
        }
        for (number, route) in routes.iter().enumerate() {
            if let Some(Segment::Literal(text)) = route.pattern.path.segments().first() {
                by_first.entry(text.clone()).or_default().push(number);
            } else {
                any_first.push(number);
                for candidates in by_first.values_mut() {
                    candidates.push(number);
                }
            }
        }
        Self { routes, by_first, any_first }
    }

    /// Notes which attributes any policy reads.
    pub(super) fn keep_reads(&mut self, is_read: impl Fn(&str) -> bool) {
        for target in self.routes.iter_mut().flat_map(|route| &mut route.targets) {
            target.keep_reads(&is_read);
        }
    }

    /// The first route in the order of the file that a request is for.
    ///
    /// # Errors
    /// When that hangs on how a repeated header or parameter is read.
    pub(super) fn find(&self, view: &View<'_>) -> Result<Option<&Route>, Undecodable> {
        let first = view.path.segments().first();
        let candidates = first.and_then(|first| self.by_first.get(&**first)).unwrap_or(&self.any_first);
        for route in candidates.iter().filter_map(|number| self.routes.get(*number)) {
            if route.pattern.matches(view)? {
                return Ok(Some(route));
            }
        }
        Ok(None)
    }
}
