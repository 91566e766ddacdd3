//! A unary gRPC call by hand: one message in, one message and the trailers out.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;

/// What stands before the message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The call does not carry one message that can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NoMessage;

/// Reads the one message of a call, of at most `bytes_max`. Nothing of a longer one is waited for.
///
/// # Errors
/// When the message is compressed, too long, not whole, missing, or not the only one.
pub(super) async fn read_message<B>(headers: &HeaderMap, mut body: B, bytes_max: usize) -> Result<Bytes, NoMessage>
where
    B: Body<Data = Bytes> + Unpin,
{
    static ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
    if headers.get(&ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(NoMessage);
    }
    let mut received = Received::Nothing;
    while let Some(frame) = body.frame().await {
        // Trailers of a request say nothing.
        let Ok(data) = frame.map_err(|_| NoMessage)?.into_data() else { continue };
        received.push(data);
        received.check(bytes_max)?;
    }
    received.into_message()
}

/// The call's bytes so far. They mostly come in one piece, which is not copied then.
enum Received {
    Nothing,
    Whole(Bytes),
    Pieces(BytesMut),
}

impl Received {
    fn push(&mut self, data: Bytes) {
        *self = match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => Self::Whole(data),
            Self::Whole(first) if first.is_empty() => Self::Whole(data),
            Self::Whole(first) => {
                let mut pieces = BytesMut::from(first);
                pieces.extend_from_slice(&data);
                Self::Pieces(pieces)
            }
            Self::Pieces(mut pieces) => {
                pieces.extend_from_slice(&data);
                Self::Pieces(pieces)
            }
        };
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Nothing => &[],
            Self::Whole(bytes) => bytes,
            Self::Pieces(bytes) => bytes,
        }
    }

    /// Refuses as soon as it is known that this does not become a message.
    fn check(&self, bytes_max: usize) -> Result<(), NoMessage> {
        let Some((prefix, message)) = self.bytes().split_first_chunk() else { return Ok(()) };
        let length = length(*prefix)?;
        if length <= bytes_max && message.len() <= length { Ok(()) } else { Err(NoMessage) }
    }

    fn into_message(self) -> Result<Bytes, NoMessage> {
        let mut bytes = match self {
            Self::Nothing => return Err(NoMessage),
            Self::Whole(bytes) => bytes,
            Self::Pieces(pieces) => pieces.freeze(),
        };
        let (prefix, message) = bytes.split_first_chunk().ok_or(NoMessage)?;
        if message.len() != length(*prefix)? {
            return Err(NoMessage);
        }
        Ok(bytes.split_off(PREFIX_BYTES))
    }
}

/// The message's length, when it is not compressed.
fn length(prefix: [u8; PREFIX_BYTES]) -> Result<usize, NoMessage> {
    match prefix {
        [0, length @ ..] => usize::try_from(u32::from_be_bytes(length)).map_err(|_| NoMessage),
        _ => Err(NoMessage),
    }
}

/// The answer of a call that succeeded. `frame` is the message with its prefix.
pub(super) fn answer(frame: Bytes) -> Response<UnaryBody> {
    let mut response = Response::new(UnaryBody { frame: Some(frame), has_trailers: true });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// One message, and the trailers that say that the call succeeded.
#[derive(Debug)]
pub struct UnaryBody {
    frame: Option<Bytes>,
    has_trailers: bool,
}

impl Body for UnaryBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(frame) = this.frame.take() {
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        if !std::mem::take(&mut this.has_trailers) {
            return Poll::Ready(None);
        }
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.frame.is_none() && !self.has_trailers
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;

    const LIMIT: usize = 16;

    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).expect("it is short");
        [&[flag][..], &length.to_be_bytes(), message].concat()
    }

    async fn read_pieces(headers: &HeaderMap, pieces: &[&[u8]]) -> Result<Bytes, NoMessage> {
        let frames: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece)))).collect();
        read_message(headers, StreamBody::new(stream::iter(frames)), LIMIT).await
    }

    async fn read(bytes: &[u8]) -> Result<Bytes, NoMessage> {
        read_pieces(&HeaderMap::new(), &[bytes]).await
    }

    #[tokio::test]
    async fn message_is_read_whichever_way_it_is_cut() {
        let bytes = framed(0, b"a message");
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let message = read_pieces(&HeaderMap::new(), &[first, second]).await;
            assert_eq!(message.as_deref(), Ok(&b"a message"[..]), "{cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read_pieces(&HeaderMap::new(), &single).await.as_deref(), Ok(&b"a message"[..]));
        assert_eq!(read(&framed(0, b"")).await.as_deref(), Ok(&b""[..]));
    }

    #[tokio::test]
    async fn call_without_exactly_one_whole_message_has_none() {
        let good = framed(0, b"a message");
        assert_eq!(read_pieces(&HeaderMap::new(), &[]).await, Err(NoMessage), "nothing");
        for length in 0..good.len() {
            assert_eq!(read(&good[..length]).await, Err(NoMessage), "{length} bytes of it");
        }
        assert_eq!(read(&[good.clone(), good.clone()].concat()).await, Err(NoMessage), "two");
        assert_eq!(read(&[&good[..], b"x"].concat()).await, Err(NoMessage), "one and a bit");
    }

    #[tokio::test]
    async fn compressed_message_is_refused() {
        assert_eq!(read(&framed(1, b"a message")).await, Err(NoMessage));
        assert_eq!(read(&framed(2, b"a message")).await, Err(NoMessage));
        let read_as = async |encoding: &'static str| {
            let headers =
                HeaderMap::from_iter([(HeaderName::from_static("grpc-encoding"), HeaderValue::from_static(encoding))]);
            read_pieces(&headers, &[&framed(0, b"a message")]).await
        };
        assert_eq!(read_as("gzip").await, Err(NoMessage));
        assert_eq!(read_as("identity").await.as_deref(), Ok(&b"a message"[..]));
    }

    #[tokio::test]
    async fn message_over_the_limit_is_refused_before_it_has_arrived() {
        assert!(read(&framed(0, &[b'x'; LIMIT])).await.is_ok());
        // Its sender never ends the call.
        let start = Bytes::from(framed(0, &[b'x'; LIMIT + 1])[..PREFIX_BYTES].to_vec());
        let frames = stream::once(async { Ok::<_, Infallible>(Frame::data(start)) });
        let endless = StreamBody::new(Box::pin(futures_util::StreamExt::chain(frames, stream::pending())));
        assert_eq!(read_message(&HeaderMap::new(), endless, LIMIT).await, Err(NoMessage));
    }

    #[tokio::test]
    async fn answer_is_a_message_and_then_success() {
        let (head, body) = answer(Bytes::from_static(b"message")).into_parts();
        assert_eq!(head.headers[CONTENT_TYPE], "application/grpc");
        let collected = body.collect().await.expect("it cannot fail");
        assert_eq!(collected.trailers().expect("trailers")["grpc-status"], "0");
        assert_eq!(collected.to_bytes(), "message");
    }
}
