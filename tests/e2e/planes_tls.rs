//! TLS on both planes of a real process: who gets in, and certificates and tokens that change while it runs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chaperone_api::chaperone::v1::SessionServiceListRequest;
use chaperone_e2e::admin;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::cli::{self, Finished};
use chaperone_e2e::client::connect_tls;
use chaperone_e2e::direct::Direct;
use chaperone_e2e::pki::{Identity, Pki};
use chaperone_e2e::{ports, wait};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity as TonicIdentity};

const OPERATOR: &str = "spiffe://example.org/operator";
const GATEWAY: &str = "spiffe://example.org/gateway";
const NEW_TOKEN: &str = "another-admin-token-9876543210";
const STRANGER: &str = "spiffe://example.org/stranger";

/// A replica with TLS on both planes, whose server certificate and token lie in files that a test can change.
struct Fortress {
    replica: Chaperone,
    pki: Pki,
    server: Identity,
    token: PathBuf,
    _directory: tempfile::TempDir,
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

impl Fortress {
    async fn start() -> Self {
        let (pki, directory) = (Pki::new(), tempfile::tempdir().expect("a temporary directory"));
        let server = Identity { certificate: directory.path().join("tls.crt"), key: directory.path().join("tls.key") };
        let token = directory.path().join("token");
        fs::write(&token, chaperone::ADMIN_TOKEN).expect("the token is written");
        install(&pki.server(), &server);
        let (certificate, key, ca) = (text(&server.certificate), text(&server.key), pki.ca_file());
        let mut command = chaperone::command();
        let [data, admin, http] = [ports::free(), ports::free(), ports::free()];
        command.args(["serve", "--store-url", "embedded::memory:", "--admin-token-file", text(&token)]);
        for (option, address) in [("--data-listen", data), ("--admin-listen", admin), ("--http-listen", http)] {
            command.args([option, &address.to_string()]);
        }
        for plane in ["data", "admin"] {
            command.args([&format!("--{plane}-tls-cert"), certificate, &format!("--{plane}-tls-key"), key]);
            command.args([&format!("--{plane}-tls-client-ca"), text(&ca)]);
        }
        command.args(["--data-allowed-clients", GATEWAY, "--admin-allowed-clients", OPERATOR]);
        let mut replica = Chaperone::spawn_command(&mut command, [data, admin, http]);
        replica.alive().await;
        Self { replica, pki, server, token, _directory: directory }
    }

    /// `session list` over TLS with what is shown.
    fn list(&self, identity: Option<&Identity>, token: Option<&Path>) -> Finished {
        let (url, ca) = (format!("https://{}", self.replica.admin), self.pki.ca_file());
        let mut arguments = vec!["session", "list", "--output", "json", "--admin", &url, "--ca", text(&ca)];
        if let Some(identity) = identity {
            arguments.extend(["--client-cert", text(&identity.certificate), "--client-key", text(&identity.key)]);
        }
        if let Some(token) = token {
            arguments.extend(["--token-file", text(token)]);
        }
        cli::run(&arguments)
    }

    async fn channel(&self, address: SocketAddr, client: Option<&str>) -> Result<Channel, tonic::transport::Error> {
        let read = |path: &Path| fs::read(path).expect("the file is there");
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.pki.ca_pem()));
        if let Some(spiffe_id) = client {
            let identity = self.pki.client(spiffe_id);
            tls = tls.identity(TonicIdentity::from_pem(read(&identity.certificate), read(&identity.key)));
        }
        let endpoint = Endpoint::from_shared(format!("https://localhost:{}", address.port())).expect("a URL");
        endpoint.tls_config(tls).expect("a configuration").connect().await
    }

    /// Whether a client without a certificate is let in with this token.
    async fn opens(&self, token: &str) -> bool {
        let channel = self.channel(self.replica.admin, None).await.expect("a connection");
        let mut sessions = admin::Admin::over(channel, token).sessions;
        match sessions.list(SessionServiceListRequest::default()).await {
            Ok(_) => true,
            Err(status) if status.code() == tonic::Code::Unauthenticated => false,
            Err(status) => panic!("neither let in nor refused: {status:?}"),
        }
    }

    /// The certificate that a new connection to the plane is shown.
    async fn shown(&self, address: SocketAddr, spiffe_id: &str) -> Option<Vec<u8>> {
        let config = self.pki.client_config(Some(&self.pki.client(spiffe_id)));
        let stream = connect_tls(address, config).await.ok()?;
        let (_, session) = stream.get_ref();
        session.peer_certificates().and_then(|chain| chain.first()).map(|certificate| certificate.to_vec())
    }
}

