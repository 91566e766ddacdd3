//! Requests to the Kubernetes API, and reviews by its API server, against what each would do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails should")]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chaperone_decode::kubernetes::{ApiRequest, FACTS, Options, RESOURCES, decode, review};
use chaperone_decode::{Class, Classes, Decoder, Fact, FactType, Operation, Undecodable};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use serde::Deserialize;
use smol_str::SmolStr;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requests {
    request: Vec<RequestCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reviews {
    review: Vec<ReviewCase>,
}

#[derive(Deserialize)]
struct RequestCase {
    ask: String,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Deserialize)]
struct ReviewCase {
    spec: Option<String>,
    body: Option<String>,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    is: Option<String>,
    denied: Option<String>,
    #[serde(default)]
    facts: BTreeMap<String, Expectation>,
    #[serde(default, rename = "true")]
    holding: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expectation {
    Text(String),
    Texts(BTreeSet<String>),
}

static CLASSES: LazyLock<Classes> = LazyLock::new(|| Classes::built_in().unwrap());

fn options() -> Options {
    Options { cluster: "prod".into() }
}

fn requests() -> Vec<RequestCase> {
    toml::from_str::<Requests>(include_str!("kubernetes/requests.toml")).unwrap().request
}

fn reviews() -> Vec<ReviewCase> {
    toml::from_str::<Reviews>(include_str!("kubernetes/reviews.toml")).unwrap().review
}

/// What a line such as `WS GET /api/v1/pods?watch=1` would do.
fn ask(line: &str, classes: &Classes) -> Result<Vec<Operation>, Undecodable> {
    let (upgrade, line) = line.strip_prefix("WS ").map_or((false, line), |line| (true, line));
    let (method, target) = line.split_once(" /").unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let segments: Vec<String> = path.split('/').map(decoded).collect();
    let query: Vec<(Cow<'_, str>, Cow<'_, str>)> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .map(|(name, value)| (decoded(name).into(), decoded(&value.replace('+', " ")).into()))
        .collect();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    decode(&ApiRequest { method, path: &path, query: &query, upgrade }, &options(), classes)
}

fn review_of(spec: &str) -> String {
    format!(
        r#"{{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{spec},"status":{{"allowed":true}}}}"#
    )
}

impl Expected {
    /// What is not as expected.
    fn difference(&self, got: &Result<Vec<Operation>, Undecodable>) -> Option<String> {
        let operation = match got {
            Ok(operations) if operations.len() == 1 => operations.first()?,
            Ok(operations) => return Some(format!("{} operations", operations.len())),
            Err(error) => return (self.denied.as_deref() != Some(&error.message)).then(|| format!("denied: {error}")),
        };
        let is = format!("{} {} {}", operation.action, operation.resource.kind, operation.resource.id);
        if self.is.as_deref() != Some(&is) {
            return Some(is);
        }
        let holding: BTreeSet<String> = operation
            .facts
            .iter()
            .filter(|(_, fact)| **fact == Fact::Bool(true))
            .map(|(name, _)| (*name).to_owned())
            .collect();
        if self.holding != holding {
            return Some(format!("true: {holding:?}"));
        }
        let wrong = self.facts.iter().find(|(name, expected)| match (expected, operation.facts.get(name.as_str())) {
            (Expectation::Text(expected), Some(Fact::Text(text))) => text != expected,
            (Expectation::Texts(expected), Some(Fact::Texts(texts))) => {
                !texts.iter().map(SmolStr::as_str).eq(expected.iter().map(String::as_str))
            }
            _ => true,
        });
        wrong.map(|(name, _)| format!("fact {name}: {:?}", operation.facts.get(name.as_str())))
    }
}

fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn requests_do_what_the_table_says() {
    let classes = Classes::built_in().unwrap();
    let cases = requests();
    assert!(cases.len() >= 120, "{}", cases.len());
    let differences: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.ask, case.expected.difference(&ask(&case.ask, &classes))?)))
        .collect();
    assert_none(&differences);
}

#[test]
fn reviews_ask_what_the_table_says() {
    let classes = Classes::built_in().unwrap();
    let cases = reviews();
    assert!(cases.len() >= 20, "{}", cases.len());
    let differences: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let body = case.body.clone().unwrap_or_else(|| review_of(case.spec.as_deref().unwrap_or_default()));
            let got = review(body.as_bytes(), &options(), &classes);
            Some(format!("{body}: {}", case.expected.difference(&got)?))
        })
        .collect();
    assert_none(&differences);
}

