//! `chaperone dev`: its options.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone dev
  chaperone dev --bundle ./bundle   # your policies; reload with `chaperone bundle push ./bundle --activate`

Everything is kept in memory and gone when it ends. It listens on loopback only, without TLS and without a token.";

/// Options of `dev`.
#[derive(Clone, Debug, Args)]
pub struct DevOptions {
    /// Folder of a bundle to start with, instead of the sample
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// Where the data plane listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7401", value_parser = loopback)]
    pub data_listen: SocketAddr,
    /// Where the admin plane listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7402", value_parser = loopback)]
    pub admin_listen: SocketAddr,
    /// Where health and metrics are served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7403", value_parser = loopback)]
    pub http_listen: SocketAddr,
    /// Where your Envoy listens, if one asks this server, for the commands that are suggested
    #[arg(long, value_name = "URL")]
    pub envoy: Option<String>,
    /// Do not print a line for every decision
    #[arg(long, short)]
    pub quiet: bool,
}

/// Nothing here authenticates, so nothing here may be reached from elsewhere.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "write ADDRESS:PORT, such as 127.0.0.1:7401")?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("`dev` has no authentication and listens on loopback only; use `chaperone serve` to be reachable"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_listens_on_loopback_only() {
        assert!(loopback("127.0.0.1:0").is_ok() && loopback("[::1]:7401").is_ok());
        assert!(loopback("0.0.0.0:7401").is_err() && loopback("[::]:7401").is_err() && loopback("7401").is_err());
    }
}
