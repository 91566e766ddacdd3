//! Routes: which requests they are for, and what those requests then do.

use std::collections::HashMap;
use std::sync::Arc;

use smol_str::SmolStr;

use super::Needs;
use super::Undecodable;
use super::answer::OnFailure;
use super::convert::TextType;
use super::generic::resource;
use super::host::HostPattern;
use super::path_template::{PathTemplate, Segment};
use super::plan::AnswerPlan;
use super::reading::{Reading, RequestField, View};
use super::template::{Template, Unreadable};
use crate::compiled::Datum;
use crate::request::Request;
use crate::shape::ActionShape;
use crate::value::EntityRef;

/// How long an attribute's text may be, in bytes.
const ATTRIBUTE_BYTES_MAX: usize = 16 * 1024;

/// One route of a mapping.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) name: Arc<str>,
    pub(super) pattern: Pattern,
    pub(super) target: Target,
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

/// What a request of a route does.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) action: EntityRef,
    pub(super) shape: Arc<ActionShape>,
    pub(super) resource_kind: SmolStr,
    pub(super) resource_id: Template<RequestField>,
    pub(super) attributes: Vec<AttributeRule>,
}

/// How an attribute of the request comes about.
#[derive(Debug)]
pub(super) struct AttributeRule {
    pub(super) name: SmolStr,
    /// Its place in the action's shape.
    pub(super) place: usize,
    pub(super) source: AttributeSource,
    /// Whether any policy of the bundle reads it.
    pub(super) is_read: bool,
    /// Left out when its source is absent.
    pub(super) optional: bool,
}

#[derive(Debug)]
pub(super) enum AttributeSource {
    Constant(Datum),
    Text(Template<RequestField>, TextType),
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
            (Reading::Ambiguous, _) => Verdict::Both,
            (Reading::One(value), Some(wanted)) if *value != **wanted => Verdict::No,
            (Reading::One(_), _) => Verdict::Yes,
        }
    }
}

impl Target {
    /// What a request of this route does, without attributes.
    ///
    /// # Errors
    /// When a part of the resource's id is absent or repeated, or the id is too long.
    pub(super) fn request(&self, view: &View<'_>) -> Result<Request, Undecodable> {
        let id = self.resource_id.render(|field| view.read(field)).map_err(|error| unreadable(&error))?;
        Ok(Request::of(self.action.clone(), resource(self.resource_kind.clone(), &id)?, &self.shape))
    }

    /// Puts the attributes that are needed into their places.
    ///
    /// # Errors
    /// When a part of one is absent, repeated, too long, or no value of its type.
    pub(super) fn read_attributes(
        &self,
        view: &View<'_>,
        needs: Needs,
        request: &mut Request,
    ) -> Result<(), Undecodable> {
        for rule in self.attributes.iter().filter(|rule| rule.is_read || needs == Needs::All) {
            if let Some(value) = rule.value(view)? {
                request.set(rule.place, value);
            }
        }
        Ok(())
    }
}

impl AttributeRule {
    fn value(&self, view: &View<'_>) -> Result<Option<Datum>, Undecodable> {
        let (template, ty) = match &self.source {
            AttributeSource::Constant(value) => return Ok(Some(value.clone())),
            AttributeSource::Text(template, ty) => (template, *ty),
        };
        let text = match template.render(|field| view.read(field)) {
            Ok(text) => text,
            Err(Unreadable::Absent(_)) if self.optional => return Ok(None),
            Err(error) => return Err(unreadable(&error)),
        };
        if text.len() > ATTRIBUTE_BYTES_MAX {
            let message = format!("the attribute `{}` is longer than {ATTRIBUTE_BYTES_MAX} bytes", self.name);
            return Err(Undecodable::new(message));
        }
        match ty.convert(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(Undecodable::new(format!("the attribute `{}` must be {}", self.name, ty.expectation()))),
        }
    }
}

/// The error for a placeholder that cannot be read. It names the placeholder, never a value.
pub(super) fn unreadable(error: &Unreadable<'_, RequestField>) -> Undecodable {
    match error {
        Unreadable::Absent(field) => Undecodable::new(format!("`{field}` is absent")),
        Unreadable::Ambiguous(field) => Undecodable::new(format!("`{field}` is there more than once, or is no text")),
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
        for rule in self.routes.iter_mut().flat_map(|route| &mut route.target.attributes) {
            rule.is_read = is_read(&rule.name);
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
