//! The methods of MCP, of all its revisions.

/// A method that a revision of MCP has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method {
    pub(super) name: &'static str,
    /// What its params name.
    pub(super) subject: Subject,
}

/// What the params of a method name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Subject {
    /// Nothing: it is about the server.
    Server,
    /// `name`, a tool.
    Tool,
    /// `uri`, a resource.
    Resource,
    /// `name`, a prompt.
    Prompt,
    /// `taskId`, a task.
    Task,
    /// `ref`, a prompt or a template of resources.
    Reference,
}

/// The operations that are no method: each with what it is.
pub(super) const LISTEN: &str = "listen";
pub(super) const END_SESSION: &str = "end session";
pub(super) const RESPONSE: &str = "response";

const fn on(subject: Subject, name: &'static str) -> Method {
    Method { name, subject }
}

/// All methods of the revisions from 2024-11-05 to 2026-07-28, of requests and notifications of either side, and of the extension for tasks.
#[rustfmt::skip]
pub(super) const METHODS: &[Method] = &[
    on(Subject::Tool, "tools/call"),
    on(Subject::Server, "tools/list"),
    on(Subject::Resource, "resources/read"),
    on(Subject::Prompt, "prompts/get"),
    on(Subject::Server, "ping"),
    on(Subject::Server, "initialize"),
    on(Subject::Server, "server/discover"),
    on(Subject::Server, "resources/list"),
    on(Subject::Server, "resources/templates/list"),
    on(Subject::Resource, "resources/subscribe"),
    on(Subject::Resource, "resources/unsubscribe"),
    on(Subject::Server, "subscriptions/listen"),
    on(Subject::Server, "prompts/list"),
    on(Subject::Reference, "completion/complete"),
    on(Subject::Server, "logging/setLevel"),
    on(Subject::Server, "sampling/createMessage"),
    on(Subject::Server, "elicitation/create"),
    on(Subject::Server, "roots/list"),
    on(Subject::Task, "tasks/get"),
    on(Subject::Task, "tasks/result"),
    on(Subject::Task, "tasks/update"),
    on(Subject::Task, "tasks/cancel"),
    on(Subject::Server, "tasks/list"),
    on(Subject::Server, "notifications/initialized"),
    on(Subject::Server, "notifications/cancelled"),
    on(Subject::Server, "notifications/progress"),
    on(Subject::Server, "notifications/message"),
    on(Subject::Server, "notifications/roots/list_changed"),
    on(Subject::Server, "notifications/tools/list_changed"),
    on(Subject::Server, "notifications/prompts/list_changed"),
    on(Subject::Server, "notifications/resources/list_changed"),
    on(Subject::Server, "notifications/resources/updated"),
    on(Subject::Server, "notifications/subscriptions/acknowledged"),
    on(Subject::Server, "notifications/elicitation/complete"),
    on(Subject::Server, "notifications/tasks"),
    on(Subject::Server, "notifications/tasks/status"),
];

impl Method {
    /// The method of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        METHODS.iter().find(|method| method.name == name).copied()
    }

    /// Whether it is that of a notification, which has no answer.
    pub(super) fn is_notification(self) -> bool {
        self.name.starts_with("notifications/")
    }
}
