//! Where the writer puts a batch: a journal, or a sink.

use chaperone_policy::Timestamp;

use crate::chain::Head;
use crate::error::TrailError;
use crate::journal::{Journal, Took};
use crate::record::{ChainId, Sealed};
use crate::sink::Sink;
use std::time::Instant;

/// Where the writer puts a batch.
pub(crate) enum Keeper {
    Journal(Box<Journal>),
    Sink(SinkKeeper),
}

/// Hands batches on.
pub(crate) struct SinkKeeper {
    pub chain: ChainId,
    pub sink: Box<dyn Sink>,
    /// What was not taken yet. It stays in the chain, whatever became of it.
    pub batch: Vec<Sealed>,
}

impl Keeper {
    /// Where the chain stands.
    pub fn head(&self) -> Head {
        match self {
            Self::Journal(journal) => journal.head(),
            Self::Sink(_) => Head::default(),
        }
    }

    pub fn chain(&self) -> ChainId {
        match self {
            Self::Journal(journal) => journal.chain(),
            Self::Sink(keeper) => keeper.chain,
        }
    }

    /// Puts a record into the batch.
    pub fn push(&mut self, record: &[u8], head: Head, at: Timestamp, took: &mut Took) -> Result<(), TrailError> {
        match self {
            Self::Journal(journal) => journal.push(record, head, at, took),
            Self::Sink(keeper) => {
                keeper.batch.push(Sealed { chain: keeper.chain, seq: head.seq, bytes: record.to_vec() });
                Ok(())
            }
        }
    }

    /// Makes the batch durable.
    pub fn commit(&mut self, took: &mut Took) -> Result<(), TrailError> {
        match self {
            Self::Journal(journal) => journal.commit(took),
            Self::Sink(keeper) => keeper.hand_on(took),
        }
    }

    /// Tries to go on after a failure. Tells where the chain goes on, if that is not where it got to.
    pub fn recover(&mut self) -> Result<Option<Head>, TrailError> {
        match self {
            Self::Journal(journal) => journal.recover().map(Some),
            Self::Sink(keeper) => keeper.hand_on(&mut Took::default()).map(|()| None),
        }
    }

    /// Ends in order.
    pub fn close(&mut self) -> Result<(), TrailError> {
        match self {
            Self::Journal(journal) => journal.close(),
            Self::Sink(_) => Ok(()),
        }
    }
}

impl SinkKeeper {
    fn hand_on(&mut self, took: &mut Took) -> Result<(), TrailError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let begin = Instant::now();
        self.sink.write(&self.batch).map_err(TrailError::Sink)?;
        took.write += begin.elapsed();
        self.batch.clear();
        Ok(())
    }
}
