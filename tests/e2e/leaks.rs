//! Secrets that callers bring along are nowhere: whatever is written, exported or shown is searched for them.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use chaperone_api::chaperone::v1::CheckRequest;
use chaperone_e2e::admin::{self, Admin, Opened};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::{self, ADMIN_TOKEN, Chaperone};
use chaperone_e2e::cli;
use chaperone_e2e::client::Request;
use chaperone_e2e::direct::{self, Direct};
use chaperone_e2e::otlp::{Otlp, hexadecimal};
use chaperone_e2e::postgres::Database;
use chaperone_e2e::process::Process;
use chaperone_e2e::wait;
use chaperone_e2e::webhook::Receiver;
use chaperone_e2e::world::World;
use tonic::Code;

/// A token for the upstream, which is no session's.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.cGxhbnRlZC10b2tlbg.c2lnbmF0dXJl";
/// A name and password.
const BASIC: &str = "YW5uOnBsYW50ZWQtcGFzc3dvcmQ";
const COOKIE: &str = "planted-cookie-5f0d6c1e";
/// What a policy reads, and what none does.
const IN_BODY: [&str; 2] = ["planted-in-body-8c21f7", "planted-beside-it-44d09b"];
/// What is no token of the admin plane, and of the data plane none.
const FOREIGN: &str = "planted-foreign-token-91be";
const METADATA: &str = "planted-metadata-token-d7a3";

const SCHEMA: &str = "
    entity Agent; entity Document;
    action read appliesTo { principal: [Agent], resource: [Document], context: { request: {} } };
    action submit appliesTo { principal: [Agent], resource: [Document], context: { request: { password: String } } };";
