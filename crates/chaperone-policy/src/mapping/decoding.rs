//! Decoders as a bundle sets them up: what each of them is told, and which of its operations are actions of the bundle's own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use chaperone_decode::document::{Document, Node, Pointer};
use chaperone_decode::{Classes, Decoder, Fact, Operation, a2a, kubernetes, mcp, shell, sql};
use smol_str::{SmolStr, ToSmolStr as _};

use super::generic::{of_peer, resource};
use super::http::Connection;
use super::reading::{Readable, Reading, RequestField, Structured, View, reading, structured};
use super::target::{Target, unreadable};
use super::template::Template;
use super::{Needs, Undecodable};
use crate::compiled::extension::IpRange;
use crate::compiled::{Datum, Set, Symbols};
use crate::decoders::{action_id, resource_type};
use crate::request::Request;
use crate::schema::SUPPLIED_ACTION;
use crate::shape::{ActionShape, Shapes};
use crate::value::EntityRef;
use crate::zone::Zones;

const ACTION: SmolStr = SmolStr::new_static(SUPPLIED_ACTION);
/// The headers of a message that came without HTTP.
const NO_HTTP: &[(&str, &[u8])] = &[("content-type", b"application/json")];

/// A decoder of a bundle.
#[derive(Debug)]
pub(super) struct NamedDecoder {
    pub(super) name: SmolStr,
    pub(super) settings: Settings,
    pub(super) classes: Arc<Classes>,
    /// In the order of the file.
    pub(super) rules: Vec<OperationRule>,
    pub(super) supplied: Supplied,
}

/// What a decoder is told.
#[derive(Clone, Debug)]
pub(super) enum Settings {
    Sql(sql::Options),
    Shell(shell::Options),
    Mcp(mcp::Options),
    A2a(a2a::Options),
    /// Requests to the API.
    Kubernetes(kubernetes::Options),
    /// Questions of the API server, by its authorization webhook.
    KubernetesReview(kubernetes::Options),
}

/// The actions that Chaperone supplies for a decoder.
#[derive(Debug)]
pub(super) struct Supplied {
    /// By the decoder's names for them.
    actions: HashMap<SmolStr, (EntityRef, Arc<ActionShape>)>,
    /// The types of resources, likewise.
    kinds: HashMap<&'static str, SmolStr>,
    /// The fields of `context.request`, which all of the actions have.
    fields: Vec<SuppliedField>,
}

#[derive(Debug)]
struct SuppliedField {
    name: SmolStr,
    /// In the shape of every action.
    place: usize,
    /// Whether any policy of the bundle reads it.
    is_read: bool,
}

/// Operations that are an action of the bundle's own.
#[derive(Debug)]
pub(super) struct OperationRule {
    /// What an operation must be: names of facts, `action` or `object`, each with a text.
    pub(super) when: Vec<(SmolStr, Box<str>)>,
    pub(super) target: Target<OperationField>,
}

/// A part of an operation that a template can name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum OperationField {
    Action,
    Object,
    Fact(SmolStr),
    /// A value in the arguments of a call.
    Arguments(Pointer),
}

/// What of a route's requests a decoder decodes.
#[derive(Debug)]
pub(super) struct Decoding {
    /// By its place among the mapping's decoders.
    pub(super) decoder: usize,
    /// The text of a script or a command; the whole body where there is none.
    pub(super) input: Option<Template<RequestField>>,
}

/// One operation of a request, with the arguments of the call that it is.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    arguments: Option<Document>,
    /// Which of the decoder's rules it is for; `None` for the supplied action.
    rule: Option<usize>,
}

/// The operations of a request, with whose they are.
#[derive(Debug)]
pub(super) struct Decoded<'d> {
    pub(super) decoder: &'d NamedDecoder,
    pub(super) calls: Vec<Call>,
}

/// Something to decode that no proxy forwards: what a direct caller is about to do.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// A script or a command line.
    Text(&'a str),
    /// A program with its arguments, which no shell will read.
    Arguments(&'a [&'a str]),
    /// A message.
    Message(&'a [u8]),
}

impl OperationField {
    /// Whether it may hold whatever the client wrote, beyond what a record is for.
    pub(super) fn is_raw(&self) -> bool {
        match self {
            Self::Arguments(_) => true,
            Self::Fact(name) => super::recording::RAW_FACTS.contains(&name.as_str()),
            Self::Action | Self::Object => false,
        }
    }
}