/// A gateway before the API server and a webhook behind it decide the same.
#[test]
fn a_request_and_the_review_of_it_are_one_operation() {
    let classes = Classes::built_in().unwrap();
    for case in requests() {
        let Ok(operations) = ask(&case.ask, &classes) else { continue };
        let operation = operations.first().unwrap();
        if operation.action == "connect" {
            // That a connection is upgraded is not in a review.
            continue;
        }
        let text = |name: &str| match operation.facts.get(name) {
            Some(Fact::Text(text)) => text.to_string(),
            _ => String::new(),
        };
        let names = ["verb", "group", "version", "resource", "subresource", "namespace", "name"];
        let attributes: BTreeMap<&str, String> = names.iter().map(|name| (*name, text(name))).collect();
        let spec = if operation.resource.kind == "Path" {
            serde_json::json!({ "nonResourceAttributes": { "path": text("path"), "verb": text("verb") }, "user": "jane" })
        } else {
            serde_json::json!({ "resourceAttributes": attributes, "user": "jane" })
        };
        let reviewed = review(review_of(&spec.to_string()).as_bytes(), &options(), &classes).unwrap();
        let reviewed = reviewed.first().unwrap();
        assert_eq!((&reviewed.action, &reviewed.resource), (&operation.action, &operation.resource), "{}", case.ask);
        assert_eq!(reviewed.facts.get("all_namespaces"), operation.facts.get("all_namespaces"), "{}", case.ask);
    }
}

/// No key of the table is misspelt: each is the action of what it names.
#[test]
fn every_key_of_the_table_is_the_action_of_something() {
    let classes = Classes::built_in().unwrap();
    for (key, _) in classes.actions(Decoder::Kubernetes) {
        let spec = match key.split_once(' ') {
            Some((verb, "*")) if matches!(verb, "post" | "put") => path_spec(verb, "/*"),
            Some((verb, path)) if path.starts_with('/') => path_spec(verb, &path.replace('*', "x")),
            Some((verb, object)) => {
                let (resource, subresource) = object.split_once('/').unwrap_or((object, ""));
                let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
                object_spec(verb, group, resource, subresource)
            }
            None => object_spec(key, "example.com", "widgets", ""),
        };
        let operations = review(review_of(&spec).as_bytes(), &options(), &classes).unwrap();
        assert_eq!(operations.first().unwrap().action, *key);
    }
}

fn path_spec(verb: &str, path: &str) -> String {
    format!(r#"{{"nonResourceAttributes":{{"verb":"{verb}","path":"{path}"}},"user":"jane"}}"#)
}

fn object_spec(verb: &str, group: &str, resource: &str, subresource: &str) -> String {
    format!(
        r#"{{"resourceAttributes":{{"verb":"{verb}","group":"{group}","resource":"{resource}","subresource":"{subresource}"}},"user":"jane"}}"#
    )
}

#[test]
fn whoever_may_read_and_write_data_reads_no_secret() {
    let classes = Classes::built_in().unwrap();
    for verb in ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "*", "made-up"] {
        for (group, resource) in [("", "secrets"), ("", "*"), ("*", "secrets"), ("*", "*")] {
            let body = review_of(&object_spec(verb, group, resource, ""));
            let operations = review(body.as_bytes(), &options(), &classes).unwrap();
            let action = &operations.first().unwrap().action;
            let classes = classes.get(Decoder::Kubernetes, action).unwrap();
            let is_new = verb == "create" && resource == "secrets" && group.is_empty();
            assert!(!classes.contains(Class::DataRead), "{verb} {resource}.{group}: {action}");
            assert!(!classes.contains(Class::DataWrite) || is_new, "{verb} {resource}.{group}: {action}");
        }
    }
}

#[test]
fn whatever_runs_programs_is_privileged() {
    let classes = Classes::built_in().unwrap();
    for line in [
        "WS GET /api/v1/namespaces/a/pods/p/exec?command=id",
        "POST /api/v1/namespaces/a/pods/p/exec?command=id",
        "WS GET /api/v1/namespaces/a/pods/p/attach",
        "WS GET /api/v1/nodes/n/proxy/exec/a/p/c",
        "GET /api/v1/nodes/n/proxy/runningpods",
        "WS GET /apis/example.com/v1/namespaces/a/machines/m/console",
        "PATCH /api/v1/namespaces/a/pods/p/ephemeralcontainers",
        "POST /apis/batch/v1/namespaces/a/jobs",
    ] {
        let action = ask(line, &classes).unwrap().first().unwrap().action.clone();
        assert!(classes.get(Decoder::Kubernetes, &action).unwrap().contains(Class::Privileged), "{line}: {action}");
    }
}

#[test]
fn a_bundle_can_name_a_custom_resource() {
    let mut classes = Classes::built_in().unwrap();
    classes.add(Decoder::Kubernetes, [("get vaults.example.com".into(), vec![Class::SecretRead])]);
    let action = |line: &str| ask(line, &classes).unwrap().first().unwrap().action.clone();
    assert_eq!(action("GET /apis/example.com/v1/namespaces/a/vaults/v"), "get vaults.example.com");
    assert_eq!(action("GET /apis/example.com/v1/namespaces/a/vaults/v/status"), "get");
    assert_eq!(action("GET /apis/example.com/v1/namespaces/a/vaults"), "list");
}

#[test]
fn a_table_without_the_verb_denies() {
    assert!(ask("GET /api/v1/pods", &Classes::default()).is_err());
    assert!(ask("GET /healthz", &Classes::default()).is_err());
}

