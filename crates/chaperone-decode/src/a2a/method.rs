//! The methods of A2A.

/// A method, whatever its name in a version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method {
    /// The action, which has the name of version 0.3.
    pub(super) action: &'static str,
    /// What its params name.
    pub(super) subject: Subject,
    /// Whose names it has been called by.
    pub(super) era: Era,
}

/// What the params of a method name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Subject {
    /// Nothing: it is about the agent.
    Agent,
    /// A message to the agent.
    Message,
    /// A task, in this member.
    Task(&'static str),
}

/// Which names methods have, and how their params are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Era {
    /// Versions 0.2 and 0.3.
    Slashes,
    /// From version 1.0 on: the JSON form of protocol buffers.
    Protobuf,
}

/// Each method by its name in 0.3 and in 1.0, with what its params name in each. One that an era does not have has no name in it.
#[rustfmt::skip]
const METHODS: &[(&str, &str, Subject, Subject)] = &[
    ("message/send", "SendMessage", Subject::Message, Subject::Message),
    ("message/stream", "SendStreamingMessage", Subject::Message, Subject::Message),
    ("tasks/get", "GetTask", Subject::Task("id"), Subject::Task("id")),
    ("tasks/list", "ListTasks", Subject::Agent, Subject::Agent),
    ("tasks/cancel", "CancelTask", Subject::Task("id"), Subject::Task("id")),
    ("tasks/resubscribe", "SubscribeToTask", Subject::Task("id"), Subject::Task("id")),
    (SET_PUSH, "CreateTaskPushNotificationConfig", Subject::Task("taskId"), Subject::Task("taskId")),
    ("tasks/pushNotificationConfig/get", "GetTaskPushNotificationConfig", Subject::Task("id"), Subject::Task("taskId")),
    ("tasks/pushNotificationConfig/list", "ListTaskPushNotificationConfigs", Subject::Task("id"), Subject::Task("taskId")),
    ("tasks/pushNotificationConfig/delete", "DeleteTaskPushNotificationConfig", Subject::Task("id"), Subject::Task("taskId")),
    ("agent/getAuthenticatedExtendedCard", "GetExtendedAgentCard", Subject::Agent, Subject::Agent),
];

/// The action of saying where news of a task go, which messages can do as well.
pub(super) const SET_PUSH: &str = "tasks/pushNotificationConfig/set";

impl Method {
    /// The method of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        METHODS.iter().find_map(|(action, protobuf, slashes_subject, protobuf_subject)| {
            let (era, subject) = match name {
                name if name == *action => (Era::Slashes, *slashes_subject),
                name if name == *protobuf => (Era::Protobuf, *protobuf_subject),
                _ => return None,
            };
            Some(Self { action, subject, era })
        })
    }
}
