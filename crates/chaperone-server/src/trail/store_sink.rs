//! A trail that is written to the store, without a journal: what `--trail-ack store` asks for.

use std::sync::Arc;

use chaperone_store::TrailStore;
use chaperone_trail::{Sealed, Sink, SinkError};
use tokio::runtime::Handle;

/// Takes batches from the writer's thread, and stores each in one transaction.
#[derive(Debug)]
pub struct StoreSink {
    /// Where records go.
    pub store: Arc<dyn TrailStore>,
    /// Who writes.
    pub replica: String,
    /// Where the store's work is done.
    pub runtime: Handle,
}

impl Sink for StoreSink {
    fn write(&mut self, batch: &[Sealed]) -> Result<(), SinkError> {
        let Some(first) = batch.first() else { return Ok(()) };
        self.runtime.block_on(self.store.append_trail(first.chain, &self.replica, batch))?;
        Ok(())
    }
}
