//! Records as other programs read them.

mod csv;
mod ocsf;
#[cfg(test)]
mod samples;
mod values;

use crate::record::{Record, Sealed};

/// How records are exported.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ExportFormat {
    /// JSON lines: the very bytes of each record, and a line end. The only one that can be verified.
    #[default]
    JsonLines,
    /// CSV (RFC 4180): a header, and one line a record.
    Csv,
    /// OCSF 1.6.0, JSON lines: API Activity (class 6003) of decisions, failures to decide, and acts; other kinds are left out.
    Ocsf,
}

/// A record that cannot be exported.
#[derive(Debug, thiserror::Error)]
#[error("record {seq} of chain `{chain}` cannot be written")]
pub struct ExportError {
    chain: crate::record::ChainId,
    seq: u64,
    #[source]
    source: serde_json::Error,
}

impl ExportFormat {
    /// What stands before the first record.
    pub fn write_header(self, out: &mut Vec<u8>) {
        match self {
            Self::Csv => csv::write_header(out),
            Self::JsonLines | Self::Ocsf => {}
        }
    }

    /// Appends a record: nothing where the format has no place for its kind.
    ///
    /// # Errors
    /// When it cannot be written as JSON; no record that was read is such.
    pub fn write(self, sealed: &Sealed, record: &Record, out: &mut Vec<u8>) -> Result<(), ExportError> {
        match self {
            Self::JsonLines => {
                out.extend_from_slice(&sealed.bytes);
                out.push(b'\n');
                Ok(())
            }
            Self::Csv => csv::write(sealed, record, out),
            Self::Ocsf => ocsf::write(sealed, record, out),
        }
        .map_err(|source| ExportError { chain: sealed.chain, seq: sealed.seq, source })
    }
}
