//! Reads the questions of `chaperone.v1.DecisionService` in place: texts are borrowed from the message, and only values are built.

use std::collections::HashMap;

use chaperone_api::chaperone::v1 as api;
use chaperone_api::chaperone::v1::value::Kind;
use chaperone_policy::mapping::Payload;
use prost::encoding::WireType;

use super::wire::{Fields, Malformed};

/// A `CheckStreamRequest`. What is absent is as empty, here and below.
#[derive(Debug, Default, PartialEq)]
pub(super) struct StreamQuestion<'a> {
    pub(super) request_id: u64,
    pub(super) check: CheckQuestion<'a>,
}

/// A `CheckRequest`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct CheckQuestion<'a> {
    pub(super) session_handle: &'a str,
    pub(super) presenter: Option<PresenterFields<'a>>,
    pub(super) action: Option<ActionFields<'a>>,
    pub(super) consistency: i32,
    pub(super) payload: Option<PayloadFields<'a>>,
}

/// A `CheckBatchRequest`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct BatchQuestion<'a> {
    pub(super) session_handle: &'a str,
    pub(super) presenter: Option<PresenterFields<'a>>,
    pub(super) actions: Vec<ActionFields<'a>>,
    pub(super) consistency: i32,
}

/// A `Presenter`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PresenterFields<'a> {
    pub(super) spiffe_id: &'a str,
    pub(super) certificate_sha256: &'a [u8],
    pub(super) address: &'a str,
}

/// An `ActionRequest`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ActionFields<'a> {
    pub(super) action: &'a str,
    pub(super) resource: Option<EntityFields<'a>>,
    /// In the order in which they came; of several with one name, the last counts.
    pub(super) attributes: Vec<(&'a str, api::Value)>,
}

/// A `Payload`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PayloadFields<'a> {
    pub(super) decoder: &'a str,
    pub(super) content: Option<PayloadContent<'a>>,
}

/// The `oneof` of a `Payload`.
#[derive(Debug, PartialEq)]
pub(super) enum PayloadContent<'a> {
    Text(&'a str),
    Arguments(Vec<&'a str>),
    Message(&'a [u8]),
}

/// An `EntityRef`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct EntityFields<'a> {
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
}

/// A question that is read from the bytes of a whole message.
pub(super) trait Reads<'a>: Default {
    /// Reads a whole message.
    ///
    /// # Errors
    /// When it is malformed, be it in a part that nobody asks for.
    fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut question = Self::default();
        question.merge(Fields::new(message))?;
        Ok(question)
    }

    /// Reads fields into it, as if they stood behind those that were read before.
    fn merge(&mut self, fields: Fields<'a>) -> Result<(), Malformed>;
}

impl<'a> Reads<'a> for StreamQuestion<'a> {
    fn merge(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => self.request_id = fields.varint(wire_type)?,
                2 => self.check.merge(fields.message(wire_type)?)?,
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }
}

impl<'a> Reads<'a> for CheckQuestion<'a> {
    fn merge(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => self.session_handle = fields.text(wire_type)?,
                2 => self.presenter.get_or_insert_default().merge(fields.message(wire_type)?)?,
                3 => self.action.get_or_insert_default().merge(fields.message(wire_type)?)?,
                4 => self.consistency = enumeration(&mut fields, wire_type)?,
                5 => self.payload.get_or_insert_default().merge(fields.message(wire_type)?)?,
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }
}

impl<'a> Reads<'a> for BatchQuestion<'a> {
    fn merge(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => self.session_handle = fields.text(wire_type)?,
                2 => self.presenter.get_or_insert_default().merge(fields.message(wire_type)?)?,
                3 => {
                    let mut action = ActionFields::default();
                    action.merge(fields.message(wire_type)?)?;
                    self.actions.push(action);
                }
                4 => self.consistency = enumeration(&mut fields, wire_type)?,
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }
}

impl<'a> PresenterFields<'a> {
    fn merge(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => self.spiffe_id = fields.text(wire_type)?,
                2 => self.certificate_sha256 = fields.bytes(wire_type)?,
                3 => self.address = fields.text(wire_type)?,
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }
}

impl<'a> ActionFields<'a> {
    fn merge(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => self.action = fields.text(wire_type)?,
                2 => self.resource.get_or_insert_default().merge(fields.message(wire_type)?)?,
                3 => self.attributes.push(value_entry(fields.entry()?)?),
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }
}

impl<'a> PayloadFields<'a> {
    /// Of the `oneof` the last counts; arguments are added to those that came just before.
    fn merge(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => self.decoder = fields.text(wire_type)?,
                2 => self.content = Some(PayloadContent::Text(fields.text(wire_type)?)),
                3 => {
                    let mut values = match self.content.take() {
                        Some(PayloadContent::Arguments(values)) => values,
                        _ => Vec::new(),
                    };
                    merge_arguments(&mut values, fields.message(wire_type)?)?;
                    self.content = Some(PayloadContent::Arguments(values));
                }
                4 => self.content = Some(PayloadContent::Message(fields.bytes(wire_type)?)),
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }
}

