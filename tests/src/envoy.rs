//! A real Envoy that runs the shipped configuration.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::binaries::{self, EnvoyVersion};
use crate::client::Request;
use crate::pki::Pki;
use crate::process::Process;
use crate::wait;

/// What a test's Envoy differs in from the shipped one.
#[derive(Clone, Debug)]
pub struct EnvoyOptions {
    /// The Chaperone replicas.
    pub chaperone: Vec<SocketAddr>,
    /// The HTTP upstream.
    pub upstream: SocketAddr,
    /// The gRPC upstream.
    pub grpc_upstream: SocketAddr,
    /// The TCP upstream.
    pub tcp_upstream: SocketAddr,
    /// The release.
    pub version: EnvoyVersion,
    /// Headers as a joined map and the body as text, instead of both as bytes.
    pub joined_headers: bool,
    /// What the check sees of a body.
    pub body: BodyOptions,
    /// HTTP filters before the check, as YAML at the left margin, and the namespaces of their metadata that the check sees.
    pub before: Option<(String, Vec<String>)>,
    /// Instead of the shipped 0.25s, in both filters.
    pub check_timeout: Option<String>,
    /// A failed check is an allow, in both filters: what nobody should configure, and some do.
    pub failure_mode_allow: bool,
}

/// What a check sees of a body; the shipped configuration, unless told otherwise.
#[derive(Clone, Copy, Debug)]
pub struct BodyOptions {
    /// `max_request_bytes`.
    pub bytes_max: u32,
    /// `allow_partial_message`.
    pub partial: bool,
    /// `pack_as_bytes`.
    pub as_bytes: bool,
    /// Whether the messages of gRPC calls are sent along.
    pub grpc: bool,
}

/// A running Envoy.
pub struct Envoy {
    /// The HTTP listener.
    pub http: SocketAddr,
    /// The HTTPS listener, which asks for a client certificate.
    pub https: SocketAddr,
    /// The TCP listener, which asks for a client certificate.
    pub tcp: SocketAddr,
    admin: SocketAddr,
    process: Process,
}

impl Default for BodyOptions {
    fn default() -> Self {
        Self { bytes_max: 65_536, partial: true, as_bytes: true, grpc: false }
    }
}

impl EnvoyOptions {
    /// The shipped Envoy, before these upstreams.
    pub fn new(
        chaperone: Vec<SocketAddr>,
        upstream: SocketAddr,
        grpc_upstream: SocketAddr,
        tcp_upstream: SocketAddr,
    ) -> Self {
        Self {
            chaperone,
            upstream,
            grpc_upstream,
            tcp_upstream,
            version: EnvoyVersion::default(),
            joined_headers: false,
            body: BodyOptions::default(),
            before: None,
            check_timeout: None,
            failure_mode_allow: false,
        }
    }

