//! From messages to operations.

use std::collections::BTreeSet;

use smol_str::{SmolStr, format_smolstr};

use super::method::{END_SESSION, LISTEN, Method, RESPONSE, Subject};
use super::{Options, uri};
use crate::document::{Document, Node, Object};
use crate::json_rpc::{Call, Content, Envelope, folded, is_name, refuse_alike};
use crate::{Classes, Decoder, Fact, FactMap, Operation, Resource, Undecodable};

/// The members of params that something here depends on.
const PARAMS: [&str; 12] = [
    "_meta",
    "arguments",
    "inputResponses",
    "level",
    "name",
    "notifications",
    "protocolVersion",
    "ref",
    "requestState",
    "task",
    "taskId",
    "uri",
];

/// What the messages of a request are, so far.
pub(super) struct Calls<'a> {
    options: &'a Options,
    classes: &'a Classes,
    /// The revision, from the headers.
    version: Option<&'static str>,
    /// How many messages come together.
    messages: usize,
    done: Vec<Call>,
}

/// What a message is about.
struct Target {
    /// The type of the resource.
    kind: &'static str,
    /// The id of the resource within its server; the server itself has none.
    id: Option<SmolStr>,
    /// The fact that tells it.
    fact: Option<&'static str>,
}

impl<'a> Calls<'a> {
    pub(super) fn new(options: &'a Options, classes: &'a Classes, version: Option<&'static str>) -> Self {
        Self { options, classes, version, messages: 1, done: Vec::with_capacity(1) }
    }

    pub(super) fn into_calls(self) -> Vec<Call> {
        self.done
    }

    /// A request without a message.
    pub(super) fn push_bodiless(&mut self, action: &'static str) -> Result<(), Undecodable> {
        self.add(action, &Target::SERVER, Facts::default(), Object::default(), false)
    }

    /// All messages of a batch: requests and notifications, or responses.
    pub(super) fn push_batch(&mut self, envelopes: Vec<Envelope>) -> Result<(), Undecodable> {
        let responses = envelopes.iter().filter(|envelope| matches!(envelope.content, Content::Response(_))).count();
        if responses != 0 && responses != envelopes.len() {
            return Err(Undecodable::new("a batch of MCP has both calls and responses"));
        }
        self.messages = envelopes.len();
        for (number, envelope) in (1..).zip(envelopes) {
            let is_initialize = matches!(&envelope.content, Content::Call { method, .. } if method == "initialize");
            let pushed = if is_initialize {
                Err(Undecodable::new("`initialize` is not part of a batch"))
            } else {
                self.push(envelope)
            };
            pushed.map_err(|error| Undecodable::new(format!("message {number} of the batch: {error}")))?;
        }
        Ok(())
    }

    /// A message.
    pub(super) fn push(&mut self, envelope: Envelope) -> Result<(), Undecodable> {
        let Envelope { id, content } = envelope;
        match content {
            Content::Call { method, params } => self.push_call(id, &method, params),
            Content::Response(content) => {
                let facts = Facts { id, ..Facts::default() };
                self.add(RESPONSE, &Target::SERVER, facts, content, true)
            }
        }
    }

    fn push_call(&mut self, id: Option<SmolStr>, name: &str, mut params: Object) -> Result<(), Undecodable> {
        refuse_alike(&params, &PARAMS, "`params` of an MCP message")?;
        let (subject, is_notification) = match Method::named(name) {
            Some(method) if method.is_notification() != id.is_none() => {
                return Err(Undecodable::new(
                    "of MCP's methods the notifications, and only they, come without an `id`",
                ));
            }
            Some(method) => (method.subject, method.is_notification()),
            None if self.is_added(name) => (Subject::Server, id.is_none()),
            None => return Err(Undecodable::new("a method that MCP does not have")),
        };
        let target = Target::of(subject, &params)?;
        let mut facts = Facts { id, is_notification, method: Some(name.into()), ..Facts::default() };
        facts.read(name, &params)?;
        for uri in resource_subscriptions(name, &params)? {
            let target = Target { kind: "Resource", id: Some(uri), fact: Some("uri") };
            self.add("resources/subscribe", &target, facts.clone(), Object::default(), false)?;
        }
        let arguments = if matches!(subject, Subject::Tool | Subject::Prompt) {
            let arguments = match params.remove("arguments") {
                Some(Node::Object(arguments)) => arguments,
                None => Object::default(),
                Some(_) => return Err(Undecodable::new("`arguments` of an MCP message is not an object")),
            };
            facts.argument_names = argument_names(&arguments)?;
            arguments
        } else {
            params
        };
        self.add(name, &target, facts, arguments, false)
    }

