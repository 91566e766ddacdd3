//! What is counted is read from requests, whether or not a condition reads it.

use chaperone_policy::mapping::{HttpRequest, Needs, Undecodable};
use chaperone_policy::{Amount, Authority, Decision, Level, Outcome};

use crate::fixture::*;

fn transfer(policies: &str, target: &str) -> Result<Decision, Undecodable> {
    let bundle = bundle(policies);
    let session = chain([root()]);
    let request =
        HttpRequest { method: "GET", host: "docs.example.com", scheme: "https", target, ..HttpRequest::default() };
    let mut mapped = bundle.mapping().map_http(&request)?;
    let needs = bundle.needs(Authority::Session(&session));
    assert_eq!(needs, Needs::Policies);
    mapped.read_attributes(needs)?;
    Ok(decide_in(&bundle, &session, mapped.requests.first().expect("one action")))
}

#[test]
fn attribute_that_is_only_counted_is_read() {
    let plain = "@id(\"a\") permit (principal, action == Action::\"transfer\", resource);";
    let counted_by = plain.replace("permit", "@count(\"amount += context.request.amount\") permit");
    let decision = transfer(&counted_by, "/transfers/1?amount=5").expect("it can be read");
    assert_eq!(decision.effects, [counted(Level::Session, "amount", Amount::Whole(5))]);
    // Only where somebody reads it can it be unreadable.
    assert!(transfer(&counted_by, "/transfers/1?amount=five").is_err());
    assert_eq!(transfer(plain, "/transfers/1?amount=five").expect("unread").outcome, Outcome::Allow);
}
