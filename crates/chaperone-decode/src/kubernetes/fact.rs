//! The facts that operations of the Kubernetes API have.

use smol_str::SmolStr;

use crate::{Fact, FactMap, FactSpec, FactType};

/// The facts of an operation, while it is put together.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts(pub(super) FactMap);

/// The facts that operations may have.
pub const FACTS: &[FactSpec] = &[
    FactSpec::required(
        "all_namespaces",
        FactType::Bool,
        "Whether no namespace is named, and the resource is not one that is known to be outside of namespaces.",
    ),
    FactSpec::optional(
        "command",
        FactType::Text,
        "What `exec` runs, as a line of shell that stands for exactly these arguments.",
    ),
    FactSpec::optional(
        "container",
        FactType::Text,
        "The container that `exec`, `attach` or `log` is about, where it is named.",
    ),
    FactSpec::required(
        "dry_run",
        FactType::Bool,
        "Whether the API server is asked to keep nothing. Never of a deletion, whose body can say otherwise.",
    ),
    FactSpec::optional("group", FactType::Text, "The API group; empty for the core."),
    FactSpec::optional("groups", FactType::Texts, "The groups of the user whom the API server asks about."),
    FactSpec::optional(
        "name",
        FactType::Text,
        "The object's name, where the path or the field selector has it; for a proxy without scheme and port.",
    ),
    FactSpec::optional(
        "namespace",
        FactType::Text,
        "The namespace, where one is named; of a namespace itself, its own name.",
    ),
    FactSpec::optional("path", FactType::Text, "The path, of a `Path`, or the one behind `proxy`."),
    FactSpec::optional("port", FactType::Text, "The port behind `proxy`, where it is named."),
    FactSpec::optional("resource", FactType::Text, "The resource's plural name, such as `pods`."),
    FactSpec::required(
        "selector",
        FactType::Bool,
        "Whether a field or label selector is given. One can be written that selects everything.",
    ),
    FactSpec::optional("subresource", FactType::Text, "The subresource, such as `log`."),
    FactSpec::required("upgrade", FactType::Bool, "Whether the connection is to be upgraded to another protocol."),
    FactSpec::optional("user", FactType::Text, "The user whom the API server asks about."),
    FactSpec::required("verb", FactType::Text, "The verb, such as `list`; of a `Path`, the method in lower case."),
    FactSpec::optional("version", FactType::Text, "The version of the API group."),
];

impl Facts {
    /// Those that every operation has.
    pub(super) fn of(verb: &str) -> Self {
        let mut facts = Self::default();
        for name in ["all_namespaces", "dry_run", "selector", "upgrade"] {
            facts.bool(name, false);
        }
        facts.text("verb", verb);
        facts
    }

    pub(super) fn bool(&mut self, name: &'static str, value: bool) {
        self.0.insert(name, Fact::Bool(value));
    }

    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.0.insert(name, Fact::Text(value.into()));
    }

    /// Nothing, where it is absent.
    pub(super) fn present(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.text(name, value);
        }
    }

    pub(super) fn texts(&mut self, name: &'static str, values: impl IntoIterator<Item = SmolStr>) {
        self.0.insert(name, Fact::Texts(values.into_iter().collect()));
    }
}
