//! From the tools of an MCP server to the actions of a bundle.

mod input;
mod quote;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use smol_str::SmolStr;

use crate::document::{Document, Node, Object};
use crate::json_rpc::is_name;
use crate::{Class, Decoder, Undecodable};

use input::{Attribute, Inputs};
use quote::{cedar, comment, toml};

/// What a bundle needs for the tools of a server, as a draft to be reviewed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Imported {
    /// Cedar schema: the entity type `Tool`, an action for each tool, and the principal types that are in no namespace.
    pub schema: String,
    /// A mapping: a decoder that gives each call its action, with the arguments as attributes, and a route to it.
    pub mapping: String,
    /// What was left out or assumed, a line each.
    pub warnings: Vec<String>,
}

/// A tool, as the server describes it.
struct Tool {
    name: SmolStr,
    /// The id of its action: the name, unless Chaperone supplies an action of this id.
    action: String,
    description: Option<SmolStr>,
    groups: Vec<&'static str>,
    attributes: Vec<Attribute>,
}

/// The principal types of the actions where nothing else is said.
pub const PRINCIPALS: &[&str] = &["Agent"];

/// Drafts schema and mapping for the tools of a server.
///
/// `tools` is a list of tools, the result of `tools/list` or the whole response; `server` is the name that the decoder gives the server, which may be
/// empty. What the server says of a tool is a claim, and neither its name nor its description can write anything but a string or a comment.
///
/// # Errors
/// [`Undecodable`] if `tools` is none of these, if a tool has no name or one that another has, or if `server` or one of `principals` is no name.
pub fn import(tools: &[u8], server: &str, principals: &[&str]) -> Result<Imported, Undecodable> {
    if !server.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return Err(Undecodable::new("the name of a server has only letters, digits, `.`, `_` and `-`"));
    }
    let is_type = |principal: &&str| principal.split("::").all(quote::is_identifier);
    if principals.is_empty() || !principals.iter().all(is_type) {
        return Err(Undecodable::new("a principal type is no name of a type"));
    }
    let document = Document::json(tools)?;
    let mut warnings = Vec::new();
    let mut names = BTreeSet::new();
    let mut imported = Vec::new();
    for (number, tool) in (1..).zip(list(&document.root, &mut warnings)?) {
        let tool =
            Tool::read(tool, &mut warnings).map_err(|error| Undecodable::new(format!("tool {number}: {error}")))?;
        if !names.insert(tool.name.clone()) {
            return Err(Undecodable::new(format!("tool {number}: another tool has its name")));
        }
        // A mapping cannot write the id of an action with these.
        if tool.name.contains(['"', '\\']) {
            let name = comment(&tool.name);
            warnings.push(format!("tool {name}: it is left out, since its name has quotes or backslashes"));
            continue;
        }
        imported.push(tool);
    }
    imported.retain_mut(|tool| {
        if !is_supplied(&tool.name) {
            return true;
        }
        tool.action = format!("tool.{}", tool.name);
        let (name, is_free) = (comment(&tool.name), !names.contains(tool.action.as_str()));
        warnings.push(if is_free {
            format!("tool {name}: its action is `tool.{name}`, since Chaperone has an action of its name")
        } else {
            format!("tool {name}: it is left out, since Chaperone has an action of its name")
        });
        is_free
    });
    let mut schema = schema_head(server, principals);
    // What the decoder and the route are called.
    let label = if server.is_empty() { "mcp" } else { server };
    let decoder = format!("decoder.{}", quote::key(label));
    let mut mapping = mapping_head(server, label, &decoder);
    for tool in &imported {
        tool.write_action(&mut schema, principals);
        tool.write_operation(&mut mapping, server, &decoder);
    }
    Ok(Imported { schema, mapping, warnings })
}

/// Whether Chaperone supplies actions or groups with such an id. Cedar lets no action outside of a namespace have the id of one within.
fn is_supplied(name: &str) -> bool {
    let of_decoder = |decoder: Decoder| {
        name.strip_prefix(decoder.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    matches!(name, "http" | "grpc" | "tcp")
        || Class::ALL.iter().any(|class| class.as_str() == name)
        || Decoder::ALL.into_iter().any(of_decoder)
}

/// The tools of a list, of a result or of a response.
fn list<'a>(root: &'a Node, warnings: &mut Vec<String>) -> Result<&'a [Node], Undecodable> {
    let result = root.as_object().and_then(|root| root.get("result")).unwrap_or(root);
    if result.as_object().is_some_and(|result| result.get("nextCursor").is_some()) {
        warnings.push("the server has more tools than these: the list goes on".to_owned());
    }
    let tools = result.as_object().and_then(|result| result.get("tools")).unwrap_or(result);
    tools.as_list().ok_or_else(|| Undecodable::new("neither a list of tools nor a result of `tools/list`"))
}

