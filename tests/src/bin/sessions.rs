//! Fills a new embedded store with sessions, and writes their handles, one a line: `sessions STORE HANDLES COUNT`.
//!
//! The admin plane commits each session by itself before it answers, as it must, and so takes minutes for what this does in seconds.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use chaperone_e2e::load;
use chaperone_store::{EmbeddedStore, Store as _};

/// Sessions in one transaction.
const BATCH: u32 = 5_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    load::fail_fast();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [store, handles, count] = arguments.as_slice() else { panic!("usage: sessions STORE HANDLES COUNT") };
    let count: u32 = count.parse().expect("a number of sessions");
    let began = Instant::now();
    let store = EmbeddedStore::open(Some(Path::new(store))).await.expect("the store opens");
    let mut handles = BufWriter::new(File::create(handles).expect("the file can be written"));
    let mut stored = 0;
    while stored < count {
        let next = count.min(stored + BATCH);
        let mut batch = Vec::new();
        for number in stored..next {
            let (session, hash, handle) = load::stored_session(number);
            batch.push((session, hash));
            writeln!(handles, "{handle}").expect("the file can be written");
        }
        store.insert_sessions(&batch).await.expect("they are stored");
        stored = next;
    }
    handles.flush().expect("the file can be written");
    store.close().await;
    println!("{count} sessions in {:.1} s", began.elapsed().as_secs_f64());
}
