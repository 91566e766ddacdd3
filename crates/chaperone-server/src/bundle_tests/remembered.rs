//! What is remembered of a session, its tree and its principal: as a test gives it, and as a test expects it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chaperone_policy::{Bundle, Change, Level, Memory, MemoryLimits, MemoryName, SessionChain, Timestamp};

use super::expectation::{Difference, listed};
use super::fields::{Fields, Read, entries, list, number, texts};
use super::values::{amount, value};
use super::yaml::{Fault, Key, Node};
use crate::effect_text::value_text;

/// Where there is none.
static NOTHING: LazyLock<Memory> = LazyLock::new(Memory::default);

/// The memories of the session, its tree and its principal.
///
/// # Errors
/// With what is wrong.
pub fn memories(state: Option<&Node>, bundle: &Bundle, at: Timestamp) -> Read<[Memory; 3]> {
    let Some(node) = state else { return Ok([Memory::default(), Memory::default(), Memory::default()]) };
    let mut fields = Fields::of(node)?;
    let mut of = |name, level| {
        let memory = fields.read(name, |node| memory(node, level, bundle, at))?;
        Ok(memory.unwrap_or_default())
    };
    let memories = [of("session", Level::Session)?, of("tree", Level::Tree)?, of("principal", Level::Principal)?];
    fields.finish()?;
    Ok(memories)
}

/// One memory.
///
/// # Errors
/// With what is wrong.
pub fn memory(node: &Node, level: Level, bundle: &Bundle, at: Timestamp) -> Read<Memory> {
    let mut memory = Memory::default();
    let limits = MemoryLimits::default();
    let mut apply = |node: &Node, change: Change| {
        memory.apply(&change, at, &limits, 0).map_err(|error| node.fault(error.to_string()))
    };
    let mut fields = Fields::of(node)?;
    if let Some(labels) = fields.take("labels") {
        for label in texts(labels)? {
            apply(labels, Change::Label(label.into()))?;
        }
    }
    if level == Level::Session
        && let Some(node) = fields.take("risk")
    {
        let points = i8::try_from(number(node)?).ok().filter(|points| (0..=100).contains(points));
        apply(node, Change::Risk(points.ok_or_else(|| node.fault("risk is from 0 to 100"))?))?;
    }
    for (key, node) in fields.read("counts", entries)?.unwrap_or_default() {
        apply(node, Change::Count(counter(key, level, bundle)?, amount(node)?))?;
    }
    for (key, node) in fields.read("sets", entries)?.unwrap_or_default() {
        let (name, ty) = set(key, level, bundle)?;
        for member in list(node)? {
            apply(member, Change::Remember(name.clone(), value(member, ty)?))?;
        }
    }
    fields.finish()?;
    Ok(memory)
}

/// Compares what is remembered now with what a test expects of it.
///
/// # Errors
/// When a test expects what there cannot be.
pub fn compare(node: &Node, chain: Option<&SessionChain>, bundle: &Bundle, at: Timestamp) -> Read<Vec<Difference>> {
    let chain = chain.ok_or_else(|| node.fault("without a session nothing is remembered"))?;
    let (mut fields, mut differences) = (Fields::of(node)?, Vec::new());
    for (name, level) in [("session", Level::Session), ("tree", Level::Tree), ("principal", Level::Principal)] {
        if let Some(node) = fields.take(name) {
            Recalled { chain, level, bundle, at }.compare(node, &mut differences)?;
        }
    }
    fields.finish()?;
    Ok(differences)
}

/// What policies read at one level.
struct Recalled<'a> {
    chain: &'a SessionChain,
    level: Level,
    bundle: &'a Bundle,
    at: Timestamp,
}

