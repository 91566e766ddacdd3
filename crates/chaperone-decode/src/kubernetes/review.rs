//! What an API server asks of the webhook that authorizes its requests.

use smol_str::SmolStr;

use super::attributes::Attributes;
use super::fact::Facts;
use super::request::of_path;
use super::text::{is_domain, is_label, is_resource, is_reviewed_name, is_segment, is_verb, require};
use super::{Options, action};
use crate::document::{Document, Node, Object};
use crate::{Classes, Operation, Undecodable};

const BODY_BYTES_MAX: usize = 256 * 1024;
const SEGMENTS_MAX: usize = 64;

/// An object of the review, with those of its members that matter.
#[derive(Clone, Copy)]
struct Members<'a>(&'a Object);

/// What a `SubjectAccessReview` (`authorization.k8s.io/v1`) asks about, as the API server posts it to the webhook that authorizes its requests.
///
/// Others who write reviews ask with `*` for everything, which has the action `*`, or the verb's with `*`, such as `get *`.
///
/// # Errors
/// When it is no such review, or asks what can be understood in several ways.
pub fn review(body: &[u8], options: &Options, classes: &Classes) -> Result<Vec<Operation>, Undecodable> {
    require(body.len() <= BODY_BYTES_MAX, "the review is too long")?;
    let document = Document::json(body)?;
    let review = Members(document.root.as_object().ok_or_else(|| Undecodable::new("the review is not an object"))?);
    require(review.text("kind")? == "SubjectAccessReview", "the kind is not `SubjectAccessReview`")?;
    let is_known = review.text("apiVersion")? == "authorization.k8s.io/v1";
    require(is_known, "the version is not `authorization.k8s.io/v1`")?;
    let spec = review.object("spec")?.ok_or_else(|| wrong("spec", "an object"))?;
    let mut facts = Facts::of("");
    let user = spec.text("user")?;
    let groups =
        spec.list("groups")?.iter().map(|group| group.as_text().cloned().ok_or_else(|| wrong("groups", "texts")));
    let groups = groups.collect::<Result<Vec<_>, _>>()?;
    require(!user.is_empty() || !groups.is_empty(), "the review is about neither a user nor groups")?;
    facts.present("user", user);
    facts.texts("groups", groups);
    let operation = match (spec.object("resourceAttributes")?, spec.object("nonResourceAttributes")?) {
        (Some(attributes), None) => of_resource(attributes, facts, options, classes)?,
        (None, Some(attributes)) => of_non_resource(attributes, facts, options, classes)?,
        _ => return Err(Undecodable::new("the review is not about exactly one of a resource and a path")),
    };
    Ok(vec![operation])
}

/// The attributes of a request to a resource.
fn of_resource(
    attributes: Members<'_>,
    mut facts: Facts,
    options: &Options,
    classes: &Classes,
) -> Result<Operation, Undecodable> {
    let (verb, group, version) = (attributes.text("verb")?, attributes.text("group")?, attributes.text("version")?);
    let (resource, subresource) = (attributes.text("resource")?, attributes.text("subresource")?);
    let (namespace, name) = (attributes.text("namespace")?, attributes.text("name")?);
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
    let has_requirements = |name| match attributes.object(name)? {
        Some(selector) => selector.list("requirements").map(|requirements| !requirements.is_empty()),
        None => Ok(false),
    };
    facts.bool("selector", has_requirements("fieldSelector")? | has_requirements("labelSelector")?);
    Attributes { verb, group, version, resource, subresource, namespace, name }
        .operation(facts, false, options, classes)
}

/// The attributes of a request to a path.
fn of_non_resource(
    attributes: Members<'_>,
    mut facts: Facts,
    options: &Options,
    classes: &Classes,
) -> Result<Operation, Undecodable> {
    let verb = match attributes.text("verb")? {
        "get" | "head" => "get",
        verb @ ("post" | "put" | "patch" | "delete" | action::ALL) => verb,
        _ => return Err(Undecodable::new("the API has no such verb for a path")),
    };
    facts.text("verb", verb);
    let whole = attributes.text("path")?;
    let path = if whole == action::ALL { whole } else { whole.strip_prefix('/').unwrap_or_default() };
    require(!path.is_empty() || whole == "/", "the path does not begin with a slash")?;
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

impl<'a> Members<'a> {
    /// The member of this name, unless it is absent or `null`, which is the same to the API server.
    fn member(self, name: &str) -> Option<&'a Node> {
        self.0.get(name).filter(|node| **node != Node::Null)
    }

    /// The text of this name; empty where it is absent.
    fn text(self, name: &'static str) -> Result<&'a str, Undecodable> {
        self.member(name)
            .map_or(Ok(""), |node| node.as_text().map(SmolStr::as_str).ok_or_else(|| wrong(name, "a text")))
    }

    /// The list of this name; empty where it is absent.
    fn list(self, name: &'static str) -> Result<&'a [Node], Undecodable> {
        self.member(name).map_or(Ok(&[]), |node| node.as_list().ok_or_else(|| wrong(name, "a list")))
    }

    fn object(self, name: &'static str) -> Result<Option<Self>, Undecodable> {
        let object = |node: &'a Node| node.as_object().map(Self).ok_or_else(|| wrong(name, "an object"));
        self.member(name).map(object).transpose()
    }
}

fn wrong(name: &'static str, expected: &'static str) -> Undecodable {
    Undecodable::new(format!("`{name}` of the review is not {expected}"))
}
