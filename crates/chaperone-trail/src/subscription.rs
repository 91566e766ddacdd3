//! Records as they become durable, for who watches.

use std::sync::Arc;

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
pub(crate) struct Subscribers(Sender<Arc<Sealed>>);

impl Default for Subscribers {
    fn default() -> Self {
        Self(Sender::new(BACKLOG_LEN))
    }
}

impl Subscribers {
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.0.subscribe())
    }

    /// Whether anybody watches.
    pub fn any(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub fn publish(&self, record: Sealed) {
        // An error says that nobody watches any more.
        let _ = self.0.send(Arc::new(record));
    }
}
