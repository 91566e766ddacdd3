//! What an API server asks of the webhook that authorizes its requests.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use smol_str::SmolStr;

use super::attributes::Attributes;
use super::fact::Facts;
use super::request::of_path;
use super::text::{is_domain, is_label, is_resource, is_reviewed_name, is_segment, is_verb, require};
use super::{Options, action};
use crate::{Classes, Operation, Undecodable};

const BODY_BYTES_MAX: usize = 256 * 1024;
const SEGMENTS_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    spec: Object<Spec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    resource_attributes: Option<Object<ResourceAttributes>>,
    non_resource_attributes: Option<Object<NonResourceAttributes>>,
    user: Option<SmolStr>,
    groups: Option<Vec<SmolStr>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceAttributes {
    #[serde(default)]
    verb: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    subresource: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    field_selector: Option<Object<Selector>>,
    label_selector: Option<Object<Selector>>,
}

#[derive(Deserialize)]
struct NonResourceAttributes {
    #[serde(default)]
    verb: String,
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
struct Selector {
    requirements: Option<Vec<IgnoredAny>>,
}

/// A structure that is written as a JSON object. Derived ones could be written as arrays too.
struct Object<T>(T);

/// What a `SubjectAccessReview` (`authorization.k8s.io/v1`) asks about, as the API server posts it to the webhook that authorizes its requests.
///
/// Others who write reviews ask with `*` for everything, which has the action `*`, or the verb's with `*`, such as `get *`.
///
/// # Errors
/// When it is no such review, or asks what can be understood in several ways.
pub fn review(body: &[u8], options: &Options, classes: &Classes) -> Result<Vec<Operation>, Undecodable> {
    require(body.len() <= BODY_BYTES_MAX, "the review is too long")?;
    let Object(review): Object<Review> = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    require(review.kind == "SubjectAccessReview", "the kind is not `SubjectAccessReview`")?;
    require(review.api_version == "authorization.k8s.io/v1", "the version is not `authorization.k8s.io/v1`")?;
    let Object(spec) = review.spec;
    let mut facts = Facts::of("");
    let user = spec.user.filter(|user| !user.is_empty());
    let groups = spec.groups.unwrap_or_default();
    require(user.is_some() || !groups.is_empty(), "the review is about neither a user nor groups")?;
    if let Some(user) = user {
        facts.text("user", &user);
    }
    facts.texts("groups", groups);
    let operation = match (spec.resource_attributes, spec.non_resource_attributes) {
        (Some(Object(attributes)), None) => attributes.operation(facts, options, classes)?,
        (None, Some(Object(attributes))) => attributes.operation(facts, options, classes)?,
        _ => return Err(Undecodable::new("the review is not about exactly one of a resource and a path")),
    };
    Ok(vec![operation])
}

/// Where it is wrong. What is wrong might say what the client wrote.
fn not_json(error: &serde_json::Error) -> Undecodable {
    Undecodable::new(format!(
        "the review is not of the expected form, at line {} column {}",
        error.line(),
        error.column()
    ))
}

impl ResourceAttributes {
    fn operation(&self, mut facts: Facts, options: &Options, classes: &Classes) -> Result<Operation, Undecodable> {
        let Self { verb, group, version, resource, subresource, namespace, name, .. } = self;
        let is_all = |text: &str| text == action::ALL;
        // The name of a key of extra attributes is a subresource where somebody is impersonated.
        let is_impersonation = verb.starts_with("impersonate");
        let is_subresource = |text: &str| if is_impersonation { is_reviewed_name(text) } else { is_resource(text) };
        require(is_all(verb) || is_verb(verb), "the verb is none")?;
        require(is_all(group) || group.is_empty() || is_domain(group), "the API group is no DNS name")?;
        require(is_all(version) || version.is_empty() || is_label(version), "the version of the API is no DNS label")?;
        require(is_all(resource) || is_resource(resource), "the resource is no name of one")?;
        let is_known = subresource.is_empty() || is_all(subresource) || is_subresource(subresource);
        require(is_known, "the subresource is no name of one")?;
        require(namespace.is_empty() || is_label(namespace), "the namespace is no DNS label")?;
        require(is_reviewed_name(name), "the name has control characters or is too long")?;
        let has_requirements = |selector: &Option<Object<Selector>>| {
            let requirements = selector.as_ref().and_then(|Object(selector)| selector.requirements.as_ref());
            requirements.is_some_and(|requirements| !requirements.is_empty())
        };
        facts.bool("selector", has_requirements(&self.field_selector) | has_requirements(&self.label_selector));
        Attributes { verb, group, version, resource, subresource, namespace, name }
            .operation(facts, false, options, classes)
    }
}

impl NonResourceAttributes {
    fn operation(&self, mut facts: Facts, options: &Options, classes: &Classes) -> Result<Operation, Undecodable> {
        let verb = match &*self.verb {
            "get" | "head" => "get",
            verb @ ("post" | "put" | "patch" | "delete" | action::ALL) => verb,
            _ => return Err(Undecodable::new("the API has no such verb for a path")),
        };
        facts.text("verb", verb);
        let path = if self.path == action::ALL { action::ALL } else { self.path.strip_prefix('/').unwrap_or_default() };
        require(!path.is_empty() || self.path == "/", "the path does not begin with a slash")?;
        let segments: Vec<&str> = path.split('/').filter(|_| !path.is_empty()).take(SEGMENTS_MAX + 1).collect();
        require(segments.len() <= SEGMENTS_MAX, "the path has too many segments")?;
        require(
            segments.iter().all(|segment| is_segment(segment)),
            "a segment of the path is empty or can be read in several ways",
        )?;
        let action = if segments.last() == Some(&action::ALL) || verb == action::ALL {
            action::of_all(verb, classes)?
        } else {
            action::of_path(verb, &segments, classes)?
        };
        Ok(of_path(action, &segments, facts, options))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}
