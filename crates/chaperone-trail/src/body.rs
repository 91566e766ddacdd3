//! A record's body: the part that is encoded before its place in the chain is known.

use chaperone_policy::Timestamp;

use crate::decision_text::{self, DecisionText};
use crate::event::Event;

/// Appends the body of a record to `out`: the members from `at` on, with the closing brace.
///
/// What stands before it, `{"chain":…,"seq":…,"prev":…,`, is put there by [`Chainer`](crate::Chainer), in another thread.
///
/// # Errors
/// When `event` cannot be written as JSON, which none of its types brings about.
pub fn encode(out: &mut Vec<u8>, at: Timestamp, event: &Event<'_>) -> Result<(), serde_json::Error> {
    if let Event::Decision(decided) = event {
        return encode_decision(out, at, |text| decided.write(text));
    }
    begin(out, at)?;
    let brace = out.len();
    serde_json::to_writer(&mut *out, event)?;
    // An event is an object with at least its `kind`: its brace becomes the comma after `at`.
    if let Some(byte) = out.get_mut(brace) {
        *byte = b',';
    }
    Ok(())
}

/// As [`encode`], of a decision that `write` writes.
pub(crate) fn encode_decision(
    out: &mut Vec<u8>,
    at: Timestamp,
    write: impl FnOnce(&mut DecisionText<'_>),
) -> Result<(), serde_json::Error> {
    begin(out, at)?;
    decision_text::append(out, write)
}

fn begin(out: &mut Vec<u8>, at: Timestamp) -> Result<(), serde_json::Error> {
    out.extend_from_slice(br#""at":"#);
    serde_json::to_writer(out, &at.as_micros())
}