#[test]
fn what_is_too_long_is_denied() {
    let classes = Classes::built_in().unwrap();
    for line in [
        format!("GET /api/v1/namespaces/a/services/s/proxy{}", "/x".repeat(64)),
        format!("GET /api/v1/pods?{}", "a&".repeat(513)),
        format!("GET /api/v1/pods?a={}", "a".repeat(70_000)),
        format!("GET /api/v1/namespaces/a/pods/{}", "a".repeat(1025)),
    ] {
        assert!(ask(&line, &classes).is_err(), "{}", line.len());
    }
    let user = "a".repeat(256 * 1024);
    let body = review_of(&format!(r#"{{"resourceAttributes":{{"verb":"get","resource":"pods"}},"user":"{user}"}}"#));
    assert!(review(body.as_bytes(), &options(), &classes).is_err());
}

/// What nobody looks at is read as strictly as the rest.
#[test]
fn review_that_is_no_text_is_denied() {
    let classes = Classes::built_in().unwrap();
    let spec = r#"{"resourceAttributes":{"verb":"get","resource":"pods"},"user":"jane","extra":"~"}"#;
    let mut body = review_of(spec).into_bytes();
    assert!(review(&body, &options(), &classes).is_ok());
    let place = body.iter().position(|byte| *byte == b'~').unwrap();
    body[place] = 0xff;
    assert!(review(&body, &options(), &classes).is_err());
}

/// Whether it is as the decoder's declarations say.
fn check(operations: &[Operation], classes: &Classes) -> Result<(), TestCaseError> {
    for operation in operations {
        prop_assert!(classes.get(Decoder::Kubernetes, &operation.action).is_some());
        prop_assert!(RESOURCES.contains(&operation.resource.kind));
        prop_assert!(operation.resource.id.is_ascii() && !operation.resource.id.is_empty());
        for spec in FACTS {
            prop_assert!(!spec.required || operation.facts.contains_key(spec.name), "{}", spec.name);
        }
        for (name, fact) in &operation.facts {
            let spec = FACTS.iter().find(|spec| spec.name == *name).unwrap();
            let ty = match fact {
                Fact::Bool(_) => FactType::Bool,
                Fact::Long(_) => FactType::Long,
                Fact::Text(_) => FactType::Text,
                Fact::Texts(_) => FactType::Texts,
            };
            prop_assert_eq!(ty, spec.ty);
        }
    }
    Ok(())
}

fn segment() -> impl Strategy<Value = String> {
    let known = [
        "api",
        "apis",
        "v1",
        "apps",
        "namespaces",
        "a",
        "b",
        "pods",
        "secrets",
        "nodes",
        "services",
        "proxy",
        "watch",
        "exec",
        "log",
        "status",
        "finalize",
        "",
        "*",
        "-",
        "https:a:1",
    ];
    prop_oneof![8 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn parameter() -> impl Strategy<Value = (Cow<'static, str>, Cow<'static, str>)> {
    let names = ["watch", "fieldSelector", "labelSelector", "dryRun", "command", "container"];
    let values = ["", "true", "0", "All", "metadata.name=a", "a!=b,metadata.name==c", "=", ","];
    let name = prop_oneof![4 => prop::sample::select(names.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    let value = prop_oneof![4 => prop::sample::select(values.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    (name, value).prop_map(|(name, value)| (name.into(), value.into()))
}

fn attribute() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z*:./-]{0,8}", 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_request_is_decoded_or_denied(
        method in prop_oneof![Just("GET"), Just("HEAD"), Just("POST"), Just("PUT"), Just("PATCH"), Just("DELETE"), Just("TRACE")],
        prefix in prop_oneof![Just(&["api", "v1"][..]), Just(&["apis", "apps", "v1"][..]), Just(&[][..])],
        path in prop::collection::vec(segment(), 0..8),
        query in prop::collection::vec(parameter(), 0..4),
        upgrade: bool,
    ) {
        let path: Vec<&str> = prefix.iter().copied().chain(path.iter().map(String::as_str)).collect();
        let request = ApiRequest { method, path: &path, query: &query, upgrade };
        if let Ok(operations) = decode(&request, &options(), &CLASSES) {
            prop_assert_eq!(operations.len(), 1);
            check(&operations, &CLASSES)?;
        }
    }

    #[test]
    fn any_bytes_are_reviewed_or_denied(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(review(&body, &options(), &CLASSES).is_err());
    }

    #[test]
    fn any_attributes_are_reviewed_or_denied(
        verb in attribute(), group in attribute(), resource in attribute(), subresource in attribute(), namespace in attribute(),
        name in attribute(),
    ) {
        let attributes = serde_json::json!({
            "verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": namespace, "name": name,
        });
        let path = serde_json::json!({ "verb": verb, "path": name });
        for (key, value) in [("resourceAttributes", attributes), ("nonResourceAttributes", path)] {
            let body = review_of(&serde_json::json!({ key: value, "groups": ["a"] }).to_string());
            if let Ok(operations) = review(body.as_bytes(), &options(), &CLASSES) {
                check(&operations, &CLASSES)?;
            }
        }
    }
}