impl PayloadContent<'_> {
    /// As the mapping takes it.
    pub(super) fn payload(&self) -> Payload<'_> {
        match self {
            Self::Text(text) => Payload::Text(text),
            Self::Arguments(values) => Payload::Arguments(values),
            Self::Message(message) => Payload::Message(message),
        }
    }
}

impl<'a> EntityFields<'a> {
    fn merge(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => self.kind = fields.text(wire_type)?,
                2 => self.id = fields.text(wire_type)?,
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }
}

/// An `Arguments`.
fn merge_arguments<'a>(values: &mut Vec<&'a str>, mut fields: Fields<'a>) -> Result<(), Malformed> {
    while let Some((number, wire_type)) = fields.next()? {
        match number {
            1 => values.push(fields.text(wire_type)?),
            _ => fields.skip(number, wire_type)?,
        }
    }
    Ok(())
}

/// An enumeration, whether its number is known or not.
#[expect(clippy::cast_possible_truncation, reason = "protobuf reads an int32 from the low half")]
fn enumeration(fields: &mut Fields<'_>, wire_type: WireType) -> Result<i32, Malformed> {
    Ok(fields.varint(wire_type)? as i32)
}

/// An entry of a `map<string, Value>`.
fn value_entry(mut fields: Fields<'_>) -> Result<(&str, api::Value), Malformed> {
    let (mut key, mut value) = ("", api::Value::default());
    while let Some((number, wire_type)) = fields.next()? {
        match number {
            1 => key = fields.text(wire_type)?,
            2 => merge_value(&mut value, fields.message(wire_type)?)?,
            _ => fields.skip(number, wire_type)?,
        }
    }
    Ok((key, value))
}

/// A `Value`. A message in its `oneof` is merged into one of the same kind that came before.
fn merge_value(value: &mut api::Value, mut fields: Fields<'_>) -> Result<(), Malformed> {
    let kind = &mut value.kind;
    while let Some((number, wire_type)) = fields.next()? {
        let text = |fields: &mut Fields<'_>| fields.text(wire_type).map(str::to_owned);
        *kind = Some(match (number, kind.take()) {
            (1, _) => Kind::Bool(fields.varint(wire_type)? != 0),
            #[expect(clippy::cast_possible_wrap, reason = "protobuf's int64 is two's complement")]
            (2, _) => Kind::Long(fields.varint(wire_type)? as i64),
            (3, _) => Kind::String(text(&mut fields)?),
            (4, before) => {
                let before = if let Some(Kind::Entity(entity)) = &before { Some(entity) } else { None };
                let mut entity = before
                    .map_or_else(EntityFields::default, |entity| EntityFields { kind: &entity.r#type, id: &entity.id });
                entity.merge(fields.message(wire_type)?)?;
                Kind::Entity(api::EntityRef { r#type: entity.kind.to_owned(), id: entity.id.to_owned() })
            }
            (5, before) => {
                let mut set = if let Some(Kind::Set(set)) = before { set } else { api::ValueSet::default() };
                merge_set(&mut set.values, fields.message(wire_type)?)?;
                Kind::Set(set)
            }
            (6, before) => {
                let mut record =
                    if let Some(Kind::Record(record)) = before { record } else { api::ValueRecord::default() };
                merge_record(&mut record.fields, fields.message(wire_type)?)?;
                Kind::Record(record)
            }
            (7, _) => Kind::Ip(text(&mut fields)?),
            (8, _) => Kind::Decimal(text(&mut fields)?),
            (9, _) => Kind::Datetime(text(&mut fields)?),
            (10, _) => Kind::Duration(text(&mut fields)?),
            (_, before) => {
                fields.skip(number, wire_type)?;
                *kind = before;
                continue;
            }
        });
    }
    Ok(())
}

/// A `ValueSet`.
fn merge_set(values: &mut Vec<api::Value>, mut fields: Fields<'_>) -> Result<(), Malformed> {
    while let Some((number, wire_type)) = fields.next()? {
        match number {
            1 => {
                let mut value = api::Value::default();
                merge_value(&mut value, fields.message(wire_type)?)?;
                values.push(value);
            }
            _ => fields.skip(number, wire_type)?,
        }
    }
    Ok(())
}

/// A `ValueRecord`.
fn merge_record(values: &mut HashMap<String, api::Value>, mut fields: Fields<'_>) -> Result<(), Malformed> {
    while let Some((number, wire_type)) = fields.next()? {
        match number {
            1 => {
                let (name, value) = value_entry(fields.entry()?)?;
                values.insert(name.to_owned(), value);
            }
            _ => fields.skip(number, wire_type)?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "decision_message_tests.rs"]
mod tests;
