//! Who may bring and activate bundles: signatures, two people, and consent to what allows more. On both stores.

use std::path::Path;

use chaperone_api::chaperone::v1::analysis::{Conclusion, Uncovered};
use chaperone_api::chaperone::v1::analysis_finding::Verdict;
use chaperone_api::chaperone::v1::policy_service_client::PolicyServiceClient;
use chaperone_api::chaperone::v1::{Analysis, PolicyServiceDiffRequest};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::cli::{self, Finished};
use chaperone_e2e::pki::{Identity, Pki};
use chaperone_e2e::ports;
use chaperone_e2e::postgres::{Database, Postgres};
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity as TonicIdentity};

const ANN: &str = "spiffe://example.org/ann";
const BEN: &str = "spiffe://example.org/ben";

/// A replica that asks for something of those who administer, and their certificates.
struct Office {
    replica: Chaperone,
    pki: Pki,
    directory: TempDir,
    _database: Option<Database>,
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

impl Office {
    /// On PostgreSQL where there is a database, else embedded.
    async fn open(database: Option<Database>, options: &[&str]) -> Self {
        let (pki, directory) = (Pki::new(), tempfile::tempdir().expect("a temporary directory"));
        let store = database.as_ref().map_or_else(|| "embedded::memory:".to_owned(), Database::url);
        if database.is_some() {
            chaperone::migrate(&store);
        }
        let (server, ca) = (pki.server(), pki.ca_file());
        let [data, admin, http] = [ports::free(), ports::free(), ports::free()];
        let mut command = chaperone::command();
        command.args(["serve", "--store-url", &store, "--admin-token-file", &chaperone::admin_token_file()]);
        for (option, address) in [("--data-listen", data), ("--admin-listen", admin), ("--http-listen", http)] {
            command.args([option, &address.to_string()]);
        }
        command.args(["--admin-tls-cert", text(&server.certificate), "--admin-tls-key", text(&server.key)]);
        command.args(["--admin-tls-client-ca", text(&ca), "--admin-allowed-clients", &format!("{ANN},{BEN}")]);
        command.args(options);
        let mut replica = Chaperone::spawn_command(&mut command, [data, admin, http]);
        replica.alive().await;
        Self { replica, pki, directory, _database: database }
    }

    /// Runs a command by a certificate, or by the token.
    fn run(&self, who: Option<&str>, arguments: &[&str]) -> Finished {
        let (url, ca, token) =
            (format!("https://{}", self.replica.admin), self.pki.ca_file(), chaperone::admin_token_file());
        let identity: Option<Identity> = who.map(|who| self.pki.client(who));
        let credentials = match &identity {
            Some(identity) => vec!["--client-cert", text(&identity.certificate), "--client-key", text(&identity.key)],
            None => vec!["--token-file", token.as_str()],
        };
        cli::run(&[arguments, &["--admin", &url, "--ca", text(&ca)], &credentials].concat())
    }

    /// A bundle's folder, different from others by its name.
    fn folder(&self, name: &str) -> String {
        let folder = self.directory.path().join(name);
        for file in Bundle::documents().with("bundle.toml", format!("name = \"{name}\"\n")).files() {
            let path = folder.join(&file.path);
            std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
            std::fs::write(path, file.content).expect("the file is written");
        }
        text(&folder).to_owned()
    }

    /// Pushes a bundle, and returns its number.
    fn push(&self, who: Option<&str>, name: &str) -> String {
        let pushed = self.run(who, &["bundle", "push", &self.folder(name), "--output", "json"]);
        assert_eq!(pushed.code, 0, "{pushed:?}");
        let told: Value = serde_json::from_str(&pushed.stdout).expect("JSON");
        told["number"].to_string()
    }

    /// A client of the service that has them.
    async fn policies(&self) -> PolicyServiceClient<Channel> {
        let identity = self.pki.client(ANN);
        let pem = |path: &Path| std::fs::read(path).expect("the file is there");
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(pem(&self.pki.ca_file())))
            .identity(TonicIdentity::from_pem(pem(&identity.certificate), pem(&identity.key)));
        let endpoint = Channel::from_shared(format!("https://{}", self.replica.admin)).expect("a URL");
        let channel = endpoint.tls_config(tls).expect("it is TLS").connect().await.expect("it listens");
        PolicyServiceClient::new(channel)
    }

