//! What requests do that no route matches: the actions `http`, `grpc` and `tcp` of the namespace `Chaperone`.

use std::sync::Arc;

use smol_str::{SmolStr, format_smolstr};

use super::host::normal_host;
use super::http::Connection;
use super::reading::{View, source_ip, zone};
use super::{Needs, Undecodable};
use crate::compiled::Datum;
use crate::compiled::extension::IpRange;
use crate::request::Request;
use crate::schema::SUPPLIED_ACTION;
use crate::shape::{ActionShape, Shapes};
use crate::value::EntityRef;
use crate::zone::Zones;

/// How long a resource's id may be, in bytes.
const RESOURCE_ID_BYTES_MAX: usize = 1024;

const ACTION: SmolStr = SmolStr::new_static(SUPPLIED_ACTION);
const ENDPOINT: SmolStr = SmolStr::new_static("Chaperone::Endpoint");
const METHOD: SmolStr = SmolStr::new_static("Chaperone::Method");
const LISTENER: SmolStr = SmolStr::new_static("Chaperone::Listener");

/// The three actions.
#[derive(Debug)]
pub(super) struct Generic {
    http: GenericAction,
    grpc: GenericAction,
    tcp: GenericAction,
}

/// One of the three.
#[derive(Debug)]
pub(super) struct GenericAction {
    name: EntityRef,
    /// `None` where the schema does not declare it; then no policy can permit it.
    shape: Option<Arc<ActionShape>>,
    attributes: Vec<GenericAttribute>,
}

#[derive(Debug)]
struct GenericAttribute {
    name: SmolStr,
    /// In the action's shape.
    place: usize,
    /// Whether any policy of the bundle reads it.
    is_read: bool,
}

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

impl Generic {
    /// The three actions as the schema has them.
    pub(super) fn new(shapes: &Shapes) -> Self {
        let action = |id: &'static str| GenericAction::new(id, shapes);
        Self { http: action("http"), grpc: action("grpc"), tcp: action("tcp") }
    }

    /// Notes which attributes any policy reads.
    pub(super) fn keep_reads(&mut self, is_read: impl Fn(&str) -> bool) {
        for action in [&mut self.http, &mut self.grpc, &mut self.tcp] {
            for attribute in &mut action.attributes {
                attribute.is_read = is_read(&attribute.name);
            }
        }
    }

    /// The action of an HTTP or gRPC request, without attributes.
    ///
    /// # Errors
    /// When a gRPC request's path names no method, or the id of the resource would be too long.
    pub(super) fn http(&self, view: &View<'_>) -> Result<(&GenericAction, Request), Undecodable> {
        if is_grpc(view)? {
            let (service, method) = grpc_method(view)?;
            let resource = resource(METHOD, &format_smolstr!("{service}/{method}"))?;
            return Ok((&self.grpc, self.grpc.request(resource)));
        }
        let resource = resource(ENDPOINT, &format_smolstr!("{}{}", view.host, view.path.text()))?;
        Ok((&self.http, self.http.request(resource)))
    }

    /// The action of a TCP connection, without attributes.
    ///
    /// # Errors
    /// When its destination is not an address and a port, or the server name is not valid.
    pub(super) fn tcp(&self, connection: &Connection<'_>) -> Result<(&GenericAction, Request), Undecodable> {
        let address = connection.destination_address;
        let port = destination_port(connection)?;
        if address.is_empty() {
            return Err(Undecodable::new("the connection has no destination address"));
        }
        server_name(connection)?;
        let id = if address.contains(':') {
            format_smolstr!("[{address}]:{port}")
        } else {
            format_smolstr!("{address}:{port}")
        };
        Ok((&self.tcp, self.tcp.request(resource(LISTENER, &id)?)))
    }
}

