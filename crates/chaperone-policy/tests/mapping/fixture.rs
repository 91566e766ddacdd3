//! A schema, and requests to map.

use std::sync::LazyLock;

use chaperone_policy::mapping::{Connection, Headers, HttpRequest, Mapping, Needs, OnFailure, Undecodable};
use chaperone_policy::{Attributes, Bundle, BundleSource, EntityRef, Request, Shapes, Value};

/// `read`, `export` and `probe` on documents, and `configure` on settings in a namespace.
const SCHEMA: &str = "
    entity Team; entity Agent; entity Document; entity Setting;
    action read appliesTo { principal: Agent, resource: Document, context: { request: {} } };
    action export appliesTo {
        principal: Agent, resource: Document, context: { request: { format: String, rows?: Long } }
    };
    action configure appliesTo { principal: Agent, resource: Setting, context: { request: { value: String } } };
    action probe appliesTo { principal: Agent, resource: Document, context: { request: {
        text?: String, number?: Long, flag?: Bool, address?: ipaddr, amount?: decimal, day?: datetime, span?: duration,
        tags?: Set<String>, team?: Team, nested?: {},
    } } };
    action enter appliesTo { principal: Agent, resource: Document, context: { request: { zone?: String } } };
    namespace Docs {
        entity Dial;
        action tune appliesTo { principal: Agent, resource: Dial, context: { request: {} } };
    }
";

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| {
    let mut source = BundleSource::default();
    source.files.insert("schema.cedarschema".into(), SCHEMA.into());
    source.files.insert("policies/a.cedar".into(), "@id(\"a\") permit (principal, action, resource);".into());
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
});

/// What the schema says of the actions.
pub fn shapes() -> &'static Shapes {
    BUNDLE.shapes()
}

/// What a request comes to.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    pub requests: Vec<Request>,
    pub route: Option<String>,
    pub on_failure: OnFailure,
}

/// Maps a request, and reads all of its attributes.
pub fn map(mapping: &Mapping, request: &HttpRequest<'_>) -> Result<Outcome, Undecodable> {
    let mut mapped = mapping.map_http(request)?;
    mapped.read_attributes(Needs::All)?;
    let route = mapped.route.map(ToString::to_string);
    Ok(Outcome { requests: mapped.requests, route, on_failure: mapped.on_failure })
}

/// Maps a connection, and reads all of its attributes.
pub fn map_tcp(mapping: &Mapping, connection: &Connection<'_>) -> Result<Outcome, Undecodable> {
    let mut mapped = mapping.map_tcp(connection)?;
    mapped.read_attributes(Needs::All)?;
    Ok(Outcome { requests: mapped.requests, route: None, on_failure: mapped.on_failure })
}

/// The request that has these attributes and no others.
pub fn request<'a>(
    action: &str,
    resource: (&str, &str),
    attributes: impl IntoIterator<Item = (&'a str, Value)>,
) -> Request {
    let attributes: Attributes = attributes.into_iter().map(|(name, value)| (name.into(), value)).collect();
    let request = BUNDLE.request(action, EntityRef::new(resource.0, resource.1), attributes);
    request.unwrap_or_else(|error| panic!("{error}"))
}

/// The mapping of a bundle that has none.
pub fn no_mapping() -> Mapping {
    Mapping::new(shapes())
}

/// A mapping that is expected to be valid.
pub fn mapping(text: &str) -> Mapping {
    Mapping::parse(text, shapes(), None).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

/// A mapping with one route that reads documents, `more` being more keys of the route.
pub fn reading(path: &str, id: &str, more: &str) -> Mapping {
    mapping(&route("route", path, id, more))
}

/// A route that reads documents.
pub fn route(name: &str, path: &str, id: &str, more: &str) -> String {
    format!(
        "[[route]]\nname = \"{name}\"\npath = \"{path}\"\naction = \"read\"\n\
         resource = {{ type = \"Document\", id = \"{id}\" }}\n{more}\n"
    )
}

/// A GET of `target` at `docs.example.com`.
pub fn get(target: &str) -> HttpRequest<'_> {
    HttpRequest { method: "GET", host: "docs.example.com", scheme: "https", target, ..HttpRequest::default() }
}

/// The same with headers.
pub fn get_with<'a>(target: &'a str, headers: &[(&'a str, &'a [u8])]) -> HttpRequest<'a> {
    HttpRequest { headers: Headers::new(headers.iter().copied()), ..get(target) }
}

/// A connection from a peer with a SPIFFE ID.
pub fn from_peer(peer: &str) -> Connection<'_> {
    Connection { peer_spiffe_id: peer, source_address: "10.1.2.3", ..Connection::default() }
}

/// The one resource of a mapped request, as text.
pub fn resource(mapped: &Result<Outcome, Undecodable>) -> Result<String, String> {
    match mapped {
        Ok(mapped) => Ok(mapped.requests.iter().map(|request| request.resource.to_string()).collect()),
        Err(error) => Err(error.message.clone()),
    }
}

/// The name of the route that matched, if one did.
pub fn route_of(mapped: &Result<Outcome, Undecodable>) -> Option<&str> {
    mapped.as_ref().expect("it maps").route.as_deref()
}
