//! Verifying the trail, a batch at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use chaperone_trail::{ChainId, Flaw, RecordSource, Report, SourceError, Trust, Verifier};

use super::{BATCH, Segment, Stretch};
use crate::admin::AdminError;

/// How many records lie between two messages about the progress.
const PROGRESS_RECORDS: u64 = 4_096;

/// A proof in the making.
#[derive(Debug)]
pub struct Verification {
    source: Arc<dyn RecordSource>,
    trust: Trust,
    segments: VecDeque<Segment>,
    current: Option<Current>,
    proof: Proof,
    is_done: bool,
}

/// The segment that is read.
#[derive(Debug)]
struct Current {
    segment: Segment,
    next: u64,
    verifier: Verifier,
    /// How many records are read at once.
    limit: u32,
    /// What cannot be read.
    damaged: Option<Fault>,
}

/// A step of a proof.
#[derive(Debug)]
pub enum Step {
    /// How far it is.
    Progress {
        /// The chain that is read.
        chain: ChainId,
        /// The place there.
        seq: u64,
        /// How many records were checked, of all chains.
        record_count: u64,
    },
    /// What came of it.
    Done(Proof),
}

/// What was found.
#[derive(Debug, Default)]
pub struct Proof {
    /// How many records were checked.
    pub record_count: u64,
    /// Chain by chain.
    pub chains: Vec<ChainProof>,
}

/// What was found in a chain.
#[derive(Debug)]
pub struct ChainProof {
    /// The chain.
    pub chain: ChainId,
    /// What its records prove.
    pub report: Report,
    /// What is wrong.
    pub fault: Option<Fault>,
}

/// What is wrong with a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Its place.
    pub seq: u64,
    /// A stable code.
    pub code: &'static str,
    /// A sentence.
    pub message: String,
}

impl Proof {
    /// Whether nothing is wrong.
    pub fn is_valid(&self) -> bool {
        self.chains.iter().all(|proof| proof.fault.is_none())
    }
}

impl ChainProof {
    /// From what a verifier with this `trust` found.
    pub fn new(chain: ChainId, report: Report, trust: &Trust) -> Self {
        let bad = report.bad.as_ref();
        let fault = bad.map(|bad| Fault { seq: bad.seq, code: code(&bad.flaw), message: bad.flaw.to_string() });
        // Whoever writes a chain anew can name a key in it, but not sign with it.
        let unsigned = matches!(trust, Trust::Keys(_)) && report.signed_through.is_none();
        let fault = fault.or_else(|| {
            unsigned.then(|| Fault {
                seq: report.first,
                code: "unsigned",
                message: "no checkpoint of a trusted key vouches for this record or those after it".into(),
            })
        });
        Self { chain, report, fault }
    }
}

impl Verification {
    pub(super) async fn begin(
        source: Arc<dyn RecordSource>,
        stretch: Stretch,
        trust: Trust,
    ) -> Result<Self, AdminError> {
        let segments = match stretch {
            // What was asked for by its places must be there.
            Stretch { chain: Some(_), from_seq, to_seq, .. } if from_seq.is_some() || to_seq.is_some() => {
                let mut whole = Stretch { from_seq: None, to_seq: None, ..stretch }.segments(&*source).await?;
                for segment in &mut whole {
                    segment.from = from_seq.unwrap_or(segment.from);
                    segment.to = to_seq.unwrap_or(segment.to);
                }
                whole
            }
            stretch => stretch.segments(&*source).await?,
        };
        let proof = Proof::default();
        Ok(Self { source, trust, segments: segments.into(), current: None, proof, is_done: false })
    }

    /// The next step; `None` after the last, which is [`Step::Done`].
    ///
    /// # Errors
    /// When the trail cannot be read.
    pub async fn next(&mut self) -> Result<Option<Step>, AdminError> {
        let reported = self.proof.record_count;
        while !self.is_done {
            let Some(current) = &mut self.current else {
                let Some(segment) = self.segments.pop_front() else {
                    self.is_done = true;
                    return Ok(Some(Step::Done(std::mem::take(&mut self.proof))));
                };
                let verifier = Verifier::new(self.trust.clone());
                self.current = Some(Current { segment, next: segment.from, verifier, limit: BATCH, damaged: None });
                continue;
            };
            let read = current.read(&*self.source).await?;
            self.proof.record_count += read.record_count;
            let (chain, seq) = (current.segment.chain, current.next);
            if !read.goes_on
                && let Some(current) = self.current.take()
            {
                self.proof.chains.push(current.finish(&self.trust));
            }
            if self.proof.record_count - reported >= PROGRESS_RECORDS {
                let seq = seq.saturating_sub(1);
                return Ok(Some(Step::Progress { chain, seq, record_count: self.proof.record_count }));
            }
            // Hashing a batch takes a while, and others want to go on too.
            tokio::task::yield_now().await;
        }
        Ok(None)
    }
}

/// What became of a batch.
struct Read {
    record_count: u64,
    goes_on: bool,
}

impl Current {
    async fn read(&mut self, source: &dyn RecordSource) -> Result<Read, AdminError> {
        let mut read = Read { record_count: 0, goes_on: false };
        if self.next > self.segment.to {
            return Ok(read);
        }
        let batch = match source.records(self.segment.chain, self.next, self.limit).await {
            Ok(batch) => batch,
            // Which of them it is, is found one by one.
            Err(SourceError::Damaged { .. }) if self.limit > 1 => {
                self.limit = 1;
                return Ok(Read { goes_on: true, ..read });
            }
            Err(error @ SourceError::Damaged { .. }) => {
                self.damaged = Some(Fault { seq: self.next, code: "malformed", message: error.to_string() });
                return Ok(read);
            }
            Err(error) => return Err(error.into()),
        };
        for sealed in batch.into_iter().take_while(|sealed| sealed.seq <= self.segment.to) {
            // The first one must be where the stretch begins; after that the verifier sees gaps by itself.
            if self.next == self.segment.from && sealed.seq != self.next {
                return Ok(read);
            }
            if !self.verifier.add(&sealed) {
                return Ok(Read { goes_on: false, ..read });
            }
            self.next = sealed.seq.saturating_add(1);
            read.record_count += 1;
            read.goes_on = true;
        }
        Ok(read)
    }

    fn finish(self, trust: &Trust) -> ChainProof {
        let mut proof = ChainProof::new(self.segment.chain, self.verifier.finish(), trust);
        if self.damaged.is_some() {
            proof.fault = self.damaged;
        } else if proof.report.bad.is_none() && (self.next <= self.segment.to || self.segment.to < self.segment.from) {
            let message = format!("records are missing: the stretch goes on to record {}", self.segment.to);
            proof.fault = Some(Fault { seq: self.next, code: "gap", message });
        }
        proof
    }
}

fn code(flaw: &Flaw) -> &'static str {
    match flaw {
        Flaw::Malformed => "malformed",
        Flaw::Misplaced { .. } => "misplaced",
        Flaw::WrongChain { .. } => "wrong_chain",
        Flaw::Gap { .. } => "gap",
        Flaw::Order { .. } => "order",
        Flaw::Hash => "hash",
        Flaw::Rewritten => "rewritten",
        Flaw::NoStart => "no_start",
        Flaw::AfterStop => "after_stop",
        Flaw::UnsignedStop => "unsigned_stop",
        Flaw::Signature { .. } => "signature",
        Flaw::UnknownKey { .. } => "unknown_key",
    }
}
