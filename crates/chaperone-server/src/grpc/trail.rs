//! `chaperone.v1.TrailService`.

mod cursor;
mod message;
mod stream;

use chaperone_api::chaperone::v1 as api;
use chaperone_api::chaperone::v1::trail_service_server::TrailService;
use chaperone_trail::Found;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use self::cursor::Question;
pub use self::message::{filter, proof};
use self::stream::{Steps, stream};
use super::convert::{self, invalid};
use super::watch::Watch;
use crate::admin::AdminError;
use crate::admin::trail::{Export, Tail, TrailReading, Verification};

/// Serves the trail.
#[derive(Clone, Debug)]
pub struct TrailApi {
    trail: TrailReading,
    stop: CancellationToken,
}

impl TrailApi {
    /// Streams end when `stop` is cancelled, so that they do not hold up a drain.
    pub fn new(trail: TrailReading, stop: CancellationToken) -> Self {
        Self { trail, stop }
    }
}

#[tonic::async_trait]
impl TrailService for TrailApi {
    type TailStream = Watch<api::TrailServiceTailResponse>;
    type ExportStream = Watch<api::TrailServiceExportResponse>;
    type VerifyStream = Watch<api::TrailServiceVerifyResponse>;

    async fn query(
        &self,
        request: Request<api::TrailServiceQueryRequest>,
    ) -> Result<Response<api::TrailServiceQueryResponse>, Status> {
        let request = request.into_inner();
        let asked = request.filter.unwrap_or_default();
        let (named_order, order) = message::order(request.order)?;
        let question = Question::of(&asked, named_order);
        let filter = message::filter(asked)?;
        let page_size = convert::page_size(request.page_size)?;
        let after = match &*request.page_token {
            "" => None,
            token => Some(cursor::place(question, token).ok_or_else(|| {
                invalid("page_token", "is not one that a page before this came with, to the same filter and order")
            })?),
        };
        let page = self.trail.query(&filter, order, after, page_size).await?;
        let last = page.found.last().filter(|_| page.has_more).map(Found::place);
        let next_page_token = last.map(|place| cursor::token(question, place)).unwrap_or_default();
        let records = page.found.into_iter().map(message::record).collect();
        Ok(Response::new(api::TrailServiceQueryResponse { records, next_page_token }))
    }

    async fn tail(&self, request: Request<api::TrailServiceTailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let filter = message::filter(request.into_inner().filter.unwrap_or_default())?;
        Ok(Response::new(stream(self.trail.tail(filter).await?, self.stop.clone())))
    }

    async fn export(
        &self,
        request: Request<api::TrailServiceExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let (selection, format) = message::export(request.into_inner())?;
        Ok(Response::new(stream(self.trail.export(selection, format).await?, self.stop.clone())))
    }

    async fn verify(
        &self,
        request: Request<api::TrailServiceVerifyRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        let (stretch, trust) = message::verify(request.get_ref())?;
        Ok(Response::new(stream(self.trail.verify(stretch, trust).await?, self.stop.clone())))
    }

    async fn list_chains(
        &self,
        request: Request<api::TrailServiceListChainsRequest>,
    ) -> Result<Response<api::TrailServiceListChainsResponse>, Status> {
        let request = request.into_inner();
        let page_size = convert::page_size(request.page_size)?;
        let after = convert::page_token(&request.page_token)?;
        let mut page = self.trail.chains(after, convert::read_limit(page_size)).await?;
        let next_page_token = convert::next_page_token(&mut page, page_size, |chain| chain.extent.chain.to_string());
        let chains = page.into_iter().map(message::chain).collect();
        Ok(Response::new(api::TrailServiceListChainsResponse { chains, next_page_token }))
    }
}

impl Steps for Tail {
    type Item = api::TrailServiceTailResponse;

    async fn next(&mut self) -> Result<Option<Self::Item>, AdminError> {
        let record = message::record(Self::next(self).await?);
        Ok(Some(api::TrailServiceTailResponse { record: Some(record) }))
    }
}

impl Steps for Export {
    type Item = api::TrailServiceExportResponse;

    async fn next(&mut self) -> Result<Option<Self::Item>, AdminError> {
        let part = Self::next(self).await?;
        Ok(part.map(|part| api::TrailServiceExportResponse { data: part.bytes, record_count: part.record_count }))
    }
}

impl Steps for Verification {
    type Item = api::TrailServiceVerifyResponse;

    async fn next(&mut self) -> Result<Option<Self::Item>, AdminError> {
        Ok(Self::next(self).await?.map(message::step))
    }
}

#[cfg(test)]
mod tests;
