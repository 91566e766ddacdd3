//! What must never be written down: session handles and the store's password.

use std::collections::HashMap;

use chaperone_api::chaperone::v1::value::Kind;
use chaperone_api::chaperone::v1::{ReportOutcome, ReportRequest, Value};
use chaperone_e2e::admin::Opened;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::cli;
use chaperone_e2e::client::Request;
use chaperone_e2e::direct::{Direct, read};
use chaperone_e2e::postgres::{Database, Postgres};
use chaperone_e2e::wait;
use chaperone_e2e::world::World;

use crate::leaks::written_below;

const PASSWORD: &str = "geheim-hunter2";

fn logs(replica: &mut Chaperone) -> String {
    format!("{}{}", replica.process().stdout(), replica.process().stderr())
}

#[tokio::test(flavor = "multi_thread")]
async fn handle_is_in_no_log_and_not_in_the_store() {
    let mut world = World::builder().replicas(2).serve(&["--log-filter", "trace"]).start().await;
    let opened = world.session().await;
    let secret = &opened.handle["chp_".len()..];
    let read = Request::get("/documents/42");
    let truncated = &opened.handle[..opened.handle.len() - 1];
    let bearer = format!("Bearer {}", opened.handle);
    for (request, status) in [
        (read.clone().session(&opened.handle), 200),
        (read.clone().header("authorization", &bearer), 200),
        (read.clone().session(truncated), 401),
        (read.clone().session(&opened.handle).session(&opened.handle), 400),
        (Request::get("/%zz").session(&opened.handle), 400),
        (Request::get("/documents/42/export?format=mail").session(&opened.handle), 403),
    ] {
        assert_eq!(world.send(request).await.status, status);
    }
    let direct = Direct::to(&world.replicas[1]).await;
    assert_eq!(direct.read(&opened.handle).await, "permitted");
    assert_eq!(direct.read_strictly(truncated).await, "session_unknown");
    world.admin.revoke(&opened.session.id).await;
    wait::until("it is revoked", async || (direct.read(&opened.handle).await == "session_revoked").then_some(())).await;
    for replica in &mut world.replicas {
        let logs = logs(replica);
        assert!(logs.contains("TRACE"), "the filter let everything through");
        // Enough of it to be told from chance, whatever else is around it.
        for part in [&secret[..12], &secret[secret.len() - 13..secret.len() - 1]] {
            let line = logs.lines().find(|line| line.contains(part));
            assert!(line.is_none(), "the handle is in the log: {}", line.unwrap_or_default());
        }
    }
    let stored = world.database.sql("SELECT sessions::text FROM sessions");
    assert!(stored.contains(&opened.session.id) && !stored.contains(&secret[..12]), "{stored}");
    for replica in &mut world.replicas {
        assert!(replica.terminate().await.success());
    }
    let shipped = world.database.sql("SELECT record FROM trail_records");
    assert!(shipped.contains(&opened.session.id) && !shipped.contains(&secret[..12]), "{shipped}");
    for replica in &world.replicas {
        let journal = written_below(replica.journal());
        assert!(!String::from_utf8_lossy(&journal).contains(&secret[..12]), "the handle is in the journal");
    }
}

