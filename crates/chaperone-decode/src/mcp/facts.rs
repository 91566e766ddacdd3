//! What the decoder tells of messages.

use crate::{FactSpec, FactType};

const fn required(name: &'static str, ty: FactType, meaning: &'static str) -> FactSpec {
    FactSpec { name, ty, required: true, meaning }
}

const fn optional(name: &'static str, ty: FactType, meaning: &'static str) -> FactSpec {
    FactSpec { name, ty, required: false, meaning }
}

/// What the decoder tells of each operation.
pub const FACTS: &[FactSpec] = &[
    required("method", FactType::Text, "The JSON-RPC method; for an operation that is none, the action."),
    required("notification", FactType::Bool, "Whether it is a notification, which the server does not answer."),
    required("calls", FactType::Long, "How many messages came together: 1 unless they are a batch."),
    required("argument_names", FactType::Texts, "The names of the arguments of a tool or prompt."),
    required("as_task", FactType::Bool, "Whether a tool is to run as a task, whose result is fetched later."),
    required(
        "input_responses",
        FactType::Bool,
        "Whether it brings what the server asked for in its answer to an earlier one.",
    ),
    optional("id", FactType::Text, "The JSON-RPC id, as a text."),
    optional("tool", FactType::Text, "The name of the tool that is called."),
    optional("prompt", FactType::Text, "The name of the prompt."),
    optional("uri", FactType::Text, "The URI of the resource, with the digits of its escapes in upper case."),
    optional("task", FactType::Text, "The id of the task."),
    optional("level", FactType::Text, "The level that `logging/setLevel` sets."),
    optional("protocol_version", FactType::Text, "The revision of MCP that the message is of, where it says so."),
];

/// The types of the resources that operations are done to. Their ids begin with the name of the server and a slash, where it has a name.
pub const RESOURCES: &[&str] = &["Server", "Tool", "Resource", "Prompt", "Task"];