    /// Whether a method that MCP does not have is one that the classes were extended with, rather than a key for something else.
    fn is_added(&self, name: &str) -> bool {
        ![LISTEN, END_SESSION, RESPONSE].contains(&name)
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-$".contains(&byte))
            && self.classes.get(Decoder::Mcp, name).is_some()
    }

    /// Adds an operation: its action is the most precise one that classes have.
    fn add(
        &mut self,
        action: &str,
        target: &Target,
        facts: Facts,
        arguments: Object,
        response: bool,
    ) -> Result<(), Undecodable> {
        let precise = target.id.as_ref().map(|id| format_smolstr!("{action} {id}"));
        let key = [precise, Some(action.into())].into_iter().flatten();
        let Some(key) = key.into_iter().find(|key| self.classes.get(Decoder::Mcp, key).is_some()) else {
            return Err(Undecodable::new("a method of MCP that the classes do not have"));
        };
        let server = self.options.server.as_str();
        let id = match (&target.id, server) {
            (Some(id), "") => id.clone(),
            (Some(id), server) => format_smolstr!("{server}/{id}"),
            (None, "") => "mcp".into(),
            (None, server) => server.into(),
        };
        let mut facts = facts.into_facts(action, self.messages, self.version);
        if let (Some(name), Some(id)) = (target.fact, &target.id) {
            facts.insert(name, Fact::Text(id.clone()));
        }
        let operation = Operation { action: key, resource: Resource { kind: target.kind, id }, facts };
        self.done.push(Call { operation, arguments: Document::of(arguments), response });
        Ok(())
    }
}

impl Target {
    const SERVER: Self = Self { kind: "Server", id: None, fact: None };

    fn of(subject: Subject, params: &Object) -> Result<Self, Undecodable> {
        let text = |object: &Object, member: &'static str| {
            let text = object.get(member).and_then(Node::as_text).filter(|text| member == "uri" || is_name(text));
            text.cloned().ok_or_else(|| Undecodable::new(format!("`{member}` of an MCP message names nothing")))
        };
        let target = |kind, id, fact| Self { kind, id: Some(id), fact: Some(fact) };
        Ok(match subject {
            Subject::Server => Self::SERVER,
            Subject::Tool => target("Tool", text(params, "name")?, "tool"),
            Subject::Prompt => target("Prompt", text(params, "name")?, "prompt"),
            Subject::Task => target("Task", text(params, "taskId")?, "task"),
            Subject::Resource => target("Resource", uri::read(&text(params, "uri")?, false)?, "uri"),
            Subject::Reference => {
                let wrong = || Undecodable::new("`ref` of an MCP message refers to nothing");
                let reference = params.get("ref").and_then(Node::as_object).ok_or_else(wrong)?;
                refuse_alike(reference, &["name", "type", "uri"], "`ref` of an MCP message")?;
                match reference.get("type").and_then(Node::as_text).map(SmolStr::as_str) {
                    Some("ref/prompt") if reference.get("uri").is_none() => {
                        target("Prompt", text(reference, "name")?, "prompt")
                    }
                    Some("ref/resource") if reference.get("name").is_none() => {
                        target("Resource", uri::read(&text(reference, "uri")?, true)?, "uri")
                    }
                    _ => return Err(wrong()),
                }
            }
        })
    }
}

/// What is known of a message besides its target.
#[derive(Clone, Default)]
struct Facts {
    id: Option<SmolStr>,
    method: Option<SmolStr>,
    is_notification: bool,
    is_task: bool,
    has_input_responses: bool,
    argument_names: BTreeSet<SmolStr>,
    level: Option<SmolStr>,
    protocol_version: Option<SmolStr>,
}

