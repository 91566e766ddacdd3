//! The actions of operations: the most precise key that the table of classes has.

use smol_str::SmolStr;

use super::attributes::Attributes;
use crate::{Classes, Decoder, Undecodable};

/// The type of what is no object.
pub(super) const PATH: &str = "Path";
/// What stands for everything, in reviews.
pub(super) const ALL: &str = "*";
/// The action of an upgraded connection that the table does not name: what goes through it cannot be seen.
const CONNECT: &str = "connect";
/// The action of a verb that the table does not name.
const OTHER: &str = "other";

/// The action of an operation on objects.
///
/// A key without a group is of the core's resource only, and one without a subresource of no subresource, as in RBAC: who may `get pods` may
/// not yet `get pods/log`.
pub(super) fn of_object(
    attributes: &Attributes<'_>,
    is_connection: bool,
    classes: &Classes,
) -> Result<SmolStr, Undecodable> {
    let Attributes { verb, group, resource, subresource, .. } = *attributes;
    if is_wildcard(&[group, resource, subresource]) {
        return of_all(verb, classes);
    }
    let mut key = format!("{verb} {resource}");
    for (mark, part) in [('.', group), ('/', subresource)] {
        if !part.is_empty() {
            key.push(mark);
            key.push_str(part);
        }
    }
    let general = if is_connection { CONNECT } else { general_verb(verb) };
    first(&[&key, general, OTHER], classes)
}

/// The action of an operation on everything that there is, or everything of some kind.
pub(super) fn of_all(verb: &str, classes: &Classes) -> Result<SmolStr, Undecodable> {
    first(&[&format!("{verb} {ALL}"), general_verb(verb), OTHER], classes)
}

/// The action of an operation on a path: the one for exactly this path, or else for all behind the longest part of it, up to `get /*`.
pub(super) fn of_path(verb: &str, segments: &[&str], classes: &Classes) -> Result<SmolStr, Undecodable> {
    let mut key = format!("{verb} /{}", segments.join("/"));
    while !has(classes, &key) {
        // What is left of the last slash; then everything that is right of it.
        let Some(end) = key.strip_suffix("/*").unwrap_or(&key).rfind('/') else {
            return first(&[OTHER], classes);
        };
        key.truncate(end);
        key.push_str("/*");
    }
    Ok(key.into())
}

/// Whether one of the parts is all there may be.
pub(super) fn is_wildcard(parts: &[&str]) -> bool {
    parts.contains(&ALL)
}

/// The verb without what it is limited to: since 1.35 there are verbs such as `impersonate:serviceaccount` and
/// `impersonate-on:user-info:list`.
fn general_verb(verb: &str) -> &str {
    match verb.split(':').next() {
        Some("impersonate" | "impersonate-on") => "impersonate",
        _ => verb,
    }
}

fn first(keys: &[&str], classes: &Classes) -> Result<SmolStr, Undecodable> {
    let key = keys.iter().find(|key| has(classes, key));
    key.map(SmolStr::new).ok_or_else(|| Undecodable::new("the table of classes has no action for the verb"))
}

fn has(classes: &Classes, key: &str) -> bool {
    classes.get(Decoder::Kubernetes, key).is_some()
}
