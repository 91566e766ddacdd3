//! A decision's record as JSON, written in one pass.
//!
//! Every check that is answered waits for this, so it does not take serde's way, which asks for each member how it is written. What comes of
//! it is the same, byte for byte: a property holds the two together. What stands before a value comes with its length, so that it is copied in
//! place, without a call.

use std::borrow::Cow;

use chaperone_policy::{BundleNumber, DecisionId, EntityRef, Timestamp, Value};
use serde::Serialize;
use uuid::Uuid;

use crate::digest::Digest;
use crate::event::{
    AppliedEffect, Asked, Decided, Delegation, Policy, Presented, SessionFacts, StateRef, StepUpAsked, Trace,
};

/// The text of a decision's record while it is written: a call for each member, in the order in which [`Decided`] has them.
///
/// Whoever decides writes what it has, and puts nothing together before. A member that is absent in JSON is not called for.
#[derive(Debug)]
pub struct DecisionText<'b> {
    out: &'b mut Vec<u8>,
    /// The member that is an array and has no end yet.
    list: Option<List>,
    failure: Option<serde_json::Error>,
}

/// The members `session` and `principal` as text: the same in every record of a session's decisions.
#[derive(Debug)]
pub struct SessionText(Box<[u8]>);

impl SessionText {
    /// Of this session, and of who acts in it.
    ///
    /// # Errors
    /// When they cannot be written as JSON, which none of their types brings about.
    pub fn new(facts: &SessionFacts<'_>, principal: &EntityRef) -> Result<Self, serde_json::Error> {
        let mut out = Vec::new();
        let mut text = DecisionText::new(&mut out);
        text.session(facts);
        text.principal(principal);
        text.finish()?;
        Ok(Self(out.into()))
    }
}

/// An action that was asked for, while it is written.
#[derive(Debug)]
#[must_use = "an action that is not ended is no JSON"]
pub struct AskedText<'t, 'b> {
    text: &'t mut DecisionText<'b>,
    has_attributes: bool,
}

/// The members of a decision that are arrays. One without items is absent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum List {
    Actions,
    Policies,
    Effects,
    StepUps,
    States,
}

/// Appends `,"kind":"decision",…}`: what stands behind `at` in the record.
pub(crate) fn append(out: &mut Vec<u8>, write: impl FnOnce(&mut DecisionText<'_>)) -> Result<(), serde_json::Error> {
    let mut text = DecisionText::new(out);
    write(&mut text);
    text.finish()
}

impl Decided<'_> {
    /// Writes all of it.
    pub(crate) fn write(&self, text: &mut DecisionText<'_>) {
        text.decision(self.id, &self.protocol, &self.outcome, &self.code, &self.reason);
        if let Some(facts) = &self.session {
            text.session(facts);
        }
        if let Some(principal) = &self.principal {
            text.principal(principal);
        }
        text.presenter(&self.presenter);
        for Asked { action, resource, attributes, dropped, hashed } in &self.actions {
            let mut asked = text.asked(action, resource);
            for (name, value) in attributes {
                asked.attribute(name, value);
            }
            asked.end(dropped, hashed);
        }
        for policy in &self.policies {
            text.policy(policy);
        }
        for effect in &self.effects {
            text.effect(effect);
        }
        for step_up in &self.step_ups {
            text.step_up(step_up);
        }
        text.bundle(self.bundle);
        for state in &self.states {
            text.state(state);
        }
        text.end(self.stale, self.began_at, self.elapsed_us, self.trace.as_ref());
    }
}

impl<'b> DecisionText<'b> {
    const fn new(out: &'b mut Vec<u8>) -> Self {
        Self { out, list: None, failure: None }
    }

    fn finish(self) -> Result<(), serde_json::Error> {
        self.failure.map_or(Ok(()), Err)
    }

