//! What an operation on objects is about, in the words of the API server.

use super::fact::Facts;
use super::scope::is_cluster_scoped;
use super::text::require;
use super::{Options, action, resource_id};
use crate::{Classes, Operation, Resource, Undecodable};

/// The type of an object.
pub(super) const OBJECT: &str = "Object";

/// What an operation on objects is about. What is absent is empty.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Attributes<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl<'a> Attributes<'a> {
    /// Whether its name may have a scheme before it and a port behind it.
    pub(super) fn is_proxied(&self) -> bool {
        let is_proxy = self.subresource == "proxy" || (self.verb == "proxy" && self.subresource.is_empty());
        is_proxy && self.group.is_empty() && matches!(self.resource, "nodes" | "pods" | "services")
    }

    /// Whether it runs something in a pod, or reaches into its network, through an upgraded connection.
    pub(super) fn is_pod_connection(&self) -> bool {
        self.group.is_empty()
            && self.resource == "pods"
            && matches!(self.subresource, "attach" | "exec" | "portforward")
    }

    /// Its operation, with these facts beside those that it has itself.
    ///
    /// `is_connection` says that a connection is upgraded on which the API gives no word on what is said.
    pub(super) fn operation(
        mut self,
        mut facts: Facts,
        is_connection: bool,
        options: &Options,
        classes: &Classes,
    ) -> Result<Operation, Undecodable> {
        // By WebSocket this is a GET, which the API server calls `get`; since 1.35 it asks for `create` as well. It is the same act.
        if self.is_pod_connection() && self.verb == "get" {
            self.verb = "create";
        }
        if self.is_proxied() {
            let (name, port) = backend(self.name)?;
            self.name = name;
            facts.present("port", port);
        }
        let scope = self.scope()?;
        let action = action::of_object(&self, is_connection, classes)?;
        facts.bool("all_namespaces", self.namespace.is_empty() && !is_cluster_scoped(self.group, self.resource));
        facts.text("group", self.group);
        facts.text("resource", self.resource);
        facts.text("verb", self.verb);
        let Self { version, subresource, namespace, name, .. } = self;
        for (fact, value) in
            [("version", version), ("subresource", subresource), ("namespace", namespace), ("name", name)]
        {
            facts.present(fact, value);
        }
        let id = resource_id::of(&[&options.cluster, self.group, self.resource, scope, self.name]);
        Ok(Operation { action, resource: Resource { kind: OBJECT, id }, facts: facts.0 })
    }

    /// The namespace that its object is in.
    ///
    /// The API server says of a namespace that it is in itself, but not everybody who asks does. Here it is in none, and its own name is its
    /// namespace as far as facts go.
    fn scope(&mut self) -> Result<&'a str, Undecodable> {
        if !self.group.is_empty() || self.resource != "namespaces" || self.name.is_empty() {
            return Ok(self.namespace);
        }
        require(self.namespace.is_empty() || self.namespace == self.name, "two namespaces are named")?;
        self.namespace = self.name;
        Ok("")
    }
}

/// The object's name and the port, of `name`, `name:port` or `scheme:name:port`.
fn backend(text: &str) -> Result<(&str, &str), Undecodable> {
    let mut parts = text.split(':');
    let (name, port) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None, None) => (name, ""),
        (Some(name), Some(port), None, None) | (Some("" | "http" | "https"), Some(name), Some(port), None) => {
            (name, port)
        }
        _ => return Err(Undecodable::new("the name before `proxy` is not of the form scheme:name:port")),
    };
    require(!name.is_empty() || text.is_empty(), "the name before `proxy` is empty")?;
    require(!matches!(name, "." | ".."), "the name before `proxy` is no segment of a path")?;
    Ok((name, port))
}
