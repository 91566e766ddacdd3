//! A small world in which things are counted and remembered.

use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{
    Amount, Attributes, Authority, Bundle, BundleSource, Change, Decision, DecisionId, Effect, EntityRef, Level,
    Memory, MemoryLimits, MemoryName, Occasion, OutcomeReport, Presenter, Problem, ReportError, Reported,
    ReportedMemories, Request, SessionChain, Settlement, Timestamp, Value, decide, decide_by_cedar, settle,
};

pub use crate::common::{OPENED, chain, child, root};

const SCHEMA: &str = r"
entity Agent;
entity Folder;
entity Document in [Folder];
action read appliesTo {
  principal: [Agent, Chaperone::Workload], resource: [Document, Folder],
  context: { session: Chaperone::Session, tree: Chaperone::Tree, principal: Chaperone::Principal, request: {} } };
action spend appliesTo {
  principal: [Agent], resource: [Document],
  context: {
    session: Chaperone::Session, tree: Chaperone::Tree, principal: Chaperone::Principal,
    request: { usd: decimal, items: Long, tip?: decimal, to: { account: String, fee?: Long }, from: ipaddr } } };
action transfer appliesTo {
  principal: [Agent], resource: [Document], context: { session: Chaperone::Session, request: { amount?: Long } } };
action plain appliesTo { principal: [Agent], resource: [Document], context: { request: {} } };
";

const MAPPING: &str = r#"
[[route]]
name = "transfer"
path = "/transfers/{id}"
action = "transfer"
resource = { type = "Document", id = "{path.id}" }
attributes = { amount = "{query.amount}" }

[results.spend]
rows = "Long"
price = "decimal"
path = "String"
file = "Document"
peer = "ipaddr"

[results.read]
rows = "Long"
"#;

/// What reads are permitted by.
pub const READ: &str = "@id(\"read\") permit (principal, action == Action::\"read\", resource);\n";
/// What spending is permitted by.
pub const SPEND: &str = "@id(\"spend\") permit (principal, action == Action::\"spend\", resource);\n";

pub fn compile(policies: &str) -> Result<Bundle, Vec<Problem>> {
    compile_with(policies, "")
}

fn compile_with(policies: &str, manifest: &str) -> Result<Bundle, Vec<Problem>> {
    let mut source = BundleSource::default();
    source.files.insert("bundle.toml".into(), manifest.into());
    source.files.insert("mapping.toml".into(), MAPPING.into());
    source.files.insert("schema.cedarschema".into(), SCHEMA.into());
    source.files.insert("policies/main.cedar".into(), policies.into());
    Bundle::compile(&source)
}

