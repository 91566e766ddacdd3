//! Checks without a proxy.

use chaperone_api::chaperone::v1::decision_service_client::DecisionServiceClient;
use chaperone_api::chaperone::v1::{ActionRequest, CheckRequest, Consistency, Decision};
use tonic::Status;
use tonic::transport::Channel;

use crate::admin::{entity, member};
use crate::chaperone::Chaperone;

/// A caller of one replica's data plane.
#[derive(Clone)]
pub struct Direct(DecisionServiceClient<Channel>);

impl Direct {
    /// A caller of this replica.
    pub async fn to(replica: &Chaperone) -> Self {
        Self::over(replica.data_channel().await)
    }

    /// A caller over this channel.
    pub fn over(channel: Channel) -> Self {
        Self(DecisionServiceClient::new(channel))
    }

    /// The generated client.
    pub fn client(&self) -> DecisionServiceClient<Channel> {
        self.0.clone()
    }

    /// Decides.
    ///
    /// # Errors
    /// The status of a check without a decision.
    pub async fn check(&self, request: CheckRequest) -> Result<Decision, Status> {
        Ok(self.client().check(request).await?.into_inner().decision.expect("an answer has a decision"))
    }

    /// The code of the decision on reading `Document::"42"`.
    pub async fn read(&self, handle: &str) -> String {
        self.check(read("42", handle)).await.unwrap_or_else(|status| panic!("no decision: {status:?}")).code
    }

    /// The same, with the session read from the store.
    pub async fn read_strictly(&self, handle: &str) -> String {
        let request = CheckRequest { consistency: Consistency::Strict.into(), ..read("42", handle) };
        self.check(request).await.unwrap_or_else(|status| panic!("no decision: {status:?}")).code
    }
}

/// The question whether a document may be read.
pub fn read(document: &str, handle: &str) -> CheckRequest {
    let resource = Some(entity("Document", document));
    CheckRequest {
        session_handle: handle.to_owned(),
        action: Some(ActionRequest { action: "read".to_owned(), resource, ..Default::default() }),
        ..Default::default()
    }
}

/// The question whether `Document::"42"` may be exported, by a row.
pub fn export(handle: &str) -> CheckRequest {
    let attributes = [("format".to_owned(), member("csv")), ("rows".to_owned(), member(1))].into();
    CheckRequest {
        session_handle: handle.to_owned(),
        action: Some(ActionRequest {
            action: "export".to_owned(),
            resource: Some(entity("Document", "42")),
            attributes,
        }),
        ..Default::default()
    }
}
