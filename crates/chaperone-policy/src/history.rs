//! What one bundle remembers and another does not: what was decided by the other can make up for it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use smol_str::SmolStr;

use crate::bundle::Bundle;
use crate::effects::Level;
use crate::memory::{AwaitedReport, Deferred, Memory, MemoryKey, MemoryName, Wait};

/// Labels, counters and sets that a bundle's policies keep, or those of them that another's do not, by whose they are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NewNames {
    session: LevelNames,
    tree: LevelNames,
    principal: LevelNames,
}

/// Those of one level.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct LevelNames {
    labels: BTreeSet<SmolStr>,
    counters: BTreeSet<MemoryName>,
    sets: BTreeSet<MemoryName>,
}

impl Bundle {
    /// What its policies keep.
    pub fn names(&self) -> NewNames {
        let labels = self.policies().labels();
        let of = |level| LevelNames {
            labels: labels.iter().filter(|(of, _)| *of == level).map(|(_, label)| label.clone()).collect(),
            counters: self.counters(level).cloned().collect(),
            sets: self.sets(level).cloned().collect(),
        };
        NewNames { session: of(Level::Session), tree: of(Level::Tree), principal: of(Level::Principal) }
    }

    /// What its policies keep and those of another bundle do not.
    pub fn names_beyond(&self, other: &Self) -> NewNames {
        let (own, known) = (self.names(), other.names());
        let beyond = |level| {
            let (own, known) = (own.of(level), known.of(level));
            LevelNames {
                labels: &own.labels - &known.labels,
                counters: &own.counters - &known.counters,
                sets: &own.sets - &known.sets,
            }
        };
        NewNames { session: beyond(Level::Session), tree: beyond(Level::Tree), principal: beyond(Level::Principal) }
    }
}

impl NewNames {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How far back lies what still counts in any of them, at most `max`: that of what is kept as long as the memory.
    pub fn reach(&self, max: Duration) -> Duration {
        let windows = self.levels().flat_map(|(_, names)| {
            let kept = names.counters.iter().chain(&names.sets).map(|name| name.window().unwrap_or(max));
            kept.chain(names.labels.iter().map(|_| max))
        });
        windows.max().unwrap_or_default().min(max)
    }

    /// Whether one of them is a set of this name.
    pub fn has_set(&self, level: Level, name: &MemoryName) -> bool {
        self.of(level).sets.contains(name)
    }

    /// The part of a memory that stands under these names, without `withheld` sets.
    pub fn part_of(&self, memory: &Memory, key: &MemoryKey, withheld: &BTreeSet<(Level, MemoryName)>) -> Memory {
        let level = key.level();
        let LevelNames { labels, counters, sets } = self.of(level);
        let is_told = |name: &MemoryName| sets.contains(name) && !withheld.contains(&(level, name.clone()));
        memory.part(|label| labels.contains(label), |name| counters.contains(name), is_told)
    }

    /// What waits for a report and would stand under these names, without `withheld` sets; `None` where nothing does.
    pub fn waits_of(&self, awaited: &AwaitedReport, withheld: &BTreeSet<(Level, MemoryName)>) -> Option<AwaitedReport> {
        let part = awaited.part(|Wait { level, what, .. }| {
            let LevelNames { labels, counters, sets } = self.of(*level);
            match what {
                Deferred::Label(label) => labels.contains(label),
                Deferred::Reserved(name, ..) | Deferred::Count(name, _) | Deferred::CountFact(name, ..) => {
                    counters.contains(name)
                }
                Deferred::Remember(name, _) | Deferred::RememberFact(name, ..) => {
                    sets.contains(name) && !withheld.contains(&(*level, name.clone()))
                }
                Deferred::Risk(_) => false,
            }
        });
        let waits = part.waits().count() > 0;
        waits.then_some(part)
    }

    const fn of(&self, level: Level) -> &LevelNames {
        match level {
            Level::Session => &self.session,
            Level::Tree => &self.tree,
            Level::Principal => &self.principal,
        }
    }

    fn levels(&self) -> impl Iterator<Item = (Level, &LevelNames)> {
        Level::ALL.into_iter().map(|level| (level, self.of(level)))
    }
}

