//! How requests become actions: the bundle's `mapping.toml`.

mod answer;
mod body;
mod convert;
mod credential;
mod decoding;
mod explain;
mod generic;
mod host;
mod http;
mod node;
mod parse;
mod path;
mod path_template;
mod plan;
mod query;
mod reading;
mod recording;
mod route;
mod shadow;
mod target;
mod template;

pub use answer::{Facts, HeaderMutation, Mutations, OnFailure};
pub use decoding::{Caller, Payload};
pub use explain::{ActionExplained, AttributeExplained, DecoderNamed, Explanation, SessionFound, explain};
pub use http::{Connection, Headers, HttpRequest, Metadata};
pub use plan::PlannedChange;
pub use recording::Recorded;

use std::sync::Arc;

use chaperone_decode::document::Node;
use chaperone_decode::grpc::Descriptors;

use self::credential::Source;
use self::decoding::{Decoded, NamedDecoder, Surroundings};
use self::generic::{Generic, GenericAction};
use self::plan::AnswerPlan;
use self::reading::{RequestField, View};
use self::recording::Recording;
use self::route::{Route, RouteTable};
use self::target::Target;
use crate::compiled::Symbols;
use crate::decoders::Decoders;
use crate::fact::{ResultFacts, Results};
use crate::problem::Problem;
use crate::request::Request;
use crate::shape::Shapes;
use crate::value::EntityRef;
use crate::zone::Zones;

/// The header that presents a session where a mapping does not say otherwise.
const DEFAULT_HEADER: &str = "x-chaperone-session";

/// A valid mapping.
#[derive(Debug)]
pub struct Mapping {
    sources: Vec<Source>,
    strip: bool,
    peer: bool,
    semicolons: bool,
    zones: Zones,
    decoders: Vec<NamedDecoder>,
    /// What gRPC methods there are.
    descriptors: Option<Arc<Descriptors>>,
    routes: RouteTable,
    generic: Generic,
    /// What to change in requests that no route matches.
    unmatched: Arc<AnswerPlan>,
    /// What reports of outcomes may tell, by action.
    results: Results,
    recording: Recording,
    /// The schema's numbers of names, for attributes that are records.
    symbols: Arc<Symbols>,
}

/// What a request presents as its session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Credential {
    /// Nothing.
    Absent,
    /// A text that should be a handle; whether it is one, its parser says.
    Handle(String),
    /// Two different ones, or one that is no text: nobody can say which the upstream would believe.
    Ambiguous,
}

/// A request in the words of the policies.
#[derive(Debug)]
pub struct Mapped<'a> {
    /// What it does. All of them must be allowed; there is at least one. Without attributes until they were read.
    pub requests: Vec<Request>,
    /// The name of the route that matched; `None` for the generic action.
    pub route: Option<&'a Arc<str>>,
    /// What being unable to decide looks like to Envoy.
    pub on_failure: OnFailure,
    origin: Origin<'a>,
    answer: &'a AnswerPlan,
    /// The parts of the request that the answer speaks of, read before the decision.
    read: Vec<Option<Box<str>>>,
    symbols: &'a Symbols,
}

/// Where the attributes of a request come from.
#[derive(Debug)]
enum Origin<'a> {
    /// What the route says, and then what the decoder found.
    Route(&'a [Target<RequestField>], Option<Decoded<'a>>, View<'a>),
    /// What a direct caller is about to do.
    Payload(Decoded<'a>, Caller<'a>, &'a Zones),
    Generic(&'a GenericAction, View<'a>),
    Connection(&'a GenericAction, &'a Connection<'a>, &'a Zones),
}

/// Which attributes a decision needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Needs {
    /// Those that the bundle's policies read.
    Policies,
    /// All: a session's scope reads others too.
    All,
}

impl Mapped<'_> {
    /// Reads the attributes that are needed; others are never made.
    ///
    /// # Errors
    /// When one cannot be read in one way only, or is no value of its type.
    pub fn read_attributes(&mut self, needs: Needs) -> Result<(), Undecodable> {
        let Self { requests, origin, symbols, .. } = self;
        match origin {
            Origin::Payload(decoded, caller, zones) => {
                decoded.read_attributes(Surroundings::Caller(*caller, zones), needs, symbols, requests)
            }
            Origin::Route(targets, decoded, view) => {
                let mut requests = requests.iter_mut();
                for (target, request) in targets.iter().zip(&mut requests) {
                    target.read_attributes(view, needs, symbols, request)?;
                }
                let Some(decoded) = decoded else { return Ok(()) };
                let surroundings = Surroundings::Proxy(view.connection, view.zones);
                decoded.read_attributes(surroundings, needs, symbols, requests.into_slice())
            }
            Origin::Generic(action, view) => {
                requests.iter_mut().try_for_each(|request| action.read_request(view, needs, request))
            }
            Origin::Connection(action, connection, zones) => {
                requests.iter_mut().try_for_each(|request| action.read_connection(connection, zones, needs, request))
            }
        }
    }
}