    /// Its first members.
    pub fn decision(&mut self, id: DecisionId, protocol: &str, outcome: &str, code: &str, reason: &str) {
        self.uuid(br#","kind":"decision","id":"#, id.as_uuid());
        self.text(br#","protocol":"#, protocol);
        self.text(br#","outcome":"#, outcome);
        self.text(br#","code":"#, code);
        self.text(br#","reason":"#, reason);
    }

    /// `session`.
    pub fn session(&mut self, SessionFacts { id, tree, owner, task, ancestors }: &SessionFacts<'_>) {
        self.uuid(br#","session":{"id":"#, id.as_uuid());
        self.uuid(br#","tree":"#, tree.as_uuid());
        self.text(br#","owner":"#, owner);
        if !task.is_empty() {
            self.text(br#","task":"#, task);
        }
        self.array(br#","ancestors":"#, ancestors, |text, Delegation { id, principal }| {
            text.uuid(br#"{"id":"#, id.as_uuid());
            text.entity(br#","principal":"#, principal);
            text.out.push(b'}');
        });
        self.out.push(b'}');
    }

    /// `principal`.
    pub fn principal(&mut self, principal: &EntityRef) {
        self.entity(br#","principal":"#, principal);
    }

    /// `session` and `principal`, as they were written before.
    pub fn session_text(&mut self, SessionText(text): &SessionText) {
        self.out.extend_from_slice(text);
    }

    /// `presenter`, unless there is nothing in it.
    pub fn presenter(&mut self, presenter: &Presented<'_>) {
        if presenter.is_empty() {
            return;
        }
        let Presented { spiffe_id, certificate_sha256, address } = presenter;
        self.out.extend_from_slice(br#","presenter":{"#);
        let begin = self.out.len();
        if let Some(id) = spiffe_id {
            self.text(br#","spiffe_id":"#, id);
        }
        if let Some(sha256) = certificate_sha256 {
            self.digest(br#","certificate_sha256":"#, *sha256);
        }
        if let Some(address) = address {
            self.plain(br#","address":"#, address);
        }
        // The first member has no comma before it.
        self.out.remove(begin);
        self.out.push(b'}');
    }

    /// One of `actions`, without its attributes.
    pub fn asked(&mut self, action: &EntityRef, resource: &EntityRef) -> AskedText<'_, 'b> {
        self.item(List::Actions);
        self.entity(br#"{"action":"#, action);
        self.entity(br#","resource":"#, resource);
        AskedText { text: self, has_attributes: false }
    }

    /// One of `policies`.
    pub fn policy(&mut self, Policy { id, failure }: &Policy<'_>) {
        self.item(List::Policies);
        self.text(br#"{"id":"#, id);
        if let Some(failure) = failure {
            self.text(br#","failure":"#, failure);
        }
        self.out.push(b'}');
    }

    /// One of `effects`.
    pub fn effect(&mut self, AppliedEffect { effect, text }: &AppliedEffect<'_>) {
        self.item(List::Effects);
        self.text(br#"{"effect":"#, effect);
        self.text(br#","text":"#, text);
        self.out.push(b'}');
    }

    /// One of `step_ups`.
    pub fn step_up(&mut self, StepUpAsked { name, approval }: &StepUpAsked<'_>) {
        self.item(List::StepUps);
        self.text(br#"{"name":"#, name);
        self.uuid(br#","approval":"#, approval.as_uuid());
        self.out.push(b'}');
    }

    /// `bundle`.
    pub fn bundle(&mut self, number: BundleNumber) {
        self.end_list();
        self.plain(br#","bundle":"#, &number);
    }

    /// One of `states`.
    pub fn state(&mut self, StateRef { of, digest }: &StateRef<'_>) {
        self.item(List::States);
        self.text(br#"{"of":"#, of);
        if let Some(sha256) = digest {
            self.digest(br#","digest":"#, *sha256);
        }
        self.out.push(b'}');
    }

    /// Its last members.
    pub fn end(&mut self, stale: bool, began_at: Timestamp, elapsed_us: u64, trace: Option<&Trace<'_>>) {
        self.end_list();
        if stale {
            self.out.extend_from_slice(br#","stale":true"#);
        }
        self.plain(br#","began_at":"#, &began_at);
        self.plain(br#","elapsed_us":"#, &elapsed_us);
        if let Some(Trace { trace_id, span_id }) = trace {
            self.text(br#","trace":{"trace_id":"#, trace_id);
            self.text(br#","span_id":"#, span_id);
            self.out.push(b'}');
        }
        self.out.push(b'}');
    }

    /// Begins an item of a member that is an array.
    fn item(&mut self, list: List) {
        if self.list == Some(list) {
            self.out.push(b',');
            return;
        }
        self.end_list();
        self.out.extend_from_slice(match list {
            List::Actions => br#","actions":["#,
            List::Policies => br#","policies":["#,
            List::Effects => br#","effects":["#,
            List::StepUps => br#","step_ups":["#,
            List::States => br#","states":["#,
        });
        self.list = Some(list);
    }

    fn end_list(&mut self) {
        if self.list.take().is_some() {
            self.out.push(b']');
        }
    }

    /// A member that is an array, unless it is empty.
    fn array<T, const N: usize>(&mut self, before: &[u8; N], items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        let Some((first, rest)) = items.split_first() else { return };
        self.out.extend_from_slice(before);
        self.out.push(b'[');
        write(self, first);
        for item in rest {
            self.out.push(b',');
            write(self, item);
        }
        self.out.push(b']');
    }

    fn value<const N: usize>(&mut self, before: &[u8; N], value: &Value) {
        self.out.extend_from_slice(before);
        match value {
            Value::String(string) => self.text(br#"{"string":"#, string),
            Value::Long(number) => self.plain(br#"{"long":"#, number),
            Value::Bool(is_true) => self.plain(br#"{"bool":"#, is_true),
            Value::Entity(uid) => self.entity(br#"{"entity":"#, uid),
            Value::Ip(range) => self.text(br#"{"ip":"#, range),
            Value::Decimal(number) => self.text(br#"{"decimal":"#, number),
            Value::Datetime(moment) => self.text(br#"{"datetime":"#, moment),
            Value::Duration(length) => self.text(br#"{"duration":"#, length),
            Value::Set(_) | Value::Record(_) => return self.plain(b"", value),
        }
        self.out.push(b'}');
    }

    fn entity<const N: usize>(&mut self, before: &[u8; N], EntityRef { kind, id }: &EntityRef) {
        self.out.extend_from_slice(before);
        self.text(br#"{"type":"#, kind);
        self.text(br#","id":"#, id);
        self.out.push(b'}');
    }

    fn uuid<const N: usize>(&mut self, before: &[u8; N], id: Uuid) {
        self.quoted(before, id.hyphenated().encode_lower(&mut [0; uuid::fmt::Hyphenated::LENGTH]).as_bytes());
    }

    fn digest<const N: usize>(&mut self, before: &[u8; N], digest: Digest) {
        self.quoted(before, &digest.to_hex());
    }

    fn text<const N: usize>(&mut self, before: &[u8; N], text: &str) {
        if needs_escape(text.as_bytes()) {
            return self.plain(before, text);
        }
        self.quoted(before, text.as_bytes());
    }

    fn quoted<const N: usize>(&mut self, before: &[u8; N], text: &[u8]) {
        self.out.extend_from_slice(before);
        self.out.push(b'"');
        self.out.extend_from_slice(text);
        self.out.push(b'"');
    }

    /// As serde has it.
    fn plain<const N: usize>(&mut self, before: &[u8; N], value: &(impl Serialize + ?Sized)) {
        self.out.extend_from_slice(before);
        if let Err(error) = serde_json::to_writer(&mut *self.out, value) {
            self.failure = Some(error);
        }
    }
}

impl AskedText<'_, '_> {
    /// One of its attributes.
    pub fn attribute(&mut self, name: &str, value: &Value) {
        if self.has_attributes {
            self.text.text(b",[", name);
        } else {
            self.text.text(br#","attributes":[["#, name);
            self.has_attributes = true;
        }
        self.text.value(b",", value);
        self.text.out.push(b']');
    }

    /// Ends it, with the names of those attributes that are not kept, and of those whose hashes stand in their place.
    pub fn end(self, dropped: &[Cow<'_, str>], hashed: &[Cow<'_, str>]) {
        let Self { text, has_attributes } = self;
        if has_attributes {
            text.out.push(b']');
        }
        text.array(br#","dropped":"#, dropped, |text, name| text.text(b"", name));
        text.array(br#","hashed":"#, hashed, |text, name| text.text(b"", name));
        text.out.push(b'}');
    }
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