/// Who presents a payload, as far as that is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller<'a> {
    /// The peer's SPIFFE ID.
    pub spiffe_id: Option<&'a str>,
    /// Where it is.
    pub address: Option<IpAddr>,
}

impl fmt::Display for OperationField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action => f.write_str("{action}"),
            Self::Object => f.write_str("{object}"),
            Self::Fact(name) => write!(f, "{{fact.{name}}}"),
            Self::Arguments(pointer) => write!(f, "{{arguments:{pointer}}}"),
        }
    }
}

impl Settings {
    /// Whose settings they are.
    pub(super) const fn decoder(&self) -> Decoder {
        match self {
            Self::Sql(_) => Decoder::Sql,
            Self::Shell(_) => Decoder::Shell,
            Self::Mcp(_) => Decoder::Mcp,
            Self::A2a(_) => Decoder::A2a,
            Self::Kubernetes(_) | Self::KubernetesReview(_) => Decoder::Kubernetes,
        }
    }
}

impl Supplied {
    /// The actions of a decoder, as the schema has them.
    pub(super) fn of(decoder: Decoder, classes: &Classes, shapes: &Shapes) -> Self {
        let shape = |(name, _): (&SmolStr, _)| {
            let action = EntityRef { kind: ACTION, id: action_id(decoder, name) };
            let shape = shapes.get(&action).cloned()?;
            Some((name.clone(), (action, shape)))
        };
        let actions: HashMap<_, _> = classes.actions(decoder).filter_map(shape).collect();
        let names = actions.values().next().into_iter().flat_map(|(_, shape)| shape.attributes.keys());
        let field = |(place, name): (usize, &SmolStr)| SuppliedField { name: name.clone(), place, is_read: true };
        let fields = names.enumerate().map(field).collect();
        let kinds = decoder.resources().iter().map(|kind| (*kind, resource_type(decoder, kind))).collect();
        Self { actions, kinds, fields }
    }

    /// An operation as one of the actions, without attributes.
    fn request(&self, decoder: Decoder, operation: &Operation) -> Result<Request, Undecodable> {
        let kind = self.kinds.get(operation.resource.kind).cloned();
        let kind = kind.unwrap_or_else(|| resource_type(decoder, operation.resource.kind));
        let resource = resource(kind, &operation.resource.id)?;
        Ok(match self.actions.get(&operation.action) {
            Some((action, shape)) => Request::of(action.clone(), resource, shape),
            // No policy can permit it.
            None => Request::new(EntityRef { kind: ACTION, id: action_id(decoder, &operation.action) }, resource),
        })
    }
}

impl NamedDecoder {
    /// Notes which attributes any policy reads.
    pub(super) fn keep_reads(&mut self, is_read: impl Fn(&str) -> bool) {
        for field in &mut self.supplied.fields {
            field.is_read = is_read(&field.name);
        }
        for rule in &mut self.rules {
            rule.target.keep_reads(&is_read);
        }
    }

    /// The operations of what a direct caller is about to do.
    pub(super) fn decode(&self, payload: Payload<'_>) -> Result<Vec<Call>, Undecodable> {
        let classes = &self.classes;
        match (&self.settings, payload) {
            (Settings::Sql(options), Payload::Text(text)) => self.plain(sql::decode(text, options, classes)?),
            (Settings::Shell(options), Payload::Text(text)) => self.plain(shell::decode(text, options, classes)?),
            (Settings::Shell(options), Payload::Arguments(arguments)) => {
                self.plain(shell::decode_argv(arguments, options, classes)?)
            }
            (Settings::Mcp(options), Payload::Message(body)) => {
                self.mcp(mcp::decode(&mcp::Message { method: "POST", headers: NO_HTTP, body }, options, classes)?)
            }
            (Settings::A2a(options), Payload::Message(body)) => {
                self.a2a(a2a::decode(&a2a::Message { method: "POST", headers: NO_HTTP, body }, options, classes)?)
            }
            (Settings::KubernetesReview(options), Payload::Message(body)) => {
                self.plain(kubernetes::review(body, options, classes)?)
            }
            _ => Err(Undecodable::new(format!("the decoder `{}` does not take a payload of this kind", self.name))),
        }
    }

