//! The stories of `examples/`, against a server on the embedded store.

use std::collections::HashMap;

use chaperone_api::chaperone::v1::value::Kind;
use chaperone_api::chaperone::v1::{
    ActionRequest, CheckRequest, Decision, ReportOutcome, ReportRequest, ReportStatus, Scope, ScopeGrant, ScopeGrants,
    Value, scope,
};
use chaperone_e2e::admin::{self, Admin, entity};
use chaperone_e2e::binaries;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::Chaperone;
use chaperone_e2e::direct::Direct;

/// A server that decides by one example.
struct Example {
    caller: Direct,
    admin: Admin,
    principal: &'static str,
    _server: Chaperone,
}

impl Example {
    async fn start(name: &str, principal: &'static str) -> Self {
        let mut server = Chaperone::spawn("embedded::memory:", &[]);
        server.alive().await;
        let admin = server.administer().await;
        admin.push(&Bundle::from_directory(&binaries::repository().join("examples").join(name))).await;
        server.ready().await;
        Self { caller: Direct::to(&server).await, admin, principal, _server: server }
    }

    async fn session(&self) -> admin::Opened {
        let mut request = admin::agent("one");
        request.principal = Some(entity(self.principal, "one"));
        self.admin.open(request).await
    }

    /// The code of the decision on one action.
    async fn check(
        &self,
        handle: &str,
        action: &str,
        (kind, id): (&str, &str),
        attribute: Option<(&str, Kind)>,
    ) -> String {
        self.decide(handle, action, (kind, id), attribute).await.code
    }

    /// The decision on one action.
    async fn decide(
        &self,
        handle: &str,
        action: &str,
        (kind, id): (&str, &str),
        attribute: Option<(&str, Kind)>,
    ) -> Decision {
        let attributes = attribute.map(|(name, kind)| (name.to_owned(), Value { kind: Some(kind) }));
        let action = ActionRequest {
            action: action.to_owned(),
            resource: Some(entity(kind, id)),
            attributes: attributes.into_iter().collect::<HashMap<_, _>>(),
        };
        let request = CheckRequest { session_handle: handle.to_owned(), action: Some(action), ..Default::default() };
        self.caller.check(request).await.unwrap_or_else(|status| panic!("no decision: {status:?}"))
    }

