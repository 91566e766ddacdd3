//! Everything together: replicas over one Postgres, Envoy before them, upstreams behind it, a bundle that decides.

use chaperone_api::chaperone::v1::SessionServiceOpenRequest;

use crate::admin::{self, Admin, Opened};
use crate::binaries::EnvoyVersion;
use crate::bundles::Bundle;
use crate::chaperone::{self, Chaperone};
use crate::client::{Request, Response};
use crate::envoy::{BodyOptions, Envoy, EnvoyOptions};
use crate::pki::Pki;
use crate::postgres::{Database, Postgres};
use crate::upstream::Upstream;
use crate::wait;

/// A whole installation.
pub struct World {
    /// The replicas, ready.
    pub replicas: Vec<Chaperone>,
    /// Envoy, before all of them.
    pub envoy: Envoy,
    /// The HTTP upstream.
    pub upstream: Upstream,
    /// The gRPC upstream.
    pub grpc_upstream: Upstream,
    /// The TCP upstream.
    pub tcp_upstream: Upstream,
    /// The admin plane of the first replica.
    pub admin: Admin,
    /// The authority of Envoy's certificates.
    pub pki: Pki,
    /// The database. Dropped last: the replicas go before it.
    pub database: Database,
}

/// What a test wants its world to be like.
pub struct WorldBuilder {
    replicas: usize,
    bundle: Bundle,
    options: Vec<String>,
    own_postgres: bool,
    version: EnvoyVersion,
    joined_headers: bool,
    body: BodyOptions,
    before: Option<(String, Vec<String>)>,
    check_timeout: Option<String>,
    failure_mode_allow: bool,
}

impl World {
    /// One replica, the documents bundle, the shared Postgres.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A world to be described.
    pub fn builder() -> WorldBuilder {
        WorldBuilder {
            replicas: 1,
            bundle: Bundle::documents(),
            options: Vec::new(),
            own_postgres: false,
            version: EnvoyVersion::default(),
            joined_headers: false,
            body: BodyOptions::default(),
            before: None,
            check_timeout: None,
            failure_mode_allow: false,
        }
    }

    /// Opens a session of `Agent::"reader"`.
    pub async fn session(&self) -> Opened {
        self.admin.open(admin::agent("reader")).await
    }

    /// Opens a session.
    pub async fn open(&self, request: SessionServiceOpenRequest) -> Opened {
        self.admin.open(request).await
    }

    /// Sends a request through Envoy in plain text.
    pub async fn send(&self, request: Request) -> Response {
        request.send(self.envoy.http).await
    }

    /// Sends a request through Envoy as the client with this SPIFFE ID.
    pub async fn send_as(&self, spiffe_id: &str, request: Request) -> Response {
        let config = self.pki.client_config(Some(&self.pki.client(spiffe_id)));
        request.tls(config).send(self.envoy.https).await
    }

    /// Waits until a request is answered with this status and code.
    pub async fn until_answered(&self, what: &str, request: Request, status: u16, code: &str) -> Response {
        wait::until(what, async || {
            let response = self.send(request.clone()).await;
            (response.status == status && response.code() == code).then_some(response)
        })
        .await
    }
}

impl WorldBuilder {
    /// So many replicas.
    #[must_use]
    pub fn replicas(mut self, count: usize) -> Self {
        self.replicas = count;
        self
    }

    /// Another bundle.
    #[must_use]
    pub fn bundle(mut self, bundle: Bundle) -> Self {
        self.bundle = bundle;
        self
    }

    /// Further options of `chaperone serve`.
    #[must_use]
    pub fn serve(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|&option| option.to_owned()));
        self
    }

    /// A Postgres that no other test uses, so that this one can stop it.
    #[must_use]
    pub fn own_postgres(mut self) -> Self {
        self.own_postgres = true;
        self
    }

    /// Another Envoy.
    #[must_use]
    pub fn envoy(mut self, version: EnvoyVersion) -> Self {
        self.version = version;
        self
    }

    /// Headers as a joined map and the body as text.
    #[must_use]
    pub fn joined_headers(mut self) -> Self {
        self.joined_headers = true;
        self
    }

    /// Another view of bodies.
    #[must_use]
    pub fn body(mut self, body: BodyOptions) -> Self {
        self.body = body;
        self
    }

    /// HTTP filters before the check, as YAML at the left margin, and the namespaces of their metadata that the check sees.
    #[must_use]
    pub fn before_check(mut self, filters: &str, namespaces: &[&str]) -> Self {
        self.before = Some((filters.to_owned(), namespaces.iter().map(|&namespace| namespace.to_owned()).collect()));
        self
    }

    /// Another time limit for a check.
    #[must_use]
    pub fn check_timeout(mut self, timeout: &str) -> Self {
        self.check_timeout = Some(timeout.to_owned());
        self
    }

    /// An Envoy that takes a failed check for an allow.
    #[must_use]
    pub fn failure_mode_allow(mut self) -> Self {
        self.failure_mode_allow = true;
        self
    }

    /// Starts it all.
    pub async fn start(self) -> World {
        let server = if self.own_postgres { Postgres::start() } else { Postgres::shared() };
        let database = Database::create_on(&server);
        chaperone::migrate(&database.url());
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let mut replicas: Vec<Chaperone> =
            (0..self.replicas).map(|_| Chaperone::spawn(&database.url(), &options)).collect();
        for replica in &mut replicas {
            replica.alive().await;
        }
        let admin = replicas[0].administer().await;
        admin.push(&self.bundle).await;
        for replica in &mut replicas {
            replica.ready().await;
        }
        let (upstream, grpc_upstream, tcp_upstream) =
            (Upstream::http().await, Upstream::grpc().await, Upstream::tcp().await);
        let pki = Pki::new();
        let addresses = replicas.iter().map(|replica| replica.data).collect();
        let mut envoy_options =
            EnvoyOptions::new(addresses, upstream.address, grpc_upstream.address, tcp_upstream.address);
        envoy_options.version = self.version;
        envoy_options.joined_headers = self.joined_headers;
        envoy_options.body = self.body;
        envoy_options.before = self.before;
        envoy_options.check_timeout = self.check_timeout;
        envoy_options.failure_mode_allow = self.failure_mode_allow;
        let envoy = Envoy::start(&envoy_options, &pki).await;
        World { replicas, envoy, upstream, grpc_upstream, tcp_upstream, admin, pki, database }
    }
}