/// A route that fills an attribute from a header, one from the query, and what no route matches.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_requests_are_on_record_only_in_the_form_that_the_mapping_names() {
    const SCHEMA: &str = "
        entity Agent; entity Document;
        action read appliesTo { principal: [Agent], resource: [Document],
            context: { request: { key?: String, email?: String, note?: String, team?: String } } };";
    const POLICIES: &str = "
        @id(\"all\") permit (principal, action == Action::\"read\", resource);
        @id(\"seen\") @observe @remember(\"mails = context.request.email\") permit (principal, action == Action::\"read\", resource)
        when { context.request has email };
        @id(\"later\") @observe @remember(\"notes = context.request.note on executed, codes = result.code on executed\")
        permit (principal, action == Action::\"read\", resource) when { context.request has note };
        @id(\"reads\") forbid (principal, action == Action::\"read\", resource) when {
            (context.request has key && context.request.key == \"no\") ||
            (context.request has note && context.request.note == \"no\") ||
            (context.request has team && context.request.team == \"no\") };";
    const MAPPING: &str = "
        [trail]
        hashed = [\"email\"]
        dropped = [\"note\"]
        [results.read]
        code = \"String\"
        [[route]]
        name = \"read\"
        path = \"/documents/{id}\"
        action = \"read\"
        resource = { type = \"Document\", id = \"{path.id}\" }
        [route.attributes]
        key = { from = \"{header.x-key}\", optional = true }
        email = { from = \"{query.email}\", optional = true }
        note = { from = \"{query.note}\", optional = true }
        team = { from = \"{query.team}\", optional = true }";
    let files = [
        ("schema.cedarschema", SCHEMA),
        ("policies/documents.cedar", POLICIES),
        ("policies/traffic.cedar", ""),
        ("mapping.toml", MAPPING),
        ("entities.json", "[]"),
    ];
    let bundle = files.iter().fold(Bundle::documents(), |bundle, (path, text)| bundle.with(path, *text));
    let mut world = World::builder().bundle(bundle).serve(&["--log-filter", "trace"]).start().await;
    let opened = world.session().await;
    let target = "/documents/42?email=s3cret-mail&note=s3cret-note&team=team-7&other=s3cret-other";
    let request = Request::get(target).session(&opened.handle).header("x-key", "s3cret-key");
    let request = request.header("x-other", "s3cret-header").body("s3cret-body");
    assert_eq!(world.send(request).await.status, 200);
    report_a_secret(&world, &opened).await;
    let replica = &mut world.replicas[0];
    assert!(replica.terminate().await.success());
    let (logs, journal) = (logs(replica), written_below(replica.journal()));
    let journal = String::from_utf8_lossy(&journal).into_owned();
    let shipped = world.database.sql("SELECT record FROM trail_records WHERE kind = 'decision'");
    assert!(shipped.contains("team-7") && shipped.contains("hmac-sha256:"), "{shipped}");
    assert!(shipped.contains("mails = \\\"hmac-sha256:"), "what is remembered of it is hashed too: {shipped}");
    let acts = world.database.sql("SELECT record FROM trail_records WHERE kind = 'act'");
    for kept in ["notes = \\\"(dropped)\\\" on executed", "codes = result.code on executed"] {
        assert!(shipped.contains(kept), "{kept}: {shipped}");
    }
    for kept in ["outcome.reported", "notes = \\\"(dropped)\\\"", "codes = \\\"(dropped)\\\""] {
        assert!(acts.contains(kept), "{kept}: {acts}");
    }
    for (place, text) in [("acts", &acts), ("log", &logs), ("journal", &journal), ("table", &shipped)] {
        let found = text.find("s3cret").map(|at| text.get(at..at + 40).unwrap_or_default());
        assert_eq!(found, None, "in the {place}");
    }
}

/// Asks directly for what leaves a redacted attribute to wait, and reports it with a fact that nobody is to read.
async fn report_a_secret(world: &World, opened: &Opened) {
    let secret = |text: &str| Value { kind: Some(Kind::String(text.to_owned())) };
    let caller = Direct::to(&world.replicas[0]).await;
    let mut check = read("42", &opened.handle);
    let action = check.action.as_mut().expect("an action");
    action.attributes.insert("note".to_owned(), secret("s3cret-note"));
    let decision = caller.check(check).await.expect("a decision");
    let report = ReportRequest {
        decision_id: decision.decision_id,
        session_id: decision.session_id,
        outcome: ReportOutcome::Executed.into(),
        facts: HashMap::from([("code".to_owned(), secret("s3cret-code"))]),
    };
    caller.client().report(report).await.expect("it is taken");
}

/// A URL whose password the server of the tests does not ask for.
fn with_password(url: &str) -> String {
    url.replace("postgres://chaperone@", &format!("postgres://chaperone:{PASSWORD}@"))
}

fn assert_hidden(output: &str) {
    assert!(!output.contains(PASSWORD), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn password_of_the_store_is_never_shown() {
    let server = Postgres::start();
    let database = Database::create_on(&server);
    let url = with_password(&database.url());
    for arguments in [
        vec!["config", "check", "--store-url", &url],
        vec!["migrate", "--store-url", &url, "--log-filter", "trace"],
        // Nobody is there; and a URL that is none.
        vec!["migrate", "--store-url", &with_password("postgres://chaperone@127.0.0.1:1/x"), "--log-filter", "trace"],
        vec!["config", "check", "--store-url", &with_password("postgres://chaperone@:bad port/x")],
        vec!["serve", "--store-url", &with_password("postgres://chaperone@[::1/x")],
    ] {
        let finished = cli::run(&arguments);
        assert_hidden(&format!("{finished:?}"));
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), &url).expect("the file is written");
    let path = file.path().to_str().expect("a path in UTF-8");
    let from_file = cli::run(&["config", "check", "--store-url-file", path]);
    assert_eq!(from_file.code, 0, "{from_file:?}");
    assert_hidden(&format!("{from_file:?}"));
    let mut replica = Chaperone::start(&url, &["--log-filter", "trace"]).await;
    replica.administer().await.push(&Bundle::documents()).await;
    replica.ready().await;
    // What the store's loss makes it log counts too.
    server.kill();
    wait::until("it tells that the store is gone", async || {
        logs(&mut replica).contains("the change feed cannot be read").then_some(())
    })
    .await;
    replica.terminate().await;
    assert_hidden(&logs(&mut replica));
}

#[test]
fn configuration_is_checked_by_exit_code() {
    let store = ["--store-url", "embedded::memory:"];
    let check = |arguments: &[&str]| cli::run(&[&["config", "check"], &store[..], arguments].concat());
    let fit = check(&[]);
    assert_eq!(fit.code, 0, "{fit:?}");
    assert!(fit.stdout.contains("can be served with"), "{fit:?}");
    let unfit = check(&["--admin-listen", "0.0.0.0:7402", "--sessions-max-lifetime", "90d"]);
    assert_eq!(unfit.code, 1, "{unfit:?}");
    for option in ["--admin-listen", "--sessions-max-lifetime"] {
        assert!(unfit.stdout.contains(&format!("problem: {option}")), "{unfit:?}");
    }
    for unreadable in [&["--no-such-option"][..], &["--data-listen", "nowhere"], &["--config", "/no/such/file"]] {
        assert_eq!(check(unreadable).code, 2, "{unreadable:?}");
    }
    let shipped = chaperone_e2e::binaries::repository().join("deploy/chaperone.toml");
    let shipped = shipped.to_str().expect("a path in UTF-8");
    let loaded = cli::run(&["config", "check", "--config", shipped]);
    assert!(matches!(loaded.code, 0 | 1), "{loaded:?}");
    let serve = chaperone::command().args(["serve", "--admin-listen", "0.0.0.0:7402"]).args(store).output();
    let serve = serve.expect("chaperone runs");
    assert!(!serve.status.success(), "what cannot be served with is not served");
}