/// Such as `session counter exports/1h, tree label pii`.
impl fmt::Display for NewNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (level, LevelNames { labels, counters, sets }) in self.levels() {
            let labels = labels.iter().map(|label| ("label", label.as_str()));
            let counters = counters.iter().map(|name| ("counter", name.as_str()));
            let sets = sets.iter().map(|name| ("set", name.as_str()));
            for (what, name) in labels.chain(counters).chain(sets) {
                write!(f, "{separator}{level} {what} {name}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;
    use crate::source::BundleSource;

    const SCHEMA: &str = "entity Agent; entity Document;\n\
        action read appliesTo { principal: [Agent], resource: [Document],\n\
          context: { session: Chaperone::Session, tree: Chaperone::Tree, principal: Chaperone::Principal, request: {} } };\n";

    fn bundle(annotations: &str) -> Bundle {
        let policy = format!("@id(\"read\")\n{annotations}\npermit (principal, action, resource is Document);\n");
        let files = [("schema.cedarschema", SCHEMA), ("policies/main.cedar", policy.as_str())];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        Bundle::compile(&BundleSource { files }).expect("valid")
    }

    fn beyond(new: &str, old: &str) -> NewNames {
        bundle(new).names_beyond(&bundle(old))
    }

    #[test]
    fn only_what_the_other_does_not_keep_at_that_level_is_new() {
        let kept = "@count(\"reads/1h\") @label(\"tree:seen\") @remember(\"documents = resource\")";
        assert!(beyond(kept, kept).is_empty());
        assert!(beyond("", kept).is_empty());
        let all = "session counter reads/1h, session set documents, tree label seen";
        assert_eq!(beyond(kept, "").to_string(), all);
        assert_eq!(beyond("@count(\"tree:reads/1h\")", kept).to_string(), "tree counter reads/1h");
        assert_eq!(beyond("@count(\"reads/60m\")", kept).to_string(), "session counter reads/60m");
        assert_eq!(beyond("@label(\"seen\")", kept).to_string(), "session label seen");
    }

    #[test]
    fn reach_is_that_of_the_longest_window_and_no_more_than_the_most() {
        let (hour, day) = (Duration::from_hours(1), Duration::from_hours(24));
        assert_eq!(beyond("@count(\"reads/1h\")", "").reach(day), hour);
        assert_eq!(beyond("@count(\"reads/1h\")", "").reach(Duration::from_mins(1)), Duration::from_mins(1));
        for for_life in ["@count(\"reads\")", "@label(\"seen\")", "@remember(\"documents = resource\")"] {
            assert_eq!(beyond(for_life, "").reach(day), day, "{for_life}");
        }
        assert_eq!(NewNames::default().reach(day), Duration::ZERO);
    }

    #[test]
    fn part_of_a_memory_is_what_stands_under_the_names_of_its_level() {
        let names = beyond("@count(\"reads\") @label(\"tree:seen\") @remember(\"documents = resource\")", "");
        let text = r#"{ "labels": ["other", "seen"], "counters": { "reads": { "whole": 3 }, "writes": { "whole": 1 } },
            "sets": { "documents": [[{ "entity": { "type": "Document", "id": "1" } }, 7]] } }"#;
        let memory: Memory = serde_json::from_str(text).expect("a memory");
        let id = SessionId::new(uuid::Uuid::from_u128(1));
        let part = |key: &MemoryKey, withheld| {
            serde_json::to_value(names.part_of(&memory, key, withheld)).expect("it is written")
        };
        let none = BTreeSet::new();
        assert_eq!(part(&MemoryKey::Tree(id), &none), serde_json::json!({ "labels": ["seen"] }));
        let session = part(&MemoryKey::Session(id), &none);
        assert_eq!(
            (&session["counters"], &session["labels"]),
            (&serde_json::json!({ "reads": { "whole": 3 } }), &serde_json::Value::Null)
        );
        assert!(session["sets"]["documents"].is_array());
        let withheld = [(Level::Session, MemoryName::parse("documents").expect("a name"))].into();
        assert_eq!(part(&MemoryKey::Session(id), &withheld)["sets"], serde_json::Value::Null);
    }
}
