//! As little of an HTTP/2 client as a steady load needs: one request, encoded once, on blocking sockets. A client that costs as much as the
//! server does leaves the machine no room at half of its load, and what it then measures is itself.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chaperone_api::google::rpc;
use prost::Message as _;

use crate::load::CHECK;

/// How often checks are due, in small groups, so that few system calls send them and the client needs little of the processor.
const TICK: Duration = Duration::from_micros(250);
/// Fewer than others have open: what is due together then leaves, and is answered, together.
const CONNECTIONS: usize = 4;

/// Requests under way on a connection: what HTTP/2 recommends as the least that servers take.
const AT_ONCE: usize = 100;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;
/// What either side may send on a connection before it hears of more, in bytes.
const WINDOW: u32 = 65_535;
/// How much more the server may send, in bytes; told again each time that it has sent so much.
const MORE: u32 = 1 << 30;

/// Types of frames.
mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const WINDOW_UPDATE: u8 = 8;
}

/// Flags of frames.
mod flag {
    pub const END_STREAM: u8 = 1;
    pub const ACK: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
}

/// Asks for this framed check so many times, so many times a second, whether or not the ones before are answered; all at once when the rate is
/// infinite. Each answer must be an allow. Returns how long each took from the moment at which it was due to be asked for, in the order of
/// these moments.
pub fn load(address: SocketAddr, frame: &[u8], rate: f64, checks: usize) -> Vec<Duration> {
    // The first ones get what does not divide evenly.
    let share = |number| (checks + CONNECTIONS - 1 - number) / CONNECTIONS;
    let open = |number| Arc::new(Connection::open(address, CHECK, frame.to_vec(), share(number)));
    let connections: Vec<_> = (0..CONNECTIONS).map(open).collect();
    let readers = connections.iter().map(|connection| {
        let connection = Arc::clone(connection);
        thread::spawn(move || connection.answers())
    });
    let readers: Vec<_> = readers.collect();
    ask(&connections, rate, checks);
    let latencies: Vec<_> = readers.into_iter().map(|reader| reader.join().expect("the reader ends")).collect();
    (0..checks).map(|check| latencies[check % CONNECTIONS][check / CONNECTIONS]).collect()
}

/// Each check at its time, on one connection after the other. What is due leaves together.
fn ask(connections: &[Arc<Connection>], rate: f64, checks: usize) {
    let began = Instant::now();
    #[expect(clippy::cast_precision_loss, reason = "numbers of checks are far below 2^52")]
    let due = |number: usize| began + TICK.mul_f64((number as f64 / (rate * TICK.as_secs_f64())).floor());
    let mut asked = 0;
    while asked < checks {
        thread::sleep(due(asked).saturating_duration_since(Instant::now()));
        let now = Instant::now();
        while asked < checks && due(asked) <= now {
            if let Some(connection) = connections.get(asked % connections.len()) {
                connection.ask(due(asked));
            }
            asked += 1;
        }
        for connection in connections {
            connection.send();
        }
    }
}

/// One connection. One thread asks, and another reads the answers.
struct Connection {
    stream: TcpStream,
    /// How many checks it asks for.
    checks: usize,
    sending: Mutex<Sending>,
}

struct Sending {
    /// The framed check.
    check: Vec<u8>,
    /// The headers of the next request: the first one teaches them to the server, the others refer to it.
    headers: Vec<u8>,
    headers_after: Vec<u8>,
    /// Due, and not sent yet because the server takes no more for now.
    waiting: VecDeque<Instant>,
    /// What was sent, in the order of its streams.
    asked: Vec<Asked>,
    under_way: usize,
    /// What the server still takes, in bytes.
    window: usize,
    /// What it sent since it was told that it may send more, in bytes.
    received: u32,
    unsent: Vec<u8>,
}

/// What is read of a `CheckResponse`: the rest would cost more for a server that says more.
#[derive(Clone, PartialEq, prost::Message)]
struct Verdict {
    #[prost(message, optional, tag = "1")]
    status: Option<rpc::Status>,
}