/// A request that cannot be read in one way only.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Undecodable {
    /// What is wrong with it, for the caller. Never repeats header values or the body.
    pub message: String,
}

impl Undecodable {
    /// Because of this.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl From<chaperone_decode::Undecodable> for Undecodable {
    fn from(undecodable: chaperone_decode::Undecodable) -> Self {
        Self::new(undecodable.message)
    }
}

/// What reports may tell, by action, of the text of a `mapping.toml` that may have problems elsewhere.
pub(crate) fn results(text: &str, shapes: &Shapes) -> Results {
    parse::results(text, shapes)
}

/// Which decoders the text of a `mapping.toml` names, and how it classes their actions. It may have problems, here or elsewhere.
pub(crate) fn decoders(text: &str) -> Decoders {
    parse::decoders(text)
}

impl Mapping {
    /// The mapping of a bundle that has none: it finds the session in `x-chaperone-session`, and has no routes.
    pub fn new(shapes: &Shapes) -> Self {
        Self {
            sources: vec![Source::Header(DEFAULT_HEADER.into())],
            strip: true,
            peer: false,
            semicolons: false,
            zones: Zones::default(),
            decoders: Vec::new(),
            descriptors: None,
            routes: RouteTable::default(),
            generic: Generic::new(shapes),
            unmatched: Arc::default(),
            results: Results::new(),
            recording: Recording::default(),
            symbols: Arc::default(),
        }
    }

    /// In which form an attribute of a request is recorded: as `[trail]` says; kept where it says nothing, but for what comes from a header,
    /// and the query of a request that no route matches, which are dropped.
    pub fn recorded(&self, action: &EntityRef, attribute: &str) -> Recorded {
        self.recording.of(action, attribute)
    }

    /// What becomes in records of an attribute of this name, wherever it may come from.
    pub fn recorded_anywhere(&self, attribute: &str) -> Recorded {
        self.recording.anywhere(attribute)
    }

    /// Notes which attributes are read by any policy, so that others need not be made, and the schema's numbers of names. Until then, all
    /// count as read.
    pub(crate) fn keep_reads(&mut self, symbols: &Arc<Symbols>, is_read: impl Fn(&str) -> bool) {
        self.symbols = Arc::clone(symbols);
        self.routes.keep_reads(&is_read);
        self.generic.keep_reads(&is_read);
        for decoder in &mut self.decoders {
            decoder.keep_reads(&is_read);
        }
    }

    /// Reads `mapping.toml` and checks it against the schema and the descriptors of gRPC methods.
    ///
    /// # Errors
    /// With every problem, in the order of their places.
    pub fn parse(text: &str, shapes: &Shapes, descriptors: Option<&Arc<Descriptors>>) -> Result<Self, Vec<Problem>> {
        parse::parse(text, Some(shapes), descriptors)
    }

    /// The problems that `mapping.toml` has whatever the schema says: for a bundle whose schema is itself broken.
    pub fn check_syntax(text: &str) -> Vec<Problem> {
        parse::parse(text, None, None).err().unwrap_or_default()
    }

    /// What the request presents as its session, from the configured sources in their order.
    pub fn credential(&self, request: &HttpRequest<'_>) -> Credential {
        credential::present(&self.sources, request)
    }

    /// The header that presents a session where this mapping looks for one first: its name and its value.
    pub fn presented(&self, handle: &str) -> Option<(String, String)> {
        self.sources.first().map(|source| source.presented(handle))
    }

    /// A message of a gRPC method (`pkg.Service/Method`) that holds this, as `{body:…}` reads it. It is not framed.
    ///
    /// # Errors
    /// When the bundle has no descriptor of the method, or its message has no place for something.
    pub fn encode_message(&self, method: &str, message: &Node) -> Result<Vec<u8>, String> {
        let (service, name) =
            method.trim_start_matches('/').split_once('/').ok_or("a method is `pkg.Service/Method`")?;
        let found = self.descriptors.as_ref().and_then(|descriptors| descriptors.method(service, name));
        let found = found.ok_or("the bundle has no descriptor of this method: give `message_base64`")?;
        chaperone_decode::grpc::encode(&found, message)
    }

