//! `Agent2Agent`: what a message asks an agent to do.
//!
//! Read from the JSON-RPC binding, of versions 0.2 and 0.3 and of 1.0, which renamed all methods. An action has the name of 0.3 in either.

mod facts;
mod method;
mod part;

use smol_str::{SmolStr, format_smolstr};

use crate::document::{Document, Format, Node, Object};
use crate::json_rpc::{self, Body, Content, Envelope, is_name};
use crate::{Classes, Decoder, Fact, FactMap, Operation, Resource, Undecodable};

pub use crate::json_rpc::{Call, Message};
pub use facts::{FACTS, RESOURCES};

use method::{Era, Method, SET_PUSH, Subject};

/// What the decoder is told of the agent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// Its name, with which the ids of its tasks begin; they stand alone if it is empty. The id of the agent itself is then `a2a`.
    pub agent: SmolStr,
}

/// Tells what a request would do.
///
/// A request is one message. One that also says where news of its task go is two operations.
///
/// # Errors
/// [`Undecodable`] if it is no request of A2A.
pub fn decode(message: &Message<'_>, options: &Options, classes: &Classes) -> Result<Vec<Call>, Undecodable> {
    if message.method != "POST" {
        return Err(Undecodable::new("A2A has only POST"));
    }
    let version = version(message.headers)?;
    let Body::One(Envelope { id: Some(id), content: Content::Call { method: name, params } }) =
        json_rpc::read(message.body)?
    else {
        return Err(Undecodable::new("a message of A2A is a single request with an `id`"));
    };
    let method = Method::named(&name).ok_or_else(|| Undecodable::new("a method that A2A does not have"))?;
    if version.is_some_and(|(_, era)| era != method.era) {
        return Err(Undecodable::new("a method of another version than `a2a-version` says"));
    }
    let told = Told::read(method, &params)?;
    let agent = options.agent.as_str();
    let resource = match (&told.resource_task, agent) {
        (Some(task), "") => Resource { kind: "Task", id: task.clone() },
        (Some(task), agent) => Resource { kind: "Task", id: format_smolstr!("{agent}/{task}") },
        (None, "") => Resource { kind: "Agent", id: "a2a".into() },
        (None, agent) => Resource { kind: "Agent", id: agent.into() },
    };
    let mut facts = told.facts;
    facts.insert("method", Fact::Text(name));
    facts.insert("id", Fact::Text(id));
    if let Some((version, _)) = version {
        facts.insert("protocol_version", Fact::Text(version.into()));
    }
    let arguments = Document::of(params);
    let push = (method.subject == Subject::Message && facts.contains_key("push_url")).then_some(SET_PUSH);
    let mut calls = Vec::with_capacity(1);
    for action in [push, Some(method.action)].into_iter().flatten() {
        if classes.get(Decoder::A2a, action).is_none() {
            return Err(Undecodable::new("a method of A2A that the classes do not have"));
        }
        let operation = Operation { action: action.into(), resource: resource.clone(), facts: facts.clone() };
        calls.push(Call { operation, arguments: arguments.clone(), response: false });
    }
    Ok(calls)
}

/// The version that the headers say, if they do; refuses a body that they say is not JSON.
fn version<'a>(headers: &[(&str, &'a [u8])]) -> Result<Option<(&'a str, Era)>, Undecodable> {
    let (mut version, mut content_type) = (None, None);
    for (name, value) in headers.iter().copied() {
        let is_twice = match name.to_ascii_lowercase().as_str() {
            "a2a-version" => version.replace(value).is_some(),
            "content-type" => content_type.replace(value).is_some(),
            "content-encoding" if value != b"identity" => {
                return Err(Undecodable::new("the body has a `content-encoding`"));
            }
            _ => false,
        };
        if is_twice {
            return Err(Undecodable::new("a header of A2A comes twice"));
        }
    }
    if content_type.map(Format::of).transpose()?.is_some_and(|format| format != Format::Json) {
        return Err(Undecodable::new("`content-type` of an A2A message is not JSON"));
    }
    match version.map(std::str::from_utf8) {
        // Servers take no version for 0.3, but it may stand in the query as well.
        None | Some(Ok("")) => Ok(None),
        Some(Ok(version @ ("0.2" | "0.3"))) => Ok(Some((version, Era::Slashes))),
        Some(Ok(version @ "1.0")) => Ok(Some((version, Era::Protobuf))),
        Some(_) => Err(Undecodable::new("`a2a-version` is no version of A2A that is known here")),
    }
}

