use super::*;
use crate::tls::testing::Pki;
use clap::Parser as _;

const STORE: &str = "--store-url=embedded:/var/lib/chaperone.db";

fn config(arguments: &[&str]) -> ServeConfig {
    ServeConfig::try_parse_from(["chaperone", STORE].iter().chain(arguments)).expect("it parses")
}

fn problems(arguments: &[&str]) -> Vec<&'static str> {
    config(arguments).validate().iter().map(|problem| problem.option).collect()
}

fn warnings(arguments: &[&str]) -> Vec<&'static str> {
    config(arguments).warnings().iter().map(|problem| problem.option).collect()
}

#[test]
fn defaults_are_fit_to_run_with() {
    assert_eq!(config(&[]).validate(), []);
    assert_eq!(warnings(&[]), ["admin-listen"]);
}

#[test]
fn sample_configuration_loads() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/chaperone.toml");
    let config = ServeConfig::load(["chaperone", "--config", path]).expect("it is fit to run with");
    assert_eq!(config.data.listen.port(), 7401);
}

#[test]
fn sample_configuration_names_every_option_with_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/chaperone.toml");
    let text = std::fs::read_to_string(path).expect("it is there");
    // Where `#` is followed by a letter it hides an option; without those signs the file sets everything.
    let hidden = |line: &&str| line.starts_with(|first: char| first.is_ascii_lowercase());
    let uncommented: Vec<_> = text.lines().map(|line| line.strip_prefix('#').filter(hidden).unwrap_or(line)).collect();
    let settings = super::super::file::FileSettings::parse(std::path::Path::new(path), &uncommented.join("\n"))
        .expect("every option is known and set once");
    for option in <ServeConfig as clap::CommandFactory>::command().get_arguments() {
        let id = option.get_id().as_str();
        let defaults: Vec<_> = option.get_default_values().iter().map(|text| text.to_string_lossy()).collect();
        if id == "config" {
            continue;
        }
        let values = settings.values(id).unwrap_or_else(|| panic!("`{id}` is missing"));
        assert!(defaults.is_empty() || values == defaults, "`{id}` is {values:?}, by default {defaults:?}");
    }
}

