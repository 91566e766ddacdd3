//! gRPC calls whose message is any bytes.

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};

/// A client that frames bytes as they are.
pub struct UnaryBytes(tonic::client::Grpc<Channel>);

impl UnaryBytes {
    /// Over this channel.
    pub fn new(channel: Channel) -> Self {
        Self(tonic::client::Grpc::new(channel))
    }

    /// Calls `path` with `message`.
    ///
    /// # Errors
    /// The status that the server answers with.
    pub async fn call(&mut self, path: &'static str, message: &[u8]) -> Result<Bytes, Status> {
        self.send(path, Request::new(Bytes::copy_from_slice(message))).await
    }

    /// Calls `path` with `message`, and presents a session.
    ///
    /// # Errors
    /// The status that the server answers with.
    pub async fn call_as(&mut self, handle: &str, path: &'static str, message: &[u8]) -> Result<Bytes, Status> {
        let mut request = Request::new(Bytes::copy_from_slice(message));
        request.metadata_mut().insert("x-chaperone-session", handle.parse().expect("a handle is ASCII"));
        self.send(path, request).await
    }

    async fn send(&mut self, path: &'static str, request: Request<Bytes>) -> Result<Bytes, Status> {
        self.0.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let answer = self.0.unary(request, PathAndQuery::from_static(path), AsTheyAre).await?;
        Ok(answer.into_inner())
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct AsTheyAre;

impl Codec for AsTheyAre {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsTheyAre {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for AsTheyAre {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}
