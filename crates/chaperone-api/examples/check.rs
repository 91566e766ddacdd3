//! Asks for one decision and says what came of it.
//!
//! Run `chaperone dev`, take the handle that it prints, and then:
//!
//! ```sh
//! cargo run -p chaperone-api --example check -- chp_…
//! ```

use anyhow::Context as _;
use chaperone_api::chaperone::v1::decision_service_client::DecisionServiceClient;
use chaperone_api::chaperone::v1::{ActionRequest, CheckRequest, EntityRef, Outcome};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let handle = arguments.next().context("usage: check HANDLE [URL]")?;
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:7401".to_owned());

    let mut decisions = DecisionServiceClient::connect(url).await?;
    let action = ActionRequest {
        action: "read".to_owned(),
        resource: Some(EntityRef { r#type: "Document".to_owned(), id: "welcome".to_owned() }),
        ..Default::default()
    };
    let request = CheckRequest { session_handle: handle, action: Some(action), ..Default::default() };
    // An error means that nothing was decided: do not go ahead.
    let answer = decisions.check(request).await?.into_inner();
    let decision = answer.decision.context("an answer has a decision")?;
    if decision.outcome() == Outcome::Allow {
        println!("allowed: {}", decision.reason);
    } else {
        println!("denied ({}): {}", decision.code, decision.reason);
    }
    Ok(())
}
