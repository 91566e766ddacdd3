//! What it costs to read JSON, and to tell what a batch of MCP and an A2A request would do. A call alone is in `decoders`.

#![expect(clippy::unwrap_used, reason = "a bench stops at the first thing that is not as it must be")]

use std::hint::black_box;

use chaperone_decode::document::Document;
use chaperone_decode::{Classes, a2a, mcp};
use criterion::{Criterion, criterion_group, criterion_main};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CALL: &str = include_str!("decoders/call.json");

fn mcp(criterion: &mut Criterion) {
    let classes = Classes::built_in().unwrap();
    let options = mcp::Options { server: "mail".into() };
    let calls: Vec<_> = (0..10).map(|id| CALL.replace("17", &id.to_string())).collect();
    let batch = format!("[{}]", calls.join(","));
    let batch = mcp::Message { method: "POST", headers: &[], body: batch.as_bytes() };
    criterion.bench_function("mcp/batch_of_10", |bencher| {
        bencher.iter(|| mcp::decode(black_box(&batch), &options, &classes).unwrap());
    });
    criterion.bench_function("document/json", |bencher| {
        bencher.iter(|| Document::json(black_box(CALL.as_bytes())).unwrap());
    });
    // What a stranger may send at most: numbers, since they are the most values that a body has room for.
    let numbers = format!("[{}0]", "0,".repeat(99_998));
    criterion.bench_function("document/json_100000_values", |bencher| {
        bencher.iter(|| Document::json(black_box(numbers.as_bytes())).unwrap());
    });
}

fn a2a(criterion: &mut Criterion) {
    let classes = Classes::built_in().unwrap();
    let options = a2a::Options { agent: "travel".into() };
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":{"messageId":"m1","role":"ROLE_USER","parts":[{"text":"Book a flight to Lisbon"}]}}}"#;
    let message = a2a::Message { method: "POST", headers: &[("a2a-version", b"1.0")], body };
    criterion.bench_function("a2a/send_message", |bencher| {
        bencher.iter(|| a2a::decode(black_box(&message), &options, &classes).unwrap());
    });
}

criterion_group!(benches, mcp, a2a);
criterion_main!(benches);