impl Facts {
    /// Takes what params tell.
    fn read(&mut self, method: &str, params: &Object) -> Result<(), Undecodable> {
        let text = |object: &Object, member: &str| match object.get(member) {
            None => Ok(None),
            Some(Node::Text(text)) if is_name(text) => Ok(Some(text.clone())),
            Some(_) => Err(Undecodable::new("a member of an MCP message that must be a name is none")),
        };
        let meta = match params.get("_meta") {
            None => None,
            Some(Node::Object(meta)) => Some(meta),
            Some(_) => return Err(Undecodable::new("`_meta` of an MCP message is not an object")),
        };
        self.is_task = method == "tools/call" && params.get("task").is_some();
        self.has_input_responses = params.get("inputResponses").is_some();
        if let Some(meta) = meta {
            self.protocol_version = text(meta, "io.modelcontextprotocol/protocolVersion")?;
        }
        match method {
            "initialize" => self.protocol_version = text(params, "protocolVersion")?.or(self.protocol_version.take()),
            "logging/setLevel" => self.level = text(params, "level")?,
            _ => {}
        }
        Ok(())
    }

    fn into_facts(self, action: &str, messages: usize, version: Option<&'static str>) -> FactMap {
        let mut facts = FactMap::with_capacity(10);
        // In the order of their names.
        facts.insert("argument_names", Fact::Texts(self.argument_names));
        facts.insert("as_task", Fact::Bool(self.is_task));
        facts.insert("calls", Fact::Long(i64::try_from(messages).unwrap_or(i64::MAX)));
        facts.extend(self.id.map(|id| ("id", Fact::Text(id))));
        facts.insert("input_responses", Fact::Bool(self.has_input_responses));
        facts.extend(self.level.map(|level| ("level", Fact::Text(level))));
        facts.insert("method", Fact::Text(self.method.unwrap_or_else(|| action.into())));
        facts.insert("notification", Fact::Bool(self.is_notification));
        let version = version.map(SmolStr::new_static).or(self.protocol_version);
        facts.extend(version.map(|version| ("protocol_version", Fact::Text(version))));
        facts
    }
}

/// What `mcp-name` repeats of a message.
pub(super) fn name<'a>(method: &str, params: &'a Object) -> Option<&'a str> {
    let member = match Method::named(method)?.subject {
        Subject::Tool | Subject::Prompt => "name",
        Subject::Resource => "uri",
        Subject::Task => "taskId",
        Subject::Server | Subject::Reference => return None,
    };
    params.get(member).and_then(Node::as_text).map(SmolStr::as_str)
}

/// The names of arguments, no two of which some readers take for one.
fn argument_names(arguments: &Object) -> Result<BTreeSet<SmolStr>, Undecodable> {
    // Names without capitals differ as they are.
    let is_folded = |name: &SmolStr| folded(name).eq(name.chars());
    let mut letters = BTreeSet::new();
    if !arguments.iter().all(|(name, _)| is_folded(name))
        && !arguments.iter().all(|(name, _)| letters.insert(folded(name).collect::<String>()))
    {
        return Err(Undecodable::new("two arguments of an MCP message have names that differ only in case"));
    }
    Ok(arguments.iter().map(|(name, _)| name.clone()).collect())
}

/// The resources that `subscriptions/listen` subscribes to, as `resources/subscribe` did before it.
fn resource_subscriptions(method: &str, params: &Object) -> Result<BTreeSet<SmolStr>, Undecodable> {
    let wrong = || Undecodable::new("`notifications` of an MCP message is no filter");
    if method != "subscriptions/listen" {
        return Ok(BTreeSet::new());
    }
    let filter = params.get("notifications").and_then(Node::as_object).ok_or_else(wrong)?;
    refuse_alike(filter, &["resourceSubscriptions"], "`notifications` of an MCP message")?;
    let uris = match filter.get("resourceSubscriptions") {
        None => return Ok(BTreeSet::new()),
        Some(Node::List(uris)) if uris.len() <= 100 => uris,
        Some(_) => return Err(wrong()),
    };
    uris.iter().map(|uri| uri::read(uri.as_text().ok_or_else(wrong)?, false)).collect()
}