    fn decode_http(&self, view: &View<'_>, input: Option<&str>) -> Result<Vec<Call>, Undecodable> {
        let classes = &self.classes;
        match (&self.settings, input) {
            (Settings::Sql(_) | Settings::Shell(_), Some(text)) => self.decode(Payload::Text(text)),
            (Settings::Sql(_) | Settings::Shell(_), None) => self.decode(Payload::Text(view.body.text()?)),
            (Settings::Mcp(options), _) => {
                let (headers, body) = (view.headers.as_slice(), view.body.bytes()?);
                self.mcp(mcp::decode(&mcp::Message { method: view.method, headers, body }, options, classes)?)
            }
            (Settings::A2a(options), _) => {
                let (headers, body) = (view.headers.as_slice(), view.body.bytes()?);
                self.a2a(a2a::decode(&a2a::Message { method: view.method, headers, body }, options, classes)?)
            }
            (Settings::KubernetesReview(_), _) => self.decode(Payload::Message(view.body.bytes()?)),
            (Settings::Kubernetes(options), _) => {
                let path: Vec<&str> = view.path.segments().iter().map(|segment| &**segment).collect();
                let query: Vec<_> = view.query.parameters().collect();
                let upgrade = view.headers.all("upgrade").next().is_some();
                let request = kubernetes::ApiRequest { method: view.method, path: &path, query: &query, upgrade };
                self.plain(kubernetes::decode(&request, options, classes)?)
            }
        }
    }

    fn plain(&self, operations: Vec<Operation>) -> Result<Vec<Call>, Undecodable> {
        self.calls(operations.into_iter().map(|operation| (operation, None)))
    }

    fn mcp(&self, calls: Vec<mcp::Call>) -> Result<Vec<Call>, Undecodable> {
        self.calls(calls.into_iter().map(|call| (call.operation, Some(call.arguments))))
    }

    fn a2a(&self, calls: Vec<a2a::Call>) -> Result<Vec<Call>, Undecodable> {
        self.calls(calls.into_iter().map(|call| (call.operation, Some(call.arguments))))
    }

    fn calls(&self, operations: impl Iterator<Item = (Operation, Option<Document>)>) -> Result<Vec<Call>, Undecodable> {
        let call = |(operation, arguments): (Operation, _)| {
            let rule = self.rules.iter().position(|rule| rule.is_for(&operation));
            Call { operation, arguments, rule }
        };
        let calls: Vec<Call> = operations.map(call).collect();
        // Asking for nothing is no reason to allow.
        if calls.is_empty() { Err(Undecodable::new("there is nothing to do in it")) } else { Ok(calls) }
    }

    /// What a call does, without attributes.
    fn request(&self, call: &Call) -> Result<Request, Undecodable> {
        match call.rule.and_then(|rule| self.rules.get(rule)) {
            Some(rule) => rule.target.request(call),
            None => self.supplied.request(self.settings.decoder(), &call.operation),
        }
    }

    /// Puts the attributes of a call that are needed into their places.
    fn read_attributes(
        &self,
        call: &Call,
        surroundings: Surroundings<'_>,
        needs: Needs,
        symbols: &Symbols,
        request: &mut Request,
    ) -> Result<(), Undecodable> {
        if let Some(rule) = call.rule.and_then(|rule| self.rules.get(rule)) {
            rule.target.read_attributes(call, needs, symbols, request)?;
            if let (Some(place), Some(zone)) = (rule.target.shape.zone(), surroundings.zone()) {
                request.set(place, zone);
            }
            return Ok(());
        }
        for field in self.supplied.fields.iter().filter(|field| field.is_read || needs == Needs::All) {
            let value = match field.name.as_str() {
                "decoder" => Some(Datum::String(self.name.clone())),
                "object" => Some(Datum::String(call.operation.resource.id.clone())),
                name => match call.operation.facts.get(name) {
                    Some(fact) => Some(datum(fact)),
                    None => surroundings.of(name),
                },
            };
            if let Some(value) = value {
                request.set(field.place, value);
            }
        }
        Ok(())
    }
}

/// Where a call comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Surroundings<'a> {
    Proxy(&'a Connection<'a>, &'a Zones),
    Caller(Caller<'a>, &'a Zones),
}

impl Surroundings<'_> {
    fn of(self, name: &str) -> Option<Datum> {
        let (caller, zones) = match self {
            Self::Proxy(connection, zones) => return of_peer(connection, zones, name),
            Self::Caller(caller, zones) => (caller, zones),
        };
        match name {
            "peer" => caller.spiffe_id.map(|id| Datum::String(id.into())),
            "source_ip" => caller.address.map(|address| Datum::Ip(IpRange::of(address.to_canonical()))),
            "zone" => zones.find(caller.address?).map(|name| Datum::String(name.clone())),
            _ => None,
        }
    }

    fn zone(self) -> Option<Datum> {
        self.of("zone")
    }
}

