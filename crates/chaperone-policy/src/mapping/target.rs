//! What a request does, as a mapping says it: the action, and templates for its resource and attributes.

use std::fmt::Display;
use std::sync::Arc;

use smol_str::SmolStr;

use super::convert::TextType;
use super::generic::resource;
use super::node::datum_of;
use super::reading::{Readable, Structured, ambiguous};
use super::template::{Template, Unreadable};
use super::{Needs, Undecodable};
use crate::compiled::{Datum, Symbols};
use crate::request::Request;
use crate::shape::{ActionShape, Type};
use crate::value::EntityRef;

/// How long an attribute's text may be, in bytes.
const ATTRIBUTE_BYTES_MAX: usize = 16 * 1024;

/// An action with its resource and attributes. `F` is what their placeholders stand for.
#[derive(Debug)]
pub(super) struct Target<F> {
    pub(super) action: EntityRef,
    pub(super) shape: Arc<ActionShape>,
    pub(super) resource_kind: SmolStr,
    pub(super) resource_id: Template<F>,
    pub(super) attributes: Vec<AttributeRule<F>>,
}

/// How an attribute of the request comes about.
#[derive(Debug)]
pub(super) struct AttributeRule<F> {
    pub(super) name: SmolStr,
    /// Its place in the action's shape.
    pub(super) place: usize,
    pub(super) source: AttributeSource<F>,
    /// Whether any policy of the bundle reads it.
    pub(super) is_read: bool,
    pub(super) absent: Absent,
}

/// What becomes of an attribute whose source is absent.
#[derive(Clone, Debug)]
pub(super) enum Absent {
    /// The request is undecodable.
    Denied,
    /// The attribute is left out.
    LeftOut,
    /// The attribute has this value.
    Default(Datum),
}

#[derive(Debug)]
pub(super) enum AttributeSource<F> {
    Constant(Datum),
    Text(Template<F>, TextType),
    /// One placeholder whose value may have a structure of its own.
    Value(F, Type),
}

impl<F> Target<F> {
    /// The attributes that are made of a part of this kind.
    pub(super) fn filled_from(&self, is_such: impl Fn(&F) -> bool) -> impl Iterator<Item = &SmolStr> {
        let rules = self.attributes.iter().filter(move |rule| rule.source.fields().any(&is_such));
        rules.map(|rule| &rule.name)
    }
}

impl<F: Display> Target<F> {
    /// What a request does, without attributes.
    ///
    /// # Errors
    /// When a part of the resource's id is absent or repeated, or the id is too long.
    pub(super) fn request(&self, from: &impl Readable<F>) -> Result<Request, Undecodable> {
        let id = self.resource_id.render(|field| from.read(field)).map_err(unreadable)?;
        Ok(Request::of(self.action.clone(), resource(self.resource_kind.clone(), &id)?, &self.shape))
    }

    /// Puts the attributes that are needed into their places.
    ///
    /// # Errors
    /// When a part of one is absent, repeated, too long, or no value of its type.
    pub(super) fn read_attributes(
        &self,
        from: &impl Readable<F>,
        needs: Needs,
        symbols: &Symbols,
        request: &mut Request,
    ) -> Result<(), Undecodable> {
        for rule in self.attributes.iter().filter(|rule| rule.is_read || needs == Needs::All) {
            if let Some(value) = rule.value(from, symbols)? {
                request.set(rule.place, value);
            }
        }
        Ok(())
    }

    /// Notes which attributes any policy reads.
    pub(super) fn keep_reads(&mut self, is_read: impl Fn(&str) -> bool) {
        for rule in &mut self.attributes {
            rule.is_read = is_read(&rule.name);
        }
    }
}

impl<F: Display> AttributeRule<F> {
    fn value(&self, from: &impl Readable<F>, symbols: &Symbols) -> Result<Option<Datum>, Undecodable> {
        match &self.source {
            AttributeSource::Constant(value) => Ok(Some(value.clone())),
            AttributeSource::Text(template, ty) => match template.render(|field| from.read(field)) {
                Ok(text) => self.of_text(&text, *ty).map(Some),
                Err(Unreadable::Absent(field)) => self.absent.value(field),
                Err(error) => Err(unreadable(error)),
            },
            AttributeSource::Value(field, ty) => match from.structured(field)? {
                Structured::Absent => self.absent.value(field),
                Structured::Text(text) => match TextType::of(ty) {
                    Some(ty) => self.of_text(&text, ty).map(Some),
                    None => Err(ambiguous(field)),
                },
                Structured::Node(node) => match datum_of(&node, ty, symbols) {
                    Some(value) => Ok(Some(value)),
                    None => Err(Undecodable::new(format!("the attribute `{}` must be {}", self.name, ty.name()))),
                },
            },
        }
    }

    fn of_text(&self, text: &str, ty: TextType) -> Result<Datum, Undecodable> {
        if text.len() > ATTRIBUTE_BYTES_MAX {
            let message = format!("the attribute `{}` is longer than {ATTRIBUTE_BYTES_MAX} bytes", self.name);
            return Err(Undecodable::new(message));
        }
        let value = ty.convert(text);
        value.ok_or_else(|| Undecodable::new(format!("the attribute `{}` must be {}", self.name, ty.expectation())))
    }
}

impl Absent {
    fn value(&self, field: &impl Display) -> Result<Option<Datum>, Undecodable> {
        match self {
            Self::Denied => Err(unreadable(Unreadable::Absent(field))),
            Self::LeftOut => Ok(None),
            Self::Default(value) => Ok(Some(value.clone())),
        }
    }
}

impl<F> AttributeSource<F> {
    /// What its placeholders stand for.
    pub(super) fn fields(&self) -> impl Iterator<Item = &F> {
        let (template, field) = match self {
            Self::Constant(_) => (None, None),
            Self::Text(template, _) => (Some(template), None),
            Self::Value(field, _) => (None, Some(field)),
        };
        template.into_iter().flat_map(Template::fields).chain(field)
    }
}

/// The error for a placeholder that cannot be read. It names the placeholder, never a value.
pub(super) fn unreadable<F: Display>(error: Unreadable<'_, F>) -> Undecodable {
    match error {
        Unreadable::Absent(field) => Undecodable::new(format!("`{field}` is absent")),
        Unreadable::Ambiguous(field) => ambiguous(field),
        Unreadable::Undecodable(undecodable) => undecodable,
    }
}
