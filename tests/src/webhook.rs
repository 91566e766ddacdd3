//! A receiver of alerts, as somebody would write one who follows the documentation.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::wait;

/// The bytes that the secret stands for.
const KEY: &[u8; 32] = b"end-to-end-alert-webhook-secret!";

/// A receiver in this process.
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    secret: tempfile::NamedTempFile,
    task: JoinHandle<()>,
}

/// What came, rightly signed.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `webhook-id`.
    pub id: String,
    /// The content type.
    pub content_type: String,
    /// The event.
    pub event: Value,
    /// What it was answered with.
    pub answered: StatusCode,
}

struct Shared {
    /// What the next deliveries are answered with; then all with 204. `None` is never answered.
    answers: Mutex<VecDeque<Option<StatusCode>>>,
    deliveries: Mutex<Vec<Delivery>>,
    hanging: Mutex<usize>,
}

impl Receiver {
    /// Starts a receiver that answers with these, and then takes everything.
    pub async fn start(answers: &[Option<StatusCode>]) -> Self {
        use std::io::Write as _;
        let mut secret = tempfile::NamedTempFile::new().expect("a temporary file");
        writeln!(secret, "whsec_{}", BASE64_STANDARD.encode(KEY)).expect("it is written");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers.iter().copied().collect()),
            deliveries: Mutex::default(),
            hanging: Mutex::default(),
        });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("the receiver serves") });
        Self { address, shared, secret, task }
    }

    /// The options of a server that sends here.
    pub fn options(&self) -> Vec<String> {
        let secret = self.secret.path().to_str().expect("a path in UTF-8").to_owned();
        let url = format!("http://{}/alerts?from=chaperone", self.address);
        vec!["--alert-webhook-url".to_owned(), url, "--alert-webhook-secret-file".to_owned(), secret]
    }

    /// What came so far, and was answered.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries.lock().expect("no test panics with the lock").clone()
    }

    /// How many were not answered.
    pub fn hanging(&self) -> usize {
        *self.shared.hanging.lock().expect("no test panics with the lock")
    }

    /// Waits until so many came and were answered.
    pub async fn received(&self, count: usize) -> Vec<Delivery> {
        wait::until(format!("{count} deliveries"), async || {
            let deliveries = self.deliveries();
            (deliveries.len() >= count).then_some(deliveries)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let answer = shared.answers.lock().expect("no test panics with the lock").pop_front();
    let Some(answered) = answer.unwrap_or(Some(StatusCode::NO_CONTENT)) else {
        *shared.hanging.lock().expect("no test panics with the lock") += 1;
        return std::future::pending().await;
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&body);
    if header("webhook-signature") != format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())) {
        return StatusCode::UNAUTHORIZED;
    }
    let event = serde_json::from_slice(&body).expect("JSON");
    let delivery = Delivery { id, content_type: header("content-type"), event, answered };
    shared.deliveries.lock().expect("no test panics with the lock").push(delivery);
    answered
}
