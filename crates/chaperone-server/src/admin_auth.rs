//! Who may use the admin plane: the holder of a token, or a client whose certificate is on a list.

mod layer;
mod token;

use std::sync::Arc;

use http::{HeaderMap, header};

pub use layer::AdminAuthService;
pub use token::{TOKEN_CHARS_MIN, TokenFile, TokenFileError};

use crate::config::AdminConfig;
use crate::listener::PeerInfo;
use crate::tls::RELOAD_INTERVAL;

/// Who calls, as records name them. It is among the extensions of every request that was let in, health checks excepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// `token`, the client's SPIFFE ID or DNS name, or `local` where a loopback address asks for nothing.
    pub name: Arc<str>,
    /// Whether that is a name of its own: a certificate's. A token, or a loopback address, is anybody's who has it.
    pub is_named: bool,
}

/// The name of who shows the token.
const TOKEN: &str = "token";
/// The name of who comes from a loopback address that asks for nothing.
const LOCAL: &str = "local";

impl Caller {
    /// Who acts within this process.
    pub fn within(name: &str) -> Self {
        Self { name: name.into(), is_named: false }
    }

    /// Whether a name that was recorded is nobody's in particular.
    pub fn is_shared(name: &str) -> bool {
        matches!(name, "" | TOKEN | LOCAL)
    }
}

/// Why a caller is not let in. None of them says how near it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Neither a token nor a listed certificate was shown.
    #[error("the admin plane needs a bearer token or a listed client certificate")]
    Missing,
    /// What was shown is not valid.
    #[error("the admin token is not valid")]
    Invalid,
}

impl Refusal {
    /// Its stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "admin_credentials_missing",
            Self::Invalid => "admin_credentials_invalid",
        }
    }
}

/// The rules of one admin plane, and a tower layer that applies them. gRPC health is open to everybody.
#[derive(Clone, Debug)]
pub struct AdminAuth(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    token: Option<TokenFile>,
    clients: Vec<String>,
    /// Neither is configured: who reaches the loopback address may administer.
    is_open: bool,
}

impl AdminAuth {
    /// The rules of a configuration.
    ///
    /// # Errors
    /// When the token's file cannot be used.
    pub fn new(config: &AdminConfig) -> Result<Self, TokenFileError> {
        let token = config.token_file.as_deref().map(TokenFile::load).transpose()?;
        let clients = config.allowed_clients.clone();
        Ok(Self(Arc::new(Rules { is_open: !config.authenticates(), token, clients })))
    }

    /// Looks at the token's file now and then, for ever. Spawn it.
    pub async fn watch(self) {
        match &self.0.token {
            Some(token) => token.watch(RELOAD_INTERVAL).await,
            None => std::future::pending().await,
        }
    }

    /// Decides who calls.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn authenticate(&self, headers: &HeaderMap, peer: Option<&PeerInfo>) -> Result<Caller, Refusal> {
        let caller = |name: &str, is_named| Ok(Caller { name: name.into(), is_named });
        if self.0.is_open {
            let is_local = peer.is_some_and(|peer| peer.remote_addr.ip().to_canonical().is_loopback());
            return if is_local { caller(LOCAL, false) } else { Err(Refusal::Missing) };
        }
        // A token that is shown is judged by itself: a wrong one is not made good by a certificate.
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        if let (Some(token), Some(value)) = (&self.0.token, shown.next()) {
            let is_valid = shown.next().is_none() && bearer(value.as_bytes()).is_some_and(|text| token.is(text));
            return if is_valid { caller(TOKEN, false) } else { Err(Refusal::Invalid) };
        }
        let identity = peer.and_then(|peer| peer.identity.as_deref());
        match identity.and_then(|identity| identity.find_in(&self.0.clients)) {
            Some(name) => caller(name, true),
            None => Err(Refusal::Missing),
        }
    }
}

/// The credential of a `Bearer` authorization (RFC 6750 section 2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, credential) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(credential)
}

#[cfg(test)]
mod tests;
