//! What a decision does beside being made: the annotations of policies, what they declare, and what comes of them.

mod annotation;
mod declare;
mod fire;
mod layout;

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub(crate) use self::annotation::{Annotations, parse, refuse_in_scope};
pub(crate) use self::declare::declare;
pub(crate) use self::fire::fire;
pub(crate) use self::layout::{CounterKind, MemoryLayout};
use crate::memory::{Change, MemoryName, Reported, Wait};

/// Whose memory an effect or a condition speaks of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// One session's.
    Session,
    /// The whole tree's.
    Tree,
    /// The principal's, in whatever session.
    Principal,
}

impl Level {
    /// All of them, the nearest first.
    pub const ALL: [Self; 3] = [Self::Session, Self::Tree, Self::Principal];

    /// As annotations and contexts write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Tree => "tree",
            Self::Principal => "principal",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How grave an alert is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// For the record.
    Low,
    /// To be looked at.
    Medium,
    /// To be looked at soon.
    High,
    /// To wake somebody.
    Critical,
}

impl Severity {
    const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// As annotations write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == name)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a decision does, in the order of the policies that ask for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Changes a memory.
    Remember(Level, Change),
    /// Waits for a report of the outcome.
    Await(Wait),
    /// Ends the session, its tree, or every session of its principal.
    Revoke {
        /// Which of them.
        level: Level,
        /// The policy that asks for it.
        policy: SmolStr,
    },
    /// Tells somebody.
    Alert(Alert),
}

/// Something that somebody is to be told of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Alert {
    /// Its name, such as `token-reuse`.
    pub name: SmolStr,
    /// How grave it is.
    pub severity: Severity,
    /// The policy that raises it.
    pub policy: SmolStr,
}

/// Which outcomes an observer sees.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Observes {
    Allowed,
    Denied,
    Any,
}

/// One effect as a policy writes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rule {
    pub(crate) act: Act,
    /// The report that it waits for.
    pub(crate) on: Option<Reported>,
}

/// What an effect does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    Label(Level, SmolStr),
    Count(Level, MemoryName, Source),
    Remember(Level, MemoryName, Source),
    Risk(i8),
    Revoke(Level),
    Alert(SmolStr, Severity),
}

/// Where an effect takes its amount or value from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// A number that is written out.
    Whole(i64),
    Principal,
    Resource,
    /// `context.request.…`, at least one name.
    Attribute(Box<[SmolStr]>),
    /// `result.…`: a fact that the report tells.
    Result(SmolStr),
}

impl Rule {
    /// The label that it adds.
    pub(crate) const fn label(&self) -> Option<(Level, &SmolStr)> {
        match &self.act {
            Act::Label(level, label) => Some((*level, label)),
            Act::Remember(..) | Act::Count(..) | Act::Risk(_) | Act::Revoke(_) | Act::Alert(..) => None,
        }
    }

    /// The set that it remembers something in, and from where.
    pub(crate) fn remembered(&self) -> Option<(Level, &MemoryName, &Source)> {
        match &self.act {
            Act::Remember(level, set, source) => Some((*level, set, source)),
            Act::Label(..) | Act::Count(..) | Act::Risk(_) | Act::Revoke(_) | Act::Alert(..) => None,
        }
    }
}

impl Source {
    /// Whether records keep what comes from here, where they keep attributes of which `is_kept` says so.
    pub(crate) fn is_kept(&self, is_kept: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Whole(_) | Self::Principal | Self::Resource => true,
            Self::Attribute(path) => path.first().is_some_and(|name| is_kept(name)),
            Self::Result(_) => false,
        }
    }
}