pub fn bundle(policies: &str) -> Bundle {
    compile(policies).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

pub fn bundle_with(policies: &str, manifest: &str) -> Bundle {
    compile_with(policies, manifest).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The problems, as `line:column code: message`.
pub fn problems(policies: &str) -> Vec<String> {
    let problems = compile(policies).expect_err("it is refused");
    problems.iter().map(|it| format!("{}:{} {}: {}", it.line, it.column, it.code, it.message)).collect()
}

pub fn document(id: &str) -> EntityRef {
    EntityRef::new("Document", id)
}

pub fn read(bundle: &Bundle) -> Request {
    bundle.request("read", document("1"), Attributes::new()).expect("valid")
}

/// Spends so much; `more` replaces or adds attributes.
pub fn spend(bundle: &Bundle, usd: &str, more: &[(&str, Value)]) -> Request {
    let to = Attributes::from([("account".into(), Value::String("acme".into()))]);
    let mut attributes = Attributes::from([
        ("usd".into(), Value::Decimal(usd.into())),
        ("items".into(), Value::Long(1)),
        ("to".into(), Value::Record(to)),
        ("from".into(), Value::Ip("10.0.0.1".into())),
    ]);
    attributes.extend(more.iter().map(|(name, value)| ((*name).into(), value.clone())));
    bundle.request("spend", document("1"), attributes).expect("valid")
}

pub fn at(seconds: u64) -> Timestamp {
    OPENED.plus(Duration::from_secs(seconds))
}

/// Decides a minute after the session was opened, by both evaluators.
pub fn decide_in(bundle: &Bundle, chain: &SessionChain, request: &Request) -> Decision {
    decide_at(bundle, chain, request, at(60))
}

pub fn decide_at(bundle: &Bundle, chain: &SessionChain, request: &Request, now: Timestamp) -> Decision {
    decide_for(bundle, Authority::Session(chain), request, now)
}

pub fn decide_for(bundle: &Bundle, authority: Authority<'_>, request: &Request, now: Timestamp) -> Decision {
    let presenter = Presenter::default();
    let decision = decide(bundle, bundle.own_entities(), request, authority, &presenter, now);
    let by_cedar = decide_by_cedar(bundle, bundle.own_entities(), request, authority, &presenter, now);
    assert_eq!(decision, by_cedar);
    decision
}

/// Decides and remembers; the chain is as the next decision sees it.
pub fn act(bundle: &Bundle, chain: &mut SessionChain, request: &Request, now: Timestamp) -> Decision {
    act_as(DecisionId::new(uuid::Uuid::nil()), bundle, chain, request, now)
}

/// As [`act`], for a decision whose outcome is to be reported.
pub fn act_as(
    id: DecisionId,
    bundle: &Bundle,
    chain: &mut SessionChain,
    request: &Request,
    now: Timestamp,
) -> Decision {
    act_within(&MemoryLimits::default(), id, bundle, chain, request, now)
}

/// As [`act_as`], with limits.
pub fn act_within(
    limits: &MemoryLimits,
    decision: DecisionId,
    bundle: &Bundle,
    chain: &mut SessionChain,
    request: &Request,
    now: Timestamp,
) -> Decision {
    let results = bundle.mapping().results(&request.action);
    let risk_decay_per_hour = bundle.manifest().risk.decay_per_hour;
    let occasion = Occasion { decision, results, now, limits, risk_decay_per_hour };
    let (decision, after) = chaperone_policy::remember(decide_at(bundle, chain, request, now), chain, &occasion);
    if let Some(after) = after {
        *chain = after;
    }
    decision
}

/// As [`act`], of a decision that was made already.
pub fn remember(
    decision: Decision,
    chain: &SessionChain,
    now: Timestamp,
    limits: &MemoryLimits,
    risk_decay_per_hour: u32,
) -> (Decision, Option<SessionChain>) {
    let id = DecisionId::new(uuid::Uuid::nil());
    chaperone_policy::remember(
        decision,
        chain,
        &Occasion { decision: id, results: None, now, limits, risk_decay_per_hour },
    )
}

/// The id of a decision made at `now`; `number` tells those of one moment apart.
pub fn decision_id(number: u64, now: Timestamp) -> DecisionId {
    let milliseconds = u128::try_from(now.as_micros() / 1_000).expect("after 1970");
    DecisionId::new(uuid::Uuid::from_u128((milliseconds << 80) | (7 << 76) | (2 << 62) | u128::from(number)))
}

/// Reports an outcome; the chain is as the next decision sees it.
pub fn report(
    chain: &mut SessionChain,
    decision: DecisionId,
    outcome: Reported,
    facts: &[(&str, Value)],
    now: Timestamp,
) -> Result<Settlement, ReportError> {
    let facts = facts.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    let memories: Vec<_> = chain.memories().cloned().collect();
    let [session, .., tree, principal] = &memories[..] else { panic!("a chain has three memories") };
    let before = ReportedMemories {
        session: Memory::clone(session),
        tree: Memory::clone(tree),
        principal: Memory::clone(principal),
    };
    let report = OutcomeReport { decision, outcome, facts };
    let settlement = settle(&report, &before, now, &MemoryLimits::default(), 0)?;
    if let Settlement::Settled(_, after) = &settlement {
        let mut after = ReportedMemories::clone(after);
        let mut memories = memories.clone();
        let last = memories.len() - 1;
        for (place, memory) in [(0, &mut after.session), (last - 1, &mut after.tree), (last, &mut after.principal)] {
            let before = memories.get_mut(place).expect("a memory of the chain");
            if *memory != **before {
                memory.touch(now);
                *before = Arc::new(memory.clone());
            }
        }
        *chain = chain.with_memories(memories).expect("as many");
    }
    Ok(settlement)
}

/// The chain with what these changes leave, made a minute after the session was opened.
pub fn with(chain: &SessionChain, changes: &[(usize, Change)]) -> SessionChain {
    let mut memories: Vec<Memory> = chain.memories().map(|memory| memory.as_ref().clone()).collect();
    for (place, change) in changes {
        let memory = memories.get_mut(*place).expect("a memory of the chain");
        memory.apply(change, at(60), &MemoryLimits::default(), 0).expect("it fits");
    }
    chain.with_memories(memories.into_iter().map(Arc::new).collect()).expect("as many")
}

pub fn name(text: &str) -> MemoryName {
    MemoryName::parse(text).expect("a name")
}

pub fn counted(level: Level, counter: &str, amount: Amount) -> Effect {
    Effect::Remember(level, Change::Count(name(counter), amount))
}

pub fn remembered(level: Level, set: &str, value: Value) -> Effect {
    Effect::Remember(level, Change::Remember(name(set), value))
}

pub fn labelled(level: Level, label: &str) -> Effect {
    Effect::Remember(level, Change::Label(label.into()))
}