struct Asked {
    due: Instant,
    allowed: bool,
}

struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
}

impl Connection {
    /// Connects in plain text, to ask `path` this framed check, so many times.
    fn open(address: SocketAddr, path: &str, check: Vec<u8>, checks: usize) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP connection");
        let authority = address.to_string();
        let learnt = [
            (":path", path),
            (":authority", &authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("grpc-timeout", "10S"),
        ];
        let (headers, headers_after) = header_blocks(&learnt);
        let mut unsent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        put_frame(&mut unsent, kind::SETTINGS, 0, 0, &[]);
        put_frame(&mut unsent, kind::WINDOW_UPDATE, 0, 0, &MORE.to_be_bytes());
        let sending = Sending {
            check,
            headers,
            headers_after,
            waiting: VecDeque::new(),
            // To move it while it grows takes longer than a check does.
            asked: Vec::with_capacity(checks),
            under_way: 0,
            window: WINDOW as usize,
            received: 0,
            unsent,
        };
        Self { stream, checks, sending: Mutex::new(sending) }
    }

    /// Asks once more, as soon as the server takes it, for an answer that is due to be asked for at `due`. Sent by [`Self::send`].
    fn ask(&self, due: Instant) {
        self.sending().waiting.push_back(due);
    }

    /// Sends what is waiting.
    fn send(&self) {
        self.sending().send(&self.stream);
    }

    /// Reads all answers, each of which must be an allow; returns how long each took since it was due, in the order in which they were asked for.
    fn answers(&self) -> Vec<Duration> {
        let (mut latencies, mut answered) = (vec![Duration::MAX; self.checks], 0);
        let (mut received, mut chunk) = (Vec::new(), vec![0; READ_BYTES]);
        while answered < self.checks {
            let length = (&self.stream).read(&mut chunk).expect("the connection holds");
            assert!(length > 0, "the server closed the connection");
            let now = Instant::now();
            received.extend_from_slice(&chunk[..length]);
            let mut sending = self.sending();
            let mut rest = received.as_slice();
            while let Some((frame, after)) = Frame::split(rest) {
                if let Some(due) = sending.take(&frame) {
                    latencies[place(frame.stream)] = now.saturating_duration_since(due);
                    answered += 1;
                }
                rest = after;
            }
            sending.send(&self.stream);
            drop(sending);
            let read = received.len() - rest.len();
            received.drain(..read);
        }
        latencies
    }

    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sending {
    /// In one write, as much as the server takes.
    fn send(&mut self, mut stream: &TcpStream) {
        while self.under_way < AT_ONCE && self.window >= self.check.len() {
            let Some(due) = self.waiting.pop_front() else { break };
            let id = u32::try_from(self.asked.len() * 2 + 1).expect("a connection has 2^30 streams");
            put_frame(&mut self.unsent, kind::HEADERS, flag::END_HEADERS, id, &self.headers);
            put_frame(&mut self.unsent, kind::DATA, flag::END_STREAM, id, &self.check);
            if self.asked.is_empty() {
                self.headers.clone_from(&self.headers_after);
            }
            self.asked.push(Asked { due, allowed: false });
            self.under_way += 1;
            self.window -= self.check.len();
        }
        if !self.unsent.is_empty() {
            stream.write_all(&self.unsent).expect("the connection holds");
            self.unsent.clear();
        }
    }

    /// Takes what the server sent. At the end of an answer, when it was due.
    fn take(&mut self, frame: &Frame<'_>) -> Option<Instant> {
        match frame.kind {
            kind::DATA => self.take_data(frame),
            kind::SETTINGS if frame.flags & flag::ACK == 0 => {
                put_frame(&mut self.unsent, kind::SETTINGS, flag::ACK, 0, &[]);
            }
            kind::PING if frame.flags & flag::ACK == 0 => {
                put_frame(&mut self.unsent, kind::PING, flag::ACK, 0, frame.payload);
            }
            // Streams have a window of their own, which one check does not fill.
            kind::WINDOW_UPDATE if frame.stream == 0 => self.window += frame.number() as usize,
            kind::HEADERS | kind::SETTINGS | kind::PING | kind::WINDOW_UPDATE => {}
            other => panic!("the server sent a frame of type {other}: {:?}", frame.payload),
        }
        let ends = matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.flags & flag::END_STREAM != 0;
        ends.then(|| {
            self.under_way -= 1;
            let asked = &self.asked[place(frame.stream)];
            assert!(asked.allowed, "an answer without a message");
            asked.due
        })
    }

    fn take_data(&mut self, frame: &Frame<'_>) {
        self.received += u32::try_from(frame.payload.len()).expect("a frame is small");
        if self.received >= MORE {
            put_frame(&mut self.unsent, kind::WINDOW_UPDATE, 0, 0, &MORE.to_be_bytes());
            self.received -= MORE;
        }
        if frame.payload.is_empty() {
            return;
        }
        assert_eq!(frame.flags & flag::PADDED, 0, "the server pads no answer");
        // An answer is far smaller than a frame may be, so that it comes in one.
        let verdict = Verdict::decode(&frame.payload[5..]).expect("a CheckResponse");
        let status = verdict.status.expect("a status");
        assert_eq!(status.code, 0, "{}", status.message);
        self.asked[place(frame.stream)].allowed = true;
    }
}

impl<'a> Frame<'a> {
    /// The first frame, and what follows it; `None` when it has not come in full.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<9>()?;
        let [a, b, c, kind, flags, stream @ ..] = *head;
        let (payload, after) = rest.split_at_checked(u32::from_be_bytes([0, a, b, c]) as usize)?;
        Some((Self { kind, flags, stream: u32::from_be_bytes(stream), payload }, after))
    }

