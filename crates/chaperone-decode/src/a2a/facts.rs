//! What the decoder tells of messages.

use crate::{FactSpec, FactType};

/// What the decoder tells of each operation.
pub const FACTS: &[FactSpec] = &[
    FactSpec::required(
        "method",
        FactType::Text,
        "The JSON-RPC method, by its name in the version that the message is of.",
    ),
    FactSpec::required("id", FactType::Text, "The JSON-RPC id, as a text."),
    FactSpec::required("parts", FactType::Texts, "What a message has in it: `text`, `file`, `url` or `data`."),
    FactSpec::required("urls", FactType::Texts, "The URLs that a message points the agent to."),
    FactSpec::optional("task", FactType::Text, "The id of the task, or of the task that a message belongs to."),
    FactSpec::optional("context", FactType::Text, "The id of the context that a message belongs to."),
    FactSpec::optional("push_url", FactType::Text, "The URL that news of a task are to be sent to."),
    FactSpec::optional("tenant", FactType::Text, "The tenant of the agent."),
    FactSpec::optional("protocol_version", FactType::Text, "The version of A2A that the request says it is of."),
];

/// The types of the resources that operations are done to. The id of a task begins with the name of the agent and a slash, if it has a name.
pub const RESOURCES: &[&str] = &["Agent", "Task"];
