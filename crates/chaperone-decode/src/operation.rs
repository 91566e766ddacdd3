//! One thing that a request would do.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use crate::FactMap;

/// The languages and protocols whose requests are told apart into operations.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Decoder {
    /// SQL scripts.
    Sql,
    /// Command lines of a POSIX shell or bash.
    Shell,
    /// Model Context Protocol: JSON-RPC 2.0 messages.
    Mcp,
    /// `Agent2Agent`: JSON-RPC 2.0 messages.
    A2a,
    /// The Kubernetes API.
    Kubernetes,
}

/// One thing that a request would do, such as reading one table.
///
/// A request is several of them; it may go ahead only if every one may.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Operation {
    /// What is done: the name of an action of the decoder, such as `select`, `git push` or `tools/call`. Always one that the
    /// [`Classes`](crate::Classes) the request was decoded with have.
    pub action: SmolStr,
    /// What it is done to.
    pub resource: Resource,
    /// What else is known of it, by the names that the decoder declares.
    pub facts: FactMap,
}

/// What an operation is done to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resource {
    /// Its type among those of the decoder, such as `Table`.
    pub kind: &'static str,
    /// Its name, in the one spelling that stands for all that mean the same. Never empty.
    pub id: SmolStr,
}

/// A fact that a decoder tells of an operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fact {
    /// Yes or no.
    Bool(bool),
    /// A number.
    Long(i64),
    /// A text.
    Text(SmolStr),
    /// Texts, without order or repetition.
    Texts(BTreeSet<SmolStr>),
}

/// The type of a fact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FactType {
    /// [`Fact::Bool`].
    Bool,
    /// [`Fact::Long`].
    Long,
    /// [`Fact::Text`].
    Text,
    /// [`Fact::Texts`].
    Texts,
}

/// A fact that a decoder may tell of its operations: a field of `context.request`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FactSpec {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: FactType,
    /// Whether every operation has it.
    pub required: bool,
    /// What it says, in one sentence, for the documentation.
    pub meaning: &'static str,
}

impl FactSpec {
    /// A fact that every operation has.
    pub(crate) const fn required(name: &'static str, ty: FactType, meaning: &'static str) -> Self {
        Self { name, ty, required: true, meaning }
    }

    /// A fact that some operations have.
    pub(crate) const fn optional(name: &'static str, ty: FactType, meaning: &'static str) -> Self {
        Self { name, ty, required: false, meaning }
    }
}

impl Decoder {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Sql, Self::Shell, Self::Mcp, Self::A2a, Self::Kubernetes];

    /// Its name in mappings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Shell => "shell",
            Self::Mcp => "mcp",
            Self::A2a => "a2a",
            Self::Kubernetes => "kubernetes",
        }
    }

    /// What the names of its types begin with, within Cedar's namespace `Chaperone`.
    pub const fn type_prefix(self) -> &'static str {
        match self {
            Self::Sql => "Sql",
            Self::Shell => "Shell",
            Self::Mcp => "Mcp",
            Self::A2a => "A2a",
            Self::Kubernetes => "Kubernetes",
        }
    }

    /// The facts that its operations tell.
    pub const fn facts(self) -> &'static [FactSpec] {
        match self {
            Self::Sql => crate::sql::FACTS,
            Self::Shell => crate::shell::FACTS,
            Self::Mcp => crate::mcp::FACTS,
            Self::A2a => crate::a2a::FACTS,
            Self::Kubernetes => crate::kubernetes::FACTS,
        }
    }

    /// The types of resources that its operations name.
    pub const fn resources(self) -> &'static [&'static str] {
        match self {
            Self::Sql => crate::sql::RESOURCES,
            Self::Shell => crate::shell::RESOURCES,
            Self::Mcp => crate::mcp::RESOURCES,
            Self::A2a => crate::a2a::RESOURCES,
            Self::Kubernetes => crate::kubernetes::RESOURCES,
        }
    }
}
