//! Where records go when no journal keeps them.

use crate::record::Sealed;

/// Takes the records of a chain in the place of a journal, such as a store: what was written is durable.
pub trait Sink: Send + 'static {
    /// Keeps `batch`: records of one chain in their order. It may block; it is called from the writer's own thread.
    ///
    /// After an error the same batch is offered again until it is taken, so a record that is already there is no error.
    ///
    /// # Errors
    /// When the batch is not, or not certainly, kept.
    fn write(&mut self, batch: &[Sealed]) -> Result<(), SinkError>;
}

/// Why a sink did not take records.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;