#[test]
fn store_must_be_named_once() {
    let nowhere = ServeConfig::try_parse_from(["chaperone"]).expect("it parses");
    assert_eq!(nowhere.validate()[0].option, "store-url");
    assert_eq!(problems(&["--store-url-file=/nowhere"]), ["store-url-file"]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    let from_file = |text: &str| {
        std::fs::write(file.path(), text).expect("it is written");
        let path = file.path().to_str().expect("UTF-8");
        ServeConfig::try_parse_from(["chaperone", "--store-url-file", path]).expect("it parses").store.url()
    };
    assert_eq!(from_file("postgres://me:secret@db/c\n").expect("it is good").reveal(), "postgres://me:secret@db/c");
    let error = from_file("mysql://me:secret@db").expect_err("it is refused").to_string();
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn admin_plane_beyond_loopback_needs_tls_and_authentication() {
    let pki = Pki::new();
    let token = pki.path("token");
    std::fs::write(&token, "0123456789abcdef").expect("it is written");
    let listen = "--admin-listen=0.0.0.0:7402";
    let cert = format!("--admin-tls-cert={}", pki.path("server.pem").display());
    let key = format!("--admin-tls-key={}", pki.path("server.key").display());
    let ca = format!("--admin-tls-client-ca={}", pki.path("ca.pem").display());
    let token = format!("--admin-token-file={}", token.display());
    let clients = "--admin-allowed-clients=spiffe://example.org/ops";

    assert_eq!(problems(&[listen]), ["admin-listen", "admin-listen"]);
    assert_eq!(problems(&[listen, &token]), ["admin-listen"]);
    assert_eq!(problems(&[listen, &cert, &key]), ["admin-listen"]);
    assert_eq!(problems(&[listen, &cert, &key, &ca]), ["admin-allowed-clients", "admin-listen"]);
    assert_eq!(problems(&[listen, &cert, &key, &token]), [""; 0]);
    assert_eq!(problems(&[listen, &cert, &key, &ca, clients]), [""; 0]);
    assert_eq!(problems(&["--admin-listen=[::]:7402"]), ["admin-listen", "admin-listen"]);
    assert_eq!(problems(&["--admin-listen=127.0.0.9:7402"]), [""; 0]);
}

#[test]
fn half_of_tls_is_refused() {
    let pki = Pki::new();
    let cert = format!("--data-tls-cert={}", pki.path("server.pem").display());
    let key = format!("--data-tls-key={}", pki.path("server.key").display());
    let ca = format!("--data-tls-client-ca={}", pki.path("ca.pem").display());
    let clients = "--data-allowed-clients=spiffe://example.org/proxy";
    assert_eq!(problems(&[&cert]), ["data-tls-key"]);
    assert_eq!(problems(&[&key]), ["data-tls-cert"]);
    assert_eq!(problems(&[&ca]), ["data-tls-client-ca"]);
    assert_eq!(problems(&[&cert, &key, clients]), ["data-allowed-clients"]);
    assert_eq!(problems(&[&cert, &key, &ca, clients]), [""; 0]);
    assert_eq!(
        problems(&[&cert, &key, &ca, "--data-allowed-clients=spiffe://Example.org/x"]),
        ["data-allowed-clients"]
    );
}

#[test]
fn files_must_hold_what_they_should() {
    let pki = Pki::new();
    std::fs::write(pki.path("server.pem"), "not a certificate").expect("it is written");
    std::fs::write(pki.path("token"), "short").expect("it is written");
    let cert = format!("--http-tls-cert={}", pki.path("server.pem").display());
    let key = format!("--http-tls-key={}", pki.path("server.key").display());
    let token = format!("--admin-token-file={}", pki.path("token").display());
    assert_eq!(problems(&[&cert, &key, &token]), ["admin-token-file", "http-tls-cert"]);
}

#[test]
fn contradictions_are_told_all_at_once() {
    let found = problems(&[
        "--feed-poll-interval=1s",
        "--http-listen=127.0.0.1:7401",
        "--sessions-default-lifetime=2d",
        "--telemetry-otlp-endpoint=https://collector:4317",
        "--log-filter=a=b=c",
        "--data-concurrency=0",
        "--replica-id=",
    ]);
    let expected = [
        "feed-max-staleness",
        "data-concurrency",
        "http-listen",
        "sessions-default-lifetime",
        "telemetry-otlp-endpoint",
        "log-filter",
        "replica-id",
    ];
    assert_eq!(found, expected);
}

#[test]
fn longest_session_is_thirty_days() {
    assert_eq!(problems(&["--sessions-max-lifetime=30d"]), [""; 0]);
    assert_eq!(problems(&["--sessions-max-lifetime=31d"]), ["sessions-max-lifetime"]);
}

#[test]
fn what_is_allowed_but_risky_is_warned_of() {
    assert!(warnings(&["--data-listen=0.0.0.0:7401"]).contains(&"data-listen"));
    assert_eq!(problems(&["--data-listen=0.0.0.0:7401"]), [""; 0]);
    assert!(warnings(&["--feed-stale-grace=1m"]).contains(&"feed-stale-grace"));
}

#[test]
fn webhook_needs_a_secret_and_a_way_that_nobody_reads() {
    use std::io::Write as _;
    let mut secret = tempfile::NamedTempFile::new().expect("a file");
    writeln!(secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("it is written");
    let secret = format!("--alert-webhook-secret-file={}", secret.path().display());
    let url = |url: &str| format!("--alert-webhook-url={url}");
    assert!(problems(&[&url("https://alerts.example.org/"), &secret]).is_empty());
    assert_eq!(problems(&[&url("https://alerts.example.org/")]), ["alert-webhook-secret-file"]);
    assert_eq!(problems(&[&secret]), ["alert-webhook-secret-file"]);
    assert_eq!(problems(&[&url("http://alerts.example.org/"), &secret]), ["alert-webhook-url"]);
    let plain = [&url("http://alerts.example.org/"), &secret, "--alert-webhook-allow-plaintext=true"];
    assert!(problems(&plain).is_empty());
    assert!(warnings(&plain).contains(&"alert-webhook-allow-plaintext"));
    let authorities = "--alert-webhook-ca-file=/nowhere";
    assert_eq!(problems(&[&url("https://alerts.example.org/"), &secret, authorities]), ["alert-webhook-ca-file"]);
}