/// What params tell.
struct Told {
    /// The task that the operation is done to.
    resource_task: Option<SmolStr>,
    facts: FactMap,
}

impl Told {
    fn read(method: Method, params: &Object) -> Result<Self, Undecodable> {
        let mut told = Self { resource_task: None, facts: FactMap::with_capacity(10) };
        let (mut parts, mut urls) = Default::default();
        part::refuse_alike(
            params,
            &["configuration", "id", "message", "pushNotificationConfig", "taskId", "tenant", "url"],
        )?;
        if method.era == Era::Protobuf {
            told.insert("tenant", name(params, "tenant")?);
        }
        match method.subject {
            Subject::Agent => {}
            Subject::Task(member) => {
                let task = name(params, member)?.ok_or_else(|| Undecodable::new("an A2A message without its task"))?;
                told.resource_task = Some(task.clone());
                told.insert("task", Some(task));
                if method.action == SET_PUSH {
                    let config = match method.era {
                        Era::Slashes => object(params, "pushNotificationConfig")?,
                        Era::Protobuf => Some(params),
                    };
                    let url = config.map(part::push_url).transpose()?;
                    told.insert(
                        "push_url",
                        Some(url.ok_or_else(|| Undecodable::new("an A2A message without its URL"))?),
                    );
                }
            }
            Subject::Message => {
                let message = object(params, "message")?;
                let message = message.ok_or_else(|| Undecodable::new("`message` of an A2A message is missing"))?;
                part::refuse_alike(message, &["contextId", "parts", "taskId"])?;
                told.insert("task", name(message, "taskId")?);
                told.insert("context", name(message, "contextId")?);
                (parts, urls) = part::read(method.era, message)?;
                if let Some(configuration) = object(params, "configuration")? {
                    let (member, other) = match method.era {
                        Era::Slashes => ("pushNotificationConfig", "taskPushNotificationConfig"),
                        Era::Protobuf => ("taskPushNotificationConfig", "pushNotificationConfig"),
                    };
                    part::refuse_alike(configuration, &[member])?;
                    if configuration.get(other).is_some() {
                        return Err(Undecodable::new("an A2A message has a member of another version"));
                    }
                    told.insert("push_url", object(configuration, member)?.map(part::push_url).transpose()?);
                }
            }
        }
        told.facts.extend([("parts", Fact::Texts(parts)), ("urls", Fact::Texts(urls))]);
        Ok(told)
    }

    fn insert(&mut self, fact: &'static str, text: Option<SmolStr>) {
        self.facts.extend(text.map(|text| (fact, Fact::Text(text))));
    }
}

/// A member that is a name, if it is there.
fn name(object: &Object, member: &'static str) -> Result<Option<SmolStr>, Undecodable> {
    match object.get(member) {
        None => Ok(None),
        Some(Node::Text(text)) if is_name(text) => Ok(Some(text.clone())),
        Some(_) => Err(Undecodable::new(format!("`{member}` of an A2A message is no name"))),
    }
}

/// A member that is an object, if it is there.
fn object<'a>(object: &'a Object, member: &'static str) -> Result<Option<&'a Object>, Undecodable> {
    match object.get(member) {
        None => Ok(None),
        Some(Node::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Undecodable::new(format!("`{member}` of an A2A message is not an object"))),
    }
}
