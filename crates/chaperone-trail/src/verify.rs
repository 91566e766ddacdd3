//! The proof that nothing in a chain was changed, left out, added or put elsewhere.

use std::collections::BTreeSet;

use chaperone_policy::Timestamp;

use crate::body;
use crate::chain::{Chainer, Head};
use crate::checkpoint::{self, Claim};
use crate::digest::Digest;
use crate::event::Event;
use crate::key::VerifyingKey;
use crate::record::{ChainId, Record, Sealed};

/// What the records of a chain prove.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// The chain; nothing when there was no record.
    pub chain: Option<ChainId>,
    /// The first place. After 1 where older records were dropped: what was before is not proven.
    pub first: u64,
    /// The last place that is proven to follow from the first.
    pub last: u64,
    /// The digest of the record there, to compare with one that was kept elsewhere.
    pub digest: Digest,
    /// What is wrong with the record after `last`: nothing after it is proven.
    pub bad: Option<Bad>,
    /// The last place that a trusted key vouches for, and so for all before it. What follows could have been written by whoever
    /// could write the files.
    pub signed_through: Option<u64>,
    /// Records that a trusted key does not vouch for: after the last checkpoint.
    pub unsigned: u64,
    /// How often a writer started.
    pub starts: u64,
    /// How often one started where the one before had not stopped in order, such as after a crash.
    pub interruptions: u64,
    /// How it ends.
    pub end: ChainEnd,
}

/// How a chain ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChainEnd {
    /// There is no record.
    Empty,
    /// Its writer stopped in order, which a trusted key vouches for. It ended here, or goes on with a later start.
    Stopped,
    /// Its writer did not stop in order, or not yet: it runs, it crashed, or the end was cut off.
    Open,
}

/// The first record that is not what it should be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("record {seq}: {flaw}")]
pub struct Bad {
    /// The place where a record should be.
    pub seq: u64,
    /// What is wrong.
    pub flaw: Flaw,
}

/// What is wrong with a record.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Flaw {
    /// The bytes are no record.
    #[error("this is no record")]
    Malformed,
    /// It says that it is of another chain, or at another place, than where it is kept.
    #[error("it says that it is record {seq} of chain `{chain}`")]
    Misplaced {
        /// What it says.
        chain: ChainId,
        /// What it says.
        seq: u64,
    },
    /// It is of another chain than the records before it.
    #[error("it is of chain `{chain}`")]
    WrongChain {
        /// Its chain.
        chain: ChainId,
    },
    /// Records before it are missing.
    #[error("records are missing: what follows is record {found}")]
    Gap {
        /// The place of the record that is there instead.
        found: u64,
    },
    /// A record at this place or a later one was there already.
    #[error("records are out of order: what follows is record {found}")]
    Order {
        /// The place of the record that is there instead.
        found: u64,
    },
    /// It does not have the digest of the record before it: that one, or this one, was changed.
    #[error("`prev` is not the digest of the record before it")]
    Hash,
    /// A signature vouches for what it says, but these are not the bytes in which its writer says that.
    #[error("the bytes are not those of its writer")]
    Rewritten,
    /// The chain does not begin with `started`.
    #[error("the chain does not begin with a start")]
    NoStart,
    /// Something other than a start follows a stop.
    #[error("what follows a stop is not a start")]
    AfterStop,
    /// A stop that its writer did not sign.
    #[error("the stop is not signed")]
    UnsignedStop,
    /// The signature of a checkpoint is not that of its key.
    #[error("the signature is not of the key `{key}`")]
    Signature {
        /// What it says is its key.
        key: String,
    },
    /// The key of a checkpoint or start is not trusted.
    #[error("the key `{key}` is not trusted")]
    UnknownKey {
        /// The key.
        key: String,
    },
}

/// Whose signatures are believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trust {
    /// Of these keys.
    Keys(BTreeSet<VerifyingKey>),
    /// Of every key. That proves that the chain hangs together, not who wrote it.
    Any,
}

/// Follows a chain, record by record: for who has more records than memory.
#[derive(Clone, Debug)]
pub struct Verifier {
    trust: Trust,
    report: Report,
    /// What the record before was.
    before: Before,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Before {
    /// There is none.
    Nothing,
    /// A checkpoint that says that a stop follows, at the same time.
    SignedStop(Timestamp),
    /// A stop.
    Stop,
    /// Anything else.
    Other,
}

/// Proves what `records`, in their order, are: any range of one chain. It goes on to the first bad record.
pub fn verify<'a>(records: impl IntoIterator<Item = &'a Sealed>, trust: Trust) -> Report {
    let mut verifier = Verifier::new(trust);
    for record in records {
        if !verifier.add(record) {
            break;
        }
    }
    verifier.finish()
}

impl Verifier {
    /// Before the first record.
    pub const fn new(trust: Trust) -> Self {
        let report = Report {
            chain: None,
            first: 0,
            last: 0,
            digest: Digest::ZERO,
            bad: None,
            signed_through: None,
            unsigned: 0,
            starts: 0,
            interruptions: 0,
            end: ChainEnd::Empty,
        };
        Self { trust, report, before: Before::Nothing }
    }

    /// The next record. Tells whether it follows; after one that does not, nothing changes any more.
    pub fn add(&mut self, sealed: &Sealed) -> bool {
        if self.report.bad.is_some() {
            return false;
        }
        match self.follow(sealed) {
            Ok(()) => true,
            Err(flaw) => {
                let seq = if self.report.chain.is_none() { sealed.seq } else { self.report.last + 1 };
                self.report.bad = Some(Bad { seq, flaw });
                false
            }
        }
    }

