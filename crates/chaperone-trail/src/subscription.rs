//! Records as they become durable, for who watches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

use crate::record::Sealed;

/// Records that a slow subscriber may be behind.
const BACKLOG_LEN: usize = 4096;

/// Records as they become durable, from the subscription on.
#[derive(Debug)]
pub struct Subscription(Receiver<Arc<Sealed>>);

/// What a subscription has next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tailed {
    /// A record that is durable.
    Record(Arc<Sealed>),
    /// This many records were passed over, because the subscriber was too slow. They are in the trail.
    Lagged(u64),
}

impl Subscription {
    /// The next record; nothing when the trail has ended.
    pub async fn next(&mut self) -> Option<Tailed> {
        match self.0.recv().await {
            Ok(record) => Some(Tailed::Record(record)),
            Err(RecvError::Lagged(records)) => Some(Tailed::Lagged(records)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Those who watch.
#[derive(Debug)]
pub(crate) struct Subscribers(Mutex<Option<Sender<Arc<Sealed>>>>);

impl Default for Subscribers {
    fn default() -> Self {
        Self(Mutex::new(Some(Sender::new(BACKLOG_LEN))))
    }
}

impl Subscribers {
    pub fn subscribe(&self) -> Subscription {
        // Of a trail that has ended: one that has ended.
        Subscription(self.sender().as_ref().map_or_else(|| Sender::new(1).subscribe(), Sender::subscribe))
    }

    /// Whether anybody watches.
    pub fn any(&self) -> bool {
        self.sender().as_ref().is_some_and(|sender| sender.receiver_count() > 0)
    }

    pub fn publish(&self, record: Sealed) {
        if let Some(sender) = &*self.sender() {
            // An error says that nobody watches any more.
            let _ = sender.send(Arc::new(record));
        }
    }

    /// Nothing more will come.
    pub fn close(&self) {
        *self.sender() = None;
    }

    fn sender(&self) -> MutexGuard<'_, Option<Sender<Arc<Sealed>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
