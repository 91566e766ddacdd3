//! Random counters and sets: what policies keep, and what is there already.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::chance::Chance;
use super::paths::{is_identifier, required};
use super::situations::TEXTS;
use super::values;
use super::world::{Action, RequestKind, World};
use crate::effects::{CounterKind, Level, MemoryLayout};
use crate::memory::{Amount, Change, Memory, MemoryLimits, MemoryName};
use crate::session::SessionChain;
use crate::shape::{Field, Fields, Type};
use crate::timestamp::Timestamp;

/// Windows that are partly over in a situation, and ones that are not.
const WINDOWS: [&str; 6] = ["", "", "/1s", "/10s", "/1m", "/1h"];
const AMOUNTS: [i64; 6] = [0, 1, 2, 3, 10, 1 << 40];
const LABELS: [&str; 4] = ["a", "b", "ab", "zz"];

/// A counter or a set that a schema's policies keep.
pub(super) struct Kept {
    level: Level,
    name: MemoryName,
    what: What,
    /// The kind of request that it is taken from, by an observer of its own.
    kind: RequestKind,
    /// From what, as an annotation writes it.
    source: String,
}

#[derive(Clone)]
enum What {
    Counter(CounterKind),
    Set(Type),
}

impl Action {
    /// Whether its context has this part.
    pub(super) fn declares(&self, level: Level) -> bool {
        match level {
            Level::Session => self.session,
            Level::Tree => self.tree,
            Level::Principal => self.principal,
        }
    }
}

/// Attributes of an action's requests, some of which can be counted and remembered.
pub(super) fn request(chance: &mut Chance, entities: &[String]) -> Fields {
    let mut fields = values::fields(chance, entities, 4, 2);
    for (name, ty) in [("amount", Type::Long), ("usd", Type::Decimal), ("text", Type::String)] {
        if chance.percent(50) {
            fields.insert(name.into(), Field { ty, required: chance.percent(70) });
        }
    }
    fields
}

/// What is kept under one schema.
pub(super) fn kept(chance: &mut Chance, actions: &[Action], kinds: &[RequestKind]) -> Vec<Kept> {
    let mut all = Vec::new();
    for number in 0..chance.between(2, 8) {
        let kind = chance.choose(kinds).clone();
        let request = Type::Record(actions[kind.action].request.clone());
        let mut sources = vec![
            ("1".to_owned(), Type::Long),
            ("principal".to_owned(), Type::Entity(kind.principal.as_str().into())),
            ("resource".to_owned(), Type::Entity(kind.resource.as_str().into())),
        ];
        add_sources("context.request", &request, &mut sources);
        let (source, ty) = chance.choose(&sources).clone();
        let what = match &ty {
            Type::Long if source == "1" || chance.percent(50) => What::Counter(CounterKind::Whole),
            Type::Decimal => What::Counter(CounterKind::Decimal),
            _ => What::Set(ty),
        };
        let name = MemoryName::parse(&format!("k{number}{}", chance.pick(&WINDOWS))).expect("a name");
        // The same name at two levels is two counters.
        for level in Level::ALL {
            if chance.percent(45) {
                let (name, what, kind, source) = (name.clone(), what.clone(), kind.clone(), source.clone());
                all.push(Kept { level, name, what, kind, source });
            }
        }
    }
    all
}

/// Attributes that can be counted or remembered, near and nested.
fn add_sources(path: &str, ty: &Type, sources: &mut Vec<(String, Type)>) {
    match ty {
        Type::Record(fields) => {
            for (name, field) in fields.iter().filter(|(name, _)| is_identifier(name)) {
                add_sources(&format!("{path}.{name}"), &field.ty, sources);
            }
        }
        Type::Long | Type::Decimal | Type::String | Type::Ip | Type::Entity(_) => {
            sources.push((path.to_owned(), ty.clone()));
        }
        _ => {}
    }
}

/// As policies declare it.
pub(super) fn layout(all: &[Kept]) -> MemoryLayout {
    let mut layout = MemoryLayout::default();
    for Kept { level, name, what, .. } in all {
        match what {
            What::Counter(kind) => layout.add_counter(*level, name, *kind).expect("declared once"),
            What::Set(ty) => layout.add_set(*level, name, ty).expect("declared once"),
        }
    }
    layout
}

/// `counts` and `sets` of a level.
pub(super) fn fields(all: &[Kept], level: Level) -> Fields {
    let (mut counts, mut sets) = (Fields::new(), Fields::new());
    for Kept { name, what, .. } in all.iter().filter(|kept| kept.level == level) {
        let (fields, ty) = match what {
            What::Counter(CounterKind::Whole) => (&mut counts, Type::Long),
            What::Counter(CounterKind::Decimal) => (&mut counts, Type::Decimal),
            What::Set(ty) => (&mut sets, Type::Set(Box::new(ty.clone()))),
        };
        fields.insert(name.as_str().into(), Field { ty, required: true });
    }
    required([("counts", Type::Record(counts)), ("sets", Type::Record(sets))])
}

