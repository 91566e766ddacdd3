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
    required("method", FactType::Text, "The JSON-RPC method, by its name in the version that the message is of."),
    required("id", FactType::Text, "The JSON-RPC id, as a text."),
    required("parts", FactType::Texts, "What a message has in it: `text`, `file`, `url` or `data`."),
    required("urls", FactType::Texts, "The URLs that a message points the agent to."),
    optional("task", FactType::Text, "The id of the task, or of the task that a message belongs to."),
    optional("context", FactType::Text, "The id of the context that a message belongs to."),
    optional("push_url", FactType::Text, "The URL that news of a task are to be sent to."),
    optional("tenant", FactType::Text, "The tenant of the agent."),
    optional("protocol_version", FactType::Text, "The version of A2A that the request says it is of."),
];

/// The types of the resources that operations are done to. The id of a task begins with the name of the agent and a slash, if it has a name.
pub const RESOURCES: &[&str] = &["Agent", "Task"];
