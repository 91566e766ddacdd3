//! What the decoder tells of messages.

use crate::{FactSpec, FactType};

/// What the decoder tells of each operation.
pub const FACTS: &[FactSpec] = &[
    FactSpec::required("method", FactType::Text, "The JSON-RPC method; for an operation that is none, the action."),
    FactSpec::required(
        "notification",
        FactType::Bool,
        "Whether it is a notification, which the server does not answer.",
    ),
    FactSpec::required("calls", FactType::Long, "How many messages came together: 1 unless they are a batch."),
    FactSpec::required("argument_names", FactType::Texts, "The names of the arguments of a tool or prompt."),
    FactSpec::required("as_task", FactType::Bool, "Whether a tool is to run as a task, whose result is fetched later."),
    FactSpec::required(
        "input_responses",
        FactType::Bool,
        "Whether it brings what the server asked for in its answer to an earlier one.",
    ),
    FactSpec::optional("id", FactType::Text, "The JSON-RPC id, as a text."),
    FactSpec::optional("tool", FactType::Text, "The name of the tool that is called."),
    FactSpec::optional("prompt", FactType::Text, "The name of the prompt."),
    FactSpec::optional("uri", FactType::Text, "The URI of the resource, with the digits of its escapes in upper case."),
    FactSpec::optional("task", FactType::Text, "The id of the task."),
    FactSpec::optional("level", FactType::Text, "The level that `logging/setLevel` sets."),
    FactSpec::optional(
        "protocol_version",
        FactType::Text,
        "The revision of MCP that the message is of, where it says so.",
    ),
];

/// The types of the resources that operations are done to. Their ids begin with the name of the server and a slash, where it has a name.
pub const RESOURCES: &[&str] = &["Server", "Tool", "Resource", "Prompt", "Task"];
