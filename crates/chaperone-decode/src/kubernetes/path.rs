//! Paths of the API.

use super::attributes::Attributes;
use super::scope::is_cluster_scoped;
use super::text::{is_domain, is_label, is_resource, is_segment, require};
use crate::Undecodable;

/// What a path leads to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Target<'a> {
    /// What is no object: `/healthz`, or the list of an API's resources.
    Path(&'a [&'a str]),
    /// An object, or a collection of them.
    Object {
        /// All but the verb.
        attributes: Attributes<'a>,
        /// The path behind `proxy`.
        behind: Option<String>,
        /// Whether the path begins with the deprecated `watch`.
        is_watch: bool,
    },
}

/// The prefixes that are verbs.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Prefix {
    Watch,
    Proxy,
}

impl<'a> Target<'a> {
    /// What this path leads to.
    pub(super) fn of(path: &'a [&'a str]) -> Result<Self, Undecodable> {
        let (path, ends_in_slash) = match path {
            [] | [""] => return Ok(Self::Path(&[])),
            [path @ .., ""] => (path, true),
            path => (path, false),
        };
        require(
            path.iter().all(|segment| is_segment(segment)),
            "a segment of the path is empty or can be read in several ways",
        )?;
        let target = match path {
            ["api", version, parts @ ..] if !parts.is_empty() => object("", version, parts, ends_in_slash)?,
            ["apis", group, version, parts @ ..] if !parts.is_empty() => {
                require(is_domain(group), "the API group is no DNS name")?;
                object(group, version, parts, ends_in_slash)?
            }
            [first, ..] => {
                let is_api = |name: &str| first.eq_ignore_ascii_case(name) && *first != name;
                require(!is_api("api") && !is_api("apis"), "the path begins with an API's prefix in capitals")?;
                Self::Path(path)
            }
            [] => return Err(Undecodable::new("the path is empty")),
        };
        // The API server takes `pods/` for `pods`, but compares other paths with their last slash.
        let is_proxied = matches!(target, Self::Object { behind: Some(_), .. });
        require(is_proxied || !ends_in_slash, "the path ends in a slash")?;
        Ok(target)
    }
}

/// What the parts behind group and version lead to.
fn object<'a>(
    group: &'a str,
    version: &'a str,
    parts: &'a [&'a str],
    ends_in_slash: bool,
) -> Result<Target<'a>, Undecodable> {
    require(is_label(version), "the version of the API is no DNS label")?;
    let (prefix, parts) = match parts {
        ["watch", parts @ ..] => (Some(Prefix::Watch), parts),
        ["proxy", parts @ ..] => (Some(Prefix::Proxy), parts),
        parts => (None, parts),
    };
    let (namespace, parts) = match parts {
        // What is behind a namespace is a resource in it, but for the namespace's own two subresources.
        ["namespaces", namespace, "status" | "finalize", ..] | ["namespaces", namespace] => (*namespace, parts),
        ["namespaces", namespace, parts @ ..] => (*namespace, parts),
        parts => ("", parts),
    };
    let (resource, name, subresource, behind) = match parts {
        [] => return Err(Undecodable::new("the path names no resource")),
        [resource, name, behind @ ..] if prefix == Some(Prefix::Proxy) => (*resource, *name, "proxy", behind),
        [resource] => (*resource, "", "", [].as_slice()),
        [resource, name] => (*resource, *name, "", [].as_slice()),
        [resource, name, subresource, behind @ ..] => (*resource, *name, *subresource, behind),
    };
    require(is_resource(resource), "the resource is no name of one")?;
    require(subresource.is_empty() || is_resource(subresource), "the subresource is no name of one")?;
    require(namespace.is_empty() || is_label(namespace), "the namespace is no DNS label")?;
    let is_namespace = resource == "namespaces" && name == namespace;
    require(
        namespace.is_empty() || is_namespace || !is_cluster_scoped(group, resource),
        "a resource that is outside of namespaces is asked for in one",
    )?;
    let attributes = Attributes { verb: "", group, version, resource, subresource, namespace, name };
    let is_proxied = attributes.is_proxied();
    require(
        is_proxied || prefix != Some(Prefix::Proxy),
        "the prefix `proxy` is before what is none of pods, services and nodes",
    )?;
    require(is_proxied || behind.is_empty(), "the path has too many segments")?;
    require(prefix != Some(Prefix::Watch) || subresource.is_empty(), "the prefix `watch` is before a subresource")?;
    let behind = is_proxied.then(|| {
        let slash = if ends_in_slash && !behind.is_empty() { "/" } else { "" };
        format!("/{}{slash}", behind.join("/"))
    });
    Ok(Target::Object { attributes, behind, is_watch: prefix == Some(Prefix::Watch) })
}