impl Recalled<'_> {
    fn compare(&self, node: &Node, differences: &mut Vec<Difference>) -> Read<()> {
        let Self { level, bundle, at, .. } = *self;
        let memory = self.memory();
        let mut differ = |node: &Node, what: String, expected: String, found: String| {
            if expected != found {
                differences.push(Difference { place: node.place, what: format!("{level}: {what}"), expected, found });
            }
        };
        let mut fields = Fields::of(node)?;
        if let Some(node) = fields.take("labels") {
            let expected = listed(texts(node)?.into_iter().map(str::to_owned).collect());
            differ(node, "labels".to_owned(), expected, listed(self.labels().into_iter().collect()));
        }
        if level == Level::Session
            && let Some(node) = fields.take("risk")
        {
            differ(node, "risk".to_owned(), number(node)?.to_string(), self.risk().to_string());
        }
        for (key, node) in fields.read("counts", entries)?.unwrap_or_default() {
            let name = counter(key, level, bundle)?;
            let found = memory.count(&name, at).unwrap_or(0.into());
            // In one unit: a counter of whole numbers and one of decimals are compared alike.
            let (expected, is) = (amount(node)?, found.to_decimal());
            let same = expected.to_decimal() == is;
            differ(
                node,
                format!("counts[\"{name}\"]"),
                expected.to_string(),
                if same { expected } else { found }.to_string(),
            );
        }
        for (key, node) in fields.read("sets", entries)?.unwrap_or_default() {
            let (name, ty) = set(key, level, bundle)?;
            let mut expected = Memory::default();
            for member in list(node)? {
                let change = Change::Remember(name.clone(), value(member, ty)?);
                let applied = expected.apply(&change, at, &MemoryLimits::default(), 0);
                applied.map_err(|error| member.fault(error.to_string()))?;
            }
            differ(node, format!("sets[\"{name}\"]"), members(&expected, &name, at), members(memory, &name, at));
        }
        fields.finish()
    }

    fn memory(&self) -> &chaperone_policy::Memory {
        let sessions = self.chain.iter().count();
        let place = match self.level {
            Level::Session => 0,
            Level::Tree => sessions,
            Level::Principal => sessions + 1,
        };
        self.chain.memories().nth(place).map_or(&NOTHING, |memory| memory)
    }

    /// Opened with and added, as conditions read them.
    fn labels(&self) -> BTreeSet<String> {
        let sessions = self.chain.iter().count();
        let (opened, added): (Vec<_>, Vec<_>) = match self.level {
            Level::Session => (self.chain.iter().collect(), self.chain.memories().take(sessions).collect()),
            Level::Tree => (vec![self.chain.root()], self.chain.memories().skip(sessions).take(1).collect()),
            Level::Principal => (Vec::new(), self.chain.memories().skip(sessions + 1).collect()),
        };
        let opened = opened.into_iter().flat_map(|session| session.labels.iter().cloned());
        let added = added.into_iter().flat_map(|memory| memory.labels().iter().map(ToString::to_string));
        opened.chain(added).collect()
    }

    /// The highest of the session's and its ancestors'.
    fn risk(&self) -> i64 {
        let decay = self.bundle.manifest().risk.decay_per_hour;
        let sessions = self.chain.iter().count();
        self.chain.memories().take(sessions).map(|memory| memory.risk(decay, self.at)).max().unwrap_or(0)
    }
}

fn members(memory: &Memory, name: &MemoryName, at: Timestamp) -> String {
    let values = memory.set(name).into_iter().flat_map(|set| set.values(name.window(), at));
    listed(values.map(value_text).collect())
}

/// A counter that the bundle's policies know: any other would be zero for ever.
fn counter(key: &Key, level: Level, bundle: &Bundle) -> Read<MemoryName> {
    let known = bundle.counters(level).find(|name| name.as_str() == key.text).cloned();
    known.ok_or_else(|| unknown(key, level, "counts in", bundle.counters(level)))
}

/// A set that the bundle's policies know, with the type of its values.
fn set<'b>(key: &Key, level: Level, bundle: &'b Bundle) -> Read<(MemoryName, &'b chaperone_policy::Type)> {
    let known = bundle.sets(level).find(|name| name.as_str() == key.text).cloned();
    let known = known.zip(bundle.set_type(level, &key.text));
    known.ok_or_else(|| unknown(key, level, "remembers in", bundle.sets(level)))
}

fn unknown<'a>(key: &Key, level: Level, does: &str, known: impl Iterator<Item = &'a MemoryName>) -> Fault {
    let known: Vec<_> = known.map(MemoryName::as_str).collect();
    let known = if known.is_empty() { String::new() } else { format!("; there are `{}`", known.join("`, `")) };
    Fault { place: key.place, message: format!("no policy {does} `{}` of the {level}{known}", key.text) }
}