    /// What was proven.
    pub fn finish(mut self) -> Report {
        if self.report.chain.is_some() {
            // A range that begins with a stop has it without its signature.
            let signed = self.report.signed_through == Some(self.report.last);
            let stopped = self.report.bad.is_none() && self.before == Before::Stop && signed;
            self.report.end = if stopped { ChainEnd::Stopped } else { ChainEnd::Open };
        }
        self.report
    }

    fn follow(&mut self, sealed: &Sealed) -> Result<(), Flaw> {
        let record = Record::parse(&sealed.bytes).map_err(|_| Flaw::Malformed)?;
        if (record.chain, record.seq) != (sealed.chain, sealed.seq) {
            return Err(Flaw::Misplaced { chain: record.chain, seq: record.seq });
        }
        self.follow_place(&record)?;
        let after = self.follow_event(&record)?;
        if matches!(record.event, Event::Checkpoint { .. } | Event::Stopped) {
            is_as_written(&record, sealed)?;
        }
        let report = &mut self.report;
        if report.chain.is_none() {
            (report.chain, report.first) = (Some(record.chain), record.seq);
        }
        (report.last, report.digest) = (record.seq, sealed.digest());
        match after {
            // What a signed stop vouches for has the stop in it.
            Before::Stop if matches!(self.before, Before::SignedStop(_)) => {
                (report.signed_through, report.unsigned) = (Some(record.seq), 0);
            }
            _ if matches!(record.event, Event::Checkpoint { .. }) => {
                (report.signed_through, report.unsigned) = (Some(record.seq), 0);
            }
            _ => report.unsigned += 1,
        }
        self.before = after;
        Ok(())
    }

    fn follow_place(&self, record: &Record) -> Result<(), Flaw> {
        let report = &self.report;
        let Some(chain) = report.chain else {
            // The first record of a range that was cut out has a `prev` that cannot be checked here.
            return match record.seq {
                0 => Err(Flaw::Malformed),
                1 if record.prev != Digest::ZERO => Err(Flaw::Hash),
                1 if !matches!(record.event, Event::Started { .. }) => Err(Flaw::NoStart),
                _ => Ok(()),
            };
        };
        if record.chain != chain {
            return Err(Flaw::WrongChain { chain: record.chain });
        }
        match record.seq.cmp(&(report.last + 1)) {
            std::cmp::Ordering::Greater => Err(Flaw::Gap { found: record.seq }),
            std::cmp::Ordering::Less => Err(Flaw::Order { found: record.seq }),
            std::cmp::Ordering::Equal if record.prev != report.digest => Err(Flaw::Hash),
            std::cmp::Ordering::Equal => Ok(()),
        }
    }

    fn follow_event(&mut self, record: &Record) -> Result<Before, Flaw> {
        let fits = match self.before {
            Before::Stop => matches!(record.event, Event::Started { .. }),
            Before::SignedStop(_) => matches!(record.event, Event::Started { .. } | Event::Stopped),
            Before::Nothing | Before::Other => true,
        };
        if !fits {
            return Err(Flaw::AfterStop);
        }
        match &record.event {
            Event::Started { key, .. } => {
                let parsed = key.parse().map_err(|_| Flaw::UnknownKey { key: key.to_string() })?;
                self.trusts(&parsed)?;
                self.report.starts += 1;
                self.report.interruptions += u64::from(matches!(self.before, Before::Other | Before::SignedStop(_)));
                Ok(Before::Other)
            }
            Event::Checkpoint { key, signature } => {
                let parsed = key.parse().map_err(|_| Flaw::UnknownKey { key: key.to_string() })?;
                self.trusts(&parsed)?;
                let before = Head { seq: record.seq - 1, digest: record.prev };
                match checkpoint::claimed(&parsed, record.chain, before, record.at, signature) {
                    Some(Claim::Checkpoint) => Ok(Before::Other),
                    Some(Claim::Stop) => Ok(Before::SignedStop(record.at)),
                    None => Err(Flaw::Signature { key: key.to_string() }),
                }
            }
            Event::Stopped => match self.before {
                Before::SignedStop(at) if at == record.at => Ok(Before::Stop),
                // The checkpoint may stand before the range.
                Before::Nothing => Ok(Before::Stop),
                _ => Err(Flaw::UnsignedStop),
            },
            Event::State(_) | Event::Decision(_) | Event::NoDecision { .. } | Event::Act(_) => Ok(Before::Other),
        }
    }

    fn trusts(&self, key: &VerifyingKey) -> Result<(), Flaw> {
        match &self.trust {
            Trust::Keys(keys) if !keys.contains(key) => Err(Flaw::UnknownKey { key: key.to_string() }),
            Trust::Keys(_) | Trust::Any => Ok(()),
        }
    }
}

/// Whether a record that nothing follows yet has the bytes that the next one would have the digest of. What a checkpoint or a stop says
/// is signed, all of it, so that its bytes can be made again.
fn is_as_written(record: &Record, sealed: &Sealed) -> Result<(), Flaw> {
    let mut body = Vec::new();
    body::encode(&mut body, record.at, &record.event).map_err(|_| Flaw::Rewritten)?;
    let mut chainer = Chainer::new(record.chain, Head { seq: record.seq - 1, digest: record.prev });
    if chainer.seal(&body) == sealed.bytes { Ok(()) } else { Err(Flaw::Rewritten) }
}
