//! What requests do that no route matches: the actions `http`, `grpc` and `tcp` of the namespace `Chaperone`.

use smol_str::{SmolStr, format_smolstr};

use super::Undecodable;
use super::host::normal_host;
use super::http::Connection;
use super::reading::{View, source_ip};
use crate::request::Request;
use crate::value::{Attributes, EntityRef, Value};

/// How long a resource's id may be, in bytes.
const RESOURCE_ID_BYTES_MAX: usize = 1024;

const ACTION: SmolStr = SmolStr::new_static("Chaperone::Action");
const ENDPOINT: SmolStr = SmolStr::new_static("Chaperone::Endpoint");
const METHOD: SmolStr = SmolStr::new_static("Chaperone::Method");
const LISTENER: SmolStr = SmolStr::new_static("Chaperone::Listener");

/// A resource with an id that came from a request.
pub(super) fn resource(kind: SmolStr, id: &str) -> Result<EntityRef, Undecodable> {
    if id.is_empty() {
        return Err(Undecodable::new("the resource's id is empty"));
    }
    if id.len() > RESOURCE_ID_BYTES_MAX {
        return Err(Undecodable::new(format!("the resource's id is longer than {RESOURCE_ID_BYTES_MAX} bytes")));
    }
    Ok(EntityRef::new(kind, id))
}

/// The action of an HTTP or gRPC request.
///
/// # Errors
/// When a gRPC request's path names no method, or the id of the resource would be too long.
pub(super) fn http(view: &View<'_>) -> Result<Request, Undecodable> {
    if is_grpc(view)? { grpc(view) } else { plain(view) }
}

fn plain(view: &View<'_>) -> Result<Request, Undecodable> {
    let path = view.path.text();
    let resource = resource(ENDPOINT, &format_smolstr!("{}{path}", view.host))?;
    let mut attributes = connection_attributes(view.connection);
    attributes.extend([
        text("method", view.method),
        text("scheme", &view.scheme),
        text("host", &view.host),
        text("path", &path),
        text("query", view.query.raw()),
    ]);
    Ok(Request { action: action("http"), resource, attributes })
}

fn grpc(view: &View<'_>) -> Result<Request, Undecodable> {
    let [service, method] = view.path.segments() else {
        return Err(Undecodable::new("the path of a gRPC request is not `/package.Service/Method`"));
    };
    if service.is_empty() || method.is_empty() || view.path.raw().contains('%') {
        return Err(Undecodable::new("the path of a gRPC request is not `/package.Service/Method`"));
    }
    let resource = resource(METHOD, &format_smolstr!("{service}/{method}"))?;
    let mut attributes = connection_attributes(view.connection);
    attributes.extend([text("service", service), text("method", method), text("host", &view.host)]);
    Ok(Request { action: action("grpc"), resource, attributes })
}

/// The action of a TCP connection.
///
/// # Errors
/// When its destination is not an address and a port, or the server name is not valid.
pub(super) fn tcp(connection: &Connection<'_>) -> Result<Request, Undecodable> {
    let address = connection.destination_address;
    let port = u16::try_from(connection.destination_port).ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| Undecodable::new("the connection has no destination port"))?;
    if address.is_empty() {
        return Err(Undecodable::new("the connection has no destination address"));
    }
    let id =
        if address.contains(':') { format_smolstr!("[{address}]:{port}") } else { format_smolstr!("{address}:{port}") };
    let sni = normal_host(connection.sni).map_err(|_| Undecodable::new("the server name is not valid"))?;
    let mut attributes = connection_attributes(connection);
    attributes.extend([(SmolStr::new_static("destination_port"), Value::Long(i64::from(port))), text("sni", &sni)]);
    Ok(Request { action: action("tcp"), resource: resource(LISTENER, &id)?, attributes })
}

const fn action(id: &'static str) -> EntityRef {
    EntityRef { kind: ACTION, id: SmolStr::new_static(id) }
}

fn text(name: &'static str, value: &str) -> (SmolStr, Value) {
    (SmolStr::new_static(name), Value::String(SmolStr::new(value)))
}

/// What is known of whoever is at the other end; unknown things are left out.
fn connection_attributes(connection: &Connection<'_>) -> Attributes {
    let mut attributes = Attributes::new();
    if !connection.peer_spiffe_id.is_empty() {
        attributes.extend([text("peer", connection.peer_spiffe_id)]);
    }
    if let Some(address) = source_ip(connection) {
        attributes.insert(SmolStr::new_static("source_ip"), Value::Ip(format_smolstr!("{address}")));
    }
    attributes
}

/// Whether a request is gRPC: a POST of `application/grpc`, with a message format or parameters behind it or none; not gRPC-Web.
fn is_grpc(view: &View<'_>) -> Result<bool, Undecodable> {
    if view.method != "POST" {
        return Ok(false);
    }
    let (mut types, mut grpc) = (0, false);
    for value in view.headers.all("content-type").flat_map(|value| value.split(|byte| *byte == b',')) {
        types += 1;
        grpc |= super::http::is_grpc_type(value.trim_ascii());
    }
    if grpc && types > 1 {
        return Err(Undecodable::new("the content type is there more than once"));
    }
    Ok(grpc)
}
