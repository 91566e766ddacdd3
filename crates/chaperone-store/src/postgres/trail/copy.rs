//! Rows as COPY takes them: PostgreSQL's binary format (its manual, COPY, "Binary Format").

use uuid::Uuid;

use crate::rows::TrailRow;
use crate::stored_time::POSTGRES_EPOCH_US;

/// The statement that takes what [`Rows`] makes.
pub(super) const STATEMENT: &str = "
    COPY trail_records (
        at, chain_id, seq, kind, session_id, tree_id, principal, owner, outcome, code, decision_id,
        actions, resources, policies, record
    )
    FROM STDIN (FORMAT binary)";
/// How many columns it has.
const COLUMNS: i16 = 15;
/// The signature, no flags, and no extension of the header.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The length of NULL, and the number of columns of the end.
const NULL: i32 = -1;
const END: i16 = -1;
/// The type `text`.
const TEXT: i32 = 25;

/// Rows, one after the other.
pub(super) struct Rows(Vec<u8>);

impl Rows {
    /// No row yet, with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(bytes);
        buffer.extend_from_slice(HEADER);
        Self(buffer)
    }

    /// One more.
    pub(super) fn push(&mut self, row: &TrailRow<'_>) {
        self.0.extend_from_slice(&COLUMNS.to_be_bytes());
        // What is out of the database's range is refused there.
        self.value(&row.at.as_micros().saturating_sub(POSTGRES_EPOCH_US).to_be_bytes());
        self.value(row.chain_id.as_bytes());
        self.value(&row.seq.to_be_bytes());
        self.value(row.kind.as_bytes());
        self.id(row.session_id);
        self.id(row.tree_id);
        self.text(row.principal.as_deref());
        self.text(row.owner.as_deref());
        self.text(row.outcome.as_deref());
        self.text(row.code.as_deref());
        self.id(row.decision_id);
        self.texts(&row.actions);
        self.texts(&row.resources);
        self.texts(&row.policies);
        self.value(row.record.as_bytes());
    }

    /// The bytes to send.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&END.to_be_bytes());
        self.0
    }

    fn number(&mut self, number: i32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    /// A length beyond the format's own is refused by the database, as is whatever cannot be stored.
    fn length(&mut self, length: usize) {
        self.number(i32::try_from(length).unwrap_or(i32::MAX));
    }

    fn value(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn id(&mut self, id: Option<Uuid>) {
        match id {
            Some(id) => self.value(id.as_bytes()),
            None => self.number(NULL),
        }
    }

    fn text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.value(text.as_bytes()),
            None => self.number(NULL),
        }
    }

    /// An array of one dimension; NULL when it is empty.
    fn texts<T: AsRef<str>>(&mut self, texts: &[T]) {
        if texts.is_empty() {
            return self.number(NULL);
        }
        let bytes: usize = texts.iter().map(|text| 4 + text.as_ref().len()).sum();
        self.length(20 + bytes);
        // One dimension, no NULL in it, its type, its length, and where its indexes begin.
        for number in [1, 0, TEXT] {
            self.number(number);
        }
        self.length(texts.len());
        self.number(1);
        for text in texts {
            self.value(text.as_ref().as_bytes());
        }
    }
}
