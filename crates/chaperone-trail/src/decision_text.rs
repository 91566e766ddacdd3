//! A decision's record as JSON, written in one pass.
//!
//! Every check that is answered waits for this, so it does not take serde's way, which asks for each member how it is written. What comes of
//! it is the same, byte for byte: a property holds the two together. What stands before a value comes with its length, so that it is copied in
//! place, without a call.

use chaperone_policy::{EntityRef, Value};
use serde::Serialize;
use uuid::Uuid;

use crate::digest::Digest;
use crate::event::{
    AppliedEffect, Asked, Decided, Delegation, Policy, Presented, SessionFacts, StateRef, StepUpAsked, Trace,
};

type Written = Result<(), serde_json::Error>;

/// Appends `,"kind":"decision",…}`: what stands behind `at` in the record.
pub(crate) fn append(out: &mut Vec<u8>, decided: &Decided<'_>) -> Written {
    let Decided { id, protocol, outcome, code, reason, session, principal, presenter, .. } = decided;
    uuid(out, br#","kind":"decision","id":"#, id.as_uuid());
    text(out, br#","protocol":"#, protocol)?;
    text(out, br#","outcome":"#, outcome)?;
    text(out, br#","code":"#, code)?;
    text(out, br#","reason":"#, reason)?;
    if let Some(facts) = session {
        session_facts(out, facts)?;
    }
    if let Some(principal) = principal {
        entity(out, br#","principal":"#, principal)?;
    }
    presented(out, presenter)?;
    list(out, br#","actions":"#, &decided.actions, asked)?;
    list(out, br#","policies":"#, &decided.policies, policy)?;
    list(out, br#","effects":"#, &decided.effects, effect)?;
    list(out, br#","step_ups":"#, &decided.step_ups, step_up)?;
    plain(out, br#","bundle":"#, &decided.bundle)?;
    list(out, br#","states":"#, &decided.states, state)?;
    if decided.stale {
        out.extend_from_slice(br#","stale":true"#);
    }
    plain(out, br#","began_at":"#, &decided.began_at)?;
    plain(out, br#","elapsed_us":"#, &decided.elapsed_us)?;
    if let Some(Trace { trace_id, span_id }) = &decided.trace {
        text(out, br#","trace":{"trace_id":"#, trace_id)?;
        text(out, br#","span_id":"#, span_id)?;
        out.push(b'}');
    }
    out.push(b'}');
    Ok(())
}

fn session_facts(out: &mut Vec<u8>, facts: &SessionFacts<'_>) -> Written {
    let SessionFacts { id, tree, owner, task, ancestors } = facts;
    uuid(out, br#","session":{"id":"#, id.as_uuid());
    uuid(out, br#","tree":"#, tree.as_uuid());
    text(out, br#","owner":"#, owner)?;
    if !task.is_empty() {
        text(out, br#","task":"#, task)?;
    }
    list(out, br#","ancestors":"#, ancestors, |out, Delegation { id, principal }| {
        uuid(out, br#"{"id":"#, id.as_uuid());
        entity(out, br#","principal":"#, principal)?;
        out.push(b'}');
        Ok(())
    })?;
    out.push(b'}');
    Ok(())
}

fn presented(out: &mut Vec<u8>, presenter: &Presented<'_>) -> Written {
    if presenter.is_empty() {
        return Ok(());
    }
    let Presented { spiffe_id, certificate_sha256, address } = presenter;
    out.extend_from_slice(br#","presenter":{"#);
    let begin = out.len();
    if let Some(id) = spiffe_id {
        text(out, br#","spiffe_id":"#, id)?;
    }
    if let Some(sha256) = certificate_sha256 {
        digest(out, br#","certificate_sha256":"#, *sha256);
    }
    if let Some(address) = address {
        plain(out, br#","address":"#, address)?;
    }
    // The first member has no comma before it.
    out.remove(begin);
    out.push(b'}');
    Ok(())
}

fn asked(out: &mut Vec<u8>, asked: &Asked<'_>) -> Written {
    entity(out, br#"{"action":"#, &asked.action)?;
    entity(out, br#","resource":"#, &asked.resource)?;
    list(out, br#","attributes":"#, &asked.attributes, |out, (name, attribute)| {
        text(out, b"[", name)?;
        value(out, b",", attribute)?;
        out.push(b']');
        Ok(())
    })?;
    list(out, br#","dropped":"#, &asked.dropped, |out, name| text(out, b"", name))?;
    list(out, br#","hashed":"#, &asked.hashed, |out, name| text(out, b"", name))?;
    out.push(b'}');
    Ok(())
}

fn policy(out: &mut Vec<u8>, Policy { id, failure }: &Policy<'_>) -> Written {
    text(out, br#"{"id":"#, id)?;
    if let Some(failure) = failure {
        text(out, br#","failure":"#, failure)?;
    }
    out.push(b'}');
    Ok(())
}

fn effect(out: &mut Vec<u8>, effect: &AppliedEffect<'_>) -> Written {
    text(out, br#"{"effect":"#, &effect.effect)?;
    text(out, br#","text":"#, &effect.text)?;
    out.push(b'}');
    Ok(())
}

fn step_up(out: &mut Vec<u8>, StepUpAsked { name, approval }: &StepUpAsked<'_>) -> Written {
    text(out, br#"{"name":"#, name)?;
    uuid(out, br#","approval":"#, approval.as_uuid());
    out.push(b'}');
    Ok(())
}

fn state(out: &mut Vec<u8>, state: &StateRef<'_>) -> Written {
    text(out, br#"{"of":"#, &state.of)?;
    if let Some(sha256) = state.digest {
        digest(out, br#","digest":"#, sha256);
    }
    out.push(b'}');
    Ok(())
}

fn entity<const N: usize>(out: &mut Vec<u8>, before: &[u8; N], EntityRef { kind, id }: &EntityRef) -> Written {
    out.extend_from_slice(before);
    text(out, br#"{"type":"#, kind)?;
    text(out, br#","id":"#, id)?;
    out.push(b'}');
    Ok(())
}

fn value<const N: usize>(out: &mut Vec<u8>, before: &[u8; N], value: &Value) -> Written {
    out.extend_from_slice(before);
    match value {
        Value::String(string) => text(out, br#"{"string":"#, string)?,
        Value::Long(number) => plain(out, br#"{"long":"#, number)?,
        Value::Bool(is_true) => plain(out, br#"{"bool":"#, is_true)?,
        Value::Entity(uid) => entity(out, br#"{"entity":"#, uid)?,
        Value::Ip(range) => text(out, br#"{"ip":"#, range)?,
        Value::Decimal(number) => text(out, br#"{"decimal":"#, number)?,
        Value::Datetime(moment) => text(out, br#"{"datetime":"#, moment)?,
        Value::Duration(length) => text(out, br#"{"duration":"#, length)?,
        Value::Set(_) | Value::Record(_) => return plain(out, b"", value),
    }
    out.push(b'}');
    Ok(())
}

/// A member that is an array, unless it is empty.
fn list<T, const N: usize>(
    out: &mut Vec<u8>,
    before: &[u8; N],
    items: &[T],
    mut write: impl FnMut(&mut Vec<u8>, &T) -> Written,
) -> Written {
    let Some((first, rest)) = items.split_first() else { return Ok(()) };
    out.extend_from_slice(before);
    out.push(b'[');
    write(out, first)?;
    for item in rest {
        out.push(b',');
        write(out, item)?;
    }
    out.push(b']');
    Ok(())
}

fn uuid<const N: usize>(out: &mut Vec<u8>, before: &[u8; N], id: Uuid) {
    quoted(out, before, id.hyphenated().encode_lower(&mut [0; uuid::fmt::Hyphenated::LENGTH]).as_bytes());
}

fn digest<const N: usize>(out: &mut Vec<u8>, before: &[u8; N], digest: Digest) {
    quoted(out, before, &digest.to_hex());
}

fn text<const N: usize>(out: &mut Vec<u8>, before: &[u8; N], text: &str) -> Written {
    if needs_escape(text.as_bytes()) {
        return plain(out, before, text);
    }
    quoted(out, before, text.as_bytes());
    Ok(())
}

/// Whether JSON has another form for one of these bytes (RFC 8259 section 7): control characters, the quotation mark, the backslash. Eight are
/// looked at at once.
fn needs_escape(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks();
    if words.iter().any(|word| has_escape(u64::from_ne_bytes(*word))) {
        return true;
    }
    // Those that are left, with some of them twice rather than copied: what was just written in parts cannot be read at once for a while.
    let last = match (text.last_chunk(), text.first_chunk(), text.last_chunk(), text) {
        (Some(last), ..) => u64::from_ne_bytes(*last),
        (_, Some(first), Some(last), _) => halves(u32::from_ne_bytes(*first), u32::from_ne_bytes(*last)),
        (.., [first, middle @ .., last]) => {
            let middle = middle.first().unwrap_or(last);
            halves(u32::from_ne_bytes([*first, *middle, *last, *last]), u32::from_ne_bytes([*last; 4]))
        }
        (.., [byte]) => u64::from_ne_bytes([*byte; 8]),
        (.., []) => return false,
    };
    !rest.is_empty() && has_escape(last)
}

fn halves(one: u32, other: u32) -> u64 {
    u64::from(one) << 32 | u64::from(other)
}

/// Whether one of the bytes of a word is escaped.
const fn has_escape(word: u64) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = EACH << 7;
    /// The high bit of each byte that is less than `limit`, and at times of those behind one that is.
    const fn below(word: u64, limit: u64) -> u64 {
        word.wrapping_sub(EACH * limit) & !word & HIGH
    }
    const fn is(word: u64, byte: u8) -> u64 {
        below(word ^ (EACH * byte as u64), 1)
    }
    below(word, 0x20) | is(word, b'"') | is(word, b'\\') != 0
}

fn quoted<const N: usize>(out: &mut Vec<u8>, before: &[u8; N], text: &[u8]) {
    out.extend_from_slice(before);
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

/// As serde has it.
fn plain<const N: usize>(out: &mut Vec<u8>, before: &[u8; N], value: &(impl Serialize + ?Sized)) -> Written {
    out.extend_from_slice(before);
    serde_json::to_writer(out, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_is_seen_at_any_place_and_nothing_else_is_taken_for_one() {
        for length in 1..=20 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'x'; length];
                    text[place] = byte;
                    assert_eq!(
                        needs_escape(&text),
                        matches!(byte, 0..0x20 | b'"' | b'\\'),
                        "{byte} at {place} of {length}"
                    );
                }
            }
        }
        assert!(!needs_escape(b""));
    }
}