    fn active(&self) -> Option<u64> {
        let shown = self.run(None, &["bundle", "rollout", "--output", "json"]);
        let told: Value = serde_json::from_str(&shown.stdout).unwrap_or_else(|error| panic!("{error}: {shown:?}"));
        told["active_number"].as_u64()
    }
}

#[track_caller]
fn assert_refused(finished: &Finished, code: &str) {
    assert!(finished.code == 2 && finished.stderr.contains(&format!("error[{code}]")), "{code}: {finished:?}");
}

async fn uploader_never_activates(database: Option<Database>) {
    let office = Office::open(database, &["--bundles-two-people", "true"]).await;
    let one = office.push(Some(ANN), "one");
    assert_refused(&office.run(Some(ANN), &["bundle", "activate", &one]), "two_people_required");
    assert_refused(&office.run(None, &["bundle", "activate", &one]), "two_people_required");
    assert_eq!(office.active(), None);
    let activated = office.run(Some(BEN), &["bundle", "activate", &one]);
    assert_eq!(activated.code, 0, "{activated:?}");
    // At once, and by going back, it is the same.
    let folder = office.folder("two");
    assert_refused(&office.run(Some(BEN), &["bundle", "push", &folder, "--activate"]), "two_people_required");
    assert_eq!(office.active(), Some(1));
    let activated = office.run(Some(ANN), &["bundle", "push", &folder, "--activate"]);
    assert_eq!(activated.code, 0, "it is Ben's, and was stored: {activated:?}");
    assert_eq!(office.active(), Some(2));
    assert_refused(&office.run(Some(ANN), &["bundle", "rollback"]), "two_people_required");
    let back = office.run(Some(BEN), &["bundle", "rollback"]);
    assert_eq!(back.code, 0, "{back:?}");
    // Whoever has the token may be the one who activates.
    let shared = office.push(None, "three");
    let refused = office.run(Some(BEN), &["bundle", "activate", &shared]);
    assert_refused(&refused, "two_people_required");
    assert!(refused.stderr.contains("`token`"), "{refused:?}");
    assert_eq!(office.active(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploader_never_activates_on_the_embedded_store() {
    uploader_never_activates(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploader_never_activates_on_postgres() {
    uploader_never_activates(Some(Database::create_on(&Postgres::shared()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_known_signer_signed_is_taken() {
    let keys = tempfile::tempdir().expect("a temporary directory");
    let key = |name: &str| text(&keys.path().join(name)).to_owned();
    let made = cli::run(&["bundle", "keygen", &key("ann.pem")]);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(cli::run(&["bundle", "keygen", &key("ann.pem")]).code, 2, "no key is overwritten");
    assert_eq!(cli::run(&["bundle", "keygen", &key("stranger.pem")]).code, 0);
    std::fs::write(key("signers"), format!("# who signs\n{} ann\n", made.stdout.trim())).expect("it is written");
    let office = Office::open(None, &["--bundles-signers-file", &key("signers")]).await;
    let folder = office.folder("signed");
    let push = || office.run(None, &["bundle", "push", &folder]);
    assert_refused(&push(), "bundle_unsigned");
    let sign = |name: &str| {
        let signed = cli::run(&["bundle", "sign", &folder, "--key", &key(name)]);
        assert_eq!(signed.code, 0, "{signed:?}");
    };
    sign("stranger.pem");
    assert_refused(&push(), "bundle_signer_unknown");
    sign("ann.pem");
    let manifest = Path::new(&folder).join("bundle.toml");
    let before = std::fs::read_to_string(&manifest).expect("the file is there");
    std::fs::write(&manifest, format!("{before}# changed\n")).expect("the file is written");
    assert_refused(&push(), "bundle_signature_invalid");
    std::fs::write(&manifest, before).expect("the file is written");
    let pushed = push();
    assert_eq!(pushed.code, 0, "{pushed:?}");
    let acts = office.run(None, &["trail", "query", "--output", "json"]);
    assert!(acts.stdout.contains("signed by") && acts.stdout.contains(" ann"), "{acts:?}");
}

fn write(folder: &str, path: &str, change: impl Fn(String) -> String) {
    let path = Path::new(folder).join(path);
    let text = std::fs::read_to_string(&path).expect("the file is there");
    std::fs::write(path, change(text)).expect("the file is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_that_can_allow_more_needs_consent() {
    let office = Office::open(None, &["--bundles-expansion-consent", "true"]).await;
    let push = |folder: &str, more: &[&str]| {
        office.run(None, &[&["bundle", "push", folder, "--activate", "--wait", "0s"], more].concat())
    };
    let first = office.folder("first");
    let activated = push(&first, &[]);
    assert_eq!(activated.code, 0, "nothing was active before: {activated:?}");
    let tighter = office.folder("tighter");
    let closing = "\n@id(\"closed\") forbid (principal, action, resource);\n";
    write(&tighter, "policies/documents.cedar", |text| text + closing);
    let activated = push(&tighter, &[]);
    assert_eq!(activated.code, 0, "it allows nothing: {activated:?}");

    // Back to what allowed something, by each way.
    assert_refused(&office.run(None, &["bundle", "activate", "1"]), "privilege_expansion");
    assert_refused(&office.run(None, &["bundle", "rollback"]), "privilege_expansion");
    assert_refused(&push(&first, &[]), "privilege_expansion");
    let canary =
        |more: &[&str]| office.run(None, &[&["bundle", "canary", "start", "1", "--share", "5%"], more].concat());
    assert_refused(&canary(&[]), "privilege_expansion");
    assert_eq!(office.active(), Some(2));
    let started = canary(&["--allow-expansion"]);
    assert_eq!(started.code, 0, "{started:?}");
    assert_refused(&office.run(None, &["bundle", "canary", "promote"]), "privilege_expansion");
    let diff = office.run(None, &["bundle", "diff", "2", "1", "--analyze"]);
    assert!(diff.code == 1 && diff.stdout.contains("PRIVILEGE EXPANSION"), "{diff:?}");
    assert!(diff.stdout.contains("principal Agent::"), "there is an example: {diff:?}");
    let back = office.run(None, &["bundle", "activate", "1", "--allow-expansion", "--wait", "0s"]);
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(office.active(), Some(1));
    let acts = office.run(None, &["trail", "query", "--output", "json"]);
    assert_eq!(acts.stdout.matches("expansion allowed").count(), 2, "{acts:?}");
}

/// Asks a server where its bundles differ, and what the second one can allow.
async fn analyzed(office: &Office, from_number: u64, to_number: u64) -> Analysis {
    let mut policies = office.policies().await;
    let request = PolicyServiceDiffRequest { from_number, to_number, analyze: true };
    let response = policies.diff(request).await.expect("they are compared").into_inner();
    assert!(!response.differences.is_empty(), "{response:?}");
    response.analysis.expect("it was asked for")
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_marks_privilege_expansion_with_an_example_and_what_is_undecided() {
    let office = Office::open(None, &[]).await;
    office.push(None, "open");
    let closed = office.folder("closed");
    let closing = "\n@id(\"closed\") forbid (principal, action, resource);\n";
    write(&closed, "policies/documents.cedar", |text| text + closing);
    let remapped = office.folder("remapped");
    write(&remapped, "mapping.toml", |text| text.replace("docs.example.com", "papers.example.com"));
    for folder in [&closed, &remapped] {
        let pushed = office.run(None, &["bundle", "push", folder]);
        assert_eq!(pushed.code, 0, "{pushed:?}");
    }
    let wider = analyzed(&office, 2, 1).await;
    assert_eq!(wider.conclusion(), Conclusion::Wider, "{wider:?}");
    let more = wider.findings.iter().find(|finding| finding.verdict() == Verdict::More).expect("more is allowed");
    let example = more.example.as_ref().expect("it is shown");
    assert_eq!(example.action, more.action);
    assert!(example.principal.starts_with(&format!("{}::", more.principal_type)), "{example:?}");
    assert!(serde_json::from_str::<Value>(&example.context).expect("JSON").is_object(), "{example:?}");
    let tighter = analyzed(&office, 1, 2).await;
    assert_eq!(tighter.conclusion(), Conclusion::NoWider, "{tighter:?}");
    assert!(!tighter.findings.is_empty() && tighter.findings.iter().all(|found| found.verdict() == Verdict::NoMore));
    let undecided = analyzed(&office, 1, 3).await;
    assert_eq!(undecided.conclusion(), Conclusion::Unknown, "{undecided:?}");
    assert_eq!(undecided.uncovered().collect::<Vec<_>>(), [Uncovered::Mapping]);
    // The command shows what the server found, and has nothing to say of a solver of its own.
    let diff = office.run(None, &["bundle", "diff", "2", "1", "--analyze"]);
    assert!(diff.code == 1 && diff.stdout.contains("PRIVILEGE EXPANSION"), "{diff:?}");
    assert!(diff.stdout.contains("principal Agent::") && diff.stderr.is_empty(), "{diff:?}");
    let diff = office.run(None, &["bundle", "diff", "1", "2", "--analyze", "--output", "json"]);
    let told: Value = serde_json::from_str(&diff.stdout).expect("JSON");
    assert_eq!((diff.code, &told["analysis"]["no_wider"]), (0, &Value::Bool(true)), "{diff:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_server_has_no_solver_the_command_asks_its_own() {
    let office = Office::open(None, &["--analysis-solver", "/nowhere/cvc5"]).await;
    office.push(None, "one");
    office.push(None, "two");
    let none = analyzed(&office, 1, 2).await;
    assert_eq!(none.conclusion(), Conclusion::Unavailable, "{none:?}");
    assert!(none.problem.contains("there is no solver") && none.findings.is_empty(), "{none:?}");
    let diff = office.run(None, &["bundle", "diff", "1", "2", "--analyze"]);
    assert!(diff.code == 0 && diff.stdout.contains("proven"), "{diff:?}");
    assert!(diff.stderr.contains("the server has no analysis (there is no solver"), "{diff:?}");
    let neither = office.run(None, &["bundle", "diff", "1", "2", "--analyze", "--analysis-solver", "/nowhere/cvc5"]);
    assert!(neither.code == 2 && neither.stderr.contains("not available"), "{neither:?}");
}

#[test]
fn analysis_says_what_it_proved_and_where_there_is_no_solver() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let folder = |name: &str| text(&directory.path().join(name)).to_owned();
    let [open, closed] = ["open", "closed"].map(|name| {
        let made = cli::run(&["bundle", "init", &folder(name)]);
        assert_eq!(made.code, 0, "{made:?}");
        folder(name)
    });
    let policies = Path::new(&closed).join("policies");
    let closing = "@id(\"closed\") forbid (principal, action, resource);\n";
    std::fs::write(policies.join("closed.cedar"), closing).expect("the file is written");
    let proven = cli::run(&["bundle", "diff", &open, &closed, "--analyze", "--output", "json"]);
    let told: Value = serde_json::from_str(&proven.stdout).expect("JSON");
    assert_eq!((proven.code, &told["analysis"]["no_wider"]), (0, &Value::Bool(true)), "{proven:?}");
    let opened = cli::run(&["bundle", "diff", &closed, &open, "--analyze", "--output", "json"]);
    let told: Value = serde_json::from_str(&opened.stdout).expect("JSON");
    assert_eq!((opened.code, &told["analysis"]["wider"]), (1, &Value::Bool(true)), "{opened:?}");
    let without = cli::run(&["bundle", "diff", &closed, &open, "--analyze", "--analysis-solver", "/nowhere/cvc5"]);
    assert!(without.code == 2 && without.stderr.contains("not available"), "{without:?}");
    assert!(without.stderr.contains("bundle replay"), "{without:?}");
    let store = ["--store-url", "embedded::memory:", "--bundles-expansion-consent", "true"];
    let refused = cli::run(&[&["serve"], &store[..], &["--analysis-solver", "/nowhere/cvc5"]].concat());
    assert!(refused.code != 0 && refused.stderr.contains("needs a solver"), "{refused:?}");
}