const POLICIES: &str = "
    @id(\"all\") permit (principal is Agent, action, resource is Document);
    @id(\"none\") forbid (principal, action == Action::\"submit\", resource) when { context.request.password == \"\" };
    @id(\"trap\") @alert(\"trap:critical\") forbid (principal, action == Action::\"read\", resource == Document::\"trap\");";
const MAPPING: &str = "
    [session]
    sources = [\"header:x-chaperone-session\", \"bearer\"]
    [[route]]
    name = \"read\"
    methods = [\"GET\"]
    path = \"/documents/{id}\"
    action = \"read\"
    resource = { type = \"Document\", id = \"{path.id}\" }
    [[route]]
    name = \"submit\"
    path = \"/documents/{id}\"
    action = \"submit\"
    resource = { type = \"Document\", id = \"{path.id}\" }
    attributes = { password = \"{body:/password}\" }";

/// What must be nowhere, in the forms that it may have taken on its way.
struct Secret {
    name: &'static str,
    forms: Vec<String>,
}

impl Secret {
    fn new(name: &'static str, text: &str) -> Self {
        // What the last bytes become depends on what follows them.
        let whole = &text[..text.len() / 3 * 3];
        Self { name, forms: vec![text.to_owned(), hexadecimal(text.as_bytes()), BASE64_STANDARD.encode(whole)] }
    }

    /// A session's, of which parts are as bad.
    fn handle(opened: &Opened) -> Self {
        let secret = &opened.handle["chp_".len()..];
        let bits = BASE64_URL_SAFE_NO_PAD.decode(secret).expect("a handle is random bits");
        let forms = vec![secret[..12].to_owned(), secret[secret.len() - 13..].to_owned(), hexadecimal(&bits)];
        Self { name: "handle", forms }
    }
}

/// Something that was written, exported or shown.
struct Place {
    name: String,
    content: Vec<u8>,
}

impl Place {
    fn new(name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), content: content.into() }
    }

    fn find(&self, text: &str) -> Option<usize> {
        self.content.windows(text.len()).position(|window| window == text.as_bytes())
    }

    /// Panics if it has a secret; and unless it has what shows that it is not just empty.
    fn assert_clean(&self, witness: &str, secrets: &[Secret]) {
        assert!(self.find(witness).is_some(), "{} tells nothing of {witness}", self.name);
        for Secret { name, forms } in secrets {
            for form in forms {
                let found = self.find(form).map(|at| self.around(at));
                assert_eq!(found, None, "the {name} is in {}, as `{form}`", self.name);
            }
        }
    }

    fn around(&self, at: usize) -> String {
        let end = self.content.len().min(at + 200);
        String::from_utf8_lossy(&self.content[at.saturating_sub(200)..end]).into_owned()
    }
}

/// All that is in the files of a directory, and of those in it.
pub fn written_below(directory: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    files
        .flat_map(|path| if path.is_dir() { written_below(&path) } else { std::fs::read(&path).expect("a file") })
        .collect()
}

/// Every row of every table.
fn rows(database: &Database) -> Vec<u8> {
    let tables = database.sql("SELECT format('%I', relname) FROM pg_stat_user_tables ORDER BY 1");
    let rows =
        tables.lines().map(|table| format!("{table}: {}\n", database.sql(&format!("SELECT t::text FROM {table} t"))));
    rows.collect::<String>().into_bytes()
}

/// Options by which a command finds the admin plane.
fn to_admin(replica: &Chaperone) -> [String; 4] {
    let address = format!("http://{}", replica.admin);
    ["--admin".to_owned(), address, "--token-file".to_owned(), chaperone::admin_token_file()]
}

fn shown(replica: &Chaperone, command: &str) -> Place {
    let admin = to_admin(replica);
    let arguments: Vec<&str> = command.split(' ').chain(admin.iter().map(String::as_str)).collect();
    let finished = cli::run(&arguments);
    assert_eq!(finished.code, 0, "{command}: {finished:?}");
    Place::new(format!("`chaperone {command}`"), finished.stdout + &finished.stderr)
}

/// Follows the trail until it is dropped.
fn tail(replica: &Chaperone) -> Process {
    let mut command = chaperone::command();
    Process::spawn("tail", command.args(["trail", "tail", "--output", "json"]).args(to_admin(replica)))
}

/// Brings every secret along, in requests that are allowed, denied, and not understood.
async fn bring_along(world: &World, handle: &str) {
    let get = |document: &str| Request::get(format!("/documents/{document}")).header("cookie", format!("sid={COOKIE}"));
    let post = |body: String| {
        Request::new("POST", "/documents/42").session(handle).header("content-type", "application/json").body(body)
    };
    let bearer = |token: &str| format!("Bearer {token}");
    let [read, unread] = IN_BODY;
    for (request, status) in [
        (get("42").session(handle).header("authorization", bearer(TOKEN)), 200),
        (get("42").session(handle).header("authorization", format!("Basic {BASIC}")), 200),
        (get("42").header("authorization", bearer(handle)), 200),
        (get("42").header("authorization", bearer(TOKEN)), 401),
        (get("42").session(handle).session(handle), 400),
        (get("trap").session(handle).header("authorization", bearer(TOKEN)), 403),
        (post(format!("{{\"password\":\"{read}\",\"other\":\"{unread}\"}}")), 200),
        (post(format!("{{\"password\":\"{read}\",\"other\":\"{unread}\"")), 400),
        (post(format!("{{\"password\":[\"{read}\"]}}")), 400),
    ] {
        let answer = world.send(request).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let stranger = Admin::connect(world.replicas[0].admin, FOREIGN).await;
    let refused = stranger.sessions.clone().open(admin::agent("reader")).await.expect_err("nobody knows this token");
    assert_eq!(refused.code(), Code::Unauthenticated);
}

/// Asks directly, with a token beside the question; the decision's id.
async fn ask(replica: &Chaperone, question: CheckRequest) -> String {
    let mut request = tonic::Request::new(question);
    let token = format!("Bearer {METADATA}").parse().expect("ASCII");
    request.metadata_mut().insert("authorization", token);
    let answer = Direct::to(replica).await.client().check(request).await.expect("a decision");
    answer.into_inner().decision.expect("a decision").decision_id
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_callers_bring_along_are_in_nothing_that_is_written_exported_or_shown() {
    let (otlp, receiver) = (Otlp::start().await, Receiver::start(&[]).await);
    let endpoint = format!("http://{}", otlp.address);
    let webhook = receiver.options();
    let webhook: Vec<&str> = webhook.iter().map(String::as_str).collect();
    let traced = ["--log-filter", "trace", "--telemetry-otlp-endpoint", &endpoint, "--telemetry-sample-ratio", "1"];
    let files = [("schema.cedarschema", SCHEMA), ("policies/documents.cedar", POLICIES), ("mapping.toml", MAPPING)];
    let files = files.into_iter().chain([("policies/traffic.cedar", ""), ("entities.json", "[]")]);
    let bundle = files.fold(Bundle::documents(), |bundle, (path, text)| bundle.with(path, text));
    let mut world = World::builder().bundle(bundle).serve(&traced).serve(&webhook).start().await;
    let opened = world.session().await;
    let tail = tail(&world.replicas[0]);
    wait::until("the trail is followed", async || {
        ask(&world.replicas[0], direct::read("42", &opened.handle)).await;
        (!tail.stdout().is_empty()).then_some(())
    })
    .await;
    bring_along(&world, &opened.handle).await;
    let last = ask(&world.replicas[0], direct::read("last", &opened.handle)).await;

    let secrets: Vec<Secret> = [
        ("bearer token", TOKEN),
        ("basic credentials", BASIC),
        ("cookie", COOKIE),
        ("secret in the body", IN_BODY[0]),
        ("other secret in the body", IN_BODY[1]),
        ("token that nobody knows", FOREIGN),
        ("token in metadata", METADATA),
        ("admin token", ADMIN_TOKEN),
    ]
    .into_iter()
    .map(|(name, text)| Secret::new(name, text))
    .chain([Secret::handle(&opened)])
    .collect();
    let session = &opened.session.id;
    wait::until("all of it is followed", async || tail.stdout().contains(&last).then_some(())).await;
    Place::new("`chaperone trail tail`", tail.stdout() + &tail.stderr()).assert_clean(&last, &secrets);
    for (command, witness) in [
        ("trail query --all", "undecodable"),
        ("trail query --all --output json", &last),
        ("trail export", &last),
        ("trail export --format ocsf", &last),
        ("trail export --format csv", &last),
        (&format!("trail export --session {session}"), session),
        (&format!("session timeline {session}"), "undecodable"),
        (&format!("session timeline {session} --output json"), session),
        (&format!("session show {session}"), session),
        (&format!("session show {session} --output json"), session),
        (&format!("trail show {last}"), &last),
    ] {
        shown(&world.replicas[0], command).assert_clean(witness, &secrets);
    }
    let metrics = world.replicas[0].metrics().await;
    Place::new("the metrics", metrics).assert_clean("chaperone_decisions_total", &secrets);
    otlp.span("the last span", |span| span.attributes.values().any(|value| *value == last)).await;
    Place::new("the spans", otlp.bytes()).assert_clean(&last, &secrets);
    let alert = receiver.received(1).await.remove(0).event.to_string();
    Place::new("the alert", alert).assert_clean(session, &secrets);

    let replica = &mut world.replicas[0];
    assert!(replica.terminate().await.success());
    let log = replica.process().stdout() + &replica.process().stderr();
    Place::new("the log", log).assert_clean("TRACE", &secrets);
    Place::new("the journal", written_below(replica.journal())).assert_clean(&last, &secrets);
    Place::new("the database", rows(&world.database)).assert_clean(&last, &secrets);
}

#[tokio::test(flavor = "multi_thread")]
async fn handle_and_tokens_are_in_no_file_of_a_server_with_the_embedded_store() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("embedded:{}", directory.path().join("chaperone.db").display());
    let journal = directory.path().join("journal");
    let options = ["--trail-dir", journal.to_str().expect("a path in UTF-8")];
    let mut replica = Chaperone::start(&url, &options).await;
    let opened = crate::trail::prepare(&mut replica).await;
    let decision = ask(&replica, direct::read("42", &opened.handle)).await;
    // As it lies there in the middle of its work.
    let (running, secrets) = (
        written_below(directory.path()),
        [Secret::handle(&opened), Secret::new("token in metadata", METADATA), Secret::new("admin token", ADMIN_TOKEN)],
    );
    assert!(replica.terminate().await.success());
    for (name, content) in [("the files meanwhile", running), ("the files", written_below(directory.path()))] {
        let place = Place::new(name, content);
        place.assert_clean(&opened.session.id, &secrets);
        place.assert_clean(&decision, &secrets);
    }
}
