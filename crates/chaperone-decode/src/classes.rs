//! What operations are worth: the built-in groups of actions, and the table that puts operations into them.

use std::collections::BTreeMap;

use serde::Deserialize;
use smol_str::SmolStr;

use crate::Decoder;
use crate::shell::Keys;

/// The built-in groups of actions (`Chaperone::Action`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// Reads data, and changes nothing.
    #[serde(rename = "data.read")]
    DataRead,
    /// Creates, changes or deletes data.
    #[serde(rename = "data.write")]
    DataWrite,
    /// Takes data out in bulk, or to where it is no longer guarded.
    #[serde(rename = "data.export")]
    DataExport,
    /// Reads what opens other doors: keys, passwords, tokens.
    #[serde(rename = "secret.read")]
    SecretRead,
    /// Changes how a system works rather than what it holds.
    #[serde(rename = "config.change")]
    ConfigChange,
    /// Needs or gives rights beyond a user's own, or runs what nobody can foresee.
    #[serde(rename = "privileged")]
    Privileged,
    /// Sends something over the network.
    #[serde(rename = "net.egress")]
    NetEgress,
}

/// Several classes, or none.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ClassSet(u8);

/// The actions of the decoders, each with its classes.
///
/// An operation's action is the most precise key that the table has for it: `git push` where that is there, else `git`, else the decoder's
/// action for what no table names. So a bundle that adds a key makes an action, and one that changes a key's classes moves an action to
/// other groups.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Classes {
    by_decoder: BTreeMap<Decoder, BTreeMap<SmolStr, ClassSet>>,
    /// The actions of the shell once more.
    commands: Keys,
}

/// A table that is no table of classes.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ClassesError(#[from] toml::de::Error);

impl Class {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::DataRead,
        Self::DataWrite,
        Self::DataExport,
        Self::SecretRead,
        Self::ConfigChange,
        Self::Privileged,
        Self::NetEgress,
    ];

    /// Its name, which is the id of an action in `Chaperone`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DataRead => "data.read",
            Self::DataWrite => "data.write",
            Self::DataExport => "data.export",
            Self::SecretRead => "secret.read",
            Self::ConfigChange => "config.change",
            Self::Privileged => "privileged",
            Self::NetEgress => "net.egress",
        }
    }
}

impl ClassSet {
    /// Whether it has this one.
    pub const fn contains(self, class: Class) -> bool {
        self.0 & (1 << class as u8) != 0
    }

    /// How many there are.
    pub(crate) const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether it has all of these.
    pub(crate) const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// With these, too.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |class| self.contains(*class))
    }
}

impl FromIterator<Class> for ClassSet {
    fn from_iter<T: IntoIterator<Item = Class>>(classes: T) -> Self {
        Self(classes.into_iter().fold(0, |bits, class| bits | 1 << class as u8))
    }
}

impl Classes {
    /// The tables that ship with the product.
    ///
    /// # Errors
    /// Never, which a test shows.
    pub fn built_in() -> Result<Self, ClassesError> {
        let mut classes = Self::default();
        for (decoder, text) in [
            (Decoder::Sql, include_str!("../classes/sql.toml")),
            (Decoder::Shell, include_str!("../classes/shell.toml")),
            (Decoder::Mcp, include_str!("../classes/mcp.toml")),
            (Decoder::A2a, include_str!("../classes/a2a.toml")),
            (Decoder::Kubernetes, include_str!("../classes/kubernetes.toml")),
        ] {
            classes.add(decoder, toml::from_str::<BTreeMap<SmolStr, Vec<Class>>>(text)?);
        }
        Ok(classes)
    }

    /// Puts actions of a decoder into these classes, and out of all others.
    pub fn add(&mut self, decoder: Decoder, actions: impl IntoIterator<Item = (SmolStr, Vec<Class>)>) {
        let actions = actions.into_iter().map(|(action, classes)| (action, classes.into_iter().collect()));
        let table = self.by_decoder.entry(decoder).or_default();
        table.extend(actions);
        if decoder == Decoder::Shell {
            self.commands = Keys::of(table.iter().map(|(action, classes)| (action, *classes)));
        }
    }

    /// The classes of an action; `None` where the table does not have it.
    pub fn get(&self, decoder: Decoder, action: &str) -> Option<ClassSet> {
        self.by_decoder.get(&decoder)?.get(action).copied()
    }

    /// The actions of the shell by their programs.
    pub(crate) const fn commands(&self) -> &Keys {
        &self.commands
    }

    /// The actions of a decoder, in order.
    pub fn actions(&self, decoder: Decoder) -> impl Iterator<Item = (&SmolStr, ClassSet)> {
        self.by_decoder.get(&decoder).into_iter().flatten().map(|(action, classes)| (action, *classes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_tables_are_valid() {
        let classes = Classes::built_in().unwrap();
        for decoder in Decoder::ALL {
            assert!(classes.actions(decoder).count() > 0, "{}", decoder.as_str());
        }
    }
}