fn schema_head(server: &str, principals: &[&str]) -> String {
    // Those of a namespace are declared elsewhere.
    let entities: BTreeSet<_> =
        principals.iter().copied().filter(|name| !name.contains("::")).chain(["Tool"]).collect();
    let entities = entities.into_iter().collect::<Vec<_>>().join(", ");
    format!(
        "// The tools of the MCP server `{server}`, drafted from its own description of them.\n\
         //\n\
         // The groups follow from the hints that it gives (`readOnlyHint`, `openWorldHint`, and what MCP takes for given without\n\
         // them). A hint is a claim of the server, and nobody has verified it: review each action. Arguments that are not listed\n\
         // are not seen by policies.\n\
         \n\
         entity {entities};\n"
    )
}

fn mapping_head(server: &str, label: &str, decoder: &str) -> String {
    format!(
        "# Calls of the tools of the MCP server `{server}`. A tool that is not listed stays the action `mcp.tools/call` of Chaperone.\n\
         \n\
         [[route]]\n\
         name = \"{label}\"\n\
         path = \"/mcp\"\n\
         decoder = \"{label}\"\n\
         \n\
         [{decoder}]\n\
         mcp = {{ server = \"{server}\" }}\n"
    )
}

impl Tool {
    fn read(tool: &Node, warnings: &mut Vec<String>) -> Result<Self, Undecodable> {
        let tool = tool.as_object().ok_or_else(|| Undecodable::new("not an object"))?;
        let name = tool.get("name").and_then(Node::as_text).filter(|name| is_name(name));
        let name = name.cloned().ok_or_else(|| Undecodable::new("`name` is missing or names nothing"))?;
        let description = tool.get("description").and_then(Node::as_text).cloned();
        let groups = groups(&name, tool, warnings);
        let mut inputs = Inputs::new(&name, warnings);
        let attributes = match tool.get("inputSchema") {
            Some(Node::Object(schema)) => inputs.attributes(schema),
            _ => {
                inputs.warn("it has no `inputSchema`, so its arguments are not known");
                Vec::new()
            }
        };
        Ok(Self { action: name.to_string(), name, description, groups, attributes })
    }

    fn write_action(&self, schema: &mut String, principals: &[&str]) {
        schema.push('\n');
        if let Some(description) = self.description.as_deref().map(comment).filter(|text| !text.is_empty()) {
            let _ = writeln!(schema, "// The server says: {description}");
        }
        let groups: Vec<_> = self.groups.iter().map(|group| format!("Chaperone::Action::\"{group}\"")).collect();
        let _ = write!(
            schema,
            "action {} in [{}] appliesTo {{\n  principal: [{}],\n  resource: [Tool],\n  context: {{\n    session: \
             Chaperone::Session,\n    tree: Chaperone::Tree,\n    principal: Chaperone::Principal,\n    request: ",
            cedar(&self.action),
            groups.join(", "),
            principals.join(", "),
        );
        input::write_record(schema, &self.attributes, 2);
        schema.push_str(",\n  },\n};\n");
    }

    fn write_operation(&self, mapping: &mut String, server: &str, decoder: &str) {
        let name = toml(&self.name);
        // What has colons would be taken for a name with its namespace.
        let is_plain = !self.action.contains("::");
        let action = if is_plain { toml(&self.action) } else { toml(&format!("Action::\"{}\"", self.action)) };
        let id = if server.is_empty() { "{fact.tool}".to_owned() } else { format!("{server}/{{fact.tool}}") };
        let _ = write!(
            mapping,
            "\n[[{decoder}.operation]]\nwhen = {{ action = \"tools/call\", tool = {name} }}\naction = {action}\nresource = {{ type = \
             \"Tool\", id = {} }}\n",
            toml(&id),
        );
        if self.attributes.is_empty() {
            return;
        }
        let _ = writeln!(mapping, "\n[{decoder}.operation.attributes]");
        for attribute in &self.attributes {
            let from = toml(&format!("{{arguments:{}}}", attribute.pointer()));
            let name = quote::key(&attribute.name);
            let _ = if attribute.is_required {
                writeln!(mapping, "{name} = {from}")
            } else {
                writeln!(mapping, "{name} = {{ from = {from}, optional = true }}")
            };
        }
    }
}

/// The groups that the hints of a tool put it into. What MCP takes for given without a hint is the worse: that a tool writes, and reaches out.
fn groups(name: &str, tool: &Object, warnings: &mut Vec<String>) -> Vec<&'static str> {
    let annotations = tool.get("annotations").and_then(Node::as_object);
    let mut hint = |hint: &str, otherwise: bool| match annotations.and_then(|annotations| annotations.get(hint)) {
        Some(Node::Bool(bool)) => *bool,
        None => otherwise,
        Some(_) => {
            warnings.push(format!("tool {}: its `{hint}` is no boolean", comment(name)));
            otherwise
        }
    };
    let access = if hint("readOnlyHint", false) { "data.read" } else { "data.write" };
    let egress = hint("openWorldHint", true).then_some("net.egress");
    if annotations.is_none() {
        warnings
            .push(format!("tool {}: it has no annotations, so it is taken to write and to reach out", comment(name)));
    }
    [Some(access), egress].into_iter().flatten().collect()
}
