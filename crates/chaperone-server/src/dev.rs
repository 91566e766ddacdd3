//! `chaperone dev`: a server in memory with a sample bundle and an open session, to try things out.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use chaperone_policy::{BundleSource, EntityRef, Task};
use tokio::sync::broadcast::error::RecvError;

use crate::admin::AdminError;
use crate::admin::bundles::Consent;
use crate::admin::sessions::NewSession;
use crate::admin_auth::Caller;
use crate::cli::dev::DevOptions;
use crate::cli::dev_output::{DecisionLine, DevAction, DevInfo, DevSession, LineOutcome, decision_line, welcome};
use crate::cli::output;
use crate::config::ServeConfig;
use crate::recorder::{DecisionEvent, DecisionEvents};
use crate::wiring::Server;

/// Who acts from here, in records.
const BY: &str = "dev";
/// How long the sample session lasts.
const SESSION_LIFETIME: Duration = Duration::from_hours(8);

/// The sample bundle: `deploy/sample-bundle`, as it was when this was built.
const SAMPLE: [(&str, &str); 6] = [
    ("bundle.toml", include_str!("../../../deploy/sample-bundle/bundle.toml")),
    ("schema.cedarschema", include_str!("../../../deploy/sample-bundle/schema.cedarschema")),
    ("policies/documents.cedar", include_str!("../../../deploy/sample-bundle/policies/documents.cedar")),
    ("entities.json", include_str!("../../../deploy/sample-bundle/entities.json")),
    ("mapping.toml", include_str!("../../../deploy/sample-bundle/mapping.toml")),
    ("tests/documents.yaml", include_str!("../../../deploy/sample-bundle/tests/documents.yaml")),
];

/// Serves until a signal says to stop.
///
/// # Errors
/// When it cannot start, or the bundle is not valid.
pub async fn dev(options: DevOptions) -> anyhow::Result<()> {
    let server = Server::start(config(&options)?).await?;
    server.wait_until_loaded().await;
    let (source, name) = match &options.bundle {
        Some(dir) => (crate::cli::read_bundle(dir)?, dir.display().to_string()),
        None => (sample(), "sample bundle".to_owned()),
    };
    let policies = activate(&server, source).await?;
    let session = match options.bundle {
        Some(_) => None,
        None => Some(open_session(&server).await?),
    };
    let url = |address: std::net::SocketAddr| format!("http://{address}");
    let info = DevInfo {
        program: std::env::args().next().unwrap_or_else(|| "chaperone".to_owned()),
        data_url: url(server.addresses.data),
        admin_url: url(server.addresses.admin),
        http_url: url(server.addresses.http),
        envoy_url: options.envoy,
        session_header: "x-chaperone-session".to_owned(),
        bundle: format!("{name} ({policies} policies)"),
        session,
    };
    output::print(&welcome(&info)).context("standard output")?;
    let decisions = server.decisions();
    let lines = tokio::spawn(print_decisions(decisions, options.quiet));
    let outcome = server.run().await;
    lines.abort();
    outcome
}

/// The sample bundle.
pub fn sample() -> BundleSource {
    let files = SAMPLE.map(|(path, content)| (path.to_owned(), content.to_owned()));
    BundleSource { files: BTreeMap::from(files) }
}

fn config(options: &DevOptions) -> anyhow::Result<ServeConfig> {
    let listen = [
        format!("--data-listen={}", options.data_listen),
        format!("--admin-listen={}", options.admin_listen),
        format!("--http-listen={}", options.http_listen),
    ];
    let fixed = ["chaperone", "--store-url=embedded::memory:", "--log-filter=error"];
    Ok(ServeConfig::load(fixed.map(str::to_owned).into_iter().chain(listen))?)
}

async fn activate(server: &Server, source: BundleSource) -> anyhow::Result<u32> {
    let by = Caller::within(BY);
    let (info, _) = server.bundles.upload(source, "for trying out".into(), "", &by).await.map_err(explain)?;
    server.bundles.activate(info.number, None, String::new(), Consent::default(), &by).await?;
    Ok(info.policy_count)
}

fn explain(error: AdminError) -> anyhow::Error {
    match error {
        AdminError::Problems(problems) => {
            let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("the bundle is not valid\n{}", texts.join("\n"))
        }
        other => other.into(),
    }
}

async fn open_session(server: &Server) -> anyhow::Result<DevSession> {
    let new = NewSession {
        principal: Some(EntityRef::new("Agent", "report-bot")),
        owner: Some("ann@example.org".into()),
        task: Task { id: "weekly-report".into(), purpose: "the weekly report".into() },
        lifetime: Some(SESSION_LIFETIME),
        ..NewSession::default()
    };
    let (view, handle) = server.sessions.open(new, BY).await?;
    let action = |action: &str, resource: &str, attributes: &[&str]| DevAction {
        action: action.to_owned(),
        resource: resource.to_owned(),
        attributes: attributes.iter().map(|&attribute| attribute.to_owned()).collect(),
    };
    Ok(DevSession {
        id: view.session.id.to_string(),
        handle: handle.reveal(),
        principal: view.session.principal.to_string(),
        owner: view.session.owner,
        allowed: action("read", "Document::\"welcome\"", &[]),
        denied: action("export", "Document::\"welcome\"", &["format=csv", "rows:long=50000"]),
        envoy_path: "/documents/welcome".into(),
    })
}

async fn print_decisions(mut decisions: DecisionEvents, quiet: bool) {
    loop {
        match decisions.recv().await {
            // What cannot be printed was decided all the same.
            Ok(event) if !quiet => drop(output::print(&line(&event))),
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => drop(output::print(&format!("({missed} more decisions)\n"))),
            Err(RecvError::Closed) => return,
        }
    }
}

fn line(event: &DecisionEvent) -> String {
    let outcome = match event.outcome {
        chaperone_policy::Outcome::Allow => LineOutcome::Allow,
        chaperone_policy::Outcome::Deny => LineOutcome::Deny,
        chaperone_policy::Outcome::Challenge => LineOutcome::Challenge,
    };
    let session_id = event.session.map(|id| id.to_string()).unwrap_or_default();
    decision_line(&DecisionLine {
        time: event.at,
        outcome,
        code: event.code,
        principal: &event.principal,
        action: &event.action,
        resource: &event.resource,
        session_id: &session_id,
        policies: &event.policies,
        latency: event.elapsed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_bundle_is_valid() {
        if let Err(problems) = chaperone_policy::Bundle::compile(&sample()) {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
    }
}
