//! What decoding costs, for the figures that have a target: a statement and a command line of some 200 bytes and a call of a tool, in turn.
//!
//! Each sample is one decode, soon enough over that whatever else the machine does falls into few of them: the median and the least of many
//! are steady, the mean is not. One line of JSON has them in microseconds, and for each hostile line or script the least of a few times.

#![expect(clippy::panic, reason = "a bench stops at the first thing that is not as it must be")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use chaperone_decode::{Classes, mcp, shell, sql};

#[path = "decoders/hostile.rs"]
mod hostile;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SELECT: &str = "SELECT o.id, o.total, c.name FROM orders AS o JOIN customers AS c ON c.id = o.customer_id \
    WHERE o.state = 'open' AND o.created_at > $1 AND c.region IN ('eu', 'us') ORDER BY o.created_at DESC LIMIT 50";

/// Of the sort that an operator types.
const LINE: &str = "cd /srv/app && git fetch --all && git log --oneline -20 origin/main | grep -v 'merge' | sort -u > /tmp/changes.txt; \
    sudo systemctl status nginx --no-pager && curl -fsS https://example.org/health";

/// Of the same length, with what only the grammar can tell.
const COMPUTED: &str = "cd \"$APP\" && for f in $(git diff --name-only HEAD~1); do grep -n 'TODO' \"$f\" | sort -u >> /tmp/todo.txt; done; \
    sudo systemctl status nginx --no-pager && curl -fsS https://example.org/health";

const CALL: &str = include_str!("decoders/call.json");
const HEADERS: &[(&str, &[u8])] = &[
    (":authority", b"mail.example.com"),
    ("accept", b"application/json, text/event-stream"),
    ("content-type", b"application/json"),
    ("mcp-method", b"tools/call"),
    ("mcp-name", b"send_email"),
    ("mcp-param-to", b"someone@example.com"),
    ("mcp-protocol-version", b"2026-07-28"),
    ("user-agent", b"client/1.0"),
    ("x-request-id", b"0193-aa"),
];

/// Samples of each decoder.
const SAMPLES: usize = 20_000;
/// How many of them follow each other before it is the next decoder's turn.
const TURN: usize = 100;

fn main() {
    let classes = Classes::built_in().unwrap_or_else(|error| panic!("{error}"));
    let postgres = sql::Options { dialect: sql::Dialect::Postgres, database: "shop".into(), views: BTreeMap::new() };
    let snowflake = sql::Options { dialect: sql::Dialect::Snowflake, ..postgres.clone() };
    let host = shell::Options::default();
    let server = mcp::Options { server: "mail".into() };
    let call = mcp::Message { method: "POST", headers: HEADERS, body: CALL.as_bytes() };
    let decode_sql = |text: &str, options: &sql::Options| sql::decode(black_box(text), options, &classes).is_ok();
    let decode_shell = |text: &str| shell::decode(black_box(text), &host, &classes).is_ok();
    let decoders: [(&str, &dyn Fn() -> bool); 5] = [
        ("sql", &|| decode_sql(SELECT, &postgres)),
        ("sql_snowflake", &|| decode_sql(SELECT, &snowflake)),
        ("shell", &|| decode_shell(LINE)),
        ("shell_computed", &|| decode_shell(COMPUTED)),
        ("mcp", &|| mcp::decode(black_box(&call), &server, &classes).is_ok()),
    ];
    let mut times = decoders.map(|_| Vec::with_capacity(SAMPLES));
    for _ in 0..SAMPLES / TURN {
        for ((name, decode), times) in decoders.iter().zip(&mut times) {
            for _ in 0..TURN {
                let began = Instant::now();
                let decoded = decode();
                times.push(began.elapsed().as_secs_f64() * 1e6);
                assert!(decoded, "{name}");
            }
        }
    }
    let mut figures = Vec::new();
    for ((name, _), times) in decoders.iter().zip(&mut times) {
        times.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| times.get(place).copied().unwrap_or_default();
        figures.push(format!(r#""{name}_p50_us":{:.2},"{name}_min_us":{:.2}"#, at(SAMPLES / 2), at(0)));
    }
    for (name, worst_ms) in hostile::worst_ms(&decode_shell, &|text| decode_sql(text, &postgres)) {
        figures.push(format!(r#""{name}":{worst_ms:.2}"#));
    }
    println!("{{{}}}", figures.join(","));
}