    /// The payload of a window's update.
    fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload.try_into().expect("four bytes"))
    }
}

/// Streams of clients have odd numbers.
fn place(stream: u32) -> usize {
    (stream / 2) as usize
}

fn put_frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, length @ ..] = u32::try_from(payload.len()).expect("a frame is small").to_be_bytes();
    to.extend_from_slice(&length);
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(payload);
}

/// The headers of a connection's first request, which puts them into the server's table (RFC 7541 section 6.2.1), and those of all others,
/// which take them from there (section 6.1). So Envoy sends them, too.
fn header_blocks(learnt: &[(&str, &str)]) -> (Vec<u8>, Vec<u8>) {
    // `:method: POST` and `:scheme: http` are in the table from the start.
    let mut first = vec![0x83, 0x86];
    let mut later = first.clone();
    for (place, (name, value)) in learnt.iter().enumerate() {
        first.push(0x40);
        for text in [name, value] {
            let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
            first.push(length.expect("a short text"));
            first.extend_from_slice(text.as_bytes());
        }
        // The one that came last is the 62nd.
        later.push(0x80 | u8::try_from(61 + learnt.len() - place).expect("few headers"));
    }
    (first, later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_split_as_they_are_put() {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, kind::WINDOW_UPDATE, 0, 0, &MORE.to_be_bytes());
        put_frame(&mut bytes, kind::DATA, flag::END_STREAM, 7, b"abc");
        let (update, rest) = Frame::split(&bytes).expect("the first is there");
        assert_eq!((update.kind, update.number()), (kind::WINDOW_UPDATE, MORE));
        let (data, rest) = Frame::split(rest).expect("the second is there");
        assert_eq!((data.flags, place(data.stream), data.payload), (flag::END_STREAM, 3, &b"abc"[..]));
        assert!(rest.is_empty());
        assert!(Frame::split(&bytes[13..bytes.len() - 1]).is_none(), "it has not come in full");
    }

    #[test]
    fn later_requests_refer_to_what_the_first_one_taught() {
        let (first, later) = header_blocks(&[(":path", "/a"), ("te", "trailers")]);
        assert_eq!(first, b"\x83\x86\x40\x05:path\x02/a\x40\x02te\x08trailers");
        assert_eq!(later, [0x83, 0x86, 0x80 + 63, 0x80 + 62]);
    }
}