impl GenericAction {
    fn new(id: &'static str, shapes: &Shapes) -> Self {
        let name = EntityRef { kind: ACTION, id: SmolStr::new_static(id) };
        let shape = shapes.get(&name).cloned();
        let attributes = shape.iter().flat_map(|shape| shape.attributes.keys().enumerate());
        let attributes =
            attributes.map(|(place, name)| GenericAttribute { name: name.clone(), place, is_read: true }).collect();
        Self { name, shape, attributes }
    }

    fn request(&self, resource: EntityRef) -> Request {
        match &self.shape {
            Some(shape) => Request::of(self.name.clone(), resource, shape),
            None => Request::new(self.name.clone(), resource),
        }
    }

    /// Puts the attributes of a request that are needed into their places.
    ///
    /// # Errors
    /// When a gRPC request's path names no method.
    pub(super) fn read_request(&self, view: &View<'_>, needs: Needs, request: &mut Request) -> Result<(), Undecodable> {
        let is_grpc = self.name.id == "grpc";
        self.read(needs, request, |name| {
            Ok(match name {
                "method" if is_grpc => Some(text(grpc_method(view)?.1)),
                "service" => Some(text(grpc_method(view)?.0)),
                "method" => Some(text(view.method)),
                "scheme" => Some(text(&view.scheme)),
                "host" => Some(text(&view.host)),
                "path" => Some(text(&view.path.text())),
                "query" => Some(text(view.query.raw())),
                _ => of_peer(view.connection, view.zones, name),
            })
        })
    }

    /// Puts the attributes of a connection that are needed into their places.
    ///
    /// # Errors
    /// When the destination is not an address and a port, or the server name is not valid.
    pub(super) fn read_connection(
        &self,
        connection: &Connection<'_>,
        zones: &Zones,
        needs: Needs,
        request: &mut Request,
    ) -> Result<(), Undecodable> {
        self.read(needs, request, |name| {
            Ok(match name {
                "destination_port" => Some(Datum::Long(i64::from(destination_port(connection)?))),
                "sni" => Some(text(&server_name(connection)?)),
                _ => of_peer(connection, zones, name),
            })
        })
    }

    fn read(
        &self,
        needs: Needs,
        request: &mut Request,
        value: impl Fn(&str) -> Result<Option<Datum>, Undecodable>,
    ) -> Result<(), Undecodable> {
        for attribute in self.attributes.iter().filter(|attribute| attribute.is_read || needs == Needs::All) {
            if let Some(value) = value(&attribute.name)? {
                request.set(attribute.place, value);
            }
        }
        Ok(())
    }
}

fn text(value: &str) -> Datum {
    Datum::String(SmolStr::new(value))
}

/// What is known of whoever is at the other end; unknown things are left out.
pub(super) fn of_peer(connection: &Connection<'_>, zones: &Zones, name: &str) -> Option<Datum> {
    match name {
        "peer" if !connection.peer_spiffe_id.is_empty() => Some(text(connection.peer_spiffe_id)),
        "source_ip" => source_ip(connection).map(|address| Datum::Ip(IpRange::of(address))),
        "zone" => zone(connection, zones).map(|name| Datum::String(name.clone())),
        _ => None,
    }
}

fn destination_port(connection: &Connection<'_>) -> Result<u16, Undecodable> {
    let port = u16::try_from(connection.destination_port).ok().filter(|port| *port != 0);
    port.ok_or_else(|| Undecodable::new("the connection has no destination port"))
}

fn server_name<'a>(connection: &Connection<'a>) -> Result<std::borrow::Cow<'a, str>, Undecodable> {
    normal_host(connection.sni).map_err(|_| Undecodable::new("the server name is not valid"))
}

/// The service and the method that a gRPC request's path names.
fn grpc_method<'v>(view: &'v View<'_>) -> Result<(&'v str, &'v str), Undecodable> {
    match view.path.segments() {
        [service, method] if !service.is_empty() && !method.is_empty() && !view.path.raw().contains('%') => {
            Ok((service, method))
        }
        _ => Err(Undecodable::new("the path of a gRPC request is not `/package.Service/Method`")),
    }
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
