//! A schema in plain data, and requests to map.

use chaperone_policy::mapping::{Connection, Headers, HttpRequest, Mapped, Mapping, Undecodable};
use chaperone_policy::{ActionShape, EntityRef, Field, Fields, Shapes, Type};

/// `read`, `export` and `probe` on documents, and `configure` on settings in a namespace.
pub fn shapes() -> Shapes {
    Shapes::from([
        action("Action", "read", "Document", []),
        action("Action", "export", "Document", [("format", Type::String, true), ("rows", Type::Long, false)]),
        action("Action", "configure", "Setting", [("value", Type::String, true)]),
        action("Docs::Action", "tune", "Docs::Setting", []),
        action(
            "Action",
            "probe",
            "Document",
            [
                ("text", Type::String, false),
                ("number", Type::Long, false),
                ("flag", Type::Bool, false),
                ("address", Type::Ip, false),
                ("amount", Type::Decimal, false),
                ("day", Type::Datetime, false),
                ("span", Type::Duration, false),
                ("tags", Type::Set(Box::new(Type::String)), false),
                ("team", Type::Entity("Team".into()), false),
                ("nested", Type::Record(Fields::new()), false),
            ],
        ),
    ])
}

fn action<const N: usize>(
    kind: &str,
    id: &str,
    resource: &str,
    attributes: [(&str, Type, bool); N],
) -> (EntityRef, ActionShape) {
    let fields = attributes.map(|(name, ty, required)| (name.into(), Field { ty, required }));
    let shape = ActionShape {
        principals: vec!["Agent".into()],
        resources: vec![resource.into()],
        attributes: Fields::from(fields),
    };
    (EntityRef::new(kind, id), shape)
}

/// A mapping that is expected to be valid.
pub fn mapping(text: &str) -> Mapping {
    Mapping::parse(text, &shapes()).unwrap_or_else(|problems| {
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
pub fn resource(mapped: &Result<Mapped, Undecodable>) -> Result<String, String> {
    match mapped {
        Ok(mapped) => Ok(mapped.requests.iter().map(|request| request.resource.to_string()).collect()),
        Err(error) => Err(error.message.clone()),
    }
}

/// The name of the route that matched, if one did.
pub fn route_of(mapped: &Result<Mapped, Undecodable>) -> Option<&str> {
    mapped.as_ref().expect("it maps").route.as_deref()
}