    /// Reports what became of an allowed action; says whether that was settled.
    async fn report(&self, decision: &Decision, outcome: ReportOutcome, fact: Option<(&str, i64)>) -> bool {
        let facts = fact.map(|(name, value)| (name.to_owned(), Value { kind: Some(Kind::Long(value)) }));
        let report = ReportRequest {
            decision_id: decision.decision_id.clone(),
            session_id: decision.session_id.clone(),
            outcome: outcome.into(),
            facts: facts.into_iter().collect(),
        };
        let response = self.caller.client().report(report).await.expect("it is taken").into_inner();
        response.status() == ReportStatus::Settled
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ci_job_deploys_three_times_an_hour() {
    let example = Example::start("deploys-per-hour", "Job").await;
    let handle = example.session().await.handle;
    for code in ["permitted", "permitted", "permitted", "forbidden", "forbidden"] {
        assert_eq!(example.check(&handle, "deploy", ("Service", "shop"), None).await, code);
    }
    let other = example.session().await.handle;
    assert_eq!(example.check(&other, "deploy", ("Service", "shop"), None).await, "permitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_deploys_that_succeeded_or_may_count() {
    let example = Example::start("deploys-that-succeeded", "Job").await;
    let handle = example.session().await.handle;
    let shop = ("Service", "shop");
    let deploy = async || example.decide(&handle, "deploy", shop, None).await;
    assert_eq!(deploy().await.code, "forbidden");
    let failed = example.decide(&handle, "test", shop, None).await;
    assert!(example.report(&failed, ReportOutcome::Failed, None).await);
    assert_eq!(deploy().await.code, "forbidden", "the tests did not pass");
    let passed = example.decide(&handle, "test", shop, None).await;
    assert_eq!(deploy().await.code, "forbidden", "nobody knows yet");
    assert!(example.report(&passed, ReportOutcome::Executed, None).await);
    let deploys = [deploy().await, deploy().await, deploy().await];
    assert!(deploys.iter().all(|decision| decision.code == "permitted"));
    assert_eq!(deploy().await.code, "forbidden");
    assert!(example.report(&deploys[0], ReportOutcome::Executed, Some(("seconds", 600))).await);
    assert_eq!(deploy().await.code, "forbidden");
    assert!(example.report(&deploys[1], ReportOutcome::Failed, None).await);
    let fourth = deploy().await;
    assert_eq!(fourth.code, "permitted");
    assert_eq!(deploy().await.code, "forbidden");
    // Room for one more, but no time.
    assert!(example.report(&deploys[2], ReportOutcome::Executed, Some(("seconds", 3_000))).await);
    assert!(example.report(&fourth, ReportOutcome::Failed, None).await);
    let late = deploy().await;
    assert_eq!((late.code.as_str(), late.policies[0].id.as_str()), ("forbidden", "an-hour-of-deploying-a-day"));
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_of_all_sessions_stay_below_the_days_limit() {
    let example = Example::start("payments-per-day", "Agent").await;
    let (first, second) = (example.session().await.handle, example.session().await.handle);
    for (handle, cents, code) in [
        (&first, 30_000, "permitted"),
        (&second, 20_001, "forbidden"),
        (&second, 19_999, "permitted"),
        (&first, 2, "forbidden"),
        (&first, 1, "permitted"),
        (&first, -1, "no_permit"),
        // 2^63 - 1 cents: too much to be added up is no way around the limit.
        (&second, i64::MAX, "policy_error"),
    ] {
        let amount = Some(("cents", Kind::Long(cents)));
        assert_eq!(example.check(handle, "pay", ("Payee", "shop"), amount).await, code, "{cents}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sub_agent_has_its_parents_scope_and_budget() {
    let example = Example::start("delegated-sub-agent", "Agent").await;
    let mut parent = admin::agent("one");
    let grant = ScopeGrant { actions: Vec::new(), resources: vec![entity("Repository", "app")] };
    parent.scope = Some(Scope { kind: Some(scope::Kind::Grants(ScopeGrants { grants: vec![grant] })) });
    let parent = example.admin.open(parent).await;
    let child = example.admin.open(admin::child_of(&parent.session)).await;
    let grandchild = example.admin.open(admin::child_of(&child.session)).await;
    assert_eq!(example.check(&child.handle, "push", ("Repository", "other"), None).await, "out_of_scope");
    assert_eq!(example.check(&grandchild.handle, "push", ("Repository", "app"), None).await, "forbidden");
    for (handle, code) in [
        (&parent.handle, "permitted"),
        (&child.handle, "permitted"),
        (&child.handle, "permitted"),
        (&child.handle, "permitted"),
        (&parent.handle, "permitted"),
        (&parent.handle, "forbidden"),
        (&child.handle, "forbidden"),
    ] {
        assert_eq!(example.check(handle, "push", ("Repository", "app"), None).await, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_writes_only_what_it_has_read() {
    let example = Example::start("write-what-was-read", "Agent").await;
    let handle = example.session().await.handle;
    assert_eq!(example.check(&handle, "write", ("Document", "1"), None).await, "no_permit");
    assert_eq!(example.check(&handle, "read", ("Document", "1"), None).await, "permitted");
    assert_eq!(example.check(&handle, "write", ("Document", "1"), None).await, "permitted");
    assert_eq!(example.check(&handle, "write", ("Document", "2"), None).await, "no_permit");
    let other = example.session().await.handle;
    assert_eq!(example.check(&other, "write", ("Document", "1"), None).await, "no_permit");
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_sends_only_to_whom_it_knew() {
    let example = Example::start("known-addresses", "Agent").await;
    let parent = example.session().await;
    let child = example.admin.open(admin::child_of(&parent.session)).await;
    let meet = async |handle: &str, address: &str, source: &str| {
        let source = Some(("source", Kind::String(source.to_owned())));
        assert_eq!(example.check(handle, "meet", ("Address", address), source).await, "permitted");
    };
    meet(&parent.handle, "client@example.org", "task").await;
    meet(&child.handle, "mallory@example.net", "web").await;
    // Known before, and so not first met there.
    meet(&child.handle, "client@example.org", "web").await;
    meet(&child.handle, "ada@example.com", "web").await;
    // Too late: it was first met in a web page.
    meet(&parent.handle, "mallory@example.net", "task").await;
    for (address, code) in [
        ("client@example.org", "permitted"),
        ("ada@example.com", "permitted"),
        ("mallory@example.net", "forbidden"),
        ("nobody@example.net", "no_permit"),
    ] {
        for handle in [&parent.handle, &child.handle] {
            assert_eq!(example.check(handle, "send", ("Address", address), None).await, code, "{address}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_after_personal_data_needs_an_approval() {
    let example = Example::start("export-after-personal-data", "Agent").await;
    let handle = example.session().await.handle;
    for (action, resource, code) in [
        ("read", ("Document", "prices"), "permitted"),
        ("send", ("Address", "client@example.org"), "permitted"),
        ("read", ("Document", "customers"), "permitted"),
        ("send", ("Address", "client@example.org"), "step_up_required"),
        ("read", ("Document", "prices"), "permitted"),
    ] {
        assert_eq!(example.check(&handle, action, resource, None).await, code, "{action} {resource:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_after_web_content_needs_an_approval_or_ends() {
    let example = Example::start("write-after-web-content", "Agent").await;
    let parent = example.session().await;
    let child = example.admin.open(admin::child_of(&parent.session)).await;
    let write = async |handle: &str| example.check(handle, "write", ("Document", "1"), None).await;
    assert_eq!(write(&parent.handle).await, "permitted");
    assert_eq!(example.check(&child.handle, "browse", ("Page", "news"), None).await, "permitted");
    assert_eq!(write(&parent.handle).await, "step_up_required");
    assert_eq!(write(&child.handle).await, "step_up_required");
    for _ in 0..2 {
        assert_eq!(example.check(&parent.handle, "browse", ("Page", "news"), None).await, "permitted");
    }
    // The parent has read two pages, its child one.
    assert_eq!(write(&parent.handle).await, "step_up_required");
    assert_eq!(example.check(&parent.handle, "browse", ("Page", "more"), None).await, "permitted");
    assert_eq!(write(&parent.handle).await, "forbidden");
    assert_eq!(write(&child.handle).await, "forbidden");
}