/// Puts a certificate and its key where the server looks for them.
fn install(from: &Identity, to: &Identity) {
    fs::copy(&from.certificate, &to.certificate).expect("the certificate is written");
    fs::copy(&from.key, &to.key).expect("the key is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_plane_lets_in_whom_it_knows_and_nobody_else() {
    let mut fortress = Fortress::start().await;
    let [operator, gateway] = [OPERATOR, GATEWAY].map(|id| fortress.pki.client(id));
    let elsewhere = Pki::new();
    let forged = elsewhere.client(OPERATOR);
    for (what, finished, code) in [
        ("a listed certificate", fortress.list(Some(&operator), None), 0),
        ("the token", fortress.list(None, Some(&fortress.token)), 0),
        ("nothing", fortress.list(None, None), 2),
        ("a certificate that is not listed", fortress.list(Some(&gateway), None), 2),
        ("a listed name from another authority", fortress.list(Some(&forged), None), 2),
    ] {
        assert_eq!(finished.code, code, "{what}: {finished:?}");
    }
    let plain = format!("http://{}", fortress.replica.admin);
    let plain = cli::run(&["session", "list", "--admin", &plain, "--token-file", text(&fortress.token)]);
    assert_eq!(plain.code, 2, "no plain text where TLS is on: {plain:?}");

    let admin_channel = fortress.channel(fortress.replica.admin, Some(OPERATOR)).await.expect("a connection");
    let administer = admin::Admin::over(admin_channel, chaperone::ADMIN_TOKEN);
    administer.push(&Bundle::documents()).await;
    fortress.replica.ready().await;
    let opened = administer.open(admin::agent("reader")).await;
    let data = fortress.replica.data;
    let direct = Direct::over(fortress.channel(data, Some(GATEWAY)).await.expect("a connection"));
    assert_eq!(direct.read(&opened.handle).await, "permitted");
    // In TLS 1.3 the client may learn of the refusal with its first call only.
    if let Ok(channel) = fortress.channel(data, Some(STRANGER)).await {
        let check = chaperone_e2e::direct::read("42", &opened.handle);
        Direct::over(channel).check(check).await.expect_err("a stranger is not answered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_certificate_and_token_are_taken_over_without_a_restart() {
    let fortress = Fortress::start().await;
    let planes = [(fortress.replica.data, GATEWAY), (fortress.replica.admin, OPERATOR)];
    let open = fortress.channel(fortress.replica.admin, Some(OPERATOR)).await.expect("a connection");
    let before = fortress.shown(fortress.replica.data, GATEWAY).await.expect("a certificate");
    // Both at once, so that one look at the files finds both.
    install(&fortress.pki.server(), &fortress.server);
    fs::write(&fortress.token, NEW_TOKEN).expect("the token is written");
    let mut after = Vec::new();
    for (address, client) in planes {
        let taken_over = wait::until("new connections get the new certificate", async || {
            fortress.shown(address, client).await.filter(|shown| *shown != before)
        })
        .await;
        after.push(taken_over);
    }
    assert_eq!(after[0], after[1]);
    wait::until("the new token opens", async || fortress.opens(NEW_TOKEN).await.then_some(())).await;
    assert!(!fortress.opens(chaperone::ADMIN_TOKEN).await, "the old one opens nothing");
    // Who was connected stays so.
    admin::Admin::over(open, NEW_TOKEN).push(&Bundle::documents()).await;
    // A certificate that cannot be used changes nothing; a token that is gone opens nothing.
    fs::write(&fortress.server.certificate, "no certificate").expect("the file is written");
    fs::remove_file(&fortress.token).expect("the token is removed");
    wait::until("the token is withdrawn", async || (!fortress.opens(NEW_TOKEN).await).then_some(())).await;
    for (address, client) in planes {
        assert_eq!(fortress.shown(address, client).await.as_ref(), after.first());
    }
}
