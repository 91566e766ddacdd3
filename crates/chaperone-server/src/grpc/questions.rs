//! The questions of a stream, cut out of the frames that carry them. One that is whole in a frame is not copied.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Body as _;
use tonic::body::Body;
use tonic::{Code, Status};

/// What stands before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The messages of a call's body.
#[derive(Debug)]
pub(super) struct Questions {
    body: Body,
    bytes_max: usize,
    /// What came last and was not read yet.
    received: Bytes,
    /// A message that comes in pieces, with its prefix, as far as it has come. While it is not whole, `received` is empty.
    pieces: BytesMut,
}

impl Questions {
    /// Of a body whose messages are not compressed, and have at most so many bytes.
    pub(super) fn new(body: Body, bytes_max: usize) -> Self {
        Self { body, bytes_max, received: Bytes::new(), pieces: BytesMut::new() }
    }

    /// The next one; `None` at the end. Nothing is to be asked for behind an error.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        loop {
            if let Some(next) = self.next().transpose() {
                return Poll::Ready(Some(next));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                // Trailers of a request say nothing.
                Some(Ok(frame)) => self.received = frame.into_data().unwrap_or_default(),
                // A caller who goes away asks nothing more.
                Some(Err(status)) if status.code() == Code::Cancelled => return Poll::Ready(None),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None if self.pieces.is_empty() => return Poll::Ready(None),
                None => return Poll::Ready(Some(Err(Status::internal("the stream breaks off within a message")))),
            }
        }
    }

    /// The next one, where all of it has come.
    ///
    /// # Errors
    /// When it is compressed or too long: that is known before all of it has come.
    fn next(&mut self) -> Result<Option<Bytes>, Status> {
        if self.pieces.is_empty()
            && let Some((prefix, rest)) = self.received.split_first_chunk()
        {
            let length = self.length(*prefix)?;
            if rest.len() >= length {
                self.received.advance(PREFIX_BYTES);
                return Ok(Some(self.received.split_to(length)));
            }
        }
        loop {
            let whole = match self.pieces.split_first_chunk() {
                Some((prefix, _)) => PREFIX_BYTES + self.length(*prefix)?,
                None => PREFIX_BYTES,
            };
            // Of a prefix alone it is not known yet what follows.
            let missing = whole.saturating_sub(self.pieces.len());
            if missing == 0 {
                return Ok(Some(self.pieces.split().freeze().split_off(PREFIX_BYTES)));
            }
            if self.received.is_empty() {
                return Ok(None);
            }
            let piece = self.received.split_to(missing.min(self.received.len()));
            self.pieces.extend_from_slice(&piece);
        }
    }

    /// The message's length, when it can be read.
    fn length(&self, prefix: [u8; PREFIX_BYTES]) -> Result<usize, Status> {
        let [0, length @ ..] = prefix else {
            return Err(Status::internal("the message is compressed, or no message"));
        };
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > self.bytes_max {
            let limit = self.bytes_max;
            return Err(Status::out_of_range(format!("a message of {length} bytes is longer than {limit}")));
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Frame;
    use http_body_util::StreamBody;
    use proptest::prelude::*;

    use super::*;

    const BYTES_MAX: usize = 300;

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).expect("it is short");
        [&[0][..], &length.to_be_bytes(), message].concat()
    }

    /// What comes of a body in these pieces, each of which is there when it is asked for.
    fn read(pieces: Vec<Vec<u8>>) -> (Vec<Bytes>, Option<Code>) {
        let frames = pieces.into_iter().map(|piece| Ok::<_, Status>(Frame::data(Bytes::from(piece))));
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        let mut questions = Questions::new(body, BYTES_MAX);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut read = Vec::new();
        loop {
            match questions.poll_next(&mut cx) {
                Poll::Ready(Some(Ok(question))) => read.push(question),
                Poll::Ready(Some(Err(status))) => return (read, Some(status.code())),
                Poll::Ready(None) => return (read, None),
                Poll::Pending => panic!("all of it is there"),
            }
        }
    }

    /// Cut wherever these say.
    fn cut(mut bytes: Vec<u8>, lengths: &[usize]) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        for length in lengths {
            let rest = bytes.split_off((*length).min(bytes.len()));
            pieces.push(std::mem::replace(&mut bytes, rest));
        }
        pieces.push(bytes);
        pieces
    }

    proptest! {
        /// However the transport cuts them.
        #[test]
        fn every_message_is_read_once_and_whole(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..BYTES_MAX), 0..8),
            lengths in prop::collection::vec(0_usize..400, 0..40),
            missing in 0_usize..8,
        ) {
            let mut sent = messages.iter().flat_map(|message| framed(message)).collect::<Vec<_>>();
            prop_assert_eq!(read(cut(sent.clone(), &lengths)), (messages.iter().map(|m| Bytes::from(m.clone())).collect(), None));
            // A last one that breaks off.
            let last = framed(&[7; 3]);
            sent.extend(&last[..missing]);
            let code = (missing > 0 && missing < last.len()).then_some(Code::Internal);
            prop_assert_eq!(read(cut(sent, &lengths)), (messages.iter().map(|m| Bytes::from(m.clone())).collect(), code));
        }
    }

    #[test]
    fn message_that_cannot_be_read_is_refused_by_its_prefix() {
        let too_long = framed(&[0; BYTES_MAX + 1]);
        for single in [false, true] {
            for (bytes, code) in [
                (&too_long[..PREFIX_BYTES], Code::OutOfRange),
                (&[1, 0, 0, 0, 1, 0], Code::Internal),
                (&[2, 0, 0, 0, 1, 0], Code::Internal),
            ] {
                let sent = [&framed(b"good"), bytes].concat();
                let pieces = if single { cut(sent, &[1; 20]) } else { vec![sent] };
                assert_eq!(read(pieces), (vec![Bytes::from_static(b"good")], Some(code)));
            }
        }
    }
}