impl Decoding {
    /// The operations of a request.
    ///
    /// # Errors
    /// When it does not say what it would do.
    pub(super) fn decode<'d>(&self, decoders: &'d [NamedDecoder], view: &View<'_>) -> Result<Decoded<'d>, Undecodable> {
        let decoder = decoders.get(self.decoder).ok_or_else(|| Undecodable::new("the decoder is missing"))?;
        let input = self.input.as_ref().map(|input| input.render(|field| view.read(field)).map_err(unreadable));
        let calls = decoder.decode_http(view, input.transpose()?.as_deref())?;
        Ok(Decoded { decoder, calls })
    }
}

impl Decoded<'_> {
    /// What the calls do, without attributes.
    ///
    /// # Errors
    /// When the resource of one has no id, or one that is too long.
    pub(super) fn requests(&self) -> Result<Vec<Request>, Undecodable> {
        self.calls.iter().map(|call| self.decoder.request(call)).collect()
    }

    /// Puts the attributes of the calls that are needed into their places.
    ///
    /// # Errors
    /// When one is absent, or no value of its type.
    pub(super) fn read_attributes(
        &self,
        surroundings: Surroundings<'_>,
        needs: Needs,
        symbols: &Symbols,
        requests: &mut [Request],
    ) -> Result<(), Undecodable> {
        for (call, request) in self.calls.iter().zip(requests) {
            self.decoder.read_attributes(call, surroundings, needs, symbols, request)?;
        }
        Ok(())
    }
}

impl OperationRule {
    fn is_for(&self, operation: &Operation) -> bool {
        self.when.iter().all(|(name, wanted)| match name.as_str() {
            "action" => operation.action == **wanted,
            "object" => operation.resource.id == **wanted,
            name => match operation.facts.get(name) {
                None => false,
                Some(Fact::Texts(texts)) => texts.contains(&**wanted),
                Some(fact) => scalar(fact).is_some_and(|text| text == **wanted),
            },
        })
    }
}

impl Readable<OperationField> for Call {
    fn read<'v>(&'v self, field: &'v OperationField) -> Reading<'v> {
        match field {
            OperationField::Action => Reading::One(Cow::Borrowed(&self.operation.action)),
            OperationField::Object => Reading::One(Cow::Borrowed(&self.operation.resource.id)),
            OperationField::Fact(name) => match self.operation.facts.get(name.as_str()) {
                None => Reading::Absent,
                Some(Fact::Texts(_)) => Reading::Ambiguous,
                Some(fact) => scalar(fact).map_or(Reading::Ambiguous, Reading::One),
            },
            OperationField::Arguments(pointer) => reading(Ok(self.argument(pointer))),
        }
    }

    fn structured<'v>(&'v self, field: &'v OperationField) -> Result<Structured<'v>, Undecodable> {
        Ok(match field {
            OperationField::Arguments(pointer) => structured(self.argument(pointer)),
            OperationField::Action => Structured::Text(Cow::Borrowed(&self.operation.action)),
            OperationField::Object => Structured::Text(Cow::Borrowed(&self.operation.resource.id)),
            OperationField::Fact(name) => match self.operation.facts.get(name.as_str()) {
                None => Structured::Absent,
                Some(fact) => Structured::Node(Cow::Owned(node(fact))),
            },
        })
    }
}

impl Call {
    fn argument(&self, pointer: &Pointer) -> Option<&Node> {
        self.arguments.as_ref()?.root.at(pointer)
    }
}

/// A fact as a text; what is several has none.
fn scalar(fact: &Fact) -> Option<Cow<'_, str>> {
    match fact {
        Fact::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        Fact::Long(value) => Some(Cow::Owned(value.to_string())),
        Fact::Text(text) => Some(Cow::Borrowed(text)),
        Fact::Texts(_) => None,
    }
}

fn node(fact: &Fact) -> Node {
    match fact {
        Fact::Bool(value) => Node::Bool(*value),
        Fact::Long(value) => Node::Number(value.to_smolstr()),
        Fact::Text(text) => Node::Text(text.clone()),
        Fact::Texts(texts) => Node::List(texts.iter().cloned().map(Node::Text).collect()),
    }
}

fn datum(fact: &Fact) -> Datum {
    match fact {
        Fact::Bool(value) => Datum::Bool(*value),
        Fact::Long(value) => Datum::Long(*value),
        Fact::Text(text) => Datum::String(text.clone()),
        Fact::Texts(texts) => Datum::Set(Arc::new(texts.iter().cloned().map(Datum::String).collect::<Set>())),
    }
}
