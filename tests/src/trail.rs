//! Records as they are kept, read without the server that wrote them.

use std::collections::HashMap;
use std::path::Path;

use chaperone_api::chaperone::v1::{Decision, Outcome};
use chaperone_store::{PostgresOptions, PostgresStore};
use chaperone_trail::{ChainId, Decided, Digest, Event, Record, RecordSource as _, Sealed, Segments};

/// How many records are read at once.
const PAGE: u32 = 5_000;

/// What callers were told: of each decision its outcome, and which document it was about.
pub type Told = HashMap<String, (&'static str, String)>;

/// The outcome of a decision, as records have it.
pub fn outcome(decision: &Decision) -> &'static str {
    match decision.outcome() {
        Outcome::Allow => "allow",
        Outcome::Deny => "deny",
        Outcome::Challenge => "challenge",
        Outcome::Unspecified => "none",
    }
}

/// The records of one chain, from its first.
pub struct Chain(Vec<Record>);

/// The records of a journal that nobody writes just now.
pub fn of_journal(directory: &Path) -> Chain {
    let segments = Segments::open(directory).expect("a journal");
    let mut cursor = segments.unshipped(1);
    let mut records = Vec::new();
    while let Some(record) = cursor.read().expect("a record") {
        records.push(record);
    }
    Chain::checked(&records)
}

/// The records of every chain in a database.
pub async fn of_store(url: &str) -> Vec<Chain> {
    let store = PostgresStore::connect(&PostgresOptions::new(url)).await.expect("the store");
    let mut chains = Vec::new();
    for extent in store.chains().await.expect("the chains") {
        chains.push(of_chain(&store, extent.chain).await);
    }
    chains
}

async fn of_chain(store: &PostgresStore, chain: ChainId) -> Chain {
    let mut records = Vec::new();
    loop {
        let from = records.len() as u64 + 1;
        let page = store.records(chain, from, PAGE).await.expect("records");
        if page.is_empty() {
            return Chain::checked(&records);
        }
        records.extend(page);
    }
}

impl Chain {
    /// Panics unless each record follows the one before it.
    fn checked(records: &[Sealed]) -> Self {
        let mut before = Digest::ZERO;
        let follow = records.iter().zip(1..).map(|(sealed, seq)| {
            let record = Record::parse(&sealed.bytes).expect("a record");
            assert_eq!((record.seq, record.prev), (seq, before), "the chain is whole");
            before = sealed.digest();
            record
        });
        Self(follow.collect())
    }

    /// What happened, in the order of the chain.
    pub fn events(&self) -> impl Iterator<Item = &Event<'static>> {
        self.0.iter().map(|record| &record.event)
    }

    /// The decisions.
    pub fn decisions(&self) -> impl Iterator<Item = &Decided<'static>> {
        self.events().filter_map(|event| match event {
            Event::Decision(decided) => Some(&**decided),
            _ => None,
        })
    }

    /// Panics unless every answer is on record exactly once, with what it was about.
    pub fn assert_recorded(&self, told: &Told) {
        let mut recorded = HashMap::new();
        for decided in self.decisions() {
            let resource = decided.actions.first().map(|asked| asked.resource.id.to_string()).unwrap_or_default();
            let earlier = recorded.insert(decided.id.to_string(), (decided.outcome.to_string(), resource));
            assert!(earlier.is_none(), "decision {} is on record twice", decided.id);
        }
        for (id, (outcome, document)) in told {
            let (recorded, resource) = recorded.get(id).unwrap_or_else(|| panic!("decision {id} is not on record"));
            assert_eq!((recorded.as_str(), resource), (*outcome, document), "{id}");
        }
    }

    /// What was done, such as `session.opened`.
    pub fn acts(&self) -> Vec<&str> {
        let acts = self.events().filter_map(|event| match event {
            Event::Act(acted) => Some(&*acted.act),
            _ => None,
        });
        acts.collect()
    }
}
