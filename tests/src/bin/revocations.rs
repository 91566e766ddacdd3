//! How soon one replica denies what another was told: `revocations ADMIN DATA FAR COUNT` revokes COUNT sessions through ADMIN, and has as many
//! trees labelled by checks at DATA, of the same replica, while it asks the replica at FAR about each of them, one check after the other,
//! until the first denial. That replica knows the session and has allowed the check before. A time begins when the revocation, or the check
//! that leaves the label, is sent: before it is committed, and so it is never too short. Prints one line of JSON.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chaperone_api::chaperone::v1::{ActionRequest, CheckRequest, Outcome, Presenter};
use chaperone_e2e::admin::{self, Admin};
use chaperone_e2e::chaperone::ADMIN_TOKEN;
use chaperone_e2e::direct::Direct;
use chaperone_e2e::{client, frame, load, wait};
use serde_json::{Map, Value};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A replica that is told, and another one that is asked.
struct Replicas {
    admin: Admin,
    near: Direct,
    far: Direct,
}

/// What one revocation or label took.
struct Took {
    /// From its sending to the first denial of the other replica.
    denied: Duration,
    /// From its sending to its own answer.
    answered: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    load::fail_fast();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [admin, data, far, count] = arguments.as_slice() else { panic!("usage: revocations ADMIN DATA FAR COUNT") };
    let address = |text: &String| text.parse::<SocketAddr>().expect("an address such as 127.0.0.1:7401");
    let count: usize = count.parse().expect("a number of revocations");
    let replicas = Replicas {
        admin: Admin::connect(address(admin), ADMIN_TOKEN).await,
        near: Direct::over(client::channel(address(data)).await),
        far: Direct::over(client::channel(address(far)).await),
    };
    let (mut revocations, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..count {
        // In turn: what else the machine does meets both alike.
        revocations.push(replicas.revocation().await);
        labels.push(replicas.label().await);
    }
    let mut report = Map::new();
    summarise("revocation", &revocations, &mut report);
    summarise("label", &labels, &mut report);
    println!("{}", Value::Object(report));
}

impl Replicas {
    async fn revocation(&self) -> Took {
        let opened = self.known_session().await;
        let act = async || self.admin.revoke(&opened.session.id).await;
        self.time(&opened.handle, "session_revoked", act).await
    }

    async fn label(&self) -> Took {
        let opened = self.known_session().await;
        let act = async || {
            let write = question(&opened.handle, "write");
            let decision = self.near.check(write).await.unwrap_or_else(|status| panic!("no decision: {status:?}"));
            assert_eq!(decision.outcome(), Outcome::Allow, "{decision:?}");
        };
        self.time(&opened.handle, "forbidden", act).await
    }

    /// A session that the far replica has in memory.
    async fn known_session(&self) -> admin::Opened {
        let opened = self.admin.open(load::session()).await;
        wait::until("the far replica allows the check", async || {
            let decision = self.far.check(question(&opened.handle, "read")).await.ok()?;
            (decision.outcome() == Outcome::Allow).then_some(())
        })
        .await;
        opened
    }

    /// Acts, and meanwhile asks the far replica until it denies with this code.
    async fn time(&self, handle: &str, code: &str, act: impl AsyncFnOnce()) -> Took {
        let (far, read) = (self.far.clone(), question(handle, "read"));
        let watch = tokio::spawn(async move {
            loop {
                let decision = far.check(read.clone()).await.unwrap_or_else(|status| panic!("no decision: {status:?}"));
                if decision.outcome() != Outcome::Allow {
                    return (Instant::now(), decision.code);
                }
            }
        });
        // The first look is under way before anything is sent.
        tokio::task::yield_now().await;
        let sent = Instant::now();
        act().await;
        let answered = sent.elapsed();
        let (denied, found) = watch.await.expect("it watches to the end");
        assert_eq!(found, code, "what it is denied for");
        Took { denied: denied.saturating_duration_since(sent), answered }
    }
}

fn question(handle: &str, action: &str) -> CheckRequest {
    let resource = Some(admin::entity("Document", "42"));
    let attributes = [("format".to_owned(), admin::member("csv"))].into();
    CheckRequest {
        session_handle: handle.to_owned(),
        presenter: Some(Presenter { spiffe_id: frame::CALLER.to_owned(), ..Default::default() }),
        action: Some(ActionRequest { action: action.to_owned(), resource, attributes }),
        ..Default::default()
    }
}

/// Percentiles in milliseconds.
fn summarise(kind: &str, all: &[Took], report: &mut Map<String, Value>) {
    let denied: Vec<Duration> = all.iter().map(|took| took.denied).collect();
    let answered = all.iter().map(|took| took.answered).collect();
    for (part, mut times) in [("", denied), ("answer_", answered)] {
        times.sort_unstable();
        for percent in [50, 99] {
            let time = load::percentile(&times, percent).unwrap_or_default();
            report.insert(format!("{kind}_{part}p{percent}_ms"), (time.as_secs_f64() * 1e3).into());
        }
    }
}