    /// What a report of an action's outcome may tell; `None` where the mapping names nothing.
    pub fn results(&self, action: &EntityRef) -> Option<&ResultFacts> {
        self.results.get(action)
    }

    /// Whether a peer with a SPIFFE ID may act for itself where there is no session.
    pub fn allows_peer(&self) -> bool {
        self.peer
    }

    /// Whether it has a decoder of this name.
    pub fn has_decoder(&self, name: &str) -> bool {
        self.decoders.iter().any(|decoder| decoder.name == name)
    }

    /// The network zones that it declares.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// The actions of an HTTP or gRPC request, still without their attributes.
    ///
    /// # Errors
    /// When the request cannot be read in one way only: it is then denied, never guessed.
    pub fn map_http<'a>(&'a self, request: &'a HttpRequest<'a>) -> Result<Mapped<'a>, Undecodable> {
        let view = self.view(request)?;
        if let Some(route) = self.routes.find(&view)? {
            return self.map_route(route, view);
        }
        let (action, mapped) = self.generic.http(&view)?;
        let read = self.unmatched.read(&view)?;
        let origin = Origin::Generic(action, view);
        let (on_failure, answer) = (OnFailure::Deny, &*self.unmatched);
        Ok(Mapped { requests: vec![mapped], route: None, on_failure, origin, answer, read, symbols: &self.symbols })
    }

    /// The request, when it can be read in one way only.
    fn view<'a>(&'a self, request: &'a HttpRequest<'a>) -> Result<View<'a>, Undecodable> {
        View::of(request, self.semicolons, &self.zones, self.descriptors.as_deref())
    }

    fn map_route<'a>(&'a self, route: &'a Route, view: View<'a>) -> Result<Mapped<'a>, Undecodable> {
        let mut requests = Vec::with_capacity(route.targets.len());
        for target in &route.targets {
            requests.push(target.request(&view)?);
        }
        let decoded = route.decoding.as_ref().map(|decoding| decoding.decode(&self.decoders, &view)).transpose()?;
        if let Some(decoded) = &decoded {
            requests.extend(decoded.requests()?);
        }
        let read = route.answer.read(&view)?;
        let origin = Origin::Route(&route.targets, decoded, view);
        let (on_failure, answer) = (route.on_failure, &*route.answer);
        Ok(Mapped { requests, route: Some(&route.name), on_failure, origin, answer, read, symbols: &self.symbols })
    }

    /// The actions of what a direct caller is about to do, told by one of the decoders, still without their attributes.
    ///
    /// # Errors
    /// When there is no such decoder, or the payload does not say what it would do.
    pub fn map_payload<'a>(
        &'a self,
        decoder: &str,
        payload: Payload<'_>,
        caller: Caller<'a>,
    ) -> Result<Mapped<'a>, Undecodable> {
        let found = self.decoders.iter().find(|known| known.name == decoder);
        let decoder = found.ok_or_else(|| Undecodable::new("the mapping has no decoder of this name"))?;
        let told = Decoded { decoder, calls: decoder.decode(payload)? };
        let (requests, answer, symbols) = (told.requests()?, AnswerPlan::nothing(), &*self.symbols);
        let origin = Origin::Payload(told, caller, &self.zones);
        Ok(Mapped { requests, route: None, on_failure: OnFailure::Deny, origin, answer, read: Vec::new(), symbols })
    }

    /// The action of a TCP connection, from Envoy's network filter, still without its attributes.
    ///
    /// # Errors
    /// When the connection has no destination address and port, or its server name is not valid.
    pub fn map_tcp<'a>(&'a self, connection: &'a Connection<'a>) -> Result<Mapped<'a>, Undecodable> {
        let (action, mapped) = self.generic.tcp(connection)?;
        let origin = Origin::Connection(action, connection, &self.zones);
        // There is no request that an answer could change.
        let answer = AnswerPlan::nothing();
        let on_failure = OnFailure::Deny;
        let (requests, symbols) = (vec![mapped], &*self.symbols);
        Ok(Mapped { requests, route: None, on_failure, origin, answer, read: Vec::new(), symbols })
    }

    /// What to change when the request goes on to the upstream.
    ///
    /// The headers that present the session are removed, whoever the request was allowed for.
    pub fn mutations(&self, mapped: &Mapped<'_>, request: &HttpRequest<'_>, facts: &Facts<'_>) -> Mutations {
        let mut mutations = mapped.answer.mutations(&mapped.read, facts);
        if self.strip {
            for name in credential::headers_to_strip(&self.sources, request) {
                if !mutations.headers_to_remove.iter().any(|removed| removed == name) {
                    mutations.headers_to_remove.push(name.to_owned());
                }
            }
        }
        mutations
    }
}
