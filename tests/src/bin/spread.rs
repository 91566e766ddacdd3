//! Sends checks of many sessions in turn, many at once: `spread DATA FRAME HANDLES SESSIONS STREAMS FROM CHECKS` replaces the handle in the
//! frame by those of the first SESSIONS lines of HANDLES, keeps STREAMS checks under way on each connection, and begins where a load of FROM
//! checks ended. Prints one line of JSON.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use chaperone_e2e::load;
use tokio::task::{JoinSet, LocalSet};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// From one session to the next. A prime, so that every one has its turn, and neighbours in memory do not follow each other.
const STEP: usize = 7_919;

/// A framed check without a handle, and the handles to put into it.
struct Checks {
    before: Bytes,
    after: Bytes,
    handles: Vec<String>,
    next: Cell<usize>,
    end: usize,
}

fn main() {
    load::fail_fast();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, frame, handles, sessions, streams, from, checks] = arguments.as_slice() else {
        panic!("usage: spread DATA FRAME HANDLES SESSIONS STREAMS FROM CHECKS")
    };
    let address: SocketAddr = data.parse().expect("an address such as 127.0.0.1:7401");
    let sessions: usize = sessions.parse().expect("a number of sessions");
    let handles = std::fs::read_to_string(handles).expect("the handles can be read");
    let handles: Vec<String> = handles.lines().take(sessions).map(str::to_owned).collect();
    assert_eq!(handles.len(), sessions, "so many handles");
    let [streams, from, checks] =
        [streams, from, checks].map(|text| text.parse::<usize>().expect("a number of streams or checks"));
    let checks = Checks::new(frame, handles, from, from + checks);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(LocalSet::new().run_until(send(address, streams, Rc::new(checks))));
}

async fn send(address: SocketAddr, streams: usize, checks: Rc<Checks>) {
    let callers = load::connect(address).await;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for caller in callers.iter().flat_map(|caller| std::iter::repeat_n(caller, streams)) {
        let (caller, checks) = (caller.clone(), Rc::clone(&checks));
        tasks.spawn_local(async move {
            let mut latencies = Vec::new();
            while let Some(check) = checks.next() {
                let sent = Instant::now();
                caller.check(check).await;
                latencies.push(sent.elapsed());
            }
            latencies
        });
    }
    let latencies = tasks.join_all().await.concat();
    load::report(latencies, began.elapsed());
}

impl Checks {
    fn new(file: &str, handles: Vec<String>, from: usize, end: usize) -> Self {
        let frame = Bytes::from(std::fs::read(file).expect("the frame can be read"));
        let handle = std::fs::read_to_string(format!("{file}.handle")).expect("the frame's handle can be read");
        let mut places = frame.windows(handle.len()).enumerate().filter(|(_, bytes)| *bytes == handle.as_bytes());
        let (place, _) = places.next().expect("the frame has its handle");
        assert!(places.next().is_none(), "the frame has its handle once");
        // Lengths are part of the encoding.
        assert!(handles.iter().all(|other| other.len() == handle.len()), "handles are of one length");
        let (before, after) = (frame.slice(..place), frame.slice(place + handle.len()..));
        Self { before, after, handles, next: Cell::new(from), end }
    }

    fn next(&self) -> Option<Bytes> {
        let number = self.next.get();
        self.next.set(number + 1);
        let handle = self.handles.get(number.wrapping_mul(STEP) % self.handles.len())?;
        let frame = || {
            let mut frame = BytesMut::with_capacity(self.before.len() + handle.len() + self.after.len());
            frame.extend_from_slice(&self.before);
            frame.extend_from_slice(handle.as_bytes());
            frame.extend_from_slice(&self.after);
            frame.freeze()
        };
        (number < self.end).then(frame)
    }
}
