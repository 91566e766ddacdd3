//! Requests to the API.

use std::borrow::Cow;

use smol_str::SmolStr;

use super::attributes::Attributes;
use super::fact::Facts;
use super::path::Target;
use super::query::Query;
use super::text::require;
use super::{Options, action, command, resource_id};
use crate::{Classes, Operation, Resource, Undecodable};

const SEGMENTS_MAX: usize = 64;
const PARAMETERS_MAX: usize = 512;
const BYTES_MAX: usize = 64 * 1024;

/// A request to the API, without its headers and body.
///
/// The API server drops a part of the query that has a raw `;` or a broken percent-escape, and reads on. Whoever fills this must deny both,
/// for here a `;` can only have come from `%3B`; likewise a path that is no UTF-8 once decoded.
#[derive(Clone, Copy, Debug)]
pub struct ApiRequest<'a> {
    /// The method, such as `GET`.
    pub method: &'a str,
    /// The segments of the path, without the slash before the first; each decoded exactly once, after the path was split.
    pub path: &'a [&'a str],
    /// The names and values of the query, decoded, in order.
    pub query: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// Whether the connection is to be upgraded, as for `exec`, `attach` and `port-forward`.
    pub upgrade: bool,
}

/// Methods that the API knows.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// What a request to the API would do.
///
/// # Errors
/// When that cannot be told, or can be told in several ways.
pub fn decode(request: &ApiRequest<'_>, options: &Options, classes: &Classes) -> Result<Vec<Operation>, Undecodable> {
    let path_bytes: usize = request.path.iter().map(|segment| segment.len()).sum();
    let query_bytes: usize = request.query.iter().map(|(name, value)| name.len() + value.len()).sum();
    require(request.path.len() <= SEGMENTS_MAX, "the path has too many segments")?;
    require(request.query.len() <= PARAMETERS_MAX, "the query has too many parameters")?;
    require(path_bytes + query_bytes <= BYTES_MAX, "path and query are too long")?;
    let method = Method::of(request.method)?;
    let operation = match Target::of(request.path)? {
        Target::Path(segments) => {
            require(!request.upgrade, "an upgrade is asked for where the API has none")?;
            let action = action::of_path(method.verb_of_path(), segments, classes)?;
            of_path(action, segments, Facts::of(method.verb_of_path()), options)
        }
        Target::Object { attributes, behind: Some(behind), .. } => {
            // The query is the backend's.
            let mut facts = Facts::of("");
            facts.bool("upgrade", request.upgrade);
            facts.text("path", &behind);
            let verb = method.verb_of_object(true);
            Attributes { verb, ..attributes }.operation(facts, request.upgrade, options, classes)?
        }
        Target::Object { attributes, is_watch, .. } => {
            of_object(request, method, attributes, is_watch)?.operation(options, classes)?
        }
    };
    Ok(vec![operation])
}

/// The operation on a path.
pub(super) fn of_path(action: SmolStr, segments: &[&str], mut facts: Facts, options: &Options) -> Operation {
    facts.text("path", &format!("/{}", segments.join("/")));
    let mut parts = vec![&*options.cluster];
    parts.extend(segments);
    let mut id = resource_id::of(&parts);
    if segments.is_empty() {
        id = format!("{id}/").into();
    }
    Operation { action, resource: Resource { kind: action::PATH, id }, facts: facts.0 }
}

/// What is known of an operation on objects.
struct OnObject<'a> {
    attributes: Attributes<'a>,
    facts: Facts,
    is_connection: bool,
}

impl OnObject<'_> {
    fn operation(self, options: &Options, classes: &Classes) -> Result<Operation, Undecodable> {
        self.attributes.operation(self.facts, self.is_connection, options, classes)
    }
}

fn of_object<'a>(
    request: &ApiRequest<'a>,
    method: Method,
    mut attributes: Attributes<'a>,
    is_watch: bool,
) -> Result<OnObject<'a>, Undecodable> {
    let query = Query(request.query);
    let mut facts = Facts::of("");
    let watch = query.watch()?;
    let is_collection = attributes.name.is_empty();
    attributes.verb = method.verb_of_object(!is_collection);
    if is_watch {
        require(
            method == Method::Get && request.method == "GET",
            "the prefix `watch` is used with another method than GET",
        )?;
        require(watch != Some(false), "the prefix `watch` and the query's `watch` disagree")?;
        attributes.verb = "watch";
    } else if is_collection {
        require(!matches!(method, Method::Put | Method::Patch), "a collection as a whole is updated")?;
        facts.bool("selector", method != Method::Post && query.has_selector()?);
        if method == Method::Get {
            attributes.name = query.selected_name()?.unwrap_or_default();
            attributes.verb = if watch == Some(true) { "watch" } else { "list" };
        }
    } else {
        let is_created = method == Method::Post && attributes.subresource.is_empty();
        require(!is_created, "an object is created under a name in the path")?;
    }
    facts.bool("dry_run", is_dry_run(&attributes, query)?);
    facts.bool("upgrade", request.upgrade);
    if attributes.is_pod_connection() {
        require(
            matches!(request.method, "GET" | "POST"),
            "a connection to a pod is opened by another method than GET and POST",
        )?;
    }
    if attributes.is_pod_connection() || (attributes.subresource == "log" && attributes.group.is_empty()) {
        facts.present("container", query.one("container")?.unwrap_or_default());
    }
    if attributes.is_pod_connection() && attributes.subresource == "exec" {
        let Some(line) = command::line(query.all("command"))? else {
            return Err(Undecodable::new("`exec` has no command"));
        };
        facts.text("command", &line);
    }
    let is_connection = request.upgrade && is_connection(&attributes)?;
    Ok(OnObject { attributes, facts, is_connection })
}

/// Whether an upgraded connection is one on which anything may be said. Watching and logs can be upgraded, but say only what they say anyway.
fn is_connection(attributes: &Attributes<'_>) -> Result<bool, Undecodable> {
    let Attributes { verb, group, resource, subresource, .. } = *attributes;
    match subresource {
        "" => require(verb == "watch", "an upgrade is asked for where the API has none").map(|()| false),
        "log" if group.is_empty() && resource == "pods" => Ok(false),
        _ => Ok(true),
    }
}

/// Whether nothing is kept: where the query decides, and for what is known to heed it.
///
/// The options of a deletion may be in its body, and the query is then ignored. Of tokens, bindings and what others add it is not known.
fn is_dry_run(attributes: &Attributes<'_>, query: Query<'_>) -> Result<bool, Undecodable> {
    let is_heeded = matches!(attributes.verb, "create" | "update" | "patch")
        && matches!(attributes.subresource, "" | "eviction" | "scale" | "status");
    Ok(query.is_dry_run()? && is_heeded)
}

impl Method {
    fn of(method: &str) -> Result<Self, Undecodable> {
        Ok(match method {
            "GET" | "HEAD" => Self::Get,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            _ => return Err(Undecodable::new("the API has no verb for the method")),
        })
    }

    /// The verb of a request for a path.
    fn verb_of_path(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// The verb of a request for an object, or else for a collection.
    fn verb_of_object(self, is_named: bool) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "create",
            Self::Put => "update",
            Self::Patch => "patch",
            Self::Delete if is_named => "delete",
            Self::Delete => "deletecollection",
        }
    }
}