    /// The shipped configuration with this test's addresses and certificates. Every replacement must find its place, so that a change to the file
    /// cannot silently leave a test with something else than what ships.
    pub fn render(&self, pki: &Pki) -> String {
        let server = pki.server();
        let shipped =
            fs::read_to_string(binaries::repository().join("deploy/envoy.yaml")).expect("the shipped configuration");
        let replica = |address: String| format!("- endpoint: {{ address: {{ socket_address: {address} }} }}\n");
        let indentation = " ".repeat(14);
        let replicas: Vec<String> =
            self.chaperone.iter().map(|replica_address| replica(socket(*replica_address))).collect();
        let any_port = socket((Ipv4Addr::LOCALHOST, 0).into());
        let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let mut replacements = vec![
            ("{ address: 127.0.0.1, port_value: 9901 }".to_owned(), 1, any_port.clone()),
            ("{ address: 0.0.0.0, port_value: 8000 }".to_owned(), 1, any_port.clone()),
            ("{ address: 0.0.0.0, port_value: 8443 }".to_owned(), 1, any_port.clone()),
            ("{ address: 0.0.0.0, port_value: 8001 }".to_owned(), 1, any_port),
            (replica("{ address: chaperone, port_value: 7401 }".to_owned()), 1, replicas.join(&indentation)),
            ("{ address: upstream, port_value: 8080 }".to_owned(), 1, socket(self.upstream)),
            ("{ address: grpc-upstream, port_value: 50051 }".to_owned(), 1, socket(self.grpc_upstream)),
            ("{ address: tcp-upstream, port_value: 9000 }".to_owned(), 1, socket(self.tcp_upstream)),
            ("/etc/envoy/tls/server.crt".to_owned(), 1, path(&server.certificate)),
            ("/etc/envoy/tls/server.key".to_owned(), 1, path(&server.key)),
            ("/etc/envoy/tls/clients-ca.crt".to_owned(), 1, path(&pki.ca_file())),
        ];
        if self.version == EnvoyVersion::V1_36 {
            // It knows neither, and connects the upstream before the check.
            replacements.push(("upstream_connect_mode: ON_DOWNSTREAM_DATA\n".to_owned(), 1, "\n".to_owned()));
            replacements.push(("max_early_data_bytes: 65536\n".to_owned(), 1, "\n".to_owned()));
        }
        if self.joined_headers {
            replacements.push(("encode_raw_headers: true".to_owned(), 1, "encode_raw_headers: false".to_owned()));
        }
        let BodyOptions { bytes_max, partial, as_bytes, grpc } = self.body;
        let as_bytes = as_bytes && !self.joined_headers;
        replacements.extend([
            ("max_request_bytes: 65536".to_owned(), 1, format!("max_request_bytes: {bytes_max}")),
            ("allow_partial_message: true".to_owned(), 1, format!("allow_partial_message: {partial}")),
            ("pack_as_bytes: true".to_owned(), 1, format!("pack_as_bytes: {as_bytes}")),
        ]);
        if grpc {
            let (from, to) = ("disable_request_body_buffering: true", "disable_request_body_buffering: false");
            replacements.push((from.to_owned(), 1, to.to_owned()));
        }
        if let Some((filters, namespaces)) = &self.before {
            let filter = format!("{0}- name: envoy.filters.http.ext_authz\n", " ".repeat(18));
            let filters: String =
                filters.lines().flat_map(|line| [&" ".repeat(18), line, "\n"].map(ToOwned::to_owned)).collect();
            replacements.push((filter.clone(), 1, filters + &filter));
            let namespaces = format!("metadata_context_namespaces: [{}]\n", namespaces.join(", "));
            let place = "include_peer_certificate: true\n                      include_tls_session: true\n".to_owned();
            replacements.push((place.clone(), 1, format!("{namespaces}                      {place}")));
        }
        if let Some(timeout) = &self.check_timeout {
            replacements.push(("timeout: 0.25s".to_owned(), 2, format!("timeout: {timeout}")));
        }
        if self.failure_mode_allow {
            replacements.push(("failure_mode_allow: false".to_owned(), 2, "failure_mode_allow: true".to_owned()));
        }
        replacements.into_iter().fold(shipped, |text, (from, times, to)| {
            assert_eq!(text.matches(&from).count(), times, "`{from}` in deploy/envoy.yaml");
            text.replace(&from, &to)
        })
    }
}

impl Envoy {
    /// Starts it, and waits until it takes requests.
    pub async fn start(options: &EnvoyOptions, pki: &Pki) -> Self {
        let directory = tempfile::Builder::new().prefix("chaperone-envoy-").tempdir().expect("a temporary directory");
        let configuration = directory.path().join("envoy.yaml");
        let admin_file = directory.path().join("admin-address");
        fs::write(&configuration, options.render(pki)).expect("the configuration is written");
        let mut process = Process::spawn(
            "envoy",
            Command::new(binaries::envoy(options.version))
                .arg("--config-path")
                .arg(&configuration)
                .arg("--admin-address-path")
                .arg(&admin_file)
                // Tests wait for access log lines, which Envoy otherwise writes every ten seconds.
                .args(["--file-flush-interval-msec", "100"])
                // Many run side by side, each with one worker.
                .args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning", "--drain-time-s", "1"]),
        );
        let admin = wait::until("Envoy tells its admin address", async || {
            process.assert_running();
            fs::read_to_string(&admin_file).ok().and_then(|text| text.trim().parse().ok())
        })
        .await;
        wait::until("Envoy is ready", async || {
            process.assert_running();
            (Request::get("/ready").send(admin).await.status == 200).then_some(())
        })
        .await;
        let listeners = Request::get("/listeners?format=json").send(admin).await.json();
        let listener = |name: &str| listener_address(&listeners, name);
        Self { http: listener("http"), https: listener("https"), tcp: listener("tcp"), admin, process }
    }

    /// Its counters and gauges whose names contain `filter`.
    pub async fn stats(&self, filter: &str) -> BTreeMap<String, u64> {
        let response = Request::get(format!("/stats?filter={filter}")).send(self.admin).await;
        let text = response.text();
        let pairs = text.lines().filter_map(|line| line.split_once(": "));
        pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// The lines of its access log, waiting until there are `count`.
    pub async fn access_log(&self, count: usize) -> Vec<Value> {
        wait::until(format!("{count} access log lines"), async || {
            let stdout = self.process.stdout();
            let lines: Vec<Value> = stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }
}

fn socket(address: SocketAddr) -> String {
    format!("{{ address: {}, port_value: {} }}", address.ip(), address.port())
}

fn listener_address(listeners: &Value, name: &str) -> SocketAddr {
    let statuses = listeners["listener_statuses"].as_array().expect("Envoy lists its listeners");
    let status =
        statuses.iter().find(|status| status["name"] == name).unwrap_or_else(|| panic!("no listener `{name}`"));
    let address = &status["local_address"]["socket_address"];
    let port = address["port_value"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