/// The annotations of the observer that keeps what is taken from this kind of request; `None` when there is nothing.
pub(super) fn keeper(chance: &mut Chance, all: &[Kept], kind: &RequestKind) -> Option<String> {
    let (mut counts, mut sets) = (Vec::new(), Vec::new());
    for Kept { level, name, what, source, .. } in all.iter().filter(|kept| kept.kind == *kind) {
        match what {
            What::Counter(_) if source == "1" => counts.push(format!("{level}:{name}")),
            What::Counter(_) => counts.push(format!("{level}:{name} += {source}")),
            What::Set(_) => sets.push(format!("{level}:{name} = {source}")),
        }
    }
    if counts.is_empty() && sets.is_empty() {
        return None;
    }
    let mut text = observe(chance);
    for (annotation, items) in [("count", counts), ("remember", sets)] {
        if !items.is_empty() {
            let _ = writeln!(text, "@{annotation}(\"{}\")", items.join(", "));
        }
    }
    Some(text)
}

fn observe(chance: &mut Chance) -> String {
    (*chance.choose(&["@observe\n", "@observe(\"deny\")\n", "@observe(\"any\")\n"])).to_owned()
}

/// What any policy does beside deciding; nothing, for most.
pub(super) fn annotations(chance: &mut Chance, effect: &str, all: &[Kept]) -> String {
    if chance.percent(65) {
        return String::new();
    }
    // Too many that take no part would leave nothing to decide.
    let mut text = if effect == "permit" && chance.percent(12) { observe(chance) } else { String::new() };
    if chance.percent(40) {
        let level = chance.choose(&Level::ALL);
        let _ = writeln!(text, "@label(\"{}, {level}:{}\")", chance.pick(&LABELS), chance.pick(&LABELS));
    }
    if chance.percent(30) {
        text.push_str(chance.pick(&["@risk(\"+20\")\n", "@risk(\"-5\")\n", "@risk(\"+100\")\n"]));
    }
    if chance.percent(30) {
        text.push_str("@alert(\"odd:high\")\n");
    }
    if effect == "forbid" && chance.percent(40) {
        let _ = writeln!(text, "@revoke(\"{}\")", chance.choose(&Level::ALL));
    }
    let counters: Vec<_> = all.iter().filter(|kept| matches!(kept.what, What::Counter(_))).collect();
    if !counters.is_empty() && chance.percent(40) {
        let Kept { level, name, .. } = *chance.choose(&counters);
        let _ = writeln!(text, "@count(\"{level}:{name} += {}\")", chance.below(4));
    }
    text
}

/// The chain with something remembered of it, some of which has left its window at `now`.
pub(super) fn remembered(chance: &mut Chance, world: &World, chain: &SessionChain, now: Timestamp) -> SessionChain {
    let sessions = chain.iter().count();
    let levels = std::iter::repeat_n(Level::Session, sessions).chain([Level::Tree, Level::Principal]);
    let memories: Vec<_> = levels.map(|level| Arc::new(memory(chance, world, level, now))).collect();
    chain.with_memories(memories).expect("as many as there are keys")
}

fn memory(chance: &mut Chance, world: &World, level: Level, now: Timestamp) -> Memory {
    let mut memory = Memory::default();
    let mut apply = |change: Change, at: Timestamp| {
        // What does not fit is as good as what was never there.
        let _ = memory.apply(&change, at, &MemoryLimits::default(), 0);
    };
    let before = |chance: &mut Chance, window: Duration| {
        let window_us = usize::try_from(window.as_micros()).expect("small");
        // At the very edge of the window, around it, and ahead, as another replica's clock may be.
        match chance.below(8) {
            0 => now.minus(window),
            1 => now.minus(window).minus(Duration::from_micros(1)),
            2 => now.plus(Duration::from_secs(2)),
            _ => now.minus(Duration::from_micros(chance.below(2 * window_us) as u64)),
        }
    };
    for Kept { name, what, .. } in world.kept.iter().filter(|kept| kept.level == level) {
        let window = name.window().unwrap_or(Duration::from_mins(1));
        for _ in 0..chance.below(4) {
            let at = before(chance, window);
            apply(
                match what {
                    What::Counter(kind) => Change::Count(name.clone(), amount(chance, *kind)),
                    What::Set(ty) => Change::Remember(name.clone(), values::value(chance, world, ty)),
                },
                at,
            );
        }
    }
    for _ in 0..chance.below(3) {
        apply(Change::Label((*chance.choose(&TEXTS)).into()), now);
    }
    if chance.percent(50) {
        let at = before(chance, Duration::from_mins(1));
        apply(Change::Risk(i8::try_from(chance.below(101)).expect("small")), at);
    }
    memory
}

/// Mostly of the counter's kind: an earlier bundle may have counted otherwise.
fn amount(chance: &mut Chance, kind: CounterKind) -> Amount {
    let number = *chance.choose(&AMOUNTS);
    match (kind, chance.percent(90)) {
        (CounterKind::Whole, true) | (CounterKind::Decimal, false) => Amount::Whole(number),
        (CounterKind::Whole, false) | (CounterKind::Decimal, true) => Amount::Decimal(number * 3_333),
    }
}
