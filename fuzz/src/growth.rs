//! Inputs that grow as far as they may: the first byte chooses the decoder, and the rest is a head, a part, a middle, a part that closes, and
//! a tail, with bytes of the value 1 between them. The parts are repeated. What takes more than linear time or stack shows here.

use std::thread;

use chaperone_decode::mcp::Message;
use chaperone_decode::{Decoder, sql};

use crate::{Target, a2a, document, kubernetes, law, mcp, shell};

/// Inputs that grow.
pub const TARGET: Target = Target { name: "growth", check, seeds };

/// What is repeated is not longer than this.
const PATTERN_BYTES_MAX: usize = 256;
/// The longest input, but for command lines.
const BYTES_MAX: usize = 64 * 1024;
/// The longest command line.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// As much as the server's threads have.
const STACK_BYTES: usize = 2 * 1024 * 1024;
const DIALECTS: u8 = 6;
const DECODERS: u8 = 13;

fn check(data: &[u8]) {
    let Some((first, pattern)) = data.split_first().filter(|(_, pattern)| pattern.len() <= PATTERN_BYTES_MAX) else {
        return;
    };
    let which = first % DECODERS;
    let size = if matches!(which, 6 | 7) { LINE_BYTES_MAX } else { BYTES_MAX };
    let text = String::from_utf8_lossy(&grown(pattern, size)).into_owned();
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || decode(which, &text));
        thread.expect("a thread").join().expect("the laws hold");
    });
}

fn decode(which: u8, text: &str) {
    let message = Message { method: "POST", headers: &[], body: text.as_bytes() };
    match which {
        0..DIALECTS => {
            let options = crate::sql::options_of(which);
            let result = sql::decode(text, options, &crate::sql::CLASSES);
            law::told(Decoder::Sql, &crate::sql::CLASSES, result.as_ref());
        }
        6 => law::told(Decoder::Shell, &crate::sql::CLASSES, shell::told(text).as_ref()),
        7 => law::told(Decoder::Shell, &crate::sql::CLASSES, shell::argv(text, ' ').as_ref()),
        8 => document::check_json(text.as_bytes()),
        9 => document::check_form(text.as_bytes()),
        10 => drop(mcp::told(&message)),
        11 => drop(a2a::told(&message)),
        _ => {
            let result = kubernetes::reviewed(text.as_bytes());
            law::told(Decoder::Kubernetes, &crate::sql::CLASSES, result.as_ref());
        }
    }
}

/// The pattern, grown to this size.
fn grown(pattern: &[u8], size: usize) -> Vec<u8> {
    let mut parts = pattern.split(|byte| *byte == 1);
    let mut part = || parts.next().unwrap_or_default();
    let (head, open, middle, close, tail) = (part(), part(), part(), part(), part());
    let left = size.saturating_sub(head.len() + middle.len() + tail.len());
    let times = left / (open.len() + close.len()).max(1);
    [head, &open.repeat(times), middle, &close.repeat(times), tail].concat()
}

fn seeds() -> Vec<Vec<u8>> {
    let sql = [
        "SELECT 1\u{1}+1",
        "SELECT \u{1}- \u{1}1",
        "SELECT \u{1}(\u{1}1\u{1})",
        "SELECT * FROM a\u{1} JOIN a ON 1 = 1",
        "SELECT * FROM \u{1}(SELECT * FROM \u{1}a\u{1}) t",
        "SELECT 1\u{1} UNION SELECT a",
        "\u{1}SELECT 1;",
        "SELECT \u{1}CASE WHEN \u{1}1\u{1} THEN 1 END",
        "CREATE TABLE t (x \u{1}ARRAY<\u{1}INT64\u{1}>\u{1})",
        "\u{1}WITH a AS (\u{1}SELECT 1\u{1}) SELECT 1",
        "INSERT INTO t VALUES (1)\u{1}, (1)",
        "SELECT '\u{1}\\'\u{1}'",
    ];
    let shell = [
        "\u{1}a|\u{1}b",
        "echo \u{1}$(\u{1}a\u{1})",
        "\u{1}sudo \u{1}ls",
        "\u{1}if a; then \u{1}ls\u{1}; fi",
        "cat \u{1}<<E \u{1}\n\u{1}E\n",
        "echo \u{1}{a,\u{1}b\u{1}}",
        "x=\u{1}${a:-\u{1}b\u{1}}",
        "[[ a \u{1}&& a",
        "echo $((\u{1}(\u{1}1\u{1})\u{1}))",
        "ls\u{1} a*",
    ];
    let json = ["\u{1}[\u{1}1\u{1}]", "{\"a\":1\u{1},\"b\":1\u{1}}", "\"\u{1}\\u0061\u{1}\"", "[1\u{1},1\u{1}]"];
    let call = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"arguments\":{\"a\":\u{1}[\u{1}1\u{1}]\u{1}}}}";
    let review = "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SubjectAccessReview\",\"spec\":{\"user\":\"a\",\"groups\":[\"a\"\u{1},\"a\"\u{1}\u{1}\u{1}]}}";
    let of = |first: u8, patterns: &[&str]| -> Vec<Vec<u8>> {
        patterns.iter().map(|pattern| [&[first], pattern.as_bytes()].concat()).collect()
    };
    let forms = ["a=1\u{1}&a=1", "a=\u{1}%41"];
    let seeds =
        (0..DIALECTS).flat_map(|dialect| of(dialect, &sql)).chain(of(6, &shell)).chain(of(7, &["\u{1}sudo \u{1}ls"]));
    let seeds = seeds.chain(of(8, &json)).chain(of(9, &forms)).chain(of(10, &[call])).chain(of(11, &[call]));
    seeds.chain(of(12, &[review])).collect()
}
